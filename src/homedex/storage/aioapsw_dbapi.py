"""PEP 249 over a `Worker`, in the shape that SQLAlchemy's asyncio extension wants: calls look synchronous and await inside.

A statement is one hop to the thread and back: BEGIN before the first of a transaction, execute, fetch and close go together. The
end of a transaction that only read is not waited for. aiosqlite makes five hops of the same, of about 90 us each (2026-11).
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, NamedTuple, TypeVar

from sqlalchemy.engine import AdaptedConnection
from sqlalchemy.util import await_only

from homedex.errors import Busy, HeldTooLong, HomedexError
from homedex.storage import apsw_dbapi
from homedex.storage.aioapsw_worker import Call, Worker
from homedex.storage.apsw_dbapi import (  # noqa: F401  (SQLAlchemy looks for all of them in this module)
    Binary,
    DatabaseError,
    DataError,
    Date,
    Description,
    Error,
    IntegrityError,
    InterfaceError,
    InternalError,
    NotSupportedError,
    OperationalError,
    Parameters,
    ProgrammingError,
    Row,
    Time,
    Timestamp,
    Warning,  # noqa: A004  (PEP 249's name)
    apilevel,
    begin_statement,
    paramstyle,
    sqlite_version,
    sqlite_version_info,
)
from homedex.storage.sqlite import DEFAULTS, Options
from homedex.storage.turns import Turn, Turns

T = TypeVar("T")

threadsafety = 0

LINGER_S = 0.02
"""How long a snapshot that is done with may stay open, in seconds. The next statement ends it on its way; to wake the thread for
that alone took as long as reading a row does (2026-11)."""

UNDONE = "the transaction is over: SQLite has undone it after an error, or it never began. Roll back, and begin anew."


class Done(NamedTuple):
    """What a statement left: its rows, all of them, and what a cursor says of it."""

    description: Description | None
    rowcount: int
    lastrowid: int | None
    rows: list[Row]


def connect(
    database: str,
    *,
    options: Options = DEFAULTS,
    limit_s: float | None = None,
    prepare: Callable[[Any], None] = lambda _: None,
    finish: Callable[[Any], None] = lambda _: None,
) -> "Connection":
    """An open connection on a thread of its own, which ends with it. Inside `greenlet_spawn` only, as all that is here.

    Args:
        limit_s, prepare, finish: see `Worker`.
    """
    worker = Worker(database, options, limit_s=limit_s, prepare=prepare, finish=finish)
    await_only(worker.start())
    return Connection(worker, begin_statement(options), reads=options.query_only)


class Connection(AdaptedConnection):
    """One connection, for one task at a time.

    Args:
        worker: the thread; `run_async(lambda worker: worker.run(fn))` calls `fn(connection)` there, with one of `apsw_dbapi`.
        begin: what a transaction starts with; None lets each statement commit by itself.
        reads: whether it refuses writes; the end of a transaction is then not waited for.
        turns: where several connections share a worker that writes: whose transaction may begin.
        needs_flush: a COMMIT has not reached the disk yet when it returns: the worker sees to that.
        check: called on the worker's thread before a transaction begins; what it raises keeps it from beginning.
    """

    __slots__ = (
        *(
            "_call",
            "_check",
            "_ending",
            "_expired",
            "_needs_flush",
            "_inside",
            "_lingering",
            "_loop",
            "_open",
            "_pending",
            "_reads",
            "_turn",
            "_turns",
        ),
        *("begin", "default_begin", "place", "streams"),
    )
    _connection: Worker  # type: ignore[assignment]

    def __init__(  # noqa: PLR0913  (each is a part of how `Sessions` writes)
        self,
        worker: Worker,
        begin: str,
        *,
        reads: bool = False,
        turns: Turns | None = None,
        needs_flush: bool = False,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self._connection = worker
        self.begin: str | None = begin
        self.default_begin = begin
        self.place = "a place unknown"
        self._reads, self._turns, self._needs_flush, self._check = reads, turns, needs_flush, check
        self._loop = asyncio.get_running_loop()
        self._turn: Turn | None = None
        self._call: Call | None = None
        self._pending = False  # a transaction was asked for, and begins with the next statement
        self._open = False  # a statement of it was sent
        self._inside = False  # it has begun. Set on the worker's thread only, for that may not end another's transaction
        self._ending = False  # it only read, and is done with; nobody has told the worker yet
        self._lingering: asyncio.TimerHandle | None = None
        self._expired: HomedexError | None = None
        self.streams: list[apsw_dbapi.Cursor] = []  # that are being read. On the worker's thread only

    def start(self) -> None:
        """Have the next statement begin a transaction."""
        self._pending = self.begin is not None

    def run(self, work: Callable[[apsw_dbapi.Connection], T]) -> T:
        """What `work(connection)` returns, inside the transaction if one was started."""
        return await_only(self._run(work))

    async def _run(self, work: Callable[[apsw_dbapi.Connection], T]) -> T:
        if self._pending and self._turns is not None:
            await self._take_turn(self._turns)
        begin, self._pending = self.begin if self._pending else None, False
        ending, self._ending = self._ending, False
        self._open = self._open or begin is not None

        def inside(raw: apsw_dbapi.Connection) -> T:
            if self._expired is not None:
                raise self._expired
            if ending:
                self._roll_back_now(raw)
            if begin is not None:
                self._check()
                raw.execute(begin)
                self._inside = True
            elif self._open and not (self._inside and raw.in_transaction):
                raise OperationalError(UNDONE)
            return work(raw)

        self._call = call = self._connection.submit(inside)
        try:
            return await call.future  # type: ignore[no-any-return]
        except asyncio.CancelledError:
            call.cancelled = True
            raise
        except Error:
            if self._expired is not None:  # that is why it was stopped
                raise self._expired from None
            raise

    async def _take_turn(self, turns: Turns) -> None:
        turn = await turns.take(self.place, self._expire)
        if not self._pending or self._turn is not None:  # ended meanwhile, or another statement of it came first
            turn.end()
            raise InterfaceError("two statements at once in one session: await the first, then send the second")
        self._turn = turn

    def _expire(self, error: HeldTooLong) -> None:
        self._expired = error if self._inside else Busy("another process holds the database's write lock. Try again.")
        if self._call is not None:
            self._call.cancelled = True
        self._undo()

    def cursor(self, *, server_side: bool = False) -> "Cursor":
        """A new cursor; one on the server's side fetches rows when they are asked for."""
        return StreamCursor(self) if server_side else Cursor(self)

    def execute(self, sql: str, parameters: Parameters = ()) -> "Cursor":
        """A new cursor that has run one statement."""
        cursor = self.cursor()
        cursor.execute(sql, parameters)
        return cursor

    def let_go(self, cursor: apsw_dbapi.Cursor) -> None:
        """Close a cursor that is kept on the worker's thread, without waiting for it."""

        def end(_: apsw_dbapi.Connection) -> None:
            cursor.close()
            with contextlib.suppress(ValueError):  # its transaction ended before
                self.streams.remove(cursor)

        with contextlib.suppress(RuntimeError):  # no event loop any more: the connection's end does it
            self._connection.submit(end, is_end=True)

    def commit(self) -> None:
        """Make the transaction durable; without one, do nothing. One that cannot be is rolled back.

        A COMMIT under way is not stopped: a caller who is cancelled meanwhile is so once it has ended.
        """
        expired, self._expired = self._expired, None  # who hears of it has heard of it; the connection may be given to another
        if expired is not None:
            raise expired
        if self._reads:
            self._end_later()
        elif self._open:
            await_only(self._commit())
        else:
            self._undo()

    async def _commit(self) -> None:
        self._open = False
        call = self._connection.submit(self._commit_now, is_end=True, needs_flush=self._needs_flush)
        self._end_turn()  # what the next one asks for comes after this
        await call.ended()

    def _commit_now(self, raw: apsw_dbapi.Connection) -> None:
        try:
            if not (self._inside and raw.in_transaction):
                raise OperationalError(UNDONE)
            self._close_streams()
            raw.commit()
        except Error:
            self._roll_back_now(raw)
            raise
        finally:
            self._inside = False

    def _roll_back_now(self, raw: apsw_dbapi.Connection) -> None:
        self._close_streams()
        if self._inside:
            self._inside = False
            with contextlib.suppress(Error):  # SQLite has done it already
                raw.rollback()

    def _close_streams(self) -> None:
        """A statement that is left unfinished would keep its snapshot for whoever comes next."""
        for cursor in self.streams:
            cursor.close()
        self.streams.clear()

    def rollback(self) -> None:
        """Undo the transaction; without one, do nothing."""
        self._expired = None
        if self._reads:
            self._end_later()
            return
        call = self._undo()
        if call is not None:
            await_only(call.ended())

    def _end_later(self) -> None:
        self._ending, self._pending, self._open = self._ending or self._open, False, False
        if self._ending and self._lingering is None:
            self._lingering = self._loop.call_later(LINGER_S, self._end_now)

    def _end_now(self) -> None:
        self._lingering = None
        if self._ending:
            self._ending = False
            self._connection.submit(self._roll_back_now, is_end=True)

    def _undo(self) -> Call | None:
        """Roll back without waiting for it."""
        if self._lingering is not None:
            self._lingering.cancel()
        call = self._connection.submit(self._roll_back_now, is_end=True) if self._open else None
        self._pending = self._open = False
        self._end_turn()
        return call

    def _end_turn(self) -> None:
        turn, self._turn = self._turn, None
        if turn is not None:
            turn.end()

    def close(self) -> None:
        """Roll back what is open, and end the thread if it is this connection's alone."""
        self._undo()
        if self._turns is None:
            self._connection.stop()
            await_only(self._connection.stopped())

    def terminate(self) -> None:
        """The same without waiting for it, from any thread: the garbage collector runs on all of them."""
        try:
            is_here = asyncio.get_running_loop() is self._loop
        except RuntimeError:
            is_here = False
        if is_here:
            self._undo()
        else:
            with contextlib.suppress(RuntimeError):  # the loop has been closed, and with it what held turns
                self._loop.call_soon_threadsafe(self._undo)
        if self._turns is None:
            self._connection.stop()


