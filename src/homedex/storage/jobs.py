"""Jobs: one function that waits for a lane, how its caller hears of it, and how long it may take."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import apsw
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from homedex.errors import QueryTimeout
from homedex.storage.sqlite import storage_error

log = logging.getLogger(__name__)

F = TypeVar("F", bound=Callable[..., Any])

PROGRESS_STEPS = 20_000
"""Virtual machine steps between two looks at the clock: about every millisecond, too seldom to be felt."""


@dataclass(frozen=True, slots=True)
class Together:
    """How calls of one write function that wait at the same time are done at once, as if one after another.

    Args:
        many: `many(connection, [args, …])` gives each call's result, or its error if it has written nothing. If it raises, all is
            undone and each call goes alone.
        apart: `apart(*args)` is what no two of them may have alike; None for a call that goes alone.
    """

    many: Callable[..., Sequence[Any]]
    apart: Callable[..., Hashable | None]


def together(many: Callable[..., Sequence[Any]], apart: Callable[..., Hashable | None]) -> Callable[[F], F]:
    """Mark a write function as one of which several calls may be done at once; see `Together`."""

    def mark(fn: F) -> F:
        fn.together = Together(many, apart)  # type: ignore[attr-defined]
        return fn

    return mark


class Job:
    """One function that waits for a lane, and whoever waits for its result.

    Attributes:
        alone: it has failed together with others, and is not done at once with others again.
    """

    __slots__ = ("_claims", "_started", "alone", "args", "cancelled", "fn", "future", "kwargs", "loop")

    def __init__(self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.fn, self.args, self.kwargs = fn, args, kwargs
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[Any] = self.loop.create_future()
        self.cancelled = self.alone = False
        self._started = False
        self._claims = [True]

    def start(self) -> bool:
        """True if the lane may run it, now or (after its transaction was undone) once more; false if its caller gave up first."""
        self._started = self._started or self._claim()
        return self._started

    def _claim(self) -> bool:
        """True for the first who asks, the lane or the caller who gives up. list.pop is atomic."""
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
            self._claim()
            raise


Outcome = tuple[Job, Any, BaseException | None]


def first_alike(waiting: deque[Job]) -> list[Job]:
    """Take what waits first, unless its caller has given up, and what comes right after it that may be done at once with it."""
    found = _first(waiting)
    how: Together | None = getattr(found[0].fn, "together", None) if found and _may_be_joined(found[0]) else None
    if how is None:
        return found
    seen = {_place(found[0], how)}
    while waiting and None not in seen and waiting[0].fn is found[0].fn and _may_be_joined(waiting[0]):
        place = _place(waiting[0], how)
        if place is None or place in seen:
            break
        seen.add(place)
        found += _first(waiting)
    return found


def _first(waiting: deque[Job]) -> list[Job]:
    job = waiting.popleft()
    return [job] if job.start() else []


def _place(job: Job, how: Together) -> Hashable | None:
    try:
        return how.apart(*job.args)
    except Exception:
        log.exception("what a call of %s may not have alike with others is not known; it goes alone", job.fn)
        return None


def done_at_once(jobs: list[Job], connection: Connection) -> list[Outcome]:
    """What became of each of several calls of one function, done at once.

    Raises:
        TypeError: there are more or fewer results than calls. Like any error of theirs: all is to be undone.
    """
    how: Together = jobs[0].fn.together  # type: ignore[attr-defined]
    results = how.many(connection, [job.args for job in jobs])
    if len(results) != len(jobs):
        raise TypeError(f"{how.many} gave {len(results)} results for {len(jobs)} calls")
    return [(job, None, one) if isinstance(one, Exception) else (job, one, None) for job, one in zip(jobs, results, strict=True)]


def _may_be_joined(job: Job) -> bool:
    return not job.kwargs and not job.alone


def put_back(jobs: list[Job], waiting: deque[Job]) -> None:
    """Have jobs that have failed together run again, each alone."""
    for job in jobs:
        job.alone = True
    waiting.extendleft(reversed(jobs))


def answer(outcomes: Iterable[Outcome]) -> None:
    """Hand over results from a lane's thread; each event loop is woken once, and who has an answer already keeps it."""
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


def meaning(error: BaseException, path: str, *, query_only: bool = False) -> BaseException:
    """A Homedex error for what the engine reported, or the error itself where it is the function's own.

    Args:
        query_only: the connection refuses writes by itself, so that one is the function's fault and not the disk's.
    """
    if isinstance(error, StopIteration):  # a future refuses it, and its caller would wait for ever (PEP 479)
        return RuntimeError("a query function raised StopIteration").with_traceback(error.__traceback__)
    code = result_code(error)
    if code is None or (query_only and code & 0xFF == apsw.SQLITE_READONLY):
        return error
    found = storage_error(code, path)
    if found is None:
        return error
    found.__cause__ = error
    return found


@contextmanager
def in_our_words(path: str) -> Iterator[None]:
    """A block whose errors come out as what they mean; see `meaning`."""
    try:
        yield
    except Exception as error:
        found = meaning(error, path)
        if found is error:
            raise
        raise found from error


def result_code(error: BaseException) -> int | None:
    """SQLite's extended result code, where the error came from SQLite."""
    if isinstance(error, DBAPIError):
        return getattr(error.orig, "sqlite_errorcode", None)
    return getattr(error, "extendedresult", None) if isinstance(error, apsw.Error) else None


class Cancellable(Protocol):
    """What somebody waits for who may give up."""

    cancelled: bool


class Deadline:
    """Stops a connection's statement when its time is up or nobody waits for it any more.

    A progress handler, not `interrupt()`: an interrupt that comes a moment too late stops the next caller's query.
    """

    __slots__ = ("at", "job", "limit_s")

    def __init__(self, connection: apsw.Connection, limit_s: float | None) -> None:
        self.limit_s = limit_s
        self.at = float("inf")
        self.job: Cancellable | None = None
        connection.set_progress_handler(self._passed, PROGRESS_STEPS)

    def start(self, job: Cancellable | None = None) -> None:
        """Begin to count; `job` lets its caller's cancellation stop the statement too."""
        self.job = job
        self.at = float("inf") if self.limit_s is None else time.monotonic() + self.limit_s

    def stop(self) -> None:
        """Let BEGIN and COMMIT take their time."""
        self.at, self.job = float("inf"), None

    def check(self) -> None:
        """Raise QueryTimeout if the time is up: Python's own share of it is not stopped, but not forgiven either."""
        if time.monotonic() > self.at:
            raise QueryTimeout("the function took longer than allowed and was undone.")

    def _passed(self) -> bool:
        return time.monotonic() > self.at or (self.job is not None and self.job.cancelled)
