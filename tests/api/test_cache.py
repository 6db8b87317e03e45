"""Answers that are kept: never older than the last commit, whoever made it; never of what is no answer of the database alone."""

import asyncio
import json
import shutil
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from homedex.api.app import create_app
from homedex.api.cache import OVERHEAD_BYTES, Cache, Question
from homedex.registry import schema
from homedex.storage.database import Database
from service import CACHE_MB, Service, homedex

pytestmark = pytest.mark.sqlite

V1 = "/api/v1"
CAPTURES = Path(__file__).parent.parent / "data" / "ha_captures"
Messages = list[MutableMapping[str, Any]]


# --- never stale ---

IDS = ("a", "b", "c")
NAMES = ("Lamp", "Plug", "Älteste Lampe")
QUESTIONS = (
    *(f"/devices/{key}" for key in IDS),
    *("/devices", "/devices?sort=-name", "/devices?name__ic=lamp&facet=manufacturer", "/devices?limit=1", "/devices?q=lamp"),
    *(
        "/devices?removed=any&sort=-modified_at",
        "/devices?seen=never",
        "/entities?limit=3",
        "/areas",
        "/sources",
        "/changes?limit=2",
    ),
    *("/devices/a/changes", "/devices/b/entities", "/devices?fields=name,last_seen", "/devices?last_seen__lt=-1d&limit=1000"),
)
SHELL = (
    "UPDATE devices SET name = 'of a shell' || random() WHERE device_id IN (SELECT device_id FROM devices LIMIT 3)",
    "UPDATE devices SET removed_at = '2026-11-22T13:52:56.000000Z' WHERE device_id = 'b'",
    "UPDATE sightings SET last_seen = NULL, seen_by = NULL",
    "UPDATE sightings SET last_seen = '2020-01-01T00:00:00.000000Z', seen_by = 'shell' WHERE number % 2",
    "DELETE FROM changes WHERE seq = (SELECT min(seq) FROM changes)",
    "DELETE FROM entities WHERE id IN (SELECT id FROM entities LIMIT 1)",
)
Way = tuple[str, str, str]
WAYS: st.SearchStrategy[Way] = st.one_of(
    st.tuples(st.sampled_from(("here", "there", "here, seen", "there, removed")), st.sampled_from(IDS), st.sampled_from(NAMES)),
    st.tuples(st.just("shell"), st.sampled_from(SHELL), st.just("")),
    st.tuples(st.just("command"), st.sampled_from(("storage-2024.3", "storage-2026.11")), st.just("")),
)
STEPS = st.lists(st.tuples(WAYS, st.lists(st.sampled_from(QUESTIONS), min_size=1, max_size=6)), min_size=1, max_size=8)


class Shell:
    """SQLite's own shell, or Python's where it is not installed, with the registry open."""

    STAND_IN = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], 30, isolation_level=None)
for line in sys.stdin:
    print(*[row[0] for row in connection.execute(line)], flush=True)
"""

    def __init__(self, path: Path) -> None:
        found = shutil.which("sqlite3")
        command = [found, "-cmd", ".timeout 30000", str(path)] if found else [sys.executable, "-c", self.STAND_IN, str(path)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def run(self, statement: str) -> None:
        """Carry out one statement; returns when it is committed."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{statement};\nSELECT 'done';\n")
        self.process.stdin.flush()
        while self.process.stdout.readline().strip() != "done":
            assert self.process.poll() is None, "the shell has ended"


@contextmanager
def shell_of(path: Path) -> Iterator[Shell]:
    shell = Shell(path)
    try:
        yield shell
    finally:
        shell.process.communicate(timeout=20)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, migrated: Path) -> Iterator["Home"]:
    path = Path(shutil.copy(migrated, tmp_path_factory.mktemp("cache") / "registry.db"))
    with (
        Service.start(path, HOMEDEX_WORKERS="2") as other,
        shell_of(path) as shell,
        serving(path) as cached,
        serving(path, cache_bytes=0) as plain,
    ):
        yield Home(path, cached, plain, other, shell)


@contextmanager
def serving(path: Path, **options: Any) -> Iterator[TestClient]:
    opened = Database.open(str(path), application_id=schema.APPLICATION_ID)
    with TestClient(create_app(opened, **options), raise_server_exceptions=False, follow_redirects=False) as client:
        yield client


