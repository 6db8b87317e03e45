"""Search: what `q` finds and in which order, and that the index says what the tables say after every kind of write."""

import asyncio
import os
import shutil
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from homedex.errors import HomedexError
from homedex.ingest.observation import Observation, Row
from homedex.ingest.run import apply_sync
from homedex.registry import edits, schema, search, words
from homedex.registry.changes import Stamp
from homedex.registry.devices import DEVICES
from homedex.registry.edits import DryRun, Edit
from homedex.registry.entities import ENTITIES
from homedex.storage.database import Database
from homedex.storage.engine import create_engine
from homedex.storage.sqlite import Options
from servers import write

V1 = "/api/v1"
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
EFFORT = 40 if os.environ.get("HYPOTHESIS_PROFILE") == "thorough" else 1


def put(client: TestClient, path: str, **facts: Any) -> Any:
    answer = client.put(f"{V1}/{path}", json=facts)
    assert answer.status_code in {200, 201}, answer.text
    return answer.json()


def patch(client: TestClient, path: str, **facts: Any) -> None:
    answer = client.patch(f"{V1}/{path}", json=facts)
    assert answer.status_code == 200, answer.text


def bulk(client: TestClient, noun: str, *rows: Row) -> None:
    answer = client.post(f"{V1}/{noun}/bulk", json={noun: list(rows)})
    assert answer.status_code == 200, answer.text


def sync(client: TestClient, **kinds: list[Row]) -> None:
    """What the source `home` lists now."""
    observed = Observation("home", "home_assistant", "Home", **kinds)  # type: ignore[arg-type]
    write(client, apply_sync, observed, allow_removals=True, now=datetime.now(UTC))


def found(client: TestClient, q: str, noun: str = "devices", **query: str) -> list[str]:
    """The ids of the devices, or the entity_ids of the entities, that a search finds, in its order."""
    answer = client.get(f"{V1}/{noun}", params={"q": q, **query})
    assert answer.status_code == 200, answer.text
    page = answer.json()
    assert page["total"] == len(page[noun])
    return [row["device_id" if noun == "devices" else "entity_id"] for row in page[noun]]


# What is found.


@pytest.mark.parametrize("q", ["kitchen", "KITCHEN", "kit", "ki", "lamp kit", "kitchen lamp", "la  la", " lamp "])
def test_words_are_found_by_their_beginnings_whatever_the_case_and_order(client: TestClient, q: str) -> None:
    put(client, "devices/a", name="Kitchen lamp")
    assert found(client, q) == ["a"]


@pytest.mark.parametrize("q", ["itchen", "kitchen desk", "kitchenlamp", "kitchens", "k"])
def test_every_word_must_begin_a_word(client: TestClient, q: str) -> None:
    put(client, "devices/a", name="Kitchen lamp")
    assert found(client, q) == []


@pytest.mark.parametrize(("name", "q"), [("Küche", "kuche"), ("kuche", "KÜCHE"), ("Ångström", "angstrom"), ("Кухня", "кух")])
def test_accents_and_case_make_no_difference(client: TestClient, name: str, q: str) -> None:
    put(client, "devices/composed", name=unicodedata.normalize("NFC", name))
    put(client, "devices/decomposed", name=unicodedata.normalize("NFD", name))
    assert found(client, q) == found(client, q.swapcase()) == ["composed", "decomposed"]


QUOTED = [
    *("lamp*", "*lamp", '"lamp', 'lamp"', '"kitchen lamp"', "-lamp", "+lamp", "^kitchen", "lamp^", "lamp:", "(lamp)", "lamp)"),
    *("lamp ?", "lamp 💡", "kitchen,lamp"),
]
STRANGE = [
    *(
        '"',
        '""',
        "*",
        "NEAR(",
        "NEAR(kitchen lamp)",
        "NEAR(a, 2)",
        "AND",
        "OR",
        "NOT",
        "kitchen AND lamp",
        "kitchen NOT lamp",
        "OR lamp",
    ),
    *("-", "^", ":", "names:kitchen", "names : kitchen", "{names facts} : lamp", "(", ")", "((", "()", "'", "';--", "%", "_", "?"),
    *("\U0001f4a1", "\U0001f4a1\U0001f4a1", "!!!", ".", "...", "a.b", "\\", "\\\\", "/", "#", ",", "lamp,kitchen", "[]", "{}", "<"),
    *("½", "①", "٣", "ⅷ", "﷽", "\u0301", "a\u0301", "\u200b", "\ufeff", "lamp\u200bx", "\x01", "\x7f", "a\tb", "\U0010fffd", "—"),
]


