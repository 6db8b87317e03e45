"""Registries of every released schema, as text: how they are made and how they are loaded.

`make schema-fixture` writes the files of the newest schema, one for each engine, from a small home that the code of today writes
(`fill`). It is run once for each new migration, before its release; the files are kept from then on and never made again, because
what an old release wrote is what has to be upgraded. 0001.sql was written by the code of that release in the same way, which had no
PostgreSQL yet.
"""

import asyncio
import itertools
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch
from urllib.parse import urlsplit

import apsw
from sqlalchemy import Connection

from homedex.ingest.observation import Observation, Row
from homedex.ingest.run import apply_sync
from homedex.registry import schema
from homedex.registry.changes import Stamp
from homedex.registry.devices import record_sightings
from homedex.registry.edits import Edit, apply, remove_one
from homedex.registry.idempotency import keep_answer
from homedex.registry.sources import update_source
from homedex.storage.database import Database
from homedex.storage.postgres import Session, connect, run_apart
from servers import FAST, Server, started

FOLDER = Path(__file__).parent / "data" / "schemas"
FIRST_ON_POSTGRESQL = "0002"
BORN = datetime(2026, 3, 1, 8, 30, 0, 123456, tzinfo=UTC)
OF_SERVER = ("\\", "SET ", "SELECT pg_catalog.set_config", "-- Dumped")
"""How lines of pg_dump begin that depend on its version."""


def fixture(revision: str, engine: str) -> Path:
    """The file of one schema and engine; it need not be there."""
    return FOLDER / (f"{revision}.sql" if engine == "sqlite" else f"{revision}.postgresql.sql")


def fixtures(engine: str) -> list[str]:
    """The schemas that could be released on an engine."""
    known = sorted(file.stem.partition("_")[0] for file in (schema.MIGRATIONS / "versions").glob("[0-9]*.py"))
    return known if engine == "sqlite" else [revision for revision in known if revision >= FIRST_ON_POSTGRESQL]


# --- a small home ----------------------------------------------------------------------------------------------------------------


def home() -> Observation:
    """A home with something in every column, and something null in every column that may be."""
    observed = Observation(
        "home", "home_assistant", "Zuhause \u2615", extra={"version": "2026.3.1", "floors": [{"floor_id": "eg"}]}
    )
    observed.areas.extend(
        [
            {"area_id": "kueche", "name": "Küche", "floor_id": "eg", "aliases": ["Kochen", "台所"], "labels": ["warm"]},
            {"area_id": "hall", "name": 'The "Hall" \\ it\'s', "created_at": BORN, "modified_at": BORN},
        ]
    )
    observed.devices.extend([full_device(), {"device_id": "hub", "name": "Hub", "created_at": BORN, "modified_at": BORN}])
    observed.devices.extend([{"device_id": f"d{number:02}", "name": name} for number, name in enumerate(NAMES)])
    observed.entities.extend([full_entity(), {"id": "state-only", "entity_id": "sun.sun", "domain": "sun"}])
    observed.entities.extend(
        [
            {
                "id": f"e{number:02}",
                "entity_id": f"sensor.d{number:02}",
                "domain": "sensor",
                "device_id": f"d{number:02}",
                "platform": "zha",
            }
            for number in range(len(NAMES))
        ]
    )
    observed.moved["composite"] = "lamp"
    return observed


NAMES = ("مصباح", "ランプ", "Lámpara", "", "line one\nline two", "🔌 plug", "%s $1 ?", "a\ttab", "İstanbul", "ﬁlter")


def full_device() -> Row:
    """A device of which everything is known."""
    words = ("manufacturer", "model", "model_id", "area_id", "integration", "sw_version", "hw_version", "serial_number")
    said: Row = {name: f"{name} of lamp" for name in (*words, "configuration_url", "parent_device_id")}
    said |= {"device_id": "lamp", "name": "Deckenlampe", "name_by_user": "Große Lampe", "area_id": "kueche", "via_device_id": "hub"}
    said |= {"entry_type": "service", "disabled_by": "user", "labels": ["a", "b"], "identifiers": [["zha", "00:11"], ["x", 1]]}
    said |= {"connections": [["mac", "aa:bb"]], "extra": {"primary": None, "deep": {"n": [1, 2.5, 1e21, True, "ü"]}}}
    return said | {"created_at": BORN, "modified_at": BORN + timedelta(days=1)}


def full_entity() -> Row:
    """An entity of which everything is known."""
    words = ("platform", "unique_id", "name", "name_by_user", "area_id", "disabled_by", "hidden_by", "entity_category")
    said: Row = {name: f"{name} of light" for name in (*words, "device_class")}
    said |= {"id": "light-1", "entity_id": "light.küche", "device_id": "lamp", "domain": "light", "labels": ["ночь"]}
    return said | {"extra": {"options": {"sensor": {"precision": 2}}}, "created_at": BORN, "modified_at": BORN}


def changed_home() -> Observation:
    """The same home later: things were renamed, moved and taken away, and one came."""
    observed = home()
    observed.devices[0] |= {"sw_version": "2.0", "modified_at": BORN + timedelta(days=20)}
    observed.devices[:] = [row for row in observed.devices if row["device_id"] != "d01"]
    observed.entities[:] = [row for row in observed.entities if row["id"] not in {"e01", "e02"}]
    observed.entities[2]["entity_id"] = "sensor.renamed"
    observed.devices.append({"device_id": "late"})
    observed.areas.pop()
    observed.moved["second"] = "hub"
    return observed


def syncs() -> Iterator[tuple[Observation, datetime]]:
    """What was observed, and when."""
    yield home(), BORN + timedelta(days=10)
    yield changed_home(), BORN + timedelta(days=30)
    yield Observation("cabin", "file", "Cabin"), BORN + timedelta(days=31)


