"""The dialect `sqlite+aioapsw`, by way of create_async_engine alone. SQLAlchemy's own suite is in tests/dialect."""

import asyncio
import contextlib
import gc
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import apsw
import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from homedex.errors import StorageUnavailable
from threads import until_sessions_end

pytestmark = [pytest.mark.anyio, pytest.mark.sqlite]

SLOW = text("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 2000000000) SELECT sum(i) FROM n")


@pytest.fixture(autouse=True)
async def no_thread_is_left() -> AsyncIterator[None]:
    yield
    await until_sessions_end()


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    made = create_async_engine(f"sqlite+aioapsw:///{tmp_path}/some.db")
    async with made.begin() as connection:
        await connection.execute(text("CREATE TABLE parent (id INTEGER PRIMARY KEY, n INTEGER NOT NULL) STRICT"))
        await connection.execute(
            text(
                "CREATE TABLE child (id INTEGER PRIMARY KEY, p INTEGER REFERENCES parent(id) DEFERRABLE INITIALLY DEFERRED) STRICT"
            )
        )
        await connection.execute(text("INSERT INTO parent VALUES (1, 0)"))
    yield made
    await made.dispose()


def threads() -> int:
    return sum(thread.name == "homedex-session" for thread in threading.enumerate())


async def test_settings_are_in_force_on_each_connection(engine: AsyncEngine) -> None:
    async with engine.connect() as one, engine.connect():
        found = [(await one.execute(text(f"PRAGMA {name}"))).scalar() for name in ("foreign_keys", "journal_mode", "synchronous")]
    assert found == [1, "wal", 2]


async def test_a_statement_is_one_hop(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        worker: Any = (await connection.get_raw_connection()).driver_connection
        hops: list[Any] = []
        put = worker._calls.put

        class Counting:
            get, get_nowait = worker._calls.get, worker._calls.get_nowait

            @staticmethod
            def put(call: Any) -> None:
                hops.append(call)
                put(call)

        worker._calls = Counting()
        rows = (await connection.execute(text("SELECT * FROM parent"))).all()
        assert (rows, len(hops)) == ([(1, 0)], 1)
        await connection.execute(text("UPDATE parent SET n = 1"))
        assert len(hops) == 2
        await connection.commit()
        assert len(hops) == 3


async def test_errors_say_which_rule_was_broken(engine: AsyncEngine) -> None:
    with pytest.raises(IntegrityError) as caught:
        async with engine.begin() as connection:
            await connection.execute(text("INSERT INTO parent VALUES (1, 0)"))
    assert caught.value.orig.sqlite_errorname == "SQLITE_CONSTRAINT_PRIMARYKEY"  # type: ignore[union-attr]


async def test_a_commit_that_fails_leaves_no_transaction_open(engine: AsyncEngine) -> None:
    with pytest.raises(IntegrityError):
        async with engine.begin() as connection:
            await connection.execute(text("INSERT INTO child VALUES (1, 404)"))
    async with engine.begin() as connection:
        assert (await connection.execute(text("SELECT count(*) FROM child"))).scalar() == 0
        await connection.execute(text("INSERT INTO child VALUES (1, 1)"))


async def test_a_transaction_that_sqlite_gave_up_cannot_go_on(tmp_path: Path) -> None:
    engine = create_async_engine(f"sqlite+aioapsw:///{tmp_path}/some.db")
    async with engine.begin() as connection:
        await connection.execute(text("CREATE TABLE t (n INTEGER PRIMARY KEY)"))
    for end in ("commit", "execute"):
        async with engine.connect() as connection:
            await connection.execute(text("INSERT INTO t VALUES (1)"))
            with pytest.raises(IntegrityError):
                await connection.execute(text("INSERT OR ROLLBACK INTO t VALUES (1)"))
            with pytest.raises(OperationalError, match="the transaction is over"):
                await (connection.commit() if end == "commit" else connection.execute(text("INSERT INTO t VALUES (2)")))
    async with engine.connect() as connection:
        assert (await connection.execute(text("SELECT count(*) FROM t"))).scalar() == 0
    await engine.dispose()


async def test_cancelling_stops_the_statement(engine: AsyncEngine) -> None:
    started = time.monotonic()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2), engine.begin() as connection:
            await connection.execute(text("UPDATE parent SET n = 5"))
            await connection.execute(SLOW)
    async with engine.begin() as connection:  # which needs the lock
        assert (await connection.execute(text("SELECT n FROM parent"))).scalar() == 0
    assert time.monotonic() - started < 20  # it would take minutes


