"""Every list is read from an index, at 100,000 devices: SQLite says itself how it will run what a page sends it."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event

from homedex.registry import orders, schema, search
from homedex.registry.areas import AREAS
from homedex.registry.changes import Stamp
from homedex.registry.devices import DEVICES, get_devices
from homedex.registry.edits import Edit, apply
from homedex.registry.entities import ENTITIES
from homedex.registry.pages import Listing
from homedex.registry.sources import SOURCES
from homedex.storage.ending import begin, finish
from homedex.storage.engine import create_engine
from homedex.storage.rows import driver
from homedex.storage.sqlite import Options

pytestmark = pytest.mark.xdist_group("plans")  # who makes the 100,000 devices has all the tests of them

DEVICE_COUNT = 100_000
NOW = datetime(2026, 11, 22, tzinfo=UTC)
STAMP = "'2026-01-01T00:00:00.000000Z'"
SPREAD = "strftime('%Y-%m-%dT%H:%M:%f000Z', 1767225600 + i * 7919 % 9000000, 'unixepoch')"
FILL = f"""
INSERT INTO sources WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 20)
    SELECT 's' || i, 'manual', 's', 'ok', NULL, NULL, '{{}}', {STAMP}, {STAMP}, 1 FROM n;
INSERT INTO areas (source_id, area_id, name, aliases, labels, extra, first_listed_at, created_at, modified_at, version)
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 2000)
    SELECT 's' || (1 + i % 20), 'a' || i, 'a', '[]', '[]', '{{}}', {STAMP}, {STAMP}, {STAMP}, 1 FROM n;
INSERT INTO devices (device_id, source_id, name, manufacturer, model, area_id, integration, disabled_by, labels, identifiers,
                     connections, extra, source_values, first_listed_at, created_at, modified_at, version, removed_at)
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT {DEVICE_COUNT})
    SELECT printf('d%07d', i * 7919 % {DEVICE_COUNT}), 's' || (1 + i % 20), CASE WHEN i % 20 THEN 'n' || (i * 7919 % 50000) END,
           CASE WHEN i % 3 THEN 'm0' ELSE 'm' || (i % 300) END, 'o' || (i % 3000), 'a' || (i % 2000), 'i' || (i % 50),
           CASE WHEN i % 30 = 0 THEN 'user' END, '[]', '[]', '[]', '{{}}', '{{}}', {STAMP}, {SPREAD}, {SPREAD}, 1,
           CASE WHEN i % 40 = 0 THEN {STAMP} END FROM n;
INSERT INTO sightings SELECT number, CASE WHEN number % 10 < 7 THEN created_at END, NULL FROM devices;
INSERT INTO entities (id, entity_id, source_id, device_id, domain, platform, area_id, disabled_by, labels, extra, source_values,
                      first_listed_at, created_at, modified_at, version)
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT {DEVICE_COUNT})
    SELECT 'e' || i, 'sensor.' || i, 's' || (1 + i % 20), printf('d%07d', i % {DEVICE_COUNT}), 'd' || (i % 30), 'p' || (i % 50),
           CASE WHEN i % 9 = 0 THEN 'a' || (i % 2000) END, CASE WHEN i % 30 = 0 THEN 'user' END, '[]', '{{}}', '{{}}',
           {STAMP}, {SPREAD}, {SPREAD}, 1 FROM n;
