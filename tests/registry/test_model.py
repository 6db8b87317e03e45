"""The registry against plain dicts: any sequence of PUT, PATCH, DELETE, bulk and sync does what `plain_registry.py` says.

After each step every list, tombstones included, is compared with the model: columns, versions, times, the order of registration.
And `/changes`, read page by page and replayed from nothing, gives the same rows: every column of every source, area, device and
entity, and which id leads on to which. What a change does not name follows from its being there: each counts the version up and
sets `modified_at` to its `at`, a creation sets `first_listed_at` and `created_at`, a removal `last_listed_at`. So a step that
changes nothing appends nothing, and one that changes a row appends one change. The replay leaves out the order of registration
and sightings (`last_seen`, `seen_by`), which are no changes.
"""

import json
import os
import shutil
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

from fastapi.testclient import TestClient
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test
from sqlalchemy import Connection

from homedex.api.app import create_app
from homedex.ingest.exported import bring_back, read_export, write_export
from homedex.ingest.observation import Observation
from homedex.ingest.run import apply_sync
from homedex.registry import schema
from homedex.registry.areas import AREAS
from homedex.registry.changes import Stamp
from homedex.registry.devices import DEVICES
from homedex.registry.entities import ENTITIES
from homedex.registry.exports import whole
from homedex.registry.sources import SOURCES
from homedex.storage.database import Database
from plain_registry import HOME, LISTS, SIGHTING, TEXTS, PlainRegistry, Refused, Row, replayed, text

# HYPOTHESIS_PROFILE=thorough looks twenty times longer than `make test` can, and elsewhere each time.
THOROUGH = os.environ.get("HYPOTHESIS_PROFILE") == "thorough"
EXAMPLES, STEPS = 30, 15
START = datetime(2026, 11, 22, 12, tzinfo=UTC)
V1 = "/api/v1"
COMPUTED = {"display_name", "disabled", "entity_count", "device_count", *SIGHTING}
PAGE = 25

# Few ids and few values, so that steps meet.

DEVICE_IDS = st.sampled_from(["a", "b", "c", "d"])
ENTITY_IDS = st.sampled_from(["light.x", "light.y", "sensor.z"])
IDS = st.sampled_from(["e", "f", "g", "light.x", "light.y"])
AREA_IDS = st.sampled_from(["k", "l"])
LINE = st.sampled_from(["x", "y", None])
LABELS: list[Any] = [[], ["p"], ["p", "q"]]
EXTRAS: list[Any] = [{}, {"p": 1}, {"p": True}, {"p": None}, {"q": {"r": 1, "s": 2}}, {"q": {"r": None}}]
MOMENTS = [START - timedelta(days=2), START + timedelta(seconds=5), START + timedelta(hours=1)]
FUTURE = START + timedelta(days=3)
MATCHES = st.sampled_from([*[None] * 6, "*", "now", "old"])
ONLY_NEW = st.sampled_from([*[False] * 6, True])
SOURCE_IDS = st.sampled_from([None, None, None, "home", "manual"])


def as_text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def said_of(noun: str, more: Row, *, without: tuple[str, ...] = ()) -> Any:
    """Some of a record's columns."""
    texts = [name for name in TEXTS[noun] if name not in {"name", "device_id", *without}]
    lists = {name: st.sampled_from(LABELS) for name in LISTS[noun] if name.endswith(("labels", "aliases"))}
    pairs = {name: st.sampled_from([[], [["mqtt", "p"]]]) for name in LISTS[noun] if name not in lists}
    some = st.dictionaries(st.sampled_from(texts), LINE, max_size=3)
    rest = st.fixed_dictionaries({}, optional={"extra": st.sampled_from(EXTRAS), **lists, **pairs, **more})
    return st.builds(lambda one, other: one | other, some, rest)


