"""What the connections that serve have in force, and what they accept because of it."""

import asyncio
import time
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from homedex.storage import open_connection, wal_flush
from homedex.storage.sessions import Sessions
from homedex.storage.sqlite import CACHE_BUDGET_KIB
from proof import ours, recipe
from proof.child import DATABASE
from proof.fault import Fault, Seen
from proof.models import Base, Device, Entity

MEANT = {"foreign_keys": 1, "synchronous": 1, "busy_timeout": 30000, "cache_size": -64000}
"""What the recipe's listener asks for."""

IN_OURS = ("foreign_keys", "synchronous", "cache_size")
"""`busy_timeout` is 0 where a busy handler of one's own waits; whether it does is tried."""

ORPHANS = 10
HELD_S = 0.5


async def pragmas_in_the_recipe(_: Path) -> Seen:
    Base.metadata.create_all(recipe.engine)
    async with recipe.SessionLocal() as session:
        found = {name: (await session.execute(text(f"PRAGMA {name}"))).scalar_one() for name in MEANT}
    await recipe.async_engine.dispose()
    wrong = [f"{name}={value} (meant: {MEANT[name]})" for name, value in found.items() if value != MEANT[name]]
    return Seen(bool(wrong), f"its async connections have {', '.join(wrong)}")


async def pragmas_in_ours(folder: Path) -> Seen:
    async with ours.opened(str(folder / DATABASE)) as sessions:
        async with sessions.write() as session:
            writer = {name: (await session.execute(text(f"PRAGMA {name}"))).scalar_one() for name in IN_OURS}
        async with sessions.read() as session:
            reader = {name: (await session.execute(text(f"PRAGMA {name}"))).scalar_one() for name in IN_OURS}
        flushes = _counted_flushes()
        waited_s = await _wait_for_a_lock(sessions, str(folder / DATABASE))
    told = "; ".join(
        f"{who}: {', '.join(f'{name}={value}' for name, value in found.items())}"
        for who, found in (("writer", writer), ("readers", reader))
    )
    right = (
        writer["foreign_keys"] == reader["foreign_keys"] == 1 and -CACHE_BUDGET_KIB < writer["cache_size"] < reader["cache_size"]
    )
    return Seen(
        not right or not flushes or waited_s < HELD_S,
        f"{told}; a lock that another held was waited for, {waited_s:.1f} s; the log was flushed {len(flushes)} time "
        "before success",
    )


def _counted_flushes() -> list[int]:
    """A list that grows with each flush of a log from here on: with it, synchronous=1 loses nothing at a power cut."""
    flushes: list[int] = []
    flush = wal_flush._sync  # noqa: SLF001  (SQLite does not tell of what is done beside it)

    def counted(log: int) -> None:
        flush(log)
        flushes.append(log)

    wal_flush._sync = counted  # noqa: SLF001
    return flushes


async def _wait_for_a_lock(sessions: Sessions, path: str) -> float:
    """How long a session waited for a lock that another connection held."""
    other = open_connection(path)
    other.execute("BEGIN IMMEDIATE")
    begun = time.monotonic()
    asyncio.get_running_loop().call_later(HELD_S, other.execute, "COMMIT")
    async with sessions.write() as session:
        session.add(Device(device_id="waited"))
    other.close()
    return time.monotonic() - begun


async def orphans_in_the_recipe(_: Path) -> Seen:
    Base.metadata.create_all(recipe.engine)
    for number in range(ORPHANS):
        async with recipe.SessionLocal() as session:
            session.add(Entity(entity_id=f"light.{number}", device_id="nowhere"))
            await session.commit()
    async with recipe.SessionLocal() as session:
        broken = (await session.execute(text("PRAGMA foreign_key_check"))).all()
    await recipe.async_engine.dispose()
    return Seen(bool(broken), f"{len(broken)} of {ORPHANS} rows that point to no device were stored")


async def orphans_in_ours(folder: Path) -> Seen:
    refused = 0
    async with ours.opened(str(folder / DATABASE)) as sessions:
        for number in range(ORPHANS):
            try:
                async with sessions.write() as session:
                    session.add(Entity(entity_id=f"light.{number}", device_id="nowhere"))
            except IntegrityError:
                refused += 1
        async with sessions.read() as session:
            broken = (await session.execute(text("PRAGMA foreign_key_check"))).all()
    return Seen(bool(broken) or refused != ORPHANS, f"{refused} of {ORPHANS} were refused, {len(broken)} stored")


PRAGMAS = Fault("pragmas", "The pragmas are set on an engine that does not serve.", pragmas_in_the_recipe, pragmas_in_ours)
ORPHAN_ROWS = Fault("orphans", "Rows that point to nothing are accepted.", orphans_in_the_recipe, orphans_in_ours)
