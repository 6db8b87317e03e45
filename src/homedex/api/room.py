"""How much of large bodies is in memory at one time, however many clients send one.

Of 16 MiB that are sent, up to 150 MB are held until they are answered (2026-11): sixteen at once took 780 MB, all for one writer.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from starlette.types import Message, Receive

from homedex.errors import Busy, MalformedBody

SMALL_BODY_BYTES = 64 * 1024
"""Of this size and below a body is let in at once: this much the server reads of it in any case."""

ROOM_BYTES = 32 * 1024 * 1024
LONGEST_WAIT_S = 30.0
LONGEST_BODY_S = 60.0
"""For a large body to come: one that never ends would keep its room from all others."""


class Room:
    """Bytes that are shared out among bodies, in the order in which they came. Of one event loop.

    Args:
        size_bytes: in all; a body that is larger waits until it is alone.
        wait_s: how long a body waits for its room.
    """

    def __init__(self, size_bytes: int = ROOM_BYTES, *, wait_s: float = LONGEST_WAIT_S) -> None:
        self.size_bytes, self.wait_s = size_bytes, wait_s
        self.free_bytes = size_bytes
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @asynccontextmanager
    async def taken(self, body_bytes: int) -> AsyncIterator[None]:
        """A block that has room for a body.

        Raises:
            Busy: there was none in time. Nothing of the body has been read.
        """
        need = min(body_bytes, self.size_bytes)
        await self._take(need)
        try:
            yield
        finally:
            self._give(need)

    async def _take(self, need: int) -> None:
        if not self._waiting and need <= self.free_bytes:
            self.free_bytes -= need
            return
        one = need, asyncio.get_running_loop().create_future()
        self._waiting.append(one)
        try:
            async with asyncio.timeout(self.wait_s):
                await one[1]
        except BaseException as error:
            if one[1].done() and not one[1].cancelled():  # it got its room in the same turn of the loop
                self._give(need)
            else:
                with suppress(ValueError):  # whoever left the room meanwhile has taken it off the list
                    self._waiting.remove(one)
                self._give(0)
            if isinstance(error, TimeoutError):
                raise Busy(f"other large bodies have been in work for {self.wait_s:g} s. Try again in a moment.") from None
            raise

    def _give(self, room: int) -> None:
        self.free_bytes += room
        while self._waiting and self._waiting[0][0] <= self.free_bytes:
            need, waiting = self._waiting.popleft()
            if not waiting.done():
                self.free_bytes -= need
                waiting.set_result(None)


def in_time(receive: Receive, limit_s: float = LONGEST_BODY_S) -> Receive:
    """The same messages, but for a body that takes longer to come than it may: then MalformedBody is raised."""
    until, ended = asyncio.get_running_loop().time() + limit_s, False

    async def receive_in_time() -> Message:
        nonlocal ended
        if ended:  # what is waited for now is the end of the connection
            return await receive()
        try:
            async with asyncio.timeout_at(until):
                message = await receive()
        except TimeoutError:
            raise MalformedBody(f"the body did not come within {limit_s:g} s.") from None
        ended = not message.get("more_body", False)
        return message

    return receive_in_time
