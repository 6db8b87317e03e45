"""The Sessions of a SQLite file: readers with a thread each, and one thread that writes for all."""

import asyncio
from pathlib import Path
from typing import Any, Literal, Self

import apsw
from sqlalchemy import URL
from sqlalchemy import Connection as SqlConnection
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.util import await_only

from homedex.errors import BadSetting
from homedex.storage import aioapsw_dialect
from homedex.storage.aioapsw_dbapi import Connection
from homedex.storage.aioapsw_worker import Worker
from homedex.storage.apsw_dbapi import Connection as ApswConnection
from homedex.storage.apsw_dbapi import begin_statement
from homedex.storage.damage import Damage
from homedex.storage.jobs import result_code
from homedex.storage.lanes import check_file, identity
from homedex.storage.sessions import OPENED_AT, Sessions, pool_timeout
from homedex.storage.sqlite import CACHE_BUDGET_KIB, MEMORY, Options, open_connection
from homedex.storage.sqlite_database import WRITER_SHARE
from homedex.storage.turns import Turns
from homedex.storage.wal_flush import WalFlush


class SqliteSessions(Sessions):
    """Sessions on a SQLite file.

    Args:
        path: the database file.
        readers: connections that read, each with a thread.
        synchronous: FULL keeps every acknowledged commit through a power cut; NORMAL may lose the last ones.
        read_deadline_s: longest statement of a session that reads, in seconds; None for no limit.
        write_deadline_s: longest turn of a session that writes, in seconds; None for no limit.
        queue_limit: how many may wait for their turn before `Busy` is raised.
        busy_timeout_s: how long one waits for a turn, a connection, or another process's lock, in seconds.
        application_id: see `sqlite.Options`.
        page_cache_kib: page cache of all its connections together.
    """

    def __init__(  # noqa: PLR0913  (each is a setting)
        self,
        path: str,
        *,
        readers: int = 4,
        synchronous: Literal["FULL", "NORMAL"] = "FULL",
        read_deadline_s: float | None = 10.0,
        write_deadline_s: float | None = 10.0,
        queue_limit: int = 2000,
        busy_timeout_s: float = 30.0,
        application_id: int = 0,
        page_cache_kib: int = CACHE_BUDGET_KIB,
    ) -> None:
        if path == MEMORY:
            raise BadSetting("a database in memory is another one for each connection. Name a file.")
        self.path, self.shown = str(Path(path).absolute()), path  # a process may go elsewhere
        self.busy_timeout_s = busy_timeout_s
        share_kib = page_cache_kib // (readers + WRITER_SHARE)
        base: dict[str, Any] = {"busy_timeout_s": busy_timeout_s, "application_id": application_id, "create": False}
        # The disk is `WalFlush`'s business, so that one who writes need not wait for another's flush.
        self._write_options = Options(cache_kib=share_kib * WRITER_SHARE, synchronous="NORMAL", **base)
        self._flush = WalFlush(self.path) if synchronous == "FULL" else None
        self._turns = Turns(limit_s=write_deadline_s, wait_s=busy_timeout_s, queue_limit=queue_limit)
        self._damage = Damage(self.path)
        self._file = identity(self.path)
        self._worker: Worker | None = None
        self._starting = asyncio.Lock()
        url = URL.create("sqlite+aioapsw", database=self.path)
        read_options = Options(cache_kib=share_kib, query_only=True, **base)
        reading = create_async_engine(
            url,
            connect_args={"options": read_options, "limit_s": read_deadline_s, "finish": self._spare},
            pool_size=readers,
            max_overflow=0,
            pool_timeout=busy_timeout_s,
            pool_use_lifo=True,  # the one whose cache is warm
        )
        # Its connections are but turns on the one worker; what waits, waits for a turn.
        writing = create_async_engine(url, creator=lambda: await_only(self._connect()), pool_size=32, max_overflow=-1)
        super().__init__(reading, writing)

    @classmethod
    def open_file(cls, path: str, **settings: Any) -> Self:
        """Sessions on a file that was seen to be usable, and was made if it was not there. See `sqlite.open_connection`."""
        open_connection(path, Options(application_id=settings.get("application_id", 0))).close()
        return cls(path, **settings)

    async def _connect(self) -> Connection:
        async with self._starting:
            self._check_usable()
            if self._worker is None:
                prepare = aioapsw_dialect.add_regexp
                worker = Worker(self.path, self._write_options, prepare=prepare, finish=self._spare, flush=self._flush)
                await worker.start()
                self._worker = worker
        begin, needs_flush = begin_statement(self._write_options), self._flush is not None
        return Connection(self._worker, begin, turns=self._turns, needs_flush=needs_flush, check=self._check)

    def _spare(self, connection: ApswConnection) -> None:
        self._damage.spare(connection.driver)

    def _check(self) -> None:
        """Refuse to write what would be spread, or gone: into a file that is damaged, or not the one at its path any more."""
        self._damage.check()
        if self._flush is not None:
            self._flush.check()
        check_file(self.path, self._file)

    def begun(self, info: dict[Any, Any], connection: SqlConnection) -> None:
        """See `Sessions.begun`."""
        held: Any = connection.connection.dbapi_connection
        held.place = info[OPENED_AT]

    def is_refused_write(self, error: Exception) -> bool:
        """See `Sessions.is_refused_write`."""
        return (result_code(error) or 0) & 0xFF == apsw.SQLITE_READONLY

    def meaning(self, error: Exception) -> BaseException:
        """See `Sessions.meaning`."""
        return pool_timeout(error, self.busy_timeout_s) or self._damage.meaning(error)

    async def close(self) -> None:
        """See `Sessions.close`."""
        self._turns.close()
        await super().close()
        async with self._starting:
            worker, self._worker = self._worker, None
        if worker is not None:
            worker.stop()
            await worker.stopped()
        if self._flush is not None:
            self._flush.close()
