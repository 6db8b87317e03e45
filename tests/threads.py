"""No thread of ours is left behind."""

import asyncio
import threading

OURS = ("homedex-session", "homedex-flush")


async def until_sessions_end(count: int = 0) -> None:
    """Wait until so many threads of sessions are left."""
    for _ in range(200):
        left = [thread.name for thread in threading.enumerate() if thread.name.startswith(OURS)]
        if len(left) == count:
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"{left} are left")
