"""Database on PostgreSQL: the same contract as on SQLite, and what only a server can do to it."""

import asyncio
import contextlib
import gc
import subprocess
import sys
import threading
import time
import warnings
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.util import await_only

from homedex.errors import Busy, QueryTimeout, StorageUnavailable
from homedex.storage.postgres import WRITE_LOCK, raw
from homedex.storage.postgres_database import PostgresDatabase
from servers import FAST, Server, started
from writers import hold_the_writer

pytestmark = pytest.mark.anyio

NAME = "contract"
CLOSINGS = 40
TABLES = (
    "DROP TABLE IF EXISTS counter, child, parent",
    "CREATE TABLE counter (id int PRIMARY KEY, n int NOT NULL)",
    "INSERT INTO counter VALUES (1, 0), (2, 0)",
    "CREATE TABLE parent (id int PRIMARY KEY)",
    "CREATE TABLE child (p int REFERENCES parent(id) DEFERRABLE INITIALLY DEFERRED)",
)
OTHERS = "FROM pg_stat_activity WHERE datname = 'contract' AND pid <> pg_backend_pid()"
LISTENERS = f"{OTHERS} AND (query LIKE 'LISTEN%' OR query = 'SELECT pg_current_wal_insert_lsn()::text')"

INCREMENTER = """
import asyncio, sys
from sqlalchemy import text
from homedex.storage.database import Database

def increment(connection):
    n = connection.execute(text("SELECT n FROM counter WHERE id = 1")).scalar_one()
    connection.execute(text("UPDATE counter SET n = :n WHERE id = 1"), {"n": n + 1})

async def main():
    database = Database.open(sys.argv[1])
    await asyncio.gather(*(database.write(increment) for _ in range(200)))
    await database.close()

asyncio.run(main())
"""


class Odd(BaseException):
    pass


def increment(connection: Connection) -> int:
    n: int = connection.execute(text("SELECT n FROM counter WHERE id = 1")).scalar_one()
    connection.execute(text("UPDATE counter SET n = :n WHERE id = 1"), {"n": n + 1})
    return n + 1


def increment_and_fail(connection: Connection) -> None:
    increment(connection)
    raise LookupError("on purpose")


def count(connection: Connection) -> int:
    n: int = connection.execute(text("SELECT n FROM counter WHERE id = 1")).scalar_one()
    return n


def backend(connection: Connection) -> int:
    pid: int = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
    return pid


def slow(connection: Connection) -> None:
    connection.execute(text("SELECT pg_sleep(30)"))


def adopt_an_orphan(connection: Connection) -> None:
    connection.execute(text("INSERT INTO child VALUES (404)"))


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with started(*FAST, "deadlock_timeout = '50ms'", "max_connections = 30") as made:
        made.stop("fast")
        made.start()
        made.execute(f"CREATE DATABASE {NAME}")
        yield made


@pytest.fixture
def url(server: Server) -> str:
    server.execute(*TABLES, name=NAME)
    return server.url(NAME)


@asynccontextmanager
async def opened(url: str, **settings: Any) -> AsyncIterator[PostgresDatabase]:
    """An open database that hears of commits already."""
    db = PostgresDatabase.open_server(url, **settings)
    try:
        await until(lambda: db._writer.listener.hears)
        yield db
    finally:
        await db.close()


@pytest.fixture
async def db(url: str) -> AsyncIterator[PostgresDatabase]:
    async with opened(url, pool_size=3, read_deadline_s=5) as made:
        yield made


@asynccontextmanager
async def session(url: str) -> AsyncIterator[Any]:
    """Another program's connection."""
    connection: Any = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        connection.terminate()


async def until(is_so: Callable[[], object], limit_s: float = 10) -> None:
    end = time.monotonic() + limit_s
    while not is_so():
        assert time.monotonic() < end, "it never came to be so"
        await asyncio.sleep(0.005)


async def counted(server: Server, condition: str, number: int, limit_s: float = 5) -> None:
    """Return once so many other connections fulfil a condition."""
    await until(lambda: server.execute(f"SELECT count(*) {OTHERS} AND ({condition})")[0][0] == number, limit_s)


