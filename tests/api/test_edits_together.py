"""Edits of requests that wait at the same time are done at once, and nobody can tell."""

import asyncio
import contextlib
import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from homedex.api.items import edit_and_get, edits_and_gets
from homedex.errors import HomedexError
from homedex.registry import schema
from homedex.registry.changes import Stamp
from homedex.registry.edits import Edit
from homedex.storage.engine import create_engine
from homedex.storage.rows import driver
from homedex.storage.sqlite import Options
from homedex.storage.types import to_text
from service import Service

KEYS = tuple("abcdef")
NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
VALUES: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from([None, "Lamp", "Älteste"]),
        "labels": st.sampled_from([[], ["x"]]),
        "extra": st.sampled_from([{}, {"a": 1}, {"a": None, "b": 2}]),
        "last_seen": st.sampled_from([datetime(2026, 11, 1, tzinfo=UTC), datetime(2099, 1, 1, tzinfo=UTC)]),
        "source_values": st.just({"name": None}),
    },
)
EDITS = st.builds(
    Edit,
    st.sampled_from(KEYS),
    VALUES,
    st.sampled_from(["put", "patch"]),
    versions=st.sampled_from([None, None, frozenset(), frozenset({1}), frozenset({2, 3})]),
    only_new=st.sampled_from([False, False, True]),
    source_id=st.none(),
    error=st.none(),
)


def apart(edits: list[Edit]) -> list[list[Edit]]:
    """As the writer takes them: none has two of one device."""
    found: list[list[Edit]] = []
    for edit in edits:
        if not found or edit.key in {one.key for one in found[-1]}:
            found.append([])
        found[-1].append(edit)
    return found


def one_by_one(connection: Connection, calls: list[tuple[str, Edit, Stamp]]) -> list[Any]:
    said: list[Any] = []
    for call in calls:
        driver(connection).execute("SAVEPOINT job")
        try:
            said.append(edit_and_get(connection, *call))
        except HomedexError as error:
            driver(connection).execute("ROLLBACK TO job")
            said.append(error)
        driver(connection).execute("RELEASE job")
    return said


def told(said: list[Any]) -> list[Any]:
    return [(type(one), str(one), one.extensions) if isinstance(one, HomedexError) else one for one in said]


def test_each_change_says_who_asked_for_it_and_none_is_older_than_its_request(migrated: Path, tmp_path: Path) -> None:
    path = shutil.copy(migrated, tmp_path / "some.db")
    engine = create_engine(str(path), Options(application_id=schema.APPLICATION_ID))
    later = NOW + timedelta(seconds=2)
    calls = [
        ("devices", Edit("absent", {"name": "x"}, "patch"), Stamp(later, "api", request_id="that fails")),
        ("devices", Edit("first", {"name": "x"}, "put"), Stamp(NOW, "api", request_id="first")),
        ("devices", Edit("second", {"name": "x"}, "put"), Stamp(NOW, "api", request_id="second")),
    ]
    with engine.connect() as connection:
        edits_and_gets(connection, calls)
        written = list(driver(connection).execute("SELECT kind, key, request_id, at FROM changes ORDER BY seq"))
    engine.dispose()
    expected = [("source", "manual", "first"), ("device", "first", "first"), ("device", "second", "second")]
    assert written == [(*one, to_text(later)) for one in expected]


@pytest.fixture(scope="module")
def connections(tmp_path_factory: pytest.TempPathFactory, migrated: Path) -> Iterator[list[Connection]]:
    """To two registries alike, with nothing in them."""
    with contextlib.ExitStack() as stack:
        found = []
        for _ in range(2):
            path = Path(shutil.copy(migrated, tmp_path_factory.mktemp("way") / "registry.db"))
            engine = create_engine(str(path), Options(application_id=schema.APPLICATION_ID))
            stack.callback(engine.dispose)
            found.append(stack.enter_context(engine.connect()))
        yield found


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(EDITS, min_size=1, max_size=8), min_size=1, max_size=4))
def test_at_once_is_as_one_after_another(connections: list[Connection], waits: list[list[Edit]]) -> None:
    groups = [group for wait in waits for group in apart(wait)]
    results = []
    for connection, way in zip(connections, (edits_and_gets, one_by_one), strict=True):
        with connection.begin() as transaction:
            said = [told(way(connection, [call(edit, number) for edit in group])) for number, group in enumerate(groups)]
            results.append((said, [sorted(written(connection, name)) for name in ("devices", "sightings", "changes")]))
            transaction.rollback()
    assert results[0] == results[1]


def call(edit: Edit, number: int) -> tuple[str, Edit, Stamp]:
    return "devices", edit, Stamp(NOW, "api", request_id=f"{number} {edit.key}")


def written(connection: Connection, name: str) -> list[str]:
    """The rows, without the numbers that say in which order they came, and who made the source."""
    without = {"devices": ("number",), "sightings": ("number",), "changes": ("seq",)}[name]
    joined = " JOIN devices USING (number)" if name == "sightings" else ""
    rows = connection.exec_driver_sql(f"SELECT * FROM {name}{joined} WHERE {name}.rowid > 0").mappings()
    kept = ({key: value for key, value in row.items() if key not in without} for row in rows if row.get("kind") != "source")
    return [str({key: members(value) if key in {"before", "after"} else value for key, value in row.items()}) for row in kept]


def members(text: str | None) -> Any:
    """An object, whichever way its members are in order."""
    return None if text is None else sorted(json.loads(text).items())


def test_each_request_finds_its_own_change(registry_file: Path) -> None:
    """64 clients at once, so that many wait together; each change has the id of the request that made it."""
    with Service.start(registry_file) as service:

        async def put(number: int) -> tuple[int, str, int]:
            body = {"name": f"Lamp {number}"}
            status, _, answer = await asyncio.to_thread(
                service.exchange, "PUT", f"/api/v1/devices/d{number}", body, {"x-request-id": f"request-{number}"}
            )
            return status, answer["name"], number

        async def all_of_them() -> list[tuple[int, str, int]]:
            return list(await asyncio.gather(*(put(number) for number in range(64))))

        for status, name, number in asyncio.run(all_of_them()):
            assert (status, name) == (201, f"Lamp {number}")
            changes = service.ask("GET", f"/api/v1/devices/d{number}/changes")[1]["changes"]
            assert [change["request_id"] for change in changes] == [f"request-{number}"]