class Home:
    """One registry, and everybody who may write to it."""

    def __init__(self, path: Path, cached: TestClient, plain: TestClient, other: Service, shell: Shell) -> None:
        self.path, self.cached, self.plain, self.other, self.shell = path, cached, plain, other, shell

    def write(self, way: str, what: str, name: str) -> None:
        """Write in one of the ways there are, and see that it was done."""
        body = {"name": name} | ({"last_seen": "2026-11-22T10:00:00Z"} if way.endswith("seen") else {})
        if way == "shell":
            self.shell.run(what)
        elif way == "command":
            said = homedex("import", "home-assistant", str(CAPTURES / what), "--allow-removals", path=self.path)
            assert said.returncode == 0, said.stderr
        elif way.startswith("here"):
            assert self.cached.put(f"{V1}/devices/{what}", json=body).status_code in {200, 201}
        elif way.endswith("removed"):
            assert self.other.ask("DELETE", f"{V1}/devices/{what}")[0] in {204, 404, 410}
        else:
            assert self.other.ask("PUT", f"{V1}/devices/{what}", body)[0] in {200, 201}

    def follow(self, steps: list[tuple[Way, list[str]]]) -> None:
        """Write, and ask after each write."""
        for way, questions in steps:
            self.write(*way)
            for question in questions:
                self.agree(question)

    def agree(self, question: str) -> None:
        """Whoever asks, and how often, gets what the database says now."""
        truth = seen(self.plain.get(V1 + question))
        assert seen(self.cached.get(V1 + question)) == truth, question
        assert seen(self.cached.get(V1 + question)) == truth, question
        status, headers, answer = self.other.exchange("GET", V1 + question)
        assert (status, headers.get("etag")) == truth[:2], question
        if status == 200:
            assert answer == json.loads(truth[2]), question


def seen(answer: httpx.Response) -> tuple[Any, ...]:
    body = answer.content if answer.status_code == 200 else answer.json()["type"]
    return answer.status_code, answer.headers.get("etag"), body


