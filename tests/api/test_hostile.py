"""What an attacker, a fuzzer or a broken program may send: refused with a clear problem, at once, and nothing is stored."""

import asyncio
import base64
import itertools
import json
import os
import re
import socket
import time
import tracemalloc
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

import apsw
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Connection

from homedex.api.app import create_app
from homedex.api.deps import JSON, LARGEST_BODY_BYTES, MERGE_PATCH, NDJSON
from homedex.registry import inputs, schema
from homedex.registry.areas import AREAS
from homedex.registry.changes import CHANGES, Stamp
from homedex.registry.cursors import fingerprint
from homedex.registry.devices import DEVICES
from homedex.registry.entities import ENTITIES
from homedex.registry.queries import Query
from homedex.registry.records import create_rows
from homedex.registry.sources import SOURCES
from homedex.storage.database import Database
from servers import Server
from service import Service

V1 = "/api/v1"
LISTS = {listing.noun: listing for listing in (DEVICES, ENTITIES, AREAS, SOURCES, CHANGES)}
SLOWEST_S = 5
"""Of processor time."""
STEP = 1 if os.environ.get("HYPOTHESIS_PROFILE") == "thorough" else 5
"""Of the families of many thousands each fifth is sent: no count of texts or values is a multiple, so all have their turn."""
DEEP = 100_000
MANY = 1_000_000