@pytest.mark.parametrize(("searches", "finds"), [(QUOTED, True), (STRANGE, False)], ids=["quoted", "strange"])
def test_nothing_in_a_search_is_an_operator(client: TestClient, searches: Sequence[str], *, finds: bool) -> None:
    put(client, "devices/q9", name="Kitchen lamp")
    ways: tuple[dict[str, str], ...]
    ways = ({}, {"sort": "name"}, {"removed": "any"}, {"sort": "-last_seen"}, {"facet": "model"}, {"source_id": "manual"})
    for q, query in product(searches, ways):
        assert found(client, q, **query) == (["q9"] if finds else []), (q, query)
        uncounted = client.get(f"{V1}/devices", params={"q": q, "count": "none", **query})
        assert uncounted.status_code == 200, (q, query)
    for q in searches:
        assert found(client, q, removed="true", sort="name") == [], q
        assert client.get(f"{V1}/devices.ndjson", params={"q": q}).status_code == 200, q


def test_a_single_letter_or_digit_is_a_word_of_its_own(client: TestClient) -> None:
    put(client, "devices/d1", name="Plug S 2")
    put(client, "devices/d2", name="Plug Socket 21")
    assert found(client, "plug s") == found(client, "2 pl") == ["d1"]
    assert found(client, "so") == found(client, "21") == ["d2"]
    put(client, "devices/d3", name="日本語")
    assert found(client, "日") == ["d3"]


def test_the_words_of_operators_are_words(client: TestClient) -> None:
    put(client, "devices/a", name="Near and not or")
    for q in ("AND", "NOT", "or NEAR", "near(and", "NOT AND"):
        assert found(client, q) == ["a"]


def test_too_many_words_are_refused(client: TestClient) -> None:
    put(client, "devices/a", name=" ".join(f"w{number}" for number in range(40)))
    assert found(client, " ".join(f"w{number}" for number in range(32))) == ["a"]
    answer = client.get(f"{V1}/devices", params={"q": " ".join(f"w{number}" for number in range(33))})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "q")


def test_a_search_without_words_finds_nothing_and_an_empty_one_is_none(client: TestClient) -> None:
    put(client, "devices/a", name="x")
    assert found(client, "!") == []
    assert found(client, "") == found(client, "   ") == found(client, "\u2028") == ["a"]


def test_whole_words_of_a_name_come_first_then_beginnings_then_other_facts(client: TestClient) -> None:
    put(client, "devices/fact", name="x", model="Lamp")
    put(client, "devices/begun", name="Lampshade")
    put(client, "devices/whole", name="Old lamp")
    put(client, "devices/mine", name="x", name_by_user="lamp")
    put(client, "devices/half", name="Lampshade", note="desk")
    assert found(client, "lamp") == ["whole", "mine", "begun", "half", "fact"]
    assert found(client, "lamp desk") == ["half"]
    assert found(client, "lamp", sort="device_id") == ["begun", "fact", "half", "mine", "whole"]


def test_a_device_is_found_by_all_that_is_said_of_it(client: TestClient) -> None:
    put(client, "areas/kg", name="Keller")
    facts = {"name": "n1", "name_by_user": "n2", "manufacturer": "n3", "model": "n4", "model_id": "n5", "serial_number": "n6"}
    lists = {"identifiers": [["mqtt", "i-7"]], "connections": [["mac", "aa:bb:cc"]], "labels": ["warm"], "note": "from aunt"}
    put(client, "devices/id9", **facts, **lists, area_id="kg")
    put(client, "entities/light.ceiling", device_id="id9")
    for q in (*facts.values(), "i-7", "mqtt", "aa:bb:cc", "aa:bb", "warm", "aunt", "kg", "keller", "id9", "light.ceiling", "ceil"):
        assert found(client, q) == ["id9"], q