def stated(noun: str, more: Row) -> Any:
    """What a request says of one record; null clears, and now and then a member is not known."""
    cleared = st.sampled_from([*[{}] * 9, {"extra": None}, {"labels": None}, {"colour": "red"}])
    own = {
        "devices": {"last_seen": st.sampled_from([None, *map(as_text, (*MOMENTS, *MOMENTS, FUTURE))])},
        "entities": {"device_id": OF},
    }
    name = {"name": st.sampled_from(["x", "y"]) if noun == "areas" else LINE}
    return st.builds(lambda one, other: one | other, said_of(noun, name | own.get(noun, {}) | more), cleared)


OF = st.sampled_from(["a", "b", "c", "d", None])
PEOPLES = {"name_by_user": LINE, "area_id": LINE, "labels": st.sampled_from([*LABELS, None]), "disabled_by": LINE, "note": LINE}
RELEASED = st.sampled_from([None, {"area_id": None}, {"labels": None, "name_by_user": None}, {"area_id": "x"}])
BY_PEOPLE = st.fixed_dictionaries({}, optional=PEOPLES | {"source_values": RELEASED})
ADDRESSES = {"devices": DEVICE_IDS, "entities": ENTITY_IDS | IDS, "areas": AREA_IDS}
MORE_OF_A_PATCH: dict[str, dict[str, Any]] = {
    "devices": {"source_values": RELEASED},
    "entities": {"source_values": RELEASED, "entity_id": ENTITY_IDS},
    "areas": {},
}
OWN_ADDRESSES = ADDRESSES | {"entities": ENTITY_IDS}
PUTS = st.one_of([st.tuples(st.just(noun), OWN_ADDRESSES[noun], stated(noun, {})) for noun in ADDRESSES])
PATCHES = st.one_of([st.tuples(st.just(noun), ADDRESSES[noun], stated(noun, MORE_OF_A_PATCH[noun])) for noun in ADDRESSES])
PEOPLES_PATCHES = st.one_of([st.tuples(st.just(noun), ADDRESSES[noun], BY_PEOPLE) for noun in ("devices", "entities")])
NAMES = st.one_of([st.tuples(st.just(noun), ADDRESSES[noun]) for noun in ADDRESSES])


def rows_of(noun: str) -> Any:
    """Rows of a bulk request, often several of one record."""
    keys = {"devices": {"device_id": DEVICE_IDS}, "entities": {"entity_id": ENTITY_IDS}}[noun]
    ids = {} if noun == "devices" else {"id": IDS, "source_id": st.sampled_from(["home", "manual"])}
    peoples = st.fixed_dictionaries({}, optional=PEOPLES)
    one = st.builds(lambda named, said: named | said, st.fixed_dictionaries(keys, optional=ids), stated(noun, {}) | peoples)
    return st.tuples(st.just(noun), st.lists(one, min_size=1, max_size=4))


TIMES = dict.fromkeys(("created_at", "modified_at"), st.sampled_from([as_text(moment) for moment in MOMENTS]))
LISTED = {
    noun: said_of(noun, TIMES | ({} if noun == "areas" else {"name": LINE}) | more, without=("note",))
    for noun, more in {"areas": {}, "devices": {}, "entities": {"device_id": OF}}.items()
}
LISTED_AREAS = st.dictionaries(AREA_IDS, LISTED["areas"])
LISTED_DEVICES = st.dictionaries(DEVICE_IDS, LISTED["devices"])
LISTED_ENTITIES = st.dictionaries(IDS, st.tuples(ENTITY_IDS, LISTED["entities"]))
MOVES = st.dictionaries(st.sampled_from(["o", "a", "b", "d"]), DEVICE_IDS, max_size=1)


