"""A database looked at without a trace: on a connection that cannot write, beside whoever else has it open."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import TypeVar

from sqlalchemy import Connection

from homedex.storage.engine import create_engine
from homedex.storage.jobs import in_our_words
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
    return _look_at_file(target, work, Options(read_only=True))


def glance(target: str, work: Callable[[Connection], T]) -> T:
    """The same, and no file is made beside a SQLite file either. `work` may be run twice, so it changes nothing elsewhere.

    Opening a file in WAL mode makes its log, even for reading only. Where there is no log nobody has the file open, and it can be
    read as it is; whether that was so to the end is seen by its log and its times. Else it is looked at once more, as usual.
    """
    if is_postgresql(target) or _is_used(target):
        return look(target, work)
    before = _state(target)
    try:
        found = _look_at_file(target, work, Options(read_only=True, unwatched=True))
    except Exception:
        if _state(target) == before:
            raise
        return look(target, work)
    return found if _state(target) == before else look(target, work)


def _is_used(path: str) -> bool:
    """Whether there is a log beside a file, or a journal, without which it may be half of two states."""
    return any(os.path.exists(f"{path}{suffix}") for suffix in ("-wal", "-journal"))  # noqa: PTH110  (pathlib raises for a long name)


def _state(path: str) -> object:
    found = os.stat(path) if os.path.exists(path) else None  # noqa: PTH110, PTH116  (pathlib raises for a long name)
    return found and (found.st_ino, found.st_size, found.st_mtime_ns), _is_used(path)


def _look_at_file(path: str, work: Callable[[Connection], T], options: Options) -> T:
    engine = create_engine(path, options)
    try:
        with in_our_words(path), engine.connect() as connection:
            return work(connection)
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
