"""A thousand hostile inputs: each gets a clear answer, nothing is stored, nothing is slow."""

import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from fastapi.testclient import TestClient

from homedex.api.deps import LARGEST_BODY_BYTES
from homedex.registry.devices import DEVICES
from homedex.registry.entities import ENTITIES

V1 = "/api/v1"
SLOWEST_S = 5.0
WORDS = (
    *(
        "%00",
        "a%00b",
        "%ed%a0%80",
        "%ff%fe",
        "",
        "%20",
        "'",
        "''",
        "%22",
        "';DROP TABLE devices;--",
        "1 OR 1=1",
        "%25",
        "_",
        "\\",
        "/*",
    ),
    *(
        "NEAR(",
        "a AND",
        "NOT",
        "names:",
        "*",
        "^",
        "-",
        "(",
        "{a}:b",
        "\U0001f4a1",
        "9" * 400,
        "-1",
        "1e999",
        "NaN",
        "x" * 1025,
        "x" * 5000,
    ),
    *(
        "%C3%A9" * 1025,
        "../../etc/passwd",
        "%2e%2e%2f",
        "<script>",
        "$(id)",
        "${jndi:ldap://x}",
        "\r\nX: y".replace("\r\n", "%0d%0a"),
        "null",
    ),
)
DEEP = 100_000
BODIES = (
    *(
        b"",
        b" ",
        b"{",
        b"[",
        b"null",
        b"1",
        b'"x"',
        b"[]",
        b"[{}]",
        b"\xff",
        b"\xef\xbb\xbf{}",
        b"{}{}",
        b"{'a': 1}",
        b'{"a": 1,}',
        b"// x\n{}",
    ),
    *(
        b'{"name": NaN}',
        b'{"name": Infinity}',
        b'{"name": "\\ud800"}',
        b'{"name": "a\\u0000"}',
        b'{"name": "a", "name": "b"}',
        b'{"name": "\x00"}',
    ),
    *(
        b'{"extra": {"a": 1, "a": 2}}',
        b'{"extra": {"n": 1e999}}',
        b'{"extra": {"n": ' + b"9" * 5000 + b"}}",
        b'{"extra": {"\\udfff": 1}}',
    ),
    *(
        b"[" * DEEP + b"]" * DEEP,
        b'{"extra": ' + b'{"a":' * DEEP + b"1" + b"}" * DEEP + b"}",
        b'{"extra": ' + b"[" * 70 + b"]" * 70 + b"}",
    ),
    *(
        b'{"name": 1}',
        b'{"name": ["a"]}',
        b'{"labels": "a"}',
        b'{"labels": [1]}',
        b'{"extra": []}',
        b'{"nme": 1}',
        b'{"__proto__": 1}',
    ),
    *(
        b'{"name": "' + b"x" * 1025 + b'"}',
        b'{"extra": {"a": "' + b"x" * 70_000 + b'"}}',
        b'{"last_seen": 0}',
        b'{"area_id": true}',
    ),
)
HEADERS = (
    *({"If-Match": value} for value in ("", "x", '"', '"1', 'W/"1"', '"' + "9" * 5000 + '"', '"1", x', "\x01")),
    *({"Accept": value} for value in ("text/html", "image/*", "x" * 5000, "application/xml;q=0.9")),
    *(
        {"Content-Type": value}
        for value in ("", "text/plain", "application/json; charset=utf-16", "x" * 5000, "multipart/form-data")
    ),
    *({"X-Request-ID": value} for value in ("", "x" * 500, "a b", "<b>", "\x7f")),
)