def test_an_entity_is_found_by_all_that_is_said_of_it(client: TestClient) -> None:
    put(client, "areas/kg", name="Keller")
    put(client, "devices/d", name="n1", name_by_user="n2", manufacturer="n3", model="n4", serial_number="n5", area_id="kg")
    own = {"name": "e1", "name_by_user": "e2", "platform": "e3", "unique_id": "e4", "device_class": "e5", "note": "e6"}
    entity = put(client, "entities/light.ceiling", device_id="d", labels=["warm"], **own)
    for q in (*own.values(), "n1", "n2", "n3", "n4", "n5", "warm", "kg", "keller", "light.ceiling", "ceil", entity["id"]):
        assert found(client, q, "entities") == ["light.ceiling"], q


# What is found after it was written.


def test_a_put_a_patch_a_removal_and_a_return_are_found_at_once(client: TestClient) -> None:
    put(client, "devices/a", name="one")
    assert (found(client, "one"), found(client, "two")) == (["a"], [])
    put(client, "devices/a", name="two")
    assert (found(client, "one"), found(client, "two")) == ([], ["a"])
    patch(client, "devices/a", name="three", note="four")
    assert (found(client, "two"), found(client, "three four")) == ([], ["a"])
    client.delete(f"{V1}/devices/a")
    assert found(client, "three") == found(client, "three", removed="any") == found(client, "three", removed="true") == []
    put(client, "devices/a", name="five")
    assert (found(client, "four"), found(client, "five")) == ([], ["a"])


def test_bulk_edits_are_found_at_once(client: TestClient) -> None:
    bulk(client, "devices", {"device_id": "a", "name": "one"}, {"device_id": "b", "name": "one"})
    bulk(client, "devices", {"device_id": "b", "name": "two"}, {"device_id": "c", "name": "one"})
    bulk(client, "entities", {"entity_id": "light.x", "device_id": "a"}, {"entity_id": "light.y", "device_id": "c"})
    assert (found(client, "one"), found(client, "two")) == (["a", "c"], ["b"])
    assert (found(client, "light.y"), found(client, "one", "entities")) == (["c"], ["light.x", "light.y"])


def test_a_dry_run_leaves_the_index_alone(client: TestClient) -> None:
    put(client, "devices/a", name="one")
    client.post(f"{V1}/devices/bulk?dry_run=true", json={"devices": [{"device_id": "a", "name": "two"}, {"device_id": "b"}]})
    assert (found(client, "one"), found(client, "two"), found(client, "b")) == (["a"], [], [])


def test_a_renamed_area_is_found_with_its_devices_and_entities(client: TestClient) -> None:
    put(client, "devices/a", area_id="k")
    put(client, "entities/light.a", device_id="a")
    put(client, "entities/light.b", area_id="k")
    put(client, "areas/k", name="Pantry")
    assert (found(client, "pantry"), found(client, "pantry", "entities")) == (["a"], ["light.a", "light.b"])
    patch(client, "areas/k", name="Larder")
    assert found(client, "pantry") == found(client, "pantry", "entities") == []
    assert (found(client, "larder"), found(client, "larder", "entities")) == (["a"], ["light.a", "light.b"])


def test_a_removed_area_is_not_found_any_more(client: TestClient) -> None:
    put(client, "areas/k", name="Pantry")
    put(client, "devices/a", area_id="k")
    put(client, "entities/light.a", device_id="a")
    assert (found(client, "pantry"), found(client, "pantry", "entities")) == (["a"], ["light.a"])
    assert client.delete("/api/v1/areas/k").status_code == 204
    assert found(client, "pantry") == found(client, "pantry", "entities") == []
    put(client, "areas/k", name="Pantry")
    assert (found(client, "pantry"), found(client, "pantry", "entities")) == (["a"], ["light.a"])


