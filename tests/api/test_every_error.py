"""Every route that is served, through every kind of error that it can give: each answer is a problem document, and a declared one.

The routes are those of the running app; which errors a route can give follows from what it declares. A new route is walked as it
is; a new fault of a route, or a new kind of error, fails here until there is a way to provoke it.
"""

import asyncio
import itertools
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import apsw
import jsonschema_rs
import pytest
from fastapi.testclient import TestClient
from httpx2 import Response
from sqlalchemy import Connection, insert
from sqlalchemy import text as sql
from sqlalchemy.exc import DBAPIError
from starlette.routing import Route as Served
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from homedex.api.app import BACKUP_ROUTES, PLAIN_ROUTES, ROUTES, Route, _app_of_routes, create_app, openapi_document
from homedex.api.deps import LARGEST_BODY_BYTES, NDJSON
from homedex.api.problem_pages import kinds
from homedex.ingest.ha_storage import read_storage
from homedex.ingest.run import apply_sync
from homedex.registry import schema
from homedex.registry.changes import Stamp
from homedex.registry.edits import Edit, apply, remove_one
from homedex.registry.records import create_rows, remove_rows
from homedex.registry.sources import create_source
from homedex.registry.tables import DeviceId
from homedex.storage.database import Database
from homedex.storage.rows import driver

pytestmark = pytest.mark.sqlite

CAPTURE = Path(__file__).parent.parent / "data" / "ha_captures" / "storage-2026.11"
NOW = datetime(2026, 11, 22, tzinfo=UTC)
DOCUMENT = openapi_document()
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"})
TABLES = ("devices", "entities", "areas", "sources", "changes")

# --- the routes -------------------------------------------------------------------------------------------------------------------

SERVED = [one for one in _app_of_routes().routes if isinstance(one, Served)]
LISTED = (*ROUTES, *PLAIN_ROUTES)
APART = {route.path for route in (*LISTED, *BACKUP_ROUTES)}  # backups have errors of their own: test_backups
PAGES = tuple(Route("GET", one.path, one.endpoint, "pages") for one in SERVED if one.path not in APART)
EVERY_ROUTE = (*LISTED, *PAGES)


def responses(route: Route) -> dict[str, Any]:
    """What the OpenAPI document says of the route's answers; nothing of pages, which are not in it."""
    return dict(DOCUMENT["paths"].get(route.path, {}).get(route.method.lower(), {}).get("responses", {}))


def declared(route: Route) -> set[int]:
    return {int(status) for status in responses(route) if int(status) > 307} - NO_PROBLEM.get(route.path, {304})


NO_PROBLEM = {"/readyz": {503}}
"""What is no error: a report of checks that failed, and 304, which is in a test of its own."""


def methods_at(path: str) -> set[str]:
    return {method for one in SERVED if one.path_regex.match(path) for method in one.methods or ()}


# --- the services -----------------------------------------------------------------------------------------------------------------

HERE = {"device_id": "boiler", "entity_id": "sensor.boiler", "area_id": "attic", "source_id": "manual", "slug": "busy"}
NOWHERE = {"device_id": "nix", "entity_id": "sensor.nix", "area_id": "nix", "source_id": "nix", "slug": "nix"}
GONE = {"device_id": "gone", "entity_id": "id-of-gone", "area_id": "gone"}
MOVED = {"device_id": "old-pump"}
OF_A_SOURCE = {"device_id": "theirs", "entity_id": "sensor.theirs", "area_id": "theirs"}
GONE_FROM_A_SOURCE = {"device_id": "theirs-gone", "entity_id": "theirs.gone"}
OF_TWO_SOURCES = {"entity_id": "sensor.twice", "area_id": "twice"}


