"""Sessions: who writes is alone, what is confirmed is committed, and nothing is left behind by whoever gives up."""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import ForeignKey, Text, func, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError, InvalidRequestError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from homedex.errors import Busy, HeldTooLong, QueryTimeout, StorageUnavailable
from homedex.storage.database import Database
from homedex.storage.sessions import Sessions
from servers import Server
from threads import until_sessions_end

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
async def no_thread_is_left() -> AsyncIterator[None]:
    yield
    await until_sessions_end()


class Base(DeclarativeBase):
    pass


class Counter(Base):
    __tablename__ = "counters"
    id: Mapped[int] = mapped_column(primary_key=True)
    n: Mapped[int]


class Note(Base):
    __tablename__ = "notes"
    id: Mapped[int] = mapped_column(primary_key=True)
    counter_id: Mapped[int] = mapped_column(ForeignKey("counters.id", deferrable=True, initially="DEFERRED"))
    words: Mapped[str] = mapped_column(Text, unique=True)


SLOW = {
    "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 2000000000) SELECT sum(i) FROM n",
    "postgresql": "SELECT pg_sleep(60)",
}


async def made(target: str, **settings: float | None) -> Sessions:
    """The tables are made by sessions of their own: that may take longer than the deadline of a test."""
    first = Sessions.open(target)
    async with first.write() as session:
        await session.run_sync(lambda sync: Base.metadata.create_all(sync.connection()))
        session.add(Counter(id=1, n=0))
    await first.close()
    return Sessions.open(target, **settings)


@pytest.fixture
async def sessions(empty: str) -> AsyncIterator[Sessions]:
    opened = await made(empty)
    yield opened
    await opened.close()


@pytest.fixture
async def hasty(empty: str) -> AsyncIterator[Sessions]:
    """Sessions with short deadlines: long enough for a busy machine to do what has to succeed."""
    opened = await made(empty, write_deadline_s=1.0, read_deadline_s=1.0, busy_timeout_s=5.0)
    yield opened
    await opened.close()


def engine_of(sessions: Sessions) -> str:
    return "postgresql" if sessions.shown.startswith("postgresql") else "sqlite"


async def count(sessions: Sessions) -> int:
    async with sessions.read() as session:
        return (await session.get_one(Counter, 1)).n


async def notes(sessions: Sessions) -> int:
    async with sessions.read() as session:
        return await session.scalar(select(func.count()).select_from(Note)) or 0


async def test_fifty_tasks_that_read_and_then_write_lose_nothing(sessions: Sessions) -> None:
    async def increment() -> None:
        for _ in range(4):
            async with sessions.write() as session:
                counter = await session.get_one(Counter, 1)
                counter.n += 1

    await asyncio.gather(*(increment() for _ in range(50)))
    assert await count(sessions) == 200


async def test_two_services_on_one_database_lose_nothing(sessions: Sessions, empty: str) -> None:
    other = Sessions.open(empty)

    async def increment(sessions: Sessions) -> None:
        for _ in range(20):
            async with sessions.write() as session:
                counter = await session.get_one(Counter, 1)
                counter.n += 1

    await asyncio.gather(*(increment(one) for one in (sessions, other) for _ in range(3)))
    await other.close()
    assert await count(sessions) == 120


async def test_an_error_in_the_block_rolls_it_back(sessions: Sessions) -> None:
    with pytest.raises(LookupError):
        async with sessions.write() as session:
            (await session.get_one(Counter, 1)).n = 5
            await session.flush()
            raise LookupError
    assert await count(sessions) == 0


async def test_a_commit_that_fails_is_an_error_and_nothing_is_kept(sessions: Sessions) -> None:
    with pytest.raises(IntegrityError):
        async with sessions.write() as session:
            session.add(Note(counter_id=404, words="an orphan"))  # noticed by COMMIT, no sooner
            await session.flush()
    assert await notes(sessions) == 0
    async with sessions.write() as session:
        session.add(Note(counter_id=1, words="the next one can write"))
    assert await notes(sessions) == 1


async def test_it_may_commit_in_between_and_go_on(sessions: Sessions) -> None:
    with pytest.raises(LookupError):
        async with sessions.write() as session:
            session.add(Note(counter_id=1, words="kept"))
            await session.commit()
            session.add(Note(counter_id=1, words="lost"))
            await session.flush()
            raise LookupError
    assert await notes(sessions) == 1


