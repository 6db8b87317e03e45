"""A standby that reads go to: never behind what this process has written, and never missed when it is gone."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from sqlalchemy import Connection, text

from homedex.errors import StorageUnavailable
from homedex.storage.postgres import raw
from homedex.storage.postgres_database import REPLICA_S, PostgresDatabase
from servers import Server, started

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


SLOW_ANSWER = """
    CREATE FUNCTION public.pg_last_wal_replay_lsn() RETURNS pg_lsn LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM pg_catalog.pg_sleep(1);
        RETURN pg_catalog.pg_last_wal_replay_lsn();
    END $$
"""
"""In the place of the server's own function, for whom `public` comes first."""


def increment(connection: Connection) -> int:
    n: int = connection.execute(text("UPDATE counter SET n = n + 1 RETURNING n")).scalar_one()
    return n


def where(connection: Connection) -> tuple[bool, int]:
    """Whether it was a standby that was asked, and what it knows."""
    on_standby, n = connection.execute(text("SELECT pg_is_in_recovery(), (SELECT n FROM counter)")).one()
    return on_standby, n


@pytest.fixture(scope="module")
def primary() -> Iterator[Server]:
    with started("fsync = off", "wal_receiver_status_interval = '1s'") as made:
        yield made


@pytest.fixture(scope="module")
def standby(primary: Server) -> Iterator[Server]:
    with primary.standby() as made:
        yield made


@pytest.fixture
async def db(primary: Server, standby: Server) -> AsyncIterator[PostgresDatabase]:
    primary.execute("DROP TABLE IF EXISTS counter", "CREATE TABLE counter (n int)", "INSERT INTO counter VALUES (0)")
    async with opened(primary, standby) as made:
        await on_standby(made)
        yield made


@asynccontextmanager
async def opened(primary: Server, standby: Server, **settings: Any) -> AsyncIterator[PostgresDatabase]:
    made = PostgresDatabase.open_server(primary.url("postgres"), replica_url=standby.url("postgres"), pool_size=2, **settings)
    try:
        yield made
    finally:
        await made.close()


async def on_standby(db: PostgresDatabase) -> int:
    """What the standby knows, once it is asked."""
    end = time.monotonic() + 10
    while True:
        asked, n = await db.read(where)
        if asked:
            return n
        assert time.monotonic() < end, "the standby was never asked"
        await asyncio.sleep(0.02)


async def test_reads_go_to_the_standby_and_see_what_was_written(db: PostgresDatabase, standby: Server) -> None:
    for wanted in range(1, 30):
        assert await db.write(increment) == wanted
        assert (await db.read(where))[1] == wanted
    assert await on_standby(db) == 29
    assert (
        standby.execute("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'homedex' AND query = 'COMMIT'")[0][0] > 0
    )


async def test_a_standby_that_lags_is_not_asked(db: PostgresDatabase, standby: Server) -> None:
    standby.execute("SELECT pg_wal_replay_pause()")
    try:
        for wanted in range(1, 5):
            await db.write(increment)
            assert await db.read(where) == (False, wanted)
    finally:
        standby.execute("SELECT pg_wal_replay_resume()")
    assert await on_standby(db) == 4


@pytest.mark.usefixtures("db")
async def test_what_comes_while_a_standby_is_asked_how_far_it_is_is_seen(primary: Server, standby: Server) -> None:
    """The answer to how far it is takes long, and the commit arrives meanwhile: a snapshot from before lacks it."""
    primary.execute(SLOW_ANSWER, "ALTER DATABASE postgres SET search_path = public, pg_catalog")
    try:
        async with opened(primary, standby) as slow:
            standby.execute("SELECT pg_wal_replay_pause()")
            try:
                await slow.write(increment)
                reading = asyncio.ensure_future(slow.read(where))
                await asyncio.sleep(0.2)  # it is being asked
            finally:
                standby.execute("SELECT pg_wal_replay_resume()")
            assert await reading == (True, 1)
    finally:
        primary.execute("ALTER DATABASE postgres RESET search_path", "DROP FUNCTION public.pg_last_wal_replay_lsn")


