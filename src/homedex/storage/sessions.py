"""Sessions: SQLAlchemy's AsyncSession for people's own models, without what the usual recipe loses.

`Database` is the better door: a function that runs whole cannot hold a transaction open across an await, and costs one hop. These
are for code that has `AsyncSession`s already. One that writes has its turn from its first statement to its commit, and all who wait
get theirs in order.
"""

import logging
import os
import sys
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from importlib.util import find_spec
from typing import Any, Self

from sqlalchemy import Connection, event
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker
from sqlalchemy.orm import Session

from homedex.errors import BadSetting, Busy, StorageUnavailable
from homedex.storage.urls import is_postgresql

log = logging.getLogger(__name__)

OPENED_AT = "homedex opened at"
EXPIRED = "homedex expired"
COMMITTING = "homedex committing"
UNKNOWN = "the connection to the database was lost during COMMIT. Whether it was kept is unknown: look before you try again."
NO_AUTOCOMMIT = "a session that writes is one transaction at a time: it knows no AUTOCOMMIT. Use an engine of your own for that"
READS_ONLY = "a session for reading was to write: open one with sessions.write(), or have a WriteSession in the route"
OURS = ("homedex.", "contextlib", "sqlalchemy.")


class Sessions(ABC):
    """Opens sessions on one database. All of them belong to the event loop that opens the first.

    Attributes:
        shown: what the database is, for people: a path, or a URL without its password.
    """

    shown: str

    @staticmethod
    def open(target: str, **settings: Any) -> "Sessions":
        """Sessions on a database.

        Args:
            target: the path of a SQLite file, or a `postgresql://…` URL. Its schema is `migrate`'s business.
            settings: see `SqliteSessions` and `PostgresSessions`.
        Raises:
            StorageUnavailable: it cannot be opened; the sentence says why and what to do.
            BadSetting: a part is not installed.
        """
        if find_spec("greenlet") is None:
            raise BadSetting("sessions need a part that is missing: pip install 'homedex[asyncio]', in a clone '.[asyncio]'.")
        if is_postgresql(target):
            from homedex.storage.postgres_sessions import PostgresSessions  # noqa: PLC0415  (asyncpg is an extra)

            return PostgresSessions.open_server(target, **settings)
        from homedex.storage.sqlite_sessions import SqliteSessions  # noqa: PLC0415  (each of the two knows this class)

        return SqliteSessions.open_file(target, **settings)

    def __init__(self, readers: AsyncEngine, writer: AsyncEngine) -> None:
        self._engines = (readers, writer)
        self._reading = async_sessionmaker(readers, expire_on_commit=False, close_resets_only=False)
        own_class = type("WritingSession", (Session,), {})
        event.listen(own_class, "after_begin", self._begun)
        event.listen(own_class, "after_commit", lambda session: session.info.pop(COMMITTING, None))
        self._writing = async_sessionmaker(writer, expire_on_commit=False, sync_session_class=own_class, close_resets_only=False)
        self._process_id = os.getpid()
        self._is_closed = False

    @asynccontextmanager
    async def read(self, *, place: str | None = None) -> AsyncIterator[AsyncSession]:
        """A session whose reads all see one snapshot, and that cannot write.

        Args:
            place: what opens it, for errors; None for the line of code.
        Raises:
            QueryTimeout: a statement took longer than `read_deadline_s`.
            Busy: no connection came free in time.
            RuntimeError: it wrote, or was left with objects that were added, changed or deleted, which would be lost.
        """
        self._check_usable()
        session = self._reading(info={OPENED_AT: place or caller()})
        try:
            yield session
            _check_unchanged(session)
        except Exception as error:
            known = RuntimeError(READS_ONLY) if self.is_refused_write(error) else self.meaning(error)
            if known is error:
                raise
            raise known from error
        finally:
            await self._close_session(session)

    @asynccontextmanager
    async def write(self, *, place: str | None = None) -> AsyncIterator[AsyncSession]:
        """A session that has its turn to write from its first statement on, and is committed at the end of the block.

        What it reads stays true until it is committed. An error rolls it back. It may commit in between: what follows is another
        transaction, with a turn of its own. Keep it short: everybody else who writes waits for it.

        Args:
            place: what opens it, for errors; None for the line of code.
        Raises:
            HeldTooLong: its turn lasted longer than `write_deadline_s`; it was rolled back.
            Busy: too many wait already, or none was given a turn for `busy_timeout_s`.
            StorageFull, StorageUnavailable: it was rolled back, or, where `detail` says so, its outcome is unknown.
            sqlalchemy.exc.IntegrityError: a rule of the schema is broken; also at the end of the block.
        """
        self._check_usable()
        session = self._writing(info={OPENED_AT: place or caller()})
        try:
            yield session
            await session.commit()
        except Exception as error:
            known = session.info.get(EXPIRED) or self.meaning(error)
            if COMMITTING in session.info and isinstance(known, StorageUnavailable):
                known = StorageUnavailable(UNKNOWN)
            if known is error:
                raise
            raise known from error
        finally:
            if EXPIRED in session.info or self._is_closed:  # there is nobody to ask for a ROLLBACK
                await session.invalidate()
            else:
                await self._close_session(session)

    async def _close_session(self, session: AsyncSession) -> None:
        """Give its connection back. Where that is broken, the block's own outcome stands: its result, error or cancellation."""
        try:
            await session.close()
        except Exception as error:  # noqa: BLE001
            log.warning("a session that was over could not be closed: %s", self.meaning(error))
            with suppress(Exception):
                await session.invalidate()

    def _begun(self, session: Session, _: object, connection: Connection) -> None:
        if connection.get_execution_options().get("isolation_level") == "AUTOCOMMIT":
            raise RuntimeError(NO_AUTOCOMMIT)
        session.info.pop(EXPIRED, None)
        session.info.pop(COMMITTING, None)
        self.begun(session.info, connection)

    @abstractmethod
    def begun(self, info: dict[Any, Any], connection: Connection) -> None:
        """Called when a session that writes has got its connection for a transaction, before the first statement.

        Args:
            info: the session's; `OPENED_AT` in it says where it was opened, and `EXPIRED` is why it is over, once it is.
        """

    @abstractmethod
    def is_refused_write(self, error: Exception) -> bool:
        """Whether it is what the engine says to who writes where he may only read."""

    @abstractmethod
    def meaning(self, error: Exception) -> BaseException:
        """A Homedex error for what the engine reported, or the error itself where it is the caller's own."""

    def _check_usable(self) -> None:
        if self._is_closed:
            raise Busy("the service is stopping. Try again in a moment.")
        if os.getpid() != self._process_id:
            raise RuntimeError("Sessions do not survive fork: their threads are the parent's. Open them in the child.")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close every connection and end every thread. What is still open is rolled back."""
        self._is_closed = True
        for engine in self._engines:
            close_when_back(engine)
            await engine.dispose()


def close_when_back(engine: AsyncEngine) -> None:
    """Have the connections that are in use now closed when they come back to the pool, which is about to end."""
    event.listen(engine.sync_engine, "checkin", lambda _, record: record.close())


def pool_timeout(error: Exception, wait_s: float) -> Busy | None:
    """What it means that no connection came free in time; None if it is another error."""
    if isinstance(error, PoolTimeout):
        return Busy(f"no connection came free for {wait_s:g} s. Try again in a moment.")
    return None


def _check_unchanged(session: AsyncSession) -> None:
    if session.new or session.deleted or any(session.is_modified(one) for one in session.dirty):
        raise RuntimeError(READS_ONLY)


def caller() -> str:
    """The line of code outside of this package that is being run."""
    frame = sys._getframe(1)  # noqa: SLF001  (what `warnings` does)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(OURS):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_name}"
