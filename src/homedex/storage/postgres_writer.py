"""The one connection that writes to PostgreSQL, on a thread and an event loop of its own.

A function that reads, decides and writes loses updates under READ COMMITTED: 177 of 200 were lost when two did so at once. So every
writing transaction takes an advisory lock first: there is one writer at a time, as on SQLite, in all processes together. What waits
in a process shares a transaction, so that the lock and the disk are paid for once. SERIALIZABLE would let transactions overlap, but
160 of 200 had to run again, and numbers in `changes` would be seen out of order: who asks for what came after 41 would miss a 40
that is committed later (measured 2026-11, PostgreSQL 18.4).

The thread is for the functions' sake: 10,000 edits are half a second of Python, in which the loop that answers requests may not
stand.
"""

import asyncio
import logging
import re
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from sqlalchemy import Connection, event
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.util import await_only

from homedex.errors import HomedexError, QueryTimeout, StorageUnavailable
from homedex.storage import ending
from homedex.storage.jobs import Job, Outcome, answer, done_at_once, first_alike, put_back
from homedex.storage.listening import Listener
from homedex.storage.postgres import (
    WRITE_LOCK,
    Session,
    create_engine,
    end,
    give_up,
    is_lost,
    is_worth_another_try,
    meaning,
    raw,
    sqlstate,
)
from homedex.storage.urls import shown

log = logging.getLogger(__name__)

BATCH, BATCH_S = 256, 0.02
"""Most functions in one transaction, and after how much time none joins it, so that other processes get their turn."""

RETRY_S = 0.02
BEGIN_WRITE = (
    "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL statement_timeout = 0; "
    f"SELECT pg_advisory_xact_lock({WRITE_LOCK})"  # sees all that was before the lock; lock_timeout is what limits the wait
)
TELL = "SELECT CASE WHEN pg_current_xact_id_if_assigned() IS NULL THEN NULL ELSE pg_notify('homedex', $1)::text END"
WENT_ON = "a statement failed under a query function, which went on all the same"
NOT_AS_IT_WAS = {"25P02", "3B001"}
"""The transaction is aborted, or the savepoint is not there: a function has left them so."""
ENDED = "a query function may not commit or roll back: Database.write does, for all that wait together"
ENDING = re.compile(r"(?is)(?:\s|--[^\n]*|/\*.*?\*/)*(?:COMMIT|END|ABORT|ROLLBACK(?!.*\bTO\b)|BEGIN|START|PREPARE\s+TRANSACTION)\b")
POSITION = "SELECT pg_current_wal_insert_lsn()::text"
NOWHERE = "FFFFFFFF/FFFFFFFF"
"""The place in the log that no standby reaches."""


