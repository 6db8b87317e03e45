"""What every request goes through: its id, who may ask, how much may be sent, and what is logged."""

import asyncio
import gc
import gzip
import io
import json
import logging
import re
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import apsw
import pytest
from fastapi import HTTPException
from fastapi.responses import StreamingResponse
from fastapi.testclient import TestClient
from pydantic import ValidationError
from starlette.types import Message, Receive, Scope, Send

from homedex.api import logs
from homedex.api.app import create_app
from homedex.api.deps import LARGEST_BODY_BYTES
from homedex.api.requests import Requests
from homedex.config import Settings
from homedex.registry import schema
from homedex.registry.statements import Shape
from homedex.storage.database import Database
from service import Service

pytestmark = pytest.mark.sqlite

TOO_MUCH = str(LARGEST_BODY_BYTES + 1)


def opened(path: Path, **options: Any) -> TestClient:
    database = Database.open(str(path), application_id=schema.APPLICATION_ID)
    return TestClient(create_app(database, **options), raise_server_exceptions=False, follow_redirects=False)


@pytest.fixture
def guarded(registry_file: Path) -> Iterator[TestClient]:
    """A service that goes by few names."""
    with opened(registry_file, allowed_hosts=Settings().hosts()) as client:
        yield client


async def broken() -> None:
    raise ValueError("SELECT secret")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/livez", 200),
        ("HEAD", "/livez", 200),
        ("GET", "/openapi.json", 200),
        ("GET", "/problems", 200),
        ("GET", "/nowhere", 404),
        ("POST", "/livez", 405),
        ("GET", "/api/v1/devices?limit=x", 422),
        ("GET", "/broken", 500),
    ],
)
def test_every_answer_names_its_request(client: TestClient, method: str, path: str, status: int) -> None:
    client.app.add_api_route("/broken", broken)  # type: ignore[attr-defined]
    answer = client.request(method, path)
    assert (answer.status_code, len(answer.headers.get_list("x-request-id"))) == (status, 1)
    assert re.fullmatch("[0-9a-f]{16}", answer.headers["x-request-id"])
    assert status < 400 or answer.json()["request_id"] == answer.headers["x-request-id"]


def test_no_two_requests_have_one_id(client: TestClient) -> None:
    assert len({client.get("/livez").headers["x-request-id"] for _ in range(50)}) == 50


@pytest.mark.parametrize("given", ["a", "0c6b-x_Y.9", "x" * 64])
def test_an_id_that_came_with_the_request_is_kept(client: TestClient, given: str) -> None:
    assert client.get("/nowhere", headers={"x-request-id": given}).json()["request_id"] == given


@pytest.mark.parametrize("given", [b"", b"x" * 65, b"a b", b"a,b", "ä".encode(), b'"', b"a\n"])
def test_an_id_of_other_letters_is_not_taken(client: TestClient, given: bytes) -> None:
    assert re.fullmatch("[0-9a-f]{16}", client.get("/livez", headers={b"x-request-id": given}).headers["x-request-id"])


@pytest.mark.parametrize("host", ["localhost", "LocalHost:8000", "127.0.0.1:8000", "127.0.0.1", "[::1]", "[::1]:8000"])
def test_this_machine_may_ask(guarded: TestClient, host: str) -> None:
    assert guarded.get("/livez", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "localhost.evil.example", "evil.example:8000", "", "localhost:1:2", "[::1].evil", "::1", "a@localhost", "["],
)
@pytest.mark.parametrize("path", ["/livez", "/api/v1/devices", "/nowhere"])
def test_a_page_that_gives_this_machine_another_name_may_not(guarded: TestClient, host: str, path: str) -> None:
    answer = guarded.get(path, headers={"host": host})
    assert (answer.status_code, answer.json()["type"]) == (400, "/problems/host-not-allowed")
    assert answer.headers["x-request-id"] == answer.json()["request_id"]


@pytest.mark.parametrize(
    ("settings", "hosts"),
    [
        ({}, {"localhost", "127.0.0.1", "[::1]"}),
        ({"host": "127.0.0.9"}, {"localhost", "127.0.0.1", "[::1]", "127.0.0.9"}),
        ({"host": "0:0:0:0:0:0:0:1"}, {"localhost", "127.0.0.1", "[::1]", "[0:0:0:0:0:0:0:1]"}),
        ({"allowed_hosts": "Home.lan, [fd00::1],"}, {"localhost", "127.0.0.1", "[::1]", "home.lan", "[fd00::1]"}),
        ({"allowed_hosts": "*"}, None),
        ({"insecure_bind": True}, None),
        ({"insecure_bind": True, "allowed_hosts": "home.lan"}, {"localhost", "127.0.0.1", "[::1]", "home.lan"}),
    ],
)
def test_the_names_it_goes_by_follow_from_the_settings(settings: dict[str, Any], hosts: set[str] | None) -> None:
    assert Settings(**settings).hosts() == hosts


