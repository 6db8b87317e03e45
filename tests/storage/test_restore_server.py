"""A registry on a real server, replaced by a backup in place: all of it, or nothing."""

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, text

import released
from homedex.errors import Busy, Conflict, ForeignDatabase
from homedex.registry import schema
from homedex.registry.changes import Stamp
from homedex.registry.edits import Edit, apply
from homedex.storage import backup as making
from homedex.storage.backup_folder import Backup, BackupFolder
from homedex.storage.database import Database
from homedex.storage.digests import contents_of
from homedex.storage.looking import look
from homedex.storage.restore import Restored, restore
from homedex.storage.rows import run
from homedex.storage.sessions import Sessions
from homedex.storage.sqlite import open_connection
from servers import Server
from service import environment, homedex

ASIDE = "before_restore_2026_03_01_08_30_00"


@pytest.fixture
def url(postgresql: Server) -> Iterator[str]:
    """A registry with a home in it."""
    with postgresql.database() as url:
        released.load_server(schema.head(), url)
        yield url


@pytest.fixture
def backup(url: str, tmp_path: Path) -> Backup:
    """A backup of it, since when a device was renamed."""
    made = making.create(url, BackupFolder(tmp_path / "backups", "homedex"), schema.shape()).backup
    rename(url, "Renamed since")
    return made


def rename(url: str, name: str) -> None:
    """Write to it as a service does."""

    async def write() -> None:
        async with Database.open(url) as database:
            edits = [Edit("lamp", {"name_by_user": name})]
            await database.write(apply, "devices", edits, Stamp(released.BORN, "command"))

    asyncio.run(write())


def name(url: str, place: str = "devices") -> str:
    return str(look(url, lambda connection: next(run(connection, f"SELECT name_by_user FROM {place} WHERE device_id = 'lamp'"))[0]))


def schemas(url: str) -> list[str]:
    found = "SELECT nspname::text FROM pg_namespace WHERE nspname !~ '^(pg_|information)' ORDER BY 1"
    return look(url, lambda connection: [one for (one,) in run(connection, found)])


def replaced(backup: Backup, url: str) -> Restored:
    return restore(backup.path, url, schema.shape(), at=released.BORN, replace=True)


def test_what_is_restored_takes_the_place_of_what_is_kept_in_a_schema(url: str, backup: Backup, postgresql: Server) -> None:
    wanted = released.dump_server(postgresql, url, "--schema-only", "--schema=public")
    done = replaced(backup, url)
    assert (done.aside, done.aside_schema) == (None, ASIDE)
    assert (name(url), name(url, f"{ASIDE}.devices")) == ("Große Lampe", "Renamed since")
    assert schemas(url) == [ASIDE, "public"]
    assert released.dump_server(postgresql, url, "--schema-only", "--schema=public") == wanted
    assert schema.upgrade(url) == (schema.head(), schema.head())
    rename(url, "Renamed again")
    assert name(url) == "Renamed again"
    assert name(url, f"{ASIDE}.devices") == "Renamed since"
    kept = making.create(url, BackupFolder(backup.path.parent, "homedex"), schema.shape())
    assert kept.new


@pytest.mark.parametrize("what", ["served", "in a session", "foreign", "taken"])
def test_what_may_not_be_replaced_stays_as_it_is(what: str, url: str, backup: Backup) -> None:
    if what == "foreign":
        look(url, lambda connection: run(connection, "DROP TABLE alembic_version"))
        with pytest.raises(ForeignDatabase, match="left alone"):
            replaced(backup, url)
    elif what == "taken":
        look(url, lambda connection: run(connection, f"CREATE SCHEMA {ASIDE}"))
        with pytest.raises(Conflict, match="Try again in a second"):
            replaced(backup, url)
    else:
        with pytest.raises(Busy, match="Stop the service"):
            asyncio.run(replaced_while_open(what, backup, url))
    assert name(url) == "Renamed since"


async def replaced_while_open(how: str, backup: Backup, url: str) -> None:
    if how == "served":
        async with Database.open(url):
            await until_it_is_seen(url)
            await asyncio.to_thread(replaced, backup, url)
    else:
        async with Sessions.open(url) as sessions, sessions.read() as session:
            await session.execute(text("SELECT 1"))
            await asyncio.to_thread(replaced, backup, url)