class Cursor:
    """One statement at a time, and all of its rows."""

    __slots__ = ("_connection", "_rows", "arraysize", "description", "lastrowid", "rowcount")
    server_side = False

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.arraysize = 1
        self.description: Description | None = None
        self.rowcount = -1
        self.lastrowid: int | None = None
        self._rows: Iterator[Row] = iter(())

    def execute(self, sql: str, parameters: Parameters | None = None) -> Any:
        """Run one statement to its end; see `apsw_dbapi.Cursor.execute`."""

        def work(raw: apsw_dbapi.Connection) -> Done:
            cursor = raw.execute(sql, parameters or ())
            try:
                rows = [] if cursor.description is None else cursor.fetchall()
                return Done(cursor.description, cursor.rowcount, cursor.lastrowid, rows)
            finally:
                cursor.close()

        self._take(self._connection.run(work))
        return self

    def executemany(self, sql: str, rows: Iterable[Parameters]) -> Any:
        """Run one statement for each of `rows`, in one hop."""

        def work(raw: apsw_dbapi.Connection) -> Done:
            cursor = raw.cursor().executemany(sql, rows)
            return Done(None, cursor.rowcount, cursor.lastrowid, [])

        self._take(self._connection.run(work))
        return self

    def _take(self, done: Done) -> None:
        self.description, self.rowcount, self.lastrowid, rows = done
        self._rows = iter(rows)

    def fetchone(self) -> Row | None:
        """The next row; None after the last."""
        return next(self._rows, None)

    def fetchmany(self, size: int | None = None) -> list[Row]:
        """The next `size` rows, or `arraysize`; fewer at the end."""
        return list(islice(self._rows, self.arraysize if size is None else size))

    def fetchall(self) -> list[Row]:
        """All rows that are left."""
        return list(self._rows)

    def __iter__(self) -> Iterator[Row]:
        return self._rows

    def close(self) -> None:
        """Forget the rows. SQLite's own statement ended when it was run."""
        self._rows = iter(())

    async def _async_soft_close(self) -> None:
        """SQLAlchemy's word for: there will be no more questions, only rows."""

    def setinputsizes(self, *sizes: Any) -> None:
        """Do nothing: SQLite needs no sizes."""

    def setoutputsize(self, size: int, column: int | None = None) -> None:
        """Do nothing: SQLite needs no sizes."""


