"""Fifty tasks that each read a number and write it back, one more, again and again."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import quantiles

from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from homedex.errors import Busy
from proof import ours, recipe
from proof.child import DATABASE
from proof.fault import Fault, Seen
from proof.models import Base, Device

TASKS, TURNS = 50, 20
ALL = TASKS * TURNS
COUNTER = "counter"


@dataclass
class Outcome:
    """How it went.

    Attributes:
        took_s: of each transaction that succeeded.
        failed: how many did not.
        said: what the failed ones said.
        counted: what the number is at the end.
    """

    took_s: list[float] = field(default_factory=list)
    failed: int = 0
    said: set[str] = field(default_factory=set)
    counted: int = 0

    @property
    def lost(self) -> int:
        """Increments that succeeded and are not there."""
        return len(self.took_s) - self.counted

    @property
    def told(self) -> str:
        """The same in words."""
        return f"{self.lost} of {len(self.took_s)} increments that were committed are gone, without an error"

    @property
    def p99(self) -> str:
        """How long 99 of 100 transactions take at most."""
        return f"p99 {quantiles(self.took_s, n=100)[98] * 1000:,.0f} ms"


async def all_count(count_up: Callable[[], Awaitable[object]]) -> Outcome:
    """Have all tasks count up at once."""
    outcome = Outcome()

    async def task() -> None:
        for _ in range(TURNS):
            begun = time.perf_counter()
            try:
                await count_up()
            except (OperationalError, Busy) as error:
                outcome.failed += 1
                outcome.said.add(str(getattr(error, "orig", error)))
            else:
                outcome.took_s.append(time.perf_counter() - begun)

    await asyncio.gather(*(task() for _ in range(TASKS)))
    return outcome


async def counted_by_the_recipe() -> Outcome:
    Base.metadata.create_all(recipe.engine)
    with Session(recipe.engine) as session:
        session.merge(Device(device_id=COUNTER, readings=0))
        session.commit()
    outcome = await all_count(lambda: recipe.count_up(COUNTER))
    await recipe.async_engine.dispose()
    with Session(recipe.engine) as session:
        outcome.counted = session.get_one(Device, COUNTER).readings
    return outcome


async def counted_by_us(path: str) -> Outcome:
    async with ours.opened(path) as sessions:
        async with sessions.write() as session:
            session.add(Device(device_id=COUNTER, readings=0))
        outcome = await all_count(lambda: ours.count_up(sessions, COUNTER))
        async with sessions.read() as session:
            outcome.counted = (await session.get_one(Device, COUNTER)).readings
    return outcome


async def lost_in_the_recipe(_: Path) -> Seen:
    outcome = await counted_by_the_recipe()
    return Seen(outcome.lost > 0, outcome.told)


async def lost_in_ours(folder: Path) -> Seen:
    outcome = await counted_by_us(str(folder / DATABASE))
    return Seen(outcome.counted != ALL, outcome.told)


async def locked_in_the_recipe(_: Path) -> Seen:
    as_it_is = await counted_by_the_recipe()
    recipe.begin_for_real(recipe.async_engine)
    cured = await counted_by_the_recipe()
    return Seen(
        cured.failed > 0,
        f"cured of that by BEGIN, as SQLAlchemy's documentation has it, {cured.failed} of {ALL} fail: {', '.join(cured.said)}; "
        f"as it is, {as_it_is.p99}",
    )


async def locked_in_ours(folder: Path) -> Seen:
    outcome = await counted_by_us(str(folder / DATABASE))
    return Seen(outcome.failed > 0, f"{outcome.failed} of {ALL} fail, {outcome.p99}")


LOST_UPDATES = Fault("lost-updates", f"{TASKS} tasks that count up lose updates.", lost_in_the_recipe, lost_in_ours)
LOCKED = Fault("locked", f"{TASKS} writers wait long, or fail.", locked_in_the_recipe, locked_in_ours)
