"""One fsync for all who have committed since the last, without making them share a transaction."""

import os

from homedex.errors import StorageUnavailable

_sync = getattr(os, "fdatasync", os.fsync)  # macOS has no fdatasync


def flush_log(path: str) -> None:
    """Bring the write-ahead log of a database to the disk.

    With `synchronous=FULL` SQLite does so in each COMMIT, while the next transaction waits for it. With NORMAL it leaves it out,
    and who confirms commits does this before: what is acknowledged outlives a power cut as well, and one flush is enough for many.
    The file is never ahead of its log: SQLite itself flushes the log before it writes it back.

    Opening and closing a database file behind SQLite's back would drop its locks; the log is a file that has none.

    Raises:
        StorageUnavailable: the disk reported an error; what was committed is in the file, and may not outlive a power cut.
    Source:
        https://sqlite.org/pragma.html#pragma_synchronous, https://sqlite.org/wal.html#performance_considerations
    """
    try:
        log = os.open(f"{path}-wal", os.O_RDONLY)
        try:
            _sync(log)
        finally:
            os.close(log)
    except OSError as error:
        raise StorageUnavailable(
            f"the disk under {path} reported an error after the transaction was committed: {error.strerror}. Whether it outlives a "
            "power cut is unknown. Look for the disk in the system's log and at its free space."
        ) from error