async def together(db: PostgresDatabase, *functions: Callable[[Connection], Any]) -> list[Any]:
    """The results of functions that share a transaction."""
    leave = await hold_the_writer(db)
    waiting = [asyncio.ensure_future(db.write(fn)) for fn in functions]
    await asyncio.sleep(0)
    leave.set()
    return await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 10)


# --- reading and writing ---------------------------------------------------------------------------------------------------------


async def test_a_hundred_clients_lose_no_update(db: PostgresDatabase) -> None:
    async def client() -> None:
        for _ in range(5):
            await db.write(increment)

    await asyncio.gather(*(client() for _ in range(100)))
    assert await db.read(count) == 500


async def test_several_objects_and_processes_lose_no_update(db: PostgresDatabase, url: str) -> None:
    running = [
        await asyncio.create_subprocess_exec(sys.executable, "-c", INCREMENTER, url, stderr=subprocess.PIPE) for _ in range(2)
    ]
    async with opened(url) as other:
        for _ in range(10):
            await asyncio.gather(*(one.write(increment) for one in (db, other) for _ in range(20)))
            await asyncio.sleep(0.05)
    assert [(await process.communicate())[1] for process in running] == [b"", b""]
    assert await db.read(count) == 2 * 200 + 2 * 200


async def test_a_function_that_fails_is_undone_and_its_neighbours_are_not(db: PostgresDatabase) -> None:
    results = await together(db, increment, increment_and_fail, increment)
    assert [results[0], type(results[1]), results[2]] == [1, LookupError, 2]
    with pytest.raises(LookupError):
        await db.write(increment_and_fail)
    assert await db.read(count) == 2


async def test_waiting_functions_share_one_commit(db: PostgresDatabase) -> None:
    boot, before = db.revision.split("-")
    assert sorted(await together(db, *[increment] * 50)) == list(range(1, 51))
    assert db.revision in {f"{boot}-{int(before) + commits}" for commits in range(1, 11)}  # one or two on an idle machine


async def test_a_statement_that_fails_takes_nobody_along(db: PostgresDatabase) -> None:
    def repeat_a_key(connection: Connection) -> None:
        increment(connection)
        connection.execute(text("INSERT INTO counter VALUES (1, 7)"))

    results = await together(db, increment, repeat_a_key, increment)
    assert [results[0], type(results[1]), results[2]] == [1, IntegrityError, 2]
    assert await db.read(count) == 2


async def test_a_function_that_swallows_a_failed_statement_is_told_and_leaves_nothing(db: PostgresDatabase) -> None:
    def swallow(connection: Connection) -> str:
        increment(connection)
        with contextlib.suppress(IntegrityError):
            connection.execute(text("INSERT INTO counter VALUES (1, 7)"))
        return "done"

    results = await together(db, increment, swallow, increment)
    assert [results[0], type(results[1]), results[2]] == [1, RuntimeError, 2]
    with pytest.raises(RuntimeError, match="went on all the same"):
        await db.write(swallow)
    assert await db.read(count) == 2


ENDINGS = ["COMMIT", "  rollback", "-- so\n/* and so */ End", "ABORT", "BEGIN", "START TRANSACTION", "PREPARE TRANSACTION 'x'"]


@pytest.mark.parametrize("ending", [*ENDINGS, "commit()", "rollback()"])
async def test_a_function_that_ends_the_transaction_is_refused_and_nobody_is_harmed(db: PostgresDatabase, ending: str) -> None:
    def end(connection: Connection) -> None:
        increment(connection)
        if ending.endswith("()"):
            getattr(connection, ending[:-2])()
        else:
            connection.exec_driver_sql(ending)

    results = await together(db, increment, end, increment)
    assert [results[0], type(results[1]), results[2]] == [1, RuntimeError, 2]
    with pytest.raises(RuntimeError, match="may not commit or roll back"):
        await db.write(end)
    assert await db.read(count) == 2