INSERT INTO device_search (rowid, names, facts) SELECT number, name, manufacturer FROM devices WHERE removed_at IS NULL;
INSERT INTO entity_search (rowid, names, facts) SELECT number, entity_id, platform FROM entities;
"""


@pytest.fixture(scope="module")
def full(migrated: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    path = tmp_path_factory.mktemp("full") / "full.db"
    path.write_bytes(migrated.read_bytes())
    engine = create_engine(str(path), Options(application_id=schema.APPLICATION_ID, cache_kib=128 * 1024))
    with engine.connect() as connection:
        for statement in FILL.split(";\n"):
            if statement.strip():
                connection.exec_driver_sql(statement)
        connection.commit()
        yield connection
    engine.dispose()


@dataclass
class Asked:
    """The plans of one page, one step a line: of each range of rows that was read, and of each count."""

    pages: list[str]
    counts: list[str]
    cursors: dict[str, str | None]


def ask(connection: Connection, listing: Listing, *pairs: tuple[str, str], cursor: str | None = None, forget: bool = True) -> Asked:
    query = replace(listing.questions.read(pairs, now=NOW), cursor=cursor)
    sent: list[tuple[str, Any]] = []

    def note(_cursor: object, statement: str, parameters: Any) -> bool:
        sent.append((statement, parameters))
        return True

    def note_sqlalchemy(_c: object, cursor: object, statement: str, parameters: Any, *_: object) -> None:
        note(cursor, statement, parameters)

    if forget:
        connection.info.clear()  # no total is remembered
    driver(connection).exec_trace = note  # sees what goes straight to the driver
    event.listen(connection, "before_cursor_execute", note_sqlalchemy)  # and this, what does not
    try:
        _, cursors = listing.page(connection, query)
    finally:
        event.remove(connection, "before_cursor_execute", note_sqlalchemy)
        driver(connection).exec_trace = None
    pages = [plan(connection, *one) for one in sent if one[0].startswith("SELECT json_object")]
    counts = [plan(connection, *one) for one in sent if not one[0].startswith("SELECT json_object") and "count(" in one[0]]
    assert pages, sent
    return Asked(pages, counts, cursors)


def plan(connection: Connection, statement: str, parameters: Any) -> str:
    return "\n".join(row[3] for row in driver(connection).execute(f"EXPLAIN QUERY PLAN {statement}", parameters))


def found(step: str) -> str:
    """How the rows of a page are found and sorted, without how they are filled in."""
    return step.partition("\nSCAN page")[0]


def a_page_and_its_neighbours(connection: Connection, listing: Listing, *pairs: tuple[str, str]) -> list[str]:
    """The plans of the first page, of the next one, and of the way back."""
    first = ask(connection, listing, *pairs)
    forward = ask(connection, listing, *pairs, cursor=first.cursors["next"])
    backward = ask(connection, listing, *pairs, cursor=forward.cursors["prev"])
    return [found(step) for one in (first, forward, backward) for step in one.pages]


SORTS = [
    (listing, f"{sign}{name}")
    for listing in (DEVICES, ENTITIES)
    for name, one in listing.questions.fields.items()
    for sign in ("", "-")
    if one.sortable and (listing, name) != (ENTITIES, "device_id")  # its index has no number at the end of a device's tombstones
]
INDEXED = [
    (listing, name) for listing in (DEVICES, ENTITIES) for name in sorted(listing.indexed) if name in listing.questions.filters
]
COUNTED = [(listing, name) for listing, name in INDEXED if name not in {"disabled", "device_id", "id"}]
VALUES = {"manufacturer": "m0", "disabled": "true", "created_at": "2026-02-01T00:00:00Z", "modified_at": "2026-02-01T00:00:00Z"}
MANY = [
    *(
        ("manufacturer", "m0"),
        ("disabled", "false"),
        ("has_area", "true"),
        ("seen", "never"),
        ("created_at__gte", "2026-02-01T00:00:00Z"),
    ),
    *(("last_seen__lt", "2026-03-01T00:00:00Z"), ("domain", "d7"), ("q", "m0"), ("version", "1"), ("name__ic", "N")),
]
FEW = [
    *(("model", "o7", "ix_devices_model"), ("area_id", "a7", "ix_devices_area_id"), ("name__ic", "n777", "ix_devices_name")),
    *(("q", "n777", "SCAN device_search"), ("last_seen__lt", "2026-01-01T01:00:00Z", "ix_sightings_last_seen")),
    *(("created_at__lt", "2026-01-01T01:00:00Z", "ix_devices_created_at"), ("device_id", "d0000007", "sqlite_autoindex_devices_1")),
]
SOME = [("integration", "i7"), ("source_id", "s7"), ("disabled", "true"), ("model__lt", "o1020")]


@pytest.mark.parametrize(("listing", "sort"), [(DEVICES, ""), (ENTITIES, ""), *SORTS])
def test_a_sorted_list_is_read_from_an_index(full: Connection, listing: Listing, sort: str) -> None:
    for step in a_page_and_its_neighbours(full, listing, *((("sort", sort),) if sort else ())):
        assert "TEMP B-TREE" not in step
        assert "INDEX" in step or not sort or step.endswith(f"SCAN {listing.noun}"), step


@pytest.mark.parametrize(("listing", "name"), INDEXED)
def test_one_value_of_an_indexed_field_is_found_in_the_default_order(full: Connection, listing: Listing, name: str) -> None:
    for step in ask(full, listing, (name, VALUES.get(name, "x"))).pages:
        assert f"{name}=?" in found(step)
        assert "TEMP B-TREE" not in found(step)


@pytest.mark.parametrize("sort", ["name", "-last_seen", "-created_at", "device_id", "area_id"])
@pytest.mark.parametrize("condition", MANY)
def test_what_matches_many_is_looked_for_in_the_order_of_the_sort(full: Connection, condition: tuple[str, str], sort: str) -> None:
    index = {"-last_seen": "ix_sightings_last_seen", "device_id": "sqlite_autoindex_devices_1"}.get(
        sort, f"ix_devices_{sort.lstrip('-')}"
    )
    for step in a_page_and_its_neighbours(full, DEVICES, condition, ("sort", sort)):
        assert index in step
        assert "TEMP B-TREE" not in step


@pytest.mark.parametrize("condition", [one for one in MANY if one[0] != "manufacturer" and one[0] != "disabled"])
def test_what_matches_many_is_looked_for_in_the_default_order(full: Connection, condition: tuple[str, str]) -> None:
    for step in a_page_and_its_neighbours(full, DEVICES, condition):
        assert "TEMP B-TREE" not in step


@pytest.mark.parametrize("sort", ["name", "-last_seen", "-created_at"])
@pytest.mark.parametrize(("name", "value", "index"), FEW)
def test_what_matches_few_is_found_by_the_filter(full: Connection, name: str, value: str, index: str, sort: str) -> None:
    if sort.lstrip("-") == name.partition("__")[0]:
        return
    for step in ask(full, DEVICES, (name, value), ("sort", sort)).pages:
        assert index in found(step)


@pytest.mark.parametrize("sort", ["name", "-last_seen", "-created_at", "device_id"])
@pytest.mark.parametrize("condition", SOME)
def test_what_matches_some_is_a_set_that_the_index_of_the_sort_is_held_against(
    full: Connection, condition: tuple[str, str], sort: str
) -> None:
    index = {"-last_seen": "ix_sightings_last_seen", "device_id": "sqlite_autoindex_devices_1"}.get(
        sort, f"ix_devices_{sort.lstrip('-')}"
    )
    for step in a_page_and_its_neighbours(full, DEVICES, condition, ("sort", sort)):
        assert f"USING COVERING INDEX {index}" in step
        assert "LIST SUBQUERY" in step
        assert step.count("USING COVERING INDEX") == 2, step
        assert "TEMP B-TREE" not in step


def test_a_question_that_was_slow_is_answered_from_the_order_of_its_matches(
    full: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orders, "SLOW_S", 0.0)
    monkeypatch.setattr(orders, "SORTED_S", -1.0)
    asked = [("integration", "i7"), ("sort", "name"), ("limit", "2")]
    first = ask(full, DEVICES, *asked)
    ask(full, DEVICES, *asked, forget=False)
    again = ask(full, DEVICES, *asked, cursor=first.cursors["next"], forget=False)
    (step,) = again.pages
    assert step.splitlines()[:2] == ["SCAN given VIRTUAL TABLE INDEX 1:", "SEARCH devices USING INTEGER PRIMARY KEY (rowid=?)"]


def test_of_a_bound_that_moves_only_what_lies_between_is_counted(full: Connection) -> None:
    ask(full, DEVICES, ("created_at__gte", "2026-02-01T00:00:00Z"))
    (count,) = ask(full, DEVICES, ("created_at__gte", "2026-02-01T00:00:10Z"), forget=False).counts
    assert "(removed_at=? AND created_at>? AND created_at<?)" in count


@pytest.mark.parametrize("words", ["m0", "n1", "m0 n1", "m"])
def test_a_search_is_read_in_the_order_of_its_own_index(full: Connection, words: str) -> None:
    for step in a_page_and_its_neighbours(full, DEVICES, ("q", words)):
        assert step.splitlines()[1].startswith("SCAN device_search VIRTUAL TABLE")
        assert "TEMP B-TREE" not in step


@pytest.mark.parametrize(("listing", "name"), [(DEVICES, ""), (ENTITIES, ""), *COUNTED])
def test_a_total_is_counted_from_an_index_alone(full: Connection, listing: Listing, name: str) -> None:
    counts = ask(full, listing, *(((name, VALUES.get(name, "x")),) if name else ())).counts
    assert len(counts) == 1
    assert counts[0].startswith(f"SEARCH {listing.noun} USING COVERING INDEX"), counts
    assert "\n" not in counts[0]


@pytest.mark.parametrize("condition", [("last_seen__lt", "2026-02-01T00:00:00Z"), ("seen", "ever"), ("seen", "never")])
def test_sightings_are_counted_without_looking_at_devices_that_are_there(full: Connection, condition: tuple[str, str]) -> None:
    (count,) = ask(full, DEVICES, condition).counts
    assert "SEARCH sightings USING COVERING INDEX ix_sightings_last_seen" in count
    assert re.search(r"SEARCH devices USING COVERING INDEX ix_devices_\w+ \(removed_at>\?\)", count)


@pytest.mark.parametrize(
    "condition", [("model_id", "x"), ("label", "x"), ("note__ic", "x"), ("serial_number", "x"), ("version", "1")]
)
def test_what_no_index_knows_is_read_in_the_order_of_the_file(full: Connection, condition: tuple[str, str]) -> None:
    asked = ask(full, DEVICES, condition)
    for step in (*asked.pages, *asked.counts):
        assert "SCAN devices" in found(step).splitlines()


@pytest.mark.parametrize("listing", [AREAS, SOURCES])
def test_areas_and_sources_are_listed_in_the_order_of_their_ids(full: Connection, listing: Listing) -> None:
    for step in ask(full, listing).pages:
        assert "TEMP B-TREE" not in found(step)


WHOLE = re.compile(
    r"^(SCAN (areas|devices|entities|device_ids|changes)\b"
    r"|SEARCH (devices|entities) USING (COVERING )?INDEX \w+ \(removed_at=\?\)$)",
    re.MULTILINE,
)
"""A step that reads a table from one end to the other, or all of it that is not removed."""


@contextmanager
def written(connection: Connection) -> Iterator[dict[str, str]]:
    """The statements of the block, but the plainest, and how each is run; what they do is undone."""
    sent: list[tuple[str, Any]] = []
    plans: dict[str, str] = {}

    def note(_cursor: object, statement: str, parameters: Any) -> bool:
        sent.append((statement, parameters))
        return True

    driver(connection).exec_trace = note
    try:
        with connection.begin_nested() as undone:
            yield plans
            driver(connection).exec_trace = None
            undone.rollback()
    finally:
        driver(connection).exec_trace = None
    kinds = ("SELECT", "UPDATE", "INSERT", "DELETE")
    plans.update({one[0]: plan(connection, *one) for one in sent if one[0].lstrip().startswith(kinds)})


@pytest.mark.parametrize("noun", ["devices", "entities"])
def test_edits_look_records_up_and_read_no_table_from_one_end_to_the_other(full: Connection, noun: str) -> None:
    ids = {"devices": ("d0000007", "d0000008", "new"), "entities": ("e7", "sensor.8", "sensor.new")}[noun]
    full.info.clear()
    every = [Edit(key, {"note": "other"}, "upsert") for key in ids]
    with written(full) as plans:
        edited = [outcome for some in (every[:1], every[1:2], every) for outcome in apply(full, noun, some, Stamp(NOW, "api"))]
        if noun == "devices":
            assert len(get_devices(full, ids)) == len(ids)
    assert [one.status for one in edited] == ["updated", "updated", "unchanged", "unchanged", "created"]
    assert any("json_each" in statement for statement in plans)
    assert not [one for one in plans.items() if WHOLE.search(one[1])]


def test_what_is_indexed_anew_is_found_by_an_index_and_in_its_order(full: Connection) -> None:
    with written(full) as plans:
        search.add_new(full, "devices", DEVICE_COUNT - 1)
        search.add_new(full, "entities", DEVICE_COUNT - 1)
        search.refresh_areas(full, [("s8", "a7")])
        search.refresh_devices(full, ["d0000007"], with_entities=True)
        search.refresh_entities(full, ["e7"])
        begin(full)
        search.add_new(full, "entities", DEVICE_COUNT - 1)
        search.refresh_areas(full, [("s8", "a7")])
        search.refresh_devices(full, ["d0000007"], with_entities=True)
        finish(full)
        full.info.clear()
    indexed = [plan for statement, plan in plans.items() if "REPLACE INTO" in statement]
    assert len(indexed) == 9
    for steps in plans.values():
        assert not WHOLE.search(steps), steps
    for steps in indexed:
        assert re.match(r"SEARCH (devices|entities) USING INTEGER PRIMARY KEY \(rowid=\?\)", steps), steps


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
