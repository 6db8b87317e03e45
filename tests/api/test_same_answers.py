"""One script of requests on both engines: the same statuses, headers and bodies, byte for byte."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from fastapi.testclient import TestClient

from homedex.api.app import create_app
from homedex.ingest.ha_storage import read_storage
from homedex.ingest.observation import Observation
from homedex.ingest.run import apply_sync
from homedex.registry import schema
from homedex.registry.areas import AREAS
from homedex.registry.changes import CHANGES
from homedex.registry.devices import DEVICES
from homedex.registry.entities import ENTITIES
from homedex.registry.pages import Listing
from homedex.registry.sources import SOURCES
from homedex.storage.database import Database
from servers import Server, write

CAPTURE = Path(__file__).parent.parent / "data" / "ha_captures" / "storage-2026.11"
START = datetime(2026, 11, 22, 12, tzinfo=UTC)
V1 = "/api/v1"
LISTS = (DEVICES, ENTITIES, AREAS, SOURCES, CHANGES)
SAME_RUN = re.compile(rb'("run_id":"|,sync,)[0-9a-f]{32}')
NAMES = (
    *("Küche", "kuche", "KÜCHE 2", "Straße", "STRASSE", "a_b", "A%b", "Ånger", "ångström", "ñ", "Z", "z", "İstanbul", "日本 語"),
    *(
        'quote " and \\',
        "tab\there",
        "line\nbreak",
        "",
        "\U0001d49cstral 💡",
        "x" * 1024,
        "light.kitchen",
        "1e5 0x1f 10.0.0.1 a-b",
        "\x7f\x01",
    ),
)
WORDS = (
    "kuch",
    "STRASSE straße",
    "a b",
    "light.kit",
    "1e5",
    "0x1f",
    "10.0",
    "日本",
    "x",
    '"',
    "ångstr",
    "istanbul",
    "signify lamp",
)
Script = Callable[[TestClient], Iterator[tuple[str, Any]]]


class Ticking:
    """A clock that goes on by a second each time it is looked at."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1, microseconds=7)
        return self.now


def edits(client: TestClient) -> Iterator[tuple[str, Any]]:
    """What is written, and what is said to it."""
    for number, name in enumerate(NAMES):
        body: dict[str, Any] = {
            "name": name,
            "manufacturer": NAMES[-number - 1],
            "labels": ["b", "ä", "B"][: number % 4],
            "area_id": f"room{number % 3}",
        }
        body |= {"identifiers": [["mqtt", f"id-{number}"]], "extra": {"z": 1, "a": [1.5, None, {"ü": True}], "n": 10**15}}
        if number % 2:
            body["last_seen"] = f"2026-11-{number + 1:02}T10:00:00.{number:06}+02:00"
        yield f"PUT devices/d{number}", client.put(f"{V1}/devices/d{number}", json=body)
    for number in range(3):
        yield f"PUT areas/room{number}", client.put(f"{V1}/areas/room{number}", json={"name": NAMES[number], "floor_id": "ground"})
    for number in range(12):
        entity = {"device_id": f"d{number}", "name": NAMES[number], "platform": "mqtt", "device_class": "light"}
        yield f"PUT entity {number}", client.put(f"{V1}/entities/light.e{number}", json=entity)
    yield "again", client.put(f"{V1}/devices/d1", json={"name": NAMES[1]})
    yield "patch", client.patch(f"{V1}/devices/d2", json={"note": "ß", "extra": {"z": None, "y": {"x": None}}, "name": None})
    yield "gone", client.delete(f"{V1}/devices/d3")
    yield "gone too", client.delete(f"{V1}/devices/d20")
    yield "and asked for", client.get(f"{V1}/devices/d20")
    yield "stale", client.patch(f"{V1}/devices/d4", json={"note": "x"}, headers={"If-Match": '"9-0"'})
    yield "no such device", client.put(f"{V1}/entities/light.lost", json={"device_id": "nowhere"})
    yield "taken", client.patch(f"{V1}/entities/light.e1", json={"entity_id": "light.e2"})
    rows: list[Any] = [{"device_id": f"d{number}", "model": "M"} for number in range(30)]
    rows += [{"device_id": "d1", "model": None}, {"device_id": "bad", "labels": 3}, {"device_id": "d3", "name": "back"}]
    for query in ("dry_run=true&mode=best_effort", "mode=best_effort", "mode=best_effort", "mode=atomic"):
        yield f"bulk {query}", client.post(f"{V1}/devices/bulk?{query}", json={"devices": rows}, headers={"Idempotency-Key": query})
    for again in range(2):
        storage = read_storage(CAPTURE, source_id="home")
        write(client, apply_sync, storage, allow_removals=True, now=START + timedelta(days=again))
    listed = [{"device_id": "s1", "name": "S"}, {"device_id": "s2", "name": "T", "area_id": "k"}]
    entities = [
        {"id": f"e{one}", "entity_id": f"light.s{one}", "domain": "light", "device_id": "s1", "platform": "p"} for one in (1, 2)
    ]
    areas = [{"area_id": "k", "name": "Küche"}]
    for moved, names in (({}, ("1", "2")), ({"s0": "s1"}, ("2", "1"))):
        swapped = [entity | {"entity_id": f"light.s{name}"} for entity, name in zip(entities, names, strict=True)]
        observed = Observation("twin", "zigbee2mqtt", "Twin", devices=listed, entities=swapped, areas=areas, moved=moved)
        write(client, apply_sync, observed, allow_removals=True, now=START + timedelta(days=3))
    yield "of a source", client.patch(f"{V1}/devices/s1", json={"area_id": "k", "name_by_user": "Mine", "labels": ["q"]})
    yield "by its old id", client.get(f"{V1}/devices/s0?fields=name")
    yield "given back", client.patch(f"{V1}/devices/s1", json={"source_values": {"area_id": None}})


