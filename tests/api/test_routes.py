"""All routes: each is reached, and each gives every fault that the document says it has, as a problem document."""

import asyncio
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from fastapi.testclient import TestClient
from httpx2 import Response
from sqlalchemy import Connection, insert
from sqlalchemy import text as sql
from starlette.routing import compile_path
from starlette.types import ASGIApp, Receive, Scope, Send

from homedex.api.app import PLAIN_ROUTES, ROUTES, Route, create_app, openapi_document
from homedex.api.deps import LARGEST_BODY_BYTES
from homedex.api.problem_pages import PROBLEM_ROUTES
from homedex.ingest.ha_storage import read_storage
from homedex.ingest.run import apply_sync
from homedex.registry import schema
from homedex.registry.changes import Stamp
from homedex.registry.edits import Edit, apply, remove_one
from homedex.registry.records import create_rows, remove_rows
from homedex.registry.sources import create_source
from homedex.registry.tables import DeviceId
from homedex.storage.database import Database

CAPTURE = Path(__file__).parent.parent / "data" / "ha_captures" / "storage-2026.11"
NOW = datetime(2026, 11, 22, tzinfo=UTC)
DOCUMENT = openapi_document()

HERE = {"device_id": "boiler", "entity_id": "sensor.boiler", "area_id": "attic", "source_id": "manual"}
NOWHERE = {"device_id": "nix", "entity_id": "sensor.nix", "area_id": "nix", "source_id": "nix"}
GONE = {"device_id": "gone", "entity_id": "id-of-gone", "area_id": "gone"}
MOVED = {"device_id": "old-pump"}
OF_A_SOURCE = {"device_id": "theirs", "entity_id": "sensor.theirs", "area_id": "theirs"}
GONE_FROM_A_SOURCE = {"device_id": "theirs-gone", "entity_id": "theirs.gone"}
OF_TWO_SOURCES = {"entity_id": "sensor.twice", "area_id": "twice"}

DATABASES: dict[str, dict[str, Any]] = {"whole": {}, "broken": {}, "busy": {"queue_limit": 0}, "full": {}}


def fill(connection: Connection) -> None:
    """A record of every kind that a fault is about."""
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
    create_rows(
        connection, "entities", "other", [{"id": key, "entity_id": name, "domain": "sensor"} for key, name in entities], stamp
    )
    create_rows(connection, "entities", "home", [{"id": "3", "entity_id": "sensor.twice", "domain": "sensor"}], stamp)
    create_rows(connection, "areas", "other", [{"area_id": name, "name": name} for name in ("theirs", "twice")], stamp)
    create_rows(connection, "areas", "home", [{"area_id": "twice", "name": "twice"}], stamp)
    remove_rows(connection, "devices", "other", ["theirs-gone"], stamp)
    remove_rows(connection, "entities", "other", ["theirs.gone"], stamp)


def break_it(connection: Connection) -> None:
    for name in ("devices", "entities", "areas", "sources", "changes", "alembic_version"):
        connection.execute(sql(f"ALTER TABLE {name} RENAME TO no_{name}"))


@pytest.fixture(scope="module")
def clients(migrated: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, TestClient]]:
    """A service on a database that is whole, and some on copies that are not. No test leaves a trace there: faults do not."""
    path = Path(shutil.copy(migrated, tmp_path_factory.mktemp("routes") / "whole.db"))
    database = Database.open(str(path), application_id=schema.APPLICATION_ID)
    observed = read_storage(CAPTURE, source_id="home")
    asyncio.run(database.write(apply_sync, observed, allow_removals=False, now=NOW))
    asyncio.run(database.write(fill))
    asyncio.run(database.close())
    for name in DATABASES.keys() - {"whole"}:
        shutil.copy(path, path.with_name(f"{name}.db"))
    with ExitStack() as stack:
        opened: dict[str, TestClient] = {}
        for name, settings in DATABASES.items():
            database = Database.open(str(path.with_name(f"{name}.db")), application_id=schema.APPLICATION_ID, **settings)
            if name == "broken":
                asyncio.run(database.write(break_it))
            app = create_app(database, allowed_hosts={"testserver"})
            opened[name] = stack.enter_context(TestClient(app, raise_server_exceptions=False, follow_redirects=False))
        fill_up(opened["full"])
        yield opened