async def test_anyio_cancels_a_commit_under_way_once(engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is waited for, and whoever waits is cancelled then. In every turn of the loop, as anyio does it, it took all of a core."""
    waits: list[object] = []
    loop = asyncio.get_running_loop()
    make = loop.create_future

    def count() -> Any:
        waits.append(None)
        return make()

    def take_long() -> bool:
        time.sleep(0.3)
        return False  # nothing against it

    async with engine.connect() as connection:
        worker: Any = (await connection.get_raw_connection()).driver_connection
        await worker.run(lambda raw: raw.driver.set_commit_hook(take_long))
        await connection.execute(text("INSERT INTO parent VALUES (7, 0)"))
        monkeypatch.setattr(loop, "create_future", count)
        with anyio.move_on_after(0.02) as scope:
            await connection.commit()
    assert scope.cancelled_caught
    assert len(waits) < 20
    async with engine.connect() as connection:
        assert (await connection.execute(text("SELECT count(*) FROM parent"))).scalar() == 2


async def test_cancelling_stops_the_wait_for_a_lock(engine: AsyncEngine, tmp_path: Path) -> None:
    other = apsw.Connection(str(tmp_path / "some.db"))
    other.execute("BEGIN IMMEDIATE")
    started = time.monotonic()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2), engine.begin() as connection:
            await connection.execute(text("UPDATE parent SET n = 5"))
    await engine.dispose()
    await until_sessions_end()
    assert time.monotonic() - started < 20  # it would wait for 30 s
    other.close()


async def test_readers_read_one_snapshot_and_refuse_to_write(engine: AsyncEngine, tmp_path: Path) -> None:
    readers = create_async_engine(f"sqlite+aioapsw:///{tmp_path}/some.db?query_only=1")
    async with readers.connect() as reading:
        assert (await reading.execute(text("SELECT n FROM parent"))).scalar() == 0
        async with engine.begin() as connection:
            await connection.execute(text("UPDATE parent SET n = 1"))
        assert (await reading.execute(text("SELECT n FROM parent"))).scalar() == 0
        with pytest.raises(DBAPIError, match="readonly"):
            await reading.execute(text("UPDATE parent SET n = 2"))
    async with readers.connect() as reading:
        assert (await reading.execute(text("SELECT n FROM parent"))).scalar() == 1
    await readers.dispose()


async def test_a_snapshot_that_is_done_with_ends_soon(engine: AsyncEngine, tmp_path: Path) -> None:
    readers = create_async_engine(f"sqlite+aioapsw:///{tmp_path}/some.db?query_only=1")
    async with readers.connect() as reading:
        await reading.execute(text("SELECT n FROM parent"))
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE parent SET n = 1"))
    await asyncio.sleep(0.5)
    other = apsw.Connection(str(tmp_path / "some.db"))
    assert other.pragma("journal_mode") == "wal"
    logged, written_back = other.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)  # which waits for every reader
    assert (logged, written_back) == (0, 0)
    other.close()
    await readers.dispose()


async def test_rows_of_a_stream_come_as_they_are_asked_for(engine: AsyncEngine) -> None:
    many = text("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 2000000000) SELECT i FROM n")
    async with engine.connect() as connection:
        result = await connection.stream(many)
        assert [row.i for row in await result.fetchmany(3)] == [1, 2, 3]
        await result.close()
        assert (await connection.execute(text("SELECT n FROM parent"))).scalar() == 0
        adapted: Any = (await connection.get_raw_connection()).dbapi_connection
        assert adapted.streams == []  # nothing of it is kept


async def test_autocommit_commits_each_statement(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        await connection.execute(text("UPDATE parent SET n = 9"))
        await connection.rollback()
        await connection.execute(text("VACUUM"))
    async with engine.connect() as connection:
        assert (await connection.execute(text("SELECT n FROM parent"))).scalar() == 9


async def test_a_thread_ends_with_its_connection(engine: AsyncEngine) -> None:
    async with engine.connect(), engine.connect():
        assert threads() == 2
    await engine.dispose()
    await until_sessions_end()


@pytest.mark.filterwarnings("ignore:The garbage collector")
async def test_a_connection_that_was_forgotten_is_closed_and_its_lock_let_go(engine: AsyncEngine) -> None:
    async def forget() -> None:
        connection = await engine.connect()
        await connection.execute(text("UPDATE parent SET n = 5"))

    await forget()
    gc.collect()
    async with asyncio.timeout(20), engine.begin() as connection:
        assert (await connection.execute(text("SELECT n FROM parent"))).scalar() == 0


async def test_what_cannot_be_opened_says_why(tmp_path: Path) -> None:
    engine = create_async_engine(f"sqlite+aioapsw:///{tmp_path}/no/some.db")
    with pytest.raises(StorageUnavailable, match="does not exist"):
        async with engine.connect():
            pass
    await until_sessions_end()
    with pytest.raises(ArgumentError, match=r"sqlite\+aioapsw:///relative"):
        create_async_engine("sqlite+aioapsw://host/some.db")


async def test_a_database_in_memory_is_one_for_the_engine() -> None:
    engine = create_async_engine("sqlite+aioapsw://")
    async with engine.begin() as connection:
        await connection.execute(text("CREATE TABLE t (n)"))
    async with engine.connect() as connection:
        assert (await connection.execute(text("SELECT count(*) FROM t"))).scalar() == 0
    await engine.dispose()


async def test_what_is_special_to_the_driver_is_done_on_its_thread(engine: AsyncEngine) -> None:
    def add_twice(adapted: Any, _: Any) -> None:
        def add(raw: Any) -> None:
            raw.driver.create_scalar_function("twice", lambda n: 2 * n, 1)

        adapted.run_async(lambda worker: worker.run(add))

    await engine.dispose()
    event.listen(engine.sync_engine, "connect", add_twice)
    async with engine.connect() as connection:
        assert (await connection.execute(text("SELECT twice(21)"))).scalar() == 42
        assert (await connection.execute(text("SELECT 'lamp' REGEXP '^l'"))).scalar() == 1


async def test_a_loop_that_has_ended_leaves_no_thread(tmp_path: Path) -> None:
    def live() -> None:
        async def use() -> None:
            engine = create_async_engine(f"sqlite+aioapsw:///{tmp_path}/some.db")
            connection = await engine.connect()
            await connection.execute(text("CREATE TABLE t (n)"))
            await connection.close()
            await engine.dispose()

        asyncio.run(use())

    await asyncio.to_thread(live)
    await until_sessions_end()
    with contextlib.suppress(FileNotFoundError):
        assert (tmp_path / "some.db-wal").stat().st_size == 0