TEXTS = (
    *("' OR 1=1 --", "'; DROP TABLE devices; --", '" UNION SELECT 1 --', "1) OR (1=1", "%' ESCAPE '\\", "${7*7}", "../etc/passwd"),
    *("names : x", "NEAR(a b, 2)", "a AND NOT", "a* OR ^b", '"', '"a" "', "((((((((", "{x y} : z", "-", "*"),
    *("\x00", "a\x00b", "\r\nX: y", "\u202e\ufeff\u2028", "\U0001f4a1" * 100, "\U0003134a \ua7de \u2074 \u0663"),
    *("a." * 500, "x " * 33, "x" * 1025, "null", "-0", "1e999", str(2**63), str(-(2**64)), "9" * 5000, "true" * 2),
    *("0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "+999999w", "2026-02-30T00:00:00Z", "2026-W47-7T12:00:00Z"),
)
VALUES = (
    *("1", "-0", "1.5", "true", "[]", "{}", "[1]", "[[]]", "[null]", '[["a"]]', '{"a": 1}', '""', '"\\u0000"', '"\\ud800"'),
    *("1e999", "-1e999", "NaN", "Infinity", "-Infinity", str(2**63), str(2**64), "9" * 5000, "1" + "0" * 400 + ".5"),
    *('["\\udfff"]', '{"\\u0000": 1}', '{"a": 1e999}', '"' + "x" * 1025 + '"', json.dumps(["x"] * 1001), "[" * 65 + "]" * 65),
    *('{"a": ' * 65 + "1" + "}" * 65, '"0001-01-01T00:00:00+23:59"', '"9999-12-31T23:59:59Z"', '"2026-11-22T13:52:56"', "1e300"),
)


class Body(NamedTuple):
    """Where a body is taken: of what type, with which members, of which one is needed."""

    method: str
    path: str
    kind: str
    members: tuple[str, ...]
    needed: str = ""


BODIES = (
    Body("PUT", f"{V1}/devices/new", JSON, tuple(inputs.DeviceIn.model_fields)),
    Body("PUT", f"{V1}/entities/sensor.new", JSON, tuple(inputs.EntityIn.model_fields)),
    Body("PUT", f"{V1}/areas/new", JSON, tuple(inputs.AreaIn.model_fields), "name"),
    Body("PATCH", f"{V1}/devices/boiler", MERGE_PATCH, tuple(inputs.DevicePatch.model_fields)),
    Body("PATCH", f"{V1}/entities/sensor.boiler", MERGE_PATCH, tuple(inputs.EntityPatch.model_fields)),
    Body("PATCH", f"{V1}/areas/attic", MERGE_PATCH, tuple(inputs.AreaPatch.model_fields)),
    Body("POST", f"{V1}/devices/bulk", JSON, ("devices", "next")),
    Body("POST", f"{V1}/entities/bulk", JSON, ("entities", "next")),
)
ROWS = (
    Body("POST", f"{V1}/devices/bulk?mode=best_effort", NDJSON, tuple(inputs.DeviceRow.model_fields), "device_id"),
    Body("POST", f"{V1}/entities/bulk?mode=best_effort", NDJSON, tuple(inputs.EntityRow.model_fields), "entity_id"),
)


class Sent(NamedTuple):
    """One request, and the statuses it may get; none: any that is no fault of ours."""

    method: str
    path: str
    content: bytes = b""
    headers: Mapping[str, str | bytes] = {}
    statuses: tuple[int, ...] = ()

    def __str__(self) -> str:
        return f"{self.method} {self.path[:200]} {dict(self.headers)!s:.200} {self.content[:100]!r}"


def to(body: Body, content: str | bytes, *statuses: int) -> Sent:
    raw = content if isinstance(content, bytes) else content.encode()
    return Sent(body.method, body.path, raw, {"content-type": body.kind}, statuses)


def with_member(body: Body, name: str, value: str) -> str:
    needed = f'"{body.needed}": "sensor.new", ' if body.needed not in {"", name} else ""
    return f'{{{needed}"{name}": {value}}}'


def quoted(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode())


def values() -> Iterator[Sent]:
    """Each member of each body with each value that is odd somewhere."""
    for body in (*BODIES, *ROWS):
        some = VALUES if body.method == "PUT" else VALUES[::3]
        for name, value in itertools.product(body.members, some):
            yield to(body, with_member(body, name, value))


def documents() -> Iterator[Sent]:
    """What is no JSON object, or none that any program would write."""
    broken = ["", " ", "{", "[", "]", "nul", '{"a": 1}{"b": 2}', '{"name": "x",}', "{'name': 'x'}", "{name: 1}"]
    broken += ['{"name": "x" // y\n}']
    broken += ['{"name": NaN}', '{"name": "\\x"}', '{"name": "a\nb"}', '{"name": "x", "name": "y"}', '{"extra": {"a": 1, "a": 1}}']
    broken += ['\ufeff{"name": "x"}', "{}\x00", "<name>x</name>", "name=x", "[" * DEEP + "]" * DEEP]
    broken += ['{"a":' * DEEP + "1" + "}" * DEEP]
    unreadable = [b"\xff", b'{"name": "\xff"}', b'{"name": "\xed\xa0\x80"}', b'{"name": "\xc0\x80"}', b'{"name": "\xf0\x9f"}']
    unreadable += ['{"name": "x"}'.encode(kind) for kind in ("utf-16", "utf-16-le", "utf-32")]
    others = ["null", "true", "0", '"x"', "[]", "[{}]", "[[]]", "-0", "1e999", "1" * 4300]
    for body in BODIES:
        yield from (to(body, document, 400) for document in broken)
        yield from (to(body, document, 400) for document in unreadable)
        yield from (to(body, document, 400, 422) for document in others)


def huge() -> Iterator[Sent]:
    """Sixteen megabytes of what costs most."""
    device, entity, area, *_, devices, entities = BODIES
    names = [f'"x{number}": 0' for number in range(MANY)]
    for body in (device, area, devices):
        yield to(body, f"{{{','.join(names)}}}", 422)
        yield to(body, f"{{{','.join([*names[:30_000], names[29_999]])}}}", 400)  # looked for pair by pair, a million take hours
    for content in ("0," * (MANY * 7) + "0", "[]," * (MANY * 5) + "0", '"",' * (MANY * 5) + "0", "[0,0]," * (MANY * 2) + "0"):
        yield to(device, f'{{"labels": [{content}]}}', 422)
        yield to(device, f'{{"identifiers": [{content}]}}', 422)
        yield to(device, f'{{"extra": {{"a": [{content}]}}}}', 422)
        yield to(devices, f'{{"devices": [{content}]}}', 422)
    yield to(entity, '{"extra": {"a": ' + "1" * (MANY * 15) + "}}", 400)
    yield to(entity, '{"extra": {"a": 0.' + "1" * (MANY * 15) + "}}", 200, 201)
    yield to(device, '{"' + "k" * (MANY * 15) + '": 0}', 422)
    yield to(device, '{"name": "' + "\\u0000" * (MANY * 2) + '"}', 422)
    row = "{" + ",".join(f'"x{number}": 0' for number in range(100)) + "}"
    for body in (devices, entities):
        noun = body.members[0]
        for rows in (",".join([row] * 10_000), ",".join(["{}"] * 10_001), '{"name": "' + "x" * (MANY * 15) + '"}'):
            yield to(body, f'{{"{noun}": [{rows}]}}', 422)
    for body in ROWS:
        yield to(body, "\n" * LARGEST_BODY_BYTES, 200)
        yield to(body, "00\n" * (MANY * 5), 422)
        yield to(body, "{\n" * 10_000, 200)
        yield to(body, with_member(body, "name", '"' + "x" * (MANY * 15) + '"'), 200)


def sizes() -> Iterator[Sent]:
    """As much as is taken, and one byte more."""
    for body in BODIES:
        for size, statuses in ((LARGEST_BODY_BYTES, (400, 422)), (LARGEST_BODY_BYTES + 1, (413,))):
            yield to(body, b'{"name": "' + b"x" * (size - 12) + b'"}', *statuses)
            yield to(body, b" " * size, *({400} if size == LARGEST_BODY_BYTES else {413}))


def lines() -> Iterator[Sent]:
    """NDJSON with something wrong in it."""
    for body in ROWS:
        good = with_member(body, "name", '"x"')
        for line in ("{", "null", "[]", "0", '"', "\x00", "\ufeff{}", "{}" * 2, '{"a": 1, "a": 1}', "[" * 2000, "9" * 5000, "NaN"):
            everything = body._replace(path=body.path.partition("?")[0])
            yield to(everything, f"{good}\n{line}\n{good}", 422)
            yield to(everything, f"{line}\r{good}\r\n\n\n", 422)
            yield to(body._replace(path=f"{body.path}&dry_run=true"), f"{good}\n{line}\n", 200)
        yield to(body, b"\xff\xfe\n" * 100, 200)
        yield to(body, "{}\n" * 10_001, 422)


def media_types() -> Iterator[Sent]:
    """What is said to be something else than it is."""
    wrong = ["", "text/plain", "application/xml", "multipart/form-data", "multipart/form-data; boundary=x", "application/*", "*/*"]
    wrong += ["application/x-www-form-urlencoded", "json", "/", ";", "application/json+x", "application", "a" * 10_000]
    wrong += ["application/jsön"]
    odd = ["application/json; charset=utf-16", "APPLICATION/JSON", "application/json;", " application/json "]
    odd += ["application/json;;=;"]
    for body in BODIES:
        yield from (to(body, "{}", 415)._replace(headers={"content-type": kind.encode()}) for kind in wrong)
        yield from (to(body, "[]", 422, 415)._replace(headers={"content-type": kind}) for kind in odd)


def headers() -> Iterator[Sent]:
    """Conditions, keys and ids that are none."""
    tags = [
        "x",
        '"',
        '""',
        'W/"77777-a"',
        '"77777-a',
        '"999999999999999999999-a"',
        '"-1-a"',
        '"77777-a",',
        "*,*",
        '"a" "b"',
        ", " * 1000,
    ]
    tags += ['"a",' * 1000]
    tags += [" " * 60_000, "*" * 1000, "\x00", "ä", '"٣-a"', "'; DROP TABLE devices; --", '"77777-' + "f" * 5000 + '"', "\t"]
    for body in BODIES[:6]:
        for name, tag in itertools.product(("if-match", "if-none-match"), tags):
            yield to(body, '{"note": "hostile"}', 412, 422, 404)._replace(headers={name: tag.encode(), "content-type": body.kind})
        for tag in tags:
            yield Sent("GET", body.path, headers={"if-none-match": tag.encode()}, statuses=(200, 404, 422))
            yield Sent("DELETE", body.path, headers={"if-match": tag.encode()}, statuses=(404, 412, 422))
    for body, key in itertools.product(
        ROWS, ["", " ", "x" * 256, "x" * 60_000, "a b", "ä", "\x00", "a\nb", "\x7f", "\t", "'; --" * 60]
    ):
        yield to(body, "{}", 422)._replace(headers={"idempotency-key": key.encode(), "content-type": NDJSON})
    names = ["accept", "x-request-id", "host", "range", "expect", "accept-encoding", "cookie", "authorization", "x-forwarded-for"]
    texts = ["", "\x00", "a\r\nb: c", "\xff" * 100, "x" * 60_000, "*/*;q=nan", ",,,;;;", "bytes=0-,-1", "[", ":::", "a/b;c=d"]
    for name, text in itertools.product(names, texts):
        yield Sent("GET", f"{V1}/devices", headers={name: text.encode("latin-1")}, statuses=(200, 406))
        yield Sent("GET", "/", headers={name: text.encode("latin-1")}, statuses=(200, 307))


def queries() -> Iterator[Sent]:
    """SQL, search operators and odd texts in every kind of parameter of every list."""
    kinds = ["name", "name__ic", "name__gte", "name__empty", "seq", "created_at", "at__lt", "version", "disabled", "label", "seen"]
    broken = ["%", "%0", "%zz", "%ED%A0%80", "%FF", "=", "&&&=", "name", "=name", ";", "?", "#", "name=%00", "%00=name"]
    broken += ["limit=%D9%A3"]
    for noun, listing in LISTS.items():
        names = [name for name in kinds if name in listing.questions.filters] + list(listing.questions.control)
        for name, text in itertools.product(names, TEXTS):
            yield Sent("GET", f"{V1}/{noun}?{name}={quoted(text)}")
        for name, text in itertools.product(listing.questions.filters, TEXTS[1:2] + TEXTS[18:20]):
            yield Sent("GET", f"{V1}/{noun}?{name}={quoted(text)}")
        for text in TEXTS:
            yield Sent("GET", f"{V1}/{noun}?{quoted(text)}=1", statuses=(400,))
            yield Sent("GET", f"{V1}/{noun}.csv?sort={quoted(text)}", statuses=(422,))
            yield Sent("GET", f"{V1}/{noun}.ndjson?{names[0]}={quoted(text)}")
        for raw in broken:
            yield Sent("GET", f"{V1}/{noun}?{raw}")


def many_parameters() -> Iterator[Sent]:
    """More of a query than anybody means."""
    for noun, listing in LISTS.items():
        name = next(iter(listing.questions.filters))
        for path in (f"{V1}/{noun}", f"{V1}/{noun}.csv", f"{V1}/{noun}/bulk"):
            yield Sent("GET", f"{path}?" + "&".join(f"{name}={number}" for number in range(101)), statuses=(400, 404, 422))
            yield Sent("GET", f"{path}?" + "&".join(["a=1"] * 10_000), statuses=(404, 422))
            yield Sent("GET", f"{path}?" + "&" * 60_000)
            yield Sent("GET", f"{path}?fields=" + ",".join("x" * 30_000), statuses=(404, 422))
            yield Sent("GET", f"{path}?fields=" + "x" * 60_000, statuses=(404, 422))
            yield Sent("GET", f"{path}?" + "x" * 60_000, statuses=(400, 404))
        filters = listing.questions.filters
        every = [f"{one}={'true' if 'empty' in one else 1}" for one in filters if filters[one].kind != "time"]
        yield Sent("GET", f"{V1}/{noun}?{'&'.join(every)}")
        yield Sent("GET", f"{V1}/{noun}?" + "&".join(f"{one}={n}" for one in filters for n in range(9)), statuses=(422,))
        yield Sent("GET", f"{V1}/{noun}?sort=" + ",".join([next(iter(filters))] * 1000), statuses=(422,))


def cursors() -> Iterator[Sent]:
    """Cursors that look like ours, down to the fingerprint of the question."""
    odd: list[Any] = [None, True, 1.5, 1e308, 2**63, -(2**63) - 1, 10**400, [], {}, [[]], "", "\x00", "\ud800", "x" * 10_000]
    odd += ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "2026-11-22", "T", "-0", -1, 3]
    for noun, listing in LISTS.items():
        sortable = [name for name, one in listing.questions.fields.items() if one.sortable]
        searches = ["pump"] if listing.questions.searchable else []
        asked = [("", Query()), *((f"sort={name}&", Query(sort=((name, False),))) for name in sortable)]
        asked += [(f"q={word}&", Query(search=word)) for word in searches]
        for query, question in asked:
            mark = fingerprint(noun, question)
            contents: list[Any] = [
                [mark, way, *given] for way in ("f", "b") for given in ([], ["a", "b", "c", "d"], *([one] for one in odd))
            ]
            contents += [[mark, "f", *given] for given in itertools.product(odd, [1, "a", None])]
            contents += [[mark], [], {}, "f", 1, None, {mark: 1}, [mark, "x", 1], [mark, [], 1]]
            contents += [[mark, {}, 1], [[mark], "f", 1], [None, "f", 1]]
            for content in contents:
                yield Sent("GET", f"{V1}/{noun}?{query}cursor={encoded(json.dumps(content).encode())}", statuses=(200, 400))
        broken = (b"[" * 40_000, b"\xff\xfe[", b'["a"', b"[1e999]", b"9" * 5000, b"[NaN]", b'"' + b"x" * 40_000 + b'"', b"\x00")
        for raw in broken:
            yield Sent("GET", f"{V1}/{noun}?cursor={encoded(raw)}", statuses=(400,))
        for text in ("a", "====", "%00", "é", "-_-_", "a" * 20_000, "YQ==", "../x", "W10", "bnVsbA"):
            yield Sent("GET", f"{V1}/{noun}?cursor={quoted(text)}", statuses=(400,))


def encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def paths() -> Iterator[Sent]:
    """Ids and paths that lead somewhere else, or nowhere."""
    ids = ["%2e", "%2e%2e", "%2e%2e%2f%2e%2e%2fetc%2fpasswd", "%2F", "a%2Fb", "%5c..%5c", "%00", "a%00b", "%ff%fe", "%ED%A0%80"]
    ids += ["%C0%AE"]
    ids += ["a;b", ";", "%3b", "%20", "a%20b", "%0d%0aX-Y:%20z", "%25%32%65", "%F0%9F%92%A1", "%E2%80%AE", "a:b@c", "~", "'"]
    ids += ["%22", "*", "$"]
    ids += ["x" * 256, "x" * 1025, "x" * 60_000, quoted("'; DROP TABLE devices; --"), quoted("<script>"), "-1", "0", "NaN"]
    ids += ["null", "%"]
    for noun, key in itertools.product(("devices", "entities", "areas"), ids):
        for method in ("GET", "DELETE"):
            yield Sent(method, f"{V1}/{noun}/{key}", statuses=(404, 405, 422))
        yield Sent("PUT", f"{V1}/{noun}/{key}", b'{"nme": 0}', {"content-type": JSON}, (404, 405, 422))
        yield Sent("PATCH", f"{V1}/{noun}/{key}", b'{"note": "x"}', {"content-type": JSON}, (404, 405, 422))
    for key in ids:
        yield Sent("GET", f"{V1}/devices/{key}/entities", statuses=(404, 422))
        yield Sent("GET", f"{V1}/devices/{key}/changes", statuses=(404, 422))
        yield Sent("GET", f"{V1}/sources/{key}", statuses=(404, 422))
        yield Sent("GET", f"/problems/{key}", statuses=(404,))
        yield Sent("GET", f"{V1}/{key}", statuses=(404,))
    for path in ("//api/v1/devices", "/api//v1/devices", "/api/v1/devices//", "/api/v1/./devices", "/api/v1/x/../devices"):
        yield Sent("GET", path, statuses=(200, 404))
    nowhere = ["/API/V1/DEVICES", "/api/v1/devices.csv/", "/api/v1/devices.xml", "/.git/config", "/docs/..%2f", "/" + "a/" * 10_000]
    yield from (Sent("GET", path, statuses=(404,)) for path in nowhere)


