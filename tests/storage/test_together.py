"""Write functions of which several calls are done at once: as if one after another, whatever one of them does."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError

from homedex.errors import Conflict
from homedex.storage.database import Database
from homedex.storage.ending import at_end
from homedex.storage.jobs import together
from homedex.storage.postgres_database import PostgresDatabase
from homedex.storage.sqlite_database import SqliteDatabase
from writers import hold_the_writer

pytestmark = pytest.mark.anyio

SIZES: list[int] = []
ENDED: list[str] = []
LOSE = {
    "sqlite": "INSERT OR ROLLBACK INTO kept VALUES ('lost', NULL)",
    "postgresql": "DO $$ BEGIN RAISE deadlock_detected; END $$",
}
"""What undoes a transaction under all who are in it."""
LOST_IS_TOLD = {SqliteDatabase: True, PostgresDatabase: False}


def put(connection: Connection, key: str, value: int) -> str:
    """One row; -1 breaks a rule of ours, -2 one of the table's."""
    if value == -1:
        raise Conflict("not that")
    at_end(connection, note, [f"{key} alone"])
    connection.execute(text("INSERT INTO kept VALUES (:key, :value)"), {"key": key, "value": None if value == -2 else value})
    return f"{key} alone"


def note(_: Connection, said: list[str]) -> None:
    ENDED.extend(said)


def put_all(connection: Connection, calls: Sequence[tuple[str, int]]) -> list[Any]:
    SIZES.append(len(calls))
    at_end(connection, note, [f"{len(calls)} with others"])
    if any(value == -4 for _, value in calls):
        time.sleep(0.05)  # longer than a transaction takes others in
        raise ValueError("not together")
    if any(value == -5 for _, value in calls):
        time.sleep(1)  # longer than the server lets a transaction idle
    if any(value == -3 for _, value in calls):
        connection.execute(text(LOSE[connection.dialect.name]))
    found: list[Any] = []
    for key, value in calls:
        if value == -1:
            found.append(Conflict("not that"))
        else:
            put(connection, key, value)
            found.append(f"{key} with others")
    return found


kept = together(put_all, lambda key, _value: None if key.startswith("alone") else key)(put)


@pytest.fixture
async def db(empty: str) -> AsyncIterator[Database]:
    opened = Database.open(empty)
    await opened.write(lambda connection: connection.execute(text("CREATE TABLE kept (key TEXT, value INTEGER NOT NULL)")) and None)
    SIZES.clear()
    ENDED.clear()
    yield opened
    await opened.close()


async def write_at_once(db: Database, *calls: tuple[str, int], give_up: Sequence[int] = ()) -> list[Any]:
    """What becomes of calls that wait at the same time."""
    leave = await hold_the_writer(db)
    waiting = [asyncio.ensure_future(db.write(kept, *call)) for call in calls]
    await asyncio.sleep(0)
    for place in give_up:
        waiting[place].cancel()
    await asyncio.sleep(0)
    leave.set()
    return await asyncio.gather(*waiting, return_exceptions=True)


def rows(connection: Connection) -> list[str]:
    place = {"sqlite": "rowid", "postgresql": "ctid"}[connection.dialect.name]
    return list(connection.scalars(text(f"SELECT key FROM kept ORDER BY {place}")))


async def test_what_waits_is_done_at_once(db: Database) -> None:
    assert await write_at_once(db, ("a", 1), ("b", 2), ("c", 3)) == ["a with others", "b with others", "c with others"]
    assert SIZES == [3]
    assert await db.read(rows) == ["a", "b", "c"]


async def test_one_alone_is_done_as_ever(db: Database) -> None:
    assert await db.write(kept, "a", 1) == "a alone"


async def test_those_of_one_thing_and_those_that_go_alone_are_apart_and_in_order(db: Database) -> None:
    calls = [("a", 1), ("b", 1), ("a", 2), ("c", 1), ("alone", 1), ("alone", 2), ("d", 1)]
    said = await write_at_once(db, *calls)
    assert said == ["a with others", "b with others", "a with others", "c with others", "alone alone", "alone alone", "d alone"]
    assert SIZES == [2, 2]
    assert await db.read(rows) == [key for key, _ in calls]


