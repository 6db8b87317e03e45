"""The Sessions of a PostgreSQL server: readers from a pool, and one connection that writes, under the lock of all processes."""

from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, Self

from sqlalchemy import Connection, event
from sqlalchemy.pool import AsyncAdaptedQueuePool, ConnectionPoolEntry
from sqlalchemy.util import await_only

from homedex.errors import HeldTooLong, HomedexError, StorageUnavailable
from homedex.storage.listening import CHANNEL
from homedex.storage.postgres import WRITE_LOCK, check_server, create_engine, end, meaning, raw, run_apart, sqlstate
from homedex.storage.postgres import Session as Settings
from homedex.storage.sessions import (
    COMMITTING,
    EXPIRED,
    OPENED_AT,
    UNKNOWN,
    Sessions,
    close_when_back,
    pool_timeout,
)
from homedex.storage.turns import Turn, Turns
from homedex.storage.urls import shown

HELD = "homedex held"


@dataclass(slots=True)
class Held:
    """A connection that is given away.

    Args:
        turn: that goes with it.
        info: of the session that has it.
        server: asyncpg's connection.
        error: why its turn is over, once it is.
    """

    turn: Turn | None = None
    info: dict[Any, Any] | None = None
    server: Any = None
    error: HomedexError | None = None

    def expire(self, error: HeldTooLong) -> None:
        """Cut it off: the server rolls back then, unless it was committing."""
        self.error = error
        if self.info is not None:
            self.info[EXPIRED] = StorageUnavailable(UNKNOWN) if COMMITTING in self.info else error
        self.cut_off()

    def cut_off(self) -> None:
        """Hang up."""
        if self.server is not None:
            self.server.terminate()


class TurnPool(AsyncAdaptedQueuePool):
    """A pool whose connection is given away in the order in which it was asked for, each time for a limited time.

    One that was cut off may come back late. Until then there is another, so that nobody waits for it.
    """

    turns: Turns

    @property
    def given(self) -> dict[ConnectionPoolEntry, Held]:
        """What is given away now."""
        given: dict[ConnectionPoolEntry, Held] = self.__dict__.setdefault("_given", {})
        return given

    def _do_get(self) -> ConnectionPoolEntry:
        held = Held()
        held.turn = await_only(self.turns.take("a place unknown", held.expire))
        try:
            entry = super()._do_get()
        except BaseException:
            held.turn.end()
            raise
        self.given[entry] = held
        return entry

    def _do_return_conn(self, record: ConnectionPoolEntry) -> None:
        held = self.given.pop(record, None)
        try:
            super()._do_return_conn(record)
        finally:  # where the pool is full it is closed, which may be cancelled
            if held is not None and held.turn is not None:
                held.turn.end()


def _lock(limit_s: float | None) -> str:
    """The statement that waits for the lock of all processes, without a limit of its own, and then sets those of the others.

    Every `Database.revision` hears of the commit, if there is one. In one round trip.
    """
    limit_ms = 0 if limit_s is None else max(1, round(limit_s * 1000))
    limits = ("statement_timeout", "idle_in_transaction_session_timeout")
    set_all = ", ".join(f"set_config('{name}', '{limit_ms}', true)" for name in limits)
    return f"SELECT pg_advisory_xact_lock({WRITE_LOCK}), {set_all}, pg_notify('{CHANNEL}', '')"


class PostgresSessions(Sessions):
    """Sessions on a PostgreSQL server.

    Args:
        url: `postgresql://…`.
        readers: connections that read; there is one more that writes.
        synchronous: FULL waits for the server's disk at each COMMIT; NORMAL may lose the last ones when the server crashes.
        read_deadline_s: longest statement of a session that reads, in seconds; None for no limit.
        write_deadline_s: longest turn of a session that writes, in seconds; None for no limit.
        queue_limit: how many may wait for their turn before `Busy` is raised.
        busy_timeout_s: how long one waits for a turn, a connection, or another process's lock, in seconds.
    """

    def __init__(  # noqa: PLR0913  (each is a setting)
        self,
        url: str,
        *,
        readers: int = 8,
        synchronous: Literal["FULL", "NORMAL"] = "FULL",
        read_deadline_s: float | None = 10.0,
        write_deadline_s: float | None = 10.0,
        queue_limit: int = 2000,
        busy_timeout_s: float = 30.0,
        application_id: int = 0,  # noqa: ARG002  (this and the next are SQLite's; they may be given for either)
        page_cache_kib: int = 0,  # noqa: ARG002
    ) -> None:
        self.url, self.shown, self.busy_timeout_s = url, shown(url), busy_timeout_s
        reading = Settings(synchronous, read_deadline_s, busy_timeout_s, read_only=True, in_use=True)
        readers_engine = create_engine(url, reading, size=readers, isolation_level="REPEATABLE READ")
        # The lock makes READ COMMITTED enough: it comes first, so each statement after it sees all that was committed before.
        writing = Settings(synchronous, None, busy_timeout_s, in_use=True)
        self._lock = _lock(write_deadline_s)
        writer = create_engine(url, writing, size=1, overflow=-1, isolation_level="READ COMMITTED", poolclass=TurnPool)
        pool = writer.sync_engine.pool
        assert isinstance(pool, TurnPool)  # noqa: S101  (said above)
        pool.turns = Turns(limit_s=write_deadline_s, wait_s=busy_timeout_s, queue_limit=queue_limit)
        self._pool = pool
        event.listen(writer.sync_engine, "commit", self._finish)
        super().__init__(readers_engine, writer)

    @classmethod
    def open_server(cls, url: str, **settings: Any) -> Self:
        """Sessions on a server that was seen to be one that can be used; see `postgres.check_server` for what it raises."""
        run_apart(partial(check_server, url))
        return cls(url, **settings)

    def begun(self, info: dict[Any, Any], connection: Connection) -> None:
        """See `Sessions.begun`."""
        held = self._pool.given[connection.connection._connection_record]  # noqa: SLF001
        if held.error is not None:
            raise held.error
        connection.info[HELD] = held
        held.info, held.server = info, raw(connection)
        assert held.turn is not None  # noqa: S101  (it was given away with one)
        held.turn.place = info[OPENED_AT]
        held.turn.pause()  # another process's lock is not its fault; lock_timeout limits the wait
        connection.exec_driver_sql(self._lock)
        held.turn.restart()

    @staticmethod
    def _finish(connection: Connection) -> None:
        held = connection.info.get(HELD)
        if held is not None and held.turn is not None and held.info is not None:
            held.info[COMMITTING] = True
            held.turn.restart()

    def is_refused_write(self, error: Exception) -> bool:
        """See `Sessions.is_refused_write`."""
        return sqlstate(error) == "25006"

    def meaning(self, error: Exception) -> BaseException:
        """See `Sessions.meaning`."""
        busy = pool_timeout(error, self.busy_timeout_s)
        if busy is not None:
            return busy
        return meaning(error, self.url)

    async def close(self) -> None:
        """See `Sessions.close`."""
        self._is_closed = True
        self._pool.turns.close()
        for held in self._pool.given.values():
            held.cut_off()
        for engine in self._engines:
            close_when_back(engine)
            await end(engine)
