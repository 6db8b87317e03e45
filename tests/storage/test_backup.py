"""Backups of real registries: made, damaged in every way, verified, restored, in crowded and in broken places."""

import asyncio
import errno
import os
import random
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st

from homedex import __version__
from homedex.errors import BadBackup, BadSetting, Busy, Conflict, DatabaseTooNew, NotFound, StorageFull, StorageUnavailable
from homedex.registry import schema
from homedex.registry.backups import Backups
from homedex.storage import backup as making
from homedex.storage import backup_file, migrate
from homedex.storage.backup_file import Manifest, read_manifest, unpack
from homedex.storage.backup_folder import Backup, BackupFolder, Keep
from homedex.storage.database import Database
from homedex.storage.digests import contents_of
from homedex.storage.restore import Restored, restore
from homedex.storage.sqlite import open_connection

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

NOW = datetime(2026, 11, 22, 13, 52, 56, 700259, tzinfo=UTC)
AT = "'2026-11-22T13:52:56.700259Z'"
LATER = NOW + timedelta(hours=1)


def write(path: Path, *statements: str) -> None:
    with closing(open_connection(str(path))) as connection:
        for statement in statements:
            connection.execute(statement)


def forge(path: Path, statements: str) -> None:
    """Write what SQLite would not let be written into a schema, or into the tables of a full-text index."""
    with closing(apsw.Connection(str(path))) as connection:
        connection.execute(statements)


def add_areas(path: Path, *names: str) -> None:
    source = f"INSERT OR IGNORE INTO sources VALUES ('h', 'manual', 'H', 'ok', NULL, NULL, '{{}}', {AT}, {AT}, 1)"
    text = "INSERT INTO areas VALUES ('h', '{0}', '{0}', NULL, '[]', '[]', '{{}}', {1}, NULL, NULL, {1}, {1}, 1)"
    change = (
        "INSERT INTO changes (at, kind, source_id, key, action, after, actor)"
        " VALUES ({1}, 'area', 'h', '{0}', 'create', '{{}}', 'api')"
    )
    write(path, source, *(form.format(name, AT) for name in names for form in (text, change)))


def areas(path: Path) -> list[str]:
    with closing(open_connection(str(path))) as connection:
        return [str(name) for (name,) in connection.execute("SELECT area_id FROM areas ORDER BY 1")]


@pytest.fixture
def home(registry_file: Path) -> Path:
    add_areas(registry_file, "attic", "küche 🎉", "hall")
    return registry_file


@pytest.fixture
def folder(tmp_path: Path) -> BackupFolder:
    return BackupFolder(tmp_path / "backups", "homedex")


def create(home: Path, folder: BackupFolder, at: datetime = NOW, **how: Any) -> making.Made:
    return making.create(str(home), folder, schema.shape(), clock=lambda: at, reason="command", **how)


def made(home: Path, folder: BackupFolder, at: datetime = NOW) -> Backup:
    return create(home, folder, at).backup


def restored(backup: Path, target: Path, **how: Any) -> Restored:
    return restore(backup, str(target), schema.shape(), at=NOW, **how)


def left_over(place: Path) -> list[str]:
    return [path.name for path in place.rglob("*") if "unfinished" in path.name or "restoring" in path.name]


# --- making one ---


def test_a_backup_holds_what_the_database_held_and_says_so(home: Path, folder: BackupFolder, tmp_path: Path) -> None:
    backup = made(home, folder)
    said = backup.manifest
    assert said is not None
    assert (said.program, said.schema_revision) == (f"homedex {__version__}", schema.head())
    assert (said.sequence, said.reason, said.engine) == (3, "command", "sqlite")
    assert {name: table.rows for name, table in said.tables.items() if table.rows} == {
        "alembic_version": 1,
        "areas": 3,
        "changes": 3,
        "sources": 1,
    }
    assert backup.name == "homedex-2026-11-22T13-52-56Z.db.zst"
    assert backup.verified_at == NOW
    plain = tmp_path / "plain.db"
    plain.write_bytes(zstd.decompress(backup.path.read_bytes()))  # as `zstd -d` does: what is in front is skipped
    assert areas(plain) == areas(home)
    assert not left_over(tmp_path)


