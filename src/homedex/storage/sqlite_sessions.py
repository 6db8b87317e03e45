"""The Sessions of a SQLite file: readers with a thread each, and one thread that writes for all."""

import asyncio
from functools import partial
from typing import Any, Literal, Self

from sqlalchemy import URL
from sqlalchemy import Connection as SqlConnection
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.util import await_only

from homedex.errors import BadSetting, StorageUnavailable
from homedex.storage import aioapsw_dialect
from homedex.storage.aioapsw_dbapi import Connection
from homedex.storage.aioapsw_worker import Worker
from homedex.storage.apsw_dbapi import begin_statement
from homedex.storage.damage import Damage
from homedex.storage.lanes import identity
from homedex.storage.sessions import OPENED_AT, Sessions, pool_timeout
from homedex.storage.sqlite import CACHE_BUDGET_KIB, MEMORY, PUT_BACK, Options, open_connection
from homedex.storage.turns import Turns
from homedex.storage.wal_flush import flush_log

WRITER_SHARE = 4
"""The writer's page cache is this many times a reader's; see `sqlite_database`."""


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
        self.path = self.shown = path
        self.busy_timeout_s = busy_timeout_s
        share_kib = page_cache_kib // (readers + WRITER_SHARE)
        base: dict[str, Any] = {"busy_timeout_s": busy_timeout_s, "application_id": application_id, "create": False}
        # The disk is `flush_log`'s business, so that one who writes need not wait for another's flush.
        self._write_options = Options(cache_kib=share_kib * WRITER_SHARE, synchronous="NORMAL", **base)
        self._needs_flush = synchronous == "FULL"
        self._turns = Turns(limit_s=write_deadline_s, wait_s=busy_timeout_s, queue_limit=queue_limit)
        self._damage = Damage(path)
        self._file = identity(path)
        self._worker: Worker | None = None
        self._starting = asyncio.Lock()
        url = URL.create("sqlite+aioapsw", database=path)
        read_options = Options(cache_kib=share_kib, query_only=True, **base)
        reading = create_async_engine(
            url,
            connect_args={"options": read_options, "limit_s": read_deadline_s},
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
            if self._worker is None:
                prepare, flush = aioapsw_dialect.add_regexp, partial(flush_log, self.path)
                worker = Worker(self.path, self._write_options, prepare=prepare, flush=flush)
                await worker.start()
                self._worker = worker
        begin = begin_statement(self._write_options)
        return Connection(self._worker, begin, turns=self._turns, needs_flush=self._needs_flush, check=self._check)

    def _check(self) -> None:
        """Refuse to write what would be spread, or gone: into a file that is damaged, or not the one at its path any more."""
        self._damage.check()
        try:
            found: tuple[int, int] | None = identity(self.path)
        except OSError:
            found = None
        if found != self._file:
            raise StorageUnavailable(f"{self.path} was removed or replaced while it was in use. {PUT_BACK} Nothing was written.")

    def begun(self, info: dict[Any, Any], connection: SqlConnection) -> None:
        """See `Sessions.begun`."""
        held: Any = connection.connection.dbapi_connection
        held.place = info[OPENED_AT]

    def meaning(self, error: Exception, *, reading: bool) -> BaseException:
        """See `Sessions.meaning`."""
        return pool_timeout(error, self.busy_timeout_s) or self._damage.meaning(error, query_only=reading)

    async def close(self) -> None:
        """See `Sessions.close`."""
        await super().close()
        if self._worker is not None:
            worker, self._worker = self._worker, None
            worker.stop()
            await worker.stopped()