@pytest.mark.parametrize("names", ["home.lan:8000", "http://home.lan", "a b", "fd00::1", "*.lan"])
def test_a_name_that_no_request_can_have_is_no_setting(names: str) -> None:
    with pytest.raises(ValidationError, match="is no host name"):
        Settings(allowed_hosts=names)


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/livez"), ("PUT", "/api/v1/devices/a"), ("GET", "/nowhere"), ("POST", "/docs")]
)
def test_a_body_that_says_it_is_too_large_is_not_read(client: TestClient, method: str, path: str) -> None:
    answer = client.request(method, path, headers={"content-length": TOO_MUCH})
    assert (answer.status_code, answer.json()["type"]) == (413, "/problems/too-large")
    assert answer.headers["x-request-id"] == answer.json()["request_id"]


def test_a_body_of_the_largest_size_is_let_in(client: TestClient) -> None:
    assert client.get("/livez", headers={"content-length": str(LARGEST_BODY_BYTES)}).status_code == 200


def test_a_request_that_is_cut_off_by_the_end_of_the_service_is_answered_all_the_same() -> None:
    sent: list[Message] = []

    async def receive() -> Message:
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message)

    async def endless(_: Scope, __: Receive, ___: Send) -> None:
        raise asyncio.CancelledError

    async def ask() -> None:
        with pytest.raises(asyncio.CancelledError):
            await Requests(endless)({"type": "http", "method": "GET", "path": "/", "headers": []}, receive, send)

    asyncio.run(ask())
    assert (sent[0]["status"], json.loads(sent[1]["body"])["type"]) == (500, "/problems/internal")


@pytest.fixture(params=[logs.TextLine, logs.JsonLine])
def written(request: pytest.FixtureRequest) -> Iterator[io.StringIO]:
    """What a handler with one of our formats writes."""
    handler = logging.StreamHandler(io.StringIO())
    handler.setFormatter(request.param())
    logging.getLogger().addHandler(handler)
    yield handler.stream
    logging.getLogger().removeHandler(handler)


def test_a_library_that_logs_while_a_request_is_handled_names_the_request(client: TestClient, written: io.StringIO) -> None:
    async def chatty() -> None:
        logging.getLogger("some.library").warning("hello\n2026-11-22T12:00:00.000Z ERROR forged\x1b[2J")

    client.app.add_api_route("/chatty", chatty)  # type: ignore[attr-defined]
    client.get("/chatty", headers={"x-request-id": "r-1"})
    logging.getLogger("some.library").warning("and outside of any")
    inside, outside = written.getvalue().splitlines()
    assert ("r-1" in inside, "some.library" in inside, "r-1" in outside) == (True, True, False)
    assert "\x1b" not in inside


@pytest.mark.parametrize("error", [ValueError("inner words"), HTTPException(503, "inner words")])
def test_a_bug_is_logged_once_with_its_cause(client: TestClient, written: io.StringIO, error: Exception) -> None:
    async def broken() -> None:
        raise error

    client.app.add_api_route("/broken", broken)  # type: ignore[attr-defined]
    client.get("/broken", headers={"x-request-id": "r-2"})
    assert re.search(r"r-2.*GET /broken 500 internal [\d.]+ ms", written.getvalue())
    assert written.getvalue().count("inner words") == 1


def test_a_bug_in_the_middle_of_an_answer_is_logged_too(client: TestClient, written: io.StringIO) -> None:
    async def half() -> AsyncIterator[bytes]:
        yield b"half"
        raise ValueError("inner words".upper())

    client.app.add_route("/half", lambda _: StreamingResponse(half()))  # type: ignore[attr-defined]
    assert client.get("/half", headers={"x-request-id": "r-3"}).content == b"half"
    assert re.search(r"r-3.*GET /half 200 internal [\d.]+ ms", written.getvalue())
    assert written.getvalue().count("INNER WORDS") == 1


def test_only_failures_of_ours_are_logged(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "homedex")
    for path in ("/livez", "/nowhere", "/api/v1/devices?limit=x"):
        client.get(path)
    assert caplog.messages == []


def test_every_request_is_logged_where_that_is_asked_for(registry_file: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "homedex")
    with opened(registry_file, access_log=True) as client:
        client.get("/livez?secret=1")
        client.get("/no%0Awhere")
    said = [re.sub(r"[\d.]+ ms", "1 ms", message) for message in caplog.messages]
    assert said == ["GET /livez 200 - 1 ms", "GET /no%0Awhere 404 no-such-page 1 ms"]