def test_a_backup_is_for_its_owner_alone(home: Path, folder: BackupFolder) -> None:
    before = os.umask(0)
    try:
        backup = made(home, folder)
    finally:
        os.umask(before)
    files = [backup.path, *(path for path in folder.path.iterdir() if path.name.startswith("."))]
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700


def test_what_has_not_changed_is_not_backed_up_again(home: Path, folder: BackupFolder) -> None:
    first = create(home, folder)
    assert create(home, folder, LATER) == making.Made(folder.all()[0], new=False)
    write(home, "VACUUM")  # other bytes, the same rows
    assert not create(home, folder, LATER).new
    add_areas(home, "cellar")
    second = create(home, folder, LATER)
    assert first.new
    assert second.new
    assert [backup.name for backup in folder.all()] == [second.backup.name, first.backup.name]


def test_a_row_that_leaves_no_change_is_a_difference_all_the_same(home: Path, folder: BackupFolder) -> None:
    create(home, folder)
    write(home, "UPDATE sources SET last_error = 'x'")
    assert create(home, folder, LATER).new


def test_a_backup_is_of_what_is_committed_and_of_one_moment(home: Path, folder: BackupFolder) -> None:
    with closing(open_connection(str(home))) as writer:
        writer.execute("BEGIN IMMEDIATE; UPDATE areas SET name = 'changed'")
        backup = made(home, folder)
        writer.execute("COMMIT")
    assert create(home, folder, LATER).new
    assert backup.manifest is not None
    with closing(open_connection(str(home))) as connection:
        assert backup.manifest.tables["areas"] != contents_of(connection)["areas"]


def test_another_programs_file_is_not_backed_up(tmp_path: Path, folder: BackupFolder) -> None:
    write(tmp_path / "other.db", "CREATE TABLE t (x)")
    with pytest.raises(Exception, match="belongs to another program"):
        create(tmp_path / "other.db", folder)
    with pytest.raises(StorageUnavailable, match="cannot be backed up"):
        create(tmp_path / "none.db", folder)
    assert folder.all() == []


