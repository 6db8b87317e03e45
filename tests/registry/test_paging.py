"""Lists against plain Python: their order, their pages while others write, filters, totals, facets."""

import json
import math
import os
import re
import shutil
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from fastapi.testclient import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from homedex.errors import BadCursor
from homedex.registry import changes, devices, entities, orders, plans, records, schema
from homedex.registry.areas import AREAS
from homedex.registry.changes import CHANGES, Stamp
from homedex.registry.devices import DEVICES
from homedex.registry.entities import ENTITIES
from homedex.registry.pages import Listing
from homedex.registry.records import Update
from homedex.registry.sources import SOURCES, create_source
from homedex.storage import postgres
from homedex.storage.engine import create_engine
from homedex.storage.rows import run
from homedex.storage.sqlite import Options

Row = dict[str, Any]
Pairs = list[tuple[str, str]]

# HYPOTHESIS_PROFILE=thorough looks forty times longer than `make test` can.
EFFORT = 20 if os.environ.get("HYPOTHESIS_PROFILE") == "thorough" else 0.5
START = datetime(2026, 11, 22, 12, tzinfo=UTC)
MANY = 10**9
WAYS = ("order", "set", "filter", "start", "whole")
WAYS_TRIED = len(WAYS) if EFFORT > 1 else 2
"""Of them for each question, by chance."""
KEYS = {"devices": "device_id", "entities": "id", "areas": "area_id", "sources": "source_id", "changes": "seq"}
LISTS = {listing.noun: listing for listing in (DEVICES, ENTITIES, AREAS, SOURCES, CHANGES)}


def law(examples: int) -> settings:
    return settings(max_examples=max(3, int(examples * EFFORT)), deadline=None)


