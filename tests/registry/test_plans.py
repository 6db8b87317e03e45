"""Every offered filter is answered from an index, at 100,000 devices."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event

from homedex.registry import schema
from homedex.registry.areas import AREAS
from homedex.registry.devices import DEVICES
from homedex.registry.entities import ENTITIES
from homedex.registry.pages import Listing
from homedex.registry.sources import SOURCES
from homedex.storage.engine import create_engine
from homedex.storage.sqlite import Options

DEVICE_COUNT = 100_000
STAMP = "'2026-01-01T00:00:00.000000Z'"
FILL = f"""
INSERT INTO sources WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 20)
    SELECT 's' || i, 'manual', 's', 'ok', NULL, NULL, '{{}}', {STAMP} FROM n;
INSERT INTO areas (source_id, area_id, name, aliases, labels, extra, first_listed_at, created_at, modified_at, version)
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 2000)
    SELECT 's' || (1 + i % 20), 'a' || i, 'a', '[]', '[]', '{{}}', {STAMP}, {STAMP}, {STAMP}, 1 FROM n;
INSERT INTO devices (device_id, source_id, manufacturer, model, area_id, integration, disabled_by, labels, identifiers, connections,
                     extra, first_listed_at, created_at, modified_at, version, removed_at)
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT {DEVICE_COUNT})
    SELECT printf('d%07d', i), 's' || (1 + i % 20), 'm' || (i % 300), 'o' || (i % 3000), 'a' || (i % 2000), 'i' || (i % 50),
           CASE WHEN i % 30 = 0 THEN 'user' END, '[]', '[]', '[]', '{{}}', {STAMP}, {STAMP}, {STAMP}, 1,
           CASE WHEN i % 40 = 0 THEN {STAMP} END FROM n;
INSERT INTO entities (id, entity_id, source_id, device_id, domain, platform, area_id, disabled_by, labels, extra, first_listed_at,
                      created_at, modified_at, version)
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT {DEVICE_COUNT})
    SELECT 'e' || i, 'sensor.' || i, 's' || (1 + i % 20), printf('d%07d', i), 'd' || (i % 30), 'p' || (i % 50),
           CASE WHEN i % 9 = 0 THEN 'a' || (i % 2000) END, CASE WHEN i % 30 = 0 THEN 'user' END, '[]', '{{}}',
           {STAMP}, {STAMP}, {STAMP}, 1 FROM n;
ANALYZE;
"""


@pytest.fixture(scope="module")
def full(migrated: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    path = tmp_path_factory.mktemp("full") / "full.db"
    path.write_bytes(migrated.read_bytes())
    engine = create_engine(str(path), Options(application_id=schema.APPLICATION_ID))
    with engine.connect() as connection:
        for statement in FILL.split(";\n"):
            if statement.strip():
                connection.exec_driver_sql(statement)
        connection.commit()
        yield connection
    engine.dispose()


def plan(connection: Connection, listing: Listing, name: str, *, several: bool, after: bool) -> str:
    """The query plan of one page, one step a line."""
    shape = ((name, several),) if name else ()
    value: Any = name == "disabled" or "x"
    bound: dict[str, Any] = {"limit": 50, "after_0": "d0005000", "after_1": "x"}
    if name:
        bound[name] = [value, value] if several else value
    sent: list[tuple[str, Any]] = []

    def note(_c: object, _cursor: object, statement: str, parameters: Any, *_: object) -> None:
        sent.append((statement, parameters))

    event.listen(connection, "before_cursor_execute", note)
    connection.execute(listing.statement(shape, after=after), bound).all()
    event.remove(connection, "before_cursor_execute", note)
    return "\n".join(row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sent[0][0]}", sent[0][1]))


CASES = [
    (listing, name, several)
    for listing in (DEVICES, ENTITIES, AREAS, SOURCES)
    for name in ("", *listing.filters)
    for several in ((False, True) if name not in {"", "disabled"} else (False,))
]


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(("listing", "name", "several"), CASES)
def test_a_filter_is_answered_from_an_index(full: Connection, listing: Listing, name: str, several: bool, after: bool) -> None:
    steps = plan(full, listing, name, several=several, after=after)
    tables = [step for step in steps.splitlines() if step.startswith("SCAN") and "page" not in step and "SCAN (" not in step]
    scans = [step for step in tables if "INDEX" not in step and "CONSTANT ROW" not in step]
    assert not scans, steps
    if name:
        walks = [step for step in tables if step.startswith((f"SCAN {listing.noun}", "SCAN devices", "SCAN entities"))]
        assert not walks, steps


@pytest.mark.parametrize(("listing", "name"), [(listing, name) for listing, name, several in CASES if not several])
def test_one_value_of_an_own_column_needs_no_sorting(full: Connection, listing: Listing, name: str) -> None:
    across = {"domain", "platform"} if listing is DEVICES else {"manufacturer", "model", "integration", "area_id"}
    if listing in {DEVICES, ENTITIES} and name not in across:
        assert "TEMP B-TREE" not in plan(full, listing, name, several=False, after=False)


def test_no_index_is_there_twice(full: Connection) -> None:
    rows = full.exec_driver_sql("SELECT name, tbl_name, sql FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL").all()
    shapes = {}
    for name, table, definition in rows:
        columns = tuple(row[2] for row in full.exec_driver_sql(f"PRAGMA index_info({name})"))
        shapes[name] = (table, definition.partition(" WHERE ")[2], columns)
    for name, (table, where, columns) in shapes.items():
        longer = [
            other
            for other, (its_table, its_where, its_columns) in shapes.items()
            if other != name and (its_table, its_where) == (table, where) and its_columns[: len(columns)] == columns
        ]
        assert not longer, f"{name} is the beginning of {longer}"