def contradictions() -> Iterator[Sent]:
    """Rows of one request that want the same id, or each other's."""
    rows: list[Any] = [
        *({"id": "a", "entity_id": "x.a"}, {"id": "a", "entity_id": "x.b"}, {"entity_id": "x.a"}, {"id": "b", "entity_id": "x.a"}),
        *({"id": "x.a", "entity_id": "x.c"}, {"entity_id": "x.c", "source_id": "nix"}, {"entity_id": "sensor.boiler"}),
        *({"id": "a", "entity_id": "x.d", "source_id": "nix"}, {"id": "a", "entity_id": "x.a", "source_id": "manual"}),
        *({"entity_id": "x.f", "device_id": "nix"}, {"entity_id": "x.f", "device_id": None}, {"entity_id": "x.f", "id": "boiler"}),
        {"id": "sensor.boiler", "entity_id": "x.e"},
    ]
    for some in (*itertools.permutations(rows, 2), *itertools.combinations(rows, 3)):
        for way in ("atomic", "best_effort"):
            content = json.dumps({"entities": some}).encode()
            yield Sent("POST", f"{V1}/entities/bulk?mode={way}&dry_run=true", content, {"content-type": JSON}, (200, 422))
    twice = json.dumps({"devices": [{"device_id": "d", "name": str(number)} for number in range(1000)]}).encode()
    yield Sent("POST", f"{V1}/devices/bulk?dry_run=true", twice, {"content-type": JSON}, (200,))


