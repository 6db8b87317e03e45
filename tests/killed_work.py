"""Kills a process that makes or restores a backup, at each step in turn; run as a script, because only one thread may fork.

A step is a call of Python's that changes files or opens one, or one of SQLite's that changes a file. `python killed_work.py` prints
how often each work was killed (with a URL: only a backup of the registry on that server); it fails where a database is neither the
old one nor the new one, or what lies aside is not whole.
"""

import errno
import gc
import os
import signal
import sys
import tempfile
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import released
from faulty import CHANGES, KILL, Fault, faulty_disk
from homedex.registry import schema
from homedex.storage import backup
from homedex.storage.backup_folder import BackupFolder
from homedex.storage.digests import Contents, contents_of
from homedex.storage.restore import restore
from homedex.storage.sqlite import open_connection

NOW = datetime(2026, 11, 22, tzinfo=UTC)
STEPS = {"open", "os.link", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.chmod", "os.chown", "fcntl.flock"}
Held = dict[str, Contents]


def die_at(step: int, place: Path, *, links: bool) -> None:
    """Have this process killed before it takes a step that has to do with `place`; without `links`, the disk knows none."""
    met = 0

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal met
        if event == "os.link" and not links:
            raise OSError(errno.EPERM, os.strerror(errno.EPERM))
        if event in STEPS and (not isinstance(arguments[0], str | Path) or str(arguments[0]).startswith(str(place))):
            met += 1
            if met == step:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def killed(work: Callable[[], object], before: Callable[[], None], fault: Fault | None) -> bool:
    """Whether a child that does some work was killed; what fails otherwise fails here."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            with faulty_disk() as disk:
                disk.fault = fault
                before()
                work()
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, status
    return os.WIFSIGNALED(status)


def held(path: Path) -> Held:
    with closing(open_connection(str(path))) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return contents_of(connection)


def every_step(
    work: Callable[[int], object], look: Callable[[int], None], place: Path, *, links: bool = True, stride: int = 1
) -> int:
    """Do it again and again, each time killed so many steps later, until it comes to its end; by Python's, then by SQLite's."""
    kills = turn = 0
    for by_python in (True, False):
        step = 1
        while True:
            turn += 1
            before = partial(die_at, step if by_python else 0, place, links=links)
            died = killed(partial(work, turn), before, None if by_python else Fault(CHANGES, KILL, at=step, share=0.5))
            look(turn)
            if not died:
                break
            kills, step = kills + 1, step + stride
    return kills


def restores(place: Path, *, links: bool) -> int:
    """A restore in place, of a backup that is older than what is there."""
    place.mkdir()
    home, folder = place / "home.db", BackupFolder(place / "backups", "homedex")
    released.load_file(schema.head(), home)
    made = backup.create(str(home), folder, schema.shape(), clock=lambda: NOW).backup
    assert made.manifest is not None
    older = made.manifest.tables

    def change(turn: int) -> Held:
        with closing(open_connection(str(home))) as connection:
            connection.execute("UPDATE sources SET last_error = ?", (f"turn {turn}",))
        return held(home)

    newer = change(0)

    def put_back(turn: int) -> None:
        restore(made.path, str(home), schema.shape(), at=NOW + timedelta(seconds=turn), replace=True)

    def look(turn: int) -> None:
        nonlocal newer
        found, asides = held(home), list(place.glob("home.db.before-restore-*"))
        assert found in (older, newer), f"turn {turn} left neither"
        assert all(held(aside) == newer for aside in asides), f"turn {turn} kept what is not whole"
        assert found == newer or asides, f"turn {turn} kept nothing"
        for aside in asides:
            aside.unlink()
        newer = change(turn)

    kills = every_step(put_back, look, place, links=links)
    put_back(1_000_000)
    assert held(home) == older
    assert not list(place.glob(".restoring-*"))
    return kills


def creations(place: Path) -> int:
    """A backup of what has changed; then one that is verified again."""
    place.mkdir()
    home, folder = place / "home.db", BackupFolder(place / "backups", "homedex")
    released.load_file(schema.head(), home)
    there: Held = {}

    def change(turn: int) -> None:
        nonlocal there
        with closing(open_connection(str(home))) as connection:
            connection.execute("UPDATE sources SET last_error = ?", (f"turn {turn}",))
        there = held(home)

    def create(turn: int) -> None:
        backup.create(str(home), folder, schema.shape(), clock=lambda: NOW + timedelta(seconds=turn))

    def look(turn: int) -> None:
        assert held(home) == there
        for one in folder.all():
            assert one.manifest is not None, one
            assert one.manifest.tables == there
            assert backup.verify(one, folder, at=NOW).problem is None
            folder.remove(one.name)
        change(turn)

    change(0)
    kills = every_step(create, look, folder.path)
    create(1_000_000)
    assert [one.problem for one in folder.all()] == [None]
    assert not list(folder.path.glob(".unfinished-*"))
    return kills


def server_creations(place: Path, url: str) -> int:
    """A backup of a registry on a server, which writes its rows into a file first."""
    folder = BackupFolder(place / "backups", "homedex")

    def create(turn: int) -> None:
        backup.create(url, folder, schema.shape(), clock=lambda: NOW + timedelta(seconds=turn))

    def look(_: int) -> None:
        for one in folder.all():
            assert one.manifest is not None, one
            assert one.manifest.tables == there
            assert backup.verify(one, folder, at=NOW).problem is None
            folder.remove(one.name)

    create(0)
    (first,) = folder.all()
    assert first.manifest is not None
    there = first.manifest.tables
    look(0)
    kills = every_step(create, look, folder.path, stride=5)
    create(1_000_000)
    look(0)
    assert not list(folder.path.glob(".unfinished-*"))
    return kills


def main(place: Path, url: str | None) -> None:
    gc.freeze()
    if url is not None:
        print(f"killed create from a server {server_creations(place, url)} times")  # noqa: T201
        return
    counts = {
        "create": creations(place / "create"),
        "restore": restores(place / "restore", links=True),
        "restore without hard links": restores(place / "unlinked", links=False),
    }
    print("killed " + ", ".join(f"{work} {count} times" for work, count in counts.items()))  # noqa: T201


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        main(Path(temporary), sys.argv[1] if len(sys.argv) > 1 else None)
