"""How a SQLite connection is opened here: one way, for readers, the writer, migrations and the command line alike."""

import contextlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import apsw

from homedex.errors import (
    Busy,
    ForeignDatabase,
    HomedexError,
    NotADatabase,
    QueryTimeout,
    StorageFull,
    StorageUnavailable,
    UnsafeLibrary,
)

T = TypeVar("T")

MEMORY = ":memory:"
CACHE_BUDGET_KIB = 64 * 1024
"""Page cache of all connections of a process together. cache_size counts per connection: 15 of them at the recipe's 64 MB each
took 1,036 MB of memory (measured 2026-11)."""

JOURNAL_LIMIT_BYTES = 64 * 1024 * 1024
BUSY_RETRY_S = 0.001
READ_ONLY = apsw.SQLITE_OPEN_READONLY
READ_WRITE = apsw.SQLITE_OPEN_READWRITE
SAFE_FROM, WITHDRAWN = (3, 51, 3), (3, 52, 0)
PUT_BACK = "Stop the service, put the right file there without old -wal and -shm files beside it, and start again."
BACKPORTS: dict[tuple[int, ...], int] = {(3, 50): 7, (3, 44): 6}


@dataclass(frozen=True, slots=True)
class Options:
    """What may differ between one connection and the next; everything else is the same on all.

    Args:
        synchronous: FULL keeps every acknowledged commit through a power cut; NORMAL may lose the last ones, never consistency.
        cache_kib: page cache of this connection, in KiB. By default 16 connections share the budget of 64 MB.
        query_only: refuse every write on this connection.
        foreign_keys: off only while a migration rebuilds tables (see `migrate`).
        busy_timeout_s: how long to wait for a lock that another process holds, in seconds.
        application_id: the number that marks the file as this program's. A file with another one is refused; 0 asks nothing.
        read_only: open a file that is there, and leave every byte of it as it is; its journal mode is whatever it is.
        unwatched: with `read_only`, take no lock and make no file beside it; right only while nobody writes (see `looking.glance`).
        create: make the file if it is not there.
    """

    synchronous: Literal["FULL", "NORMAL"] = "FULL"
    cache_kib: int = CACHE_BUDGET_KIB // 16
    query_only: bool = False
    foreign_keys: bool = True
    busy_timeout_s: float = 30.0
    application_id: int = 0
    read_only: bool = False
    unwatched: bool = False
    create: bool = True


DEFAULTS = Options()


def check_library(version: str = apsw.sqlite_lib_version()) -> None:
    """Refuse a SQLite whose WAL-reset bug can corrupt a database.

    Raises:
        UnsafeLibrary: the version is one of 3.7.0 to 3.51.2 without a backport, or the withdrawn 3.52.0.
    Source:
        https://sqlite.org/wal.html#walresetbug; reproduced in 0.2 to 9 s on 3.40.1 and 3.51.1 (2026-11).
    """
    numbers = tuple(int(part) for part in version.split("."))
    backport = BACKPORTS.get(numbers[:2])
    fixed = numbers >= SAFE_FROM and numbers != WITHDRAWN
    if fixed or (backport is not None and numbers[2] >= backport):
        return
    raise UnsafeLibrary(
        f"SQLite {version} can corrupt a database in WAL mode (the WAL-reset bug). Install apsw from its wheel, which carries "
        "SQLite 3.54 or newer: pip install --force-reinstall --only-binary apsw apsw"
    )


def open_connection(path: str, options: Options = DEFAULTS) -> apsw.Connection:
    """An open connection with every setting in force.

    Raises:
        StorageUnavailable: the file cannot be opened or set up; the sentence says why and what to do.
        NotADatabase: it is something else than a SQLite database.
        ForeignDatabase: it is a database of another program.
        UnsafeLibrary: see `check_library`.
    """
    check_library()
    while True:
        before = _which(path)
        try:
            connection = _open(path, options)
        except HomedexError:
            if before is None or _which(path) in {before, None}:
                raise
            continue
        if before is None or _which(path) in {before, None}:
            return connection
        connection.close()  # it waited for the lock of a restore, and has the file that was there before


def _which(path: str) -> tuple[int, int] | None:
    """Which file is at a path; a stat, never an open."""
    try:
        found = os.stat(path)  # noqa: PTH116  (pathlib raises for a name that is too long)
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino


def _open(path: str, options: Options) -> apsw.Connection:
    size, connection = _size_without_log(path), None
    try:
        if options.unwatched:
            connection = apsw.Connection(f"{Path(path).absolute().as_uri()}?immutable=1", flags=READ_ONLY | apsw.SQLITE_OPEN_URI)
        else:
            writing = READ_WRITE | (apsw.SQLITE_OPEN_CREATE if options.create else 0)
            connection = apsw.Connection(path, flags=READ_ONLY if options.read_only else writing)
        configure(connection, options)
        _check_end(connection, size)
    except BaseException as error:
        if connection is not None:
            connection.close()
        if isinstance(error, apsw.Error):
            raise unavailable(path, error) from error
        raise
    return connection


