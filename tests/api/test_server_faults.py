"""A service whose PostgreSQL dies, is full, or is meddled with: it says 503, loses nothing and needs no new start."""

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import asyncpg
import pytest

from homedex.storage.postgres import run_apart
from servers import Server, started
from service import Service, until

pytestmark = pytest.mark.slow

DEVICES = "/api/v1/devices"
WRITERS = "pid IN (SELECT pid FROM pg_locks WHERE locktype = 'advisory')"
LISTENERS = "query LIKE 'LISTEN%'"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with started("max_connections = 20") as made:
        made.stop("fast")
        made.start()
        yield made


@pytest.fixture
def service(server: Server) -> Iterator[Service]:
    url = server.emptied("registry")
    running = Service.start(Path("nowhere"), DATABASE_URL=url, HOMEDEX_POOL_SIZE="3")
    with running.logged() as lines:
        yield running
    assert [line for line in lines if "never retrieved" in line or " 500 " in line] == []


class Load:
    """Clients that write and read until told to stop, and what they were told."""

    def __init__(self, service: Service, writers: int = 4) -> None:
        self.service, self.told, self.acknowledged = service, Counter[int](), dict[str, str]()
        self.odd: list[Any] = []
        self._stop = threading.Event()
        clients = [(self._write, number) for number in range(writers)] + [(self._read, number) for number in range(2)]
        self._threads = [threading.Thread(target=client, args=(number,)) for client, number in clients]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _write(self, number: int) -> None:
        turn = 0
        while not self._stop.is_set():
            turn += 1
            device_id = f"w{number}-{turn}"
            if self._ask("PUT", f"{DEVICES}/{device_id}", {"name": device_id}) == 201:
                self.acknowledged[device_id] = device_id

    def _read(self, _: int) -> None:
        while not self._stop.is_set():
            self._ask("GET", f"{DEVICES}?limit=5")

    def _ask(self, method: str, path: str, body: Any = None) -> int:
        status, headers, answer = self.service.exchange(method, path, body)
        self.told[status] += 1
        if status == 503:
            if not headers.get("retry-after") or headers["content-type"] != "application/problem+json":
                self.odd.append((dict(headers), answer))
            time.sleep(0.02)
        elif status not in {200, 201}:
            self.odd.append(answer)
        return status


def check(service: Service, server: Server, load: Load) -> None:
    """Ready again, no odd answer, nothing lost."""
    until(lambda: service.ask("GET", "/readyz")[0] == 200)
    assert load.odd == []
    stored = {row[0]: row[1] for row in server.execute("SELECT device_id, name FROM devices", name="registry")}
    assert load.acknowledged
    assert load.acknowledged.items() <= stored.items()
    status, _ = service.ask("PUT", f"{DEVICES}/after", {"name": "after"})
    assert (status, service.ask("GET", f"{DEVICES}/after")[0]) == (201, 200)


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_a_server_that_dies_and_comes_back(service: Service, server: Server, how: str) -> None:
    with Load(service) as load:
        until(lambda: len(load.acknowledged) > 5)
        getattr(server, how)()
        status, body = service.ask("GET", "/readyz")
        assert (status, body["status"], list(body["checks"])) == (503, "not ready", ["read"])
        assert service.ask("GET", "/livez")[0] == 200
        until(lambda: load.told[503] > 10)
        server.start()
        until(lambda: service.ask("GET", "/readyz")[0] == 200)
        time.sleep(0.3)
    check(service, server, load)


@pytest.mark.parametrize("who", [WRITERS, LISTENERS, "true"], ids=["writers", "listeners", "all"])
@pytest.mark.parametrize("how", ["pg_terminate_backend", "pg_cancel_backend"])
def test_an_admin_who_ends_backends_or_statements(service: Service, server: Server, who: str, how: str) -> None:
    with Load(service) as load:
        until(lambda: len(load.acknowledged) > 5)
        for _ in range(10):
            server.execute(f"SELECT {how}(pid) FROM pg_stat_activity WHERE datname = 'registry' AND ({who})")
            time.sleep(0.03)
        time.sleep(0.1)
    check(service, server, load)


def test_a_server_that_takes_no_further_connections(service: Service, server: Server) -> None:
    async def fill_up() -> None:
        others: list[Any] = []
        with contextlib.suppress(asyncpg.TooManyConnectionsError):
            while True:
                others.append(await asyncpg.connect(server.url("registry")))
        status, headers, body = service.exchange("PUT", f"{DEVICES}/a", {"name": "a"})
        assert (status, bool(headers["retry-after"]), body["type"]) == (503, True, "/problems/storage-unavailable")
        assert service.ask("GET", "/readyz")[0] == 503
        for other in others:
            other.terminate()

    service.ask("GET", f"{DEVICES}?limit=1")
    run_apart(fill_up)
    until(lambda: service.ask("PUT", f"{DEVICES}/a", {"name": "a"})[0] in {200, 201})
    assert service.ask("GET", "/readyz")[0] == 200
