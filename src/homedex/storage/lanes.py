"""Lanes: the threads on which SQL runs, so that the event loop never waits for it."""

import asyncio
import logging
import queue
import threading
import time
from collections.abc import Callable
from typing import Any

import apsw
from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import DBAPIError

from homedex.errors import HomedexError
from homedex.storage.sqlite import storage_error, truncate_wal, wal_bytes

log = logging.getLogger(__name__)

PROGRESS_STEPS = 20_000
"""Virtual machine steps between two looks at the clock: about every millisecond, too seldom to be felt."""

IDLE_S = 5.0
"""How long the writer must have had nothing to do before it tidies the file."""

WAL_WORTH_CUTTING_BYTES = 4 * 1024 * 1024
OPTIMIZE_EVERY_S = 3600.0


class Job:
    """One function that waits for a lane, and whoever waits for its result."""

    __slots__ = ("_claims", "args", "cancelled", "fn", "future", "kwargs", "loop")

    def __init__(self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.fn, self.args, self.kwargs = fn, args, kwargs
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[Any] = self.loop.create_future()
        self.cancelled = False
        self._claims = [True]

    def claim(self) -> bool:
        """True for the first who asks: the lane that will run it, or the caller who gave up. list.pop is atomic."""
        try:
            self._claims.pop()
        except IndexError:
            return False
        return True

    async def wait(self) -> Any:
        """The function's result, or its error; a caller who is cancelled takes a waiting function with it."""
        try:
            return await self.future
        except asyncio.CancelledError:
            self.cancelled = True
            self.claim()
            raise

    def run(self, connection: Connection) -> Any:
        """The function's own result."""
        return self.fn(connection, *self.args, **self.kwargs)

    def answer(self, result: Any, error: BaseException | None) -> None:
        """Hand over the result from the lane's thread."""
        answer_all([(self, result, error)])


Outcome = tuple[Job, Any, BaseException | None]


def answer_all(outcomes: list[Outcome]) -> None:
    """Wake each event loop once, however many of its callers are answered."""
    by_loop: dict[asyncio.AbstractEventLoop, list[Outcome]] = {}
    for outcome in outcomes:
        by_loop.setdefault(outcome[0].loop, []).append(outcome)
    for loop, own in by_loop.items():
        try:
            loop.call_soon_threadsafe(_settle, own)
        except RuntimeError:  # the loop has been closed: nobody is waiting any more
            log.debug("%d answers had no loop to go to", len(own))


def _settle(outcomes: list[Outcome]) -> None:
    for job, result, error in outcomes:
        if job.future.done():
            continue
        if error is None:
            job.future.set_result(result)
        else:
            job.future.set_exception(error)


def driver(connection: Connection) -> apsw.Connection:
    """The apsw connection under a SQLAlchemy one."""
    return connection.connection.driver_connection.driver  # type: ignore[no-any-return, union-attr]


def meaning(error: BaseException, path: str) -> BaseException:
    """A Homedex error for what the engine reported, or the error itself where it is the function's own."""
    code = getattr(error.orig, "sqlite_errorcode", None) if isinstance(error, DBAPIError) else None
    found = storage_error(code, path) if code is not None else None
    if found is not None:
        found.__cause__ = error
    return found or error


def roll_back(connection: Connection) -> None:
    """End a transaction that a failure left open.

    SQLite keeps a transaction open whose COMMIT failed, while SQLAlchemy thinks that it is over; a function that tried to
    commit by itself leaves SQLAlchemy's half open.
    """
    connection.rollback()
    if driver(connection).in_transaction:
        driver(connection).execute("ROLLBACK")


class Deadline:
    """Stops a connection's statement when its time is up or nobody waits for it any more.

    A progress handler, not `interrupt()`: an interrupt that comes a moment too late stops the next caller's query.
    """

    __slots__ = ("at", "job", "limit_s")

    def __init__(self, connection: apsw.Connection, limit_s: float | None) -> None:
        self.limit_s = limit_s
        self.at = float("inf")
        self.job: Job | None = None
        connection.set_progress_handler(self._passed, PROGRESS_STEPS)

    def start(self, job: Job | None = None) -> None:
        """Begin to count; `job` lets its caller's cancellation stop the statement too."""
        self.job = job
        self.at = float("inf") if self.limit_s is None else time.monotonic() + self.limit_s

    def stop(self) -> None:
        """Let BEGIN and COMMIT take their time."""
        self.at, self.job = float("inf"), None

    def _passed(self) -> bool:
        return time.monotonic() > self.at or (self.job is not None and self.job.cancelled)


class Lane:
    """A thread that holds one connection and runs what its queue brings; the parent of reader and writer.

    Args:
        engine: where its connection comes from.
        jobs: the queue; None in it ends one lane.
        path: the database file, for error sentences.
        limit_s: how long one transaction may take, in seconds; None for no limit.
    """

    def __init__(self, name: str, engine: Engine, jobs: "queue.SimpleQueue[Job | None]", path: str, limit_s: float | None) -> None:
        self.engine, self.jobs, self.path, self.limit_s = engine, jobs, path, limit_s
        self._ready: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._start, name=f"homedex-{name}", daemon=True)

    def open(self) -> None:
        """Start the thread; returns when its connection is open, raises what opening it raised."""
        self._thread.start()
        error = self._ready.get()
        if error is not None:
            self._thread.join()
            raise error

    def join(self) -> None:
        """Wait for the thread to end."""
        self._thread.join()

    def _start(self) -> None:
        try:
            connection = self.engine.connect()
        except BaseException as error:  # noqa: BLE001  (handed to open())
            self._ready.put(error)
            return
        with connection:
            self._ready.put(None)
            self.deadline = Deadline(driver(connection), self.limit_s)
            self.serve(connection)

    def serve(self, connection: Connection) -> None:
        """Run jobs until the queue says None."""
        raise NotImplementedError


