"""Every connection is opened one way."""

import sqlite3
from pathlib import Path

import apsw
import pytest

from homedex.errors import Busy, ForeignDatabase, NotADatabase, StorageUnavailable, UnsafeLibrary
from homedex.storage.sqlite import Options, check_library, open_connection, storage_error, truncate_wal, wal_bytes

OURS = Options(application_id=77)


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "some.db")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("journal_mode", "wal"),
        ("synchronous", 2),
        ("foreign_keys", 1),
        ("temp_store", 2),
        ("mmap_size", 0),
        ("trusted_schema", 0),
        ("cell_size_check", 1),
        ("journal_size_limit", 64 * 1024 * 1024),
        ("recursive_triggers", 1),
        ("application_id", 77),
        ("query_only", 0),
        ("cache_size", -4096),
    ],
)
def test_a_setting_is_in_force(path: str, name: str, value: object) -> None:
    connection = open_connection(path, OURS)
    assert connection.pragma(name) == value
    connection.close()


def test_options_change_what_they_name(path: str) -> None:
    options = Options(synchronous="NORMAL", cache_kib=100, query_only=True, foreign_keys=False)
    connection = open_connection(path, options)
    found = [connection.pragma(name) for name in ("synchronous", "cache_size", "query_only", "foreign_keys")]
    connection.close()
    assert found == [1, -100, 1, 0]


def test_a_query_only_connection_cannot_write(path: str) -> None:
    open_connection(path).close()
    connection = open_connection(path, Options(query_only=True))
    with pytest.raises(apsw.ReadOnlyError):
        connection.execute("CREATE TABLE t (a)")
    connection.close()


def test_a_double_quoted_typo_is_an_error_and_not_a_text(path: str) -> None:
    connection = open_connection(path)
    with pytest.raises(apsw.SQLError, match="no such column"):
        connection.execute('SELECT "nosuchcolumn"')
    connection.close()


def test_the_schema_table_cannot_be_written(path: str) -> None:
    connection = open_connection(path)
    connection.execute("PRAGMA writable_schema = 1; CREATE TABLE t (a)")
    with pytest.raises(apsw.SQLError, match="may not be modified"):
        connection.execute("UPDATE sqlite_schema SET sql = ''")
    connection.close()


def test_a_new_file_is_marked_and_another_programs_file_is_left_alone(path: str) -> None:
    theirs = sqlite3.connect(path)
    theirs.execute("CREATE TABLE states (a)")
    theirs.close()
    before = Path(path).read_bytes()
    with pytest.raises(ForeignDatabase, match="left alone"):
        open_connection(path, OURS)
    assert Path(path).read_bytes() == before


def test_a_file_that_is_no_database_is_said_to_be_none(path: str) -> None:
    Path(path).write_text("this is not a database, it is a letter\n" * 100)
    with pytest.raises(NotADatabase, match="not a SQLite database"):
        open_connection(path)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageUnavailable, match=r"folder .*nowhere does not exist"):
        open_connection(str(tmp_path / "nowhere" / "a.db"))


def test_a_folder_is_no_database(tmp_path: Path) -> None:
    with pytest.raises(StorageUnavailable, match="is a folder"):
        open_connection(str(tmp_path))


@pytest.mark.parametrize("version", ["3.40.1", "3.46.1", "3.51.2", "3.52.0", "3.50.6", "3.44.5"])
def test_a_library_that_can_corrupt_is_refused(version: str) -> None:
    with pytest.raises(UnsafeLibrary, match="WAL-reset"):
        check_library(version)


@pytest.mark.parametrize("version", ["3.51.3", "3.54.1", "3.50.7", "3.44.6", "4.0.0"])
def test_a_library_with_the_fix_is_taken(version: str) -> None:
    check_library(version)


def test_waiting_for_a_lock_ends_after_the_time_given(path: str) -> None:
    holder, waiter = open_connection(path), open_connection(path, Options(busy_timeout_s=0.05))
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(apsw.BusyError):
        waiter.execute("BEGIN IMMEDIATE")
    holder.execute("ROLLBACK")
    waiter.execute("BEGIN IMMEDIATE")
    holder.close()
    waiter.close()


def test_the_wal_is_cut_unless_a_reader_needs_it(path: str) -> None:
    writer, reader = open_connection(path, Options(busy_timeout_s=0.01)), open_connection(path)
    writer.execute("CREATE TABLE t (a); INSERT INTO t VALUES (1)")
    reader.execute("BEGIN; SELECT * FROM t").fetchall()
    writer.execute("INSERT INTO t VALUES (2)")
    assert not truncate_wal(writer)
    reader.execute("COMMIT")
    assert truncate_wal(writer)
    assert wal_bytes(path) == 0
    writer.close()
    reader.close()


def test_a_result_code_means_something_to_the_caller() -> None:
    assert isinstance(storage_error(apsw.SQLITE_BUSY_SNAPSHOT), Busy)
    assert storage_error(apsw.SQLITE_CONSTRAINT_UNIQUE) is None