def test_a_failure_of_the_service_is_found_in_its_log_by_the_id_in_the_answer(registry_file: Path) -> None:
    with Service.start(registry_file, HOMEDEX_LOG_FORMAT="json") as service:
        apsw.Connection(str(registry_file)).execute("ALTER TABLE devices RENAME TO elsewhere")
        status, problem = service.ask("GET", "/api/v1/devices")
        service.stop()
    lines = [json.loads(line) for line in service.log.splitlines()]
    found = [line for line in lines if line["request_id"] == problem["request_id"]]
    expected = {"level": "error", "method": "GET", "path": "/api/v1/devices", "status": 500, "slug": "internal"}
    assert (status, len(found), expected.items() <= found[0].items()) == (500, 1, True)
    assert "no such table" in found[0]["trace"]
    assert "devices" not in problem["detail"]


def test_the_service_answers_no_other_name_than_its_own(registry_file: Path) -> None:
    with Service.start(registry_file) as service:
        assert service.ask("GET", "/livez")[0] == 200
        status, problem = service.ask("GET", "/livez", headers={"host": "evil.example"})
    assert (status, problem["type"]) == (400, "/problems/host-not-allowed")


def test_a_body_in_a_content_coding_is_415_that_names_it(client: TestClient) -> None:
    packed = gzip.compress(b'{"name": "A"}')
    for coding, status in (("gzip", 415), ("identity", 201)):
        body = packed if coding == "gzip" else b'{"name": "A"}'
        headers = {"content-type": "application/json", "content-encoding": coding}
        answer = client.put("/api/v1/devices/a", content=body, headers=headers)
        assert answer.status_code == status
        assert status != 415 or "came as gzip" in answer.json()["detail"]


@pytest.mark.parametrize("kind", ["csv", "ndjson"])
def test_a_head_of_a_whole_result_says_no_length_that_nobody_knows(client: TestClient, kind: str) -> None:
    client.put("/api/v1/devices/a", json={})
    answer = client.head(f"/api/v1/devices.{kind}")
    assert (answer.status_code, "content-length" in answer.headers) == (200, False)


def test_a_link_that_some_clients_take_no_header_of_is_in_the_body_alone(client: TestClient) -> None:
    for number in range(3):
        client.put(f"/api/v1/devices/{number}", json={"name": "n"})
    long = [("name", "x" * 900 + str(number)) for number in range(20)]
    answer = client.get("/api/v1/devices", params=[*long, ("name", "n"), ("limit", "2")])
    assert (answer.status_code, "link" in answer.headers) == (200, False)
    assert answer.json()["next"]
    assert "link" in client.get("/api/v1/devices?limit=2").headers


def test_header_fields_are_read_as_rfc_9110_says(client: TestClient) -> None:
    tag = client.put("/api/v1/devices/a", json={}).headers["etag"]
    for said in ([("If-Match", '"9-x"'), ("If-Match", tag)], [("If-Match", f", {tag}")], [("If-Match", f'"9-x",, {tag} ,')]):
        assert client.patch("/api/v1/devices/a", json={}, headers=said).status_code == 200, said
    assert client.patch("/api/v1/devices/a", json={}, headers={"If-Match": '"9-x",'}).status_code == 412
    assert client.get("/api/v1/devices", headers={"Accept": "Application/JSON"}).status_code == 200


def test_digits_of_relative_times_are_those_of_ascii(client: TestClient) -> None:
    assert client.get("/api/v1/devices?created_at__gte=-3d").status_code == 200
    assert client.get("/api/v1/devices?created_at__gte=-\u0663d").status_code == 422


def test_who_is_slow_to_take_an_answer_holds_no_room_for_bodies(registry_file: Path) -> None:
    rows = {"devices": [{"device_id": f"d{number:05}", "note": "n" * 1000} for number in range(3000)]}
    head = b"GET /api/v1/devices.ndjson HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    with Service.start(registry_file) as service, ExitStack() as slow:
        assert service.ask("POST", "/api/v1/devices/bulk", rows)[0] == 200
        for _ in range(3):
            reader = slow.enter_context(socket.create_connection(("127.0.0.1", service.port)))
            reader.sendall(head)
            assert reader.recv(12) == b"HTTP/1.1 200"
        assert service.ask("POST", "/api/v1/devices/bulk", rows)[0] == 200


def test_sql_is_kept_of_small_questions_alone(client: TestClient) -> None:
    def kept() -> int:
        return sum(isinstance(one, Shape) for one in gc.get_objects())

    client.get("/api/v1/devices?name=a")
    gc.collect()
    before = kept()
    for number in range(51, 91):
        values = [("name", str(value)) for value in range(number)] + [("model", str(value)) for value in range(number)]
        assert client.get("/api/v1/devices", params=[*values, ("facet", "manufacturer")]).status_code == 200
    gc.collect()
    assert kept() - before < 10