FAMILIES = (values, contradictions, documents, sizes, lines, media_types, headers, queries, many_parameters, cursors, paths)
LARGE = (values, queries, cursors)


class Target:
    """A registry with a few records, a client, and a look at the file from outside, where there is a file."""

    def __init__(self, path: Path | None, client: TestClient) -> None:
        self.client, self.watching = client, None if path is None else apsw.Connection(str(path))
        for name in ("devices/boiler", "devices/pump", "entities/sensor.boiler", "areas/attic"):
            assert client.put(f"{V1}/{name}", json={"name": name}).status_code == 201

    @property
    def version(self) -> Any:
        """Another number after every COMMIT that changed something."""
        return self.watching and self.watching.execute("PRAGMA data_version").fetchone()

    def faults_of(self, sent: Sent) -> Iterator[str]:
        """What is wrong with the answer."""
        before, began = self.version, time.process_time()
        answer = self.client.request(sent.method, sent.path, content=sent.content, headers=sent.headers)  # type: ignore[arg-type]
        took = time.process_time() - began  # beside other tests the time of day says nothing
        if answer.status_code >= 500 or (sent.statuses and answer.status_code not in sent.statuses):
            yield f"{answer.status_code} {answer.text[:300]}"
        if took > SLOWEST_S:
            yield f"{took:.1f} s"
        if self.version != before and (answer.status_code >= 300 or sent.method == "GET"):
            yield f"{answer.status_code}, and something was stored"
        if answer.status_code >= 400:
            yield from faults_of_problem(sent, answer.headers.get("content-type", ""), answer.content)