def test_a_renamed_area_is_not_found_with_what_a_removed_device_left(client: TestClient) -> None:
    put(client, "areas/k", name="Pantry")
    put(client, "devices/a", area_id="k", name="Freezer")
    put(client, "entities/light.a", device_id="a")
    client.delete(f"{V1}/devices/a")
    before = found(client, "pantry", "entities")
    patch(client, "areas/k", name="Larder")
    assert found(client, "larder", "entities") == before
    assert found(client, "pantry", "entities") == []


def test_an_entity_takes_its_device_along_when_it_is_renamed_removed_or_moved(client: TestClient) -> None:
    put(client, "devices/a")
    put(client, "devices/b")
    put(client, "entities/light.one", device_id="a")
    patch(client, "entities/light.one", entity_id="light.two")
    assert (found(client, "light.one"), found(client, "light.two")) == ([], ["a"])
    patch(client, "entities/light.two", device_id="b")
    assert found(client, "light.two") == ["b"]
    client.delete(f"{V1}/entities/light.two")
    assert found(client, "light.two") == found(client, "two", "entities") == []
    put(client, "entities/light.two", device_id="a")
    assert found(client, "light.two") == ["a"]


def test_a_device_takes_its_entities_along_when_it_is_renamed_or_changes_its_area(client: TestClient) -> None:
    put(client, "areas/k", name="Pantry")
    put(client, "devices/a", name="one")
    put(client, "entities/light.x", device_id="a")
    patch(client, "devices/a", name="two", area_id="k")
    assert found(client, "one", "entities") == []
    assert found(client, "two pantry", "entities") == ["light.x"]


def test_a_sync_is_found_at_once(client: TestClient) -> None:
    def listed(area: str, device: str, *names: str) -> None:
        rows = [{"id": f"e{number}", "entity_id": f"light.{name}", "device_id": "d"} for number, name in enumerate(names)]
        kept = [row | {"domain": "light", "platform": "hue"} for row in rows]
        sync(
            client,
            areas=[{"area_id": "k", "name": area}],
            devices=[{"device_id": "d", "name": device, "area_id": "k"}],
            entities=kept,
        )

    listed("Pantry", "one", "a", "b")
    assert (found(client, "one pantry light.b"), found(client, "one pantry", "entities")) == (["d"], ["light.a", "light.b"])
    listed("Larder", "two", "b", "a")
    assert (found(client, "pantry"), found(client, "one", "entities")) == ([], [])
    assert (found(client, "two larder light.a"), found(client, "larder", "entities")) == (["d"], ["light.b", "light.a"])
    listed("Larder", "two", "c")
    assert (found(client, "light.a"), found(client, "light.c"), found(client, "larder", "entities")) == ([], ["d"], ["light.c"])


def test_a_user_field_of_a_synced_device_is_found(client: TestClient) -> None:
    sync(client, devices=[{"device_id": "d", "name": "one", "name_by_user": None}])
    patch(client, "devices/d", name_by_user="mine", note="precious")
    sync(client, devices=[{"device_id": "d", "name": "two", "name_by_user": "theirs"}])
    assert (found(client, "mine two precious"), found(client, "theirs")) == (["d"], [])


# The index is what it would be if it were made anew.

INDEXES = search.DOCUMENTS


@contextmanager
def opened(template: Path) -> Iterator[tuple[Database, Connection]]:
    """A registry with a second, empty index beside each, and views of the words in all of them, on a connection of its own."""
    options = Options(synchronous="NORMAL", application_id=schema.APPLICATION_ID)
    with TemporaryDirectory() as folder:
        path = str(shutil.copy(template, folder))
        with create_engine(path, options).connect() as connection:
            with connection.begin():
                for name in INDEXES:
                    made = connection.exec_driver_sql(f"SELECT sql FROM sqlite_schema WHERE name = '{name}'").scalar_one()
                    connection.exec_driver_sql(made.replace(name, f"{name}_anew"))
                    for index in (name, f"{name}_anew"):
                        connection.exec_driver_sql(f"CREATE VIRTUAL TABLE {index}_words USING fts5vocab({index}, instance)")
            database = Database.open(path, synchronous="NORMAL", readers=1, application_id=schema.APPLICATION_ID)
            try:
                yield database, connection
            finally:
                asyncio.run(database.close())


