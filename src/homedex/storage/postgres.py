"""How PostgreSQL is reached: one way for readers, the writer, migrations and the command line alike."""

import asyncio
import re
import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import asyncpg
from sqlalchemy import Connection, event
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import Pool

from homedex.errors import BadSetting, Busy, DatabaseTooOld, HomedexError, Invalid, QueryTimeout, StorageFull, StorageUnavailable
from homedex.storage.engine import MAY_WRITE
from homedex.storage.types import compact_json
from homedex.storage.urls import shown

T = TypeVar("T")

OLDEST = 15
"""The oldest major version that is tried; older ones lose their upstream support in November 2026."""

CONNECT_S = 10.0
STATEMENTS = 1024
"""Prepared statements kept by each connection: a list has one for each shape of question."""

WRITE_LOCK = 0x484D4458
"""The advisory lock that every writing transaction and every migration takes first. See `postgres_database`."""

IN_USE_LOCK = WRITE_LOCK + 1
"""The advisory lock that is shared by who has the database open, and that nobody may have when all of it is replaced."""


@dataclass(frozen=True, slots=True)
class Session:
    """What may differ between one connection and the next.

    Args:
        synchronous: FULL waits for the server's disk at each COMMIT; NORMAL may lose the last commits when the server crashes.
        statement_s: longest statement, in seconds; None for no limit.
        lock_s: longest wait for a lock, in seconds.
        read_only: whether everything but reading is refused, outside of a transaction, too.
        in_use: whether the database is seen to be open as long as the connection is.
    """

    synchronous: Literal["FULL", "NORMAL"] = "FULL"
    statement_s: float | None = None
    lock_s: float = 30.0
    read_only: bool = False
    in_use: bool = False

    def settings(self) -> dict[str, str]:
        """The server's names for them."""
        limit_ms = 0 if self.statement_s is None else max(1, round(self.statement_s * 1000))
        return {
            "application_name": "homedex",
            "timezone": "UTC",
            "synchronous_commit": "on" if self.synchronous == "FULL" else "off",
            "statement_timeout": str(limit_ms),
            "lock_timeout": str(max(1, round(self.lock_s * 1000))),
            "default_transaction_read_only": "on" if self.read_only else "off",
            # A process that is stopped in the middle of a transaction may not keep the write lock for ever, nor may a host that
            # has gone without a word.
            "idle_in_transaction_session_timeout": str(limit_ms),
            "tcp_keepalives_idle": "30",
            # What is read is in memory or on an SSD. With the default of 4 the planner reads all of `sightings` to join 51 of its
            # 11,000 rows (2026-11).
            "random_page_cost": "1.1",
            "jit": "off",  # compiling a page's statement takes longer than running it
        }


async def connect(url: str, session: Session) -> "asyncpg.Connection[asyncpg.Record]":
    """A connection with every setting in force.

    Raises:
        HomedexError: it cannot be had; see `meaning`.
        BadSetting: the URL has options that have no meaning.
    """
    settings = session.settings()
    try:
        connection = await asyncpg.connect(url, timeout=CONNECT_S, statement_cache_size=STATEMENTS, server_settings=settings)
        if session.in_use:
            await _share_lock(connection)
    except Exception as error:  # noqa: BLE001  (each has a meaning)
        raise _refusal(error, url) from None  # the sentence says it all; a server that is down would fill the log with traces
    return connection