class Machine(RuleBasedStateMachine):
    """The real service on a real file, and the model of it."""

    template: ClassVar[Path]

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        path = shutil.copy(self.template, self.folder.name)
        self.database = Database.open(str(path), application_id=schema.APPLICATION_ID, synchronous="NORMAL")
        app = create_app(self.database, clock=lambda: self.clock)
        self.client = TestClient(app, raise_server_exceptions=False, follow_redirects=False).__enter__()
        self.model = PlainRegistry()
        self.last: tuple[str, Row, dict[str, list[Row]], dict[str, str]] | None = None
        self.clock = START
        self.tick()

    def teardown(self) -> None:
        self.client.__exit__(None, None, None)
        self.folder.cleanup()

    def tick(self) -> None:
        self.clock += timedelta(seconds=1)
        self.model.now, self.model.tomorrow = as_text(self.clock), as_text(self.clock + timedelta(days=1))

    # What can happen.

    @initialize()
    def fill(self) -> None:
        """Something is there to begin with: what a source lists, and what is kept by hand."""
        entities: Row = {"e": ("light.x", {"device_id": "a"}), "f": ("light.y", {"labels": ["p"]})}
        self.sync("Home", {}, {}, areas={"k": {}}, devices={"a": {"area_id": "k"}, "b": {}}, entities=entities)
        self.bulk(("devices", [{"device_id": "c", "extra": {"p": 1}}, {"device_id": "d"}]), atomic=True, tried=False)
        self.bulk(("entities", [{"entity_id": "sensor.z", "id": "g", "device_id": "c"}]), atomic=True, tried=False)
        self.edit("put", ("areas", "l", {"name": "x"}), {})
        self.delete(("devices", "d"), None, None)

    @rule(what=PUTS, match=MATCHES, only_new=ONLY_NEW)
    def put(self, what: tuple[str, str, Row], match: str | None, only_new: bool) -> None:
        self.edit("put", what, self.conditions(what, match) | ({"If-None-Match": "*"} if only_new else {}))

    @rule(what=PEOPLES_PATCHES)
    def patch_by_people(self, what: tuple[str, str, Row]) -> None:
        self.edit("patch", what, {})

    @rule(what=PATCHES, match=MATCHES, source_id=SOURCE_IDS)
    def patch(self, what: tuple[str, str, Row], match: str | None, source_id: str | None) -> None:
        source_id = source_id if what[0] == "entities" else None
        self.edit("patch", what, self.conditions(what, match, source_id), source_id)

    @rule(what=NAMES, match=MATCHES, source_id=SOURCE_IDS)
    def delete(self, what: tuple[str, str], match: str | None, source_id: str | None) -> None:
        noun, key = what
        source_id = source_id if noun == "entities" else None
        conditions = self.conditions(what, match, source_id)
        answer = self.ask("delete", f"{noun}/{key}", headers=header(conditions), params=asked(source_id))
        status, _ = predicted(self.model.remove, noun, key, conditions, source_id)
        assert answer.status_code == (status or 204), answer.text

    @rule(what=rows_of("devices") | rows_of("entities"), atomic=st.booleans(), tried=st.booleans())
    def bulk(self, what: tuple[str, list[Row]], atomic: bool, tried: bool) -> None:
        noun, rows = what
        mode = {"mode": "atomic" if atomic else "best_effort"}
        ask = partial(self.ask, "post", f"{noun}/bulk", json={noun: rows})
        dry = ask(params=mode | {"dry_run": "true"}) if tried else None
        if dry is not None:
            self.lists_are_as_the_model_says_and_changes_replayed_from_nothing_give_them()
        answer = ask(params=mode)
        results = answer.json()["results"]
        if dry is not None and dry.status_code == 200:
            assert dry.json() == answer.json() | {"dry_run": True}
        elif dry is not None:
            assert (dry.status_code, dry.json()["results"]) == (answer.status_code, results)
        fates = self.model.bulk(noun, rows, [result["id"] for result in results], atomic=atomic)
        assert [result["error"]["status"] if result["error"] else result["status"] for result in results] == fates
        assert answer.status_code == (422 if atomic and any(isinstance(fate, int) for fate in fates) else 200)

    @rule(
        name=st.sampled_from(["Home", "House"]),
        extra=st.sampled_from([{}, {"v": 1}, {"v": True}]),
        areas=LISTED_AREAS,
        devices=LISTED_DEVICES,
        entities=LISTED_ENTITIES,
        moved=MOVES,
    )
    def sync(self, name: str, extra: Row, moved: dict[str, str], **listed: dict[str, Any]) -> None:
        rows: dict[str, list[Row]] = {
            "areas": [{"area_id": key, "name": "x"} | row for key, row in listed["areas"].items()],
            "devices": [{"device_id": key} | row for key, row in listed["devices"].items()],
            "entities": [
                {"id": key, "entity_id": entity_id, "domain": entity_id.partition(".")[0]}
                | {name: value for name, value in row.items() if name != "device_id" or value in {None, *listed["devices"]}}
                for key, (entity_id, row) in listed["entities"].items()
            ],
        }
        self.last = (name, extra, rows, moved)
        self.sync_again()

    @rule()
    @precondition(lambda self: self.last is not None)
    def sync_again(self) -> None:
        assert self.last is not None
        name, extra, rows, moved = self.last
        timed: Row = {noun: [with_times(row) for row in some] for noun, some in rows.items()}
        observed = Observation(HOME, "home_assistant", name, **timed, extra=extra, moved=moved)
        self.call(self.database.write, apply_sync, observed, allow_removals=True, now=self.clock)
        self.model.sync(name, extra, rows, moved)

    @rule(old=st.sampled_from(["a", "b"]), new=st.sampled_from(["a", "b"]), said=BY_PEOPLE)
    def split(self, old: str, new: str, said: Row) -> None:
        """A device of the source is continued by another, and a person has set something on it before."""
        self.edit("patch", ("devices", old, said), {})
        self.sync("Home", {}, {old: new}, areas={}, devices={new: {"model": "x"}}, entities={})

    @rule(what=NAMES, source_id=SOURCE_IDS)
    def get(self, what: tuple[str, str], source_id: str | None) -> None:
        noun, key = what
        source_id = None if noun == "devices" else source_id
        answer = self.ask("get", f"{noun}/{key}", params=asked(source_id))
        status, row = predicted(self.model.get, noun, key, source_id)
        self.check_record(answer, status or 200, row)
        if status == 308:
            assert answer.headers["location"].startswith(f"{V1}/devices/{self.model.moved[key]}")

    @rule()
    def what_is_exported_comes_back(self) -> None:
        first, second = Path(self.folder.name, "first"), Path(self.folder.name, "second")
        empty = Path(shutil.copy(self.template, f"{self.folder.name}/empty.db"))
        first.mkdir()
        second.mkdir()
        self.call(self.database.read, write_export, first)
        other = Database.open(str(empty), application_id=schema.APPLICATION_ID, synchronous="OFF")
        _, rejections = self.call(other.write, bring_back, read_export(first), Stamp(self.clock, "import"))
        self.call(other.read, write_export, second)
        self.call(other.close)
        assert rejections == []
        assert [file.read_bytes() for file in sorted(second.iterdir())] == [file.read_bytes() for file in sorted(first.iterdir())]
        shutil.rmtree(first)
        shutil.rmtree(second)
        for file in Path(self.folder.name).glob("empty.db*"):
            file.unlink()

    def call(self, function: Any, *args: Any, **more: Any) -> Any:
        assert self.client.portal is not None
        return self.client.portal.call(partial(function, *args, **more))

    def ask(self, method: str, path: str, **more: Any) -> Any:
        return self.client.request(method, f"{V1}/{path}", **more)

    def conditions(self, what: Sequence[Any], match: str | None, source_id: str | None = None) -> Row:
        """What `If-Match` asks for: any, the version the record has, or the one before."""
        versions = [row["version"] for row in self.model.named(what[0], what[1], source_id)] or [1]
        return {} if match is None else {"If-Match": {"*": "*", "now": versions[0], "old": versions[0] - 1}[match]}

    def edit(self, way: str, what: tuple[str, str, Row], conditions: Row, source_id: str | None = None) -> None:
        noun, key, said = what
        answer = self.ask(way, f"{noun}/{key}", json=said, headers=header(conditions), params=asked(source_id))
        record = answer.json()
        status, made = predicted(self.model.edit, noun, key, said, way, conditions, source_id, record.get("id", ""))
        fate, row = made or ("", None)
        row = row and row | self.model.computed(noun, row)
        self.check_record(answer, status or (201 if fate in {"created", "restored"} else 200), row)

    def check_record(self, answer: Any, status: int, row: Row | None) -> None:
        assert answer.status_code == status, answer.text
        if row is not None:
            check_rows([answer.json()], [row])
            assert answer.headers["etag"].startswith(f'"{row["version"]}-')

    # What must hold after each step.

    @invariant()
    def lists_are_as_the_model_says_and_changes_replayed_from_nothing_give_them(self) -> None:
        stored = self.call(self.database.read, exported)
        for noun, rows in stored.items():
            check_rows(rows, self.model.shown(noun))
        again, moved = replayed(self.changes())
        assert moved == self.model.moved
        for noun, rows in stored.items():
            kept = [{name: row[name] for name in row if name not in COMPUTED} for row in rows]
            check_rows(sorted(kept, key=place_of), sorted((row for place, row in again.items() if place[0] == noun), key=place_of))
        self.tick()

    def changes(self) -> list[Row]:
        """All of them, page by page."""
        found: list[Row] = []
        page: Row = {"next": ""}
        while page["next"] is not None:
            page = self.ask("get", "changes", params={"limit": PAGE} | ({"cursor": page["next"]} if page["next"] else {})).json()
            found += page["changes"]
        return found


