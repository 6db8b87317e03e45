"""Hearing from PostgreSQL that another process has committed."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from homedex.storage.postgres import Session, connect, meaning

log = logging.getLogger(__name__)

CHANNEL = "homedex"
TRY_AGAIN_S = 0.5
CANCEL_AGAIN_S = 0.05
LOOK_EVERY_S = 10.0
"""How often the connection is asked whether it lives: one whose host has gone says nothing."""


class Listener:
    """A connection that hears of commits, replaced whenever it breaks.

    Args:
        url: the server.
        own: what our own commits carry, which are not told.
        heard: called for each commit of another process, and once after each time of deafness, with where the log is then.
    """

    def __init__(self, url: str, session: Session, own: str, heard: Callable[[str | None], Awaitable[None]]) -> None:
        self.url, self.session, self.own, self.heard = url, session, own, heard
        self.hears = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to listen, on the running event loop."""
        self._task = asyncio.create_task(self._listen_for_ever())

    async def stop(self) -> None:
        """End it."""
        self.hears = False
        while self._task is not None and not self._task.done():
            self._task.cancel()  # once may not do: Python 3.11's wait_for loses one that comes together with a notification
            await asyncio.wait({self._task}, timeout=CANCEL_AGAIN_S)

    async def _listen_for_ever(self) -> None:
        while True:
            try:
                await self._listen()
            except Exception as error:  # noqa: BLE001  (until it hears again, `revision` is another one at every look)
                log.warning("commits of other processes are not heard of: %s", meaning(error, self.url))
            self.hears = False
            await asyncio.sleep(TRY_AGAIN_S)

    async def _listen(self) -> None:
        connection: Any = await connect(self.url, self.session)
        said: asyncio.Queue[str | None] = asyncio.Queue()
        connection.add_termination_listener(lambda _: said.put_nowait(None))
        try:
            await connection.add_listener(CHANNEL, lambda _, __, ___, payload: said.put_nowait(payload))
            await self._tell(connection)
            self.hears = True
            while True:
                try:
                    # Not wait_for: before Python 3.12 it loses a cancellation that comes with an answer, and stop() waits for ever.
                    async with asyncio.timeout(LOOK_EVERY_S):
                        payload = await said.get()
                except TimeoutError:
                    async with asyncio.timeout(LOOK_EVERY_S):
                        await connection.fetchval("SELECT 1")
                    continue
                if payload is None:
                    return
                if payload != self.own:
                    await self._tell(connection)
        finally:
            self.hears = False
            connection.terminate()

    async def _tell(self, connection: Any) -> None:
        await self.heard(await connection.fetchval("SELECT pg_current_wal_insert_lsn()::text"))