class Writer:
    """Runs all waiting functions in one transaction under the lock of all processes, and hears of the others' commits.

    Args:
        url: the server.
        session: of its connection; `statement_s` is the longest that one function may take, not counting its wait for the lock.
        retries: how often a transaction is run again that failed by no fault of its own: deadlock, lost connection.
        has_replica: whether the place of each commit in the server's log is wanted.
        listens: whether to hear of the others' commits.
    """

    def __init__(self, url: str, session: Session, *, retries: int, has_replica: bool, listens: bool) -> None:
        self.url, self.shown, self.limit_s = url, shown(url), session.statement_s
        self.retries, self.has_replica = retries, has_replica
        self.boot = secrets.token_hex(4)
        self.commits = 0
        self.position: str | None = None  # in the server's log, after the last commit that this process knows of
        self._engine = create_engine(url, session, size=1)
        for name in ("commit", "rollback"):
            event.listen(self._engine.sync_engine, name, self._refuse_by_name)
        event.listen(self._engine.sync_engine, "before_cursor_execute", self._refuse_by_text)
        limit_ms = session.settings()["statement_timeout"]
        self._begin = f"{BEGIN_WRITE}; SET LOCAL statement_timeout = {limit_ms}"
        self.listener = Listener(url, Session(lock_s=session.lock_s, in_use=True), self.boot, self._hear)
        self._listens = listens
        self._inside = False
        self._connection: AsyncConnection | None = None
        self._waiting: deque[Job] = deque()
        self._writing: asyncio.Task[None] | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._live, name="homedex-writer", daemon=True)

    @property
    def waiting_count(self) -> int:
        """How many functions wait."""
        return len(self._waiting)

    def open(self) -> None:
        """Start the thread."""
        self._thread.start()

    def submit(self, job: Job) -> None:
        """Have a function run; its caller is answered on its own loop."""
        self._waiting.append(job)
        self._loop.call_soon_threadsafe(self._wake)

    def close(self) -> None:
        """Run what still waits, then end the thread. Blocks."""
        try:
            asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()

    def _live(self) -> None:
        asyncio.set_event_loop(self._loop)
        if self._listens:
            self._loop.call_soon(self.listener.start)
        self._loop.run_forever()
        self._loop.close()

    def _wake(self) -> None:
        if self._writing is None or self._writing.done():
            self._writing = self._loop.create_task(self._write_all_that_waits())

    async def _end(self) -> None:
        if self._writing is not None:
            await asyncio.wait([self._writing])
        await self.listener.stop()
        if self._connection is not None:
            await self._connection.close()
        await end(self._engine)

    async def _hear(self, position: str | None) -> None:
        """Another process has committed. Its place may be told after that of a later commit of our own, which then counts."""
        self.position = max(self.position or "0/0", position or "0/0", key=_bytes_of)
        self.commits += 1  # after the place: who sees the new revision must not read from a standby that lacks it

    async def _write_all_that_waits(self) -> None:
        while self._waiting:
            jobs = deque(self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting))))
            while jobs:
                await self._write_together(jobs)

    async def _write_together(self, jobs: deque[Job]) -> None:
        """Answer the first of `jobs`, in one transaction, as many as time and errors allow; the rest stays."""
        outcomes: list[Outcome] = []
        for left in range(self.retries, -1, -1):
            try:
                connection = await self._connected()
                await connection.run_sync(self._transaction, jobs, outcomes)
            except BaseException as error:
                lost = is_lost(error)
                await self._roll_back(lost=lost or not isinstance(error, Exception))
                if not isinstance(error, Exception):
                    answer(
                        (job, None, StorageUnavailable("the service was stopped. Nothing was written.")) for job, _, _ in outcomes
                    )
                    raise
                if left and not isinstance(error, _Unknown) and (lost or is_worth_another_try(error)):
                    self._take_back(outcomes, jobs)
                    await asyncio.sleep(RETRY_S * 2 ** (self.retries - left))
                    continue
                await self._fail(error, outcomes, jobs)
            else:
                answer(outcomes)
            return

    @staticmethod
    def _take_back(outcomes: list[Outcome], jobs: deque[Job]) -> None:
        """Have what was in a lost transaction run again, but for what took too long: it would once more."""
        answer(outcome for outcome in outcomes if isinstance(outcome[2], QueryTimeout))
        jobs.extendleft(job for job, _, own in reversed(outcomes) if not isinstance(own, QueryTimeout))
        outcomes.clear()

    async def _fail(self, error: Exception, outcomes: list[Outcome], jobs: deque[Job]) -> None:
        """Answer for a transaction that did not begin (then for all that wait) or did not commit (for those that were in it)."""
        failure = StorageUnavailable(str(error)) if isinstance(error, _Unknown) else meaning(error, self.url)
        if len(outcomes) > 1 and (not isinstance(failure, HomedexError) or is_worth_another_try(error)):
            for job, _, _ in outcomes:  # a deadlock, or a constraint checked at COMMIT, is one function's fault: each goes alone
                await self._write_together(deque([job]))
            return
        answer((job, None, own or failure) for job, _, own in outcomes)
        if not outcomes:
            answer((job, None, failure) for job in jobs)
            jobs.clear()

    async def _connected(self) -> AsyncConnection:
        if self._connection is None or self._connection.closed:
            self._connection = await self._engine.connect()
        return self._connection

    async def _roll_back(self, *, lost: bool) -> None:
        """Leave no transaction open; a connection that is lost, or that was interrupted in the middle of something, is given up."""
        if self._connection is None:
            return
        connection, self._inside = self._connection, False
        if not lost:
            try:
                await connection.run_sync(lambda one: await_only(raw(one).execute("ROLLBACK")))
            except Exception as error:  # noqa: BLE001  (there is nothing left to roll back; the next write opens another)
                log.warning("the connection that writes to %s is given up: %s", self.shown, meaning(error, self.url))
            else:
                return
        self._connection = None
        await give_up(connection)

    def _transaction(self, connection: Connection, jobs: deque[Job], outcomes: list[Outcome]) -> None:
        """Move functions from `jobs` into one transaction, and their outcomes to `outcomes`, and commit it."""
        server, alone = raw(connection), len(jobs) == 1
        started = time.monotonic()
        await_only(server.execute(self._begin if alone else f"{self._begin}; SAVEPOINT job"))
        ending.begin(connection)
        locked = time.monotonic()
        if locked - started > BATCH_S:
            log.debug("waited %.3f s for the write lock", locked - started)
        while jobs and time.monotonic() - locked <= BATCH_S:
            some = first_alike(jobs)
            if not some:
                continue
            asked, place = ending.mark(connection), len(outcomes)
            outcomes += [(job, None, None) for job in some]
            done = self._at_once(some, connection) if len(some) > 1 else [self._outcome(some[0], connection)]
            if not server.is_in_transaction() and not server.is_closed():
                outcomes[place:] = [(job, None, RuntimeError(ENDED)) for job in some]
                raise _Unknown("a query function of another request ended the transaction. Whether this was written is not known.")
            fault = done[0][2] if len(done) == 1 else None
            if fault is None and done and not alone:
                fault = self._released(connection)
                done = done if fault is None else [(some[0], None, fault)] if len(some) == 1 else []
            outcomes[place:] = done
            if not done:
                put_back(some, jobs)
            if not done or fault is not None:
                ending.drop(connection, asked)
                if alone:
                    break
                await_only(server.execute("ROLLBACK TO SAVEPOINT job"))
        self._commit(connection, outcomes)

    def _outcome(self, job: Job, connection: Connection) -> Outcome:
        try:
            return job, self._called(partial(job.fn, connection, *job.args, **job.kwargs), connection), None
        except _Own as own:
            return job, None, own.error

    def _at_once(self, jobs: list[Job], connection: Connection) -> list[Outcome]:
        """Do calls of one function at once: what became of each, or nothing where each has to go alone."""
        try:
            return self._called(partial(done_at_once, jobs, connection), connection)  # type: ignore[no-any-return]
        except BaseException as error:
            for job in jobs:  # whatever becomes of the transaction
                job.alone = True
            if not isinstance(error, _Own):
                raise
            if error.__cause__ is not None and is_lost(error.__cause__):  # alone, one of them would be told; nobody is at fault yet
                raise error.__cause__ from None
            return []

    def _called(self, call: Callable[[], Any], connection: Connection) -> Any:
        """The result of a query function.

        Raises:
            _Own: it has failed by itself; any other error is the transaction's.
        """
        began, self._inside = time.monotonic(), True
        try:
            result = call()
        except BaseException as error:
            if (is_lost(error) or is_worth_another_try(error)) and not self._is_late(began):
                raise
            raise _Own(self._late() if is_lost(error) else meaning(error, self.url)) from error
        finally:
            self._inside = False
            own = connection.get_transaction()
            if own is not None and not own.is_active:  # a refused commit() would make SQLAlchemy refuse the next function, too
                own.close()
        if self._is_late(began):
            raise _Own(self._late())
        return result

    def _is_late(self, began: float) -> bool:
        return self.limit_s is not None and time.monotonic() - began > self.limit_s

    @staticmethod
    def _late() -> QueryTimeout:
        return QueryTimeout("the function took longer than allowed and was undone.")

    def _released(self, connection: Connection) -> BaseException | None:
        """Make the savepoint one with the transaction, and a new one for what follows; why that cannot be, else None."""
        try:
            await_only(raw(connection).execute("RELEASE SAVEPOINT job; SAVEPOINT job"))
        except Exception as error:
            if is_lost(error):
                raise
            if sqlstate(error) not in NOT_AS_IT_WAS:
                return meaning(error, self.url)
            fault = RuntimeError(WENT_ON)
            fault.__cause__ = error
            return fault
        return None

    def _commit(self, connection: Connection, outcomes: list[Outcome]) -> None:
        server = raw(connection)
        if all(error is not None for _, _, error in outcomes):
            await_only(server.execute("ROLLBACK"))
            return
        try:
            ending.finish(connection)
            written = await_only(server.fetchval(TELL, self.boot)) is not None
        except Exception as error:
            if sqlstate(error) == "25P02":
                raise RuntimeError(WENT_ON) from error
            raise
        try:
            await_only(server.execute("COMMIT" if written else "ROLLBACK"))
        except Exception as error:
            if is_lost(error):
                if written:  # who looks whether it stands has to look where it would be
                    self.position = NOWHERE
                    self.commits += 1
                raise _Unknown(
                    f"{self.shown} hung up while it committed. Whether this was written is not known: "
                    "read it again before you repeat it."
                ) from error
            if sqlstate(error).startswith("23"):
                raise IntegrityError("COMMIT", None, error) from error
            raise
        if written and self.has_replica:
            self.position = self._reached(server)
        self.commits += written

    def _reached(self, server: Any) -> str:
        """What a standby must have replayed before it may answer. The commit stands, whether this can be learned or not."""
        try:
            return str(await_only(server.fetchval(POSITION)))
        except Exception as error:  # noqa: BLE001  (until the next commit no standby is asked)
            log.warning("the place of a commit is not known: %s", meaning(error, self.url))
            return NOWHERE

    def _refuse_by_name(self, _: Connection) -> None:
        if self._inside:
            raise RuntimeError(ENDED)

    def _refuse_by_text(self, _: Connection, __: Any, statement: str, *___: object) -> None:
        if self._inside and ENDING.match(statement):
            raise RuntimeError(ENDED)


def _bytes_of(position: str) -> int:
    """How many bytes of the log are before a position: `16/B374D848` is its upper and its lower half, in hexadecimal."""
    upper, lower = position.split("/")
    return (int(upper, 16) << 32) + int(lower, 16)


class _Own(Exception):
    """Carries the error of a query function that is not the transaction's."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(str(error))
        self.error = error


class _Unknown(Exception):
    """Whether the transaction was committed cannot be known: the connection broke in the middle of COMMIT."""