async def test_a_savepoint_undoes_its_part_alone(sessions: Sessions) -> None:
    async with sessions.write() as session:
        session.add(Note(counter_id=1, words="twice"))
        await session.flush()
        with pytest.raises(IntegrityError):
            async with session.begin_nested():
                session.add(Note(counter_id=1, words="twice"))
                await session.flush()
        session.add(Note(counter_id=1, words="and another"))
    assert await notes(sessions) == 2


async def test_all_reads_of_a_session_see_one_snapshot(sessions: Sessions) -> None:
    async with sessions.read() as session:
        assert (await session.get_one(Counter, 1)).n == 0
        async with sessions.write() as writing:
            (await writing.get_one(Counter, 1)).n = 7
        assert await session.scalar(select(Counter.n)) == 0
    assert await count(sessions) == 7


async def test_a_session_for_reading_refuses_to_write(sessions: Sessions) -> None:
    with pytest.raises(RuntimeError, match="WriteSession"):
        async with sessions.read() as session:
            session.add(Counter(id=2, n=0))
            await session.flush()
    with pytest.raises(RuntimeError, match="open one with"):
        async with sessions.read() as session:
            (await session.get_one(Counter, 1)).n = 9
    with pytest.raises(RuntimeError, match="open one with"):
        async with sessions.read() as session:
            session.add(Counter(id=3, n=0))
    assert await count(sessions) == 0


async def test_who_writes_is_served_in_the_order_of_asking(sessions: Sessions) -> None:
    order: list[int] = []

    async def write(number: int) -> None:
        async with sessions.write() as session:
            await session.execute(text("UPDATE counters SET n = n"))
            order.append(number)

    async with sessions.write() as first:
        await first.execute(text("UPDATE counters SET n = n"))
        waiting = []
        for number in range(20):
            waiting.append(asyncio.create_task(write(number)))
            await asyncio.sleep(0)
        await asyncio.sleep(0.05)
        assert not order
    await asyncio.gather(*waiting)
    assert order == list(range(20))


async def test_reading_goes_on_while_somebody_writes(sessions: Sessions) -> None:
    async with sessions.write() as session:
        (await session.get_one(Counter, 1)).n = 3
        await session.flush()
        assert await count(sessions) == 0
    assert await count(sessions) == 3


async def test_a_turn_that_lasts_too_long_is_rolled_back_and_names_its_place(hasty: Sessions) -> None:
    with pytest.raises(HeldTooLong, match=r"test_sessions\.py:\d+ in test_a_turn_that_lasts_too_long"):
        async with hasty.write() as session:
            (await session.get_one(Counter, 1)).n = 5
            await session.flush()
            await asyncio.sleep(1.5)
            async with hasty.write() as other:  # it is this one's turn now
                other.add(Note(counter_id=1, words="in the meantime"))
    assert (await count(hasty), await notes(hasty)) == (0, 1)


async def test_a_statement_that_holds_the_turn_too_long_is_stopped(hasty: Sessions) -> None:
    started = time.monotonic()
    with pytest.raises(HeldTooLong, match="a place of mine"):
        async with hasty.write(place="a place of mine") as session:
            await session.execute(text("UPDATE counters SET n = 5"))
            await session.execute(text(SLOW[engine_of(hasty)]))
    assert time.monotonic() - started < 20  # it would take minutes
    assert await count(hasty) == 0


async def test_who_went_on_after_its_turn_was_over_cannot_commit(hasty: Sessions) -> None:
    with pytest.raises(HeldTooLong):
        async with hasty.write() as session:
            await session.execute(text("UPDATE counters SET n = 5"))
            await asyncio.sleep(1.5)
            with pytest.raises((HeldTooLong, DBAPIError)):
                await session.execute(text("UPDATE counters SET n = 6"))
    assert await count(hasty) == 0


async def test_who_waits_too_long_is_told_who_has_the_turn(empty: str) -> None:
    sessions = await made(empty, busy_timeout_s=0.2)
    async with sessions.write(place="the slow one") as session:
        await session.execute(text("UPDATE counters SET n = n"))
        with pytest.raises(Busy, match="the slow one"):
            async with sessions.write() as other:
                await other.execute(text("UPDATE counters SET n = n"))
    await sessions.close()


