"""Database: async outside, one hop in.

A query function is a plain function whose first argument is a SQLAlchemy Connection. `read` and `write` run one whole, in one
transaction; a transaction can therefore never be held open across an await, and no slow client can hold the write lock. The engine
is a URL: callers cannot tell SQLite and PostgreSQL apart.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from sqlalchemy import Connection

from homedex.storage.urls import is_postgresql

T = TypeVar("T")
P = ParamSpec("P")


class Database(ABC):
    """An open database: `async with Database.open("data/app.db") as database:` closes it in the end.

    Attributes:
        shown: what it is, for people: a path, or a URL without its password.
        folder: where its file lies; None where a server keeps it.
        hears_at_once: whether `revision` shows every commit before it is confirmed to whoever made it, other processes' too.
    """

    shown: str
    folder: Path | None
    hears_at_once: bool

    @property
    def damage(self) -> str | None:
        """What is wrong with the file and what to do, once that is known; every write is refused from then on. None: nothing."""
        return None

    @property
    def wal_bytes(self) -> int | None:
        """Size of the write-ahead log, which a reader that does not end lets grow; None where it cannot be seen."""
        return None

    async def look_for_damage(self) -> None:  # noqa: B027  (what a server's Database does)
        """Read all of it, and remember in `damage` if it is not whole. A server looks after itself."""

    @staticmethod
    def open(target: str, **settings: Any) -> "Database":
        """An open database.

        Args:
            target: the path of a SQLite file, or a `postgresql://…` URL. Its schema is `migrate`'s business.
            settings: what differs from the defaults: synchronous ("FULL" or "NORMAL"), read_deadline_s, write_deadline_s and
                busy_timeout_s (seconds; a deadline may be None), queue_limit (functions that may wait), application_id; for a file
                readers (threads) and page_cache_kib, for a server pool_size, write_retries and replica_url. See
                `SqliteDatabase` and `PostgresDatabase`.
        Raises:
            StorageUnavailable: it cannot be opened; the sentence says why and what to do.
        """
        if is_postgresql(target):
            from homedex.storage.postgres_database import PostgresDatabase  # noqa: PLC0415  (asyncpg is an extra)

            return PostgresDatabase.open_server(target, **settings)
        from homedex.storage.sqlite_database import SqliteDatabase  # noqa: PLC0415  (each of the two knows this class)

        return SqliteDatabase.open_file(target, **settings)

    @abstractmethod
    async def read(self, fn: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The result of `fn(connection, …)`, run in one read-only snapshot.

        Raises:
            QueryTimeout: it took longer than `read_deadline_s`.
            Busy: too much waits already.
            Exception: whatever `fn` raises.
        """

    @abstractmethod
    async def write(self, fn: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The result of `fn(connection, …)`, after its transaction was committed to disk.

        The function has the write lock, so what it reads stays true until it has written. If it raises, what it wrote is
        undone and nobody else's. It may run a second time if the transaction it shared was undone: it must have no effect
        outside the database. A caller who is cancelled while the function waits takes it out of the queue; one who is
        cancelled later does not learn the outcome.

        Raises:
            Busy: too much waits already, or another process kept the lock for `busy_timeout_s`.
            QueryTimeout: it took longer than `write_deadline_s`. SQL is stopped then; Python is not, but undone all the same.
            StorageFull, StorageUnavailable: the write was rolled back, or, where `detail` says so, its outcome is unknown.
            NotADatabase: the file is damaged; see `damage`.
            Exception: whatever `fn` raises.
        """

    @property
    @abstractmethod
    def revision(self) -> str:
        """A text that is different after every commit, by this process or another; it means nothing after a restart."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @abstractmethod
    async def close(self) -> None:
        """Run what still waits, then end every thread and close every connection. Nothing is left behind, even if cancelled."""
