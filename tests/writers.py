"""A writer that is kept busy, so that what is written next has to wait for it."""

import asyncio
import threading

from sqlalchemy import Connection

from homedex.storage.database import Database


async def hold_the_writer(db: Database) -> threading.Event:
    """Keep the writer busy until the event is set, so that what is written next waits in its queue."""
    entered, leave = threading.Event(), threading.Event()

    def hold(_: Connection) -> None:
        entered.set()
        leave.wait(10)

    holding = asyncio.ensure_future(db.write(hold))
    await asyncio.to_thread(entered.wait)
    holding.add_done_callback(lambda _: None)
    return leave
