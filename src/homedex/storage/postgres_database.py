"""The Database of a PostgreSQL server: reads on the caller's event loop, by way of asyncpg; writes on a thread of their own."""

import asyncio
import logging
import os
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Concatenate, Literal, ParamSpec, Self, TypeVar

from sqlalchemy import Connection, event
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from homedex.errors import BadSetting, Busy, QueryTimeout, StorageUnavailable
from homedex.storage.database import Database
from homedex.storage.jobs import Job
from homedex.storage.postgres import (
    ALL_IN_USE,
    Session,
    check_server,
    create_engine,
    end,
    is_lost,
    is_worth_another_try,
    meaning,
    run_apart,
    sqlstate,
)
from homedex.storage.postgres_writer import Writer
from homedex.storage.rows import ASKED
from homedex.storage.urls import shown

T = TypeVar("T")
P = ParamSpec("P")
log = logging.getLogger(__name__)

BEGIN_READ = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
REACHED = "SELECT pg_last_wal_replay_lsn() >= $1::text::pg_lsn"
READ_TRIES = 3
REPLICA_S = 2.0
"""How long a standby may take to say how far it is, and for how long one that failed is not asked again."""


class PostgresDatabase(Database):
    """A PostgreSQL database: readers in snapshots of their own, one writer that commits for all who wait.

    Reads belong to the event loop that first asks for one.

    Args:
        url: `postgresql://…`.
        pool_size: connections that read; there is one more that writes and one that listens.
        synchronous: FULL waits for the server's disk at each COMMIT; NORMAL may lose the last ones when the server crashes.
        read_deadline_s: longest read, in seconds; None for no limit.
        write_deadline_s: longest single write function, in seconds; None for no limit.
        queue_limit: how many functions may wait for a connection before `busy` is answered.
        busy_timeout_s: how long to wait for another process's lock, in seconds.
        write_retries: how often a transaction is run again that failed by no fault of its own: deadlock, lost connection.
        replica_url: a standby that reads may go to. It is asked only when it has all that this process has written or heard of.
        listens: hear of other processes' commits, and be seen as one that has the database open; who replaces it is not.
    """

    hears_at_once = False

    def __init__(  # noqa: PLR0913  (each is a setting of the service)
        self,
        url: str,
        *,
        pool_size: int = 8,
        synchronous: Literal["FULL", "NORMAL"] = "FULL",
        read_deadline_s: float | None = 10.0,
        write_deadline_s: float | None = 60.0,
        queue_limit: int = 2000,
        busy_timeout_s: float = 30.0,
        write_retries: int = 3,
        replica_url: str | None = None,
        listens: bool = True,
        **_: Any,  # what only SQLite knows
    ) -> None:
        self.url, self.shown, self.folder = url, shown(url), None
        self.read_deadline_s, self.queue_limit, self.replica_url = read_deadline_s, queue_limit, replica_url
        reading = Session(synchronous, read_deadline_s, busy_timeout_s, read_only=True)
        self._readers = create_engine(url, reading, size=pool_size)
        self._replicas = None if replica_url is None else create_engine(replica_url, reading, size=pool_size)
        writing = Session(synchronous, write_deadline_s, busy_timeout_s)
        self._listens = listens
        self._writer = Writer(url, writing, retries=write_retries, has_replica=replica_url is not None, listens=listens)
        # The pool gives a connection that comes back to whoever asks next, and who was waiting goes to the end of the queue again:
        # of 32 clients some waited for ten turns of the others. These are given in the order in which they were asked for.
        self._seats = asyncio.Semaphore(pool_size)
        self._replica_failed_at = -REPLICA_S
        self._reading = 0
        self._asks_more: set[str] = set()  # names of functions that were seen to ask more than one statement
        _tell_of_statements(self._readers)
        self._none_reads = asyncio.Event()
        self._none_reads.set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._process_id = os.getpid()
        self._closing: asyncio.Future[None] | None = None

    @classmethod
    def open_server(cls, url: str, **settings: Any) -> Self:
        """A database whose server was seen to be one that can be used; see `postgres.check_server` for what it raises."""
        run_apart(partial(check_server, url))
        database = cls(url, **settings)
        database._writer.open()
        return database

    async def read(self, fn: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """On a connection of the pool; see `Database.read`."""
        self._check_usable()
        self._check_loop()
        if self._reading >= self.queue_limit:
            raise Busy(f"{self.queue_limit} requests wait for the database already. Try again in a moment.")
        self._reading += 1
        self._none_reads.clear()
        has_begun = False

        def call(connection: Connection) -> T:
            nonlocal has_begun
            has_begun = True
            return fn(connection, *args, **kwargs)

        try:
            async with asyncio.timeout(self.read_deadline_s), self._seats:
                if self._replicas is not None:
                    found = await self._on_replica(call)
                    if found is not None:
                        return found[0]  # type: ignore[no-any-return]
                return await self._on_reader(fn, call)  # type: ignore[no-any-return]
        except TimeoutError as error:
            if not has_begun:
                raise Busy(ALL_IN_USE) from error
            raise QueryTimeout("the query took longer than allowed and was stopped. Narrow it, or ask for less.") from error
        except Exception as error:
            known = meaning(error, self.url)
            if known is error or sqlstate(error) == "25006":  # a function that writes where it may only read is at fault itself
                raise
            raise known from error
        finally:
            self._reading -= 1
            if not self._reading:
                self._none_reads.set()

    async def _on_reader(self, fn: Callable[..., Any], call: Callable[[Connection], Any]) -> Any:
        name = f"{getattr(fn, '__module__', '')}.{getattr(fn, '__qualname__', type(fn).__name__)}"
        for left in range(READ_TRIES - 1, -1, -1):
            try:
                if name not in self._asks_more:
                    found = await _in_one_statement(self._readers, call)
                    if found is not None:
                        return found[0]
                    self._asks_more.add(name)
                return await _in_snapshot(self._readers, call)
            except Exception as error:
                # The server was started anew, or has ended idle connections; or a migration has changed what was prepared.
                if not left or not (is_lost(error) or is_worth_another_try(error)):
                    raise
        return None

    async def _on_replica(self, call: Callable[[Connection], Any]) -> tuple[Any] | None:
        """The result, alone in a tuple; None if the standby may lack what was written, or cannot be asked."""
        assert self._replicas is not None  # noqa: S101  (asked before)
        position = self._writer.position
        if self._listens and not self._writer.listener.hears:  # what others commit meanwhile is not known
            return None
        if position is None or time.monotonic() < self._replica_failed_at + REPLICA_S:
            return None
        try:
            async with asyncio.timeout(REPLICA_S) as limit:

                def reached(connection: Connection) -> tuple[Any]:
                    limit.reschedule(None)
                    return (call(connection),)

                return await _in_snapshot(self._replicas, reached, reached=position)  # type: ignore[no-any-return]
        except Exception as error:
            known = meaning(error, str(self.replica_url))
            if not isinstance(known, StorageUnavailable | BadSetting) and not is_worth_another_try(error):
                raise
            self._replica_failed_at = time.monotonic()
            log.warning("the primary is asked instead of its replica: %s", known)
            return None

    async def write(self, fn: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """On the one connection that writes; see `Database.write`."""
        self._check_usable()
        if self._writer.waiting_count >= self.queue_limit:
            raise Busy(f"{self.queue_limit} requests wait for the database already. Try again in a moment.")
        job = Job(fn, args, kwargs)
        self._writer.submit(job)
        return await job.wait()  # type: ignore[no-any-return]

    @property
    def revision(self) -> str:
        """See `Database.revision`. Other processes' commits are heard of within milliseconds, not at once."""
        self._check_usable()
        if not self._writer.listener.hears:
            return f"{self._writer.boot}-{secrets.token_hex(8)}"
        return f"{self._writer.boot}-{self._writer.commits}"

    def _check_usable(self) -> None:
        if self._closing is not None:
            raise Busy("the service is stopping. Try again in a moment.")
        if os.getpid() != self._process_id:
            raise RuntimeError("a Database does not survive fork: its connections are the parent's. Open it in the child.")

    def _check_loop(self) -> None:
        loop = asyncio.get_running_loop()
        self._loop = self._loop or loop
        if self._loop is not loop:
            raise RuntimeError("a PostgresDatabase reads on the event loop that first asked. Open another for this one.")

    async def close(self) -> None:
        """See `Database.close`."""
        if self._closing is None:
            self._closing = asyncio.ensure_future(self._close())
        if not self._closing.done():
            await asyncio.shield(self._closing)

    async def _close(self) -> None:
        try:
            await asyncio.to_thread(self._writer.close)
        finally:
            if self._loop is None or self._loop is asyncio.get_running_loop() or self._loop.is_closed():
                await self._end_reading()
            else:  # connections are closed where they were opened
                await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._end_reading(), self._loop))

    async def _end_reading(self) -> None:
        await self._none_reads.wait()
        await end(self._readers)
        if self._replicas is not None:
            await end(self._replicas)


