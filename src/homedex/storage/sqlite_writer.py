"""The lane that writes to SQLite: group commit, and the care of the write-ahead log."""

import contextlib
import logging
import os
import queue
import sys
import threading
import time
from collections import deque
from typing import Any

import apsw
from sqlalchemy import Connection, event

from homedex.errors import HomedexError, StorageUnavailable
from homedex.storage import ending
from homedex.storage.jobs import Job, Outcome, answer, done_at_once, first_alike, put_back
from homedex.storage.lanes import UNFINISHED, Lane, Unfinished, check_file, check_same, is_unfinished, roll_back
from homedex.storage.rows import driver
from homedex.storage.sqlite import busy_handler, truncate_wal, wal_bytes

log = logging.getLogger(__name__)

IDLE_S = 5.0
"""How long the writer must have had nothing to do before it tidies the file."""

TIDY_WAIT_S = 0.1
"""How long tidying waits for readers, in whose way it would stand."""

CHECKPOINT_PAGES = 1000
"""From how many pages on the write-ahead log is written back: SQLite's own number."""

BACKLOG_PAGES = 4 * CHECKPOINT_PAGES
"""From how many pages on the log is written back beside the writes, not between them."""

WAL_WORTH_CUTTING_BYTES = 4 * 1024 * 1024
WAL_WORTH_A_WARNING_BYTES = 64 * 1024 * 1024
OPTIMIZE_EVERY_S = 3600.0


NOT_THEIRS = "a query function of another request left a statement unfinished. Nothing was written. Try again."


class Undone(Exception):
    """The whole transaction was rolled back under one function."""


def is_over(connection: Connection, raw: apsw.Connection) -> bool:
    """Whether the transaction has ended under a function: for SQLite, for SQLAlchemy, or with the connection itself."""
    try:
        return not (raw.in_transaction and connection.in_transaction())
    except apsw.ConnectionClosedError:
        return True