def words_in(connection: Connection, index: str) -> list[Any]:
    """Every word of every document; in which order those of one column stand means nothing."""
    counted = f"SELECT term, doc, col, count(*) FROM {index}_words GROUP BY term, doc, col ORDER BY doc, col, term"
    return list(connection.exec_driver_sql(counted).all())


def check_index(connection: Connection) -> None:
    for name, documents in INDEXES.items():
        with connection.begin() as transaction:
            connection.exec_driver_sql(f"INSERT INTO {name}_anew (rowid, names, facts) {documents.format(plus='', which='> 0')}")
            kept, anew = words_in(connection, name), words_in(connection, f"{name}_anew")
            connection.exec_driver_sql(f"INSERT INTO {name}({name}) VALUES ('integrity-check')")
            transaction.rollback()
        assert kept == anew


NAMES = ("lamp", "Küche", "desk lamp", "hall", None)
AREAS, DEVICE_IDS, SLUGS = ("k", "w"), ("a", "b", "h1", "h2"), ("light.x", "light.y", "sensor.z")


def device_facts(dice: Random) -> Row:
    facts = {"name": NAMES, "name_by_user": NAMES, "model": NAMES, "area_id": (*AREAS, None), "labels": ([], ["warm"], ["x", "y"])}
    return chosen(dice, facts | {"serial_number": ("s1", None), "note": NAMES, "identifiers": ([], [["mqtt", "lamp-1"]])})


def entity_facts(dice: Random) -> Row:
    facts = {"name": NAMES, "name_by_user": NAMES, "area_id": (*AREAS, None), "labels": ([], ["warm"]), "unique_id": ("u1", None)}
    return chosen(dice, facts | {"device_id": (*DEVICE_IDS, None), "platform": ("hue", None), "note": NAMES})


def chosen(dice: Random, values: dict[str, Any]) -> Row:
    return {name: dice.choice(of) for name, of in values.items() if dice.random() < 0.5}


def observation(dice: Random) -> Observation:
    areas = [{"area_id": key, "name": dice.choice(NAMES[:4])} for key in AREAS if dice.random() < 0.7]
    listed = [key for key in DEVICE_IDS if dice.random() < 0.7]
    devices = [device_facts(dice) | {"device_id": key} for key in listed]
    for row in devices:
        row.pop("note", None)
    entities = []
    for key, slug in zip(("e1", "e2", "e3"), dice.sample(SLUGS, 3), strict=True):
        if dice.random() < 0.7:
            facts = entity_facts(dice) | {"id": key, "entity_id": slug, "domain": slug.partition(".")[0]}
            facts |= {"device_id": dice.choice([*listed, None]), "platform": "hue"}
            facts.pop("note", None)
            entities.append(facts)
    return Observation("home", "home_assistant", "Home", areas=areas, devices=devices, entities=entities)


def edit_of(noun: str, dice: Random, way: Any) -> Edit:
    if noun == "devices":
        return Edit(dice.choice(DEVICE_IDS), device_facts(dice), way)
    if noun == "areas":
        return Edit(dice.choice(AREAS), {"name": dice.choice(NAMES[:4])}, way)
    facts = entity_facts(dice)
    if way != "put" and dice.random() < 0.3:
        facts["entity_id"] = dice.choice(SLUGS)
    return Edit(dice.choice(SLUGS) if dice.random() < 0.8 else dice.choice(("e1", "e2")), facts, way)


Write = tuple[str, str, int]
WRITES = st.tuples(
    st.sampled_from(["put", "put", "patch", "patch", "remove", "bulk", "dry run", "sync"]),
    st.sampled_from(["devices", "entities", "areas"]),
    st.integers(0, 2**32),
)


