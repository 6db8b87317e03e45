"""Database: what is answered is committed, what fails touches nobody else, and the loop never waits."""

import asyncio
import contextlib
import gc
import os
import sys
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError, OperationalError

from homedex.errors import BadSetting, Busy, HomedexError, QueryTimeout, StorageUnavailable
from homedex.storage.database import Database
from homedex.storage.rows import driver
from homedex.storage.sqlite import wal_bytes
from homedex.storage.sqlite_writer import Writer
from homedex.storage.urls import target_of
from writers import hold_the_writer

pytestmark = pytest.mark.anyio

SLOW = text("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 2000000000) SELECT sum(i) FROM n")


def create(connection: Connection) -> None:
    connection.execute(text("CREATE TABLE counter (id INTEGER PRIMARY KEY, n INTEGER NOT NULL) STRICT"))
    connection.execute(text("INSERT INTO counter VALUES (1, 0)"))
    connection.execute(text("CREATE TABLE parent (id INTEGER PRIMARY KEY)"))
    connection.execute(text("CREATE TABLE child (p INTEGER REFERENCES parent(id) DEFERRABLE INITIALLY DEFERRED)"))


def increment(connection: Connection) -> int:
    n: int = connection.execute(text("SELECT n FROM counter")).scalar_one()
    connection.execute(text("UPDATE counter SET n = :n"), {"n": n + 1})
    return n + 1


def count(connection: Connection) -> int:
    n: int = connection.execute(text("SELECT n FROM counter")).scalar_one()
    return n


def adopt_an_orphan(connection: Connection) -> None:
    connection.execute(text("INSERT INTO child VALUES (404)"))


def increment_and_fail(connection: Connection) -> None:
    increment(connection)
    raise LookupError("on purpose")


@pytest.fixture
async def db(tmp_path: Path) -> AsyncIterator[Database]:
    opened = Database.open(str(tmp_path / "some.db"), read_deadline_s=1.0, queue_limit=500)
    await opened.write(create)
    yield opened
    await opened.close()


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208  (as short as can be)


async def test_a_write_is_there_for_the_next_read(db: Database) -> None:
    assert await db.write(increment) == 1
    assert await db.read(count) == 1


async def test_a_hundred_clients_lose_no_update(db: Database) -> None:
    async def client() -> None:
        for _ in range(20):
            await db.write(increment)

    await asyncio.gather(*(client() for _ in range(100)))
    assert await db.read(count) == 2000


async def test_a_function_that_fails_is_undone_and_its_neighbours_are_not(db: Database) -> None:
    leave = await hold_the_writer(db)
    waiting = [asyncio.ensure_future(db.write(fn)) for fn in (increment, increment_and_fail, increment)]
    await asyncio.sleep(0)
    leave.set()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert [results[0], type(results[1]), results[2]] == [1, LookupError, 2]
    assert await db.read(count) == 2


async def test_waiting_functions_share_one_commit(db: Database) -> None:
    leave = await hold_the_writer(db)
    before = db.revision
    waiting = [asyncio.ensure_future(db.write(increment)) for _ in range(50)]
    await asyncio.sleep(0)
    leave.set()
    await asyncio.gather(*waiting)
    boot, first = before.split("-")
    assert db.revision in {f"{boot}-{int(first) + commits}" for commits in (1, 2)}


async def test_a_commit_that_fails_is_an_error_and_takes_nobody_along(db: Database) -> None:
    leave = await hold_the_writer(db)
    waiting = [asyncio.ensure_future(db.write(fn)) for fn in (increment, adopt_an_orphan, increment)]
    await asyncio.sleep(0)
    leave.set()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(results[1], IntegrityError)
    assert await db.read(count) == 2
    assert await db.read(lambda connection: connection.execute(text("SELECT count(*) FROM child")).scalar_one()) == 0