def give_way(steps: int) -> None:
    """Let this thread have less of a core than the process's others where they share one; on Linux, which alone can."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), os.getpriority(os.PRIO_PROCESS, os.getpid()) + steps)


class Writer(Lane):
    """Runs all waiting functions in one transaction, each in a savepoint: one COMMIT, one fsync, then everyone is answered."""

    BATCH = 256
    """Most functions in one transaction."""

    BATCH_S = 0.02
    """After this much time no further function joins a transaction, so that other processes get their turn."""

    NICE = 2
    """Steps by which the event loop and the readers come before it: on one core, while as much is written as it takes, reads are
    2 to 3 times as many then and writes no fewer; with 4 steps writes halve (2026-11)."""

    def __init__(self, *args: Any, busy_timeout_s: float) -> None:
        super().__init__(*args)
        self.busy_timeout_s = busy_timeout_s
        self._inside = False
        self._wal_pages = self._written_back = 0
        self._due_at = CHECKPOINT_PAGES
        self._relief: threading.Thread | None = None
        self._warn_at = WAL_WORTH_A_WARNING_BYTES
        event.listen(self.engine, "commit", self._refuse_by_name)
        event.listen(self.engine, "rollback", self._refuse_by_name)

    def _refuse_by_name(self, _: Connection) -> None:
        if self._inside:
            raise RuntimeError("a query function may not commit or roll back: Database.write does, for all that wait together")

    def serve(self, connection: Connection) -> None:
        """Take what waits, commit it, answer; tidy the file when nothing has come for a while."""
        give_way(self.NICE)
        raw, tidy, optimized = driver(connection), True, time.monotonic()
        # Whatever ends the transaction under a function, nothing that it does afterwards may be committed by itself.
        raw.set_commit_hook(lambda: self._inside)
        raw.set_wal_hook(self._count_pages)  # in the place of SQLite's own, which writes the log back before COMMIT returns
        ended = False
        while not ended:
            try:
                jobs, ended = self._take()
            except queue.Empty:
                tidy = tidy or self._cut_wal(raw)
                if time.monotonic() - optimized > OPTIMIZE_EVERY_S:
                    optimized = time.monotonic()
                    self._optimize(raw)
                continue
            tidy = False
            try:
                self._run(deque(jobs), connection)
                check_same(connection, raw)
            except BaseException as error:
                told = StorageUnavailable(NOT_THEIRS) if isinstance(error, Unfinished) else self.damage.meaning(error)
                answer((job, None, told) for job in jobs)
                if not ended:  # a new connection would wait for an end of the queue that has come already
                    raise
        if self._relief is not None:
            self._relief.join()
        self._optimize(raw)
        self._truncate(raw)

    def _take(self) -> tuple[list[Job], bool]:
        """All that waits, and whether the queue has ended; raises queue.Empty after IDLE_S of nothing."""
        jobs: list[Job] = []
        job = self.jobs.get(timeout=IDLE_S)
        while job is not None:
            jobs.append(job)
            if len(jobs) == self.BATCH:
                return jobs, False
            try:
                job = self.jobs.get_nowait()
            except queue.Empty:
                return jobs, False
        return jobs, True

    def _run(self, waiting: deque[Job], connection: Connection) -> None:
        """Answer every job, in as few transactions as time and errors allow."""
        while waiting:
            outcomes: list[Outcome] = []
            try:
                self.damage.check()
                check_file(self.path, self._file)
                with connection.begin() as transaction:
                    self._fill(outcomes, waiting, driver(connection), connection)
                    self.damage.check()  # one of them, or a reader meanwhile, may have met it
                    if all(error is not None for _, _, error in outcomes):
                        transaction.rollback()  # a COMMIT would write, and flush, pages that are as they were
            except Undone:
                # The culprit has its answer. What ran before it in this transaction was undone with it, and runs again.
                answer([outcomes.pop()])
                waiting.extendleft(job for job, _, _ in reversed(outcomes))
                roll_back(connection)
            except Unfinished:
                answer([(outcomes.pop()[0], None, RuntimeError(UNFINISHED))])
                raise
            except BaseException as error:  # noqa: BLE001  (BEGIN or COMMIT failed: nobody may hear of success)
                self._fail(error, outcomes, waiting, connection)
            else:
                answer(outcomes)
                if is_unfinished(driver(connection)):  # it has only read; whose it was cannot be told any more
                    log.error("%s; the lane opens another connection", UNFINISHED)
                    raise Unfinished
                self._write_back(driver(connection))

    def _count_pages(self, _: apsw.Connection, _schema: str, pages: int) -> int:
        if pages < self._wal_pages:  # all of it was written back, and it began anew
            self._due_at, self._written_back = CHECKPOINT_PAGES, 0
        self._wal_pages = pages
        return apsw.SQLITE_OK

    def _write_back(self, raw: apsw.Connection) -> None:
        """Write a log that has grown back into the file, once its callers have their answers: 25 ms after 10,000 rows (2026-11)."""
        if self._wal_pages < self._due_at or self.damage.found:
            return
        self._due_at = self._wal_pages + CHECKPOINT_PAGES  # while a reader needs the log, each try would go through all of it
        if self._wal_pages - self._written_back >= BACKLOG_PAGES:
            self._have_it_relieved()
            return
        try:
            logged, self._written_back = raw.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
            if self._written_back < logged:
                self._warn_of_growth()
        except apsw.BusyError:  # another process does it
            return
        except apsw.Error as error:  # the next write will meet the same fault and report it
            log.warning("the write-ahead log of %s could not be written back: %s", self.path, self.damage.meaning(error))

    def _have_it_relieved(self) -> None:
        """Have what a long reader kept in the log written back beside the writes: 67 MB took them 62 ms after a backup (2026-11).

        The rest, which is written meanwhile, is the writer's own again: only who writes can find the log done with and begin anew.
        """
        if self._relief is None or not self._relief.is_alive():
            self._relief = threading.Thread(target=self._relieve, name="homedex-relief", daemon=True)
            self._relief.start()

    def _relieve(self) -> None:
        try:
            with self.engine.connect() as connection:
                logged, self._written_back = driver(connection).wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
            if self._written_back < logged - BACKLOG_PAGES:
                self._warn_of_growth()
        except Exception as error:  # noqa: BLE001  (the next write will meet the same fault and report it)
            log.warning("the write-ahead log of %s could not be written back: %s", self.path, self.damage.meaning(error))

    def _warn_of_growth(self) -> None:
        """Say that a reader keeps the log from being written back, once it is large and each time it has doubled."""
        size = wal_bytes(self.path)
        if size < self._warn_at:
            return
        self._warn_at = 2 * size
        log.warning(
            "the write-ahead log of %s has grown to %d MB: a backup for some seconds, or a reader that does not end, keeps it from "
            "being written back. Nothing is lost, and it is cut when that ends. If it was no backup, look for who has it open.",
            *(self.path, size // 1_000_000),
        )

    def _fail(self, error: BaseException, outcomes: list[Outcome], waiting: deque[Job], connection: Connection) -> None:
        """Answer for a transaction that did not begin (then for all that wait) or did not commit (for those that were in it)."""
        failure = self.damage.meaning(error)
        if len(outcomes) > 1 and not isinstance(failure, HomedexError):
            # A constraint that is checked at COMMIT is the fault of one of them: each goes alone.
            roll_back(connection)
            for job, _, _ in outcomes:
                self._run(deque([job]), connection)
            return
        answer((job, None, own or failure) for job, _, own in outcomes)
        if not outcomes:
            answer((job, None, failure) for job in waiting)
            waiting.clear()
        roll_back(connection)

    def _fill(self, outcomes: list[Outcome], waiting: deque[Job], raw: apsw.Connection, connection: Connection) -> None:
        """Move functions from `waiting` into the open transaction, and their outcomes to `outcomes`, until time is up."""
        started = time.monotonic()
        ending.begin(connection)
        while waiting and time.monotonic() - started <= self.BATCH_S:
            jobs = first_alike(waiting)
            if not jobs:
                continue
            asked = ending.mark(connection)
            try:
                raw.execute("SAVEPOINT job")
            except BaseException:
                waiting.extendleft(reversed(jobs))  # they have not run, and whoever handles this answers what waits
                raise
            done = self._at_once(jobs, raw, connection) if len(jobs) > 1 else [self._outcome(jobs[0], raw, connection)]
            if isinstance(done, BaseException):
                put_back(jobs, waiting)
                # Where the transaction is lost, it is the fault of one of them: the first is told, and the others run again.
                done = [(waiting.popleft(), None, done)] if is_over(connection, raw) else []
            outcomes += done
            if is_over(connection, raw):
                raise Undone
            if not done or (len(done) == 1 and done[0][2] is not None):
                raw.execute("ROLLBACK TO job")
                ending.drop(connection, asked)
            try:
                raw.execute("RELEASE job")
            except apsw.BusyError:  # no lock is asked for here: it says that a statement which writes still runs
                raise Unfinished from None
        ending.finish(connection)

    def _at_once(self, jobs: list[Job], raw: apsw.Connection, connection: Connection) -> list[Outcome] | BaseException:
        """Do calls of one function at once: what became of each, or why each has to go alone."""
        self.deadline.start()
        self._inside = True
        try:
            done = done_at_once(jobs, connection)
            self.deadline.check()
        except BaseException as error:  # noqa: BLE001  (alone, the one whose fault it is has it)
            return self.damage.meaning(error)
        finally:
            self._inside = False
            self.deadline.stop()
        if is_over(connection, raw):
            return RuntimeError("the transaction was rolled back under a query function, which went on all the same")
        return done

    def _outcome(self, job: Job, raw: apsw.Connection, connection: Connection) -> Outcome:
        self.deadline.start()
        self._inside = True
        try:
            result = job.fn(connection, *job.args, **job.kwargs)
            self.deadline.check()
        except BaseException as error:  # noqa: BLE001  (it belongs to the caller)
            return job, None, self.damage.meaning(error)
        finally:
            self._inside = False
            self.deadline.stop()
        if is_over(connection, raw):
            return job, None, RuntimeError("the transaction was rolled back under a query function, which went on all the same")
        return job, result, None

    def _cut_wal(self, raw: apsw.Connection) -> bool:
        """Cut a WAL that a burst or a long reader let grow; true when nothing is left to do."""
        try:
            return wal_bytes(self.path) < WAL_WORTH_CUTTING_BYTES or self._truncate(raw)
        except OSError as error:
            log.warning("the size of the write-ahead log of %s cannot be seen: %s", self.path, error)
            return True

    def _truncate(self, raw: apsw.Connection) -> bool:
        if self.damage.found:
            return True
        try:
            raw.set_busy_handler(busy_handler(TIDY_WAIT_S))
            cut = truncate_wal(raw)
            if cut and self._warn_at > WAL_WORTH_A_WARNING_BYTES:
                log.info("the write-ahead log of %s has been written back and cut", self.path)
                self._warn_at = WAL_WORTH_A_WARNING_BYTES
            return cut  # noqa: TRY300  (what follows is the fault's)
        except apsw.Error as error:  # the next write will meet the same fault and report it
            log.warning("the write-ahead log of %s could not be written back: %s", self.path, self.damage.meaning(error))
            return True
        finally:
            with contextlib.suppress(apsw.ConnectionClosedError):
                raw.set_busy_handler(busy_handler(self.busy_timeout_s))

    def _optimize(self, raw: apsw.Connection) -> None:
        if self.damage.found:
            return
        try:
            raw.execute("PRAGMA optimize")
        except apsw.Error as error:  # better statistics can wait
            log.warning("PRAGMA optimize was not possible: %s", self.damage.meaning(error))
