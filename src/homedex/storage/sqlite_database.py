"""The Database of a SQLite file: every function on a thread of its own, and one fsync for all that write together."""

import asyncio
import logging
import os
import queue
import secrets
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Concatenate, Literal, ParamSpec, Self, TypeVar

import apsw
from sqlalchemy import Connection

from homedex.errors import BadSetting, Busy, HomedexError
from homedex.storage.damage import Damage
from homedex.storage.database import Database
from homedex.storage.engine import create_engine
from homedex.storage.jobs import PROGRESS_STEPS, Job, answer
from homedex.storage.lanes import Lane, Reader
from homedex.storage.sqlite import CACHE_BUDGET_KIB, MEMORY, Options, open_connection, wal_bytes
from homedex.storage.sqlite_writer import Writer

log = logging.getLogger(__name__)

T = TypeVar("T")
P = ParamSpec("P")

WRITER_SHARE = 4
"""The writer's page cache is this many times a reader's: it touches every index of what it changes."""


PROBE_CACHE_KIB = 64
LOOK_CACHE_KIB = 2048
SMALL_BYTES = 512 * 1024 * 1024
"""Up to this size all of a file is looked through after the start, indexes against tables, too; above, its pages alone.

104 MB took 0.73 s of one core, 0.13 s for the pages alone, and 1.3 s from a cold disk (2026-11): too long to wait for before the
first answer, too little to be felt beside it.
"""