async def test_a_transaction_that_sqlite_undoes_takes_nobody_along(db: Database) -> None:
    def undo_everything(connection: Connection) -> None:
        increment(connection)
        connection.execute(text("INSERT OR ROLLBACK INTO counter VALUES (1, 5)"))

    leave = await hold_the_writer(db)
    waiting = [asyncio.ensure_future(db.write(fn)) for fn in (increment, undo_everything, increment)]
    await asyncio.sleep(0)
    leave.set()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(results[1], IntegrityError)
    assert {results[0], results[2]} == {1, 2}
    assert await db.read(count) == 2


@pytest.mark.parametrize("ending", ["commit", "rollback"])
async def test_a_function_may_not_end_the_transaction_it_shares(db: Database, ending: str) -> None:
    def end(connection: Connection) -> None:
        increment(connection)
        getattr(connection, ending)()

    with pytest.raises(RuntimeError, match="may not commit or roll back"):
        await db.write(end)
    assert await db.write(increment) == 1


async def test_a_function_that_swallows_a_rollback_is_told_and_leaves_nothing(db: Database) -> None:
    def swallow(connection: Connection) -> str:
        increment(connection)
        with contextlib.suppress(IntegrityError):
            connection.execute(text("INSERT OR ROLLBACK INTO counter VALUES (1, 5)"))
        with contextlib.suppress(Exception):
            connection.execute(text("UPDATE counter SET n = 77"))
        return "done"

    leave = await hold_the_writer(db)
    waiting: list[asyncio.Future[Any]] = [asyncio.ensure_future(db.write(fn)) for fn in (increment, swallow, increment)]
    await asyncio.sleep(0)
    leave.set()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(results[1], RuntimeError)
    assert await db.read(count) == 2
    with pytest.raises(RuntimeError, match="rolled back under"):
        await db.write(swallow)
    assert await db.read(count) == 2


async def test_a_raw_commit_is_refused(db: Database) -> None:
    def commit(connection: Connection) -> None:
        increment(connection)
        connection.exec_driver_sql("COMMIT")

    with pytest.raises(IntegrityError):
        await db.write(commit)
    assert await db.write(increment) == 1


@pytest.mark.parametrize("kind", ["read", "write"])
async def test_stop_iteration_reaches_its_caller_as_an_error(db: Database, kind: str) -> None:
    with pytest.raises(RuntimeError, match="StopIteration"):
        await asyncio.wait_for(getattr(db, kind)(lambda _: next(iter([]))), 5)


@pytest.mark.parametrize("kind", ["read", "write"])
async def test_a_lane_whose_connection_breaks_opens_another(db: Database, kind: str) -> None:
    for _ in range(5):
        with pytest.raises(Exception, match=r"clos|rolled back"):
            await asyncio.wait_for(getattr(db, kind)(lambda connection: connection.connection.driver_connection.driver.close()), 5)
    assert await asyncio.wait_for(db.write(increment), 5) == 1
    assert await asyncio.wait_for(db.read(count), 5) == 1


async def test_closing_ends_although_the_last_write_broke_its_connection(db: Database) -> None:
    leave = await hold_the_writer(db)
    last = asyncio.ensure_future(db.write(lambda connection: connection.connection.driver_connection.driver.close()))  # type: ignore[union-attr]
    await asyncio.sleep(0)
    closing = asyncio.ensure_future(db.close())
    await asyncio.sleep(0.1)
    leave.set()
    await asyncio.wait_for(closing, 5)
    assert isinstance((await asyncio.gather(last, return_exceptions=True))[0], Exception)


