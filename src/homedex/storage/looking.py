"""A database looked at without a trace: on a connection that cannot write, beside whoever else has it open."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import TypeVar

from sqlalchemy import Connection

from homedex.storage.engine import create_engine
from homedex.storage.jobs import meaning
from homedex.storage.rows import run
from homedex.storage.sqlite import Options
from homedex.storage.urls import is_postgresql

T = TypeVar("T")

BEGIN = {"sqlite": "BEGIN DEFERRED", "postgresql": "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"}
TABLES = {
    "sqlite": "SELECT name FROM sqlite_schema WHERE type = 'table'",
    "postgresql": "SELECT tablename::text FROM pg_tables WHERE schemaname = current_schema()",
}


def look(target: str, work: Callable[[Connection], T]) -> T:
    """The result of `work(connection)`, which begins no transaction but by `snapshot`. Blocks; no deadline.

    No byte of a SQLite file is changed: not even what its write-ahead log holds is written back into it.

    Args:
        target: the path of a SQLite file, or a `postgresql://…` URL.
    Raises:
        StorageUnavailable: it is not there, or cannot be read; the sentence says why and what to do.
    """
    if is_postgresql(target):
        from homedex.storage.postgres import look_at_server, run_apart  # noqa: PLC0415  (asyncpg is an extra)

        return run_apart(partial(look_at_server, target, work))
    engine = create_engine(target, Options(read_only=True))
    try:
        with engine.connect() as connection:
            return work(connection)
    except Exception as error:
        known = meaning(error, target)
        if known is error:
            raise
        raise known from error
    finally:
        engine.dispose()


@contextmanager
def snapshot(connection: Connection) -> Iterator[None]:
    """A block in which all that is read is of one moment, that of its first read."""
    run(connection, BEGIN[connection.dialect.name])
    try:
        yield
    finally:
        with suppress(Exception):  # a connection that broke has nothing to end
            run(connection, "ROLLBACK")


def table_names(connection: Connection) -> set[str]:
    """Which tables there are."""
    return {row[0] for row in run(connection, TABLES[connection.dialect.name])}


def schema_revision(connection: Connection) -> str | None:
    """The revision that the database is at; None when it has no schema yet."""
    if "alembic_version" not in table_names(connection):
        return None
    return next((str(row[0]) for row in run(connection, "SELECT version_num FROM alembic_version")), None)