async def test_so_many_may_wait_and_no_more(empty: str) -> None:
    sessions = await made(empty, queue_limit=2)

    async def write() -> None:
        async with sessions.write() as session:
            await session.execute(text("UPDATE counters SET n = n + 1"))

    async with sessions.write() as session:
        await session.execute(text("UPDATE counters SET n = n"))
        waiting = [asyncio.create_task(write()) for _ in range(2)]
        await asyncio.sleep(0.05)
        with pytest.raises(Busy, match="2 sessions wait"):
            await write()
    await asyncio.gather(*waiting)
    assert await count(sessions) == 2
    await sessions.close()


async def test_a_read_past_its_deadline_is_stopped(hasty: Sessions) -> None:
    with pytest.raises(QueryTimeout):
        async with hasty.read() as session:
            await session.execute(text(SLOW[engine_of(hasty)]))
    assert await count(hasty) == 0


async def test_cancelling_stops_the_statement_and_lets_the_next_one_write(sessions: Sessions) -> None:
    async def write_for_ever() -> None:
        async with sessions.write() as session:
            await session.execute(text("UPDATE counters SET n = 5"))
            await session.execute(text(SLOW[engine_of(sessions)]))

    task = asyncio.create_task(write_for_ever())
    await asyncio.sleep(0.3)
    task.cancel()
    started = time.monotonic()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with sessions.write() as session:
        session.add(Note(counter_id=1, words="next"))
    assert time.monotonic() - started < 5  # the statement would go on for minutes
    assert (await count(sessions), await notes(sessions)) == (0, 1)


async def test_five_hundred_that_are_cancelled_at_random_leave_nothing_behind(empty: str) -> None:
    sessions = await made(empty)
    chance, done = random.Random(7), 0  # noqa: S311  (any will do, but the same each time)

    async def write(number: int) -> None:
        nonlocal done
        async with sessions.write() as session:
            counter = await session.get_one(Counter, 1)
            session.add(Note(counter_id=1, words=f"note {number}"))
            await session.flush()
            await asyncio.sleep(chance.random() / 500)
            counter.n += 1
        done += 1

    tasks = [asyncio.create_task(write(number)) for number in range(500)]
    while any(not task.done() for task in tasks):
        await asyncio.sleep(chance.random() / 100)
        chance.choice(tasks).cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(one is None or isinstance(one, asyncio.CancelledError) for one in outcomes)
    assert 0 < done < 500
    async with sessions.write() as session:  # the lock is free
        session.add(Note(counter_id=1, words="at last"))
    found = await count(sessions)
    assert await notes(sessions) == found + 1  # each was kept whole, or not at all
    assert found >= done  # of one that was cancelled while it committed nobody can say
    await sessions.close()
    await nothing_is_left(empty)


async def nothing_is_left(target: str) -> None:
    """No thread of a session, and no lock: who comes next writes at once."""
    await until_sessions_end()
    after = Sessions.open(target, busy_timeout_s=1.0)
    async with after.write() as session:
        await session.execute(text("UPDATE counters SET n = n"))
    await after.close()


async def test_a_closed_one_says_so(empty: str) -> None:
    sessions = await made(empty)
    await sessions.close()
    with pytest.raises(Busy, match="stopping"):
        async with sessions.read():
            pass
    with pytest.raises(Busy, match="stopping"):
        async with sessions.write():
            pass


async def test_streams_rows_without_holding_them_all(sessions: Sessions) -> None:
    async with sessions.write() as session:
        session.add_all(Note(counter_id=1, words=f"note {number}") for number in range(3000))
    async with sessions.read() as session:
        seen = 0
        async for _ in (await session.stream(select(Note))).scalars():
            seen += 1
    assert seen == 3000


async def test_a_session_can_be_used_as_any_other(sessions: Sessions) -> None:
    async with sessions.write() as session:
        assert isinstance(session, AsyncSession)
        note = Note(counter_id=1, words="a")
        session.add(note)
        await session.flush()
        await session.refresh(note)
        await session.delete(note)
    assert await notes(sessions) == 0


