"""Many rows at once, and single values, without what SQLAlchemy does for each row and each statement.

Source: 10,000 rows of 28 columns took 18 us each through SQLAlchemy's `executemany` and 4 us this way (2026-11).
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import islice, repeat
from types import MappingProxyType
from typing import Any, NamedTuple

import apsw
from sqlalchemy import Connection, Dialect, Select, Table, bindparam, insert, literal_column
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.dml import UpdateBase
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeEngine
from sqlalchemy.util import await_only

from homedex.storage.types import JsonText, decoded

Processor = Callable[[Any], Any]
ColumnProcessor = Callable[[Sequence[Any]], Sequence[Any]]

WORTH_COPYING = 20
"""From so many rows on COPY costs PostgreSQL less than INSERT."""

ASKED = "homedex asked"
"""Where a connection that reads from PostgreSQL has what is told of each statement; see `postgres_database`."""

WORTH_KNOWING = 1000
"""From so many new rows on PostgreSQL's planner is told, where they are half of their table or more."""


def insert_columns(
    connection: Connection, table: Table, columns: Mapping[str, Iterable[Any]], constants: Mapping[str, Any] = MappingProxyType({})
) -> None:
    """Insert rows that are given column by column, of the columns' Python types; `constants` are the same in every row.

    What a column's type does to a value is looked up once for the column: row by row took 3 us more for 28 columns (2026-11).
    """
    statement, order = _prepared(connection.dialect, table, (*columns, *constants))
    bound = {name: _bound(columns[name], make) if name in columns else _repeated(constants[name], make) for name, make in order}
    rows = zip(*bound.values(), strict=False)  # a constant never ends
    if connection.dialect.name == "sqlite":
        driver(connection).executemany(statement, rows)
        return
    names, given = list(bound), list(rows)
    column = table.autoincrement_column
    counted = None if column is None or column.name in names or column.foreign_keys else column.name
    if len(given) < WORTH_COPYING:
        await_only(_server(connection).executemany(_counting(connection.dialect, table, tuple(names), counted), given))
    else:
        if counted is not None:
            # A sequence would leave gaps where a transaction is undone; who writes holds the lock, so nobody else counts now.
            newest = next(run(connection, f"SELECT coalesce(max({counted}), 0) FROM {table.name}"))[0]  # noqa: S608
            names, given = [counted, *names], [(number, *row) for number, row in enumerate(given, newest + 1)]
        copy_rows(connection, table.name, names, given)
        if len(given) >= WORTH_KNOWING:
            _analyze(connection, table.name, len(given))


def insert_rows(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]], blank: Mapping[str, Any]) -> None:
    """Insert rows; what one does not say is as in `blank`. Of columns that none says anything in, those that are null stay away."""
    said = set().union(*rows)
    columns = {name: _column(rows, name, value) for name, value in blank.items() if name in said}
    constants = {name: value for name, value in blank.items() if name not in said and value is not None}
    insert_columns(connection, table, columns, constants)


def _column(rows: Sequence[Mapping[str, Any]], name: str, blank: Any) -> list[Any]:
    return [row.get(name, blank) for row in rows]


def _analyze(connection: Connection, table: str, count: int) -> None:
    """Make many new rows known to PostgreSQL's planner: a page of 11,000 took 10 ms before autovacuum had come (2026-11)."""
    server = _server(connection)
    known = await_only(server.fetchval("SELECT reltuples FROM pg_class WHERE oid = $1::text::regclass", table))
    if known < 2 * count:
        await_only(server.execute(f"ANALYZE {table}"))


def copy_rows(connection: Connection, table: str, names: Sequence[str], rows: Iterable[tuple[Any, ...]]) -> None:
    """Insert rows that are the driver's values already: by COPY on PostgreSQL."""
    if connection.dialect.name == "sqlite":
        marks = ", ".join("?" * len(names))
        statement = f"INSERT INTO {table} ({', '.join(names)}) VALUES ({marks})"  # noqa: S608  (the caller's own names)
        driver(connection).executemany(statement, rows)
    else:
        await_only(_server(connection).copy_records_to_table(table, records=rows, columns=list(names)))