def fill(connection: Connection) -> None:
    """A record of every kind that an error is about."""
    stamp = Stamp(NOW, "test")
    apply(connection, "devices", [Edit(name, {"name": name}, "put") for name in ("boiler", "pump", "gone")], stamp)
    apply(connection, "entities", [Edit("sensor.boiler", {"device_id": "boiler"}, "put")], stamp)
    apply(connection, "entities", [Edit("id-of-gone", {"id": "id-of-gone", "entity_id": "sensor.gone"}, "upsert")], stamp)
    apply(connection, "areas", [Edit(name, {"name": name}, "put") for name in ("attic", "gone")], stamp)
    for noun, key in (("devices", "gone"), ("entities", "sensor.gone"), ("areas", "gone")):
        remove_one(connection, noun, Edit(key), stamp)
    connection.execute(insert(DeviceId), {"old_id": "old-pump", "device_id": "pump", "reason": "test", "moved_at": NOW})
    create_source(connection, {"source_id": "other", "kind": "home_assistant", "name": "Other", "state": "ok"}, stamp)
    create_rows(connection, "devices", "other", [{"device_id": name} for name in ("theirs", "theirs-gone")], stamp)
    entities = [("1", "sensor.theirs"), ("2", "sensor.twice"), ("theirs.gone", "sensor.away")]
    rows = [{"id": key, "entity_id": name, "domain": "sensor"} for key, name in entities]
    create_rows(connection, "entities", "other", rows, stamp)
    create_rows(connection, "entities", "home", [{"id": "3", "entity_id": "sensor.twice", "domain": "sensor"}], stamp)
    create_rows(connection, "areas", "other", [{"area_id": name, "name": name} for name in ("theirs", "twice")], stamp)
    create_rows(connection, "areas", "home", [{"area_id": "twice", "name": "twice"}], stamp)
    remove_rows(connection, "devices", "other", ["theirs-gone"], stamp)
    remove_rows(connection, "entities", "other", ["theirs.gone"], stamp)


def drop_tables(client: TestClient) -> None:
    """A bug, as far as the service can tell: its statements do not fit the schema."""

    def drop(connection: Connection) -> None:
        for name in (*TABLES, "alembic_version"):
            connection.execute(sql(f"ALTER TABLE {name} RENAME TO no_{name}"))

    asyncio.run(database_of(client).write(drop))


def fill_disk(client: TestClient) -> None:
    """Let the database have no more pages than it has, and use up the room in those."""

    def stop_growing(connection: Connection) -> None:
        connection.execute(sql("PRAGMA max_page_count = 1"))  # never fewer than there are

    asyncio.run(database_of(client).write(stop_growing))
    for path, name in (("devices/pump", "note"), ("areas/attic", "floor_id")):
        for size in (1000, 100, 10, 1):
            for turn in range(1000):
                if client.patch(f"/api/v1/{path}", json={name: str(turn % 10) * size}).status_code == 507:
                    break


def slow_down(client: TestClient) -> None:
    """Every read of a table counts to 30,000 first."""
    counted = "(WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 30000) SELECT count(*) FROM n)"
    connection = apsw.Connection(database_of(client).shown)
    with connection:
        for name in TABLES:
            connection.execute(f"ALTER TABLE {name} RENAME TO fast_{name}")
            connection.execute(f"CREATE VIEW {name} AS SELECT * FROM fast_{name} WHERE {counted} > 0")
    connection.close()


def take_away(client: TestClient) -> None:
    """Take the folder away. A reader goes on with a file that it has open, so its connection breaks, too."""
    database = database_of(client)
    Path(database.shown).parent.rename(Path(database.shown).parent.with_suffix(".away"))
    with pytest.raises(DBAPIError, match="closed"):
        asyncio.run(database.read(lambda connection: driver(connection).close()))


def cut_short(client: TestClient) -> None:
    os.truncate(database_of(client).shown, 4096)


def lock(client: TestClient) -> None:
    """Another process writes, and does not come to an end."""
    state_of(client).lock = apsw.Connection(database_of(client).shown)
    state_of(client).lock.execute("BEGIN IMMEDIATE")


def nothing(_: TestClient) -> None:
    pass


SERVICES: dict[str, tuple[Callable[[TestClient], None], dict[str, Any]]] = {
    "whole": (nothing, {}),
    "crowded": (nothing, {"queue_limit": 0}),
    "slow": (slow_down, {"read_deadline_s": 0.0, "write_deadline_s": 0.0}),
    "locked": (lock, {"busy_timeout_s": 0.01}),
    "full": (fill_disk, {}),
    "taken away": (take_away, {"readers": 1}),
    "cut short": (cut_short, {}),
    "without tables": (drop_tables, {}),
}
"""What happens to the database of each, and its settings."""