def _size_without_log(path: str) -> int:
    """Size of a file that has no log beside it, else 0: the log may hold what the file lacks.

    Raises:
        NotADatabase: there is a log, and no file or an empty one: SQLite would delete the log unread.
    """
    try:
        logged = wal_bytes(path)  # first: who makes a new file writes to it before there is a log
        size = os.path.getsize(path) if os.path.exists(path) else 0  # noqa: PTH110, PTH202
    except OSError:  # a path that cannot be opened either
        return 0
    if logged and not size:
        raise NotADatabase(
            f"{path} is empty or gone, but its log {path}-wal is there. Both were left alone. Put the database file back beside "
            "its log, or restore a backup; move the log away only if nothing in it is needed."
        )
    return 0 if logged else size


def _check_end(connection: apsw.Connection, size: int) -> None:
    """Refuse a file that ends within a page: SQLite would read what is missing as zeros."""
    if size % int(connection.pragma("page_size")):
        raise apsw.CorruptError("the file ends within a page")


def configure(connection: apsw.Connection, options: Options = DEFAULTS) -> None:
    """Put every setting in force on a fresh connection.

    Waiting for locks comes first, because turning on WAL can already meet one. `application_id` comes before anything that
    writes, so that another program's file is left as it is.
    """
    connection.set_busy_handler(busy_handler(options.busy_timeout_s))
    # A database of unknown origin gets no say: no functions run from its schema, no writes to the schema table or shadow
    # tables, no double-quoted typo read as a string (sqlite.org/security.html).
    connection.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 1)
    connection.config(apsw.SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0)
    connection.config(apsw.SQLITE_DBCONFIG_DQS_DML, 0)
    connection.config(apsw.SQLITE_DBCONFIG_DQS_DDL, 0)
    connection.create_scalar_function("casefold", _casefold, 1, deterministic=True)  # SQLite's lower() knows ASCII alone
    connection.pragma("cell_size_check", 1)
    connection.pragma("mmap_size", 0)  # a mapped file made the WAL-reset race easier to hit, and turns I/O errors into SIGBUS
    connection.pragma("cache_size", -options.cache_kib)
    connection.pragma("temp_store", 2)  # memory
    _claim(connection, options)
    if not options.read_only:
        _log_ahead(connection, options)
    connection.pragma("synchronous", options.synchronous)
    connection.pragma("journal_size_limit", JOURNAL_LIMIT_BYTES)
    connection.pragma("foreign_keys", int(options.foreign_keys))
    connection.pragma("recursive_triggers", 1)
    if options.query_only:
        connection.pragma("query_only", 1)


def _log_ahead(connection: apsw.Connection, options: Options) -> None:
    if connection.filename and _insist(lambda: connection.pragma("journal_mode", "wal"), options.busy_timeout_s) != "wal":
        raise StorageUnavailable(
            f"{connection.filename} cannot use write-ahead logging here. Put the database on a local disk, not on a network share."
        )


def _casefold(*values: Any) -> Any:
    return values[0].casefold() if isinstance(values[0], str) else values[0]


def _claim(connection: apsw.Connection, options: Options) -> None:
    """Mark a new file as ours; refuse another program's."""
    if not options.application_id or not connection.filename:
        return
    if connection.pragma("application_id") == options.application_id:
        return
    connection.transaction_mode = "IMMEDIATE"  # four processes may be making the file at once: one does, three wait
    with connection:
        found = connection.pragma("application_id")
        if found == options.application_id:  # by now another process has made it
            return
        empty = next(connection.execute("SELECT count(*) FROM sqlite_schema"))[0] == 0
        if found or not empty:
            raise ForeignDatabase(
                f"{connection.filename} belongs to another program (application id {found:#x}) and was left alone. "
                "Name a file of its own in DATABASE_URL."
            )
        connection.pragma("application_id", options.application_id)


def _insist(action: Callable[[], T], timeout_s: float) -> T:
    """The action's result, tried again while the file is locked: turning on WAL does not ask the busy handler.

    Of four processes that made one file at the same instant, 9 in 100 failed without this (measured 2026-11).
    """
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            return action()
        except apsw.BusyError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(BUSY_RETRY_S)


def busy_handler(timeout_s: float) -> Callable[[int], bool]:
    """Try for the lock again every millisecond until `timeout_s` has passed.

    SQLite's own back-off sleeps up to 100 ms between tries. With four processes writing, a constant 1 ms took the p99 of a
    transaction from 441-468 ms to 116 ms (measured 2026-11).
    """
    deadline = 0.0

    def wait(tries: int) -> bool:
        nonlocal deadline
        now = time.monotonic()
        if tries == 0:
            deadline = now + timeout_s
        if now >= deadline:
            return False
        time.sleep(BUSY_RETRY_S)
        return True

    return wait