@pytest.mark.parametrize("ending", ["COMMIT", "ROLLBACK"])
async def test_a_function_that_ends_it_behind_our_back_is_told_and_everyone_is_answered(db: PostgresDatabase, ending: str) -> None:
    def end(connection: Connection) -> None:
        await_only(raw(connection).execute(ending))

    results = await together(db, increment, end, increment)
    assert [type(results[0]), type(results[1]), results[2]] == [StorageUnavailable, RuntimeError, 2 if ending == "COMMIT" else 1]
    with pytest.raises(RuntimeError, match="may not commit or roll back"):
        await asyncio.wait_for(db.write(end), 5)


async def test_a_savepoint_of_its_own_is_allowed(db: PostgresDatabase) -> None:
    def try_twice(connection: Connection) -> int:
        with contextlib.suppress(IntegrityError), connection.begin_nested():
            connection.execute(text("INSERT INTO counter VALUES (1, 7)"))
        return increment(connection)

    assert await together(db, increment, try_twice) == [1, 2]
    assert await db.write(try_twice) == 3


async def test_a_constraint_that_fails_at_commit_hits_only_the_guilty(db: PostgresDatabase) -> None:
    results = await together(db, increment, adopt_an_orphan, increment)
    assert isinstance(results[1], IntegrityError)
    with pytest.raises(IntegrityError):
        await db.write(adopt_an_orphan)
    assert await db.read(count) == 2
    assert await db.read(lambda connection: connection.execute(text("SELECT count(*) FROM child")).scalar_one()) == 0


async def test_a_value_that_the_driver_refuses_is_the_functions_own_error(db: PostgresDatabase) -> None:
    def too_large(connection: Connection) -> None:
        connection.execute(text("UPDATE counter SET n = CAST(:n AS int)"), {"n": 3_000_000_000})

    before = await db.write(backend)
    results = await together(db, increment, too_large, increment)
    assert [results[0], isinstance(results[1], DBAPIError), results[2]] == [1, True, 2]
    assert await db.write(backend) == before


@pytest.mark.parametrize("kind", ["read", "write"])
@pytest.mark.parametrize("fault", [StopIteration, Odd])
async def test_what_no_function_should_raise_reaches_its_caller(db: PostgresDatabase, kind: str, fault: type) -> None:
    def fail(_: Connection) -> None:
        raise fault

    with pytest.raises((RuntimeError, Odd)):
        await asyncio.wait_for(getattr(db, kind)(fail), 5)
    assert await asyncio.wait_for(db.write(increment), 5) == 1


async def test_a_read_function_cannot_write(db: PostgresDatabase) -> None:
    def write_after_all(connection: Connection) -> None:
        connection.exec_driver_sql("COMMIT")
        increment(connection)

    for function in (increment, write_after_all):
        with pytest.raises(DBAPIError, match="read-only"):
            await db.read(function)
    assert await db.read(count) == 0


async def test_a_read_sees_one_snapshot_however_long_it_takes(db: PostgresDatabase) -> None:
    def read_twice(connection: Connection) -> tuple[int, int]:
        before = count(connection)
        connection.execute(text("SELECT pg_sleep(0.3)"))
        return before, count(connection)

    reading = asyncio.ensure_future(db.read(read_twice))
    await asyncio.sleep(0.15)
    await db.write(increment)
    assert await reading == (0, 0)


async def test_nothing_written_is_no_commit_and_no_new_revision(db: PostgresDatabase, server: Server) -> None:
    def commits() -> int:
        sql = "SELECT pg_stat_force_next_flush(), count(*) FROM pg_locks"
        server.execute(sql, name=NAME)
        return int(server.execute("SELECT pg_snapshot_xmax(pg_current_snapshot())::text", name=NAME)[0][0])

    before, transactions = db.revision, commits()
    await db.write(count)
    await db.read(count)
    await together(db, count, count)
    assert (db.revision, commits()) == (before, transactions)
    with pytest.raises(LookupError):
        await db.write(increment_and_fail)
    assert db.revision == before


# --- the revision ----------------------------------------------------------------------------------------------------------------


async def test_the_revision_is_another_before_a_write_is_answered(db: PostgresDatabase) -> None:
    seen = [db.revision]
    for _ in range(20):
        await db.write(increment)
        seen.append(db.revision)
    assert len(set(seen)) == 21
    assert db.revision == seen[-1]