def questions() -> Iterator[tuple[str, str]]:
    """(method, URL) of every hostile question."""
    for listing in (DEVICES, ENTITIES):
        path = f"{V1}/{listing.noun}"
        for name in ("q", "sort", "fields", "facet", "cursor", "limit", "count", "removed", "expand", "colour", "since"):
            yield from (("GET", f"{path}?{name}={word}") for word in WORDS)
        for name in listing.questions.filters:
            yield from (("GET", f"{path}?{name}={word}") for word in ("%00", "';DROP TABLE devices;--", "%ed%a0%80", "x" * 1025))
        yield "GET", f"{path}?" + "&".join(f"a{number}=1" for number in range(5_000))
        yield "GET", f"{path}?" + "&".join(f"name={number}" for number in range(101))
        yield "GET", f"{path}?q=" + "+".join(f"w{number}" for number in range(200))
    for method in ("GET", "DELETE", "PATCH"):
        for noun in ("devices", "entities", "areas"):
            yield from ((method, f"{V1}/{noun}/{quote(word, safe='%')}") for word in WORDS)


def check(answer: Any, started: float, what: str) -> None:
    assert time.monotonic() - started < SLOWEST_S, what
    assert answer.status_code < 500, (what, answer.text[:500])
    if answer.status_code >= 400:
        assert answer.headers["content-type"] == "application/problem+json", what
        assert not {"SELECT", "Traceback", "sqlite", "sqlalchemy"} & set(answer.json()["detail"].split()), what


@pytest.fixture
def kept(client: TestClient) -> Iterator[TestClient]:
    """A registry with a device, an entity and an area, which must be as they were at the end."""
    for noun, name in (("areas", "a"), ("devices", "a"), ("entities", "light.a")):
        assert client.put(f"{V1}/{noun}/{name}", json={"name": "A"}).status_code == 201
    before = client.get(f"{V1}/changes").content
    yield client
    assert client.get(f"{V1}/changes").content == before


def test_hostile_questions_are_answered_or_refused(kept: TestClient) -> None:
    asked = list(questions())
    assert len(asked) > 1000
    for method, url in asked:
        started = time.monotonic()
        body: dict[str, Any] | None = {} if method == "PATCH" else None
        check(kept.request(method, url, json=body), started, f"{method} {url[:200]}")


def test_hostile_bodies_are_refused(kept: TestClient) -> None:
    routes = [("PUT", "devices/x"), ("PATCH", "devices/a"), ("PUT", "entities/light.x"), ("PATCH", "entities/light.a")]
    routes += [("PUT", "areas/x"), ("PATCH", "areas/a"), ("POST", "devices/bulk"), ("POST", "entities/bulk")]
    for method, path in routes:
        for body in BODIES:
            started = time.monotonic()
            answer = kept.request(method, f"{V1}/{path}", content=body, headers={"content-type": "application/json"})
            check(answer, started, f"{method} {path} {body[:80]!r}")
            assert answer.status_code >= 400, (method, path, body[:80])


@pytest.mark.parametrize("size", [LARGEST_BODY_BYTES + 1, LARGEST_BODY_BYTES])
@pytest.mark.parametrize("path", ["devices/x", "devices/bulk"])
def test_the_largest_body_is_refused_in_time(kept: TestClient, path: str, size: int) -> None:
    body = b'{"extra": {"a": "' + b"x" * (size - 20) + b'"}}'
    started = time.monotonic()
    method = "POST" if path.endswith("bulk") else "PUT"
    answer = kept.request(method, f"{V1}/{path}", content=body, headers={"content-type": "application/json"})
    check(answer, started, path)
    assert answer.status_code == (413 if len(body) > LARGEST_BODY_BYTES else 422)


def test_hostile_headers_are_refused_or_have_no_effect(kept: TestClient) -> None:
    for headers in HEADERS:
        for method, path in (("GET", "devices/a"), ("GET", "devices"), ("PATCH", "devices/a"), ("PUT", "devices/a")):
            started = time.monotonic()
            given = {"content-type": "application/json"} | {name.lower(): value for name, value in headers.items()}
            answer = kept.request(method, f"{V1}/{path}", content=b'{"name": "A"}' if method != "GET" else None, headers=given)
            check(answer, started, f"{method} {headers}")
            assert "\n" not in answer.headers["x-request-id"]