async def until_it_is_seen(url: str) -> None:
    """Return once a database that was opened is seen to be open: its listener connects by itself."""
    held = """
        SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = database
        WHERE datname = current_database() AND locktype = 'advisory' AND mode = 'ShareLock' AND granted
    """
    for _ in range(200):
        if look(url, lambda connection: next(run(connection, held))[0]):
            return
        await asyncio.sleep(0.05)
    raise AssertionError("it never took the lock")


def test_a_database_of_a_newer_program_is_replaced_and_an_empty_one_filled(url: str, backup: Backup, postgresql: Server) -> None:
    look(url, lambda connection: run(connection, "UPDATE alembic_version SET version_num = '9999'"))
    assert replaced(backup, url).aside_schema == ASIDE
    assert name(url) == "Große Lampe"
    with postgresql.database() as empty:
        done = replaced(backup, empty)
        assert (done.aside_schema, name(empty), schemas(empty)) == (None, "Große Lampe", ["public"])


@pytest.mark.parametrize("revision", released.fixtures("sqlite"))
def test_a_file_of_an_older_schema_is_restored_into_a_server_as_the_newest(
    revision: str, postgresql: Server, tmp_path: Path
) -> None:
    old, folder = tmp_path / "old.db", BackupFolder(tmp_path / "backups", "homedex")
    released.load_file(revision, old)
    made = making.create(str(old), folder, schema.shape()).backup
    schema.upgrade(str(old))
    with postgresql.database() as url:
        done = restore(made.path, url, schema.shape())
        assert (done.manifest.schema_revision, done.schema) == (revision, schema.head())
        again = making.create(url, BackupFolder(tmp_path / "again", "homedex"), schema.shape()).backup
        assert again.manifest is not None
        with closing(open_connection(str(old))) as connection:
            assert again.manifest.tables == contents_of(connection)
        rename(url, "Renamed since")


def test_views_and_types_go_along_and_what_an_extension_made_stays(url: str, backup: Backup) -> None:
    more = ["EXTENSION vector", "VIEW lamps AS SELECT * FROM devices", "TYPE kind AS ENUM ('a')", "SEQUENCE counts"]
    look(url, lambda connection: [run(connection, f"CREATE {one}") for one in more])
    replaced(backup, url)
    of = "SELECT nspname::text FROM pg_namespace JOIN {0} ON {1}namespace = pg_namespace.oid WHERE {1}name = '{2}'"
    places = [
        ("pg_class", "rel", "lamps"),
        ("pg_type", "typ", "kind"),
        ("pg_class", "rel", "counts"),
        ("pg_proc", "pro", "cosine_distance"),
    ]

    def where(connection: Connection) -> list[Any]:
        return [next(run(connection, of.format(*place)))[0] for place in places]

    assert look(url, where) == [ASIDE, ASIDE, ASIDE, "public"]
    assert name(url, f"{ASIDE}.lamps") == "Renamed since"


@pytest.mark.slow
def test_a_restore_that_is_killed_leaves_what_was_there(url: str, backup: Backup, tmp_path: Path) -> None:
    settings = environment(tmp_path, DATABASE_URL=url, HOMEDEX_BACKUP_DIR=str(backup.path.parent))
    command = [sys.executable, "-m", "homedex", "backup", "restore", backup.name]
    began = time.monotonic()
    subprocess.run(command, env=settings, check=True, capture_output=True)
    lasts, killed = time.monotonic() - began, 0
    rename(url, "Renamed since")
    there = schemas(url)
    for part in range(12):
        process = subprocess.Popen(command, env=settings, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(lasts * (0.4 + 0.05 * part))
        process.send_signal(signal.SIGKILL)
        process.wait()
        time.sleep(0.2)  # the server notices
        if schemas(url) == there:
            assert name(url) == "Renamed since"
            killed += 1
        else:  # it was done
            assert name(url) == "Große Lampe"
            rename(url, "Renamed since")
            there = schemas(url)
            lasts *= 0.8  # it took longer the first time, on a busy machine
    assert killed >= 3


def test_the_command_says_where_the_old_one_is(url: str, backup: Backup, tmp_path: Path) -> None:
    settings = {"DATABASE_URL": url, "HOMEDEX_BACKUP_DIR": str(backup.path.parent)}
    done = homedex("backup", "restore", backup.name, path=tmp_path, settings=settings)
    assert (done.returncode, done.stderr) == (0, "")
    assert "is as it was at" in done.stdout
    (aside,) = set(schemas(url)) - {"public"}
    assert f"DROP SCHEMA {aside} CASCADE" in done.stdout