async def test_the_revision_hears_of_other_processes(db: PostgresDatabase, url: str) -> None:
    async with opened(url) as other:
        before, own = db.revision, other.revision
        await other.write(increment)
        await until(lambda: db.revision != before, 1)
        assert other.revision != own
        settled = other.revision
        await asyncio.sleep(0.1)
        assert other.revision == settled  # its own commit is not told once more


async def test_no_revision_comes_twice_while_nobody_listens(db: PostgresDatabase, server: Server) -> None:
    before = db.revision
    server.execute(f"SELECT pg_terminate_backend(pid) {LISTENERS}")
    await until(lambda: not db._writer.listener.hears)
    assert len({db.revision for _ in range(100)}) == 100
    await until(lambda: db._writer.listener.hears)
    assert db.revision == db.revision != before


# --- giving up -------------------------------------------------------------------------------------------------------------------


async def test_a_cancelled_write_that_still_waits_never_runs(db: PostgresDatabase) -> None:
    leave = await hold_the_writer(db)
    waiting = asyncio.ensure_future(db.write(increment))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    leave.set()
    assert await db.write(increment) == 1


async def test_a_write_cancelled_while_another_process_has_the_lock_never_runs(db: PostgresDatabase, url: str) -> None:
    async with session(url) as other, other.transaction():
        await other.execute(f"SELECT pg_advisory_xact_lock({WRITE_LOCK})")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(db.write(increment), 0.1)
    assert await db.write(increment) == 1


async def test_a_write_cancelled_while_it_runs_leaves_no_transaction(db: PostgresDatabase, server: Server) -> None:
    for _ in range(5):
        writing = asyncio.ensure_future(db.write(lambda connection: connection.execute(text("SELECT pg_sleep(0.05)"))))
        await asyncio.sleep(0.02)
        writing.cancel()
    assert await db.write(increment) == 1
    await counted(server, "xact_start IS NOT NULL", 0)


async def test_cancelled_reads_stop_their_statements_and_leak_nothing(db: PostgresDatabase, server: Server) -> None:
    for wait_s in (0, 0.001, 0.005, 0.02, 0.1):
        reading = [asyncio.ensure_future(db.read(slow)) for _ in range(12)]  # nine of them wait for a connection
        await asyncio.sleep(wait_s)
        for one in reading:
            one.cancel()
        assert all(isinstance(found, BaseException) for found in await asyncio.gather(*reading, return_exceptions=True))
    assert await asyncio.gather(*(db.read(count) for _ in range(12))) == [0] * 12
    await counted(server, "xact_start IS NOT NULL", 0)
    await counted(server, "true", 3 + 1)  # the listener


async def test_a_read_is_stopped_at_its_deadline(url: str, server: Server) -> None:
    def many(connection: Connection) -> None:
        for _ in range(60):
            connection.execute(text("SELECT pg_sleep(0.05)"))

    async with opened(url, pool_size=1, read_deadline_s=1.0) as db:
        for function in (slow, many):
            began = time.monotonic()
            with pytest.raises(QueryTimeout, match="longer than allowed"):
                await db.read(function)
            assert time.monotonic() - began < 2.5  # the fifty take longer, the one a minute
            assert await db.read(count) == 0
        await counted(server, "xact_start IS NOT NULL", 0)


async def test_a_write_is_undone_at_its_deadline_in_sql_and_in_python(url: str) -> None:
    def in_sql(connection: Connection) -> None:
        increment(connection)
        slow(connection)

    runs: list[int] = []

    def in_python(connection: Connection) -> None:
        runs.append(increment(connection))
        time.sleep(1.0)

    async with opened(url, write_deadline_s=0.5) as db:
        for function in (in_sql, in_python):
            with pytest.raises(QueryTimeout):
                await db.write(function)
            results = await together(db, increment, function, increment)
            assert [isinstance(result, QueryTimeout) for result in results] == [False, True, False]
        assert await db.read(count) == 4
        assert len(runs) == 2


async def test_waiting_for_the_lock_is_not_counted_as_the_functions_time(url: str) -> None:
    async with opened(url, write_deadline_s=0.5, busy_timeout_s=10) as db, session(url) as other:
        async with other.transaction():
            await other.execute(f"SELECT pg_advisory_xact_lock({WRITE_LOCK})")
            writing = asyncio.ensure_future(db.write(increment))
            await asyncio.sleep(1.0)
        assert await writing == 1
        with pytest.raises(QueryTimeout):
            await db.write(slow)


