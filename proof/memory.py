"""The page cache is set for each connection, and there are many."""

import asyncio
import threading
from contextlib import ExitStack
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, func, insert, select

from homedex.storage import Database
from homedex.storage.sqlite import CACHE_BUDGET_KIB
from proof import recipe
from proof.child import DATABASE
from proof.fault import Fault, Seen
from proof.models import Base, Device

CONNECTIONS = 15
"""SQLAlchemy's default pool: 5, and 10 more."""

ROWS, BYTES = 20_000, 3_800
"""More than the page cache of one connection of the recipe can hold; each row fills a page."""

BUDGET_MB = CACHE_BUDGET_KIB / 1024
SCAN = select(func.max(func.length(Device.name)))
STATUS = Path("/proc/self/status")
MEASURABLE = STATUS.exists()
UNKNOWN = Seen(shown=False, text="memory can be measured only where there is /proc (Linux)", possible=False)


def in_the_recipe(_: Path) -> Seen:
    if not MEASURABLE:
        return UNKNOWN
    _fill(recipe.engine)
    before = _resident_mb()
    with ExitStack() as stack:
        for connection in [stack.enter_context(recipe.engine.connect()) for _ in range(CONNECTIONS)]:
            connection.execute(SCAN)
        return _grown(before)


async def in_ours(folder: Path) -> Seen:
    if not MEASURABLE:
        return UNKNOWN
    _fill(create_engine(f"sqlite+apsw:///{folder / DATABASE}"))
    before = _resident_mb()
    db = Database.open(str(folder / DATABASE), readers=CONNECTIONS - 1)
    met = threading.Barrier(CONNECTIONS - 1, timeout=30)

    def scan(connection: Connection) -> None:
        met.wait()  # so that each reader has one
        connection.execute(SCAN)

    await asyncio.gather(*(db.read(scan) for _ in range(CONNECTIONS - 1)))
    await db.write(lambda connection: connection.execute(SCAN).all())
    seen = _grown(before)
    await db.close()
    return seen


def _fill(engine: Engine) -> None:
    Base.metadata.create_all(engine)
    with engine.begin() as connection:
        for start in range(0, ROWS, 1000):
            connection.execute(
                insert(Device), [{"device_id": f"{n:06}", "name": "x" * BYTES, "readings": n} for n in range(start, start + 1000)]
            )
    engine.dispose()


def _grown(before: float) -> Seen:
    grown = _resident_mb() - before
    return Seen(
        grown > 2 * BUDGET_MB,
        f"{CONNECTIONS} connections that have each read a table of {ROWS * BYTES / 1e6:.0f} MB hold {grown:,.0f} MB of memory",
    )


def _resident_mb() -> float:
    return int(next(line for line in STATUS.read_text().splitlines() if line.startswith("VmRSS:")).split()[1]) / 1024


MEMORY = Fault("memory", "Every connection has a page cache of 64 MB for itself.", in_the_recipe, in_ours)
