"""Many edits at once come to what they come to one after another, and new rows say in `changes` what they were made of."""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, text

from homedex.api.bulk_rows import edits_of
from homedex.registry import records
from homedex.registry.changes import Stamp
from homedex.registry.edits import Edit, Outcome, apply, remove_one
from homedex.registry.plain import find_said
from homedex.registry.sources import create_source
from homedex.storage.engine import create_engine
from homedex.storage.sqlite import Options
from homedex.storage.types import compact_json

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
STAMP = Stamp(NOW, "api", request_id="r")
few = st.sampled_from([None, "", "x", "y"])
values = st.fixed_dictionaries(
    {},
    optional={
        "name": few,
        "model": few,
        "labels": st.sampled_from([None, [], ["x"], ["x", "y"]]),
        "identifiers": st.sampled_from([None, [], [["a", "b"]]]),
        "extra": st.sampled_from([None, {}, {"k": 1}, {"k": True}, {"k": None}]),
        "note": few,
        "last_seen": st.sampled_from([None, NOW, NOW - timedelta(days=1), NOW + timedelta(days=3)]),
        "source_values": st.sampled_from([None, {}, {"name": None}]),
    },
)
keys = st.sampled_from(["a", "b", "c", "gone", "theirs", "old"])
edits = st.tuples(keys, values).map(lambda said: Edit(*said, "upsert"))


@pytest.fixture
def registry(registry_file: Path) -> Iterator[Connection]:
    """A registry with a removed device, one of another source and one that moved."""
    engine = create_engine(str(registry_file), Options())
    with engine.connect() as connection:
        create_source(connection, {"source_id": "home", "kind": "home_assistant", "name": "Home", "state": "ok"}, STAMP)
        records.create_rows(connection, "devices", "home", [{"device_id": "theirs", "name": "x"}], STAMP)
        apply(connection, "devices", [Edit("gone", {"name": "x"}, "upsert")], STAMP)
        remove_one(connection, "devices", Edit("gone"), STAMP)
        connection.execute(text("INSERT INTO device_ids VALUES ('old', 'theirs', 'split', '2026-11-22T12:00:00.000000Z')"))
        yield connection
    engine.dispose()


said = st.fixed_dictionaries(
    {"device_id": st.sampled_from(["a", "b", "c", "gone", "theirs", "old", 7, None])},
    optional={
        "name": few,
        "model": few,
        "labels": st.sampled_from([None, [], ["x"], ["x", "y"], [True]]),
        "extra": st.sampled_from([None, {}, {"k": 1}, {"k": True}]),
        "note": few,
        "last_seen": st.sampled_from([None, "2026-11-22T12:00:00Z", "yesterday"]),
        "version": st.integers(1, 3),
        "colour": few,
    },
)


def tried(connection: Connection, batches: Sequence[Sequence[Edit]]) -> tuple[list[Any], list[Any]]:
    """What becomes of edits, batch by batch, and the rows, sightings, documents and changes there are then; all is undone."""
    trial = connection.begin_nested()
    fates = [fate(outcome) for batch in batches for outcome in apply(connection, "devices", batch, STAMP)]
    found = [connection.execute(text(one)).all() for one in WRITTEN]
    trial.rollback()
    return fates, found


def fate(outcome: Outcome) -> tuple[Any, ...]:
    return outcome.key, outcome.status, outcome.error and (type(outcome.error), outcome.error.detail)


WRITTEN = (
    "SELECT * FROM devices ORDER BY number",
    "SELECT * FROM sightings ORDER BY number",
    "SELECT rowid FROM device_search WHERE device_search MATCH 'x OR y' ORDER BY rowid",
    "SELECT key, action, before, after FROM changes ORDER BY key, seq",
)
shared = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@shared
@given(several=st.lists(edits, max_size=8))
def test_many_edits_come_to_what_they_come_to_one_after_another(registry: Connection, several: Sequence[Edit]) -> None:
    assert tried(registry, [several]) == tried(registry, [[edit] for edit in several])


@shared
@given(before=st.lists(said, max_size=4), rows=st.lists(said, max_size=6))
def test_what_a_read_finds_said_already_comes_to_the_same(
    registry: Connection, before: Sequence[dict[str, Any]], rows: Sequence[dict[str, Any]]
) -> None:
    trial = registry.begin_nested()
    apply(registry, "devices", edits_of("devices", before), STAMP)
    found = find_said(registry, rows).places
    assert tried(registry, [edits_of("devices", rows, found)]) == tried(registry, [edits_of("devices", rows)])
    trial.rollback()


def test_a_read_finds_what_says_nothing_new(registry: Connection) -> None:
    known: list[dict[str, Any]] = [{"device_id": f"d{number}", "name": "n", "labels": ["x"]} for number in range(90)]
    apply(registry, "devices", edits_of("devices", known), STAMP)
    newest = registry.execute(text("SELECT max(seq) FROM changes")).scalar()
    others = [{"device_id": "theirs", "name": "x"}, {"device_id": "gone", "name": "x"}]
    assert find_said(registry, [{"device_id": "new"}, *known, *others]) == (set(range(1, 91)), newest)
    others = [row | {"name": "other"} for row in known[:60]]
    assert find_said(registry, [*others, *known[60:]]).places == set()  # most are new: the rest is not worth a look
    assert find_said(registry, [*known, known[0]]).places == set()


def test_true_is_not_one(registry: Connection) -> None:
    fates = [apply(registry, "devices", [Edit("a", {"extra": {"k": value}}, "upsert")], STAMP)[0].status for value in (True, 1, 1)]
    assert fates == ["created", "updated", "unchanged"]


@shared
@given(name=st.text(st.characters(exclude_categories=["Cs"])), more=st.sampled_from([[], [["a", '"\\\n\x1f\x7f\u2028é']]]))
def test_the_database_writes_what_a_new_row_says_as_python_does(registry: Connection, name: str, more: list[Any]) -> None:
    row = {"device_id": "new", "name": name, "model": None, "identifiers": more, "extra": {"b": None, "a": 1.5}}
    trial = registry.begin_nested()
    records.create_rows(registry, "devices", "home", [row, {"device_id": "other"}], STAMP)
    found = registry.execute(text("SELECT key, after FROM changes ORDER BY seq DESC LIMIT 2")).all()
    trial.rollback()
    assert found == [("other", '{"device_id":"other"}'), ("new", compact_json(records._said(row)))]


@pytest.mark.parametrize("own", [{}, {"created_at": NOW - timedelta(days=9)}])
def test_a_change_of_a_new_row_has_all_that_it_said(registry: Connection, own: dict[str, Any]) -> None:
    row = {"id": "1", "entity_id": "light.a", "domain": "light", "name": "", "labels": ["x"], "note": None, **own}
    records.create_rows(registry, "entities", "home", [row, {"id": "2", "entity_id": "light.b", "domain": "light"}], STAMP)
    found = registry.execute(text("SELECT kind, source_id, action, before, after, actor, request_id FROM changes")).all()[-2]
    said = {"id": "1", "entity_id": "light.a", "domain": "light", "name": "", "labels": ["x"]}
    said |= {"created_at": "2026-11-13T12:00:00.000000Z"} if own else {}
    assert (*found[:4], json.loads(found[4]), *found[5:]) == ("entity", "home", "create", None, said, "api", "r")
