"""The short way to an endpoint, beside the framework's own: the same answers, and none that ought to be the framework's."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from fastapi.testclient import TestClient
from starlette.types import ASGIApp, Receive, Scope, Send

from homedex.api import direct
from homedex.api.app import BACKUP_ROUTES, PLAIN_ROUTES, ROUTES, _app_of_routes, create_app
from homedex.registry import schema
from homedex.storage.database import Database

pytestmark = pytest.mark.sqlite

IDS = (
    "boiler",
    "none",
    "gone",
    "bulk",
    "devices.csv",
    "x" * 255,
    "x" * 256,
    "A b",
    "ä",
    "%",
    "a\n",
    "manual",
    "sensor.boiler",
    "a:b",
    "~",
)
METHODS = ("GET", "HEAD", "PUT", "PATCH", "DELETE", "POST", "OPTIONS")
BODIES: tuple[Any, ...] = ({"name": "x"}, {"nmae": "x"}, [])


class Nothing(direct.Direct):
    """No short way at all."""

    def _find(self, _: Scope) -> None:
        return None


@pytest.fixture
def ways(registry_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[TestClient]]:
    """The same service twice, the second without the short way."""
    (tmp_path / "second").mkdir()
    second = tmp_path / "second" / "registry.db"
    second.write_bytes(registry_file.read_bytes())
    clients = []
    for path, kind in ((registry_file, direct.Direct), (second, Nothing)):
        monkeypatch.setattr("homedex.api.app.Direct", kind)
        opened = Database.open(str(path), application_id=schema.APPLICATION_ID)
        app = create_app(opened, cache_bytes=0)
        app.middleware_stack = app.build_middleware_stack()
        clients.append(TestClient(app, raise_server_exceptions=False, follow_redirects=False))
    with clients[0], clients[1]:
        yield clients


def test_both_ways_answer_alike(ways: list[TestClient]) -> None:
    for client in ways:
        for key in ("boiler", "gone"):
            assert client.put(f"/api/v1/devices/{key}", json={"name": "x"}).status_code == 201
        assert client.delete("/api/v1/devices/gone").status_code == 204
    paths = {route.path for route in (*ROUTES, *BACKUP_ROUTES, *PLAIN_ROUTES)} | {
        "/api/v1/devices/{device_id}/",
        "/api/v1/none/{name}",
    }
    asked = 0
    for path, key, method in itertools.product(sorted(paths), IDS, METHODS):
        if "{" not in path and key != IDS[0]:
            continue
        where = path.partition("{")[0] + quote(key) + path.partition("}")[2] if "{" in path else path
        has_body = method in {"PUT", "PATCH", "POST"}
        for body in (BODIES if key in IDS[:4] else BODIES[:1]) if has_body else (None,):
            said = [seen(client.request(method, where, json=body, headers={"x-request-id": "same"})) for client in ways]
            assert said[0] == said[1], (method, where, body)
            asked += 1
    assert asked > 1500


def seen(answer: Any) -> tuple[Any, ...]:
    is_json = answer.content and answer.headers.get("content-type", "").endswith(("/json", "+json"))
    body = answer.json() if is_json else answer.content
    headers = {name: value for name, value in answer.headers.items() if name not in {"etag", "content-length"}}
    return answer.status_code, headers, timeless(body)


def timeless(body: Any) -> Any:
    """Without what says when it was made."""
    if isinstance(body, dict):
        return {
            name: timeless(value) for name, value in body.items() if not name.endswith("_at") and name not in {"at", "request_id"}
        }
    if isinstance(body, bytes):
        return body.count(b"\n")
    return [timeless(one) for one in body] if isinstance(body, list) else body


def test_every_question_of_the_registry_goes_the_short_way() -> None:
    async def framework(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise AssertionError("the framework was asked")

    found: ASGIApp = direct.Direct(framework, _app_of_routes())
    for route in (*ROUTES, *BACKUP_ROUTES):
        for key in ("sensor.bulk",) if "/entities/" in route.path and "devices" not in route.path else ("boiler", "bulk"):
            path = route.path.partition("{")[0] + key + route.path.partition("}")[2] if "{" in route.path else route.path
            went = found._find({"type": "http", "method": route.method, "path": path})  # type: ignore[attr-defined]
            assert went is not None, (route.method, path)
            assert went[0].endpoint is route.endpoint
            assert went[1] == ((key,) if "{" in route.path else ())