def faults_of_problem(sent: Sent, kind: str, content: bytes) -> Iterator[str]:
    if kind != "application/problem+json":
        yield f"{kind}: {content[:300]!r}"
        return
    problem = json.loads(content)
    if not problem.keys() >= {"type", "title", "status", "detail", "instance", "request_id"}:
        yield f"no problem: {problem}"
    said = json.dumps([problem["title"], problem["detail"], problem.get("errors")])
    told = re.search(r"Traceback|\.py\b|sqlalchemy|apsw|SELECT|FROM |INSERT|UPDATE |fts5", said)
    if told is not None and told[0] not in unquote(sent.path):
        yield f"tells of its inside: {said[:300]}"


@pytest.fixture(scope="module")
def target(migrated: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    path = tmp_path_factory.mktemp("hostile") / "registry.db"
    path.write_bytes(migrated.read_bytes())
    database = Database.open(str(path), application_id=schema.APPLICATION_ID)
    with TestClient(create_app(database), raise_server_exceptions=False, follow_redirects=False) as client:
        yield Target(path, client)


def assert_harmless(target: Target, family: Callable[[], Iterator[Sent]], step: int = 1) -> None:
    some = itertools.islice(family(), None, None, step)
    faults = [f"{sent}\n    {fault}" for sent in some for fault in target.faults_of(sent)]
    assert not faults, f"{len(faults)} faults:\n" + "\n".join(faults[:20])
    assert target.client.get("/livez").status_code == 200


@pytest.mark.parametrize(
    "family", [pytest.param(one, marks=[pytest.mark.slow] * (one in LARGE), id=one.__name__) for one in FAMILIES]
)
def test_nothing_that_is_sent_breaks_it(target: Target, family: Callable[[], Iterator[Sent]]) -> None:
    assert_harmless(target, family, STEP if family in LARGE else 1)


@pytest.mark.slow
def test_nothing_that_is_sent_breaks_it_on_postgresql(postgresql: Server) -> None:
    with postgresql.database() as url:
        schema.upgrade(url)
        database = Database.open(url, application_id=schema.APPLICATION_ID)
        with TestClient(create_app(database), raise_server_exceptions=False, follow_redirects=False) as client:
            target = Target(None, client)
            for family in (values, lines, headers, queries, cursors, paths):
                assert_harmless(target, family, STEP if family in LARGE else 1)


def test_a_new_entity_cannot_take_the_id_that_another_row_is_going_to_get(target: Target) -> None:
    bulk = f"{V1}/entities/bulk"
    made = {"entity_id": "sensor.made"}
    going = target.client.post(f"{bulk}?dry_run=true", json={"entities": [made]}).json()["results"][0]["id"]
    answer = target.client.post(bulk, json={"entities": [made, {"entity_id": "sensor.other", "id": going}]})
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/bulk-refused")


def test_an_entity_that_is_there_is_not_made_again_for_a_source_that_does_not_have_it(target: Target) -> None:
    bulk, row = f"{V1}/entities/bulk?mode=best_effort", {"entity_id": "sensor.third", "id": "third", "source_id": "manual"}
    assert target.client.post(bulk, json={"entities": [row]}).json()["counts"] == {"created": 1}
    answer = target.client.post(bulk, json={"entities": [row | {"source_id": "nix"}]})
    assert (answer.status_code, answer.json()["counts"]) == (200, {"failed": 1})


def test_a_name_that_one_row_gives_up_is_free_for_the_next(target: Target) -> None:
    bulk = f"{V1}/entities/bulk"
    assert target.client.put(f"{V1}/entities/light.one", json={"name": "one"}).status_code == 201
    one = target.client.get(f"{V1}/entities/light.one").json()["id"]
    rows = [
        {"id": one, "entity_id": "light.two"},
        {"entity_id": "light.one", "name": "new"},
        {"entity_id": "light.two", "note": "x"},
    ]
    answer = target.client.post(bulk, json={"entities": rows}).json()
    assert answer["counts"] == {"created": 1, "updated": 2}
    assert target.client.get(f"{V1}/entities/light.two?fields=id,name,note").json() == {"id": one, "name": "one", "note": "x"}
    assert target.client.get(f"{V1}/entities/light.one?fields=name").json() == {"name": "new"}


@pytest.mark.parametrize("name", ["a b", "ü", "€", "x\r\nEvil: y", '<>; rel="x"', "a/b", "..", "?#"])
def test_a_source_may_call_a_device_what_it_likes(target: Target, name: str) -> None:
    def create(connection: Connection) -> None:
        stamp = Stamp(datetime(2026, 11, 22, tzinfo=UTC), "test")
        create_rows(connection, "devices", "manual", [{"device_id": name}], stamp)
        rows = [
            {"id": f"{name}{n}", "entity_id": f"light.{n}of{quoted(name)}", "domain": "light", "device_id": name} for n in range(3)
        ]
        create_rows(connection, "entities", "manual", rows, stamp)

    asyncio.run(target.client.app.state.database.write(create))  # type: ignore[attr-defined]
    for path in ("", "/entities?limit=1", "/changes?limit=1"):
        answer = target.client.get(f"{V1}/devices/{quoted(name)}{path}")
        assert answer.status_code in ({200, 404} if "/" in name or name == ".." else {200})
        link = answer.headers.get("link", "")
        assert re.fullmatch(r'(<[!-;=?-~]+>; rel="(next|prev|first)"(, |$))*', link), link
    for answer in (target.client.get(f"{V1}/devices.csv"), target.client.get(f"{V1}/devices?q={quoted(name)}")):
        assert answer.status_code == 200


@pytest.mark.slow
def test_nothing_huge_that_is_sent_holds_it_up(target: Target) -> None:
    assert_harmless(target, huge)


def test_a_fault_in_a_text_is_found_without_spelling_out_where_every_text_stands(target: Target) -> None:
    inner = ",".join(f'"{number}": ""' for number in range(10_000))
    body = '{"extra": {"z": "\\ud800", "' + "k" * 100_000 + '": {' + inner + "}}}"
    tracemalloc.start()
    answer = target.client.put(f"{V1}/devices/new", content=body.encode(), headers={"content-type": JSON})
    most_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "#/extra/z")
    assert most_bytes < 100_000_000


