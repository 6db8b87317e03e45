"""Lanes: the threads on which SQL runs, so that the event loop never waits for it."""

import contextlib
import logging
import os
import queue
import threading

import apsw
from sqlalchemy import Connection, Engine

from homedex.errors import StorageUnavailable
from homedex.storage.damage import Damage
from homedex.storage.jobs import Deadline, Job, answer
from homedex.storage.rows import driver
from homedex.storage.sqlite import PUT_BACK

log = logging.getLogger(__name__)


def roll_back(connection: Connection) -> None:
    """End a transaction that a failure left open.

    SQLite keeps a transaction open whose COMMIT failed, while SQLAlchemy thinks that it is over; a function that tried to
    commit by itself leaves SQLAlchemy's half open.
    """
    connection.rollback()
    if driver(connection).in_transaction:
        driver(connection).execute("ROLLBACK")


UNFINISHED = "a query function left a statement of the driver unfinished: read its rows to the end, or close its cursor"


class Unfinished(Exception):
    """A statement that a function left behind keeps its connection in the middle of something, so another is opened."""


def is_unfinished(raw: apsw.Connection) -> bool:
    """Whether a statement still runs after its transaction has ended: what comes next would see what it sees."""
    return raw.txn_state() != apsw.SQLITE_TXN_NONE


def check_same(connection: Connection, raw: apsw.Connection) -> None:
    """Raise if SQLAlchemy has put another connection in the place of one that broke: it lacks the lane's handlers."""
    if connection.invalidated or driver(connection) is not raw:
        raise StorageUnavailable("the connection to the database broke.")


def identity(path: str) -> tuple[int, int]:
    """Which file is at a path. A stat, never an open."""
    found = os.stat(path)  # noqa: PTH116  (2 us; pathlib doubles it)
    return found.st_dev, found.st_ino


def check_file(path: str, opened: tuple[int, int]) -> None:
    """Refuse a file that is no longer the one at its path: a write into it would be acknowledged, and gone at the next start."""
    try:
        found: tuple[int, int] | None = identity(path)
    except FileNotFoundError:
        found = None
    except OSError as error:  # a folder above it may not be entered, or its disk does not answer
        reason = f"{path} cannot be reached any more: {error.strerror}. Check that this user may enter its folder."
        raise StorageUnavailable(f"{reason} Nothing was written.") from error
    if found != opened:
        raise StorageUnavailable(f"{path} was removed or replaced while it was in use. {PUT_BACK} Nothing was written.")


class Lane:
    """A thread that holds one connection and runs what its queue brings; the parent of reader and writer.

    A connection that fails in a way that no function's error explains is given up, and a new one opened. While none can be
    had, whoever asks is told why: a lane never dies with callers waiting.

    Args:
        engine: where its connection comes from.
        jobs: the queue; None in it ends one lane.
        damage: what is known to be wrong with the database file.
        limit_s: how long one function may take, in seconds; None for no limit.
    """

    def __init__(
        self, name: str, engine: Engine, jobs: "queue.SimpleQueue[Job | None]", damage: Damage, limit_s: float | None
    ) -> None:
        self.engine, self.jobs, self.damage, self.limit_s = engine, jobs, damage, limit_s
        self.path = damage.path
        self._opened: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._live, name=f"homedex-{name}", daemon=True)

    def open(self) -> None:
        """Start the thread; returns when its connection is open, raises what opening it raised."""
        self._thread.start()
        error = self._opened.get()
        if error is not None:
            self._thread.join()
            raise error

    def join(self) -> None:
        """Wait for the thread to end."""
        self._thread.join()

    def _live(self) -> None:
        try:
            connection = self.engine.connect()
        except BaseException as error:  # noqa: BLE001  (handed to open())
            self._opened.put(error)
            return
        self._file = identity(self.path)
        self._opened.put(None)
        while not self._serve_until_it_breaks(connection):
            while True:
                try:
                    check_file(self.path, self._file)
                    connection = self.engine.connect()
                    break
                except BaseException as error:  # noqa: BLE001  (handed to whoever asks next)
                    if not self._refuse_one(error):
                        return

    def _serve_until_it_breaks(self, connection: Connection) -> bool:
        """Whether the lane ended as it was told to."""
        try:
            self.deadline = Deadline(driver(connection), self.limit_s)
            self.serve(connection)
        except BaseException:
            log.exception("a connection to %s broke; the lane opens another", self.path)
            return False
        finally:
            with contextlib.suppress(Exception):  # what is broken may not close either
                self.damage.spare(driver(connection))
            with contextlib.suppress(Exception):
                connection.close()
        return True

    def _refuse_one(self, error: BaseException) -> bool:
        """Tell the next caller why there is no connection; false when the queue has ended."""
        job = self.jobs.get()
        if job is not None and job.start():
            answer([(job, None, self.damage.meaning(error))])
        return job is not None

    def serve(self, connection: Connection) -> None:
        """Run jobs until the queue says None."""
        raise NotImplementedError


class Reader(Lane):
    """Runs one function at a time in a snapshot of its own."""

    def serve(self, connection: Connection) -> None:
        """Run each function in a read transaction."""
        raw = driver(connection)
        while (job := self.jobs.get()) is not None:
            if not job.start():
                continue
            self.deadline.start(job)
            try:
                with connection.begin():
                    result = job.fn(connection, *job.args, **job.kwargs)
                    self.deadline.stop()
            except BaseException as error:  # noqa: BLE001  (it belongs to the caller)
                answer([(job, None, self.damage.meaning(error, query_only=True))])
                self.deadline.stop()
                roll_back(connection)
                check_same(connection, raw)
            else:
                if is_unfinished(raw):
                    answer([(job, None, RuntimeError(UNFINISHED))])
                    raise Unfinished
                answer([(job, result, None)])
            # Until the next job comes, nothing of this one may be kept alive.
            job = result = None