def written(connection: Connection, what: str, noun: str, seed: int, now: datetime) -> Any:
    """One write, if the rows there allow it."""
    dice, stamp = Random(seed), Stamp(now, "api")  # noqa: S311  (made-up writes)
    if what in {"put", "patch"}:
        return edits.apply_one(connection, noun, edit_of(noun, dice, what), stamp)
    if what == "remove":
        return edits.remove_one(connection, noun, edit_of(noun, dice, "patch"), stamp)
    if what == "bulk":
        return edits.apply(connection, noun, [edit_of(noun, dice, "upsert") for _ in range(5)], stamp)
    if what == "dry run":
        rows = [edit_of(noun, dice, "upsert") for _ in range(5)]
        return edits.apply_bulk(connection, noun, rows, stamp, atomic=False, dry_run=True)
    return apply_sync(connection, observation(dice), allow_removals=True, now=now)


async def write_all(database: Database, writes: list[Write], now: datetime) -> None:
    """Several writes at once: those that wait for one another share a transaction, and one that fails takes nothing along."""
    outcomes = await asyncio.gather(*(database.write(written, *one, now) for one in writes), return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, BaseException) and not isinstance(outcome, HomedexError | DryRun):
            raise outcome


def test_the_index_is_what_it_would_be_made_anew_after_any_writes(migrated: Path) -> None:
    @settings(max_examples=20 * EFFORT, deadline=None)
    @given(st.lists(st.lists(WRITES, min_size=1, max_size=4), min_size=2, max_size=8))
    def holds_always(writes: list[list[Write]]) -> None:
        with opened(migrated) as (database, connection), asyncio.Runner() as runner:
            for number, together in enumerate(writes):
                runner.run(write_all(database, together, NOW + timedelta(minutes=number)))
                check_index(connection)

    holds_always()


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30)


def test_any_search_is_answered_and_any_name_finds_its_own(migrated: Path) -> None:
    def asked(connection: Connection, q: str, **query: str) -> bytes:
        pairs = [("q", q), ("facet", "source_id"), *query.items()]
        return DEVICES.page(connection, DEVICES.questions.read(pairs, now=NOW))[0]

    @settings(max_examples=30 * EFFORT, deadline=None)
    @given(TEXT, TEXT)
    @example('"*" NEAR(x) AND', "^:()")
    @example("Küche \U0001f4a1", "-")
    def holds_always(name: str, q: str) -> None:
        with connection.begin() as transaction:
            edits.apply_one(connection, "devices", Edit("a", {"name": name}, "put"), Stamp(NOW, "api"))
            for query in ({}, {"sort": "name"}, {"removed": "any", "count": "none"}):
                asked(connection, q, **query)
                ENTITIES.page(connection, ENTITIES.questions.read([("q", q), *query.items()], now=NOW))
                spelled = name.strip() and search.matches_of(name)
                assert not spelled or b'"device_id":"a"' in asked(connection, name, **query)
            connection.info.clear()  # what was remembered of a transaction that is undone
            transaction.rollback()

    with opened(migrated) as (_, connection):
        holds_always()


@pytest.mark.sqlite
@pytest.mark.parametrize("count", [0, 1, 1_011, 1_012, 1_013, 17_000])
def test_each_word_of_a_document_for_postgresql_has_its_place_however_many_there_are(count: int) -> None:
    places = [f"x:{min(place, words.LAST_PLACE)}" for place in range(12, 12 + count)]
    assert words.document("A-b", "x " * count) == " ".join(["a:1A", "b:2A", *places])
    named = [f"y:{min(place, words.LAST_PLACE)}A" for place in range(1, count + 1)]
    assert words.document("y " * count, "z") == " ".join([*named, f"z:{min(count + words.APART, words.LAST_PLACE)}"])


@pytest.mark.parametrize("q", ["ΣΑΛΟΝΙΣ", "σαλονις", "σαλονισ"])
def test_greek_has_one_sigma(client: TestClient, q: str) -> None:
    put(client, "devices/a", name="ΣΑΛΟΝΙΣ")
    put(client, "devices/b", name="σαλονις")
    assert found(client, q) == ["a", "b"]
