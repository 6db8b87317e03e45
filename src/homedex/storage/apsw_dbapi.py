"""PEP 249 over apsw: cursors, transactions, and errors that carry SQLite's extended code.

Two things differ from the stdlib's sqlite3. Nothing begins a transaction behind the caller's back: used bare, each
statement commits by itself until `BEGIN` is executed (PEP 249 would begin one unasked); the SQLAlchemy dialect executes
`Connection.begin` for each of its transactions. And an error says which rule was broken (`sqlite_errorname`), so that
nobody has to match message text.
"""

import contextlib
import datetime as dt
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Self

import apsw

from homedex.storage.sqlite import DEFAULTS, Options, open_connection

apilevel = "2.0"
threadsafety = 1
paramstyle = "qmark"
sqlite_version = apsw.sqlite_lib_version()
sqlite_version_info = tuple(int(part) for part in sqlite_version.split("."))

Row = tuple[Any, ...]
Parameters = Sequence[Any] | Mapping[str, Any]
Description = tuple[tuple[str, str | None, None, None, None, None, None], ...]

Binary = memoryview


def Date(year: int, month: int, day: int) -> str:  # noqa: N802  (PEP 249's name)
    """A date as SQLite stores it: ISO text."""
    return dt.date(year, month, day).isoformat()


def Time(hour: int, minute: int, second: int) -> str:  # noqa: N802
    """A time of day as SQLite stores it: ISO text."""
    return dt.time(hour, minute, second).isoformat()


def Timestamp(year: int, month: int, day: int, hour: int, minute: int, second: int) -> str:  # noqa: N802, PLR0913
    """A naive instant as SQLite's own date functions write it."""
    return f"{Date(year, month, day)} {Time(hour, minute, second)}"


class Warning(Exception):  # noqa: A001  (PEP 249's name)
    """Asked for by PEP 249; never raised."""


class Error(Exception):
    """Root of the database errors. Code 0 and no name mean that SQLite was not asked: the call itself was wrong."""

    sqlite_errorcode: int = 0
    sqlite_errorname: str = ""


class InterfaceError(Error):
    """SQLite was used out of order."""


class DatabaseError(Error):
    """Anything about the database that no subclass fits, such as a damaged file."""


class DataError(DatabaseError):
    """A value that SQLite cannot hold."""


class OperationalError(DatabaseError):
    """Locks, disks, interrupts, and SQL that does not fit the schema."""


class IntegrityError(DatabaseError):
    """A constraint of the schema is broken; `sqlite_errorname` says which kind."""


class InternalError(DatabaseError):
    """SQLite's own state is wrong."""


class ProgrammingError(DatabaseError):
    """The call is wrong: closed cursor, wrong parameters, two statements at once."""


class NotSupportedError(DatabaseError):
    """Asked for by PEP 249; never raised."""


_OPERATIONAL = (
    apsw.SQLError,
    apsw.PermissionsError,
    apsw.AbortError,
    apsw.BusyError,
    apsw.LockedError,
    apsw.NoMemError,
    apsw.ReadOnlyError,
    apsw.InterruptError,
    apsw.IOError,
    apsw.FullError,
    apsw.CantOpenError,
    apsw.ProtocolError,
    apsw.EmptyError,
    apsw.SchemaChangeError,
    apsw.ExtensionLoadingError,
)
_PROGRAMMING = (
    apsw.BindingsError,
    apsw.ConnectionClosedError,
    apsw.CursorClosedError,
    apsw.ExecutionCompleteError,
    apsw.ForkingViolationError,
    apsw.IncompleteExecutionError,
    apsw.ThreadingViolationError,
    LookupError,
    TypeError,
    ValueError,
)
_CLASSES: tuple[tuple[type[Error], tuple[type[Exception], ...]], ...] = (
    (IntegrityError, (apsw.ConstraintError, apsw.MismatchError)),
    (OperationalError, _OPERATIONAL),
    (DataError, (apsw.TooBigError, OverflowError, UnicodeError)),  # before ValueError, the parent of UnicodeError
    (ProgrammingError, _PROGRAMMING),
    (InterfaceError, (apsw.MisuseError, apsw.RangeError)),
    (InternalError, (apsw.InternalError, apsw.NotFoundError)),
)
_RAISED = (apsw.Error, OverflowError, LookupError, TypeError, ValueError)
"""What apsw raises while it binds and runs. SQLAlchemy wraps only what descends from this module's Error."""


