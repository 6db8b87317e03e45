"""Migrations: all or nothing, one at a time, and never on a database that is newer."""

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import apsw
import pytest

from homedex.errors import DatabaseTooNew, MigrationFailed
from homedex.registry import schema
from homedex.storage import migrate
from homedex.storage.sqlite import open_connection
from scripts import write_scripts

FIRST = """
    op.create_table("parent", sa.Column("id", sa.Integer, primary_key=True), sa.Column("name", sa.Text))
    op.create_table("child", sa.Column("p", sa.Integer, sa.ForeignKey("parent.id", ondelete="CASCADE", name="fk")))
    op.execute("INSERT INTO parent VALUES (1, 'a')")
    op.execute("INSERT INTO child VALUES (1), (1)")
"""
REBUILD = """
    with op.batch_alter_table("parent", recreate="always") as batch:
        batch.alter_column("name", nullable=False)
"""
FAIL = """
    op.create_table("extra", sa.Column("id", sa.Integer))
    op.execute("INSERT INTO nowhere VALUES (1)")
"""
ORPHAN = """
    op.execute("DELETE FROM parent")
"""


def rows(path: Path, sql: str) -> list[Any]:
    connection = open_connection(str(path))
    found = connection.execute(sql).fetchall()
    connection.close()
    return found


def test_a_new_file_gets_the_newest_schema_and_then_nothing_more(tmp_path: Path) -> None:
    path = str(tmp_path / "a.db")
    assert schema.upgrade(path) == (None, schema.head())
    assert schema.upgrade(path) == (schema.head(), schema.head())


def test_the_migrations_make_what_the_tables_say(registry_file: Path) -> None:
    migrate.run_alembic(str(registry_file), schema.MIGRATIONS, lambda command, config: command.check(config))


def test_a_difference_between_tables_and_migrations_is_noticed(registry_file: Path) -> None:
    connection = open_connection(str(registry_file))
    connection.execute("ALTER TABLE sources DROP COLUMN last_error")
    connection.close()
    with pytest.raises(MigrationFailed, match="last_error"):
        migrate.run_alembic(str(registry_file), schema.MIGRATIONS, lambda command, config: command.check(config))


def test_a_schema_is_not_taken_down(registry_file: Path) -> None:
    with pytest.raises(MigrationFailed, match="backup"):
        migrate.run_alembic(str(registry_file), schema.MIGRATIONS, lambda command, config: command.downgrade(config, "0001"))
    assert rows(registry_file, "SELECT version_num FROM alembic_version") == [(schema.head(),)]


def test_rebuilding_a_parent_keeps_its_children(tmp_path: Path) -> None:
    migrate.upgrade(str(tmp_path / "a.db"), write_scripts(tmp_path / "scripts", FIRST, REBUILD))
    assert rows(tmp_path / "a.db", "SELECT p FROM child") == [(1,), (1,)]


def test_a_failed_migration_leaves_nothing_and_can_be_repeated(tmp_path: Path) -> None:
    path, scripts = tmp_path / "a.db", tmp_path / "scripts"
    migrate.upgrade(str(path), write_scripts(scripts, FIRST))
    before = rows(path, "SELECT sql FROM sqlite_schema")
    with pytest.raises(MigrationFailed, match="keeps the schema it had"):
        migrate.upgrade(str(path), write_scripts(scripts, FIRST, FAIL))
    assert rows(path, "SELECT sql FROM sqlite_schema") == before
    assert migrate.upgrade(str(path), write_scripts(scripts, FIRST, REBUILD)) == ("0001", "0002")


def test_a_migration_that_breaks_a_reference_is_rolled_back(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with pytest.raises(MigrationFailed, match="point nowhere"):
        migrate.upgrade(str(path), write_scripts(tmp_path / "scripts", FIRST, ORPHAN))
    assert rows(path, "SELECT name FROM sqlite_schema") == []


def test_a_newer_database_is_refused_and_left_alone(registry_file: Path) -> None:
    connection = open_connection(str(registry_file))
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    with pytest.raises(DatabaseTooNew, match="schema 9999"):
        schema.upgrade(str(registry_file))
    assert rows(registry_file, "SELECT version_num FROM alembic_version") == [("9999",)]


@pytest.mark.slow
def test_four_processes_that_start_at_one_instant_all_succeed(tmp_path: Path) -> None:
    files = [str(tmp_path / f"{number}.db") for number in range(15)]
    probe = (
        "import sys, time; from homedex.registry import schema\n"
        "for line in sys.stdin:\n"
        "    start, file = line.split()\n"
        "    while time.time() < float(start): pass\n"
        "    print(schema.upgrade(file)[1], flush=True)\n"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", probe], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(4)
    ]
    answers = []
    for file in files:
        start = time.time() + (1.0 if file == files[0] else 0.02)
        for process in processes:
            assert process.stdin is not None
            process.stdin.write(f"{start} {file}\n")
            process.stdin.flush()
        answers += [process.stdout.readline().strip() for process in processes if process.stdout is not None]
    for process in processes:
        process.communicate()
    assert answers == [schema.head()] * 4 * len(files)


def test_the_connection_of_the_check_has_every_setting(tmp_path: Path) -> None:
    seen: list[Any] = []

    def look(_: Any, config: Any) -> None:
        connection: apsw.Connection = config.attributes["connection"].connection.driver_connection.driver
        seen.extend(connection.pragma(name) for name in ("journal_mode", "foreign_keys", "trusted_schema"))
        seen.append(connection.in_transaction)

    migrate.run_alembic(str(tmp_path / "a.db"), schema.MIGRATIONS, look)
    assert seen == ["wal", 0, 0, True]
