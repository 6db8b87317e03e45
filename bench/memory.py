"""What memory a server takes: idle on a large home, for each connection and worker, and under load."""

import contextlib
import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.commands import COMMAND, make_home
from bench.load import Connection, drive, request_bytes
from bench.processes import BenchError, Server, ask, timed
from bench.report import Figure
from bench.servers import homedex, recipe
from bench.sides import READERS, WRITERS, Pace, Side

HOME = {"devices": 10_000, "entities": 100_000}
IDLE_S = 2.0
OPEN = 500
"""Connections that are kept open; uvicorn closes one that has been idle for 5 s."""

LIST = "/api/v1/devices?limit=50"


@dataclass(frozen=True)
class Memory:
    """Megabytes of all the processes of a server.

    Args:
        resident: what ps and top show; pages that several processes share count in each.
        proportional: shared pages are divided among those who share them.
        own: pages that nobody shares: what would be free if it ended.
    """

    resident: float
    proportional: float
    own: float


def memory(folder: Path, _: Pace) -> list[Figure]:
    (folder / "load").mkdir()
    under_load = most_under_load(folder / "load")
    timed([*COMMAND, "import", "home-assistant", str(make_home(folder, **HOME))], folder)
    with homedex(folder) as server:
        idle = memory_idle(server)
        with connected(server):
            connections = memory_of(server)
    with homedex(folder, settings={"HOMEDEX_WORKERS": "2"}) as server:
        two = memory_idle(server)
        print(f"  asked for two workers, {len(processes_of(server.process.pid))} processes", flush=True)
    where = "idle, 10,000 devices, 100,000 entities"
    for name, one in (("idle", idle), (f"{OPEN} connections", connections), ("two workers", two)):
        print(f"  {name}: resident {one.resident:.1f} MB, proportional {one.proportional:.1f}, own {one.own:.1f}", flush=True)
    return [
        Figure(f"{where}, resident", "MB", [idle.resident], better="less", most=150, aim=90),
        Figure(f"{where}, proportional (PSS)", "MB", [idle.proportional], better="less"),
        Figure(f"{where}, its own (USS)", "MB", [idle.own], better="less"),
        Figure("one more worker, proportional", "MB", [two.proportional - idle.proportional], better="less"),
        Figure(
            f"one of {OPEN} open connections, idle", "KB", [(connections.resident - idle.resident) * 1024 / OPEN], better="less"
        ),
        under_load,
    ]


def most_under_load(folder: Path) -> Figure:
    """The most memory each server held after the same 2,000 pages and 2,000 writes, on 1,000 devices."""
    with recipe(folder) as baseline, homedex(folder) as ours:
        sides = Side(ours, "/api/v1/devices"), Side(baseline, "/devices")
        for side in sides:
            side.fill()
            pages = itertools.repeat(request_bytes("GET", f"{side.devices}?limit=50"), 2000)
            side.no_failures(drive(side.server, pages, connections=READERS))
            side.no_failures(drive(side.server, itertools.islice(side.writes, 2000), connections=WRITERS))
        own, theirs = (peak_mb(side.server) for side in sides)
    return Figure("the most under load, 1,000 devices", "MB", [own], [theirs], better="less")


def memory_idle(server: Server) -> Memory:
    """Some seconds after its start, having answered one list."""
    status, _ = ask(server.port, "GET", LIST)
    if status != 200:
        raise BenchError(f"{server.name} answered {status} to GET {LIST}")
    time.sleep(IDLE_S)
    return memory_of(server)


@contextlib.contextmanager
def connected(server: Server) -> Iterator[None]:
    """Many connections, each of which has asked for one page and is kept open."""
    request = request_bytes("GET", LIST)
    with contextlib.ExitStack() as stack:
        for _ in range(OPEN):
            connection = stack.enter_context(contextlib.closing(Connection(server.port, itertools.repeat(request, 1))))
            connection.send_next()
            while not connection.receive():
                pass
        yield


def memory_of(server: Server) -> Memory:
    """What all processes of a server have now."""
    files = [_proc(pid, "smaps_rollup").read_text().splitlines() for pid in processes_of(server.process.pid)]
    found = [(line.split()[0], int(line.split()[1])) for lines in files for line in lines if line.endswith("kB")]

    def megabytes(*names: str) -> float:
        return sum(kilobytes for name, kilobytes in found if name in names) / 1024

    return Memory(megabytes("Rss:"), megabytes("Pss:"), megabytes("Private_Clean:", "Private_Dirty:"))


def processes_of(pid: int) -> list[int]:
    """A process and all that descend from it."""
    children = " ".join(file.read_text() for file in _proc(pid, "task").glob("*/children")).split()
    return [pid, *(one for child in children for one in processes_of(int(child)))]


def peak_mb(server: Server) -> float:
    """The largest resident memory a running server has had."""
    lines = _proc(server.process.pid, "status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1]) / 1024


def _proc(pid: int, name: str) -> Path:
    path = Path(f"/proc/{pid}/{name}")
    if not path.exists():
        raise BenchError("memory can be measured only where there is /proc (Linux)")
    return path
