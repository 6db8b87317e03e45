"""What is done around many rows, in the transaction that writes them: indexes made at once, references checked at once, numbers."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from sqlalchemy import Connection, MetaData, Table

from homedex.storage.looking import table_names
from homedex.storage.rows import run

INDEXES = {
    "sqlite": """SELECT tbl_name, sql, format('DROP INDEX "%w"', name) FROM sqlite_schema WHERE sql LIKE 'CREATE INDEX %'""",
    "postgresql": """
        SELECT tablename::text, indexdef, format('DROP INDEX %I', indexname) FROM pg_indexes
        WHERE schemaname = current_schema() AND indexdef LIKE 'CREATE INDEX %'
    """,
}
CONSTRAINTS = """
    SELECT relname::text, format('ALTER TABLE %I ADD CONSTRAINT %I %s', relname, conname, pg_get_constraintdef(pg_constraint.oid)),
        format('ALTER TABLE %I DROP CONSTRAINT %I', relname, conname)
    FROM pg_constraint JOIN pg_class ON pg_class.oid = conrelid
    WHERE contype IN ('p', 'u', 'f') AND connamespace = current_schema()::regnamespace
    ORDER BY contype = 'f'
"""


class Part(NamedTuple):
    """A part of the schema that one transaction takes out and makes again."""

    table: str
    make: str
    drop: str


def take_out(connection: Connection) -> list[Part]:
    """Take out what costs more row by row than all at once; on SQLite keys and unique indexes stay.

    Returns: the parts, each to be made again: indexes, then on PostgreSQL keys, then what references another table.
    """
    parts = [Part(*row) for row in run(connection, INDEXES[connection.dialect.name])]
    if connection.dialect.name != "sqlite":
        parts += [Part(*row) for row in run(connection, CONSTRAINTS)]
    for part in reversed(parts):
        run(connection, part.drop)
    return parts


def make(connection: Connection, parts: Iterable[Part]) -> None:
    """Make parts again, exactly as they were."""
    for part in parts:
        run(connection, part.make)


# --- numbers that the database gives out -----------------------------------------------------------------------------------------


def _numbered(metadata: MetaData) -> list[tuple[Table, str]]:
    columns = [(table, table.autoincrement_column) for table in metadata.sorted_tables]
    return [(table, column.name) for table, column in columns if column is not None and not column.foreign_keys]


def numbers_given(connection: Connection, metadata: MetaData) -> dict[str, int]:
    """For each table that numbers its rows, the highest number it ever gave out, those of rows that are gone included."""
    return {table.name: max(_counter(connection, table), _highest(connection, table, name)) for table, name in _numbered(metadata)}


def set_numbers(connection: Connection, metadata: MetaData, given: Mapping[str, int]) -> None:
    """Go on where another database was: a number that it gave out is never given again. PostgreSQL counts on from what is there."""
    for table, _ in _numbered(metadata):
        if given[table.name] and connection.dialect.name == "sqlite" and _counts(table):
            run(connection, "DELETE FROM sqlite_sequence WHERE name = ?", table.name)
            run(connection, "INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", table.name, given[table.name])


def _counts(table: Table) -> bool:
    """Whether SQLite keeps a counter for it; without, it goes on after the highest number that is there."""
    return bool(table.dialect_options["sqlite"]["autoincrement"])


def _counter(connection: Connection, table: Table) -> int:
    if connection.dialect.name != "sqlite" or not _counts(table):
        return 0
    return int(next(run(connection, "SELECT seq FROM sqlite_sequence WHERE name = ?", table.name), (0,))[0])


def _highest(connection: Connection, table: Table, name: str) -> int:
    return int(next(run(connection, f'SELECT coalesce(max("{name}"), 0) FROM "{table.name}"'))[0])  # noqa: S608  (our own names)


# --- what tells whether somebody has written -------------------------------------------------------------------------------------


def counts_of(connection: Connection, metadata: MetaData) -> dict[str, int]:
    """How many rows each table has."""
    return {table.name: next(run(connection, f'SELECT count(*) FROM "{table.name}"'))[0] for table in metadata.sorted_tables}  # noqa: S608


def first_with_rows(connection: Connection, metadata: MetaData) -> str | None:
    """A table that is not empty; None when all that are there are."""
    present = table_names(connection)
    return next((table.name for table in metadata.sorted_tables if table.name in present and _has_rows(connection, table)), None)


def _has_rows(connection: Connection, table: Table) -> bool:
    return any(run(connection, f'SELECT 1 FROM "{table.name}" LIMIT 1'))  # noqa: S608
