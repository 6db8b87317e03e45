"""The live file: copied while it is written, and opened a second time by the process that serves it."""

import asyncio
import random
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from bench.processes import REPOSITORY
from sqlalchemy import Connection, insert, text, update

from homedex.storage import BackupFolder, Database, Options, Shape, create_backup, open_connection
from homedex.storage.backup_file import unpack
from proof import ours, recipe
from proof.child import DATABASE
from proof.fault import Fault, Seen
from proof.models import Base, Device

DEVICES, BYTES = 10_000, 3_800
BUSY, AT_ONCE = 400, 150
"""So many of the devices report all the time, so many in one transaction."""

COPIES, BACKUPS = 30, 10
BEFORE, AFTER = 1, 100
COMMITS = "commits"
"""The device whose readings say how many commits there were."""

SET = text("UPDATE devices SET readings = :readings WHERE device_id = :device_id")
COUNT = update(Device).where(Device.device_id == COMMITS).values(readings=Device.readings + 1)
COUNTED = f"SELECT readings FROM devices WHERE device_id = '{COMMITS}'"
SHAPE = Shape(Base.metadata, "migrations")
READ_ONLY = Options(read_only=True)


# --- copied while it is written ---


def seed() -> list[dict[str, object]]:
    rows = [{"device_id": f"{n:06}", "name": "x" * BYTES, "readings": 0} for n in range(DEVICES)]
    return [*rows, {"device_id": COMMITS, "name": "", "readings": 0}]


def turn(dice: random.Random) -> list[dict[str, object]]:
    """Which devices one transaction gives which number."""
    return [{"device_id": f"{n:06}", "readings": dice.randrange(1_000_000)} for n in dice.sample(range(BUSY), AT_ONCE)]


async def write_as_the_recipe(_: str) -> None:
    Base.metadata.create_all(recipe.engine)
    async with recipe.SessionLocal() as session:
        await session.execute(insert(Device), seed())
        await session.commit()
    dice = random.Random(1)
    print("ready", flush=True)
    while True:
        async with recipe.SessionLocal() as session:
            await session.execute(SET, turn(dice))
            await session.execute(COUNT)
            await session.commit()


async def write_as_ours(path: str) -> None:
    ours.make_tables(path)
    db = Database.open(path)
    dice = random.Random(1)

    def write(connection: Connection, rows: list[dict[str, object]]) -> None:
        connection.execute(SET, rows)
        connection.execute(COUNT)

    await db.write(lambda connection: connection.execute(insert(Device), seed()) and None)
    print("ready", flush=True)
    while True:
        await db.write(write, turn(dice))


@contextmanager
def running(role: str, path: Path) -> Iterator[str]:
    """A block beside which a process of its own works on the file, until it is killed; the first line it wrote."""
    command = [sys.executable, "-m", "proof.files", role, str(path)]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as process:
        try:
            said = process.stdout.readline() if process.stdout else ""
            if not said:
                raise RuntimeError(f"{role} ended before it said anything")
            yield said
        finally:
            process.kill()


def copies_in_the_recipe(folder: Path) -> Seen:
    corrupt = stale = 0
    with running("write-recipe", folder / DATABASE):
        for number in range(COPIES):
            copy = folder / f"copy-{number}.db"
            with closing(sqlite3.connect(folder / DATABASE)) as connection:
                committed = _commits(connection)
            recipe.backup(str(copy))
            try:
                with closing(sqlite3.connect(copy)) as connection:
                    whole = connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
                    corrupt += not whole
                    stale += whole and _commits(connection) < committed
            except sqlite3.DatabaseError:
                corrupt += 1
    return Seen(corrupt + stale > 0, f"of {COPIES} copies made while it is written, {corrupt} are corrupt and {stale} lack commits")


def _commits(connection: sqlite3.Connection) -> int:
    return int(connection.execute(COUNTED).fetchone()[0])


