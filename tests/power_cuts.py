"""Cuts the power of a disk in the middle of what writes a registry, and looks at what is there afterwards; a script for root.

The disk is an ext4 file system of its own in an image. Before each step of a work (a call of Python's that changes files or opens
one, or one of SQLite's that changes a file) the image is copied: that is what a power cut then would leave, without whatever the
system had not written yet. Now and then it is made to write everything, or its journal alone, which it may do at any moment. Each
copy is mounted, which replays its journal. `python power_cuts.py` prints how many different ones each work left; it fails where one
holds a registry that is neither the old nor the new one, lacks what was acknowledged, or has a backup that is not whole.
"""

import errno
import hashlib
import os
import random
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import released
from disks import NotMounted, ext4, mounted
from faulty import CHANGES, Fault, Kind, faulty_disk
from homedex.registry import schema
from homedex.registry.backups import Backups
from homedex.storage import backup
from homedex.storage.backup_folder import BackupFolder
from homedex.storage.digests import Contents, contents_of
from homedex.storage.migrate import schema_revision
from homedex.storage.restore import restore
from homedex.storage.sqlite import open_connection

NOW = datetime(2026, 11, 22, tzinfo=UTC)
STEPS = {"open", "os.link", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.chmod", "os.chown", "fcntl.flock"}
DISK_BYTES = 64 << 20
UNWRITTEN = ("commit=900", "noauto_da_alloc", "noinit_itable")
"""So that the system writes as late as it may, and does not guess what was meant to be synced."""

CANNOT = "No disk of its own:"
"""How it ends where none can be mounted."""

Held = dict[str, Contents]


@dataclass
class Pictures:
    """Copies of the disk at every step of a work, each different one once.

    Attributes:
        taken: digest -> (image, what had been acknowledged when it was last seen).
        acknowledged: how much of its work the work says is done.
        early: the system writes now and then before it must.
        linkless: it is as if the file system knew no hard links.
        count: of different copies, by now.
    """

    image: Path
    disk: Path
    into: Path
    dice: random.Random
    taken: dict[bytes, tuple[Path, int]] = field(default_factory=dict)
    acknowledged: int = 0
    early: bool = False
    linkless: bool = False
    count: int = 0
    _on: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        sys.addaudithook(self._step)

    def _step(self, event: str, arguments: tuple[object, ...]) -> None:
        if not self._on or self._lock.locked():  # what taking a picture opens is no step
            return
        if event == "os.link" and self.linkless:
            raise OSError(errno.EPERM, os.strerror(errno.EPERM))
        if event in STEPS and (not isinstance(arguments[0], str | Path) or str(arguments[0]).startswith(str(self.disk))):
            self.take()

    def take(self) -> None:
        """A picture, after the system has written by chance more than it had to."""
        with self._lock:
            chance = self.dice.random() if self.early else 1
            if chance < 0.03:
                os.sync()
            elif chance < 0.2:
                opened = os.open(self.disk, os.O_RDONLY | os.O_DIRECTORY)
                os.fsync(opened)
                os.close(opened)
            data = pieces(self.image)
            digest = hashlib.blake2b(b"".join(b"%d:%b" % piece for piece in data)).digest()
            path = self.into / f"{len(self.taken)}.img"
            if digest in self.taken:
                path, _ = self.taken[digest]
            else:
                with path.open("wb") as file:
                    file.truncate(DISK_BYTES)
                    for offset, piece in data:
                        file.seek(offset)
                        file.write(piece)
            self.taken[digest] = path, self.acknowledged

    @contextmanager
    def during(self) -> Iterator[None]:
        """A block of which pictures are taken, at each step and at its end."""
        with faulty_disk() as disk:
            disk.fault = Camera(CHANGES, 0, take=self.take)
            self._on = True
            try:
                yield
                self.acknowledged += 1
                self.take()
            finally:
                self._on = False

    def looked_at(self) -> Iterator[tuple[Path, int]]:
        """Each disk as it is found when the power is back, with what was acknowledged; then they are thrown away."""
        self.count += len(self.taken)
        for path, acknowledged in self.taken.values():
            with mounted(self.disk.with_name("found"), "-o", "loop", str(path)) as found:
                yield found, acknowledged
            path.unlink()
        self.taken.clear()
        self.acknowledged = 0


@dataclass
class Camera(Fault):
    """No fault: at every change that SQLite makes, a picture is taken first."""

    take: Callable[[], None] = lambda: None

    def is_due(self, kind: Kind, name: str) -> bool:  # noqa: ARG002  (its signature)
        if kind in self.kinds:
            self.take()
        return False


def pieces(image: Path) -> list[tuple[int, bytes]]:
    """What an image holds: (offset, bytes) of each part that is there."""
    found: list[tuple[int, bytes]] = []
    opened, end = os.open(image, os.O_RDONLY), 0
    try:
        with suppress(OSError):  # ENXIO: nothing comes after it
            while True:
                start = os.lseek(opened, end, os.SEEK_DATA)
                end = os.lseek(opened, start, os.SEEK_HOLE)
                found.append((start, os.pread(opened, end - start, start)))
        return found
    finally:
        os.close(opened)


def held(path: Path) -> Held:
    with closing(open_connection(str(path))) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return contents_of(connection)


def change(home: Path, turn: int) -> None:
    with closing(open_connection(str(home))) as connection:
        connection.execute("UPDATE sources SET last_error = ?", (f"turn {turn}",))


def commits(place: Path, pictures: Pictures) -> None:
    """Edits, each acknowledged, with a checkpoint now and then."""
    home = place / "home.db"
    with pictures.during(), closing(open_connection(str(home))) as connection:
        for turn in range(1, 21):
            connection.execute("UPDATE sources SET last_error = ?", (f"turn {turn}",))
            pictures.acknowledged = turn
            if turn % 7 == 0:
                connection.wal_checkpoint(mode=3)
    for found, acknowledged in pictures.looked_at():
        with closing(open_connection(str(found / "home.db"))) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            ((said,),) = connection.execute("SELECT DISTINCT last_error FROM sources")
            turn = int(str(said).removeprefix("turn "))
        assert turn >= min(acknowledged, 20), f"of {acknowledged} commits {turn} are there"


def creations(place: Path, pictures: Pictures) -> None:
    """A backup of what has changed since the last."""
    home, folder = place / "home.db", BackupFolder(place / "backups", "homedex")
    older = held(home)
    backup.create(str(home), folder, schema.shape(), clock=lambda: NOW)
    change(home, 1)
    newer = held(home)
    os.sync()
    with pictures.during():
        backup.create(str(home), folder, schema.shape(), clock=lambda: NOW + timedelta(hours=1))
    for found, acknowledged in pictures.looked_at():
        there = BackupFolder(found / "backups", "homedex")
        assert held(found / "home.db") == newer
        tables = []
        for one in there.all():
            assert backup.verify(one, there, at=NOW).problem is None
            assert one.manifest is not None
            tables.append(one.manifest.tables)
        assert tables in ([newer, older], [older]), f"{len(tables)} backups"
        assert not acknowledged or tables[0] == newer, "a backup that was made is not there"
    for one in folder.all():
        folder.remove(one.name)


def restores(place: Path, pictures: Pictures) -> None:
    """A restore in place, of a backup that is older than what is there."""
    home, folder = place / "home.db", BackupFolder(place / "backups", "homedex")
    older = held(home)
    made = backup.create(str(home), folder, schema.shape(), clock=lambda: NOW).backup
    change(home, 1)
    newer = held(home)
    os.sync()
    with pictures.during():
        done = restore(made.path, str(home), schema.shape(), at=NOW, replace=True)
    for found, acknowledged in pictures.looked_at():
        there, asides = held(found / "home.db"), list(found.glob("home.db.before-restore-*Z"))
        assert there in (older, newer)
        assert all(held(aside) == newer for aside in asides), "what is kept is not whole"
        assert there == newer or asides, "nothing is kept"
        assert not acknowledged or there == older, "what was restored is not there"
    assert done.aside is not None
    done.aside.unlink()
    folder.remove(made.name)


def unlinked_restores(place: Path, pictures: Pictures) -> None:
    """The same on a file system without hard links."""
    pictures.linkless = True
    restores(place, pictures)
    pictures.linkless = False


def restores_elsewhere(place: Path, pictures: Pictures) -> None:
    """A restore to a place where nothing is."""
    home, folder, new = place / "home.db", BackupFolder(place / "backups", "homedex"), place / "new.db"
    made = backup.create(str(home), folder, schema.shape(), clock=lambda: NOW).backup
    os.sync()
    with pictures.during():
        restore(made.path, str(new), schema.shape(), at=NOW)
    for found, acknowledged in pictures.looked_at():
        restored = found / new.name
        assert restored.exists() or not acknowledged, "what was restored is not there"
        assert not restored.exists() or held(restored) == held(home)
    new.unlink()
    folder.remove(made.name)


def migrations(place: Path, pictures: Pictures) -> None:
    """An upgrade of the oldest schema to the newest, with the backup that comes first."""
    old = place / "old.db"
    released.load_file("0001", old)
    os.sync()
    with pictures.during():
        schema.upgrade(str(old))
    for found, acknowledged in pictures.looked_at():
        with closing(open_connection(str(found / "old.db"))) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            revision = schema_revision(connection)
        there = Backups(str(found / "old.db"), None).folder
        assert revision in ({schema.head()} if acknowledged else {"0001", schema.head()})
        assert revision == "0001" or [one.manifest and one.manifest.schema_revision for one in there.all()] == ["0001"]
        assert all(backup.verify(one, there, at=NOW).problem is None for one in there.all())
    for left in (*place.glob("old.db*"), *place.glob("backups/*.zst")):
        left.unlink()


def main(scratch: Path) -> None:
    into = scratch / "pictures"
    into.mkdir()
    image = ext4(scratch / "image", DISK_BYTES, "-E", "lazy_itable_init=0,lazy_journal_init=0", "-J", "size=4")
    with mounted(scratch / "disk", "-o", f"loop,{','.join(UNWRITTEN)}", str(image)) as disk:
        released.load_file(schema.head(), disk / "home.db")
        change(disk / "home.db", 0)
        pictures = Pictures(image, disk, into, random.Random(7))  # noqa: S311  (chance, no secret)
        for work in (commits, creations, restores, unlinked_restores, restores_elsewhere, migrations):
            pictures.count = 0
            for pictures.early in (False, True, True):
                change(disk / "home.db", 0)
                os.sync()
                work(disk, pictures)
            print(f"{work.__name__}: {pictures.count}")  # noqa: T201


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        try:
            main(Path(temporary))
        except NotMounted as error:
            sys.exit(f"{CANNOT} {error}")
