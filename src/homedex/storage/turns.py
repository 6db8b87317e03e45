"""Turns: who may write now, one at a time, in the order in which they asked, each for a limited time."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable

from homedex.errors import Busy, HeldTooLong

STOPPING = "the service is stopping. Try again in a moment."


class Turns:
    """Gives turns on one event loop.

    Args:
        limit_s: how long one may last, in seconds; None for no limit.
        wait_s: how long to wait for one, in seconds.
        queue_limit: how many may wait.
    """

    def __init__(self, *, limit_s: float | None, wait_s: float, queue_limit: int) -> None:
        self.limit_s, self.wait_s, self.queue_limit = limit_s, wait_s, queue_limit
        self._waiting: deque[asyncio.Future[bool]] = deque()
        self._holder: Turn | None = None
        self._granted = False  # to one who has not begun yet
        self._is_closed = False

    @property
    def waiting_count(self) -> int:
        """How many wait."""
        return len(self._waiting)

    async def take(self, place: str, expire: Callable[[HeldTooLong], None]) -> "Turn":
        """A turn, when all who asked before have had theirs.

        Args:
            place: where it was asked for, for the error of those who wait in vain and of one that lasts too long.
            expire: called with that error when its time is up; by then it is over, and somebody else's may have begun.
        Raises:
            Busy: too many wait already, or nobody made room in time.
        """
        if self._is_closed:
            raise Busy(STOPPING)
        if self._holder is None and not self._granted:
            return self._start(place, expire)
        if self.waiting_count >= self.queue_limit:
            raise Busy(f"{self.queue_limit} sessions wait to write already. Try again in a moment.")
        loop = asyncio.get_running_loop()
        granted: asyncio.Future[bool] = loop.create_future()
        self._waiting.append(granted)
        waits = loop.call_later(self.wait_s, _settle, granted, False)  # noqa: FBT003  (the future's value)
        try:
            is_granted = await granted
        except asyncio.CancelledError:
            if granted.done() and not granted.cancelled() and granted.result():  # it came in the same instant: to the next
                self._granted = False
                self._call_next()
            raise
        finally:
            waits.cancel()
            with contextlib.suppress(ValueError):  # it has been called
                self._waiting.remove(granted)
        if self._is_closed:
            raise Busy(STOPPING)
        if not is_granted:
            holder = "another one" if self._holder is None else f"the one opened at {self._holder.place}"
            raise Busy(f"no session could write for {self.wait_s:g} s; {holder} holds the turn. Try again.")
        return self._start(place, expire)

    def close(self) -> None:
        """Give no more turns. Who waits is told."""
        self._is_closed = True
        for granted in self._waiting:
            _settle(granted, False)  # noqa: FBT003

    def _start(self, place: str, expire: Callable[[HeldTooLong], None]) -> "Turn":
        self._granted = False
        self._holder = turn = Turn(self, place, expire)
        return turn

    def _ended(self, turn: "Turn") -> None:
        if self._holder is turn:
            self._holder = None
            self._call_next()

    def _call_next(self) -> None:
        while self._waiting:
            if _settle(self._waiting.popleft(), True):  # noqa: FBT003
                self._granted = True
                return


def _settle(granted: "asyncio.Future[bool]", value: bool) -> bool:
    """Whether it was still waited for."""
    if granted.done():
        return False
    granted.set_result(value)
    return True


class Turn:
    """The right to write, until `end`."""

    __slots__ = ("_expire", "_timer", "_turns", "place")

    def __init__(self, turns: Turns, place: str, expire: Callable[[HeldTooLong], None]) -> None:
        self._turns, self.place, self._expire = turns, place, expire
        limit_s = turns.limit_s
        self._timer = None if limit_s is None else asyncio.get_running_loop().call_later(limit_s, self._time_is_up)

    def pause(self) -> None:
        """Stop the clock: it waits for another process."""
        if self._timer is not None:
            self._timer.cancel()

    def restart(self) -> None:
        """Let the clock begin anew, unless the turn is over."""
        self.pause()
        limit_s = self._turns.limit_s
        if limit_s is not None and self._turns._holder is self:  # noqa: SLF001  (its other half)
            self._timer = asyncio.get_running_loop().call_later(limit_s, self._time_is_up)

    def end(self) -> None:
        """Let the next one write. A second call does nothing."""
        self.pause()
        self._turns._ended(self)  # noqa: SLF001

    def _time_is_up(self) -> None:
        error = HeldTooLong(
            f"the session opened at {self.place} held the right to write for more than {self._turns.limit_s:g} s and was rolled "
            "back. Do what takes long, such as asking another service, before the first statement or after the end."
        )
        self._expire(error)
        self.end()
