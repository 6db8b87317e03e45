"""A thread that holds one SQLite connection and runs, in order, what an event loop asks of it."""

import asyncio
import contextlib
import logging
import queue
import sys
import threading
from collections.abc import Callable
from typing import Any

from homedex.storage import apsw_dbapi
from homedex.storage.jobs import Deadline
from homedex.storage.sqlite import Options, busy_handler

log = logging.getLogger(__name__)

Work = Callable[[apsw_dbapi.Connection], Any]


def _once_cancelled() -> contextlib.AbstractContextManager[object]:
    """A block that is cancelled no more by anyio, which does it again in every turn of the loop: that took all of a core."""
    anyio: Any = sys.modules.get("anyio")  # a program that has not imported it uses none of it
    return contextlib.nullcontext() if anyio is None else anyio.CancelScope(shield=True)


class Call:
    """One piece of work for the thread, and whoever waits for its result.

    Args:
        is_end: it ends something, so it is done even if its caller has given up.
        needs_flush: its answer has to wait until what it did is on the disk.
    """

    __slots__ = ("_outcome", "cancelled", "future", "is_end", "loop", "needs_flush", "work")

    def __init__(self, work: Work, *, is_end: bool, needs_flush: bool = False) -> None:
        self.work, self.is_end, self.needs_flush = work, is_end, needs_flush
        self._outcome: tuple[Any, BaseException | None] | None = None
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[Any] = self.loop.create_future()
        self.cancelled = False

    @property
    def given_up(self) -> bool:
        """Whether it need not be done any more, nor go on."""
        return self.cancelled and not self.is_end

    def answer(self, result: Any, error: BaseException | None) -> None:
        """Tell the event loop how it ended."""
        try:
            self.loop.call_soon_threadsafe(self._settle, result, error)
        except RuntimeError:  # the loop has been closed: nobody is waiting any more
            log.debug("an answer had no loop to go to")

    async def ended(self) -> None:
        """Wait for what may not be stopped; a caller who is cancelled meanwhile is so afterwards. Raises what the work raised."""
        cancelled: asyncio.CancelledError | None = None
        with contextlib.ExitStack() as stack:
            while self._outcome is None:
                try:
                    await self.future
                except asyncio.CancelledError as given_up:
                    if cancelled is None:
                        stack.enter_context(_once_cancelled())
                    cancelled, self.future = given_up, self.loop.create_future()
                except Exception:  # noqa: BLE001  (raised below)
                    break
        failed = None if self._outcome is None else self._outcome[1]
        if cancelled is not None:
            raise cancelled from failed
        if failed is not None:
            raise failed

    def _settle(self, result: Any, error: BaseException | None) -> None:
        self._outcome = (result, error)
        if self.future.done():
            return
        if error is None:
            self.future.set_result(result)
        else:
            self.future.set_exception(error)
            self.future.exception()  # not everybody who has something ended waits for it


class Flusher:
    """A thread that flushes, once for all who came since the last time, and answers them then."""

    def __init__(self, flush: Callable[[], None]) -> None:
        self._flush = flush
        self._waiting: queue.SimpleQueue[Call | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._live, name="homedex-flush", daemon=True)
        self._thread.start()

    def add(self, call: Call) -> None:
        """Answer a call after the next flush."""
        self._waiting.put(call)

    def stop(self) -> None:
        """Answer who waits, and end the thread."""
        self._waiting.put(None)
        self._thread.join()

    def _live(self) -> None:
        while (first := self._waiting.get()) is not None:
            calls: list[Call | None] = [first]
            with contextlib.suppress(queue.Empty):
                while calls[-1] is not None:
                    calls.append(self._waiting.get_nowait())
            error: BaseException | None = None
            try:
                self._flush()
            except BaseException as failed:  # noqa: BLE001  (it belongs to the callers)
                error = failed
            for call in calls:
                if call is None:
                    return
                call.answer(None, error)