def fill(connection: Connection) -> None:
    """Write the home as syncs and people would: syncs, edits, tombstones, sightings, a failed source, a kept answer."""
    at = BORN + timedelta(days=10)
    first, second, third = syncs()
    apply_sync(connection, first[0], allow_removals=False, now=first[1])
    person = Stamp(at + timedelta(hours=1), "api", request_id="request-1")
    apply(connection, "areas", [Edit("shed", {"name": "Shed"}, "put")], person)
    ours = [Edit("boiler", {"name": "Boiler", "note": "serviced\nin March"}, "put"), Edit("sold", {"name": "Sold"}, "put")]
    apply(connection, "devices", [*ours, Edit("hub", {"area_id": "hall", "note": "hinter der Tür", "name_by_user": None})], person)
    apply(connection, "entities", [Edit("light.küche", {"area_id": "hall", "note": "dimmt"})], person)
    apply(connection, "entities", [Edit("e03", {"disabled_by": "user"})], person)
    remove_one(connection, "devices", Edit("sold"), Stamp(at + timedelta(hours=2), "command"))
    record_sightings(connection, [("lamp", at), ("d02", BORN), ("boiler", at + timedelta(seconds=1))], seen_by="home")
    apply_sync(connection, second[0], allow_removals=True, now=second[1])
    apply_sync(connection, third[0], allow_removals=False, now=third[1])
    update_source(connection, "cabin", {"state": "error", "last_error": "it does not answer"}, Stamp(third[1], "sync"))
    keep_answer(connection, "key-1", "digest", 200, '{"results":[]}', now=third[1])


def written(target: str) -> None:
    """A new registry with that home; the same every time."""
    schema.upgrade(target)
    numbers = itertools.count(1)

    async def write() -> None:
        database = Database.open(target, application_id=schema.APPLICATION_ID)
        try:
            await database.write(fill)
        finally:
            await database.close()

    with patch("uuid.uuid4", lambda: uuid.UUID(int=next(numbers))):
        asyncio.run(write())


# --- as text and back ------------------------------------------------------------------------------------------------------------


def dump_file(path: str) -> str:
    """A SQLite file as SQL, a row a line. Of the search index it has what is stored: FTS5 keeps no texts here."""
    connection = apsw.Connection(path, flags=apsw.SQLITE_OPEN_READONLY)
    made: Any = connection.execute("SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY rowid").fetchall()
    shadows = {row[0] for row in connection.execute("SELECT name FROM pragma_table_list WHERE type = 'shadow'")}
    virtual = {row[0] for row in connection.execute("SELECT name FROM pragma_table_list WHERE type = 'virtual'")}
    lines = [f"PRAGMA application_id = {connection.pragma('application_id')};"]
    for kind, name, sql in made:
        if kind == "table" and name not in shadows and not name.startswith("sqlite_"):
            lines.append(f"{sql};")
    tables = [name for kind, name, _ in made if kind == "table" and name not in virtual and not name.startswith("sqlite_stat")]
    for table in sorted(tables, key=lambda name: (name in shadows, name == "sqlite_sequence")):
        if table in shadows or table == "sqlite_sequence":
            lines.append(f"DELETE FROM {table};")
        lines += _rows(connection, table)
    lines += [f"{sql};" for kind, _, sql in made if kind == "index"]
    connection.close()
    return "\n".join(lines) + "\n"


def _rows(connection: apsw.Connection, table: str) -> Iterator[str]:
    columns = [row[1] for row in connection.execute(f"PRAGMA table_xinfo({table})") if row[6] == 0]  # a generated one is not given
    names = ", ".join(f'"{name}"' for name in columns)
    order = "1, 2" if table.endswith(("_idx", "_config")) else "rowid"  # these two have no rowid
    for row in connection.execute(f"SELECT {names} FROM {table} ORDER BY {order}"):
        yield f"INSERT INTO {table} ({names}) VALUES ({', '.join(map(apsw.format_sql_value, row))});"


def load_file(revision: str, path: Path) -> None:
    """A SQLite registry of that schema at `path`."""
    connection = apsw.Connection(str(path))
    connection.pragma("journal_mode", "wal")
    with connection:
        connection.execute(fixture(revision, "sqlite").read_text(encoding="utf-8"))
    connection.close()


def dump_server(server: Server, url: str, *options: str) -> str:
    """A database of a server as SQL, without what depends on the version of its tools."""
    place = ("-h", str(server.folder), "-U", "postgres", "--no-owner", "--no-privileges")
    name = urlsplit(url).path.removeprefix("/")
    said = server.command("pg_dump", *place, "--column-inserts", *options, name)
    return "\n".join(line for line in said.splitlines() if line and line != "--" and not line.startswith(OF_SERVER)) + "\n"


def load_server(revision: str, url: str) -> None:
    """The same in an empty database of a server."""
    script = fixture(revision, "postgresql").read_text(encoding="utf-8")

    async def run() -> Any:
        connection = await connect(url, Session())
        try:
            return await connection.execute(script)
        finally:
            await connection.close()

    run_apart(run)


def make(folder: Path) -> None:
    """Write the files of the newest schema."""
    import tempfile

    with tempfile.TemporaryDirectory() as scratch, started(*FAST) as server, server.database() as url:
        written(f"{scratch}/made.db")
        written(url)
        texts = dump_file(f"{scratch}/made.db"), dump_server(server, url)
    for engine, text in zip(("sqlite", "postgresql"), texts, strict=True):
        (folder / fixture(schema.head(), engine).name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    make(FOLDER)