def translated(error: Exception) -> Error:
    """The PEP 249 error that stands for one of apsw's; the classes are those that the stdlib's sqlite3 chooses."""
    kind = next((kind for kind, causes in _CLASSES if isinstance(error, causes)), DatabaseError)
    result = kind(str(error))
    code = getattr(error, "extendedresult", 0)
    if code:
        result.sqlite_errorcode = code
        name = apsw.mapping_extended_result_codes.get(code) or apsw.mapping_result_codes.get(code & 0xFF)
        result.sqlite_errorname = str(name)
    return result


def begin_statement(options: Options) -> str:
    """How a transaction starts.

    Writers take the lock at once: with a deferred BEGIN, a transaction that reads and then writes fails with
    SQLITE_BUSY_SNAPSHOT when another one was faster, and no busy timeout waits for that.
    """
    return "BEGIN" if options.query_only else "BEGIN IMMEDIATE"


def connect(database: str, *, options: Options = DEFAULTS) -> "Connection":
    """An open connection.

    Raises:
        HomedexError: what `open_connection` raises; not translated, because its sentence is for the user.
    """
    return Connection(open_connection(database, options), begin_statement(options))


class Connection:
    """One connection. Any thread may use it, one at a time.

    Args:
        driver: the apsw connection; PRAGMAs, hooks, `interrupt` and backup are there.
        begin: the statement that the dialect starts a transaction with; None lets each statement commit by itself.
    """

    __slots__ = ("begin", "default_begin", "driver")

    def __init__(self, driver: apsw.Connection, begin: str) -> None:
        self.driver = driver
        self.begin: str | None = begin
        self.default_begin = begin

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open. SQLite ends one by itself after some errors, such as a full disk."""
        return self.driver.in_transaction

    def cursor(self) -> "Cursor":
        """A new cursor."""
        return Cursor(self)

    def execute(self, sql: str, parameters: Parameters = ()) -> "Cursor":
        """A new cursor that has run one statement."""
        return Cursor(self).execute(sql, parameters)

    def start(self) -> None:
        """Begin a transaction as `begin` says; where each statement commits by itself, do nothing."""
        if self.begin is not None:
            self._run(self.begin, inside=False)

    def commit(self) -> None:
        """Make the open transaction durable; without one, do nothing."""
        self._run("COMMIT", inside=True)

    def rollback(self) -> None:
        """Undo the open transaction; without one, do nothing."""
        self._run("ROLLBACK", inside=True)

    def _run(self, statement: str, *, inside: bool) -> None:
        """Without a cursor of ours, which is worth 5 us (2026-11); with `inside` only where a transaction is open."""
        try:
            if not inside or self.driver.in_transaction:
                self.driver.execute(statement)
        except apsw.Error as error:
            raise translated(error) from error

    def close(self) -> None:
        """Close it with its cursors; an open transaction is rolled back. A second call does nothing."""
        try:
            self.driver.close(True)  # noqa: FBT003  (force: discard what cursors have not read)
        except apsw.Error as error:
            raise translated(error) from error


_NOTHING = re.compile(r"(?:[\s;]|--[^\n]*|/\*.*?(?:\*/|\Z))*+", re.DOTALL)  # possessive: no comment may grow over a statement
_DDL = ("CREATE", "DROP", "ALTER")


def only_one(sql: str) -> Callable[[apsw.Cursor, str, Any], bool]:
    """A guard (apsw's exec_trace) that stops a text of several statements before the first has run.

    A second statement is how SQL injection does harm, and nobody would see its rows or its count.
    """

    def guard(cursor: apsw.Cursor, statement: str, _parameters: Any) -> bool:
        if cursor.has_vdbe and not _NOTHING.fullmatch(sql, len(statement)):  # has_vdbe: no comment at the end
            raise ProgrammingError("only one statement can be executed at a time")
        return True

    return guard


class Cursor:
    """One statement at a time, and its rows.

    `rowcount` is the number of rows that the statement itself changed, without those of its triggers and foreign key
    actions, and -1 for one that only reads. `lastrowid` is, after a statement that changed rows, the newest row id that
    the connection has inserted.
    """

    __slots__ = ("_cursor", "_rows", "arraysize", "connection", "description", "lastrowid", "rowcount")

    def __init__(self, connection: Connection) -> None:
        try:
            self._cursor = connection.driver.cursor()
        except apsw.Error as error:
            raise translated(error) from error
        self.connection = connection
        self.arraysize = 1
        self.description: Description | None = None
        self.rowcount = -1
        self.lastrowid: int | None = None
        self._rows: Iterator[Row] = self._cursor

    def execute(self, sql: str, parameters: Parameters = ()) -> Self:
        """Run one statement up to its first row; one that writes, to its end.

        Args:
            sql: exactly one statement.
            parameters: a sequence for `?`, a mapping for `:name`.

        Raises:
            ProgrammingError: there is a second statement, or the parameters do not fit.
        """
        cursor, driver = self._cursor, self.connection.driver
        self.description, self.rowcount = None, -1
        try:
            cursor.exec_trace = only_one(sql) if ";" in sql else None
            changes_before = driver.total_changes()
            self._rows = cursor.execute(sql, parameters)
            try:
                self.description = cursor.description
                reads = cursor.is_readonly
            except apsw.ExecutionCompleteError:
                changed = driver.total_changes() != changes_before
                self.description, reads = self._shape_of_finished(sql, parameters, changed=changed)
            else:
                if not reads:
                    # INSERT .. RETURNING has changed every row by now, but COMMIT is refused until its last step.
                    self._rows = iter(list(cursor))
                    changed = driver.total_changes() != changes_before
            if not reads:
                self.rowcount = driver.changes() if changed else 0
                self.lastrowid = driver.last_insert_rowid() if changed else None
        except _RAISED as error:
            raise translated(error) from error
        return self

    def _shape_of_finished(self, sql: str, parameters: Parameters, *, changed: bool) -> tuple[Description | None, bool]:
        """Columns of a statement that ended without a row, and whether it only read.

        SQLite forgets both with the last step, so the statement is prepared again, from apsw's cache, and not run.
        Looking before each run would be wrong: when another connection has altered the table, SQLite prepares the
        statement anew at its first step, and the columns seen before that are the old ones.
        """
        if (changed and "returning" not in sql.lower()) or sql.startswith(_DDL):
            return None, False
        shape: tuple[Description | None, bool] = (None, False)

        def look(cursor: apsw.Cursor, _statement: str, _parameters: Any) -> bool:
            nonlocal shape
            shape = (cursor.description or None, cursor.is_readonly)
            return False

        cursor = self.connection.driver.cursor()
        cursor.exec_trace = look
        with contextlib.suppress(apsw.ExecTraceAbort, apsw.SQLError):  # SQLError: DROP after a comment, the second time
            cursor.execute(sql, parameters)
        return shape

    def executemany(self, sql: str, rows: Iterable[Parameters]) -> Self:
        """Run one statement for each of `rows`; what it returns is dropped. Without a transaction each row commits."""
        cursor, driver = self._cursor, self.connection.driver
        changes_before, count = driver.total_changes(), 0
        self.description, self.rowcount = None, -1

        def counted() -> Iterator[Parameters]:
            # Counted row by row: the difference of total_changes holds the work of triggers and foreign keys too.
            nonlocal count
            for row in rows:
                yield row
                count += driver.changes()

        try:
            cursor.exec_trace = only_one(sql) if ";" in sql else None
            for _ in cursor.executemany(sql, counted()):
                pass
            self.rowcount = count if driver.total_changes() != changes_before else 0
        except _RAISED as error:
            raise translated(error) from error
        return self

    def fetchone(self) -> Row | None:
        """The next row; None after the last."""
        if self.description is None:
            raise ProgrammingError("there are no rows to fetch: the last statement returns none")
        try:
            return next(self._rows, None)
        except apsw.Error as error:
            raise translated(error) from error

    def fetchmany(self, size: int | None = None) -> list[Row]:
        """The next `size` rows, or `arraysize`; fewer at the end."""
        return list(islice(self, self.arraysize if size is None else size))

    def fetchall(self) -> list[Row]:
        """All rows that are left."""
        if self.description is None:
            raise ProgrammingError("there are no rows to fetch: the last statement returns none")
        try:
            return list(self._rows)  # a fifth faster than apsw's own fetchall
        except apsw.Error as error:
            raise translated(error) from error

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Row:
        row = self.fetchone()
        if row is None:
            raise StopIteration
        return row

    def close(self) -> None:
        """Let go of the statement and its locks. A second call does nothing."""
        self._rows = self._cursor
        self._cursor.close(True)  # noqa: FBT003  (force: discard what was not read)

    def setinputsizes(self, sizes: Sequence[Any]) -> None:
        """Do nothing: SQLite needs no sizes."""

    def setoutputsize(self, size: int, column: int | None = None) -> None:
        """Do nothing: SQLite needs no sizes."""