def exported(connection: Connection) -> dict[str, list[Row]]:
    """Every row of every list, as `homedex export` writes them."""
    found = {}
    for listing in (SOURCES, AREAS, DEVICES, ENTITIES):
        removed = [("removed", "any")] if listing.questions.has_tombstones else []
        rows = whole(connection, listing, listing.questions.read(removed, now=START))
        found[listing.noun] = [json.loads(row) for row in rows]
    return found


def check_rows(rows: Sequence[Row], wanted: Sequence[Row]) -> None:
    """Fail with what is otherwise than wanted."""
    assert [place_of(row) for row in rows] == [place_of(row) for row in wanted]
    for row, as_wanted in zip(rows, wanted, strict=True):
        assert row.keys() == as_wanted.keys()
        other = {name: (row[name], as_wanted[name]) for name in row if text(row[name]) != text(as_wanted[name])}
        assert other == {}, place_of(row)


def place_of(row: Row) -> tuple[str, str]:
    return row["source_id"], next((row[name] for name in ("id", "device_id", "area_id") if name in row), "")


def with_times(row: Row) -> Row:
    return {name: datetime.fromisoformat(value) if name in TIMES else value for name, value in row.items()}


def predicted(function: Callable[..., Any], *args: Any) -> tuple[int, Any]:
    """The status with which the model refuses, else 0, and what it answers."""
    try:
        return 0, function(*args)
    except Refused as refused:
        return refused.status, None


def header(conditions: Row) -> dict[str, str]:
    return {name: "*" if value == "*" else f'"{value}"' for name, value in conditions.items()}


def asked(source_id: str | None) -> dict[str, str]:
    return {} if source_id is None else {"source_id": source_id}


def test_edits_and_syncs_do_what_the_model_does_and_their_changes_replayed_give_the_tables(migrated: Path) -> None:
    class Service(Machine):
        template = migrated

    often = EXAMPLES * (20 if THOROUGH else 1)
    effort = settings(max_examples=often, stateful_step_count=STEPS, derandomize=not THOROUGH, deadline=None, print_blob=True)
    run_state_machine_as_test(Service, settings=effort)