def test_that_was_more_than_a_thousand_of_them() -> None:
    assert sum(len({str(sent) for sent in family()}) // (STEP if family in LARGE else 1) for family in FAMILIES) > 1000


def request(line: str = "GET /livez HTTP/1.1", *fields: str, body: bytes = b"", host: str = "Host: localhost") -> bytes:
    return "\r\n".join([line, *filter(None, (host, *fields)), "", ""]).encode("latin-1") + body


def put(*fields: str, body: bytes = b"") -> bytes:
    return request("PUT /api/v1/devices/wire HTTP/1.1", "Content-Type: application/json", *fields, body=body)


def chunked(size: int) -> bytes:
    blocks, rest = divmod(size, 65536)
    return b"".join([b"10000\r\n" + b" " * 65536 + b"\r\n"] * blocks + [b"1\r\n \r\n"] * rest + [b"0\r\n\r\n"])


Wire = Iterator[tuple[bytes, tuple[int, ...]]]
"""The bytes, and the statuses they may get; none: whatever is no fault of ours, or no answer."""


def bodies_on_the_wire() -> Wire:
    """Bodies of which nobody can say where they end, or that end too late."""
    chunks, last = "Transfer-Encoding: chunked", b"\r\n[]\r\n0\r\n\r\n"
    for length in ("abc", "-1", "+2", "0x2", "2, 3", "9" * 5000, "2\r\nContent-Length: 3"):
        yield put(f"Content-Length: {length}", body=b"[]"), (400,)
    for size in (LARGEST_BODY_BYTES + 1, 2**62):
        yield put(f"Content-Length: {size}", body=b"[]"), (413,)
    for size, status in ((LARGEST_BODY_BYTES, 400), (LARGEST_BODY_BYTES + 1, 413), (LARGEST_BODY_BYTES * 2, 413)):
        yield put(chunks, body=chunked(size)), (status,)
    for chunk in (b"zz", b"-1", b"0x2", b"f" * 17, b"", b"\xff"):
        yield put(chunks, body=chunk + last), (400,)
    for chunk in (b"2\r\n{", b"2;" + b"x" * 100_000 + last, b"5" + last):
        yield put(chunks, body=chunk), ()
    for fields in (f"{chunks}\r\nContent-Length: 2", f"{chunks}, chunked", "Transfer-Encoding: identity"):
        yield put(fields, body=b"2" + last), (400, 422)
    yield put("Content-Length: 100", body=b'{"name": '), ()
    yield put("Expect: 100-continue", "Content-Length: 2", body=b"[]"), (100, 422)


def lines_on_the_wire() -> Wire:
    """First lines that are none, and addresses that no client library lets through."""
    for line in ("GET /", "GET / HTTP/9.9", "GET  /livez  HTTP/1.1", "GET", "", " ", "GET / HTTP/1.1 x", "PRI * HTTP/2.0"):
        yield request(line), ()
    for method in ("BREW", "get", "G\x00T", "x" * 10_000, "", "PRI"):
        yield request(f"{method} /livez HTTP/1.1"), ()
    paths = ["/../../etc/passwd", "//livez", "/%00", "/%ff", "/;", "/a\\b", "/livez%2f", "/\xff\xfe", "/a b", "/" + "x" * 70_000]
    for path in (*paths, "/\x7f", "/\t", "livez", "http://[/livez", "*", "/api/v1/devices?" + "x" * 70_000):
        yield request(f"GET {path} HTTP/1.1"), (400, 404)
    yield request("GET /api/v1/devices?q=\xff\xfe&name=\x80 HTTP/1.1"), (200, 400)
    yield request("CONNECT evil.example:80 HTTP/1.1"), (400, 404, 405)
    yield request("OPTIONS * HTTP/1.1"), (400, 404, 405)
    for junk in (
        b"\x16\x03\x01\x02" * 500,
        b"\x00" * MANY,
        b"\xff" * 1000,
        b"\r\n" * 10_000,
        b"GET",
        request().replace(b"\r", b""),
    ):
        yield junk, ()


def headers_on_the_wire() -> Wire:
    """Headers that want to be two, or another request's, or too many."""
    for host in ("", "Host: evil.example", "Host: a\r\nHost: b", "Host:", "Host: [", "Host: \xff"):
        yield request(host=host), (400,)
    odd = ["X-Request-ID: a\nEvil: b", "X-Request-ID: a\rEvil: b", "X: \x00", "X", ": x", "X Y: z", "X: a\r\n b", "X: \xff"]
    long = ["X: " + "x" * 100_000, "x" * 100_000 + ": x", "\r\n".join(["X: y"] * 10_000)]
    upgrades = ["Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: eA==", "Upgrade: h2c\r\nHTTP2-Settings: AA"]
    for field in (*odd, *long, *(f"Connection: Upgrade\r\n{upgrade}" for upgrade in upgrades)):
        yield request("GET /livez HTTP/1.1", field), ()


def answers(port: int, sent: bytes) -> list[tuple[int, bytes, bytes]]:
    """The (status, head, body) of each answer to these bytes; the other side has heard all that we had to say."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        received = b""
        try:
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # it has closed already: what it said before is still to be read
        try:
            while chunk := connection.recv(65536):
                received += chunk
        except ConnectionResetError:
            pass
    found = []
    while received:
        head, _, rest = received.partition(b"\r\n\r\n")
        status = re.match(rb"HTTP/1\.1 (\d{3}) ", head)
        assert status is not None, received[:200]
        length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
        size = int(length[1]) if length else 0 if status[1] == b"100" else len(rest)
        found.append((int(status[1]), head, rest[:size]))
        received = rest[size:]
    return found


def test_no_bytes_on_the_wire_break_it(registry_file: Path) -> None:
    with Service.start(registry_file) as service:
        watching = apsw.Connection(str(registry_file))
        before = watching.execute("PRAGMA data_version").fetchone()
        for sent, statuses in itertools.chain(bodies_on_the_wire(), lines_on_the_wire(), headers_on_the_wire()):
            for status, head, body in answers(service.port, sent):
                assert status < 500, (sent[:300], head, body)
                assert not statuses or status in statuses, (sent[:300], head, body)
                assert head.lower().count(b"\r\nx-request-id:") <= 1
                assert b"evil" not in head.lower()
                assert b"Traceback" not in body
                if status >= 400 and b"sec-websocket" not in sent.lower():
                    assert json.loads(body)["status"] == status, (sent[:300], head, body)
        assert watching.execute("PRAGMA data_version").fetchone() == before
        assert service.ask("GET", "/livez") == (200, {"status": "ok"})
        service.stop()
    assert "ERROR" not in service.log
    assert "Traceback" not in service.log