async def test_an_error_is_its_callers_own(db: Database) -> None:
    first, second, third = await write_at_once(db, ("a", 1), ("b", -1), ("c", 1))
    assert (first, third) == ("a with others", "c with others")
    assert isinstance(second, Conflict)
    assert await db.read(rows) == ["a", "c"]


async def test_what_was_undone_is_not_there_at_the_end(db: Database) -> None:
    await write_at_once(db, ("a", 1), ("b", -2), ("c", 1))
    assert ENDED == ["a alone", "c alone"]


async def test_when_it_cannot_be_done_at_once_each_goes_alone(db: Database) -> None:
    first, second, third = await write_at_once(db, ("a", 1), ("b", -2), ("c", 1))
    assert (first, third) == ("a alone", "c alone")
    assert isinstance(second, IntegrityError)
    assert SIZES == [3]
    assert await db.read(rows) == ["a", "c"]


async def test_what_fails_after_the_time_of_a_transaction_goes_alone_in_the_next(db: Database) -> None:
    calls = [(name, -4 if name == "c" else 1) for name in "abcdef"]
    assert await asyncio.wait_for(write_at_once(db, *calls), 10) == [f"{name} alone" for name in "abcdef"]
    assert SIZES == [6]
    assert await db.read(rows) == list("abcdef")


async def test_a_server_that_hangs_up_on_all_of_them_is_no_ones_fault(empty: str, db: Database) -> None:
    if isinstance(db, SqliteDatabase):
        pytest.skip("no server")
    async with Database.open(empty, write_deadline_s=0.7) as hasty:
        said = await asyncio.wait_for(write_at_once(hasty, ("a", 1), ("b", -5), ("c", 1)), 10)
    assert said == ["a alone", "b alone", "c alone"]
    assert SIZES == [3]


async def test_when_their_transaction_is_lost_the_others_run_again(db: Database) -> None:
    """SQLite tells the first, whose fault it may be; PostgreSQL's deadlocks are nobody's, and all run again, in the end alone."""
    said = await write_at_once(db, ("a", 1), ("b", 1), ("c", -3))
    told = [one for one in said if not isinstance(one, str)]
    assert bool(told) == LOST_IS_TOLD[type(db)]
    assert all(isinstance(one, IntegrityError) for one in told)
    assert await db.read(rows) == [one.split()[0] for one in said if isinstance(one, str)]


async def test_who_has_given_up_is_left_out(db: Database) -> None:
    said = await write_at_once(db, ("a", 1), ("b", 1), ("c", 1), give_up=[1])
    assert isinstance(said[1], asyncio.CancelledError)
    assert SIZES == [2]
    assert await db.read(rows) == ["a", "c"]


async def test_a_commit_that_fails_is_everybodys_or_the_culprits(db: Database) -> None:
    for statement in (
        "DROP TABLE kept",
        "CREATE TABLE allowed (key TEXT PRIMARY KEY)",
        "INSERT INTO allowed VALUES ('a'), ('c')",
        "CREATE TABLE kept (key TEXT REFERENCES allowed DEFERRABLE INITIALLY DEFERRED, value INTEGER NOT NULL)",
    ):
        await db.write(lambda connection, one: connection.execute(text(one)) and None, statement)
    first, second, third = await write_at_once(db, ("a", 1), ("b", 1), ("c", 1))
    assert (first, third) == ("a alone", "c alone")
    assert isinstance(second, IntegrityError)
    assert await db.read(rows) == ["a", "c"]


def too_few(_: Connection, calls: Sequence[tuple[str]]) -> list[str]:
    return [f"{len(calls)} at once"]


@pytest.mark.parametrize(
    "marked",
    [together(too_few, lambda name: name), together(too_few, lambda name: len(name) / 0)],
    ids=["too few results", "apart fails"],
)
async def test_a_mistake_in_how_they_are_done_at_once_lets_each_go_alone(db: Database, marked: Any) -> None:
    def named(_: Connection, name: str) -> str:
        return f"{name} alone"

    one_function = marked(named)
    leave = await hold_the_writer(db)
    waiting = [asyncio.ensure_future(db.write(one_function, name)) for name in ("a", "b")]
    await asyncio.sleep(0)
    leave.set()
    assert await asyncio.wait_for(asyncio.gather(*waiting), 20) == ["a alone", "b alone"]
