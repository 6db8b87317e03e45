"""One fsync for all who have committed since the last, without making them share a transaction."""

import contextlib
import os

from homedex.errors import StorageUnavailable

_sync = getattr(os, "fdatasync", os.fsync)  # macOS has no fdatasync


class WalFlush:
    """Brings the write-ahead log of a database to the disk.

    With `synchronous=FULL` SQLite does so in each COMMIT, while the next transaction waits for it. With NORMAL it leaves it out,
    and who confirms commits does this before: what is acknowledged outlives a power cut as well, and one flush is enough for many.
    The file is never ahead of its log: SQLite itself flushes the log before it writes it back.

    The log is kept open, because the kernel tells an error of the disk once, and to those who have it open. Closing a database file
    behind SQLite's back would drop its locks; the log has none.

    Source: https://sqlite.org/pragma.html#pragma_synchronous, https://sqlite.org/wal.html#performance_considerations
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._log: int | None = None
        self._failed: str | None = None

    def __call__(self) -> None:
        """Flush. One thread at a time.

        Raises:
            StorageUnavailable: the disk reported an error, now or before: what was committed since the last flush is in the file,
                and may not outlive a power cut. What is committed after that would come after a gap in the log, so it is told of
                every later commit as well.
        """
        if self._failed is None:
            try:
                _sync(self._opened())
            except OSError as error:
                self._failed = error.strerror or "it did not say which"
        if self._failed is not None:
            raise StorageUnavailable(
                f"the disk under {self.path} reported an error after the transaction was committed: {self._failed}. Whether it "
                "outlives a power cut is unknown. Look for the disk in the system's log, and start the service anew."
            )

    def check(self) -> None:
        """Raise StorageUnavailable if a flush has failed: nothing more should be written then."""
        if self._failed is not None:
            raise StorageUnavailable(
                f"the disk under {self.path} has reported an error: {self._failed}. Nothing was written. Look for the disk in the "
                "system's log, and start the service anew."
            )

    def _opened(self) -> int:
        """The log that is there now: a checkpoint may have removed the one before."""
        path = f"{self.path}-wal"
        if self._log is not None and not os.path.samestat(os.fstat(self._log), os.stat(path)):  # noqa: PTH116
            self.close()
        if self._log is None:
            self._log = os.open(path, os.O_RDONLY)
        return self._log

    def close(self) -> None:
        """Close the log."""
        log, self._log = self._log, None
        if log is not None:
            with contextlib.suppress(OSError):
                os.close(log)