async def test_a_lock_that_is_kept_too_long_is_busy(url: str) -> None:
    async with opened(url, busy_timeout_s=0.2) as db, session(url) as other:
        async with other.transaction():
            await other.execute(f"SELECT pg_advisory_xact_lock({WRITE_LOCK})")
            with pytest.raises(Busy, match="write lock"):
                await db.write(increment)
        assert await db.write(increment) == 1


async def test_a_full_queue_is_busy_at_once_and_loses_nothing(url: str) -> None:
    async with opened(url, queue_limit=100) as db:
        leave = await hold_the_writer(db)
        waiting = [asyncio.ensure_future(db.write(increment)) for _ in range(100)]
        await asyncio.sleep(0)
        with pytest.raises(Busy, match="100 requests wait"):
            await db.write(increment)
        leave.set()
        assert len(await asyncio.gather(*waiting)) == 100
        reading = [asyncio.ensure_future(db.read(count)) for _ in range(100)]
        await asyncio.sleep(0)
        with pytest.raises(Busy, match="100 requests wait"):
            await db.read(count)
        assert await asyncio.gather(*reading) == [100] * 100


async def test_a_read_waits_for_a_connection_and_is_then_busy(url: str) -> None:
    def sleep(connection: Connection, seconds: float) -> None:
        connection.execute(text(f"SELECT pg_sleep({seconds})"))

    async with opened(url, pool_size=1, read_deadline_s=0.6) as db:
        holding = asyncio.ensure_future(db.read(sleep, 0.2))
        await asyncio.sleep(0.05)
        assert await db.read(count) == 0
        await holding
        holding = asyncio.ensure_future(db.read(sleep, 0.55))
        await asyncio.sleep(0.05)
        others = [asyncio.ensure_future(db.read(sleep, 0.5)) for _ in range(3)]
        results = await asyncio.gather(holding, *others, return_exceptions=True)
        assert [type(result) for result in results].count(Busy) >= 2


async def test_of_many_who_read_none_waits_longer_than_the_others(url: str) -> None:
    turns = Counter[int]()
    apart: list[int] = []

    async def read(db: PostgresDatabase, name: int) -> None:
        for _ in range(100):
            await db.read(count)
            turns[name] += 1
            apart.append(turns[name] - min(turns[one] for one in range(32)))
            await asyncio.sleep(0)  # the others are woken, and this one asks again before they are there

    async with opened(url, pool_size=8) as db:
        await asyncio.gather(*(read(db, name) for name in range(32)))
    assert max(apart) <= 5


# --- what a server does ----------------------------------------------------------------------------------------------------------


async def deadlock(db: PostgresDatabase, url: str, runs: list[int]) -> list[Any]:
    """The results of three functions, of which the second is in the way of a session that wants the same rows."""
    async with session(url) as other:

        def both_rows(connection: Connection) -> int:
            connection.execute(text("UPDATE counter SET n = n + 1 WHERE id = 2"))
            runs.append(1)
            time.sleep(0.1)  # the other asks for row 2, and waits
            connection.execute(text("UPDATE counter SET n = n + 1 WHERE id = 1"))
            return 77

        await other.execute("SET deadlock_timeout = '10s'")  # so that it is us who are stopped
        await other.execute("BEGIN; UPDATE counter SET n = n + 100 WHERE id = 1")
        writing = asyncio.ensure_future(together(db, lambda _: 1, both_rows, lambda _: 3))
        await until(lambda: runs)
        await other.execute("UPDATE counter SET n = n + 100 WHERE id = 2")
        await other.execute("COMMIT")
        return await writing


async def test_a_deadlock_with_another_program_is_run_again(db: PostgresDatabase, url: str, server: Server) -> None:
    runs: list[int] = []
    assert await deadlock(db, url, runs) == [1, 77, 3]
    assert len(runs) == 2
    assert [row[0] for row in server.execute("SELECT n FROM counter ORDER BY id", name=NAME)] == [101, 101]


