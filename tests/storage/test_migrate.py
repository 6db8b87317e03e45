"""Migrations: all or nothing, one at a time, and never on a database that is newer."""

import subprocess
import sys
import textwrap
import time
from functools import partial
from pathlib import Path
from typing import Any

import apsw
import pytest

from homedex.errors import DatabaseTooNew, MigrationFailed
from homedex.registry import schema
from homedex.storage import migrate
from homedex.storage.sqlite import open_connection

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


def write_scripts(folder: Path, *bodies: str) -> Path:
    """A folder of migrations 0001, 0002, … with these upgrades."""
    (folder / "versions").mkdir(parents=True, exist_ok=True)
    env = (
        (schema.MIGRATIONS / "env.py")
        .read_text()
        .replace("Base.metadata", "None")
        .replace("from homedex.registry.tables import Base", "")
    )
    (folder / "env.py").write_text(env)
    for number, body in enumerate(bodies, 1):
        down = None if number == 1 else f"{number - 1:04}"
        head = (
            f"import sqlalchemy as sa\nfrom alembic import op\nrevision = '{number:04}'\ndown_revision = {down!r}\ndef upgrade():\n"
        )
        (folder / "versions" / f"{number:04}_step.py").write_text(head + textwrap.indent(textwrap.dedent(body), "    "))
    return folder


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


def test_a_registry_of_the_first_schema_comes_up_with_all_its_rows(tmp_path: Path) -> None:
    path, at = tmp_path / "old.db", "'2026-01-01T00:00:00.000000Z'"
    to_first = partial(migrate.run_alembic, str(path), schema.MIGRATIONS, application_id=schema.APPLICATION_ID)
    to_first(lambda command, config: command.upgrade(config, "0001"))
    connection = open_connection(str(path))
    connection.execute(f"INSERT INTO sources VALUES ('h', 'manual', 'H', 'ok', NULL, NULL, '{{}}', {at})")
    connection.execute(
        f"INSERT INTO areas VALUES ('h', 'hall', 'Diele', NULL, '[]', '[]', '{{}}', {at}, NULL, NULL, {at}, {at}, 1)"
    )
    for name in ("b", "a"):
        connection.execute(
            "INSERT INTO devices (device_id, source_id, name, area_id, labels, identifiers, connections, extra,"
            " first_listed_at, created_at, modified_at, version)"
            f" VALUES ('{name}', 'h', 'Lampe', 'hall', '[]', '[]', '[]', '{{}}', {at}, {at}, {at}, 7)"
        )
    connection.execute(f"INSERT INTO sightings VALUES ('a', {at}, 'x')")
    connection.execute(
        "INSERT INTO entities (id, entity_id, source_id, device_id, domain, labels, extra, first_listed_at, created_at,"
        f" modified_at, version) VALUES ('e', 'light.a', 'h', 'a', 'light', '[]', '{{}}', {at}, {at}, {at}, 2)"
    )
    connection.execute(f"INSERT INTO device_ids VALUES ('old', 'a', 'split', {at})")
    connection.close()
    assert schema.upgrade(str(path)) == ("0001", schema.head())
    assert rows(path, "SELECT number, device_id, version FROM devices ORDER BY 1") == [(1, "b", 7), (2, "a", 7)]
    assert rows(path, "SELECT number, last_seen FROM sightings ORDER BY 1") == [(1, None), (2, at.strip("'"))]
    assert rows(path, "SELECT id, device_id, version FROM entities") == [("e", "a", 2)]
    assert rows(path, "SELECT old_id, device_id FROM device_ids") == [("old", "a")]
    assert rows(path, "SELECT rowid FROM device_search WHERE device_search MATCH 'diele AND light'") == [(2,)]
    assert rows(path, "SELECT rowid FROM entity_search WHERE entity_search MATCH 'lamp*'") == [(1,)]
    assert rows(path, "PRAGMA foreign_key_check") == []


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
