"""Work on pieces of bytes, such as hashing, compressing or writing, that goes on in another thread while the next piece is made."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Self

AHEAD = 4
"""How many pieces may wait: a while of the disk is no while of who makes them."""


class Beside:
    """Has another thread do something with each piece, one after the other, while this one makes the next.

    Args:
        work: what to do; what it raises is raised by `give` or `finish`.
    """

    def __init__(self, work: Callable[[bytes], object]) -> None:
        self._work = work
        self._pool = ThreadPoolExecutor(1)
        self._given: deque[Future[object]] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def give(self, piece: bytes) -> None:
        """Take the next piece; waits while `AHEAD` are not done."""
        while len(self._given) >= AHEAD:
            self._given.popleft().result()
        self._given.append(self._pool.submit(self._work, piece))

    def finish(self) -> None:
        """Wait until all is done."""
        while self._given:
            self._given.popleft().result()
