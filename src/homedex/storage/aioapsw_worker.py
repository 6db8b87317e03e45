"""A thread that holds one SQLite connection and runs, in order, what an event loop asks of it."""

import asyncio
import logging
import queue
import threading
from collections.abc import Callable
from typing import Any

from homedex.storage import apsw_dbapi
from homedex.storage.jobs import Deadline
from homedex.storage.sqlite import Options, busy_handler

log = logging.getLogger(__name__)

Work = Callable[[apsw_dbapi.Connection], Any]


class Call:
    """One piece of work for the thread, and whoever waits for its result.

    Args:
        is_end: it ends something, so it is done even if its caller has given up.
    """

    __slots__ = ("cancelled", "future", "is_end", "loop", "work")

    def __init__(self, work: Work, *, is_end: bool) -> None:
        self.work, self.is_end = work, is_end
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

    def _settle(self, result: Any, error: BaseException | None) -> None:
        if self.future.done():
            return
        if error is None:
            self.future.set_result(result)
        else:
            self.future.set_exception(error)
            self.future.exception()  # not everybody who has something ended waits for it


class Worker:
    """A thread with an open connection. Its work is done in the order in which it was asked for.

    Args:
        file: the database file.
        options: how it is opened.
        limit_s: longest single piece of work, in seconds; None for no limit.
        prepare: done to the connection once it is open.
    """

    def __init__(self, file: str, options: Options, *, limit_s: float | None = None, prepare: Work = lambda _: None) -> None:
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

    def submit(self, work: Work, *, is_end: bool = False) -> Call:
        """Have work done without waiting for it; see `Call`."""
        call = Call(work, is_end=is_end)
        self._calls.put(call)
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
            connection.close()
            self._closed.answer(None, None)

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
            call.answer(result, None)
        finally:
            deadline.stop()
            self._running = None