class SqliteDatabase(Database):
    """A SQLite database: several readers in snapshots of their own, one writer that commits for all who wait.

    Args:
        path: the database file. Its schema is `migrate`'s business.
        readers: threads that read, each with a connection.
        synchronous: FULL keeps every acknowledged write through a power cut; NORMAL may lose the last ones.
        read_deadline_s: longest read, in seconds; None for no limit.
        write_deadline_s: longest single write function, in seconds; None for no limit.
        queue_limit: how many functions may wait for a lane before `busy` is answered.
        busy_timeout_s: how long to wait for another process's lock, in seconds.
        application_id: see `sqlite.Options`.
        page_cache_kib: page cache of all its connections together.
        damage: what is known of the file, where forked processes share that.
    """

    hears_at_once = True

    def __init__(  # noqa: PLR0913  (each is a setting of the service)
        self,
        path: str,
        *,
        readers: int = 2,
        synchronous: Literal["FULL", "NORMAL"] = "FULL",
        read_deadline_s: float | None = 10.0,
        write_deadline_s: float | None = 60.0,
        queue_limit: int = 2000,
        busy_timeout_s: float = 30.0,
        application_id: int = 0,
        page_cache_kib: int = CACHE_BUDGET_KIB,
        damage: Damage | None = None,
    ) -> None:
        if path == MEMORY:
            raise BadSetting("a database in memory is another one for each connection. Name a file.")
        share_kib = (page_cache_kib - PROBE_CACHE_KIB - LOOK_CACHE_KIB) // (readers + WRITER_SHARE)
        base = {"synchronous": synchronous, "busy_timeout_s": busy_timeout_s, "application_id": application_id}
        self.path = self.shown = path
        self.folder = Path(path).absolute().parent
        self.queue_limit = queue_limit
        self._writes: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._reads: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        # The probe makes the file. A lane that opens another connection later must not make an empty one where it was lost.
        write_options = Options(cache_kib=share_kib * WRITER_SHARE, create=False, **base)  # type: ignore[arg-type]
        read_options = Options(cache_kib=share_kib, query_only=True, create=False, **base)  # type: ignore[arg-type]
        self._engines = [create_engine(path, options) for options in (write_options, read_options)]
        self._damage = damage or Damage(path)
        self._writer = Writer(
            "writer", self._engines[0], self._writes, self._damage, write_deadline_s, busy_timeout_s=busy_timeout_s
        )
        self._readers = [
            Reader(f"reader-{number}", self._engines[1], self._reads, self._damage, read_deadline_s) for number in range(readers)
        ]
        self._looking = threading.Lock()
        self._look_options = Options(cache_kib=LOOK_CACHE_KIB, query_only=True, create=False, **base)  # type: ignore[arg-type]
        self._probe_options = Options(cache_kib=PROBE_CACHE_KIB, query_only=True, **base)  # type: ignore[arg-type]
        self._probe: apsw.Connection | None = None
        self._boot = secrets.token_hex(4)
        self._process_id = os.getpid()
        self._draining: asyncio.Future[None] | None = None

    @classmethod
    def open_file(cls, path: str, **settings: Any) -> Self:
        """An open database. See the class for the settings and `sqlite.open_connection` for what it raises."""
        database = cls(path, **settings)
        opened: list[Lane] = []
        probe = open_connection(path, database._probe_options)
        try:
            for lane in (database._writer, *database._readers):
                lane.open()
                opened.append(lane)
            probe.set_busy_handler(None)  # it is asked on the event loop, which does not wait
            database._probe = probe
        except BaseException:
            probe.close()
            for lane in opened:
                lane.jobs.put(None)
            for lane in opened:
                lane.join()
            raise
        return database

    async def read(self, fn: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """On one of the reader threads; see `Database.read`."""
        return await self._submit(self._reads, fn, args, kwargs)  # type: ignore[no-any-return]

    async def write(self, fn: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """On the writer thread; see `Database.write`."""
        self._damage.check()
        return await self._submit(self._writes, fn, args, kwargs)  # type: ignore[no-any-return]

    async def _submit(
        self, jobs: "queue.SimpleQueue[Job | None]", fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        if self._probe is None:
            raise Busy("the service is stopping. Try again in a moment.")
        if os.getpid() != self._process_id:
            raise RuntimeError("a Database does not survive fork: its threads are in the parent. Open it in the child.")
        if jobs.qsize() >= self.queue_limit:
            raise Busy(f"{self.queue_limit} requests wait for the database already. Try again in a moment.")
        job = Job(fn, args, kwargs)
        jobs.put(job)
        return await job.wait()

    @property
    def revision(self) -> str:
        """A text that is different after every commit, by this process or another; it means nothing after a restart.

        The one database call allowed on the event loop: 2 us, no disk. The probe is a connection of its own that never
        writes, so SQLite counts everybody's commits for it, ours too.

        Source: https://sqlite.org/pragma.html#pragma_data_version
        """
        if self._probe is None:
            raise Busy("the service is stopping. Try again in a moment.")
        try:
            return f"{self._boot}-{self._probe.pragma('data_version')}"
        except apsw.Error:  # another process recovers the file, or the disk fails: what was known may not hold
            return f"{self._boot}-{secrets.token_hex(8)}"

    @property
    def damage(self) -> str | None:
        """See `Database.damage`."""
        return self._damage.found

    @property
    def wal_bytes(self) -> int | None:
        """See `Database.wal_bytes`."""
        try:
            return wal_bytes(self.path)
        except OSError:  # the folder may not be looked into
            return None

    async def look_for_damage(self) -> None:
        """See `Database.look_for_damage`."""
        await asyncio.to_thread(self._look_for_damage)

    def _look_for_damage(self) -> None:
        with self._looking:
            if self._probe is None:
                return
            try:
                connection = open_connection(self.path, self._look_options)
            except HomedexError as error:  # who asks next is told, and so is /readyz
                log.warning("%s was not looked through for damage. %s", self.path, error)
                return
            try:
                connection.set_progress_handler(lambda: self._probe is None, PROGRESS_STEPS)
                size = int(connection.pragma("page_count")) * int(connection.pragma("page_size"))
                check = "integrity_check" if size <= SMALL_BYTES else "quick_check"
                complaints = [str(row[0]) for row in connection.execute(f"PRAGMA {check}(1)")]
                if complaints != ["ok"]:
                    self._damage.note()
                    log.error("%s (%s)", self.damage, "; ".join(complaints).replace("\n", " "))
            except apsw.InterruptError:  # the database is being closed
                return
            except apsw.Error as error:
                log.error("%s (%s)", self._damage.meaning(error), error)  # noqa: TRY400  (the sentence says it all)
            finally:
                self._damage.spare(connection)
                connection.close()

    async def close(self) -> None:
        """Run what still waits, then end every thread and close every file. Nothing is left behind, even if it is cancelled."""
        if self._draining is None:
            probe, self._probe = self._probe, None
            self._draining = asyncio.ensure_future(asyncio.to_thread(self._drain, probe))
        await asyncio.shield(self._draining)

    def _drain(self, probe: apsw.Connection | None) -> None:
        # Readers first: the writer's last checkpoint can then cut the WAL to nothing.
        for _ in self._readers:
            self._reads.put(None)
        for reader in self._readers:
            reader.join()
        self._writes.put(None)
        self._writer.join()
        for engine in self._engines:
            engine.dispose()
        with self._looking:  # it sees that there is no probe any more, and stops
            pass
        if probe is not None:
            self._damage.spare(probe)
            probe.close()
        self._refuse_late_comers()

    def _refuse_late_comers(self) -> None:
        """Answer jobs that came from other threads while the lanes were ending."""
        stopping = Busy("the service is stopping. Try again in a moment.")
        for jobs in (self._reads, self._writes):
            while not jobs.empty():
                job = jobs.get()
                if job is not None and job.start():
                    answer([(job, None, stopping)])