class StreamCursor(Cursor):
    """One statement whose rows stay with SQLite until they are asked for: each fetch is a hop."""

    __slots__ = ("_raw",)
    server_side = True

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._raw: apsw_dbapi.Cursor | None = None

    def execute(self, sql: str, parameters: Parameters | None = None) -> Any:
        """Run one statement up to its first row."""

        def work(raw: apsw_dbapi.Connection) -> apsw_dbapi.Cursor:
            cursor = raw.execute(sql, parameters or ())
            self._connection.streams.append(cursor)
            return cursor

        self._raw = cursor = self._connection.run(work)
        self._take(Done(cursor.description, cursor.rowcount, cursor.lastrowid, []))
        return self

    def _fetch(self, fetch: Callable[[apsw_dbapi.Cursor], T]) -> T:
        cursor = self._raw
        if cursor is None:
            raise ProgrammingError("there are no rows to fetch: the cursor is closed")
        return self._connection.run(lambda _: fetch(cursor))

    def fetchone(self) -> Row | None:
        """The next row; None after the last."""
        return self._fetch(lambda cursor: cursor.fetchone())

    def fetchmany(self, size: int | None = None) -> list[Row]:
        """The next `size` rows, or `arraysize`; fewer at the end."""
        return self._fetch(lambda cursor: cursor.fetchmany(self.arraysize if size is None else size))

    def fetchall(self) -> list[Row]:
        """All rows that are left."""
        return self._fetch(lambda cursor: cursor.fetchall())

    def __iter__(self) -> Iterator[Row]:
        while (row := self.fetchone()) is not None:
            yield row

    def close(self) -> None:
        """Let go of the statement."""
        cursor, self._raw = self._raw, None
        if cursor is not None:
            self._connection.let_go(cursor)