async def test_a_lane_that_finds_no_file_any_more_says_so_and_recovers(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "a.db"
    path.parent.mkdir()
    db = Database.open(str(path), readers=1)
    await db.write(create)
    path.parent.rename(tmp_path / "away")
    with pytest.raises(Exception, match="clos"):
        await asyncio.wait_for(db.read(lambda connection: connection.connection.driver_connection.driver.close()), 5)  # type: ignore[union-attr]
    with pytest.raises(StorageUnavailable, match="folder"):
        await asyncio.wait_for(db.read(count), 5)
    (tmp_path / "away").rename(path.parent)
    with contextlib.suppress(StorageUnavailable):  # the lane may have looked just before
        await asyncio.wait_for(db.read(count), 5)
    assert await asyncio.wait_for(db.read(count), 5) == 0
    await db.close()


async def test_a_write_waits_as_long_after_the_file_was_tidied_as_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("homedex.storage.sqlite_writer.IDLE_S", 0.02)
    monkeypatch.setattr("homedex.storage.sqlite_writer.WAL_WORTH_CUTTING_BYTES", 0)
    db = Database.open(str(tmp_path / "a.db"), busy_timeout_s=10)
    await db.write(create)
    await asyncio.sleep(0.3)
    other = Database.open(str(tmp_path / "a.db"))
    leave = await hold_the_writer(other)
    writing = asyncio.ensure_future(db.write(increment))
    await asyncio.sleep(0.5)
    leave.set()
    assert await writing == 1
    await other.close()
    await db.close()


async def test_a_write_cancelled_while_another_process_has_the_lock_never_runs(tmp_path: Path) -> None:
    db, other = Database.open(str(tmp_path / "a.db")), Database.open(str(tmp_path / "a.db"))
    await db.write(create)
    leave = await hold_the_writer(other)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(db.write(increment), 0.1)
    leave.set()
    assert await db.write(increment) == 1
    await db.close()
    await other.close()


async def test_a_function_that_is_late_in_python_is_undone(tmp_path: Path) -> None:
    def sleepy(connection: Connection) -> None:
        increment(connection)
        time.sleep(1.0)

    db = Database.open(str(tmp_path / "a.db"), write_deadline_s=0.5)
    await db.write(create)
    with pytest.raises(QueryTimeout):
        await db.write(sleepy)
    assert await db.read(count) == 0
    await db.close()


async def test_a_read_function_cannot_write(db: Database) -> None:
    with pytest.raises(OperationalError, match="readonly"):
        await db.read(increment)
    assert await db.read(count) == 0


async def test_a_read_sees_one_snapshot_however_long_it_takes(db: Database) -> None:
    first, second = threading.Event(), threading.Event()

    def read_twice(connection: Connection) -> tuple[int, int]:
        before = count(connection)
        first.set()
        second.wait(5)
        return before, count(connection)

    reading = asyncio.ensure_future(db.read(read_twice))
    await asyncio.to_thread(first.wait)
    await db.write(increment)
    second.set()
    assert await reading == (0, 0)


async def test_a_read_is_stopped_at_its_deadline_and_its_lane_goes_on(db: Database) -> None:
    with pytest.raises(QueryTimeout, match="longer than allowed"):
        await db.read(lambda connection: connection.execute(SLOW).scalar())
    assert await db.read(count) == 0


async def test_a_write_is_stopped_at_its_deadline_and_undone(tmp_path: Path) -> None:
    def increment_slowly(connection: Connection) -> None:
        increment(connection)
        connection.execute(SLOW)

    db = Database.open(str(tmp_path / "a.db"), write_deadline_s=1.0)
    await db.write(create)
    with pytest.raises(QueryTimeout):
        await db.write(increment_slowly)
    assert await db.read(count) == 0
    await db.close()


async def test_a_cancelled_read_stops_its_statement(tmp_path: Path) -> None:
    db = Database.open(str(tmp_path / "a.db"), readers=1, read_deadline_s=None)
    await db.write(create)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(db.read(lambda connection: connection.execute(SLOW).scalar()), 0.1)
    assert await asyncio.wait_for(db.read(count), 5) == 0
    await db.close()


async def test_a_cancelled_write_that_still_waits_never_runs(db: Database) -> None:
    leave = await hold_the_writer(db)
    waiting = asyncio.ensure_future(db.write(increment))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    leave.set()
    assert await db.write(increment) == 1


async def test_a_full_queue_is_busy_at_once_and_loses_nothing(db: Database) -> None:
    leave = await hold_the_writer(db)
    waiting = [asyncio.ensure_future(db.write(increment)) for _ in range(500)]
    await asyncio.sleep(0)
    with pytest.raises(Busy, match="500 requests wait"):
        await db.write(increment)
    leave.set()
    await asyncio.gather(*waiting)
    assert await db.read(count) == 500


async def test_closing_runs_what_waits_and_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    gc.collect()
    threads, descriptors = threading.active_count(), open_files()
    db = Database.open(str(path))
    await db.write(create)
    waiting = [asyncio.ensure_future(db.write(increment)) for _ in range(100)]
    await asyncio.sleep(0)
    await db.close()
    assert sorted(await asyncio.gather(*waiting)) == list(range(1, 101))
    lanes = [thread.name for thread in threading.enumerate() if thread.name.startswith("homedex")]
    assert lanes == []
    assert threading.active_count() <= threads + 1  # asyncio keeps the thread that waited for the lanes
    assert open_files() == descriptors
    assert os.listdir(tmp_path) == ["a.db"]  # noqa: PTH208


async def test_closing_that_is_cancelled_still_closes(tmp_path: Path) -> None:
    db = Database.open(str(tmp_path / "a.db"))
    await db.write(create)
    leave = await hold_the_writer(db)
    closing = asyncio.ensure_future(db.close())
    await asyncio.sleep(0.05)
    closing.cancel()
    leave.set()
    await db.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("homedex")]
    assert os.listdir(tmp_path) == ["a.db"]  # noqa: PTH208