def state_of(client: TestClient) -> Any:
    return client.app.app.state  # type: ignore[attr-defined]


def database_of(client: TestClient) -> Database:
    return state_of(client).database  # type: ignore[no-any-return]


class InPieces:
    """An app whose requests' bodies come in pieces, as over a network."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        pieces: list[Message] = []

        async def receive_a_piece() -> Message:
            if not pieces:
                message = await receive()
                body, last = message.get("body", b""), message.get("more_body", False)
                parts = (body[start : start + PIECE_BYTES] for start in range(0, len(body), PIECE_BYTES))
                pieces.extend({**message, "body": part, "more_body": True} for part in parts)
                pieces.append({**message, "body": b"", "more_body": last} if body else message)
            return pieces.pop(0)

        await self.app(scope, receive_a_piece if scope["type"] == "http" else receive, send)


PIECE_BYTES = 1024 * 1024


@pytest.fixture(scope="module")
def template(migrated: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = Path(shutil.copy(migrated, tmp_path_factory.mktemp("services") / "template.db"))
    database = Database.open(str(path), application_id=schema.APPLICATION_ID)
    observed = read_storage(CAPTURE, source_id="home")
    asyncio.run(database.write(apply_sync, observed, allow_removals=False, now=NOW))
    asyncio.run(database.write(fill))
    asyncio.run(database.close())
    return path


def service(template: Path, name: str, **settings: Any) -> TestClient:
    """A service on a copy of its own, in a folder of its own."""
    folder = template.with_name(name)
    folder.mkdir()
    path = shutil.copy(template, folder / "registry.db")
    database = Database.open(str(path), application_id=schema.APPLICATION_ID, **settings)
    app = InPieces(create_app(database, allowed_hosts={"testserver"}))
    return TestClient(app, raise_server_exceptions=False, follow_redirects=False)


@pytest.fixture(scope="module")
def services(template: Path) -> Iterator[dict[str, TestClient]]:
    """A service on a registry that is whole, and some to whose copies of it something happens. No error leaves a trace there."""
    with ExitStack() as stack:
        opened = {}
        for name, (happen, settings) in SERVICES.items():
            opened[name] = stack.enter_context(service(template, name, **settings))
            happen(opened[name])
        yield opened


# --- the errors -------------------------------------------------------------------------------------------------------------------


def ask(
    client: TestClient, route: Route, ids: Mapping[str, str] = HERE, *, query: str = "", body: Any = None, **changed: str
) -> Response:
    """A request of the route that would be right but for what is changed, headers with _ for -."""
    headers = {name.replace("_", "-"): value for name, value in changed.items()}
    if route.kinds:
        headers.setdefault("content-type", route.kinds[0])
    content = body if isinstance(body, bytes) else None
    given = (right_body(route) if body is None else body) if route.kinds and content is None else None
    return client.request(route.method, route.path.format(**ids) + query, json=given, content=content, headers=headers)


def right_body(route: Route) -> Any:
    noun, name = route.path.split("/")[3], {"name": "made" * 250}  # long enough for no room to be left for it
    if not is_bulk(route):
        return name
    return {noun: [name | ({"device_id": "made"} if noun == "devices" else {"entity_id": "sensor.made"})]}


def chunked(client: TestClient, route: Route) -> Response:
    """A body that does not say how long it is."""
    kind = {"content-type": route.kinds[0]}
    content = iter([bytes(LARGEST_BODY_BYTES), b"1"])
    return client.request(route.method, route.path.format(**HERE), content=content, headers=kind)


def ask_twice_at_once(client: TestClient, route: Route) -> Response:
    state_of(client).keys_in_use.add("at-once")
    return ask(client, route, idempotency_key="at-once")


def reuse_key(client: TestClient, route: Route) -> Response:
    noun = route.path.split("/")[3]
    assert ask(client, route, body={noun: []}, idempotency_key=f"again-{noun}").status_code == 200
    return ask(client, route, idempotency_key=f"again-{noun}")


def is_bulk(route: Route) -> bool:
    return route.path.endswith("/bulk")


def is_listed(route: Route) -> bool:
    return route in ROUTES


def uses_database(route: Route) -> bool:
    return is_listed(route) or route.path == "/"


def declares(status: int) -> Callable[[Route], bool]:
    return lambda route: status in declared(route)


@dataclass(frozen=True)
class Kind:
    """One way in which a request fails.

    Args:
        name: what is wrong.
        slug: the problem that it is.
        of: which routes can fail so, by what they declare.
        request: makes the request.
        at: the service that it is made of.
    """

    name: str
    slug: str
    of: Callable[[Route], bool]
    request: Callable[[TestClient, Route], Response] = ask
    at: str = "whole"


KINDS = (
    # whatever the route
    Kind("another host", "host-not-allowed", lambda _: True, lambda c, r: ask(c, r, host="evil.example")),
    Kind(
        *("a body that says it is too large", "too-large", lambda _: True),
        lambda c, r: ask(c, r, content_length=str(LARGEST_BODY_BYTES + 1)),
    ),
    # what is asked
    Kind("an unknown parameter", "unknown-parameter", is_listed, lambda c, r: ask(c, r, query="?colour=red")),
    Kind("a made-up cursor", "bad-cursor", lambda r: r.takes == "page", lambda c, r: ask(c, r, query="?cursor=made-up")),
    Kind(
        *("a cursor of other filters", "bad-cursor", lambda r: r.takes == "page"),
        lambda c, r: ask(c, r, query=f"?cursor={c.get('/api/v1/areas?limit=1&sort=name').json()['next']}"),
    ),
    Kind(
        *("a wrong value in the query", "invalid", lambda r: r.listing is not None),
        lambda c, r: ask(c, r, query="?fields=colour"),
    ),
    Kind("a page of 1,001 rows", "invalid", lambda r: r.takes == "page", lambda c, r: ask(c, r, query="?limit=1001")),
    Kind(
        *("an option without meaning", "invalid", lambda r: any(values for _, values in r.parameters.values())),
        lambda c, r: ask(c, r, query=f"?{next(iter(r.parameters))}=perhaps"),
    ),
    Kind(
        *("an id of 1,025 letters", "invalid", lambda r: is_listed(r) and "{" in r.path),
        lambda c, r: ask(c, r, dict.fromkeys(HERE, "x" * 1025)),
    ),
    Kind("a type that it is not to be had in", "not-acceptable", declares(406), lambda c, r: ask(c, r, accept="image/png")),
    # the state of the record
    Kind("an id that is not there", "not-found", declares(404), lambda c, r: ask(c, r, NOWHERE)),
    Kind("a problem that is not there", "no-such-page", lambda r: "{slug}" in r.path, lambda c, r: ask(c, r, NOWHERE)),
    Kind("an id that has moved", "moved", declares(308), lambda c, r: ask(c, r, MOVED)),
    Kind(
        *("an id that is gone", "gone", declares(410)),
        lambda c, r: ask(c, r, GONE_FROM_A_SOURCE if r.method == "PUT" else GONE),
    ),
    Kind(
        *("a record of another source, or of two", "conflict", lambda r: declares(409)(r) and not is_bulk(r)),
        lambda c, r: ask(c, r, OF_TWO_SOURCES if r.conditional == "get" else OF_A_SOURCE),
    ),
    Kind("a version that has passed", "precondition-failed", declares(412), lambda c, r: ask(c, r, if_match='"999-0"')),
    Kind("a new record that is there", "precondition-failed", declares(412), lambda c, r: ask(c, r, if_none_match="*")),
    Kind(
        *("an entity tag that is none", "invalid", lambda r: bool(r.conditional)),
        lambda c, r: ask(c, r, if_none_match="3") if r.conditional == "get" else ask(c, r, if_match="3"),
    ),
    Kind(
        *("a new record but for a version", "invalid", lambda r: r.conditional in {"put", "edit"}),
        lambda c, r: ask(c, r, if_none_match='"3-0"'),
    ),
    # bodies
    Kind("a body that is no JSON", "malformed-body", declares(415), lambda c, r: ask(c, r, body=b'{"name": ')),
    Kind("a body that is no UTF-8", "malformed-body", declares(415), lambda c, r: ask(c, r, body=b'{"name": "\xff"}')),
    Kind("a body of another type", "unsupported-media-type", declares(415), lambda c, r: ask(c, r, content_type="text/plain")),
    Kind("a body of no type", "unsupported-media-type", declares(415), lambda c, r: ask(c, r, content_type="")),
    Kind("a body that turns out too large", "too-large", declares(415), chunked),
    Kind("a body of another shape", "invalid", declares(415), lambda c, r: ask(c, r, body=[])),
    Kind("a member that is not known", "invalid", declares(415), lambda c, r: ask(c, r, body={"colour": "red"})),
    # many rows
    Kind("a wrong row", "bulk-refused", is_bulk, lambda c, r: ask(c, r, body={r.path.split("/")[3]: [{}]})),
    Kind("a line that is no JSON", "bulk-refused", is_bulk, lambda c, r: ask(c, r, body=b"{\n", content_type=NDJSON)),
    Kind("a key that is none", "invalid", is_bulk, lambda c, r: ask(c, r, idempotency_key="a b")),
    Kind("a key that is in use", "idempotency-key-in-use", is_bulk, ask_twice_at_once),
    Kind("a key that was used", "idempotency-key-reused", is_bulk, reuse_key),
    # the database
    Kind("a full queue", "busy", uses_database, at="crowded"),
    Kind("a lock that another process holds", "busy", declares(507), at="locked"),
    Kind("a deadline that passes", "query-timeout", uses_database, at="slow"),
    Kind("a file that was taken away", "storage-unavailable", uses_database, at="taken away"),
    Kind("a file that was cut short", "not-a-database", uses_database, at="cut short"),
    Kind("a full disk", "storage-full", declares(507), at="full"),
    Kind("a bug", "internal", lambda r: uses_database(r) or r.path == "/readyz", at="without tables"),
)

NOT_OVER_HTTP = {
    "bad-request": "the HTTP parser's, before there is a request: test_hostile",
    "foreign-database": "at start",
    "database-too-new": "at start",
    "database-too-old": "at start",
    "unsafe-library": "at start",
    "migration-failed": "at start",
    "bad-setting": "at start",
    "held-too-long": "of sessions, which the service has none of: test_sessions",
    "bad-source": "of an import",
    "source-unreachable": "of a sync",
    "source-denied": "of a sync",
    "plan-held": "of a sync",
}
OF_BACKUPS = {"bad-backup"}  # test_backups
BESIDE_A_ROUTE = {"no-such-page", "method-not-allowed"}
LEAKS = re.compile(r"SELECT|INSERT|UPDATE |DELETE FROM|sqlite|apsw|Traceback|\.py\b|no such (table|column)|site-packages")
HEADERS = {"moved": "location", "method-not-allowed": "allow"}


def status_of(kind: Kind) -> int:
    return kinds()[kind.slug].status


WALK = [
    pytest.param(route, kind, id=f"{route.method} {route.path}: {kind.name}")
    for route in EVERY_ROUTE
    for kind in KINDS
    if kind.of(route)
]


def assert_problem(services: Mapping[str, TestClient], answer: Response, slug: str) -> dict[str, Any]:
    expected = kinds()[slug]
    assert (answer.status_code, answer.headers["content-type"]) == (expected.status, "application/problem+json"), answer.text
    problem: dict[str, Any] = answer.json()
    assert list(problem)[:6] == ["type", "title", "status", "detail", "instance", "request_id"]
    assert (problem["type"], problem["title"], problem["status"]) == (f"/problems/{slug}", expected.title, expected.status)
    assert problem["instance"] == answer.request.url.raw_path.decode().partition("?")[0]
    assert problem["request_id"] == answer.headers["x-request-id"]
    assert problem["detail"].endswith((".", "?"))
    assert not LEAKS.search(answer.text)
    assert answer.headers.get("retry-after") == (str(expected.retry_after_s) if expected.retry_after_s else None)
    assert services["whole"].get(problem["type"]).status_code == 200
    return problem


@pytest.mark.parametrize(("route", "kind"), WALK)
def test_every_route_answers_every_kind_of_error_with_a_problem_that_it_declares(
    services: dict[str, TestClient], route: Route, kind: Kind
) -> None:
    answer = kind.request(services[kind.at], route)
    problem = assert_problem(services, answer, kind.slug)
    assert kind.slug not in HEADERS or answer.headers[HEADERS[kind.slug]]
    if route not in PAGES and kind.slug not in BESIDE_A_ROUTE:
        said = responses(route)[str(answer.status_code)]
        assert set(said.get("headers", {})) <= {name.title() for name in answer.headers}
        schema_of_it = said["content"]["application/problem+json"]["schema"]
        jsonschema_rs.validate(schema_of_it | {"components": DOCUMENT["components"]}, problem)
    if route.method == "GET":
        head = kind.request(services[kind.at], replace(route, method="HEAD"))
        assert (head.status_code, head.headers["content-type"]) == (answer.status_code, "application/problem+json")
        assert head.headers["x-request-id"] != problem["request_id"]


@pytest.mark.parametrize("route", LISTED, ids=lambda route: f"{route.method} {route.path}")
def test_every_error_that_a_route_declares_is_walked_and_no_other(route: Route) -> None:
    assert {status_of(kind) for kind in KINDS if kind.of(route)} == declared(route)


STATES = [HERE | ids for ids in (NOWHERE, GONE, MOVED, OF_A_SOURCE, GONE_FROM_A_SOURCE, OF_TWO_SOURCES, HERE)]
OF_ONE_RECORD = [route for route in ROUTES if "{" in route.path]
CONDITIONS: tuple[dict[str, str], ...] = ({"if_match": '"999-0"'}, {"if_none_match": "*"}, {})


@pytest.mark.parametrize("route", OF_ONE_RECORD, ids=lambda route: f"{route.method} {route.path}")
def test_whatever_the_state_of_a_record_the_answer_is_one_that_the_route_declares(template: Path, route: Route) -> None:
    with service(template, route.endpoint.__name__) as client:
        for ids, headers in itertools.product(STATES, CONDITIONS):
            answer = ask(client, route, ids, **headers)
            assert str(answer.status_code) in responses(route), answer.text


def test_every_kind_of_problem_is_walked_or_none_of_http() -> None:
    walked = {kind.slug for kind in KINDS} | BESIDE_A_ROUTE | OF_BACKUPS
    assert walked.isdisjoint(NOT_OVER_HTTP)
    assert walked | NOT_OVER_HTTP.keys() == kinds().keys()


@pytest.mark.parametrize("path", sorted({route.path.format(**HERE) for route in EVERY_ROUTE}))
def test_every_path_refuses_a_method_that_it_does_not_take_and_names_those_it_does(
    services: dict[str, TestClient], path: str
) -> None:
    allowed = methods_at(path)
    for method in METHODS - allowed - {"HEAD"}:
        answer = services["whole"].request(method, path)
        assert_problem(services, answer, "method-not-allowed")
        assert set(answer.headers["allow"].split(", ")) == allowed


@pytest.mark.parametrize("path", sorted({route.path.format(**HERE) for route in EVERY_ROUTE}))
def test_a_path_beside_every_path_is_no_page(services: dict[str, TestClient], path: str) -> None:
    beside = {f"{path}/x", f"{path}/", f"{path}x", f"{path}%00", f"/x{path}", path.upper()}
    for other in sorted(one for one in beside if one[:2] != "//" and not methods_at(unquote(one))):
        for method in methods_at(path) - {"HEAD"}:
            assert_problem(services, services["whole"].request(method, other), "no-such-page")


@pytest.mark.parametrize("route", [route for route in ROUTES if 304 in route.faults], ids=lambda route: route.path)
def test_a_record_that_is_known_already_is_not_sent_again(services: dict[str, TestClient], route: Route) -> None:
    tag = ask(services["whole"], route).headers["etag"]
    answer = ask(services["whole"], route, if_none_match=tag)
    assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", tag)


@pytest.mark.parametrize("name", sorted(SERVICES.keys() - {"whole", "without tables", "full"}))
def test_a_service_whose_database_cannot_be_used_lives_and_is_not_ready(services: dict[str, TestClient], name: str) -> None:
    assert services[name].get("/livez").status_code == 200
    answer = services[name].get("/readyz")
    assert (answer.status_code, answer.json()["status"]) == (503, "not ready")