class _SecondStatement(Exception):
    """A function that was run without a transaction asked a second statement."""


class _Asked:
    """Counts statements, and stops the function at a second one if there may be only one."""

    __slots__ = ("count", "may_go_on")

    def __init__(self) -> None:
        self.count, self.may_go_on = 0, False

    def __call__(self, *_: Any) -> None:
        self.count += 1
        if self.count > 1 and not self.may_go_on:
            raise _SecondStatement


def _tell_of_statements(engine: AsyncEngine) -> None:
    """Have what goes by way of SQLAlchemy counted as well."""

    @event.listens_for(engine.sync_engine, "before_cursor_execute")
    def count(connection: Connection, *_: Any) -> None:
        asked = connection.info.get(ASKED)
        if asked is not None:
            asked()


async def _in_snapshot(engine: AsyncEngine, call: Callable[[Connection], Any], *, reached: str | None = None) -> Any:
    """The result of `call` in one read-only transaction.

    Args:
        reached: on a standby: what it must have replayed; the result then comes alone in a tuple, and None if it has not.
    """
    async with _lent(engine) as (connection, server):
        # Asked before BEGIN: its answer is newer than the snapshot of the transaction it is asked in, which may lack what has come.
        if reached is not None and not await server.fetchval(REACHED, reached):
            return None
        await server.execute(BEGIN_READ)
        result = await connection.run_sync(call)
        await server.execute("COMMIT")
        return result