async def _share_lock(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    try:
        await connection.execute(f"SELECT pg_advisory_lock_shared({IN_USE_LOCK})")
    except BaseException:
        connection.terminate()
        raise


def _refusal(error: Exception, url: str) -> BaseException:
    """A Homedex error for a connection that was not to be had, whatever the reason."""
    known = meaning(error, url)
    if isinstance(known, HomedexError):
        return known
    if sqlstate(error) in BAD_OPTION or isinstance(error, ValueError | TypeError):  # asyncpg reads the URL itself
        return BadSetting(f"the URL of {shown(url)} cannot be used: {_said(error)}.")
    return StorageUnavailable(f"{shown(url)} refuses the connection: {_said(error)}.")


def create_engine(  # noqa: PLR0913  (what differs between those who read and those who write)
    url: str,
    session: Session,
    *,
    size: int,
    overflow: int = 0,
    isolation_level: Any = "AUTOCOMMIT",
    poolclass: type[Pool] | None = None,
) -> AsyncEngine:
    """An engine whose connections are opened by `connect`. With AUTOCOMMIT it begins no transactions: who uses it says how."""
    engine = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=lambda: connect(url, session),
        isolation_level=isolation_level,
        execution_options={MAY_WRITE: not session.read_only},
        poolclass=poolclass,
        json_serializer=compact_json,
        pool_size=size,
        max_overflow=overflow,
        pool_timeout=CONNECT_S,
        pool_reset_on_return=None,  # transactions are ended by who began them; ROLLBACK once more would be one more round trip
    )
    event.listen(engine.sync_engine, "checkout", _refuse_closed)
    return engine


def _refuse_closed(adapted: Any, *_: object) -> None:
    """Have the pool open another in place of a connection that has ended while it was idle: the server was started anew."""
    if adapted.driver_connection.is_closed():
        raise DisconnectionError


async def give_up(connection: AsyncConnection) -> None:
    """Cut a connection off, whatever state it is in, and leave its place in the pool to another."""
    if not connection.invalidated:
        raw(connection.sync_connection).terminate()  # type: ignore[arg-type]
        await connection.invalidate()
    await connection.close()


async def end(engine: AsyncEngine) -> None:
    """Cut off every idle connection. Taking leave would wait for the server's answer, which may never come."""
    event.listen(engine.sync_engine, "close", lambda adapted, _: adapted.driver_connection.terminate())
    await engine.dispose()
    await asyncio.sleep(0)  # the sockets are closed at the loop's next turn


def raw(connection: Connection) -> Any:
    """The asyncpg connection under a SQLAlchemy one."""
    return connection.connection.driver_connection


def run_apart(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """The result of a coroutine, from code that may or may not run on an event loop: it gets a loop and a thread of its own."""
    found: list[T] = []
    failed: list[BaseException] = []

    def live() -> None:
        try:
            found.append(asyncio.run(work()))
        except BaseException as error:  # noqa: BLE001  (raised again where it is waited for)
            failed.append(error)

    thread = threading.Thread(target=live, name="homedex-apart")
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return found[0]


async def look_at_server(url: str, work: Callable[[Connection], T]) -> T:
    """The result of `work(connection)` on a connection of its own, which is in no transaction; see `looking.look`."""
    engine = create_engine(url, Session(), size=1)
    try:
        async with engine.connect() as connection:
            return await connection.run_sync(work)
    except Exception as error:
        known = meaning(error, url)
        if known is error:
            raise
        raise known from error
    finally:
        await engine.dispose()


async def check_server(url: str) -> None:
    """Return if the server is one that can be written to.

    Raises:
        DatabaseTooOld: its version was never tried.
        StorageUnavailable: it is a standby, or keeps texts in another encoding than UTF-8.
    """
    connection = await connect(url, Session())
    try:
        version = connection.get_server_version()
        if version.major < OLDEST:
            raise DatabaseTooOld(
                f"{shown(url)} is PostgreSQL {version.major}, and {OLDEST} or newer is needed. Nothing was changed."
            )
        encoding = await connection.fetchval("SHOW server_encoding")
        if encoding != "UTF8":
            raise StorageUnavailable(
                f"{shown(url)} keeps texts as {encoding}. Make a database WITH ENCODING 'UTF8', and name that."
            )
        if await connection.fetchval("SELECT pg_is_in_recovery()"):
            raise StorageUnavailable(f"{shown(url)} is a standby, which cannot be written to. Name its primary in DATABASE_URL.")
    finally:
        await connection.close()


# --- what the server reports, in our words ---------------------------------------------------------------------------------------

LOST = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.OperatorInterventionError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.InternalClientError,  # what asyncpg says where the server's last word came between two questions
    ConnectionError,
)
AGAIN = {"40001", "40P01"}
"""Serialisation failure and deadlock: the same transaction may succeed when it is run again."""
BAD_OPTION = {"42704", "22023"}
"""No such setting, and no such value of it: what the URL has after its question mark is sent to the server as settings."""


