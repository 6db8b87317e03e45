"""What Homedex's own functions take, with no HTTP before them."""

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

from bench.fleet import SOURCES, build
from bench.processes import SERVER, BenchError, pinned
from bench.report import Figure

from homedex.ingest.ha_storage import read_storage
from homedex.ingest.run import sync
from homedex.registry.devices import get_device
from homedex.registry.records import load_rows, owners
from homedex.registry.schema import open_registry
from homedex.storage.database import Database

LOOKED_UP = 10_000
ROUNDS = 5


def lookup(folder: Path) -> list[Figure]:
    """Devices found by their ids: all in one call, as a sync does it, and each as the API answers it, in one read.

    Raises:
        BenchError: some were not found.
    """
    path = folder / "homedex.db"
    build(path, LOOKED_UP)
    keys: list[str] = []

    async def list_keys(database: Database) -> None:
        for source_id in SOURCES:
            keys.extend(await database.read(load_rows, "devices", source_id))

    async def find(database: Database) -> None:
        found = await database.read(owners, "devices", keys, but="")
        if len(found) != LOOKED_UP:
            raise BenchError(f"of {LOOKED_UP:,} devices {len(found):,} were found by their ids")

    async def get_each(database: Database) -> None:
        await database.read(lambda connection: [get_device(connection, key) for key in keys])

    seconds = measured(path, list_keys, find, *[find] * ROUNDS, *[get_each] * ROUNDS)[2:]
    rates = [LOOKED_UP / one for one in seconds]
    return [
        Figure("devices found by id, one call in process", "per s", rates[:ROUNDS], least=1e5, aim=3e5),
        Figure("devices as JSON by id, one after another in one read", "per s", rates[ROUNDS:]),
    ]


def resync(path: Path, home: Path) -> list[float]:
    """Seconds to read a home, and to see that the registry at `path` says the same already; once a round.

    Raises:
        BenchError: something was different after all.
    """

    async def again(database: Database) -> None:
        observed = read_storage(home, source_id="home-assistant")
        plan = await sync(database, observed, allow_removals=False, dry_run=False, now=datetime.now(UTC))
        if not plan.is_empty:
            raise BenchError(f"a home that had not changed was synced with {plan.counts()}")

    return measured(path, *[again] * ROUNDS)


def measured(path: Path, *steps: Callable[[Database], Awaitable[None]]) -> list[float]:
    """Seconds of each step on an open registry, on the server's core; the collector is off, as in the commands."""

    async def run() -> list[float]:
        database = open_registry(str(path))
        seconds = []
        try:
            for step in steps:
                gc.collect()
                gc.disable()
                begun = time.perf_counter()
                await step(database)
                seconds.append(time.perf_counter() - begun)
                gc.enable()
        finally:
            gc.enable()
            await database.close()
        return seconds

    with pinned(SERVER):
        return asyncio.run(run())
