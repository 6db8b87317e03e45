"""Rows as text, in one form for both engines: what PostgreSQL reads and writes with COPY.

A line is a row, its values stand between tabs, a null has a sign of its own. Times are RFC 3339 in UTC with six decimals, flags are
0 and 1, JSON is as it was stored. So PostgreSQL makes and takes the text by itself, only SQLite's side is written here, and equal
text is equal rows.

Source: https://www.postgresql.org/docs/18/sql-copy.html, "Text Format".
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import apsw
from sqlalchemy import Boolean, Column, Connection, Integer, MetaData, String, Table
from sqlalchemy.util import await_only

from homedex.storage.rows import driver
from homedex.storage.types import TIME, Flag, JsonText, UtcDateTime

ROWS, BYTES = 2_000, 1 << 20
"""How much is handed on at once: so many rows of SQLite, so many bytes of PostgreSQL."""

NULL = "\\N"
WRITTEN = {"\\": "\\\\", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\v": "\\v", "\f": "\\f", "\r": "\\r"}
ESCAPES = str.maketrans(WRITTEN)
READ = {written[1]: char for char, written in WRITTEN.items()}
ESCAPED = re.compile(r"\\(.)")
SIGNS = [sign.encode() for sign in "\\\t\n\b\v\f\r"]
"""Those of `WRITTEN`: the backslash, which every null has, the tab, the end of a line, and the rare ones."""


CARRIED = (String, Integer, Boolean, UtcDateTime, JsonText, Flag)
"""Types whose values are the same text on both engines; a float, a blob or a UUID is not."""


def first_not_carried(metadata: MetaData) -> Column[Any] | None:
    """A column of a type that has no such form; None where there is none."""
    columns = [column for table in metadata.sorted_tables for column in stored(table)]
    return next((column for column in columns if not isinstance(column.type, CARRIED)), None)


def stored(table: Table) -> list[Column[Any]]:
    """The columns that hold what was written; the engine makes the others."""
    return [column for column in table.columns if column.computed is None]


def read_lines(connection: Connection, table: Table, give: Callable[[bytes], None]) -> None:
    """Hand over all rows of a table, in the order of its key, as whole lines."""
    columns = ", ".join(_plain(connection, column) for column in stored(table))
    order = ", ".join(_ordered(connection, column) for column in table.primary_key)
    statement = f'SELECT {columns} FROM "{table.name}" ORDER BY {order}'  # noqa: S608  (our own names)
    if connection.dialect.name != "sqlite":
        cutter = Cutter(give)
        await_only(_server(connection).copy_from_query(statement, output=cutter.add))
        cutter.end()
        return
    for lines in _lines_of_file(driver(connection), table, columns, order):
        give(lines)


def write_lines(connection: Connection, table: str, names: Sequence[str], lines: bytes) -> None:
    """Insert the rows of whole lines, with a value for each of `names`."""
    if connection.dialect.name != "sqlite":
        # A memoryview, because bytes would be taken for the name of a file.
        await_only(_server(connection).copy_to_table(table, source=memoryview(lines), columns=list(names), format="text"))
        return
    columns = ", ".join(f'"{name}"' for name in names)
    insert = f'INSERT INTO "{table}" ({columns}) VALUES ({{}})'  # noqa: S608  (our own names)
    as_written, read = split_lines(lines)
    # What is null is found by SQLite, which needs no lock of Python's for that.
    driver(connection).executemany(insert.format(", ".join([f"nullif(?, '{NULL}')"] * len(names))), as_written)
    driver(connection).executemany(insert.format(", ".join("?" * len(names))), read)


def _plain(connection: Connection, column: Column[Any]) -> str:
    """A column as SQL that gives its text in the form above."""
    name = f'"{column.name}"'
    if connection.dialect.name == "sqlite":
        return f"CAST({name} AS TEXT)"
    if isinstance(column.type, UtcDateTime):
        return TIME.format(name=name)
    return f"{name}::int" if isinstance(column.type, Flag | Boolean) else name


def _ordered(connection: Connection, column: Column[Any]) -> str:
    """A column of a key as SQL that orders by it on both engines alike: texts by their bytes, whatever the locale of a server."""
    is_text = connection.dialect.name != "sqlite" and isinstance(column.type, String)
    return f'"{column.name}"::text COLLATE "C"' if is_text else f'"{column.name}"'


def _server(connection: Connection) -> Any:
    return connection.connection.driver_connection


class Cutter:
    """Collects what a server sends, in pieces of any length, and hands over whole lines."""

    def __init__(self, give: Callable[[bytes], None]) -> None:
        self._give = give
        self._pieces: list[bytes] = []
        self._length = 0

    async def add(self, piece: bytes) -> None:
        """Take a piece; asyncpg wants to wait for it."""
        self._pieces.append(piece)
        self._length += len(piece)
        if self._length >= BYTES:
            whole, end, rest = b"".join(self._pieces).rpartition(b"\n")
            self._pieces, self._length = [rest], len(rest)
            self._give(whole + end)

    def end(self) -> None:
        """Hand over what is left."""
        if self._length:
            self._give(b"".join(self._pieces))


def _lines_of_file(connection: apsw.Connection, table: Table, columns: str, key: str) -> Iterator[bytes]:
    """The rows of a table of SQLite as lines that SQLite joins itself: 2 us a row, and 3.3 us column by column (2026-11).

    No row has fewer signs that are escaped than its tabs and nulls. Where it has more, its values are fetched one by one.
    """
    nullable = [f'"{column.name}"' for column in stored(table) if column.nullable]
    values = ", ".join(f"coalesce({name}, '{NULL}')" if name in nullable else name for name in _names(table))
    nulls = " + ".join(f"({name} IS NULL)" for name in nullable) or "0"
    one = f'SELECT {columns} FROM "{table.name}" WHERE ({key}) = ({", ".join("?" * len(table.primary_key))})'  # noqa: S608
    rows = connection.execute(
        f'SELECT CAST(concat_ws(char(9), {values}) AS BLOB), {nulls}, {key} FROM "{table.name}" ORDER BY {key}'  # noqa: S608
    )
    tabs = len(_names(table)) - 1
    while some := list(islice(rows, ROWS)):
        lines = b"\n".join([row[0] for row in some])
        if _signs(lines) != (sum([row[1] for row in some]), tabs * len(some), len(some) - 1, 0, 0, 0, 0):
            fetched = (
                line if _signs(line) == (null, tabs, 0, 0, 0, 0, 0) else _escaped(next(connection.execute(one, of)))
                for line, null, *of in some
            )
            lines = b"\n".join(fetched)
        yield lines + b"\n"


def _names(table: Table) -> list[str]:
    return [f'"{column.name}"' for column in stored(table)]


def _signs(lines: bytes) -> tuple[int, ...]:
    """How many there are of each sign that is escaped."""
    return tuple(map(lines.count, SIGNS))


def _escaped(row: Sequence[str | None]) -> bytes:
    return "\t".join([NULL if value is None else value.translate(ESCAPES) for value in row]).encode()


def split_lines(lines: bytes) -> tuple[Iterable[list[str]], list[list[str | None]]]:
    """Whole lines as rows of texts: those that have no escapes, with each null as it is written, and the others, read."""
    text = lines.decode()
    all_of_them = text.split("\n")[:-1]
    if text.count("\\") == text.count(NULL):
        return (line.split("\t") for line in all_of_them), []
    as_written, read = [], []
    for line in all_of_them:
        values = line.split("\t")
        if line.count("\\") == line.count(NULL):
            as_written.append(values)
        else:
            read.append([None if value == NULL else ESCAPED.sub(_unescaped, value) for value in values])
    return as_written, read


def _unescaped(found: re.Match[str]) -> str:
    return READ[found[1]]