async def test_a_deadlock_without_retries_is_busy_for_the_guilty_alone(url: str) -> None:
    async with opened(url, write_retries=0) as db:
        runs: list[int] = []
        results = await deadlock(db, url, runs)
        assert [results[0], results[2]] == [1, 3]
        assert results[1] == 77 or isinstance(results[1], Busy)


@pytest.mark.parametrize(("fails", "ends_well"), [(2, True), (3, True), (9, False)])
async def test_a_serialisation_failure_is_run_again_as_often_as_set(db: PostgresDatabase, fails: int, ends_well: bool) -> None:
    left, runs = [fails], []

    def fail_for_a_while(connection: Connection) -> int:
        runs.append(increment(connection))
        if left[0]:
            left[0] -= 1
            connection.exec_driver_sql("DO $$ BEGIN RAISE EXCEPTION 'in the way' USING ERRCODE = '40001'; END $$")
        return runs[-1]

    if ends_well:
        assert await db.write(fail_for_a_while) == 1
    else:
        with pytest.raises(Busy, match="in the way again and again"):
            await db.write(fail_for_a_while)
    assert len(runs) == min(fails, 3) + 1
    assert await db.read(count) == int(ends_well)


async def test_a_backend_that_is_ended_under_a_write_is_replaced_and_everyone_is_answered(
    db: PostgresDatabase, server: Server
) -> None:
    left = [2]

    def cut_off(connection: Connection) -> int:
        n = increment(connection)
        if left[0]:
            left[0] -= 1
            connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
        return n

    assert await together(db, increment, cut_off, increment) == [1, 2, 3]
    left[0] = 99
    results = await together(db, increment, cut_off, increment)
    assert isinstance(results[1], StorageUnavailable)
    left[0] = 0
    assert await db.write(increment) == await db.read(count)
    await counted(server, "xact_start IS NOT NULL", 0)


async def test_a_statement_that_an_admin_stops_is_undone_and_the_connection_kept(db: PostgresDatabase) -> None:
    def stopped(connection: Connection) -> None:
        increment(connection)
        connection.execute(text("SELECT pg_cancel_backend(pg_backend_pid()), pg_sleep(5)"))

    before = await db.write(backend)
    with pytest.raises(QueryTimeout):
        await db.write(stopped)
    assert await db.write(backend) == before
    with pytest.raises(QueryTimeout):
        await db.read(lambda connection: connection.execute(text("SELECT pg_cancel_backend(pg_backend_pid()), pg_sleep(5)")))
    assert await db.read(count) == 0


async def test_a_backend_that_is_ended_harms_no_other_read_and_leaks_nothing(db: PostgresDatabase, server: Server) -> None:
    def sleep(connection: Connection) -> int:
        connection.execute(text("SELECT pg_sleep(0.4)"))
        return backend(connection)

    first = await db.read(backend)
    reading = [asyncio.ensure_future(db.read(sleep)) for _ in range(3)]
    await asyncio.sleep(0.2)
    server.execute(f"SELECT pg_terminate_backend({first})")
    assert first not in await asyncio.gather(*reading)
    await asyncio.gather(*(db.read(count) for _ in range(9)))
    await counted(server, "true", 3 + 1)  # the listener


@pytest.mark.parametrize("how", ["stop", "kill"])
async def test_a_server_that_is_started_anew_is_found_again(db: PostgresDatabase, server: Server, how: str) -> None:
    await asyncio.gather(*(db.read(count) for _ in range(9)))
    await db.write(increment)
    before = db.revision
    getattr(server, how)()
    for kind in (db.read, db.write):
        with pytest.raises(StorageUnavailable):
            await asyncio.wait_for(kind(increment), 5)
    assert db.revision != db.revision
    server.start()
    assert await asyncio.gather(*(db.read(count) for _ in range(9))) == [1] * 9
    assert await db.write(increment) == 2
    await until(lambda: db._writer.listener.hears)
    assert db.revision == db.revision != before