async def test_a_closed_database_says_so(tmp_path: Path) -> None:
    db = Database.open(str(tmp_path / "a.db"))
    await db.close()
    await db.close()
    with pytest.raises(Busy, match="stopping"):
        await db.read(count)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux gives a thread a priority of its own")
@pytest.mark.sqlite
async def test_the_writer_gives_way_to_readers_on_a_core_that_they_share(tmp_path: Path) -> None:
    async with Database.open(str(tmp_path / "some.db"), readers=1):
        lanes = {thread.name: thread.native_id or 0 for thread in threading.enumerate() if thread.name.startswith("homedex-")}
        nice = {name: os.getpriority(os.PRIO_PROCESS, number) for name, number in lanes.items()}
    ours = os.getpriority(os.PRIO_PROCESS, os.getpid())
    assert nice == {"homedex-writer": min(ours + Writer.NICE, 19), "homedex-reader-0": ours}


async def test_a_database_that_cannot_be_opened_leaves_no_thread(tmp_path: Path) -> None:
    (tmp_path / "bad.db").write_bytes(b"x" * 5000)
    with pytest.raises(HomedexError):
        Database.open(str(tmp_path / "bad.db"))
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("homedex")]


async def test_the_loop_runs_on_while_a_read_takes_long(tmp_path: Path) -> None:
    db = Database.open(str(tmp_path / "a.db"), read_deadline_s=1.0)
    reading = asyncio.ensure_future(db.read(lambda connection: connection.execute(SLOW).scalar()))
    turns = 0
    while not reading.done():
        await asyncio.sleep(0.005)
        turns += 1
    assert isinstance(reading.exception(), QueryTimeout)
    assert turns > 20  # 200 on an idle machine; a loop that waits for SQL makes one
    await db.close()


async def test_the_revision_moves_with_every_commit_and_only_then(db: Database) -> None:
    before = db.revision
    await db.read(count)
    assert db.revision == before
    await db.write(increment)
    assert db.revision != before


async def test_the_revision_sees_the_commits_of_others(db: Database) -> None:
    other = Database.open(db.shown)
    before = db.revision
    await other.write(increment)
    assert db.revision != before
    await other.close()


