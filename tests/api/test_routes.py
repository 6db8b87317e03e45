"""All routes: each is reached, none hides another, and none is served that is not in the list."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from starlette.routing import Route as Served
from starlette.types import ASGIApp, Receive, Scope, Send

from homedex.api.app import BACKUP_ROUTES, PLAIN_ROUTES, ROUTES, _app_of_routes, create_app
from homedex.api.problem_pages import PROBLEM_ROUTES
from homedex.registry import schema
from homedex.storage.database import Database

pytestmark = pytest.mark.sqlite

SERVED = [one for one in _app_of_routes().routes if isinstance(one, Served)]
NAMES = {
    "name": "x",
    "device_id": "boiler",
    "entity_id": "sensor.boiler",
    "area_id": "attic",
    "source_id": "manual",
    "slug": "busy",
}


class Watched:
    """An app, and what answered each request."""

    def __init__(self, app: ASGIApp) -> None:
        self.app, self.reached = app, [None]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)
        self.reached.append(scope.get("endpoint"))


@pytest.fixture(scope="module")
def watched(migrated: Path) -> Iterator[Watched]:
    """A service that answers before anything is read or written."""
    database = Database.open(str(migrated), application_id=schema.APPLICATION_ID, queue_limit=0)
    app = create_app(database)
    with TestClient(app):
        yield Watched(app)


@pytest.mark.parametrize("number", range(len(SERVED)), ids=[f"{min(one.methods or ())} {one.path}" for one in SERVED])
def test_no_route_is_hidden_by_another(watched: Watched, number: int) -> None:
    client, route = TestClient(watched), watched.app.routes[number]  # type: ignore[attr-defined]
    for ids in (NAMES, dict.fromkeys(NAMES, "bulk"), dict.fromkeys(NAMES, "devices.csv")):
        for method in route.methods:
            client.request(method, route.path.format(**ids), follow_redirects=False)
            assert watched.reached[-1] is route.endpoint


def test_every_route_of_the_list_is_served_and_no_other() -> None:
    listed = {(route.method, route.path, route.endpoint) for route in (*ROUTES, *BACKUP_ROUTES, *PLAIN_ROUTES)}
    listed |= {("HEAD", path, endpoint) for method, path, endpoint in listed if method == "GET"}
    listed |= {(method, path, endpoint) for path, endpoint in PROBLEM_ROUTES for method in ("GET", "HEAD")}
    served = {(method, route.path, route.endpoint) for route in SERVED for method in route.methods or ()}
    assert listed <= served
    assert {path for _, path, _ in served - listed} == {"/docs", "/docs/oauth2-redirect", "/openapi.json"}
    assert len(_app_of_routes().routes) == len(SERVED)