def questions(client: TestClient) -> Iterator[tuple[str, Any]]:
    """Everything that can be asked: each order both ways page by page, each filter, facet, search, view and format."""
    for listing in LISTS:
        for address in addresses(client, listing):
            yield address, client.get(address)
        yield from walks(client, listing)
    for address in (
        "devices/d0",
        "devices/d2?expand=entities,area",
        "devices/d3",
        "devices/nowhere",
        "devices/d0/changes",
        "devices/s1/changes",
    ):
        yield address, client.get(f"{V1}/{address}")
    for address in (
        "devices/s1/entities",
        "entities/light.e1?expand=device,area",
        "entities/light.s1",
        "areas/k",
        "areas/room0",
        "sources/home",
    ):
        yield address, client.get(f"{V1}/{address}")


def walks(client: TestClient, listing: Listing) -> Iterator[tuple[str, Any]]:
    """Every page in each order, there by `next` and back by `prev`."""
    sorts = [name for name, field in listing.questions.fields.items() if field.sortable]
    for sort in ["", *sorts, *(f"-{name}" for name in sorts), ",".join(f"-{name}" for name in sorts[:3])]:
        first = f"{V1}/{listing.noun}?limit=100" + (f"&sort={sort}" if sort else "")
        for way in ("next", "prev"):
            address = first
            while address:
                answer = client.get(address)
                yield address, answer
                cursor = answer.json()[way]
                address = f"{first}&cursor={quote(cursor)}" if cursor else ""
            if way == "next":
                first = f"{address or first}"


def addresses(client: TestClient, listing: Listing) -> Iterator[str]:
    """One address for each filter, facet, search and view, with values that occur."""
    at = f"{V1}/{listing.noun}"
    rows = client.get(f"{at}?limit=200").json()[listing.noun]
    for name, parameter in listing.questions.filters.items():
        field = name.partition("__")[0]
        if field == "run_id":
            continue  # another one each time
        values = [row[field] for row in rows if row.get(field) is not None]
        said = parameter.choices or {
            "flag": ("true", "false"),
            "time": ("2026-11-22T12:00:09Z", "-3d"),
            "number": ("1", "20"),
        }.get(parameter.kind, tuple(dict.fromkeys(str(value)[:20] for value in values))[:2] or ("x",))
        yield from (f"{at}?{name}={quote(str(one))}&limit=7" for one in said)
        yield f"{at}?" + "&".join(f"{name}={quote(str(one))}" for one in said) + "&limit=7"
    yield from (f"{at}?facet={name}&limit=1" for name, field in listing.questions.fields.items() if field.facet)
    if listing.questions.searchable:
        yield from (f"{at}?q={quote(word)}" for word in WORDS)
        yield from (f"{at}?q={quote(name[:40])}&limit=5&sort=name" for name in NAMES)
    if listing.questions.has_tombstones:
        yield from (f"{at}?removed={said}" for said in ("true", "any"))
    yield from (f"{at}.{kind}" for kind in ("csv", "ndjson"))
    yield f"{at}?count=none&limit=3&fields={next(iter(listing.questions.fields))}"


def asked_of(target: str) -> list[tuple[str, tuple[Any, ...]]]:
    database = Database.open(target, application_id=schema.APPLICATION_ID)
    app = create_app(database, clock=Ticking(), cache_bytes=0)  # each question asks the clock, on either engine
    headers = {"X-Request-ID": "the-same"}
    with TestClient(app, raise_server_exceptions=False, follow_redirects=False, headers=headers) as client:
        answers = [(what, seen(answer)) for script in (edits, questions) for what, answer in script(client)]
    return [(what.replace(target, ""), answer) for what, answer in answers]


def seen(answer: Any) -> tuple[Any, ...]:
    body, runs = SAME_RUN.subn(rb"\1the run", answer.content)
    differs = {"content-length", "etag"} if runs else {"content-length"}
    return answer.status_code, {name: value for name, value in answer.headers.items() if name not in differs}, body


@contextmanager
def _both(sqlite: Path, server: Server) -> Iterator[list[str]]:
    with server.database() as url:
        schema.upgrade(url)
        yield [str(sqlite), url]


@pytest.mark.slow
def test_both_engines_answer_a_script_of_requests_alike(registry_file: Path, postgresql: Server) -> None:
    with _both(registry_file, postgresql) as targets:
        one, other = (asked_of(target) for target in targets)
    assert len(one) > 200
    assert {answer[0] for _, answer in one} >= {200, 201, 204, 308, 404, 409, 410, 412, 422}
    assert [what for what, _ in one] == [what for what, _ in other]
    for (what, ours), (_, theirs) in zip(one, other, strict=True):
        assert ours == theirs, what