class Home:
    """A registry on a file of its own, with a connection that writes and one that reads."""

    def __init__(self, writer: Connection, reader: Connection) -> None:
        self.writer, self.reader, self.order = writer, reader, dict[str, list[tuple[str, str]]]()

    def write(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        with self.writer.begin():
            return function(self.writer, *args, **kwargs)

    def page(self, listing: Listing, pairs: Pairs) -> Row:
        """One page; the cursors that go with it are those of its body."""
        with self.reader.begin():
            body, cursors = listing.page(self.reader, listing.questions.read(pairs, now=START))
        page: Row = json.loads(body)
        assert cursors == {"next": page["next"], "prev": page["prev"]}
        return page

    def rows(self, noun: str) -> list[Row]:
        """Every row there is, tombstones too."""
        removed = [("removed", "any")] if LISTS[noun].questions.has_tombstones else []
        found: list[Row] = self.page(LISTS[noun], [("limit", "1000"), ("count", "none"), *removed])[noun]
        return found

    def add(self, noun: str, row: Row) -> None:
        """Register one row; `source_id`, `at`, `gone` and `last_seen` are not columns of what is created."""
        own = {name: value for name, value in row.items() if name not in {"source_id", "at", "gone", "last_seen"}}
        stamp, key = Stamp(row["at"], "api"), row[KEYS[noun]]
        self.write(records.create_rows, noun, row["source_id"], [own], stamp)
        self.order.setdefault(noun, []).append((row["source_id"], key))
        if row.get("last_seen") is not None:
            self.write(devices.record_sightings, [(key, row["last_seen"])], seen_by=row["source_id"])
        if row.get("gone"):
            self.write(records.remove_rows, noun, row["source_id"], [key], stamp)


def go(patch: pytest.MonkeyPatch, way: str) -> None:
    """Find rows that way, whatever it costs: all ways must find the same.

    "start" begins where the first match was the last time; "whole" has all matches in order from the third page on.
    """
    patch.setattr(plans, "cheapest", lambda *_: "order" if way in {"start", "whole"} else way)
    patch.setattr(orders, "SLOW_S", 0.0 if way in {"start", "whole"} else math.inf)
    patch.setattr(orders, "SORTED_S", -math.inf)
    patch.setattr(orders, "LONGEST", MANY if way == "whole" else -1)


class ServerHome(Home):
    """The same in one transaction of a PostgreSQL, which is undone in the end."""

    def write(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        with self.writer.begin_nested():
            return function(self.writer, *args, **kwargs)

    def page(self, listing: Listing, pairs: Pairs) -> Row:
        body, cursors = listing.page(self.reader, listing.questions.read(pairs, now=START))
        page: Row = json.loads(body)
        assert cursors == {"next": page["next"], "prev": page["prev"]}
        return page


@contextmanager
def home_on_server(connection: Connection) -> Iterator[Home]:
    run(connection, "BEGIN")
    try:
        yield with_sources(ServerHome(connection, connection))
    finally:
        run(connection, "ROLLBACK")
        connection.info.clear()  # what was remembered of what is undone


def with_sources(home: Home) -> Home:
    for source_id in SOURCE_IDS:
        row = {"source_id": source_id, "kind": "manual", "name": source_id, "state": "never"}
        home.write(create_source, row, Stamp(START, "api"))
    return home


Template = Path | Connection
Law = Callable[[Callable[[Template], None]], None]


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def on_engine(request: pytest.FixtureRequest) -> Law:
    """Runs a law with where its homes are to be: copies of a file, or transactions of a server."""
    if request.param == "sqlite":
        template: Path = request.getfixturevalue("migrated")
        return lambda law_of: law_of(template)
    url = request.getfixturevalue("postgresql").emptied("registry")

    async def on_server(law_of: Callable[[Template], None]) -> None:
        engine = postgres.create_engine(url, postgres.Session(), size=1)
        try:
            async with engine.connect() as connection:
                await connection.run_sync(law_of)
        finally:
            await engine.dispose()

    return lambda law_of: postgres.run_apart(partial(on_server, law_of))


@contextmanager
def home_of(template: Template, *, way: str = "filter") -> Iterator[Home]:
    if isinstance(template, Connection):  # PostgreSQL finds its own way
        with home_on_server(template) as server_home:
            yield server_home
        return
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        go(patch, way)
        path = shutil.copy(template, folder)
        mine = partial(Options, synchronous="NORMAL", application_id=schema.APPLICATION_ID)
        engines = [create_engine(path, mine()), create_engine(path, mine(query_only=True))]
        with engines[0].connect() as writer, engines[1].connect() as reader:
            yield with_sources(Home(writer, reader))


# What there is to choose from: few values, so that rows often have the same.

SOURCE_IDS = ("lab", "home")
TEXTS = (None, None, "", "a", "A", "lamp", "Lampe b", "Küche LAMP", "zz", "Äa", "日本", "💡", "a%_\\'\"", "lamp", "desk lamp")
LABELS: tuple[list[str], ...] = ([], [], ["x"], ["X", "lamp"], ["ä,\"'"])
TIMES = tuple(START + timedelta(minutes=minutes) for minutes in range(4))
OFTEN_NULL = (None, None, None, "a", "lamp", "")
COLUMNS: dict[str, dict[str, Sequence[Any]]] = {
    "areas": {
        "name": [text for text in TEXTS if text is not None],
        "floor_id": TEXTS,
        "aliases": LABELS,
        "labels": LABELS,
        "extra": ({}, {"a": "Ä"}),
        "modified_at": TIMES,
    },
    "devices": {
        **dict.fromkeys(("name", "manufacturer", "model", "serial_number", "note"), TEXTS),
        **dict.fromkeys(("name_by_user", "model_id", "integration", "sw_version", "hw_version", "entry_type"), OFTEN_NULL),
        **dict.fromkeys(("configuration_url", "via_device_id", "parent_device_id", "disabled_by"), OFTEN_NULL),
        "area_id": (None, None, "", "kitchen", "hall", "ß"),
        "labels": LABELS,
        "identifiers": ([], [["mqtt", "Lamp-1"]]),
        "connections": ([], [["mac", "aa:bb"]]),
        "extra": ({}, {"a": "Ä"}, {"b": [1, None]}),
        "source_values": ({}, {"area_id": None}, {"labels": ["Lamp"]}),
        "modified_at": TIMES,
    },
    "entities": {
        **dict.fromkeys(("name", "platform", "unique_id", "note"), TEXTS),
        **dict.fromkeys(("name_by_user", "disabled_by", "hidden_by", "entity_category", "device_class"), OFTEN_NULL),
        "area_id": (None, None, None, "", "kitchen", "hall"),
        "labels": LABELS,
        "extra": ({}, {"a": "Ä"}, {"b": [1, None]}),
        "source_values": ({}, {"area_id": None}),
        "modified_at": TIMES,
    },
}
SPELLINGS = ("q", "W", "e", "lamp", "aa", "9", "é", "Z", "a:b", "~")
SLUGS = ("light.lamp", "light.a", "sensor.kuche_lamp", "sensor.b", "light.zz", "switch.x")


@dataclass(frozen=True)
class Given:
    """A home: how many rows there are, and the seed of what they say. A row says the same whatever the others do."""

    seed: int
    areas: int
    devices: int
    entities: int

    def row(self, noun: str, number: int) -> Row:
        """What one row says, and when and by which source it was listed."""
        dice = Random(f"{self.seed} {noun} {number}")  # noqa: S311  (made-up data)
        row = {name: dice.choice(values) for name, values in COLUMNS[noun].items() if dice.random() < 0.8 or name == "name"}
        row |= {"source_id": dice.choice(SOURCE_IDS), "at": dice.choice(TIMES), "gone": dice.random() < 0.2}
        if noun == "areas":
            return row | {"area_id": ("kitchen", "hall", "ß", "b", "A")[number % 5], "source_id": SOURCE_IDS[number // 5 % 2]}
        row[KEYS[noun]] = f"{dice.choice(SPELLINGS)}{number}"
        if noun == "devices":
            return row | {"last_seen": dice.choice((None, *TIMES))}
        slug = dice.choice(SLUGS)
        device = dice.choice([None, *range(self.devices)])
        return row | {"entity_id": f"{slug}_{number}", "domain": slug.partition(".")[0], "device": device}

    def fill(self, home: Home) -> None:
        """Register all rows, devices before their entities."""
        for noun, count in (("areas", self.areas), ("devices", self.devices), ("entities", self.entities)):
            for number in range(count):
                row = self.row(noun, number)
                if (device := row.pop("device", None)) is not None:
                    row["device_id"] = home.order["devices"][device][1]
                home.add(noun, row)


SEEDS = st.integers(0, 2**32)
HOMES = {
    "devices": st.builds(Given, SEEDS, st.integers(0, 4), st.integers(7, 16), st.integers(0, 6)),
    "entities": st.builds(Given, SEEDS, st.integers(0, 4), st.integers(1, 4), st.integers(7, 16)),
    "areas": st.builds(Given, SEEDS, st.integers(5, 10), st.just(0), st.just(0)),
}


# The same in plain Python: which rows a filter finds, what they are sorted by, how well they match a search.


def holds(home: "Seen", noun: str, name: str, said: Sequence[str], row: Row) -> bool:
    """Whether a row passes one filter."""
    return any(_holds(home, noun, name, one, row) for one in said)


class Seen:
    """What the lists say: every row that there is."""

    def __init__(self, home: Home, *others: str) -> None:
        self.rows = {noun: home.rows(noun) for noun in ("areas", "devices", "entities", *others)}
        self.devices = {row["device_id"]: row for row in self.rows["devices"] if row["removed_at"] is None}

    def entities_of(self, device: Row) -> list[Row]:
        return [row for row in self.rows["entities"] if row["device_id"] == device["device_id"] and row["removed_at"] is None]

    def area_of(self, entity: Row) -> Any:
        """Where an entity stands: there where it says, else where its device does."""
        own = entity["area_id"]
        return own if own is not None else self.devices.get(entity["device_id"], {}).get("area_id")

    def area_name(self, row: Row, area_id: Any) -> Any:
        named = [
            one["name"]
            for one in self.rows["areas"]
            if (one["source_id"], one["area_id"], one["removed_at"]) == (row["source_id"], area_id, None)
        ]
        return named[0] if named else None


def _holds(seen: Seen, noun: str, name: str, said: str, row: Row) -> bool:  # noqa: PLR0911  (one answer for each)
    if name == "label":
        return said in row["labels"]
    if noun == "devices" and name in {"domain", "platform"}:
        return said in [one[name] for one in seen.entities_of(row)]
    if noun == "entities" and name in {"manufacturer", "model", "integration"}:
        return bool(seen.devices.get(row["device_id"], {}).get(name) == said)
    if noun == "entities" and name == "area_id":
        return bool(seen.area_of(row) == said)
    if name == "has_area":
        return ((seen.area_of(row) if noun == "entities" else row["area_id"]) is not None) == (said == "true")
    if name == "seen":
        return (row["last_seen"] is not None) == (said == "ever")
    if name == "since":
        return bool(row["seq"] > int(said))
    if name in {"seen_before", "seen_after"}:
        name = "last_seen__lt" if name == "seen_before" else "last_seen__gte"
    field, _, suffix = name.partition("__")
    return compares(LISTS[noun].questions.fields[field].kind, suffix, said, row[field])


def compares(kind: str, suffix: str, said: str, value: Any) -> bool:
    if suffix == "empty":
        return (value in ([], {}, "") or value is None) == (said == "true")
    if value is None:
        return False
    if suffix == "ic":
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":")) if kind == "json" else value
        return said.casefold() in text.casefold()
    wanted: Any = said
    if kind == "time":
        value, wanted = datetime.fromisoformat(value), datetime.fromisoformat(said)
    elif kind in {"flag", "number"}:
        wanted = said == "true" if kind == "flag" else int(said)
    return bool(value == wanted if not suffix else value >= wanted if suffix == "gte" else value < wanted)


def words_of(*texts: Any) -> list[str]:
    """Words as the search sees them: without case, accents and punctuation."""
    whole = " ".join(text if isinstance(text, str) else json.dumps(text, ensure_ascii=False) for text in texts if text is not None)
    plain = "".join(one for one in unicodedata.normalize("NFD", whole) if not unicodedata.combining(one))
    return re.findall(r"[^\W_]+", plain.lower())


def rank(seen: Seen, noun: str, q: str, row: Row) -> int | None:
    """How well a row matches: 0, all words stand in its names; 1, all begin words there; 2, anywhere; None, not at all."""
    wanted = words_of(q)
    if noun == "devices":
        names = words_of(row["name_by_user"], row["name"])
        own = ["manufacturer", "model", "model_id", "serial_number", "device_id", "identifiers", "connections", "labels", "note"]
        area = row["area_id"]
        others = [one["entity_id"] for one in seen.entities_of(row)]
    else:
        names = words_of(row["name_by_user"], row["name"], row["entity_id"])
        own = ["id", "unique_id", "platform", "device_class", "labels", "note"]
        area, device = seen.area_of(row), seen.devices.get(row["device_id"], {})
        others = [device.get(one) for one in ("name_by_user", "name", "manufacturer", "model", "serial_number")]
    facts = words_of(*(row[one] for one in own), *others, area, seen.area_name(row, area))
    if set(wanted) <= set(names):
        return 0
    for tier, there in ((1, names), (2, names + facts)):
        if all(any(word == one or (len(one) > 1 and word.startswith(one)) for word in there) for one in wanted):
            return tier
    return None


def nulls_first(value: Any) -> tuple[bool, Any]:
    return value is not None, "" if value is None else value


class Asked:
    """A question to one list, and which rows answer it in which order."""

    def __init__(self, noun: str, sort: Sequence[tuple[str, bool]], filters: Pairs, removed: str, q: str) -> None:
        self.noun, self.sort, self.filters, self.removed, self.q = noun, list(sort), filters, removed, q
        keys = ",".join(("-" if down else "") + name for name, down in sort)
        self.pairs: Pairs = [*filters, *([("sort", keys)] if sort else []), *([("q", q)] if q else [])]
        if removed != "false" and LISTS[noun].questions.has_tombstones:
            self.pairs.append(("removed", removed))

    def __repr__(self) -> str:
        return f"{self.noun}?{self.pairs}"

    def found(self, seen: Seen, *, but: str = "") -> list[Row]:
        """The rows it finds, as they were registered; `but` leaves out the filters of one field."""
        parameters = LISTS[self.noun].questions.filters
        said: dict[str, list[str]] = {}
        for name, value in self.filters:
            if not but or parameters[name].of != but:
                said.setdefault(name, []).append(value)
        rows = seen.rows[self.noun]
        if self.removed != "any" and LISTS[self.noun].questions.has_tombstones:
            rows = [row for row in rows if (row["removed_at"] is not None) == (self.removed == "true")]
        if self.q:
            rows = [row for row in rows if row["removed_at"] is None and rank(seen, self.noun, self.q, row) is not None]
        return [row for row in rows if all(holds(seen, self.noun, name, values, row) for name, values in said.items())]

    def sorted(self, seen: Seen) -> list[Row]:
        """The same in order: null first, then by value, then as they were registered; or by rank."""
        rows = self.found(seen)
        if self.q and not self.sort:
            return sorted(rows, key=lambda row: rank(seen, self.noun, self.q, row) or 0)
        if self.sort and self.sort[-1][1]:
            rows.reverse()
        for name, down in reversed(self.sort):
            rows.sort(key=lambda row: nulls_first(row[name]), reverse=down)
        return rows


QUERIES = ["lamp", "LA", "kuche lamp", "a", "kitchen", "light"]


def sorts_of(noun: str) -> st.SearchStrategy[list[tuple[str, bool]]]:
    fields = [name for name, one in LISTS[noun].questions.fields.items() if one.sortable]
    one = st.tuples(st.sampled_from(fields), st.booleans())
    return st.sampled_from([0, 1, 1, 2, 2, 3]).flatmap(
        lambda count: st.lists(one, min_size=count, max_size=count, unique_by=lambda key: key[0])
    )


FILTERS: dict[str, list[Pairs]] = {
    "devices": [
        [("manufacturer", "lamp"), ("manufacturer", "a")],
        [("name__ic", "LAMP")],
        [("disabled", "false"), ("has_area", "true")],
        [("seen", "ever")],
        [("last_seen__lt", "2026-11-22T12:02:00Z")],
        [("domain", "light")],
        [("source_id", "home"), ("entity_count__gte", "0")],
    ],
    "entities": [[("domain", "light")], [("area_id", "kitchen"), ("area_id", "hall")], [("manufacturer", "a")], [("label", "x")]],
    "areas": [[("source_id", "home")], [("name__ic", "a")]],
}


@st.composite
def questions(draw: st.DrawFn, noun: str) -> Asked:
    sort = draw(sorts_of(noun))
    filters, q = draw(st.sampled_from([([], ""), ([], ""), *((one, "") for one in FILTERS[noun]), *(([], q) for q in QUERIES)]))
    return Asked(
        noun, sort, filters, draw(st.sampled_from(["false", "false", "false", "any", "true"])), q if noun != "areas" else ""
    )


# What others do between two pages: (what, to the how-manieth row, what it says then).

Write = tuple[str, int, int]
WRITES = st.tuples(st.sampled_from(["add", "change", "change", "remove", "see"]), st.integers(0, 40), SEEDS)


def carry_out(home: Home, noun: str, write: Write, number: int) -> tuple[str, str]:
    """Do one write; whose row it was."""
    what, place, seed = write
    there = home.order.get(noun, [])
    row = Given(seed, 0, 0, 0).row(noun, 100 + number)
    if row.pop("device", "") is None and (known := home.order.get("devices")):
        row["device_id"] = known[seed % len(known)][1]
    if what == "add" or not there:
        row |= {"area_id": f"new{number}"} if noun == "areas" else {}
        home.add(noun, row | {"gone": False})
        return row["source_id"], row[KEYS[noun]]
    source_id, key = there[place % len(there)]
    stored = next(one for one in home.rows(noun) if identity(noun, one) == (source_id, key))
    if what == "see" and noun == "devices":
        home.write(devices.record_sightings, [(key, START + timedelta(hours=number))], seen_by="api")
    elif what == "remove" and stored["removed_at"] is None:
        home.write(records.remove_rows, noun, source_id, [key], Stamp(row["at"], "sync"))
    else:
        again = stored["removed_at"] is not None
        after = {name: row[name] for name in row.keys() & {*COLUMNS[noun], "device_id"} - {KEYS[noun]}}
        after |= {"removed_at": None} if again else {}
        update = Update(key, {name: stored[name] for name in after}, after)
        action = "restore" if again else "update"
        home.write(records.update_rows, noun, source_id, [update], Stamp(row["at"], "sync"), action=action)
    return source_id, key


def identity(noun: str, row: Row) -> tuple[Any, Any]:
    return row["source_id"], row[KEYS[noun]]


class Walk:
    """One reader who goes through the pages of a list while others write."""

    def __init__(self, home: Home, asked: Asked, size: int, pending: list[Write]) -> None:
        self.home, self.asked, self.size, self.pending = home, asked, size, pending
        self.noun, self.touched = asked.noun, set[tuple[str, str]]()

    def page(self, cursor: str | None) -> Row:
        """One page, held against all rows as they are; then the next write."""
        pairs = [*self.asked.pairs, ("limit", str(self.size)), *([("cursor", cursor)] if cursor is not None else [])]
        page = self.home.page(LISTS[self.noun], pairs)
        seen = Seen(self.home)
        order = [identity(self.noun, row) for row in self.asked.sorted(seen)]
        found = [identity(self.noun, row) for row in page[self.noun]]
        assert len(found) <= self.size
        assert page["total"] == len(order)
        assert found == [one for one in order if one in found], ("a page is in order", self.asked, pairs)
        if self.pending:
            self.touched.add(carry_out(self.home, self.noun, self.pending.pop(), len(self.pending)))
        return page

    def go(self, way: str, page: Row) -> list[list[Row]]:
        """The pages from here to the end, this one included, in the order of the list."""
        walked = [page[self.noun]]
        while page[way] is not None:
            page = self.page(page[way])
            walked.append(page[self.noun])
            assert len(walked) < 100
        return walked if way == "next" else walked[::-1]


def check_walk(template: Template, given: Given, walk_of: Callable[[Home], Walk], way: str) -> None:
    with home_of(template, way=way) as home:
        given.fill(home)
        walk = walk_of(home)
        noun, asked = walk.noun, walk.asked
        before = [identity(noun, row) for row in asked.sorted(Seen(home))]
        assert [identity(noun, row) for row in Seen(home).rows[noun]] == registered(noun, home)

        forward: list[list[Row]] = []
        page: Row = {"next": ""}
        cursor = None
        while page["next"] is not None:
            page = walk.page(cursor)
            cursor = page["next"]
            forward.append(page[noun])
            assert len(forward) < 100
        assert_none_is_lost(walk, before, forward)

        backward = walk.go("prev", page)
        assert_none_is_lost(walk, before, backward)

        walk.pending.clear()
        first = walk.page(None)
        again = walk.go("next", first)
        now = [identity(noun, row) for row in asked.sorted(Seen(home))]
        assert flat(noun, again) == now
        assert all(len(rows) == walk.size for rows in again[:-1]), "but for the last, pages are full"


def registered(noun: str, home: Home) -> list[tuple[str, str]]:
    """The order of a list nobody sorts: as rows came, areas by their ids."""
    order = home.order.get(noun, [])
    return order if noun != "areas" else sorted(order, key=lambda one: (one[1], one[0]))


def flat(noun: str, walked: list[list[Row]]) -> list[tuple[str, str]]:
    return [identity(noun, row) for rows in walked for row in rows]


def assert_none_is_lost(walk: Walk, before: list[tuple[str, str]], walked: list[list[Row]]) -> None:
    """Every row that nobody touched was met once, and in order."""
    stayed = [one for one in before if one not in walk.touched]
    assert [one for one in flat(walk.noun, walked) if one in stayed] == stayed


@pytest.mark.parametrize(("noun", "examples"), [("devices", 50), ("entities", 25), ("areas", 20)])
def test_paging_loses_no_row_and_repeats_none_while_others_write(on_engine: Law, noun: str, examples: int) -> None:
    def law_of(migrated: Template) -> None:
        @law(examples)
        @given(HOMES[noun], questions(noun), st.integers(1, 7), st.lists(WRITES, max_size=8), st.sampled_from(WAYS))
        def holds_always(given: Given, asked: Asked, size: int, pending: list[Write], way: str) -> None:
            check_walk(migrated, given, lambda home: Walk(home, asked, size, pending), way)

        holds_always()

    on_engine(law_of)


# Filters, totals, facets.

WHOLE = st.builds(Given, SEEDS, st.integers(1, 10), st.integers(1, 14), st.integers(1, 14))
USUAL = ("", "a", "LAMP", "x", "Ä", '"', "1")


def sayings(seen: Seen, noun: str, name: str) -> list[str]:
    """Values for a filter: those that rows have, and others."""
    parameter = LISTS[noun].questions.filters[name]
    if parameter.choices or parameter.kind == "flag":
        return list(parameter.choices or ("true", "false"))
    if parameter.kind == "number":
        return ["-1", "0", "1", "2", "5", "20"]
    if parameter.kind == "time":
        return [f"2026-11-22T12:0{minute}:00{zone}" for minute in range(4) for zone in ("Z", "+00:01")]
    rows = [row for other in {noun, "devices", "entities"} for row in seen.rows[other]]
    values = [row.get(parameter.of if name != "label" else "labels", row.get(name)) for row in rows]
    texts = [one for value in values for one in (value if isinstance(value, list) else [value]) if isinstance(one, str)]
    return [*texts, *USUAL]


def found_by(home: Home, asked: Asked) -> Row:
    return home.page(LISTS[asked.noun], [*asked.pairs, ("limit", "1000")])


@pytest.mark.parametrize("noun", LISTS)
def test_every_filter_finds_what_plain_python_finds(on_engine: Law, noun: str) -> None:
    sortable = [name for name, one in LISTS[noun].questions.fields.items() if one.sortable]

    def law_of(migrated: Template) -> None:
        @law(4)
        @given(WHOLE, SEEDS)
        def holds_always(given: Given, seed: int) -> None:
            dice = Random(seed)  # noqa: S311  (made-up questions)
            with home_of(migrated) as home, pytest.MonkeyPatch.context() as patch:
                given.fill(home)
                seen = Seen(home, noun)
                for number, (name, parameter) in enumerate(LISTS[noun].questions.filters.items(), seed % 2):
                    values = dice.choices(sayings(seen, noun, name), k=1 + number % 2)
                    by = parameter.of if parameter.of in sortable else sortable[number % len(sortable)]
                    sort = [] if number % 3 == 1 else [(by, number % 2 == 1)]
                    asked = Asked(noun, sort, [(name, value) for value in values], "any" if number % 5 else "false", "")
                    order = [identity(noun, row) for row in asked.sorted(seen)]
                    for way in WAYS[:1] if isinstance(migrated, Connection) else dice.sample(WAYS, WAYS_TRIED):
                        go(patch, way)
                        for page in [found_by(home, asked) for _ in range(3)]:
                            assert [identity(noun, row) for row in page[noun]] == order, (asked, way)
                            assert page["total"] == len(order), (asked, way)

        holds_always()

    on_engine(law_of)


def counted(seen: Seen, asked: Asked, name: str) -> list[Row]:
    """A facet: how many rows have each value, under all filters but its own; most first, then by value."""
    of_entity = asked.noun == "entities" and name == "area_id"
    values = Counter(seen.area_of(row) if of_entity else row[name] for row in asked.found(seen, but=name))
    order = sorted(values.items(), key=lambda one: (-one[1], *nulls_first(one[0])))
    return [{"value": value, "count": count} for value, count in order]


def facets_of(noun: str) -> list[str]:
    return [name for name, one in LISTS[noun].questions.fields.items() if one.facet]


@pytest.mark.parametrize("noun", LISTS)
def test_facets_count_what_plain_python_counts(on_engine: Law, noun: str) -> None:
    def law_of(migrated: Template) -> None:
        @law(8)
        @given(WHOLE, SEEDS)
        def holds_always(given: Given, seed: int) -> None:
            dice = Random(seed)  # noqa: S311  (made-up questions)
            with home_of(migrated) as home:
                given.fill(home)
                seen = Seen(home, noun)
                for name in facets_of(noun):
                    other = dice.choice(list(LISTS[noun].questions.filters))
                    filters = [(one, dice.choice(sayings(seen, noun, one))) for one in {name, other} if dice.random() < 0.8]
                    q = dice.choice(["", "lamp"]) if LISTS[noun].questions.searchable else ""
                    asked = Asked(noun, [], filters, "false", q)
                    page = home.page(LISTS[noun], [*asked.pairs, ("facet", name)])
                    assert page["facets"] == {name: counted(seen, asked, name)}, asked

        holds_always()

    on_engine(law_of)


STANDING = [
    *(
        Asked(noun, [], filters, removed, "")
        for noun in FILTERS
        for filters in ([], *FILTERS[noun])
        for removed in ("false", "any")
    ),
    *(Asked(noun, [], [], "false", "lamp") for noun in ("devices", "entities")),
]


def test_totals_and_facets_are_right_after_every_write(on_engine: Law) -> None:
    def law_of(migrated: Template) -> None:
        @law(6 if isinstance(migrated, Connection) else 12)
        @given(WHOLE, st.lists(st.tuples(st.sampled_from(["devices", "entities", "areas"]), WRITES), max_size=6))
        def holds_always(given: Given, pending: list[tuple[str, Write]]) -> None:
            with home_of(migrated) as home:
                given.fill(home)
                for number, (noun, write) in enumerate([("", ("", 0, 0)), *pending]):
                    if noun:
                        carry_out(home, noun, write, number)
                    seen = Seen(home)
                    for asked in STANDING:
                        facets = facets_of(asked.noun)
                        page = home.page(LISTS[asked.noun], [*asked.pairs, ("facet", ",".join(facets)), ("limit", "1")])
                        assert page["total"] == len(asked.found(seen)), (asked, write)
                        assert page["facets"] == {name: counted(seen, asked, name) for name in facets}, (asked, write)

        holds_always()

    on_engine(law_of)


@pytest.fixture
def home(migrated: Path) -> Iterator[Home]:
    """A home with eight devices, two of each maker, and two entities each."""
    with home_of(migrated) as found:
        for number in range(8):
            row: Row = {"source_id": "lab", "at": START, "device_id": f"d{number}", "manufacturer": "ABCD"[number // 2]}
            found.add("devices", row)
            for domain in ("light", "sensor"):
                names = {"id": f"{domain}{number}", "entity_id": f"{domain}.d{number}", "domain": domain}
                found.add("entities", {"source_id": "lab", "at": START, "device_id": f"d{number}", **names})
        yield found


def test_the_total_of_the_changes_is_right_after_some_were_forgotten(home: Home) -> None:
    before = home.page(CHANGES, [])["total"]
    forgotten = home.write(changes.prune, keep=timedelta(), now=START + timedelta(days=1))
    after = home.page(CHANGES, [("facet", "kind")])
    assert (forgotten, after["total"], len(after["changes"])) == (before - 1, 1, 1)
    assert after["facets"] == {"kind": [{"value": "entity", "count": 1}]}


def test_a_facet_of_who_saw_a_device_is_right_after_each_sighting(home: Home) -> None:
    assert home.page(DEVICES, [("facet", "seen_by")])["facets"] == {"seen_by": [{"value": None, "count": 8}]}
    home.write(devices.record_sightings, [("d3", START)], seen_by="broker")
    counts = [{"value": None, "count": 7}, {"value": "broker", "count": 1}]
    assert home.page(DEVICES, [("facet", "seen_by")])["facets"] == {"seen_by": counts}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("pairs", [[], [("manufacturer", "A")], [("manufacturer", "A"), ("sort", "-name")], [("q", "d1")]])
def test_without_a_count_a_page_is_the_same_but_for_its_total(home: Home, pairs: Pairs, way: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        go(patch, way)
        counted = home.page(DEVICES, [*pairs, ("limit", "1")])
        uncounted = home.page(DEVICES, [*pairs, ("limit", "1"), ("count", "none")])
    del counted["total"]
    assert uncounted == counted


OTHERS: list[Pairs] = [
    [],
    [("manufacturer", "B"), ("sort", "name")],
    [("manufacturer", "A"), ("manufacturer", "B"), ("sort", "name")],
    [("manufacturer", "A"), ("sort", "-name")],
    [("manufacturer", "A"), ("sort", "name,model")],
    [("manufacturer", "A")],
    [("manufacturer", "A"), ("sort", "name"), ("q", "light")],
    [("manufacturer", "A"), ("sort", "name"), ("removed", "any")],
    [("manufacturer__ic", "A"), ("sort", "name")],
]


@pytest.mark.parametrize("others", OTHERS)
def test_a_cursor_is_refused_by_every_other_question(home: Home, others: Pairs) -> None:
    mine: Pairs = [("manufacturer", "A"), ("sort", "name")]
    cursor = ("cursor", home.page(DEVICES, [*mine, ("limit", "1")])["next"])
    with pytest.raises(BadCursor):
        home.page(DEVICES, [*others, cursor])
    assert len(home.page(DEVICES, [*mine, cursor, ("limit", "9"), ("fields", "name"), ("count", "none")])["devices"]) == 1


def test_a_ranked_cursor_is_refused_by_another_search(home: Home) -> None:
    cursor = ("cursor", home.page(DEVICES, [("q", "light"), ("limit", "1")])["next"])
    for others in ([("q", "light.d1")], [("q", "light"), ("sort", "name")], []):
        with pytest.raises(BadCursor):
            home.page(DEVICES, [*others, cursor])
    assert len(home.page(DEVICES, [("q", "light"), cursor])["devices"]) == 7


def test_what_is_asked_of_one_device_stays_with_it(home: Home) -> None:
    def found(listing: Listing, query: Any, pairs: Pairs) -> list[Row]:
        with home.reader.begin():
            body, _ = query(home.reader, "d1", listing.questions.read(pairs, now=START))
        rows: list[Row] = json.loads(body)[listing.noun]
        return rows

    of_device = partial(found, ENTITIES, entities.list_entities_of_device)
    assert {row["device_id"] for row in of_device([("domain", "light"), ("device_id", "d1")])} == {"d1"}
    assert of_device([("device_id", "d2")]) == []
    assert len(of_device([("device_id", "d1"), ("device_id", "d2"), ("device_id", "d3")])) == 2
    changes_of = partial(found, CHANGES, changes.list_changes_of_device)
    assert {row["key"] for row in changes_of([])} == {"d1"}
    assert changes_of([("key", "d2")]) == changes_of([("kind", "entity"), ("key", "light1")]) == []


def test_a_cursor_holds_the_longest_values_there_are(home: Home) -> None:
    longest = dict.fromkeys(("name", "manufacturer", "model"), "\U0001f4a1" * 1024)
    for number in range(3):
        home.add("devices", {"source_id": "lab", "at": START, "device_id": f"long{number}", **longest})
    asked: Pairs = [("name__gte", "\U0001f4a1"), ("sort", "name,-manufacturer,model,modified_at,device_id")]
    assert found_page_by_page(home, asked) == ["long0", "long1", "long2"]


def found_page_by_page(home: Home, asked: Pairs) -> list[str]:
    """The devices that are found one to a page."""
    found: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = home.page(DEVICES, [*asked, ("limit", "1"), *([("cursor", cursor)] if cursor else [])])
        found += [row["device_id"] for row in page["devices"]]
        cursor = page["next"]
    return found


def test_the_members_asked_for_change_neither_pages_nor_order(home: Home) -> None:
    asked: Pairs = [("sort", "-manufacturer,device_id"), ("limit", "3")]
    whole = home.page(DEVICES, asked)
    part = home.page(DEVICES, [*asked, ("fields", "device_id"), ("expand", "entities")])
    assert [list(row) for row in part["devices"]] == [["device_id", "entities"]] * 3
    assert [row["device_id"] for row in part["devices"]] == [row["device_id"] for row in whole["devices"]] == ["d6", "d7", "d4"]
    assert (part["next"], part["total"]) == (whole["next"], whole["total"])


def test_the_link_header_has_the_cursors_of_the_body(client: TestClient) -> None:
    for name in ("a", "b", "c", "d", "e"):
        client.put(f"/api/v1/devices/{name}", json={"name": "Ä & b", "labels": ["ü"]})
    path = "/api/v1/devices?limit=2&label=%C3%BC&name=%C3%84+%26+b&sort=-name"
    seen: list[str] = []
    followed: str | None = path
    while followed:
        answer = client.get(followed)
        page = answer.json()
        links = answer.links
        cursors = {rel: dict(parse_qsl(urlsplit(links[rel]["url"]).query))["cursor"] for rel in ("next", "prev") if rel in links}
        assert cursors == {rel: page[rel] for rel in ("next", "prev") if page[rel] is not None}
        assert client.get(links["first"]["url"]).json()["devices"][0]["device_id"] == "e"
        seen += [device["device_id"] for device in page["devices"]]
        followed = links.get("next", {}).get("url")
    assert seen == ["e", "d", "c", "b", "a"]


def test_a_list_of_one_page_has_no_links(client: TestClient) -> None:
    assert "link" not in client.get("/api/v1/devices").headers


def test_a_sort_by_relevance_is_the_order_of_a_search(home: Home) -> None:
    assert home.page(DEVICES, [("q", "light"), ("sort", "relevance")]) == home.page(DEVICES, [("q", "light")])
    assert home.page(DEVICES, [("sort", "relevance")])["devices"] == home.page(DEVICES, [])["devices"]