def copies_in_ours(folder: Path) -> Seen:
    kept, unpacked = BackupFolder(folder / "backups"), folder / "unpacked.db"
    stale = 0
    with running("write-ours", folder / DATABASE):
        for _ in range(BACKUPS):
            with closing(open_connection(str(folder / DATABASE), READ_ONLY)) as connection:
                committed = next(connection.execute(COUNTED))[0]
            made = create_backup(str(folder / DATABASE), kept, SHAPE).backup
            with unpacked.open("wb") as file:
                unpack(made.path, file)
            with closing(open_connection(str(unpacked), READ_ONLY)) as connection:
                stale += next(connection.execute(COUNTED))[0] < committed
    verified = sum(one.verified_at is not None and one.problem is None for one in kept.all())
    return Seen(
        verified != BACKUPS or stale > 0,
        f"of {BACKUPS} backups made while it is written, {BACKUPS - verified} are corrupt and {stale} lack commits",
    )


# --- opened a second time ---

OUTSIDE = "import sqlite3, sys; print(sqlite3.connect(sys.argv[1]).execute('SELECT count(*) FROM devices').fetchone()[0])"
"""Another program that looks into the file, and leaves."""


def others_see(path: Path) -> int:
    """How many devices another process finds."""
    return int(subprocess.run([sys.executable, "-c", OUTSIDE, str(path)], check=True, capture_output=True, text=True).stdout)


def second_handle_in_the_recipe(folder: Path) -> Seen:
    return _second_handle("serve-recipe", "copied the file", folder / DATABASE)


def second_handle_in_ours(folder: Path) -> Seen:
    return _second_handle("serve-ours", "opened and closed the file once more, and backed it up", folder / DATABASE)


def _second_handle(role: str, done: str, path: Path) -> Seen:
    with running(role, path) as said:
        meanwhile = int(said.split()[1])
    at_the_end, committed = others_see(path), BEFORE + AFTER
    return Seen(
        min(meanwhile, at_the_end) < committed,
        f"once the process that serves has {done}, others see {meanwhile} of {committed} committed rows, "
        f"and {at_the_end} after it was killed",
    )


async def serve_as_the_recipe(path: str) -> None:
    async def add(first: int, count: int) -> None:
        for number in range(first, first + count):
            async with recipe.SessionLocal() as session:
                session.add(Device(device_id=f"{number:06}"))
                await session.commit()

    Base.metadata.create_all(recipe.engine)
    await add(0, BEFORE)
    recipe.backup(f"{path}.copy")
    others_see(Path(path))
    await add(BEFORE, AFTER)
    await _tell(path)


async def serve_as_ours(path: str) -> None:
    async def add(first: int, count: int) -> None:
        for number in range(first, first + count):
            async with sessions.write() as session:
                session.add(Device(device_id=f"{number:06}"))

    async with ours.opened(path) as sessions:
        await add(0, BEFORE)
        open_connection(path, READ_ONLY).close()
        create_backup(path, BackupFolder(f"{path}.backups"), SHAPE)
        others_see(Path(path))
        await add(BEFORE, AFTER)
        await _tell(path)


async def _tell(path: str) -> None:
    """Say what others see, and serve on."""
    print("seen", others_see(Path(path)), flush=True)
    await asyncio.Event().wait()


COPIED = Fault("copies", "Backups that copy the files are corrupt.", copies_in_the_recipe, copies_in_ours)
SECOND_HANDLE = Fault(
    "second-handle", "Closing a second handle of the live file drops its locks.", second_handle_in_the_recipe, second_handle_in_ours
)
ROLES = {
    "write-recipe": write_as_the_recipe,
    "write-ours": write_as_ours,
    "serve-recipe": serve_as_the_recipe,
    "serve-ours": serve_as_ours,
}


if __name__ == "__main__":
    asyncio.run(ROLES[sys.argv[1]](sys.argv[2]))
