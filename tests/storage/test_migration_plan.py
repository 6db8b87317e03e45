"""A plan: what it says is what an upgrade then does, and saying it changes nothing."""

import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import apsw
import pytest
from sqlalchemy import Engine, event

import released
from homedex.errors import DatabaseTooNew, ForeignDatabase, NotADatabase
from homedex.registry import schema
from homedex.storage import migrate, migration_plan
from homedex.storage.migration_plan import READS
from homedex.storage.sqlite import open_connection
from scripts import write_scripts
from servers import Server

FIRST = """
    op.create_table("parent", sa.Column("id", sa.Integer, primary_key=True), sa.Column("name", sa.Text))
    op.create_index("ix_parent_name", "parent", ["name"])
"""
SECOND = """
    parent = sa.table("parent", sa.column("id"), sa.column("name"), sa.column("flag"))
    op.bulk_insert(parent, [{"id": 1, "name": "it's ? $1"}, {"id": 2, "name": None}])
    with op.batch_alter_table("parent", recreate="always") as batch:
        batch.add_column(sa.Column("flag", sa.Boolean, nullable=False, server_default=sa.false()))
    op.execute(parent.update().where(parent.c.id == 1).values(flag=True))
"""
FRAME = ("PRAGMA", "BEGIN", "COMMIT", "SELECT PG_ADVISORY")


@contextmanager
def traced() -> Iterator[list[str]]:
    """What SQLite itself says that it runs and that writes, on every connection opened meanwhile; without what FTS5 runs inside."""
    found: list[str] = []

    def note(what: dict[str, Any]) -> None:
        if not what["readonly"] and not what["trigger"]:
            found.append(what["sql"])

    def trace(connection: apsw.Connection) -> None:
        connection.trace_v2(apsw.SQLITE_TRACE_STMT, note)

    apsw.connection_hooks.append(trace)
    try:
        yield found
    finally:
        apsw.connection_hooks.remove(trace)


def plain(statements: list[str]) -> list[str]:
    """Without what frames them."""
    return [bare for one in statements if not (bare := one.strip().rstrip(";").strip()).upper().startswith(FRAME)]


def tidied(path: Path) -> tuple[Any, ...]:
    """All that is in a file, as text, but for blanks at the end of a statement; and its mode."""
    connection = apsw.Connection(str(path))
    mode = connection.pragma("journal_mode")
    connection.close()
    return re.sub(r"\s+;\n", ";\n", released.dump_file(str(path))), mode