class Reader(Lane):
    """Runs one function at a time in a snapshot of its own."""

    def serve(self, connection: Connection) -> None:
        """Run each function in a read transaction."""
        while (job := self.jobs.get()) is not None:
            if not job.claim():
                continue
            self.deadline.start(job)
            try:
                with connection.begin():
                    result = job.run(connection)
                    self.deadline.stop()
            except BaseException as error:  # noqa: BLE001  (it belongs to the caller)
                roll_back(connection)
                job.answer(None, meaning(error, self.path))
            else:
                job.answer(result, None)
            # Until the next job comes, nothing of this one may be kept alive.
            job = result = None


class Undone(Exception):
    """SQLite has rolled back the whole transaction for the sake of one statement."""


class Writer(Lane):
    """Runs all waiting functions in one transaction, each in a savepoint: one COMMIT, one fsync, then everyone is answered."""

    BATCH = 256
    """Most functions in one transaction."""

    BATCH_S = 0.02
    """After this much time no further function joins a transaction, so that other processes get their turn."""

    _inside = False

    def open(self) -> None:
        """See `Lane.open`; from then on a function that commits or rolls back by itself is refused."""
        event.listen(self.engine, "commit", self._refuse)
        event.listen(self.engine, "rollback", self._refuse)
        super().open()

    def _refuse(self, _: Connection) -> None:
        if self._inside:
            raise RuntimeError("a query function may not commit or roll back: Database.write does, for all that wait together")

    def serve(self, connection: Connection) -> None:
        """Take what waits, commit it, answer; tidy the file when nothing has come for a while."""
        apsw_connection, tidy, optimized = driver(connection), True, time.monotonic()
        ended = False
        while not ended:
            try:
                jobs, ended = self._take()
            except queue.Empty:
                tidy = tidy or self._cut_wal(apsw_connection)
                if time.monotonic() - optimized > OPTIMIZE_EVERY_S:
                    optimized = time.monotonic()
                    self._housekeep(apsw_connection, "PRAGMA optimize")
                continue
            if jobs:
                tidy = False
                self._run(jobs, connection)
        self._housekeep(apsw_connection, "PRAGMA optimize")
        truncate_wal(apsw_connection)

    def _take(self) -> tuple[list[Job], bool]:
        """All that waits, and whether the queue has ended; raises queue.Empty after IDLE_S of nothing."""
        jobs: list[Job] = []
        job = self.jobs.get(timeout=IDLE_S)
        while job is not None:
            if job.claim():
                jobs.append(job)
            if len(jobs) == self.BATCH:
                return jobs, False
            try:
                job = self.jobs.get_nowait()
            except queue.Empty:
                return jobs, False
        return jobs, True

    def _run(self, jobs: list[Job], connection: Connection) -> None:
        """Answer every job, in as few transactions as time and errors allow."""
        while jobs:
            outcomes: list[Outcome] = []
            try:
                with connection.begin():
                    self._fill(outcomes, jobs, connection)
            except Undone:
                # The culprit has its answer. What ran before it in this transaction was undone with it, and runs again.
                answer_all(outcomes[-1:])
                jobs = [job for job in jobs if job is not outcomes[-1][0]]
            except BaseException as error:  # noqa: BLE001  (BEGIN or COMMIT failed: nobody may hear of success)
                failure = meaning(error, self.path)
                roll_back(connection)
                if len(jobs) > 1 and not isinstance(failure, HomedexError):
                    # A constraint that is checked at COMMIT is the fault of one of them: each goes alone.
                    for job in jobs:
                        self._run([job], connection)
                else:
                    answer_all([(job, None, failure) for job in jobs])
                return
            else:
                answer_all(outcomes)
                jobs = jobs[len(outcomes) :]

    def _fill(self, outcomes: list[Outcome], jobs: list[Job], connection: Connection) -> None:
        """Run functions into the open transaction until they or the time are used up."""
        apsw_connection, started = driver(connection), time.monotonic()
        for job in jobs:
            if len(jobs) == 1:  # its savepoint would be the transaction itself
                outcomes.append((job, self._call(job, connection), None))
                return
            apsw_connection.execute("SAVEPOINT job")
            try:
                outcomes.append((job, self._call(job, connection), None))
            except BaseException as error:
                outcomes.append((job, None, meaning(error, self.path)))
                if not apsw_connection.in_transaction:
                    raise Undone from error
                apsw_connection.execute("ROLLBACK TO job")
            apsw_connection.execute("RELEASE job")
            if time.monotonic() - started > self.BATCH_S:
                return

    def _call(self, job: Job, connection: Connection) -> Any:
        self.deadline.start()
        self._inside = True
        try:
            return job.run(connection)
        finally:
            self._inside = False
            self.deadline.stop()

    def _cut_wal(self, connection: apsw.Connection) -> bool:
        """Cut a WAL that a burst or a long reader let grow; true when nothing is left to do."""
        return wal_bytes(self.path) < WAL_WORTH_CUTTING_BYTES or truncate_wal(connection)

    def _housekeep(self, connection: apsw.Connection, statement: str) -> None:
        try:
            connection.execute(statement)
        except apsw.Error as error:  # better statistics can wait; the next write will meet the same fault and report it
            log.warning("%s was not possible: %s", statement, error)
