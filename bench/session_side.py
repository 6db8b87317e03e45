"""One side of the comparison of sessions: `python -m bench.session_side recipe|homedex FOLDER` prints its times as JSON.

Each side is a process of its own: two SQLite libraries in one would drop each other's locks. Models and statements are the same.
"""

import asyncio
import gc
import json
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, DateTime, event, func, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

ROWS, GETS, LISTS = 1000, 1000, 500
TASKS, EACH = 64, 25


class Base(DeclarativeBase):
    """Both sides' tables."""


class Device(Base):
    """As large as people's are."""

    __tablename__ = "devices"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    manufacturer: Mapped[str]
    model: Mapped[str]
    area: Mapped[str | None]
    sw_version: Mapped[str | None]
    battery: Mapped[float | None]
    updated_at: Mapped[datetime] = mapped_column(DateTime())


def device(number: int) -> Device:
    return Device(
        name=f"Ceiling lamp {number}",
        manufacturer="Philips",
        model=f"A{number % 40}",
        area="kitchen" if number % 3 else None,
        sw_version="1.93.11",
        battery=number % 100 / 1.0,
        updated_at=datetime.now(UTC).replace(tzinfo=None),
    )


Open = Callable[[], AbstractAsyncContextManager[AsyncSession]]


async def _get(read: Open) -> None:
    for number in range(GETS):
        async with read() as session:
            await session.get_one(Device, number % ROWS + 1)


async def _list(read: Open) -> None:
    for number in range(LISTS):
        async with read() as session:
            (await session.scalars(select(Device).order_by(Device.id).where(Device.id > number).limit(50))).all()


async def _add(write: Open, *, commit: bool) -> list[float]:
    waited: list[float] = []

    async def one(task: int) -> None:
        for number in range(EACH):
            begun = time.perf_counter()
            async with write() as session:
                session.add(device(ROWS + task * EACH + number))
                if commit:
                    await session.commit()
            waited.append(time.perf_counter() - begun)

    await asyncio.gather(*(one(task) for task in range(TASKS)))
    return waited


async def _count(read: Open) -> int:
    async with read() as session:
        return await session.scalar(select(func.count()).select_from(Device)) or 0


async def _timed(what: Callable[[], Awaitable[Any]]) -> tuple[float, Any]:
    gc.collect()
    begun = time.perf_counter()
    found = await what()
    return time.perf_counter() - begun, found


async def measure(read: Open, write: Open, *, commit: bool) -> dict[str, float]:
    """Microseconds of a get by key and of 50 rows, commits per second and their p99, and how many were lost."""
    async with write() as session:
        await session.run_sync(lambda sync: Base.metadata.create_all(sync.connection()))
        session.add_all(device(number) for number in range(ROWS))
        if commit:
            await session.commit()
    await _get(read)
    got, _ = await _timed(lambda: _get(read))
    listed, _ = await _timed(lambda: _list(read))
    added, waited = await _timed(lambda: _add(write, commit=commit))
    return {
        "get_us": got / GETS * 1e6,
        "list_us": listed / LISTS * 1e6,
        "add_per_s": len(waited) / added,
        "add_p99_ms": sorted(waited)[int(len(waited) * 0.99)] * 1e3,
        "lost": ROWS + TASKS * EACH - await _count(read),
    }


async def recipe(folder: Path) -> dict[str, float]:
    """As it is copied: one engine, its pool as it comes, WAL and a busy timeout, a session for each request."""
    engine = create_async_engine(f"sqlite+aiosqlite:///{folder}/recipe.db", connect_args={"timeout": 30})

    @event.listens_for(engine.sync_engine, "connect")
    def set_up(connection: Any, _: Any) -> None:
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.close()

    sessions = async_sessionmaker(engine, expire_on_commit=False)
    try:
        return await measure(sessions, sessions, commit=True)
    finally:
        await engine.dispose()


async def homedex(folder: Path) -> dict[str, float]:
    """`Sessions` as they come, and then the ORM inside `Database.read`."""
    from homedex.storage.database import Database  # noqa: PLC0415  (the recipe's process must not have apsw)
    from homedex.storage.orm import session_on  # noqa: PLC0415
    from homedex.storage.sessions import Sessions  # noqa: PLC0415

    path = str(folder / "homedex.db")
    sessions = Sessions.open(path)
    try:
        found = await measure(sessions.read, sessions.write, commit=False)
    finally:
        await sessions.close()

    def get(connection: Connection, number: int) -> Device:
        with session_on(connection) as session:
            return session.get_one(Device, number)

    async def get_all() -> None:
        for number in range(GETS):
            await database.read(get, number % ROWS + 1)

    database = Database.open(path)
    try:
        await get_all()
        seconds, _ = await _timed(get_all)
    finally:
        await database.close()
    return found | {"read_us": seconds / GETS * 1e6}


if __name__ == "__main__":
    print(json.dumps(asyncio.run({"recipe": recipe, "homedex": homedex}[sys.argv[1]](Path(sys.argv[2])))))
