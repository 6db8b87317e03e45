"""Every released schema comes up to the newest, with all that was kept in it; see `tests/released.py`."""

import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Connection, inspect

import released
from homedex.api.app import create_app
from homedex.registry import schema
from homedex.registry.tables import Base
from homedex.storage import migrate, postgres_migrate
from homedex.storage.database import Database
from homedex.storage.looking import look
from homedex.storage.postgres import run_apart
from homedex.storage.sqlite import open_connection
from servers import Server

RELEASED = [(engine, revision) for engine in ("sqlite", "postgresql") for revision in released.fixtures(engine)]
OURS = ("alembic_version", "device_search", "entity_search", "sqlite_")
GROWN = {("0001", "sightings"): 12}
"""Rows that came with an upgrade: since 0002 every device has a sighting, those never seen included."""

NEVER_NULL = {"changes.after"}
"""It may be null by the schema; nothing that is written has it so."""

SEARCHES = {"große": ["lamp"], "lámpara": ["d02"], "lam": ["lamp", "d02"], "küche": ["lamp"], "ランプ": []}
"""Words, and the devices that are found by them: the last one was removed."""

Contents = dict[str, list[dict[str, Any]]]


def contents(connection: Connection) -> Contents:
    """Every row of the registry's own tables."""
    tables = [name for name in inspect(connection).get_table_names() if not name.startswith(OURS)]
    return {table: [dict(row._mapping) for row in connection.exec_driver_sql(f"SELECT * FROM {table}")] for table in tables}


@pytest.fixture
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """A registry as an old release left it: (target, revision)."""
    engine, revision = request.param
    if engine == "sqlite":
        released.load_file(revision, tmp_path / "old.db")
        yield str(tmp_path / "old.db"), revision
        return
    server: Server = request.getfixturevalue("postgresql")
    with server.database() as url:
        released.load_server(revision, url)
        yield url, revision


every_release = pytest.mark.parametrize("old", RELEASED, indirect=True, ids="-".join)


@contextmanager
def served(target: str) -> Iterator[TestClient]:
    database = Database.open(target, application_id=schema.APPLICATION_ID)
    with TestClient(create_app(database), follow_redirects=False) as client:
        yield client


@pytest.mark.parametrize(("engine", "revision"), RELEASED)
def test_every_migration_has_a_registry_of_its_release(engine: str, revision: str) -> None:
    file = released.fixture(revision, engine)
    assert file.exists(), f"run `make schema-fixture`, look at {file}, and add it to the commit of the migration"


@every_release
def test_every_row_is_there_with_the_same_values(old: tuple[str, str]) -> None:
    target, revision = old
    before = look(target, contents)
    assert schema.upgrade(target) == (revision, schema.head())
    after = look(target, contents)
    for table, rows in before.items():
        kept = rows[0].keys() & after[table][0].keys()
        had, have = (Counter(tuple(str(row[name]) for name in sorted(kept)) for row in side) for side in (rows, after[table]))
        assert had - have == Counter(), table
        assert (have - had).total() == GROWN.get((revision, table), 0), table


@every_release
def test_the_schema_is_that_of_a_new_registry(old: tuple[str, str], request: pytest.FixtureRequest, migrated: Path) -> None:
    target, _ = old
    schema.upgrade(target)
    if target.startswith("postgresql"):
        server: Server = request.getfixturevalue("postgresql")
        with server.database() as fresh:
            schema.upgrade(fresh)
            wanted = released.dump_server(server, fresh, "--schema-only")
        assert released.dump_server(server, target, "--schema-only") == wanted
        run_apart(
            partial(postgres_migrate.under_lock, target, lambda connection: migrate.run_in(connection, schema.MIGRATIONS, check))
        )
        return
    connection = open_connection(target)
    text = "SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite_stat%' ORDER BY type, name"
    found = connection.execute(text).fetchall()
    sound = [connection.pragma("integrity_check"), connection.execute("PRAGMA foreign_key_check").fetchall()]
    connection.close()
    fresh_one = open_connection(str(migrated))
    assert found == fresh_one.execute(text).fetchall()
    fresh_one.close()
    assert sound == ["ok", []]
    migrate.run_alembic(target, schema.MIGRATIONS, check)


def check(command: Any, config: Any) -> None:
    command.check(config)


@every_release
def test_it_answers_as_it_did(old: tuple[str, str]) -> None:
    target, revision = old
    schema.upgrade(target)
    with served(target) as client:
        ask = partial(client.get, follow_redirects=False)
        assert ask("/api/v1/devices").json()["total"] == 13
        assert ask("/api/v1/entities").json()["total"] == 10
        for words, found in SEARCHES.items():
            page = ask("/api/v1/devices", params={"q": words}).json()["devices"]
            assert [row["device_id"] for row in page] == found, words
        assert ask("/api/v1/devices/composite").status_code == 308
        assert ask("/api/v1/devices/d01").status_code == 410
        assert ask("/api/v1/devices/lamp").json()["last_seen"] == "2026-03-11T08:30:00.123456Z"
        assert ask("/api/v1/devices/lamp").json()["extra"]["deep"] == {"n": [1, 2.5, 1e21, True, "ü"]}
        if revision >= "0002":
            hub = ask("/api/v1/devices/hub").json()
            assert (hub["area_id"], hub["note"], hub["source_values"]) == (
                "hall",
                "hinter der Tür",
                {"area_id": None, "name_by_user": None},
            )
            kept = ask("/api/v1/changes", params={"limit": 1000}).json()["changes"]
            assert [change["seq"] for change in kept] == list(range(1, 48))
            assert client.put("/api/v1/devices/new", json={"name": "New"}).status_code == 201
            assert ask("/api/v1/changes", params={"sort": "-seq", "limit": 1}).json()["changes"][0]["seq"] == 48


def test_the_newest_registry_of_a_release_has_a_row_for_everything(tmp_path: Path) -> None:
    released.load_file(schema.head(), tmp_path / "a.db")
    found = look(str(tmp_path / "a.db"), contents)
    for table in Base.metadata.sorted_tables:
        rows = found[table.name]
        assert rows, f"{table.name} has no row: add some to `released.fill`"
        for column in table.columns:
            nulls = {row[column.name] is None for row in rows}
            wanted = {True, False} if column.nullable and str(column) not in NEVER_NULL else {False}
            assert nulls == wanted, f"{column}: see `released.fill`"


def test_what_is_made_for_a_release_is_the_same_every_time_and_comes_back_as_it_was(tmp_path: Path) -> None:
    for name in ("one.db", "two.db"):
        released.written(str(tmp_path / name))
    text = released.dump_file(str(tmp_path / "one.db"))
    assert text == released.dump_file(str(tmp_path / "two.db"))
    for revision in released.fixtures("sqlite"):
        released.load_file(revision, tmp_path / f"{revision}.db")
        shutil.copy(tmp_path / f"{revision}.db", tmp_path / "copy.db")
        assert released.dump_file(str(tmp_path / "copy.db")) == released.fixture(revision, "sqlite").read_text(encoding="utf-8")