def test_a_damaged_database_makes_no_backup_and_the_old_ones_stay(home: Path, folder: BackupFolder) -> None:
    add_areas(home, *(f"room {number}" for number in range(500)))
    before = made(home, folder)
    write(home, "PRAGMA wal_checkpoint(TRUNCATE)")
    with closing(open_connection(str(home))) as connection:
        page = next(connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'ix_areas_area_id'"))[0]
    contents = bytearray(home.read_bytes())
    contents[(int(page) - 1) * 4096 + 100 : int(page) * 4096] = bytes(3996)
    home.write_bytes(contents)
    write(home, "UPDATE sources SET last_error = 'x'")
    with pytest.raises(BadBackup, match="damaged"):
        create(home, folder, LATER)
    assert [backup.name for backup in folder.all()] == [before.name]
    assert not left_over(folder.path)


def test_two_at_once_do_not_write_at_once(home: Path, folder: BackupFolder) -> None:
    with folder.locked(), pytest.raises(Busy, match="another process"):
        create(home, folder)
    command = [sys.executable, "-m", "homedex", "backup", "create", "--unless-newer-than", "60", "--json"]
    environment = os.environ | {"DATABASE_URL": f"sqlite:///{home}", "HOMEDEX_BACKUP_DIR": str(folder.path)}
    running = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    answers = [process.communicate(timeout=60)[0] for process in running]
    assert sorted('"new": true' in answer for answer in answers) == [False, False, True]
    assert len(Backups(str(home), folder.path).folder.all()) == 1


def test_the_time_of_a_backup_is_that_when_its_turn_has_come(home: Path, folder: BackupFolder) -> None:
    """One that was made while this one waited is not of the future."""

    def clock() -> datetime:
        with pytest.raises(Busy), folder.locked():
            pass
        return NOW

    assert making.create(str(home), folder, schema.shape(), clock=clock, reason="command").backup.manifest


def test_backups_of_one_second_have_names_of_their_own(home: Path, folder: BackupFolder) -> None:
    for number in range(12):
        add_areas(home, f"room {number}")
        create(home, folder, verified=False)
    assert [backup.name.partition("Z")[2] for backup in folder.all()] == [*(f"-{n}.db.zst" for n in range(11, 0, -1)), ".db.zst"]


def test_what_a_killed_process_left_is_removed(home: Path, folder: BackupFolder) -> None:
    made(home, folder)
    (folder.path / ".unfinished-x").mkdir()
    (folder.path / ".unfinished-x" / "copy.db").write_bytes(b"half")
    create(home, folder, LATER)
    assert not left_over(folder.path)


def test_a_full_disk_leaves_nothing_and_says_so(home: Path, folder: BackupFolder, tmp_path: Path) -> None:
    """A limit on the size of files stands in for the disk: what is written past it fails."""
    code = f"""
import resource, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from homedex.registry import schema
from homedex.storage import backup
from homedex.storage.backup_folder import BackupFolder
from homedex.errors import StorageFull, StorageUnavailable
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
folder = BackupFolder(Path({str(folder.path)!r}), "homedex")
try:
    backup.create({str(home)!r}, folder, schema.shape(), clock=lambda: datetime.now(UTC), reason="x")
except (StorageFull, StorageUnavailable) as error:
    print(error)
"""
    for limit in (4096, 8192, 100_000):
        said = subprocess.run([sys.executable, "-c", code, str(limit)], capture_output=True, text=True, timeout=60, check=True)
        assert said.stdout.startswith("Storage "), (limit, said)
        assert folder.all() == []
        assert not left_over(tmp_path)
    assert create(home, folder).new


def test_room_is_looked_for_first(home: Path, folder: BackupFolder) -> None:
    made(home, folder)
    with folder.locked(), pytest.raises(StorageFull, match="bytes free"), folder.scratch(1 << 60):
        raise AssertionError("not reached")


def test_a_folder_that_cannot_be_made_is_named(home: Path, tmp_path: Path) -> None:
    with pytest.raises(StorageUnavailable, match="Name a folder that this user may write"):
        create(home, BackupFolder(tmp_path / "not" / "at" / "all"))


# --- believing one ---


def changed(path: Path, change: Callable[[bytearray], None]) -> None:
    contents = bytearray(path.read_bytes())
    change(contents)
    path.write_bytes(contents)


def flip(place: int) -> Callable[[bytearray], None]:
    def change(contents: bytearray) -> None:
        contents[place] ^= 0x40

    return change


DAMAGE: dict[str, Callable[[bytearray], None]] = {
    "magic number": flip(0),
    "length of the manifest": flip(5),
    "manifest": lambda contents: contents.__setitem__(slice(8, 20), b"\0" * 12),
    "first byte of what is compressed": flip(8192),
    "last byte": flip(-1),
    "cut short": lambda contents: contents.__delitem__(slice(-100, None)),
    "cut in the manifest": lambda contents: contents.__delitem__(slice(100, None)),
    "empty": bytearray.clear,
    "something after it": lambda contents: contents.extend(b"more"),
    "zeros in the middle": lambda contents: contents.__setitem__(slice(9000, 9100), bytes(100)),
    "another hash": lambda contents: flip(contents.index(b'"sha256": "') + 12)(contents),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_is_noticed(home: Path, folder: BackupFolder, tmp_path: Path, kind: str) -> None:
    backup = made(home, folder)
    changed(backup.path, DAMAGE[kind])
    with pytest.raises(BadBackup):
        making.verify(backup, folder, at=LATER)
    with pytest.raises(BadBackup):
        restored(backup.path, tmp_path / "new.db")
    assert not (tmp_path / "new.db").exists()
    assert not left_over(tmp_path)
    listed = folder.all()[0]
    assert listed.verified_at is None
    assert listed.problem
    assert create(home, folder, LATER).new  # a damaged one is no reason to make none


def test_damage_anywhere_is_noticed(home: Path, folder: BackupFolder) -> None:
    backup, dice = made(home, folder), random.Random(7)  # noqa: S311  (repeatable)
    whole = backup.path.read_bytes()
    compressed = whole.index(b"\x28\xb5\x2f\xfd")
    for _ in range(200):
        contents = bytearray(whole)
        contents[dice.randrange(compressed, len(whole))] ^= 1 << dice.randrange(8)
        backup.path.write_bytes(contents)
        with pytest.raises(BadBackup):
            unpack(backup.path, BytesIO())
    backup.path.write_bytes(whole)
    unpack(backup.path, BytesIO())


@contextmanager
def repacked(backup: Backup, tmp_path: Path, **said: Any) -> Iterator[Path]:
    """The database of a backup, to be changed, and packed again with what the backup said of the first."""
    plain = tmp_path / "plain.db"
    with plain.open("wb") as file:
        manifest = unpack(backup.path, file)
    yield plain
    write(plain, "PRAGMA journal_mode=delete")
    with plain.open("rb") as file, backup.path.open("wb") as packed:
        room = backup_file.room_for(len(manifest.tables))
        size, sha256 = backup_file.pack(file, packed, room)
        dictionary = {name: getattr(manifest, name) for name in Manifest.__dataclass_fields__}
        backup_file.write_manifest(packed, Manifest(**dictionary | {"database_bytes": size, "sha256": sha256} | said), room)


@pytest.mark.parametrize(
    ("what", "statement"),
    [
        ("tables", "UPDATE areas SET name = 'other' WHERE area_id = 'hall'"),
        ("tables", "DELETE FROM changes WHERE seq = 2"),
        ("sequence", "UPDATE sqlite_sequence SET seq = 9"),
        ("schema_revision", "UPDATE alembic_version SET version_num = '0001'"),
        ("points to nothing", "PRAGMA foreign_keys=off; DELETE FROM sources"),
        (
            "missing from index ix_changes_",
            """PRAGMA writable_schema=on; CREATE TEMP TABLE swapped AS SELECT * FROM sqlite_schema WHERE name LIKE 'ix_changes_%';
            UPDATE sqlite_schema SET rootpage = (SELECT sum(rootpage) FROM swapped) - rootpage WHERE name LIKE 'ix_changes_%'""",
        ),
        (
            "device_search",
            """INSERT INTO device_search (rowid, names, facts) VALUES (1, 'lamp', 'ikea');
            UPDATE device_search_data SET block = x'00000000' WHERE id > 10""",
        ),
    ],
)
def test_a_database_that_is_not_what_the_backup_says_is_noticed(
    home: Path, folder: BackupFolder, tmp_path: Path, what: str, statement: str
) -> None:
    backup = made(home, folder)
    with repacked(backup, tmp_path) as plain:
        forge(plain, statement)
    with pytest.raises(BadBackup, match=what):
        making.verify(backup, folder, at=LATER)


def test_a_backup_packed_again_as_it_was_is_still_one(home: Path, folder: BackupFolder, tmp_path: Path) -> None:
    backup = made(home, folder)
    with repacked(backup, tmp_path):
        pass
    assert making.verify(backup, folder, at=LATER).verified_at == LATER


def test_a_backup_of_a_later_format_or_another_program_is_refused(home: Path, folder: BackupFolder, tmp_path: Path) -> None:
    backup = made(home, folder)
    with repacked(backup, tmp_path, application_id=7) as plain:
        write(plain, "PRAGMA application_id=7")
    with pytest.raises(BadBackup, match="another program"):
        restored(backup.path, tmp_path / "new.db")
    with repacked(backup, tmp_path, format=2):
        pass
    with pytest.raises(BadBackup, match="newer version"):
        read_manifest(backup.path)


def test_what_verification_found_is_remembered(home: Path, folder: BackupFolder) -> None:
    backup = create(home, folder, verified=False).backup
    assert folder.all()[0].verified_at is None
    assert making.verify(backup, folder, at=LATER) == folder.all()[0]
    assert folder.all()[0].verified_at == LATER
    (folder.path / ".verified.json").write_text("not JSON")
    assert folder.all()[0].verified_at is None


def test_what_is_there_that_is_no_backup_is_left_alone(home: Path, folder: BackupFolder) -> None:
    backup = made(home, folder)
    (folder.path / "notes.txt").write_text("mine")
    (folder.path / "homedex-2026-11-22T13-52-57Z.db.zst").write_text("no backup")
    assert [(one.name, one.manifest is None) for one in folder.all()] == [
        ("homedex-2026-11-22T13-52-57Z.db.zst", True),
        (backup.name, False),
    ]
    assert folder.superfluous(Keep(0, {})) == []
    for name in ("notes.txt", "../backups/notes.txt", "homedex-2026-11-22T13-52-58Z.db.zst", ""):
        with pytest.raises(NotFound):
            folder.get(name)


# --- keeping them ---


def test_which_backups_are_kept() -> None:
    days = [NOW - timedelta(days=number) for number in range(400)]
    kept = [days[place] for place in sorted(Keep.parse("7d 4w 12m").kept(days))]
    assert [f"{at:%m-%d}" for at in kept] == [
        *("11-22", "11-21", "11-20", "11-19", "11-18", "11-17", "11-16"),  # 11-22 is a Sunday: its week began on 11-16
        *("11-15", "11-08", "11-01"),
        *("10-31", "09-30", "08-31", "07-31", "06-30", "05-31", "04-30", "03-31", "02-28", "01-31", "12-31"),
    ]


@given(
    ages=st.lists(st.integers(0, 500_000), min_size=1, max_size=60),
    newest=st.integers(0, 5),
    periods=st.dictionaries(st.sampled_from("hdwm"), st.integers(0, 20)),
)
def test_of_each_period_that_is_kept_the_newest_is_there(ages: list[int], newest: int, periods: dict[str, int]) -> None:
    times = sorted((NOW - timedelta(minutes=age) for age in ages), reverse=True)
    kept = Keep(newest, periods).kept(times)
    assert set(range(min(newest, len(times)))) <= kept
    forms = {"h": "%Y%m%d%H", "d": "%Y%m%d", "w": "%G%V", "m": "%Y%m"}
    for letter, count in periods.items():
        seen = list(dict.fromkeys(f"{at:{forms[letter]}}" for at in times))[:count]
        assert seen == list(dict.fromkeys(f"{times[place]:{forms[letter]}}" for place in sorted(kept)))[: len(seen)]
    assert len(kept) <= newest + sum(periods.values())


@pytest.mark.parametrize("said", ["7x", "d7", "-1d", "7.5d", "sieben"])
def test_what_does_not_say_how_many_are_kept_is_refused(said: str) -> None:
    with pytest.raises(BadSetting, match="7d 4w 12m"):
        Keep.parse(said)


def test_the_newest_verified_backup_is_never_superfluous(home: Path, folder: BackupFolder) -> None:
    names = []
    for number in range(4):
        add_areas(home, f"room {number}")
        names.append(create(home, folder, NOW + timedelta(hours=number), verified=number < 2).backup.name)
    superfluous = folder.superfluous(Keep(1, {}), now=NOW + timedelta(days=1))
    assert [backup.name for backup in superfluous] == [names[2], names[0]]


def test_what_is_damaged_or_of_the_future_is_left_alone_and_takes_nobodys_place(home: Path, folder: BackupFolder) -> None:
    names = []
    for number in range(5):
        add_areas(home, f"room {number}")
        names.append(create(home, folder, NOW + timedelta(minutes=number)).backup.name)
    folder.note(names[2], LATER, "it was damaged since")
    now = NOW + timedelta(minutes=3)  # the clock was set back: the last one is of the future
    for keep in (Keep(1, {}), Keep.parse("1d")):
        assert [backup.name for backup in folder.superfluous(keep, now=now)] == [names[1], names[0]]
    assert folder.prune(Keep.parse("2"), now=now) == [names[0]]
    assert [backup.name for backup in folder.all()] == [names[4], names[3], names[2], names[1]]


# --- going back to one ---


def test_a_restored_database_is_the_one_that_was_backed_up(home: Path, folder: BackupFolder, tmp_path: Path) -> None:
    backup = made(home, folder)
    add_areas(home, "later")
    done = restored(backup.path, tmp_path / "new.db")
    assert (done.schema, done.aside) == (schema.head(), None)
    assert areas(tmp_path / "new.db") == ["attic", "hall", "küche 🎉"]
    with closing(open_connection(str(tmp_path / "new.db"))) as connection:
        assert backup.manifest is not None
        assert contents_of(connection) == backup.manifest.tables
    assert not left_over(tmp_path)
    with pytest.raises(Conflict, match="there already"):
        restored(backup.path, tmp_path / "new.db")


def test_what_was_there_is_kept_aside(home: Path, folder: BackupFolder) -> None:
    backup = made(home, folder)
    add_areas(home, "later")
    home.chmod(0o640)
    done = restored(backup.path, home, replace=True)
    assert done.aside is not None
    assert (len(areas(home)), len(areas(done.aside))) == (3, 4)
    assert stat.S_IMODE(home.stat().st_mode) == 0o640
    add_areas(home, "on it goes")


@pytest.mark.parametrize("busy", ["idle", "reading", "writing"])
def test_a_database_that_somebody_has_open_is_not_replaced(home: Path, folder: BackupFolder, busy: str) -> None:
    backup = made(home, folder)
    add_areas(home, "later")
    reads = "SELECT count(*) FROM areas"
    statement = {"idle": reads, "reading": f"BEGIN; {reads}", "writing": "BEGIN IMMEDIATE"}[busy]
    code = (
        "import sys; from homedex.storage.sqlite import open_connection; c = open_connection(sys.argv[1]);"
        "c.execute(sys.argv[2]).fetchall(); print('ready', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(home), statement]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "ready\n"
        before = home.stat().st_ino
        with pytest.raises(Busy, match="Stop the service"):
            restored(backup.path, home, replace=True)
        other.communicate("")
    assert home.stat().st_ino == before
    assert len(areas(home)) == 4
    assert [path.name for path in home.parent.glob("*before-restore*")] == []
    restored(backup.path, home, replace=True)


@pytest.mark.parametrize("damage", ["zeros", "header", "cut", "foreign"])
def test_a_database_that_sqlite_cannot_read_is_replaced_and_kept_with_its_log(
    home: Path, folder: BackupFolder, damage: str
) -> None:
    backup = made(home, folder)
    with closing(open_connection(str(home))) as connection:
        connection.execute("UPDATE areas SET name = 'x'")
        shutil.copy(f"{home}-wal", f"{home}-kept")
    shutil.move(f"{home}-kept", f"{home}-wal")
    contents = home.read_bytes()
    home.write_bytes(
        {"zeros": bytes(len(contents)), "header": b"x" * 100 + contents[100:], "cut": contents[:5000], "foreign": b"text"}[damage]
    )
    done = restored(backup.path, home, replace=True)
    assert areas(home) == ["attic", "hall", "küche 🎉"]
    assert done.aside is not None
    assert done.aside.exists()


def test_a_second_name_that_a_killed_restore_left_is_removed(home: Path, folder: BackupFolder) -> None:
    backup = made(home, folder)
    os.link(home, home.with_name("registry.db.before-restore-2026-01-01T00-00-00Z"))
    done = restored(backup.path, home, replace=True)
    assert list(home.parent.glob("*before-restore*")) == [done.aside]


@pytest.fixture
def no_links(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk whose file system knows no second names, such as exFAT."""

    def link(*_: Any) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", link)


@pytest.mark.usefixtures("no_links")
def test_without_hard_links_what_was_there_is_kept_as_a_copy(home: Path, folder: BackupFolder, tmp_path: Path) -> None:
    backup = made(home, folder)
    add_areas(home, "later")
    home.chmod(0o640)
    done = restored(backup.path, home, replace=True)
    assert done.aside is not None
    assert ("later" in areas(done.aside), "later" in areas(home)) == (True, False)
    assert [stat.S_IMODE(path.stat().st_mode) for path in (done.aside, home)] == [0o640, 0o640]
    with pytest.raises(Conflict, match="is there already"):
        restored(backup.path, home, replace=True)  # in the same second
    assert "later" in areas(done.aside)
    restored(backup.path, tmp_path / "elsewhere.db")
    assert areas(tmp_path / "elsewhere.db") == areas(home)
    assert not left_over(tmp_path)


@pytest.mark.usefixtures("no_links")
def test_without_hard_links_there_must_be_room_for_the_copy(
    home: Path, folder: BackupFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup = made(home, folder)
    add_areas(home, "later")
    room = [1 << 40, 1 << 20]  # for what is restored, and then hardly any
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=room.pop(0)))
    with pytest.raises(StorageFull, match="knows no hard links"):
        restored(backup.path, home, replace=True)
    assert "later" in areas(home)
    assert not list(tmp_path.glob("*before-restore*"))
    assert not left_over(tmp_path)


def test_what_is_restored_elsewhere_is_for_its_owner_alone(home: Path, folder: BackupFolder, tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        restored(made(home, folder).path, tmp_path / "new.db")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new.db").stat().st_mode) == 0o600


def test_two_restores_into_one_folder_do_not_take_each_others_files(home: Path, folder: BackupFolder, tmp_path: Path) -> None:
    backup = made(home, folder)
    met: list[str] = []

    def tell(what: str, *_: int) -> None:
        if what == "check":
            with pytest.raises(Busy, match="restores into"):
                restored(backup.path, tmp_path / "second.db")
            met.append(what)

    restored(backup.path, tmp_path / "first.db", tell=tell)
    assert met
    assert areas(tmp_path / "first.db") == areas(home)
    restored(backup.path, tmp_path / "second.db")


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What is done to names and what is had on the disk, in order: (step, name of the file or folder)."""
    done: list[tuple[str, str]] = []
    fsync = os.fsync

    def synced(opened: int) -> None:
        done.append(("fsync", Path(f"/proc/self/fd/{opened}").readlink().name))
        fsync(opened)

    monkeypatch.setattr(os, "fsync", synced)
    for step in ("link", "replace"):
        took = getattr(os, step)

        def named(*places: Any, step: str = step, took: Callable[..., None] = took) -> None:
            done.append((step, Path(places[1]).name))
            took(*places)

        monkeypatch.setattr(os, step, named)
    return done


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="which file is meant is only told by /proc")
def test_all_is_on_the_disk_before_it_has_its_name_and_then_the_name_is(
    home: Path, folder: BackupFolder, tmp_path: Path, steps: list[tuple[str, str]]
) -> None:
    backup = made(home, folder)
    assert steps[:3] == [("fsync", "backup"), ("link", backup.name), ("fsync", "backups")]
    steps.clear()
    restored(backup.path, tmp_path / "new.db")
    assert steps == [("fsync", "restored.db"), ("link", "new.db"), ("fsync", tmp_path.name)]
    steps.clear()
    done = restored(backup.path, home, replace=True)
    assert done.aside is not None
    keeping = [("fsync", "restored.db"), ("link", done.aside.name), ("fsync", tmp_path.name)]
    assert steps == [*keeping, ("replace", home.name), ("fsync", tmp_path.name)]


def test_an_older_schema_is_brought_up_and_a_newer_one_refused(tmp_path: Path, folder: BackupFolder) -> None:
    old = tmp_path / "old.db"
    migrate.run_alembic(
        str(old), schema.MIGRATIONS, lambda command, config: command.upgrade(config, "0001"), application_id=schema.APPLICATION_ID
    )
    backup = made(old, folder)
    done = restored(backup.path, tmp_path / "new.db")
    assert (done.manifest.schema_revision, done.schema) == ("0001", schema.head())
    add_areas(tmp_path / "new.db", "attic")
    write(old, "UPDATE alembic_version SET version_num = '9999'")
    newer = made(old, folder, LATER)
    with pytest.raises(DatabaseTooNew, match="9999"):
        restored(newer.path, tmp_path / "newer.db")
    assert not (tmp_path / "newer.db").exists()


def test_a_place_that_is_not_there_is_named(home: Path, folder: BackupFolder, tmp_path: Path) -> None:
    backup = made(home, folder)
    with pytest.raises(StorageUnavailable, match="does not exist"):
        restored(backup.path, tmp_path / "no" / "new.db")
    with pytest.raises(StorageUnavailable):
        restored(tmp_path / "none.db.zst", tmp_path / "new.db")


def test_a_link_to_a_database_stays_a_link(home: Path, folder: BackupFolder, tmp_path: Path) -> None:
    backup = made(home, folder)
    link = tmp_path / "link.db"
    link.symlink_to(home)
    add_areas(home, "later")
    restored(backup.path, link, replace=True)
    assert link.is_symlink()
    assert len(areas(home)) == 3


def test_a_service_that_starts_during_a_restore_opens_the_new_database(home: Path, folder: BackupFolder) -> None:
    """It opens the old file, waits for the lock that the restore holds, and finds another file at the path."""
    new = home.with_name("new.db")
    restored(made(home, folder).path, new)
    add_areas(home, "of the old one")
    with closing(apsw.Connection(str(home))) as restoring, ThreadPoolExecutor(1) as starting:
        for statement in ("PRAGMA locking_mode=exclusive", "PRAGMA journal_mode=delete", "BEGIN EXCLUSIVE"):
            restoring.execute(statement).fetchall()
        opening = starting.submit(Database.open, str(home), readers=1)
        time.sleep(0.3)
        assert not opening.done()
        new.replace(home)
        restoring.close()
        database = opening.result(timeout=20)

    async def count() -> int:
        found = await database.read(lambda connection: connection.exec_driver_sql("SELECT count(*) FROM areas").scalar_one())
        await database.close()
        return int(found)

    assert asyncio.run(count()) == 3


@pytest.mark.parametrize("replace", [True, False])
def test_a_log_that_is_left_of_a_database_that_is_gone_is_not_written_into_the_new_one(
    home: Path, folder: BackupFolder, tmp_path: Path, *, replace: bool
) -> None:
    backup = made(home, folder)
    with closing(open_connection(str(home))) as connection:
        connection.execute("UPDATE areas SET name = 'of the old log'")
        shutil.copy(f"{home}-wal", tmp_path / "kept")
    home.unlink()
    (tmp_path / "kept").rename(f"{home}-wal")
    restored(backup.path, home, replace=replace)
    assert not Path(f"{home}-wal").exists()
    with closing(open_connection(str(home))) as connection:
        assert backup.manifest is not None
        assert contents_of(connection) == backup.manifest.tables
    assert [path.name for path in tmp_path.glob("*.before-restore-*")] == ["registry.db.before-restore-2026-11-22T13-52-56Z-wal"]


def test_a_backup_of_the_future_does_not_stand_for_those_of_now(home: Path, folder: BackupFolder) -> None:
    create(home, folder, NOW + timedelta(days=1))
    add_areas(home, "later")
    assert create(home, folder, NOW, unless_newer_than=timedelta(hours=1)).new
    add_areas(home, "and later")
    assert not create(home, folder, NOW + timedelta(minutes=1), unless_newer_than=timedelta(hours=1)).new


@pytest.mark.parametrize("written", ['{"%s": 5}', '{"%s": {"at": "when", "sha256": "%s"}}', "[]"])
def test_a_record_of_verifications_that_somebody_wrote_is_none(home: Path, folder: BackupFolder, written: str) -> None:
    backup = made(home, folder)
    assert backup.manifest is not None
    text = written.replace("%s", backup.name, 1).replace("%s", backup.manifest.sha256)
    (folder.path / ".verified.json").write_text(text)
    assert (folder.all()[0].verified_at, folder.all()[0].problem) == (None, None)


def test_a_manifest_of_other_types_is_none(home: Path, folder: BackupFolder) -> None:
    backup = made(home, folder)
    changed(
        backup.path, lambda contents: contents.__setitem__(slice(None), contents.replace(b'"sequence": 3,', b'"sequence":"3",'))
    )
    with pytest.raises(BadBackup):
        read_manifest(backup.path)


def test_one_that_was_not_verified_is_before_it_stands_for_another(home: Path, folder: BackupFolder) -> None:
    first = create(home, folder, verified=False).backup
    assert first.verified_at is None
    again = create(home, folder, LATER)
    assert (again.new, again.backup.name, again.backup.verified_at) == (False, first.name, LATER)


def test_one_that_is_damaged_though_nobody_knew_stands_for_none(home: Path, folder: BackupFolder) -> None:
    first = create(home, folder).backup
    changed(first.path, flip(-200))
    again = create(home, folder, LATER)
    assert (again.new, again.backup.verified_at) == (True, LATER)
    assert next(one for one in folder.all() if one.name == first.name).problem