@pytest.mark.parametrize("revision", [None, *released.fixtures("sqlite")[:-1]])
def test_the_plan_is_what_the_upgrade_runs(revision: str | None, tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    if revision is not None:
        released.load_file(revision, path)
    found = schema.plan(str(path))
    with traced() as ran:
        assert schema.upgrade(str(path)) == (found.before, found.after) == (revision, schema.head())
    assert plain(found.statements) == plain(ran)
    assert len(plain(ran)) > 50


@pytest.mark.parametrize("revision", [None, *released.fixtures("sqlite")[:-1]])
def test_the_plan_run_by_another_program_makes_the_same_file(revision: str | None, tmp_path: Path) -> None:
    path, other = tmp_path / "a.db", tmp_path / "other.db"
    if revision is not None:
        released.load_file(revision, path)
        shutil.copy(path, other)
    script = "\n".join(schema.plan(str(path)).statements)
    shell = apsw.Connection(str(other))
    shell.execute(script).fetchall()
    shell.close()
    schema.upgrade(str(path))
    assert tidied(other) == tidied(path)


def test_values_are_written_into_the_plan(tmp_path: Path) -> None:
    path, other = tmp_path / "a.db", tmp_path / "other.db"
    migrate.upgrade(str(path), write_scripts(tmp_path / "scripts", FIRST))
    shutil.copy(path, other)
    scripts = write_scripts(tmp_path / "scripts", FIRST, SECOND)
    found = migration_plan.plan(str(path), scripts)
    connection = sqlite3.connect(other)
    connection.executescript("\n".join(found.statements))
    connection.close()
    migrate.upgrade(str(path), scripts)
    assert tidied(other) == tidied(path)
    assert "VALUES (1, 'it''s ? $1', 1)" in tidied(path)[0]


def state(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Every file of a folder, with its bytes and the time at which it was written."""
    return {file.name: (file.read_bytes(), file.stat().st_mtime_ns) for file in folder.iterdir()}


@pytest.mark.parametrize("revision", released.fixtures("sqlite"))
def test_a_plan_changes_no_byte_and_leaves_no_file(revision: str, tmp_path: Path) -> None:
    released.load_file(revision, tmp_path / "a.db")
    before = state(tmp_path)
    assert list(before) == ["a.db"]
    assert bool(schema.plan(str(tmp_path / "a.db")).statements) == (revision != schema.head())
    assert state(tmp_path) == before


def test_a_plan_sees_what_is_in_the_log_of_a_file_in_use(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    released.load_file("0001", path)
    connection = open_connection(str(path))
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(DatabaseTooNew, match="9999"):
        schema.plan(str(path))
    connection.close()


def test_a_plan_for_no_registry_makes_no_folder(tmp_path: Path) -> None:
    found = schema.plan(str(tmp_path / "none" / "a.db"))
    assert (found.before, found.statements[0]) == (None, "PRAGMA application_id = 1213023320;")
    assert list(tmp_path.iterdir()) == []


def test_the_file_of_another_program_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.db").write_text("dear diary\n" * 1000)
    with pytest.raises(NotADatabase):
        schema.plan(str(tmp_path / "notes.db"))
    for number in (0, 42):
        path = str(tmp_path / f"{number}.db")
        other = apsw.Connection(path)
        other.execute(f"CREATE TABLE t (x); PRAGMA application_id = {number}")
        other.close()
        with pytest.raises(ForeignDatabase):
            schema.plan(path)


# --- the same on PostgreSQL ------------------------------------------------------------------------------------------------------


@contextmanager
def recorded() -> Iterator[list[str]]:
    """What every engine of SQLAlchemy is told to run meanwhile."""
    found: list[str] = []

    def note(_: Any, __: Any, statement: str, parameters: Any, ___: Any, ____: bool) -> None:
        if not READS.match(statement) and not statement.startswith(("SAVEPOINT", "RELEASE", "SET LOCAL lock_timeout")):
            assert not parameters
            found.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        event.remove(Engine, "before_cursor_execute", note)


def run_by_psql(server: Server, url: str, statements: list[str]) -> None:
    place = ("-h", str(server.folder), "-U", "postgres", "-d", name_of(url))
    server.command("psql", *place, "-q", "-v", "ON_ERROR_STOP=1", "-c", "\n".join(statements))


def test_the_plan_on_postgresql_is_what_the_upgrade_runs(postgresql: Server) -> None:
    with postgresql.database() as url, postgresql.database() as other:
        found = schema.plan(url)
        assert postgresql.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'", name=name_of(url))[0][0] == 0
        assert postgresql.execute("SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'homedex%'", name=name_of(url))[0][0] == 0
        with recorded() as ran:
            assert schema.upgrade(url) == (found.before, found.after) == (None, schema.head())
        assert plain(found.statements) == plain(ran)
        run_by_psql(postgresql, other, found.statements)
        assert released.dump_server(postgresql, other) == released.dump_server(postgresql, url)
        assert schema.plan(url).statements == []


def test_the_plan_on_postgresql_locks_nothing_of_the_registry(postgresql: Server, tmp_path: Path) -> None:
    with postgresql.database() as url, postgresql.database() as other:
        for one in (url, other):
            migrate.upgrade(one, write_scripts(tmp_path / "scripts", FIRST))
        scripts = write_scripts(tmp_path / "scripts", FIRST, SECOND)
        with held(url):
            found = migration_plan.plan(url, scripts)
        run_by_psql(postgresql, other, found.statements)
        migrate.upgrade(url, scripts)
        assert released.dump_server(postgresql, other) == released.dump_server(postgresql, url)
        assert "it''s ? $1" in released.dump_server(postgresql, url)


@contextmanager
def held(url: str) -> Iterator[None]:
    """The table `parent` is locked against everything by another session, which also holds the write lock."""
    program = (
        "import asyncio, sys, asyncpg\n"
        "async def main():\n"
        "    connection = await asyncpg.connect(sys.argv[1])\n"
        "    await connection.execute('BEGIN; LOCK parent IN ACCESS EXCLUSIVE MODE; SELECT pg_advisory_xact_lock(1212957784)')\n"
        "    print('held', flush=True)\n"
        "    sys.stdin.readline()\n"
        "asyncio.run(main())\n"
    )
    holder = subprocess.Popen([sys.executable, "-c", program, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    try:
        yield
    finally:
        holder.communicate("\n", timeout=20)


def name_of(url: str) -> str:
    return urlsplit(url).path.removeprefix("/")


def test_a_foreign_or_newer_database_of_a_server_is_refused(postgresql: Server) -> None:
    with postgresql.database() as url:
        postgresql.execute("CREATE TABLE other (x int)", name=name_of(url))
        with pytest.raises(ForeignDatabase):
            schema.plan(url)
    with postgresql.database() as url:
        schema.upgrade(url)
        postgresql.execute("UPDATE alembic_version SET version_num = '9999'", name=name_of(url))
        with pytest.raises(DatabaseTooNew):
            schema.plan(url)