async def test_a_server_without_room_is_said_to_be_full_and_then_used(url: str, server: Server) -> None:
    async with opened(url, pool_size=2) as db:
        others = []
        with contextlib.suppress(asyncpg.TooManyConnectionsError):
            while True:
                others.append(await asyncpg.connect(url))
        with pytest.raises(StorageUnavailable, match="max_connections"):
            await db.read(count)
        for other in others:
            other.terminate()
        await counted(server, "true", 1)
        assert await db.read(count) == 0


# --- ending ----------------------------------------------------------------------------------------------------------------------


def ours() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("homedex")]


async def test_closing_runs_what_waits_and_leaves_nothing_behind(url: str, server: Server) -> None:
    gc.collect()
    tasks = asyncio.all_tasks()
    db = PostgresDatabase.open_server(url)
    reading = [
        asyncio.ensure_future(db.read(lambda connection: connection.execute(text("SELECT pg_sleep(0.1)")))) for _ in range(20)
    ]
    waiting = [asyncio.ensure_future(db.write(increment)) for _ in range(100)]
    await asyncio.sleep(0)
    await asyncio.gather(db.close(), db.close())
    assert sorted(await asyncio.gather(*waiting)) == list(range(1, 101))
    assert all(not isinstance(found, BaseException) for found in await asyncio.gather(*reading))
    assert (ours(), asyncio.all_tasks()) == ([], tasks)
    await counted(server, "true", 0)
    with pytest.raises(Busy, match="stopping"):
        await db.read(count)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gc.collect()


async def test_closing_that_is_cancelled_still_closes(url: str, server: Server) -> None:
    db = PostgresDatabase.open_server(url)
    await db.read(count)
    leave = await hold_the_writer(db)
    closing = asyncio.ensure_future(db.close())
    await asyncio.sleep(0.05)
    closing.cancel()
    leave.set()
    await db.close()
    assert ours() == []
    await counted(server, "true", 0)


def test_a_loop_that_ends_while_it_closes_leaves_nothing_behind(url: str, server: Server) -> None:
    async def main() -> None:
        db = PostgresDatabase.open_server(url)
        await db.read(count)
        await db.write(count)
        asyncio.ensure_future(db.close()).add_done_callback(lambda _: None)
        await asyncio.sleep(0)

    asyncio.run(main())
    assert ours() == []
    asyncio.run(counted(server, "true", 0))


async def test_closing_ends_although_others_commit_at_the_same_instant(url: str) -> None:
    async def call(stop: asyncio.Event) -> None:
        async with session(url) as other:
            while not stop.is_set():
                await other.execute("NOTIFY homedex")

    stop = asyncio.Event()
    calling = [asyncio.ensure_future(call(stop)) for _ in range(3)]
    for _ in range(CLOSINGS):
        async with opened(url) as db:
            await db.write(increment)
            await asyncio.wait_for(db.close(), 5)
    stop.set()
    await asyncio.gather(*calling)


async def test_closing_ends_although_the_server_is_gone(url: str, server: Server) -> None:
    db = PostgresDatabase.open_server(url)
    await db.read(count)
    server.stop()
    waiting = [asyncio.ensure_future(db.write(increment)) for _ in range(3)]
    await asyncio.sleep(0)
    await asyncio.wait_for(db.close(), 5)
    assert {type(found) for found in await asyncio.gather(*waiting, return_exceptions=True)} == {StorageUnavailable}
    assert ours() == []
    server.start()


async def test_closing_ends_although_the_server_says_nothing_any_more(url: str, server: Server) -> None:
    db = PostgresDatabase.open_server(url, pool_size=1)
    pids = [await db.read(backend), await db.write(backend)]
    server.pause(*pids)
    try:
        await asyncio.wait_for(db.close(), 5)
        assert ours() == []
    finally:
        server.pause(*pids, on=False)


async def test_another_event_loop_may_write_and_close_but_not_read(url: str, server: Server) -> None:
    db = PostgresDatabase.open_server(url)
    assert await db.read(count) == 0

    async def elsewhere() -> None:
        assert await db.write(increment) == 1
        with pytest.raises(RuntimeError, match="event loop"):
            await db.read(count)
        await db.close()

    await asyncio.to_thread(asyncio.run, elsewhere())
    await db.close()
    assert ours() == []
    await counted(server, "true", 0)