def fill_up(client: TestClient) -> None:
    """Let the database have no more pages than it has, and use up the room in those."""

    def stop_growing(connection: Connection) -> None:
        connection.execute(sql("PRAGMA max_page_count = 1"))  # never fewer than there are

    asyncio.run(client.app.state.database.write(stop_growing))  # type: ignore[attr-defined]
    for path, name in (("devices/pump", "note"), ("areas/attic", "floor_id")):
        for size in (1000, 100, 10, 1):
            for turn in range(1000):
                if client.patch(f"/api/v1/{path}", json={name: str(turn % 10) * size}).status_code == 507:
                    break


def ask(client: TestClient, route: Route, ids: Mapping[str, str] = HERE, *, query: str = "", **changed: str) -> Response:
    """A request of the route that would be right but for what is changed, headers with _ for -."""
    headers = {name.replace("_", "-"): value for name, value in changed.items()}
    body: Any = None
    if route.kinds:
        headers.setdefault("content-type", route.kinds[0])
        noun = route.path.split("/")[3]
        row = {"device_id": "made"} if noun == "devices" else {"entity_id": "sensor.made"}
        name = {"name": "made" * 250}
        body = {noun: [row | name]} if route.path.endswith("/bulk") else name
    return client.request(route.method, route.path.format(**ids) + query, json=body, headers=headers)


def known_already(client: TestClient, route: Route) -> Response:
    return ask(client, route, if_none_match=ask(client, route).headers["etag"])


def conflicting(client: TestClient, route: Route) -> Response:
    if not route.path.endswith("/bulk"):
        return ask(client, route, OF_TWO_SOURCES if route.method == "GET" else OF_A_SOURCE)
    client.app.state.keys_in_use.add("twice")  # type: ignore[attr-defined]
    return ask(client, route, idempotency_key="twice")


def invalid(client: TestClient, route: Route) -> Response:
    if route.method == "GET":
        return ask(client, route, query="?fields=colour")
    return ask(client, route, idempotency_key="a b") if route.path.endswith("/bulk") else ask(client, route, if_match="3")


PROVOKED: dict[int, Callable[[TestClient, Route], Response]] = {
    304: known_already,
    308: lambda client, route: ask(client, route, MOVED),
    400: lambda client, route: ask(client, route, query="?colour=red"),
    404: lambda client, route: ask(client, route, NOWHERE),
    406: lambda client, route: ask(client, route, accept="image/png"),
    409: conflicting,
    410: lambda client, route: ask(client, route, GONE_FROM_A_SOURCE if route.method == "PUT" else GONE),
    412: lambda client, route: ask(client, route, if_match='"999-0"'),
    413: lambda client, route: ask(client, route, content_length=str(LARGEST_BODY_BYTES + 1)),
    415: lambda client, route: ask(client, route, content_type="text/plain"),
    422: invalid,
    500: ask,
    503: ask,
    507: ask,
}
BY_DATABASE = {500: "broken", 503: "busy", 507: "full"}


def declared(route: Route) -> list[int]:
    return [int(status) for status in DOCUMENT["paths"][route.path][route.method.lower()]["responses"] if int(status) > 303]


def assert_problem(answer: Response, status: int) -> None:
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
    problem = answer.json()
    assert list(problem)[:6] == ["type", "title", "status", "detail", "instance", "request_id"]
    assert (problem["status"], problem["instance"]) == (status, answer.request.url.raw_path.decode().partition("?")[0])
    assert problem["request_id"] == answer.headers["x-request-id"]
    assert re.fullmatch(r"/problems/[a-z-]+", problem["type"])
    assert problem["title"]
    assert problem["detail"].endswith((".", "?"))
    assert not re.search("SELECT|INSERT|UPDATE |sqlite|apsw|Traceback", answer.text)


FAULTS = [pytest.param(route, status, id=f"{route.method} {route.path} {status}") for route in ROUTES for status in declared(route)]