async def test_who_comes_after_one_that_expired_is_not_told_of_it(hasty: Sessions) -> None:
    for _ in range(3):
        with pytest.raises(HeldTooLong):
            async with hasty.write() as session:
                await session.execute(text("UPDATE counters SET n = 5"))
                await asyncio.sleep(1.5)
        async with hasty.write() as session:
            await session.execute(text("UPDATE counters SET n = n + 1"))
    assert await count(hasty) == 3


@pytest.mark.sqlite
async def test_one_that_expired_and_began_anew_is_told_of_its_own_error(hasty: Sessions) -> None:
    with pytest.raises(LookupError):
        async with hasty.write() as session:
            await session.execute(text("UPDATE counters SET n = 5"))
            await asyncio.sleep(1.5)
            with pytest.raises((HeldTooLong, DBAPIError)):
                await session.execute(text("UPDATE counters SET n = 6"))
            await session.rollback()
            await session.execute(text("UPDATE counters SET n = 7"))
            await session.commit()
            raise LookupError
    assert await count(hasty) == 7


async def test_another_process_that_keeps_the_lock_is_what_is_told_of(empty: str) -> None:
    sessions = await made(empty, write_deadline_s=0.5, busy_timeout_s=1.5)
    other = Sessions.open(empty)
    async with other.write() as holding:
        await holding.execute(text("UPDATE counters SET n = 1"))
        with pytest.raises(Busy, match="another process holds"):
            async with sessions.write() as session:
                await session.execute(text("UPDATE counters SET n = 2"))
    async with sessions.write() as session:
        await session.execute(text("UPDATE counters SET n = n + 1"))
    assert await count(sessions) == 2
    await sessions.close()
    await other.close()


async def test_autocommit_is_refused(sessions: Sessions) -> None:
    with pytest.raises(RuntimeError, match="AUTOCOMMIT"):
        async with sessions.write() as session:
            await session.connection(execution_options={"isolation_level": "AUTOCOMMIT"})
    async with sessions.write() as session:
        (await session.get_one(Counter, 1)).n = 5
        await session.flush()
        await session.rollback()
    assert await count(sessions) == 0


async def test_a_session_cannot_be_used_after_its_block(sessions: Sessions) -> None:
    async with sessions.write() as session:
        pass
    async with sessions.read() as reading:
        pass
    for one in (session, reading):
        with pytest.raises(InvalidRequestError, match="permanently closed"):
            await one.execute(select(Counter))


@pytest.mark.sqlite  # on PostgreSQL SQLAlchemy refuses two at once by itself
async def test_a_statement_that_comes_after_its_session_has_ended_writes_nothing(sessions: Sessions) -> None:
    late: list[asyncio.Task[object]] = []
    async with sessions.write() as holding:
        await holding.execute(text("UPDATE counters SET n = n"))

        async def two_at_once() -> None:
            async with sessions.write() as session:
                for number in (1, 2):
                    add = session.execute(text(f"INSERT INTO notes VALUES ({number}, 1, 'note {number}')"))
                    late.append(asyncio.create_task(add))
                await asyncio.wait(late, return_when=asyncio.FIRST_COMPLETED)
                raise LookupError

        task = asyncio.create_task(two_at_once())
        await asyncio.sleep(0.1)
    with pytest.raises(Exception):  # noqa: B017, PT011  (LookupError, or SQLAlchemy's word for two at once)
        await task
    await asyncio.wait(late)
    for one in late:
        one.exception()
    async with sessions.write() as session:
        await session.execute(text("UPDATE counters SET n = n"))
    assert await notes(sessions) == 0


async def test_closing_while_some_write_and_some_wait_ends_all_of_them(empty: str) -> None:
    sessions = await made(empty)
    began = asyncio.Event()

    async def write(*, first: bool) -> None:
        async with sessions.write() as session:
            await session.execute(text("UPDATE counters SET n = n + 1"))
            began.set()
            if first:
                await asyncio.sleep(0.5)
            await session.execute(text("UPDATE counters SET n = n + 1"))

    async def read() -> None:
        async with sessions.read() as session:
            await session.execute(select(Counter))
            await asyncio.sleep(0.5)

    tasks = [asyncio.create_task(write(first=True)), asyncio.create_task(read())]
    await began.wait()
    tasks += [asyncio.create_task(write(first=False)) for _ in range(3)]
    await asyncio.sleep(0.1)
    await sessions.close()
    async with asyncio.timeout(20):
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(one, Exception) for one in [outcomes[0], *outcomes[2:]])
    assert all(isinstance(one, Busy) for one in outcomes[2:])
    after = Sessions.open(empty)
    assert await count(after) == 0
    await after.close()