async def test_the_caches_of_all_connections_share_one_budget(db: Database) -> None:
    def cache_kib(connection: Connection) -> int:
        return -int(connection.execute(text("PRAGMA cache_size")).scalar_one())

    writer, reader = await db.write(cache_kib), await db.read(cache_kib)
    assert 60_000 <= writer + 2 * reader <= 65_536


async def test_the_wal_is_cut_when_the_writer_has_nothing_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("homedex.storage.sqlite_writer.IDLE_S", 1.0)
    db = Database.open(str(tmp_path / "a.db"))
    await db.write(create)
    blob = text("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 700000) INSERT INTO parent SELECT i FROM n")
    await db.write(lambda connection: connection.execute(blob).rowcount)
    assert wal_bytes(db.shown) > 4_000_000
    until = time.monotonic() + 10
    while wal_bytes(db.shown) and time.monotonic() < until:  # noqa: ASYNC110  (a thread does it, and tells nobody)
        await asyncio.sleep(0.05)
    assert wal_bytes(db.shown) == 0
    await db.close()


async def test_the_wal_is_written_back_after_the_answers_and_does_not_grow(db: Database) -> None:
    rows = text(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 700000) INSERT INTO parent SELECT NULL FROM n"
    )
    sizes = []
    for _ in range(6):
        await db.write(lambda connection: connection.execute(rows).rowcount)
        sizes.append(wal_bytes(db.shown))
    assert sizes[0] > 4_000_000
    assert sizes[-1] < 3 * sizes[0]


async def test_a_wrong_statement_is_the_functions_own_error(db: Database) -> None:
    with pytest.raises(OperationalError, match="no such table"):
        await db.read(lambda connection: connection.execute(text("SELECT * FROM nowhere")))


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///./data/app.db", "./data/app.db"),
        ("sqlite+aiosqlite:///./data/app.db", "./data/app.db"),
        ("sqlite:////var/lib/app.db", "/var/lib/app.db"),
    ],
)
async def test_a_url_names_a_file(url: str, path: str) -> None:
    assert target_of(url) == path


@pytest.mark.parametrize(
    "url", ["", "nonsense", "mysql://x/y", "sqlite://", "sqlite:///:memory:", "sqlite:///a.db?mode=ro", "sqlite:"]
)
async def test_a_url_without_meaning_is_refused_with_an_example(url: str) -> None:
    with pytest.raises(BadSetting, match=r"sqlite:///\./data/app\.db"):
        target_of(url)


@pytest.mark.parametrize(
    "statement", ["INSERT INTO child VALUES (NULL), (NULL) RETURNING 1", "SELECT n FROM counter, (SELECT 1 UNION SELECT 2)"]
)
async def test_a_statement_that_a_function_leaves_unfinished_is_its_own_fault_and_stops_nobody(
    db: Database, statement: str
) -> None:
    left: list[Any] = []

    def leave_it(connection: Connection) -> None:
        left.append(driver(connection).execute(statement))
        next(left[-1])

    leave = await hold_the_writer(db)
    waiting = [asyncio.ensure_future(db.write(function)) for function in (increment, leave_it, increment)]
    await asyncio.sleep(0)
    leave.set()
    said = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 20)
    if statement.startswith("INSERT"):
        assert [type(one) for one in said] == [StorageUnavailable, RuntimeError, StorageUnavailable]
    assert await db.read(count) == await db.write(increment) - 1
    assert await db.read(count) == sum(isinstance(one, int) for one in said) + 1


async def test_a_read_that_leaves_a_statement_unfinished_leaves_no_snapshot_to_the_next_one(tmp_path: Path) -> None:
    left: list[Any] = []

    def leave_it(connection: Connection) -> None:
        left.append(driver(connection).execute("SELECT n FROM counter, (SELECT 1 UNION SELECT 2)"))
        next(left[-1])

    async with Database.open(str(tmp_path / "a.db"), readers=1) as db:
        await db.write(create)
        with pytest.raises(RuntimeError, match="unfinished"):
            await db.read(leave_it)
        await db.write(increment)
        assert await db.read(count) == 1