@pytest.mark.parametrize(("route", "status"), FAULTS)
def test_every_route_gives_each_fault_that_it_declares_as_a_problem(
    clients: dict[str, TestClient], route: Route, status: int
) -> None:
    answer = PROVOKED[status](clients[BY_DATABASE.get(status, "whole")], route)
    if status == 304:
        assert (answer.status_code, answer.content, answer.headers["etag"][:1]) == (304, b"", '"')
        return
    assert_problem(answer, status)
    expected = {308: "location", 503: "retry-after"}.get(status, "x-request-id")
    assert answer.headers[expected]


@pytest.mark.parametrize("route", [*ROUTES, *PLAIN_ROUTES], ids=lambda route: f"{route.method} {route.path}")
def test_every_route_refuses_to_be_asked_by_another_name(clients: dict[str, TestClient], route: Route) -> None:
    assert_problem(ask(clients["whole"], route, host="evil.example"), 400)


@pytest.mark.parametrize(("path", "name", "status"), [("/", "broken", 500), ("/", "busy", 503), ("/readyz", "broken", 500)])
def test_a_route_beside_the_api_gives_its_faults_as_problems(
    clients: dict[str, TestClient], path: str, name: str, status: int
) -> None:
    assert_problem(clients[name].get(path), status)


class Address(NamedTuple):
    """A path that is served, and the methods it takes by the list of routes."""

    path: str
    methods: set[str]


def addresses() -> list[Address]:
    served = [(route.path, route.method) for route in (*ROUTES, *PLAIN_ROUTES)]
    served += [(path, "GET") for path, _ in PROBLEM_ROUTES] + [("/docs", "GET"), ("/openapi.json", "GET")]
    found = []
    for path in dict.fromkeys(path.format(**HERE, slug="busy") for path, _ in served):
        methods = {method for pattern, method in served if compile_path(pattern)[0].match(path)}
        found.append(Address(path, methods | ({"HEAD"} if "GET" in methods else set())))
    return found


@pytest.mark.parametrize("address", addresses(), ids=lambda address: address.path)
def test_every_path_refuses_a_method_it_does_not_take_and_names_those_it_does(
    clients: dict[str, TestClient], address: Address
) -> None:
    for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"} - address.methods:
        answer = clients["whole"].request(method, address.path)
        assert_problem(answer, 405)
        assert set(answer.headers["allow"].split(", ")) == address.methods


def test_a_path_that_is_not_served_is_a_problem(clients: dict[str, TestClient]) -> None:
    for path in {address.path for address in addresses()} - {"/", "/problems"}:
        for other in (f"{path}/x", f"{path}/", f"/x{path}", path.upper()):
            assert_problem(clients["whole"].get(other), 404)


class Watched:
    """An app, and what answered each request."""

    def __init__(self, app: ASGIApp) -> None:
        self.app, self.reached = app, [None]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)
        self.reached.append(scope.get("endpoint"))


@pytest.mark.parametrize("route", [*ROUTES, *PLAIN_ROUTES], ids=lambda route: f"{route.method} {route.path}")
def test_no_route_is_hidden_by_another(clients: dict[str, TestClient], route: Route) -> None:
    watched = Watched(clients["busy"].app)  # it answers before anything is read or written
    client = TestClient(watched)
    for ids in (HERE, dict.fromkeys(HERE, "bulk"), dict.fromkeys(HERE, "devices.csv")):
        if not (route.method == "PUT" and "entity_id" in route.path and ids["entity_id"] == "bulk"):
            ask(client, route, ids)
            assert watched.reached[-1] is route.endpoint
    if route.method == "GET":
        client.head(route.path.format(**HERE))
        assert watched.reached[-1] is route.endpoint


def test_no_route_is_served_that_is_not_in_the_list(clients: dict[str, TestClient]) -> None:
    served = {route.path for route in clients["whole"].app.routes}  # type: ignore[attr-defined]
    listed = {route.path for route in (*ROUTES, *PLAIN_ROUTES)} | {path for path, _ in PROBLEM_ROUTES}
    assert served - listed == {"/docs", "/docs/oauth2-redirect", "/openapi.json"}


@pytest.mark.parametrize(
    "route", [route for route in ROUTES if route.method in {"PUT", "PATCH", "DELETE"}], ids=lambda route: route.path
)
def test_what_is_there_is_left_alone_where_nothing_may_be_there(clients: dict[str, TestClient], route: Route) -> None:
    assert_problem(ask(clients["whole"], route, if_none_match="*"), 412)