async def _in_one_statement(engine: AsyncEngine, call: Callable[[Connection], Any]) -> tuple[Any] | None:
    """The result of `call`, alone in a tuple, if it asks one statement only, which is a snapshot by itself; else None.

    That is one round trip and not three: GET of one device went from 1.9x to 2.4x the recipe (`bench postgresql`, 2026-11).
    """
    async with _lent(engine) as (connection, _):
        info = connection.info  # which a connection that has broken does not give any more
        asked = info[ASKED] = _Asked()
        try:
            result = await connection.run_sync(call)
        except Exception:
            if asked.count > 1:
                return None
            raise
        finally:
            info.pop(ASKED, None)
    return (result,) if asked.count <= 1 else None  # more: the function has kept what should have stopped it


@asynccontextmanager
async def _lent(engine: AsyncEngine) -> AsyncIterator[tuple[AsyncConnection, Any]]:
    """A connection of the pool and the one of asyncpg under it; what broke does not go back."""
    async with engine.connect() as connection:
        server: Any = (await connection.get_raw_connection()).driver_connection
        try:
            yield connection, server
        except BaseException as error:
            if is_lost(error) or not await _rolled_back(server, error):
                server.terminate()
            if server.is_closed() or not isinstance(error, Exception):
                await connection.invalidate()  # where it was cancelled, asyncpg has the server stop the statement first
            raise


async def _rolled_back(server: Any, error: BaseException) -> bool:
    """True unless the connection is good for nothing any more; one that was interrupted is not asked."""
    if not isinstance(error, Exception) or not server.is_in_transaction():
        return True
    try:
        await server.execute("ROLLBACK")
    except Exception:  # noqa: BLE001  (the first error is the one to tell)
        return False
    return True