async def test_what_another_process_wrote_is_heard_of_and_waited_for(
    db: PostgresDatabase, primary: Server, standby: Server
) -> None:
    async with opened(primary, standby) as other:
        standby.execute("SELECT pg_wal_replay_pause()")
        try:
            before = db.revision
            await other.write(increment)
            while db.revision == before:  # noqa: ASYNC110  (nobody tells)
                await asyncio.sleep(0.001)
            assert await db.read(where) == (False, 1)
        finally:
            standby.execute("SELECT pg_wal_replay_resume()")


async def test_a_standby_that_dies_is_done_without_and_found_again(db: PostgresDatabase, standby: Server) -> None:
    standby.stop()
    for _ in range(5):
        assert await asyncio.wait_for(db.read(where), 1) == (False, 0)
    assert await db.write(increment) == 1
    standby.start()
    assert await on_standby(db) == 1


async def test_a_standby_that_says_nothing_delays_one_read_and_no_other(db: PostgresDatabase, standby: Server) -> None:
    def backend(connection: Connection) -> int:
        pid: int = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
        return pid

    pids = await asyncio.gather(db.read(backend), db.read(backend))
    postmaster = standby.postmaster
    assert postmaster is not None
    standby.pause(postmaster, *set(pids))
    try:
        assert (await asyncio.wait_for(db.read(where), REPLICA_S * 3))[0] is False
        began = time.monotonic()
        assert (await db.read(where))[0] is False
        assert time.monotonic() - began < REPLICA_S / 2
    finally:
        standby.pause(postmaster, *set(pids), on=False)
    assert await on_standby(db) == 0


async def test_a_standby_that_was_never_there_is_done_without(primary: Server, standby: Server) -> None:
    url = standby.url("postgres").replace(str(standby.folder), "/nowhere") + "&password=secret"
    db = PostgresDatabase.open_server(primary.url("postgres"), replica_url=url)
    primary.execute("DROP TABLE IF EXISTS counter", "CREATE TABLE counter (n int)", "INSERT INTO counter VALUES (7)")
    assert await db.read(where) == (False, 7)
    await db.close()


async def test_the_place_of_an_own_commit_is_never_forgotten_for_an_older_one(db: PostgresDatabase) -> None:
    await db.write(increment)
    position = db._writer.position
    await db._writer._hear("0/1")
    assert db._writer.position == position


class LosesTheAnswerToCommit:
    """The connection of asyncpg, whose network fails right after the server has committed."""

    def __init__(self, server: Any) -> None:
        self.server = server

    def __getattr__(self, name: str) -> Any:
        return getattr(self.server, name)

    async def execute(self, statement: str) -> str:
        said = await self.server.execute(statement)
        if statement == "COMMIT":
            self.server.terminate()
            raise ConnectionResetError
        return str(said)


async def test_who_looks_whether_a_commit_stands_is_not_told_by_a_standby_that_lags(
    db: PostgresDatabase, standby: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    standby.execute("SELECT pg_wal_replay_pause()")
    try:
        before = db.revision
        with monkeypatch.context() as patch:
            patch.setattr("homedex.storage.postgres_writer.raw", lambda connection: LosesTheAnswerToCommit(raw(connection)))
            with pytest.raises(StorageUnavailable, match="not known"):
                await db.write(increment)
        assert await db.read(where) == (False, 1)
        assert db.revision != before
    finally:
        standby.execute("SELECT pg_wal_replay_resume()")


async def test_no_standby_is_asked_while_the_commits_of_others_are_not_heard(
    db: PostgresDatabase, primary: Server, standby: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refused(*_: object) -> None:
        raise OSError

    async with opened(primary, standby) as other:
        standby.execute("SELECT pg_wal_replay_pause()")
        try:
            monkeypatch.setattr("homedex.storage.listening.connect", refused)
            listens = "query ILIKE 'LISTEN%' OR query LIKE '%pg_current_wal_insert_lsn%'"
            primary.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE ({listens}) AND pid <> pg_backend_pid()")
            while db._writer.listener.hears:  # noqa: ASYNC110  (nobody tells)
                await asyncio.sleep(0.001)
            await other.write(increment)
            assert await db.read(where) == (False, 1)
        finally:
            standby.execute("SELECT pg_wal_replay_resume()")
    monkeypatch.undo()
    assert await on_standby(db) == 1