async def test_a_stream_left_unfinished_keeps_no_snapshot(sessions: Sessions) -> None:
    async with sessions.write() as session:
        session.add_all(Note(counter_id=1, words=f"note {number}") for number in range(3000))
    kept = []
    async with sessions.read() as session:
        result = await session.stream(select(Counter.n, Note.id).join(Note))
        await result.fetchone()
        kept.append(result)
    async with sessions.write() as session:
        (await session.get_one(Counter, 1)).n = 7
    assert await count(sessions) == 7
    async with sessions.write() as session:
        result = await session.stream(select(Note))
        await result.fetchone()
        kept.append(result)
    async with sessions.write() as session:
        (await session.get_one(Counter, 1)).n = 8
    assert await count(sessions) == 8


@pytest.mark.sqlite
async def test_where_the_process_stands_does_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    sessions = await made("some.db")
    monkeypatch.chdir("/")
    async with sessions.write() as session:
        (await session.get_one(Counter, 1)).n = 1
    assert await count(sessions) == 1
    await sessions.close()


SLEEPS_IN_COMMIT = (
    "CREATE FUNCTION nap() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(20); RETURN NULL; END'",
    "CREATE CONSTRAINT TRIGGER nap AFTER UPDATE ON counters DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION nap()",
)


async def test_a_server_that_hangs_up_during_commit_leaves_it_unknown_and_says_so(postgresql: Server) -> None:
    sessions = await made(postgresql.bare())
    postgresql.execute(*SLEEPS_IN_COMMIT, name="bare")

    async def write() -> None:
        async with sessions.write() as session:
            await session.execute(text("UPDATE counters SET n = 5"))

    writing = asyncio.create_task(write())
    committing = "datname = 'bare' AND query LIKE 'COMMIT%' AND state = 'active'"
    ended = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {committing}"
    for _ in range(200):
        await asyncio.sleep(0.05)
        if await asyncio.to_thread(postgresql.execute, ended):
            break
    with pytest.raises(StorageUnavailable, match="unknown"):
        await writing
    await sessions.close()


async def test_after_a_commit_that_was_answered_nothing_is_unknown(sessions: Sessions) -> None:
    with pytest.raises(StorageUnavailable, match="of the caller's own"):
        async with sessions.write() as session:
            await session.execute(text("UPDATE counters SET n = 5"))
            await session.commit()
            raise StorageUnavailable("of the caller's own.")
    assert await count(sessions) == 5


async def test_a_server_that_hangs_up_takes_no_outcome_of_a_blocks_place(postgresql: Server) -> None:
    sessions = await made(postgresql.bare())

    async def hang_up() -> None:
        ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'bare' AND pid <> pg_backend_pid()"
        await asyncio.to_thread(postgresql.execute, ended)
        await asyncio.sleep(0.1)  # the client hears of it

    async def write_and_fail() -> None:
        async with sessions.write() as session:
            await session.execute(text("UPDATE counters SET n = 5"))
            await hang_up()
            raise LookupError

    async def write_and_wait() -> None:
        async with sessions.write() as session:
            await session.execute(text("UPDATE counters SET n = 5"))
            await hang_up()
            began.set()
            await asyncio.sleep(60)

    async def read() -> int:
        async with sessions.read() as session:
            n = (await session.get_one(Counter, 1)).n
            await hang_up()
            return n

    with pytest.raises(LookupError):
        await write_and_fail()
    began = asyncio.Event()
    waiting = asyncio.create_task(write_and_wait())
    await began.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await read() == 0
    assert await count(sessions) == 0
    await sessions.close()


async def test_a_revision_is_another_after_what_a_session_has_committed(sessions: Sessions, empty: str) -> None:
    async with Database.open(empty) as database:
        while database.revision != (before := database.revision):  # noqa: ASYNC110  (PostgreSQL: until it hears)
            await asyncio.sleep(0.01)
        async with sessions.write() as session:
            (await session.get_one(Counter, 1)).n = 5
        for _ in range(500):
            if database.revision != before:
                break
            await asyncio.sleep(0.01)
        assert database.revision != before