def truncate_wal(connection: apsw.Connection) -> bool:
    """Write the whole WAL back and cut its file to nothing; false when readers need it longer than the busy handler waits."""
    with contextlib.suppress(apsw.BusyError):
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        return True
    return False


def wal_bytes(path: str) -> int:
    """Size of the write-ahead log beside the database. A stat, never an open: closing it would drop SQLite's locks."""
    try:
        return Path(f"{path}-wal").stat().st_size
    except FileNotFoundError:
        return 0


def unavailable(path: str, error: apsw.Error) -> HomedexError:
    """The error of a database that could not be opened, in the words of the person who runs it."""
    if isinstance(error, apsw.CantOpenError) and (reason := _not_there(path)):
        return StorageUnavailable(reason)
    code = apsw.SQLITE_CORRUPT if isinstance(error, apsw.CorruptError) else getattr(error, "extendedresult", apsw.SQLITE_ERROR)
    return storage_error(code, path) or StorageUnavailable(f"{path}: {error}")


def _not_there(path: str) -> str | None:
    """Why nothing can be opened at a path; None where something can be seen there."""
    folder = Path(path).parent
    if "://" in path:
        return f"{path} is a URL, and the path of a file is wanted: homedex.storage.target_of() makes it one."
    if os.path.isdir(path):  # noqa: PTH112  (pathlib raises for a long name)
        return f"{path} is a folder. Name a file inside it in DATABASE_URL."
    try:
        os.stat(path)  # noqa: PTH116
    except PermissionError as error:
        return f"{path} cannot be reached: {error.strerror}. Check that this user may enter its folder."
    except OSError:
        if os.path.isdir(folder):  # noqa: PTH112
            may_write = os.access(folder, os.W_OK | os.X_OK)
            what_to_do = PUT_BACK if may_write else f"This user may make none in {folder}: change its owner or its rights."
            return f"there is no file at {path}. {what_to_do}"
        return f"the folder {folder} does not exist. Create it, or correct DATABASE_URL."
    return None


def storage_error(code: int, path: str = "the database") -> HomedexError | None:  # noqa: C901, PLR0911  (a table)
    """What a SQLite result code means for the caller; None where it is the statement's own fault (a constraint, a typo).

    Args:
        code: primary or extended result code.
        path: the file, for the sentence.
    """
    if code == apsw.SQLITE_READONLY_ROLLBACK:
        return StorageUnavailable(
            f"{path} was being written when its process was killed. What it held before is put back as soon as it is opened for "
            "writing: start the service, or what was broken off, again."
        )
    match apsw.SQLITE_FULL if code == apsw.SQLITE_IOERR_SHMSIZE else code & 0xFF:  # the file of the shared memory could not grow
        case apsw.SQLITE_BUSY | apsw.SQLITE_LOCKED:
            return Busy("another process holds the database's write lock. Try again.")
        case apsw.SQLITE_INTERRUPT:
            return QueryTimeout("the query took longer than allowed and was stopped. Narrow it, or ask for a smaller page.")
        case apsw.SQLITE_FULL:
            return StorageFull(f"no space is left for {path}. Nothing was written; free some space and try again.")
        case apsw.SQLITE_NOTADB:
            return NotADatabase(f"{path} is not a SQLite database. It was left alone; name another file in DATABASE_URL.")
        case apsw.SQLITE_CORRUPT:
            return NotADatabase(
                f"{path} is damaged. Nothing more is written to it. Stop the service, keep the file and its -wal as they are, and "
                "restore a backup, or save what can be read: homedex doctor --repair NEW_FILE."
            )
        case apsw.SQLITE_READONLY | apsw.SQLITE_CANTOPEN | apsw.SQLITE_PERM | apsw.SQLITE_AUTH:
            return StorageUnavailable(
                f"{path} cannot be opened for writing. Check that this user may write the file and its folder."
            )
        case apsw.SQLITE_IOERR:
            return StorageUnavailable(
                f"the disk under {path} reported an error. This request was not acknowledged, and what was acknowledged before is "
                "kept. Look for the disk in the system's log and at its free space, and send the request again."
            )
        case apsw.SQLITE_PROTOCOL:  # also what is left of an fcntl() that fails
            return StorageUnavailable(
                f"the locks of {path} could not be had. Nothing was written; try again. If it stays so, put the database on a "
                "local disk, not on a network share."
            )
        case apsw.SQLITE_NOMEM:
            return StorageUnavailable(f"there was not enough memory to work on {path}. Nothing was written; try again.")
    return None