@settings(max_examples=14, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(STEPS)
def test_what_is_kept_is_what_the_database_says(home: Home, steps: list[tuple[Way, list[str]]]) -> None:
    home.follow(steps)


@pytest.mark.slow
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(STEPS)
def test_what_is_kept_is_what_the_database_says_for_long(home: Home, steps: list[tuple[Way, list[str]]]) -> None:
    home.follow(steps)


# --- what is kept, and for whom ---


@pytest.fixture
def mute(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From now on the database answers nothing."""

    def break_it() -> None:
        async def refuse(*_: Any, **__: Any) -> Any:
            raise AssertionError("the database was asked")

        monkeypatch.setattr(client.app.state.database, "read", refuse)  # type: ignore[attr-defined]

    return break_it


@pytest.mark.skipif(CACHE_MB == "0", reason="nothing is kept")
@pytest.mark.parametrize(
    "question", ["/devices", "/devices/a", "/devices?limit=1&facet=manufacturer", "/changes", "/areas", "/devices/a/changes"]
)
def test_what_was_asked_is_answered_without_the_database(client: TestClient, mute: Callable[[], None], question: str) -> None:
    client.put(f"{V1}/devices/a", json={"name": "x"})
    first = client.get(V1 + question)
    mute()
    again = client.get(V1 + question)
    assert (again.status_code, again.content) == (200, first.content)
    assert first.headers["cache-control"] == again.headers["cache-control"] == "no-cache"
    assert {**first.headers, "x-request-id": ""} == {**again.headers, "x-request-id": ""}
    assert first.headers["x-request-id"] != again.headers["x-request-id"]
    head = client.head(V1 + question)
    assert (head.status_code, head.headers["etag"], head.headers["content-length"]) == (
        *(200, first.headers["etag"]),
        first.headers["content-length"],
    )
    assert client.get(V1 + question, headers={"if-none-match": first.headers["etag"]}).status_code == 304


@pytest.mark.parametrize("question", ["/devices?last_seen__lt=-7d", "/devices.csv", "/devices.ndjson", "/devices/none"])
def test_what_is_no_answer_of_the_database_alone_is_asked_again(
    client: TestClient, mute: Callable[[], None], question: str
) -> None:
    first = client.get(V1 + question)
    mute()
    assert first.status_code in {200, 404}
    assert client.get(V1 + question).status_code == 500


def test_the_next_page_of_a_relative_question_is_not_kept_either(client: TestClient, mute: Callable[[], None]) -> None:
    for key in IDS:
        client.put(f"{V1}/devices/{key}", json={"last_seen": "2020-01-01T00:00:00Z"})
    cursor = client.get(f"{V1}/devices?last_seen__lt=-7d&limit=1").json()["next"]
    following = f"{V1}/devices?last_seen__lt=-7d&limit=1&cursor={cursor}"
    assert client.get(following).status_code == 200
    mute()
    assert client.get(following).status_code == 500


def test_what_a_client_takes_is_part_of_the_question(client: TestClient) -> None:
    assert client.get(f"{V1}/devices", headers={"accept": "application/json"}).status_code == 200
    assert client.get(f"{V1}/devices", headers={"accept": "text/csv"}).status_code == 406
    assert client.get(f"{V1}/devices", headers=[("accept", "text/csv"), ("accept", "application/json")]).status_code == 200


def test_nothing_is_kept_where_that_is_off(registry_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(registry_file, cache_bytes=0) as client:
        first = client.get(f"{V1}/devices")
        assert client.get(f"{V1}/devices", headers={"if-none-match": first.headers["etag"]}).status_code == 304
        monkeypatch.setattr(client.app.state.database, "read", None)  # type: ignore[attr-defined]
        assert client.get(f"{V1}/devices").status_code == 500


@pytest.mark.parametrize(
    ("asked", "status"), [('"x"', 200), ("*", 304), ("nonsense", 422), ('W/{tag}, "x"', 304), ('"x",{tag}', 304)]
)
def test_who_has_it_gets_304(client: TestClient, asked: str, status: int) -> None:
    tag = client.get(f"{V1}/devices").headers["etag"]
    for _ in range(2):
        answer = client.get(f"{V1}/devices", headers={"if-none-match": asked.format(tag=tag)})
        assert answer.status_code == status
        if status == 304:
            kept = {"etag": tag, "cache-control": "no-cache", "x-request-id": answer.headers["x-request-id"]}
            assert (answer.content, dict(answer.headers)) == (b"", kept)
        client.put(f"{V1}/areas/{status}", json={"name": "the database has changed, and the list has not"})


def test_a_kept_answer_is_for_those_who_may_ask(registry_file: Path) -> None:
    with serving(registry_file, allowed_hosts={"testserver"}) as client:
        assert client.get(f"{V1}/devices").status_code == 200
        assert client.get(f"{V1}/devices", headers={"host": "evil.example"}).status_code == 400


# --- the layer alone ---


class Changing:
    """As much of a database as decides what is kept."""

    def __init__(self) -> None:
        self.revision = "1"


class App:
    """An app that answers when it is told to, and counts."""

    def __init__(self, body: bytes = b"{}") -> None:
        self.asked, self.body, self.go = 0, body, asyncio.Event()
        self.go.set()

    async def __call__(self, scope: Any, _receive: Any, send: Any) -> None:
        self.asked += 1
        await self.go.wait()
        scope["state"]["cacheable"] = True
        await send({"type": "http.response.start", "status": 200, "headers": [(b"etag", b'"1"')]})
        await send({"type": "http.response.body", "body": self.body})


async def ask(cache: Cache, path: str = "/a", send: Callable[[Any], Awaitable[None]] | None = None) -> Messages:
    said: Messages = []

    async def keep(message: MutableMapping[str, Any]) -> None:
        said.append(message)

    scope = {"type": "http", "method": "GET", "path": V1 + path, "query_string": b"", "headers": [], "state": {}}
    await cache(scope, None, send or keep)  # type: ignore[arg-type]
    return said


def layer(app: Any, limit_bytes: int = 1_000_000) -> tuple[Cache, Changing]:
    database = Changing()
    return Cache(app, database, limit_bytes), database  # type: ignore[arg-type]


@pytest.mark.anyio
async def test_one_asks_and_the_rest_wait() -> None:
    app = App()
    cache, _ = layer(app)
    app.go.clear()
    asking = [asyncio.ensure_future(ask(cache)) for _ in range(50)]
    await asyncio.sleep(0)
    app.go.set()
    assert {said[1]["body"] for said in await asyncio.gather(*asking)} == {b"{}"}
    assert app.asked == 1


@pytest.mark.anyio
async def test_who_has_seen_a_commit_does_not_wait_for_an_answer_from_before() -> None:
    app = App(b"old")
    cache, database = layer(app)
    app.go.clear()
    first = asyncio.ensure_future(ask(cache))
    await asyncio.sleep(0)
    database.revision = "2"
    second = asyncio.ensure_future(ask(cache))
    await asyncio.sleep(0)
    assert app.asked == 2
    app.go.set()
    await asyncio.gather(first, second)
    await ask(cache)
    assert app.asked == 2  # the second one's answer was kept


@pytest.mark.anyio
async def test_an_answer_that_was_made_during_a_commit_is_not_kept() -> None:
    app = App()
    cache, database = layer(app)
    app.go.clear()
    first = asyncio.ensure_future(ask(cache))
    await asyncio.sleep(0)
    database.revision = "2"
    other = asyncio.ensure_future(ask(cache, "/b"))  # who looks at the revision meanwhile
    await asyncio.sleep(0)
    app.go.set()
    await asyncio.gather(first, other)
    await ask(cache)
    assert app.asked == 3


@pytest.mark.anyio
async def test_one_who_gives_up_takes_nobody_with_it() -> None:
    app = App()
    cache, _ = layer(app)
    app.go.clear()
    asking = [asyncio.ensure_future(ask(cache)) for _ in range(3)]
    await asyncio.sleep(0)
    asking[1].cancel()  # one who waits
    await asyncio.sleep(0)
    asking[0].cancel()  # the one who asked
    await asyncio.sleep(0.01)
    app.go.set()
    assert (await asking[2])[1]["body"] == b"{}"
    assert all(one.cancelled() for one in asking[:2])


@pytest.mark.anyio
async def test_nobody_waits_for_somebody_elses_slow_client() -> None:
    app = App()
    cache, _ = layer(app)
    stuck = asyncio.Event()

    async def slowly(_: Any) -> None:
        await stuck.wait()

    async def body_slowly(message: Any) -> None:
        if message["type"] == "http.response.body":
            await stuck.wait()

    slow = asyncio.ensure_future(ask(cache, send=body_slowly))
    await asyncio.sleep(0)
    slower = asyncio.ensure_future(ask(cache, send=slowly))
    async with asyncio.timeout(5):
        assert (await ask(cache))[1]["body"] == b"{}"
    assert app.asked == 1
    stuck.set()
    await asyncio.gather(slow, slower)


@pytest.mark.anyio
async def test_it_keeps_no_more_than_it_may_and_what_was_asked_for_last() -> None:
    app = App(bytes(9000))
    probe, _ = layer(app, 1_000_000)
    await ask(probe, "/0")
    one, app.asked = probe.kept_bytes, 0
    assert one > 9000 + OVERHEAD_BYTES + len(f"{V1}/0")
    cache, _ = layer(app, 5 * one)
    for number in range(5):
        await ask(cache, f"/{number}")
    await ask(cache, "/0")
    await ask(cache, "/5")
    assert app.asked == 6
    assert [question.path[-1] for question in cache._kept] == ["2", "3", "4", "0", "5"]
    assert cache.kept_bytes == cache.limit_bytes
    app.body = bytes(cache.limit_bytes // 3)  # one that would push out most others
    await ask(cache, "/large")
    assert Question(f"{V1}/large", b"", b"") not in cache._kept


@pytest.mark.anyio
async def test_an_app_that_breaks_leaves_nobody_waiting() -> None:
    async def broken(*_: Any) -> None:
        await asyncio.sleep(0)
        raise ValueError("a bug")

    cache, _ = layer(broken)
    said = await asyncio.gather(*(ask(cache) for _ in range(3)), return_exceptions=True)
    assert [type(error) for error in said] == [ValueError] * 3
    assert not cache._asked