def cause_of(error: BaseException) -> BaseException:
    """What asyncpg raised, where SQLAlchemy has wrapped it."""
    if isinstance(error, DBAPIError) and error.orig is not None:
        return error.orig.__cause__ or error.orig
    return error


def sqlstate(error: BaseException) -> str:
    """The server's five characters, or none."""
    return str(getattr(cause_of(error), "sqlstate", None) or "")


def is_lost(error: BaseException) -> bool:
    """Whether the connection is gone, so that another one may do better.

    A statement that was stopped is none of them, nor is a value that the driver refuses to send.
    """
    cause = cause_of(error)
    return isinstance(cause, LOST) and not isinstance(cause, asyncpg.QueryCanceledError | ValueError)


def is_worth_another_try(error: BaseException) -> bool:
    """Whether the same transaction may succeed when it is run again."""
    return sqlstate(error) in AGAIN or isinstance(cause_of(error), asyncpg.InvalidCachedStatementError)


ALL_IN_USE = "every connection to the database is in use. Try again in a moment."
OF_STATE: dict[str, tuple[type[HomedexError], str]] = {
    "57014": (QueryTimeout, "the query took longer than allowed and was stopped. Narrow it, or ask for a smaller page."),
    "55P03": (Busy, "another process holds the database's write lock. Try again."),
    "40001": (Busy, "other transactions were in the way again and again. Try again."),
    "40P01": (Busy, "other transactions were in the way again and again. Try again."),
    "53300": (StorageUnavailable, "{place} takes no further connections. Raise its max_connections, or keep fewer in the pool."),
    "22021": (Invalid, "a text has a NUL in it, which PostgreSQL does not keep. Nothing was written."),
    "54000": (Invalid, "a text is too long for an index or a row of PostgreSQL: an index takes 2,700 bytes. Nothing was written."),
    "53100": (StorageFull, "no space is left for {place}. Nothing was written; free some space and try again."),
    "28P01": (StorageUnavailable, "{place} refuses this user or password. Correct DATABASE_URL."),
    "28000": (StorageUnavailable, "{place} refuses this user or password. Correct DATABASE_URL."),
    "3D000": (StorageUnavailable, "{place} does not exist. Make it with `createdb`, or correct DATABASE_URL."),
    "25006": (StorageUnavailable, "{place} cannot be written to: it is a standby, or set to read only."),
    "42501": (StorageUnavailable, "{place} does not let this user do what is needed: {said}."),
}
OF_CLASS: dict[str, tuple[type[HomedexError], str]] = {
    "58": (StorageUnavailable, "{place} reports a fault of its own: {said}. Look into the server's log."),
    "XX": (StorageUnavailable, "{place} reports a fault of its own: {said}. Look into the server's log."),
}


def meaning(error: BaseException, url: str) -> BaseException:  # noqa: PLR0911  (one for each kind)
    """A Homedex error for what the server or the network reported, or the error itself where it is the function's own.

    Source: https://www.postgresql.org/docs/18/errcodes-appendix.html
    """
    if isinstance(error, HomedexError):
        return error
    if isinstance(error, StopIteration):  # a future refuses it, and its caller would wait for ever (PEP 479)
        return RuntimeError("a query function raised StopIteration").with_traceback(error.__traceback__)
    state, cause, place = sqlstate(error), cause_of(error), shown(url)
    known = OF_STATE.get(state) or OF_CLASS.get(state[:2])
    if known is not None:
        kind, sentence = known
        return kind(sentence.format(place=place, said=_said(error)))
    if isinstance(error, PoolTimeout):
        return Busy(ALL_IN_USE)
    if is_lost(error) and type(cause) not in {ConnectionRefusedError, ConnectionError}:
        return StorageUnavailable(f"{place} hung up, or is shutting down or starting. Try again in a moment.")
    if isinstance(cause, OSError | TimeoutError):
        return StorageUnavailable(f"{place} does not answer: {_reason(cause)}. Is the server running there?")
    return error


def _said(error: BaseException) -> str:
    return re.sub(r"\s+", " ", str(cause_of(error)))[:200].rstrip(".")


def _reason(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error)[:200].rstrip(".") or "it took too long"
