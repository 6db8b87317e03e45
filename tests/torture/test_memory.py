"""The memory of a real service, idle and under all that clients can do to it at once, stays below what the README promises."""

import http.client
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path

import pytest
from bench.commands import make_home

from service import WORKERS, Service, homedex

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the memory of a process is read from /proc"),
    pytest.mark.skipif(WORKERS != "1", reason="what is bounded is one process"),
]

IDLE_MB, MOST_MB, CONNECTION_KB = 150, 450, 60
CONNECTIONS, CLIENTS, BODIES = 300, 24, 16
BULK = "/api/v1/devices/bulk"


def memory_mb(service: Service, what: str = "VmRSS") -> float:
    """What it has now; `VmHWM`: the most it has had."""
    lines = Path(f"/proc/{service.process.pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(f"{what}:")).split()[1]) / 1024


def at_once(ask: Callable[[str], int], each: list[str]) -> set[int]:
    """What is answered when all clients ask at the same time, each its own."""
    with ThreadPoolExecutor(CLIENTS) as pool:
        return set(pool.map(ask, each))


def test_memory_is_bounded_idle_for_each_connection_and_whatever_is_sent_and_asked_for_at_once(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    done = homedex("import", "home-assistant", str(make_home(tmp_path, devices=10_000, entities=100_000)), path=path)
    assert done.returncode == 0, done.stderr
    rows = [{"device_id": f"{{}}-{number}", "note": "n" * 1000, "extra": {"text": "x" * 500}} for number in range(10_000)]
    body = json.dumps({"devices": rows}, separators=(",", ":"))

    with Service.start(path) as service:

        def asked(method: str, target: str, content: str | None = None) -> int:
            connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=200)
            with closing(connection):
                connection.request(method, target, content, {"content-type": "application/json"})
                answer = connection.getresponse()
                while answer.read(1 << 20):
                    pass
                return answer.status

        assert service.ask("GET", "/api/v1/devices?limit=50")[0] == 200
        idle = memory_mb(service)
        assert idle < IDLE_MB
        with ExitStack() as stack:
            for _ in range(CONNECTIONS):
                connection = stack.enter_context(closing(http.client.HTTPConnection("127.0.0.1", service.port, timeout=20)))
                connection.request("GET", "/api/v1/devices?limit=50")
                assert len(connection.getresponse().read()) > 10_000
            assert memory_mb(service) - idle < CONNECTIONS * CONNECTION_KB / 1024
        for turn in range(10):  # each another answer of half a megabyte: more than are kept
            lists = [
                f"/api/v1/entities?limit=1000&created_at__gte=20{turn + 10}-01-{number + 1:02}T00:00:00Z"
                for number in range(CLIENTS)
            ]
            assert at_once(partial(asked, "GET"), lists) == {200}
        assert at_once(partial(asked, "GET"), ["/api/v1/entities.ndjson?expand=area"] * CLIENTS) == {200}
        bodies = [body.replace("{}", str(number)) for number in range(BODIES)]
        assert at_once(partial(asked, "POST", BULK), bodies) <= {200, 503}
        assert memory_mb(service, "VmHWM") < MOST_MB
