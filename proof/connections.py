"""What the connections that serve have in force, and what they accept because of it."""

import asyncio
from pathlib import Path

from proof import ours, recipe
from proof.child import DATABASE
from proof.fault import Fault, Seen
from proof.models import Base, Entity
from sqlalchemy import Connection, insert, text
from sqlalchemy.exc import IntegrityError

from homedex.storage.database import Database

MEANT = {"foreign_keys": 1, "synchronous": 1, "busy_timeout": 30000, "cache_size": -64000}
"""What the recipe's listener asks for."""

ORPHANS = 10


def pragmas_in_the_recipe(_: Path) -> Seen:
    return asyncio.run(_pragmas_in_the_recipe())


async def _pragmas_in_the_recipe() -> Seen:
    Base.metadata.create_all(recipe.engine)
    async with recipe.SessionLocal() as session:
        found = {name: (await session.execute(text(f"PRAGMA {name}"))).scalar_one() for name in MEANT}
    await recipe.async_engine.dispose()
    wrong = [f"{name}={value} (meant: {MEANT[name]})" for name, value in found.items() if value != MEANT[name]]
    return Seen(bool(wrong), f"its async connections have {', '.join(wrong)}")


def pragmas_in_ours(folder: Path) -> Seen:
    return asyncio.run(_pragmas_in_ours(folder))


async def _pragmas_in_ours(folder: Path) -> Seen:
    ours.make_tables(str(folder / DATABASE))
    db = Database.open(str(folder / DATABASE))
    asked = ("foreign_keys", "synchronous", "cache_size")

    def in_force(connection: Connection) -> list[int]:
        return [connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in asked]

    found = {"writer": await db.write(in_force), "reader": await db.read(in_force)}
    await db.close()
    right = all(keys == 1 and synchronous == 2 for keys, synchronous, _ in found.values())
    told = "; ".join(
        f"{who}: {', '.join(f'{name}={value}' for name, value in zip(asked, values, strict=True))}" for who, values in found.items()
    )
    return Seen(not right, told)


def orphans_in_the_recipe(_: Path) -> Seen:
    return asyncio.run(_orphans_in_the_recipe())


async def _orphans_in_the_recipe() -> Seen:
    Base.metadata.create_all(recipe.engine)
    for number in range(ORPHANS):
        async with recipe.SessionLocal() as session:
            session.add(Entity(entity_id=f"light.{number}", device_id="nowhere"))
            await session.commit()
    async with recipe.SessionLocal() as session:
        broken = (await session.execute(text("PRAGMA foreign_key_check"))).all()
    await recipe.async_engine.dispose()
    return Seen(bool(broken), f"{len(broken)} of {ORPHANS} rows that point to no device were stored")


def orphans_in_ours(folder: Path) -> Seen:
    return asyncio.run(_orphans_in_ours(folder))


async def _orphans_in_ours(folder: Path) -> Seen:
    ours.make_tables(str(folder / DATABASE))
    db = Database.open(str(folder / DATABASE))

    def add_orphan(connection: Connection, number: int) -> None:
        connection.execute(insert(Entity).values(entity_id=f"light.{number}", device_id="nowhere"))

    refused = 0
    for number in range(ORPHANS):
        try:
            await db.write(add_orphan, number)
        except IntegrityError:
            refused += 1
    broken = await db.read(lambda connection: connection.exec_driver_sql("PRAGMA foreign_key_check").all())
    await db.close()
    return Seen(bool(broken) or refused != ORPHANS, f"{refused} of {ORPHANS} were refused, {len(broken)} stored")


PRAGMAS = Fault("pragmas", "The pragmas are set on an engine that does not serve.", pragmas_in_the_recipe, pragmas_in_ours)
ORPHAN_ROWS = Fault("orphans", "Rows that point to nothing are accepted.", orphans_in_the_recipe, orphans_in_ours)