class Worker:
    """A thread with an open connection. Its work is done in the order in which it was asked for.

    Args:
        file: the database file.
        options: how it is opened.
        limit_s: longest single piece of work, in seconds; None for no limit.
        prepare: done to the connection once it is open.
        finish: done to it before it is closed.
        flush: brings to the disk what was committed, where COMMIT does not; None where it does. It is called on another thread, for
            all who wait for it by then, so that nobody's flush stands in the way of who writes next.
    """

    def __init__(  # noqa: PLR0913  (what differs between one that reads and one that writes)
        self,
        file: str,
        options: Options,
        *,
        limit_s: float | None = None,
        prepare: Work = lambda _: None,
        finish: Work = lambda _: None,
        flush: Callable[[], None] | None = None,
    ) -> None:
        self._finish, self._flush, self._has_ended = finish, flush, False
        self._flusher: Flusher | None = None
        self._calls: queue.SimpleQueue[Call | None] = queue.SimpleQueue()
        self._running: Call | None = None
        self._opened = Call(lambda _: None, is_end=True)
        self._closed = Call(lambda _: None, is_end=True)
        arguments = (file, options, limit_s, prepare)
        self._thread = threading.Thread(target=self._live, args=arguments, name="homedex-session", daemon=True)

    async def start(self) -> None:
        """Open the connection and prepare it; raises what that raises, and nothing is left then."""
        self._thread.start()
        try:
            await self._opened.future
        except asyncio.CancelledError:
            self.stop()
            raise

    def submit(self, work: Work, *, is_end: bool = False, needs_flush: bool = False) -> Call:
        """Have work done without waiting for it; see `Call`."""
        call = Call(work, is_end=is_end, needs_flush=needs_flush)
        self._calls.put(call)
        if self._has_ended:
            self._refuse_what_waits()
        return call

    async def run(self, work: Work) -> Any:
        """What `work(connection)` returns. A caller who is cancelled stops its statement."""
        call = self.submit(work)
        try:
            return await call.future
        except asyncio.CancelledError:
            call.cancelled = True
            raise

    def stop(self) -> None:
        """Close the connection after what was asked for before, and end the thread. From any thread."""
        self._calls.put(None)

    async def stopped(self) -> None:
        """Wait until the connection is closed."""
        await asyncio.shield(self._closed.future)

    def _live(self, file: str, options: Options, limit_s: float | None, prepare: Work) -> None:
        try:
            connection = apsw_dbapi.connect(file, options=options)
        except BaseException as error:  # noqa: BLE001  (handed to start())
            self._opened.answer(None, error)
            return
        try:
            if self._flush is not None:
                self._flusher = Flusher(self._flush)
            prepare(connection)
            wait = busy_handler(options.busy_timeout_s)
            connection.driver.set_busy_handler(lambda tries: not self._is_given_up() and wait(tries))
            deadline = Deadline(connection.driver, limit_s)
            self._opened.answer(None, None)
            while (call := self._calls.get()) is not None:
                self._do(call, connection, deadline)
                del call  # until the next one comes, nothing of it may be kept alive
        except BaseException as error:  # noqa: BLE001  (it could not be prepared)
            self._opened.answer(None, error)
        finally:
            if self._flusher is not None:
                self._flusher.stop()
            with contextlib.suppress(Exception):  # what is broken may not close either
                self._finish(connection)
                connection.close()
            self._has_ended = True
            self._refuse_what_waits()
            self._closed.answer(None, None)

    def _refuse_what_waits(self) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                if (call := self._calls.get_nowait()) is not None:
                    call.answer(None, apsw_dbapi.InterfaceError("the connection was closed. Nothing was written."))

    def _is_given_up(self) -> bool:
        running = self._running
        return running is not None and running.given_up

    def _do(self, call: Call, connection: apsw_dbapi.Connection, deadline: Deadline) -> None:
        if call.given_up:
            call.answer(None, apsw_dbapi.OperationalError("interrupted before it began"))
            return
        self._running = call
        if not call.is_end:
            deadline.start(call)
        try:
            result = call.work(connection)
        except BaseException as error:  # noqa: BLE001  (it belongs to the caller)
            call.answer(None, error)
        else:
            if self._flusher is not None and call.needs_flush:
                self._flusher.add(call)
            else:
                call.answer(result, None)
        finally:
            deadline.stop()
            self._running = None
