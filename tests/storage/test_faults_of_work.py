"""The disk fails while a schema is upgraded, a backup made or one restored: said in our words, nothing lost, and then it works."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path

import pytest

import released
from faulty import FAULTS, Disk, Fault, faulty_disk
from homedex.errors import HomedexError
from homedex.registry import schema
from homedex.storage import backup, migrate
from homedex.storage.backup_folder import BackupFolder
from homedex.storage.digests import contents_of
from homedex.storage.restore import restore
from homedex.storage.sqlite import open_connection

NOW = datetime(2026, 11, 22, tzinfo=UTC)
CALLS = (1, 4, 20, 90)
TRIED = [fault for fault in FAULTS if fault[0] != "delete"]
"""SQLite passes over a log that cannot be deleted at close; apsw raises what a VFS of its own says of it."""


@pytest.fixture
def disk() -> Iterator[Disk]:
    with faulty_disk() as made:
        yield made


def tried(disk: Disk, work: Callable[[], object]) -> Iterator[bool]:
    """For each fault at each of some calls, whether the work was done in spite of it; it may fail in our words alone."""
    for (kind, code), at in product(TRIED, CALLS):
        disk.fault = Fault((kind,), code, at=at)
        try:
            work()
            done = True
        except HomedexError:
            done = False
        finally:
            raised, disk.fault = disk.fault.raised, None
        assert done or raised
        yield done


@pytest.mark.slow
def test_an_upgrade_leaves_the_old_schema_or_the_new_one(disk: Disk, tmp_path: Path) -> None:
    released.load_file("0001", tmp_path / "old.db")
    failed = 0
    path = tmp_path / "some.db"

    def upgrade() -> None:
        shutil.copy(tmp_path / "old.db", path)
        migrate.upgrade(str(path), schema.MIGRATIONS, application_id=schema.APPLICATION_ID)

    for done in tried(disk, upgrade):
        with closing(open_connection(str(path))) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert migrate.schema_revision(connection) in ({schema.head()} if done else {"0001", schema.head()})
        assert schema.upgrade(str(path))[1] == schema.head()
        failed += not done
        for left in tmp_path.glob("some.db-*"):
            left.unlink()
    assert failed > 10


def test_a_backup_is_whole_or_not_there_and_so_is_what_it_is_made_of(disk: Disk, tmp_path: Path) -> None:
    home, folder, failed = tmp_path / "home.db", BackupFolder(tmp_path / "backups", "homedex"), 0
    released.load_file(schema.head(), home)
    turn = 0

    def create() -> None:
        nonlocal turn
        turn += 1
        backup.create(str(home), folder, schema.shape(), clock=lambda: NOW + timedelta(seconds=turn), reason="command")

    create()
    with closing(open_connection(str(home))) as connection:
        before = contents_of(connection)
        for done in tried(disk, create):
            failed += not done
            assert [one.problem for one in folder.all()] == [None] * len(folder.all())
            assert not list(folder.path.glob(".unfinished-*"))
            assert contents_of(connection) == before
            for one in folder.all():
                folder.remove(one.name)
    create()
    assert failed > 10


def test_a_restore_leaves_the_old_database_or_the_new_one(disk: Disk, tmp_path: Path) -> None:
    home, folder, failed = tmp_path / "home.db", BackupFolder(tmp_path / "backups", "homedex"), 0
    released.load_file(schema.head(), home)
    made = backup.create(str(home), folder, schema.shape(), clock=lambda: NOW, reason="command").backup
    assert made.manifest is not None
    turn = 0

    def put_back() -> None:
        nonlocal turn
        turn += 1
        restore(made.path, str(home), schema.shape(), at=NOW + timedelta(seconds=turn), replace=True)

    for done in tried(disk, put_back):
        failed += not done
        with closing(open_connection(str(home))) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert contents_of(connection) == made.manifest.tables
        assert not list(tmp_path.glob(".restoring-*"))
    assert failed > 10
    assert backup.verify(made, folder, at=NOW).problem is None
