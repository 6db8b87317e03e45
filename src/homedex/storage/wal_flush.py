"""One fsync for all who have committed since the last, without making them share a transaction."""

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor

from homedex.errors import StorageUnavailable

_sync = getattr(os, "fdatasync", os.fsync)  # macOS has no fdatasync


class WalFlush:
    """Brings a write-ahead log to the disk.

    With `synchronous=FULL` SQLite does so in each COMMIT, while the next transaction waits for it. With NORMAL it leaves it out,
    and this does it before anybody hears of success: what is acknowledged outlives a power cut as well, and while the disk is at
    it others write on. The file is never ahead of its log: SQLite itself flushes the log before it writes it back.

    Opening and closing a database file behind SQLite's back would drop its locks; the log is a file that has none.

    Source: https://sqlite.org/pragma.html#pragma_synchronous, https://sqlite.org/walformat.html#the_wal_index_file_format
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._running: asyncio.Future[None] | None = None
        self._next: asyncio.Future[None] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="homedex-flush")

    def now(self) -> None:
        """Flush on the thread that asks.

        Raises:
            StorageUnavailable: the disk reported an error; what was committed is in the file, and may not outlive a power cut.
        """
        try:
            log = os.open(f"{self.path}-wal", os.O_RDONLY)
            try:
                _sync(log)
            finally:
                os.close(log)
        except OSError as error:
            raise StorageUnavailable(
                f"the disk under {self.path} reported an error after the transaction was committed: {error.strerror}. Whether it "
                "outlives a power cut is unknown. Look for the disk in the system's log and at its free space."
            ) from error

    async def reached(self) -> None:
        """Return when all that was committed before this call is on the disk; raises what `now` raises."""
        if self._next is None:
            self._next = asyncio.ensure_future(self._flush_after(self._running))
        await asyncio.shield(self._next)

    async def _flush_after(self, running: "asyncio.Future[None] | None") -> None:
        if running is not None:
            await asyncio.wait([running])
        self._running, self._next = self._next, None  # who comes from here on may come too late for this one
        await asyncio.get_running_loop().run_in_executor(self._thread, self.now)

    def close(self) -> None:
        """End its thread."""
        self._thread.shutdown()