def stream(connection: Connection, statement: str, size: int) -> Iterator[list[tuple[Any, ...]]]:
    """The rows of a statement without parameters, in lists of at most `size`, so that they never exist all at once."""
    if connection.dialect.name == "sqlite":
        cursor = driver(connection).execute(statement)
        while rows := list(islice(cursor, size)):
            yield rows
        return
    cursor = await_only(_server(connection).cursor(statement))
    while rows := await_only(cursor.fetch(size)):
        yield [tuple(row) for row in rows]


def run(connection: Connection, statement: str, *parameters: Any) -> Iterator[tuple[Any, ...]]:
    """Constant SQL straight to the driver: 40 us less than by way of SQLAlchemy. Parameters: `?` on SQLite, `$1` on PostgreSQL."""
    if connection.dialect.name == "sqlite":
        return driver(connection).execute(statement, parameters)
    return map(tuple, await_only(_server(connection).fetch(statement, *parameters)))


class Prepared:
    """A statement that is compiled once for each engine, and executed by the driver alone: 40 us less each time (2026-11).

    Args:
        statement: SELECT, INSERT, UPDATE or DELETE without expanding parameters.
    """

    __slots__ = ("_compiled", "statement")

    def __init__(self, statement: Select[Any] | UpdateBase) -> None:
        self.statement = statement
        self._compiled: dict[str, _Compiled] = {}

    def all(self, connection: Connection, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """Every row, values of the columns' Python types."""
        compiled = self._for(connection.dialect)
        rows = list(run(connection, compiled.sql, *compiled.bound(values)))
        return compiled.rows(rows) if rows and compiled.results else rows

    def parts(self, connection: Connection, values: Mapping[str, Any], size: int) -> Iterator[list[Sequence[Any]]]:
        """The same column by column, of at most `size` rows at once; nothing where there are no rows."""
        compiled = self._for(connection.dialect)
        rows = run(connection, compiled.sql, *compiled.bound(values))
        while some := list(islice(rows, size)):
            yield compiled.columns(some)

    def one_or_none(self, connection: Connection, values: Mapping[str, Any]) -> tuple[Any, ...] | None:
        """The only row, if there is one."""
        rows = self.all(connection, values)
        return rows[0] if rows else None

    def run(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        """Execute it once for each of `rows`."""
        compiled = self._for(connection.dialect)
        columns = [_bound([row.get(name, default) for row in rows], processor) for name, processor, default in compiled.names]
        bound = zip(*columns, strict=True) if columns else ((),) * len(rows)
        if connection.dialect.name == "sqlite":
            driver(connection).executemany(compiled.sql, bound)
        else:
            await_only(_server(connection).executemany(compiled.sql, bound))

    def _for(self, dialect: Dialect) -> "_Compiled":
        known = self._compiled.get(dialect.name)
        if known is not None:
            return known
        made = self.statement.compile(dialect=dialect)
        binds = made.binds
        names = tuple((name, processor_of(binds[name].type, dialect), binds[name].value) for name in made.positiontup or ())
        columns = getattr(self.statement, "selected_columns", ())
        found = ((place, column_processor(column.type, dialect)) for place, column in enumerate(columns))
        results = tuple((place, processor) for place, processor in found if processor is not None)
        compiled = self._compiled[dialect.name] = _Compiled(str(made), names, results)
        return compiled


class _Compiled(NamedTuple):
    """SQL text; each parameter's name, processor and default; the columns whose results are processed."""

    sql: str
    names: tuple[tuple[str, Processor | None, Any], ...]
    results: tuple[tuple[int, ColumnProcessor], ...]

    def bound(self, values: Mapping[str, Any]) -> tuple[Any, ...]:
        """The parameters in their order."""
        given = ((values.get(name, default), processor) for name, processor, default in self.names)
        return tuple([value if processor is None else processor(value) for value, processor in given])

    def rows(self, rows: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        """Rows of the columns' Python types, made column by column."""
        return list(zip(*self.columns(rows), strict=True))

    def columns(self, rows: Sequence[tuple[Any, ...]]) -> list[Sequence[Any]]:
        """The same, as columns."""
        columns: list[Sequence[Any]] = list(zip(*rows, strict=True))
        for place, processor in self.results:
            columns[place] = processor(columns[place])
        return columns


def driver(connection: Connection) -> apsw.Connection:
    """The apsw connection under a SQLAlchemy one."""
    return connection.connection.driver_connection.driver  # type: ignore[no-any-return, union-attr]


def _server(connection: Connection) -> Any:
    """The asyncpg connection under a SQLAlchemy one; what it is asked is awaited where `run_sync` was called."""
    asked = connection.info.get(ASKED)
    if asked is not None:
        asked()
    return connection.connection.driver_connection


def _bound(values: Iterable[Any], processor: Processor | None) -> Iterable[Any]:
    """A column as the driver takes it."""
    return values if processor is None else _processed(values, processor)


def _repeated(value: Any, processor: Processor | None) -> Iterable[Any]:
    return repeat(value if processor is None else processor(value))


def _processed(values: Iterable[Any], processor: Processor) -> Iterator[Any]:
    """What most rows share is one object, such as the blank of a column: that is processed once."""
    known = made = None
    for value in values:
        if value is not known:
            known, made = value, processor(value)
        yield made


@lru_cache(maxsize=256)
def _prepared(dialect: Dialect, table: Table, names: tuple[str, ...]) -> tuple[str, tuple[tuple[str, Processor | None], ...]]:
    """INSERT of these columns, and in the order of its parameters each one's name and what is done to its values."""
    chosen = insert(table).values({name: bindparam(name) for name in names})
    compiled = chosen.compile(dialect=dialect, column_keys=list(names))
    order = compiled.positiontup or names
    return str(compiled), tuple((name, processor_of(table.c[name].type, dialect)) for name in order)


@lru_cache(maxsize=256)
def _counting(dialect: Dialect, table: Table, names: tuple[str, ...], counted: str | None) -> str:
    """INSERT of these columns that gives each row the number after the highest there is."""
    values: dict[str, Any] = {name: bindparam(name) for name in names}
    if counted is not None:
        values[counted] = literal_column(f"(SELECT coalesce(max({counted}), 0) + 1 FROM {table.name})")  # noqa: S608
    return str(insert(table).values(values).inline().compile(dialect=dialect))


def processor_of(kind: TypeEngine[Any], dialect: Dialect) -> Processor | None:
    """What turns a Python value into the driver's, for one column type."""
    return kind.dialect_impl(dialect).bind_processor(dialect)


def column_processor(kind: TypeEngine[Any], dialect: Dialect) -> ColumnProcessor | None:
    """What turns a column of the driver's values into Python's, for one column type."""
    if isinstance(kind, JsonText):
        return decoded if dialect.name == "sqlite" else None  # asyncpg has parsed it already
    processor = kind.dialect_impl(dialect).result_processor(dialect, None)
    return None if processor is None else lambda values: [None if value is None else processor(value) for value in values]


def json_values(values: Iterable[Any]) -> str:
    """Values as one JSON array, to be bound as one parameter."""
    return json.dumps(list(values), ensure_ascii=False, separators=(",", ":"))


class next_number(FunctionElement[int]):  # noqa: N801
    """In INSERT … SELECT the number of each new row, in an order: `next_number(column, order)`. SQLite gives it by itself."""

    inherit_cache = False

    def __init__(self, column: Any, order: Any) -> None:
        super().__init__(order)
        self.numbered = column  # no clause of this one: its table is not selected from


@compiles(next_number, "sqlite")
def _(element: next_number, compiler: SQLCompiler, **kw: Any) -> str:  # noqa: ARG001
    return "NULL"


@compiles(next_number, "postgresql")
def _(element: next_number, compiler: SQLCompiler, **kw: Any) -> str:
    column = element.numbered
    newest = f"(SELECT coalesce(max({column.name}), 0) FROM {column.table.name})"  # noqa: S608
    return f"{newest} + row_number() OVER (ORDER BY {compiler.process(element.clauses, **kw)})"


class by_row(FunctionElement[Any]):  # noqa: N801  (named as SQL functions are)
    """A column as it is, but no index may be searched by it: SQLite's unary `+`. PostgreSQL's planner needs no such word."""

    inherit_cache = True

    def __init__(self, column: Any) -> None:
        super().__init__(column)
        self.type = column.type


@compiles(by_row, "sqlite")
def _(element: by_row, compiler: SQLCompiler, **kw: Any) -> str:
    return f"+{compiler.process(element.clauses, **kw)}"


@compiles(by_row)
def _(element: by_row, compiler: SQLCompiler, **kw: Any) -> str:
    return compiler.process(element.clauses, **kw)
