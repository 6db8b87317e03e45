"""Every error Homedex raises on purpose, in one tree.

    HomedexError                     500  exit 1
    ├── Moved                        308  exit 4    the device has another id now; `device_id` says which
    ├── NotFound                     404  exit 4    no such device, entity, area or source
    ├── Gone                         410  exit 4    it was removed; `removed_at` says when
    ├── Conflict                     409  exit 5    the rows there do not allow it
    ├── TooLarge                     413  exit 2    the body is larger than allowed
    ├── Invalid                      422  exit 2    the input breaks a rule; `errors` says where
    │   ├── UnknownParameter         400  exit 2    a query parameter that does not exist
    │   └── BadCursor                400  exit 2    a cursor of another list, or of none
    ├── Busy                         503  exit 6    the write queue is full or the database locked; try again
    │   └── QueryTimeout             503  exit 6    a read passed its deadline
    ├── StorageFull                  507  exit 7    no space left for the write
    ├── StorageUnavailable           503  exit 7    the file cannot be opened, read or written
    │   ├── NotADatabase             503  exit 8    the file is no SQLite database, or damaged
    │   ├── ForeignDatabase          503  exit 8    it is a database of another program
    │   ├── DatabaseTooNew           503  exit 9    it was written by a newer Homedex
    │   └── UnsafeLibrary            503  exit 9    this SQLite can corrupt a database
    ├── MigrationFailed              500  exit 9    the schema is as it was
    ├── BadSetting                   500  exit 2    a setting or option has no meaning
    ├── BadSource                    422  exit 3    what was to be imported is missing, broken or of an unknown version
    ├── SourceUnreachable            503  exit 10   the other side refused, hung up or does not answer
    ├── SourceDenied                 401  exit 11   the other side does not accept the token
    └── PlanHeld                     409  exit 12   the plan removes more than the guard allows

Each leaf is one thing a caller can act on. The class carries what never changes (`slug`, `title`, `status`, `exit_code`); the
instance carries `detail`, one or two sentences that say what happened and what to do. The API turns them into RFC 9457 problem
documents, the command line prints `title: detail`. Nothing here knows HTTP beyond the number.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar


class HomedexError(Exception):
    """An error with a meaning: what happened and what to do, in `detail`."""

    slug: ClassVar[str] = "internal"
    title: ClassVar[str] = "Internal error"
    status: ClassVar[int] = 500
    exit_code: ClassVar[int] = 1
    retry_after_s: ClassVar[int | None] = None

    def __init__(self, detail: str, **extensions: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.extensions: Mapping[str, Any] = extensions

    def __str__(self) -> str:
        return f"{self.title}: {self.detail}"


class NotFound(HomedexError):
    """Nothing is registered under that id."""

    slug, title, status, exit_code = "not-found", "Not found", 404, 4


class Moved(HomedexError):
    """The device is known by another id now."""

    slug, title, status, exit_code = "moved", "Moved", 308, 4

    def __init__(self, old_id: str, device_id: str) -> None:
        super().__init__(f"{old_id} is known as {device_id} now.", device_id=device_id)
        self.old_id, self.device_id = old_id, device_id


class Gone(HomedexError):
    """It was removed; its tombstone is kept."""

    slug, title, status, exit_code = "gone", "Gone", 410, 4


class Conflict(HomedexError):
    """The rows that are there do not allow it."""

    slug, title, status, exit_code = "conflict", "Conflict", 409, 5


class TooLarge(HomedexError):
    """The body is larger than this address takes."""

    slug, title, status, exit_code = "too-large", "Too large", 413, 2


class Invalid(HomedexError):
    """The input breaks a rule; `errors` holds one entry for each place."""

    slug, title, status, exit_code = "invalid", "Invalid input", 422, 2

    def __init__(self, detail: str, errors: Sequence[Mapping[str, Any]] = ()) -> None:
        super().__init__(detail, **({"errors": list(errors)} if errors else {}))


class UnknownParameter(Invalid):
    """A query parameter that this address does not take."""

    slug, title, status = "unknown-parameter", "Unknown parameter", 400


class BadCursor(Invalid):
    """A cursor that this list did not give out for these filters."""

    slug, title, status = "bad-cursor", "Bad cursor", 400


class Busy(HomedexError):
    """Too much waits already, or another process holds the database; nothing was written."""

    slug, title, status, exit_code, retry_after_s = "busy", "Busy", 503, 6, 1


class QueryTimeout(Busy):
    """A read passed its deadline and was stopped."""

    slug, title = "query-timeout", "Query timeout"


class StorageFull(HomedexError):
    """There is no space left for the write; it was rolled back."""

    slug, title, status, exit_code = "storage-full", "Storage full", 507, 7


class StorageUnavailable(HomedexError):
    """The database file cannot be opened, read or written."""

    slug, title, status, exit_code, retry_after_s = "storage-unavailable", "Storage unavailable", 503, 7, 5


class NotADatabase(StorageUnavailable):
    """The file is no SQLite database, or it is damaged."""

    slug, title, exit_code = "not-a-database", "Not a database", 8


class ForeignDatabase(StorageUnavailable):
    """The file is a database of another program; it is left alone."""

    slug, title, exit_code = "foreign-database", "Database of another program", 8


class DatabaseTooNew(StorageUnavailable):
    """The schema is newer than this program knows; it is left alone."""

    slug, title, exit_code = "database-too-new", "Database too new", 9


class UnsafeLibrary(StorageUnavailable):
    """The SQLite library in use has a bug that corrupts databases."""

    slug, title, exit_code = "unsafe-library", "Unsafe SQLite library", 9


class MigrationFailed(HomedexError):
    """A schema migration failed and was rolled back whole."""

    slug, title, exit_code = "migration-failed", "Migration failed", 9


class BadSetting(HomedexError):
    """A setting or command line option has no meaning."""

    slug, title, exit_code = "bad-setting", "Bad setting", 2


class BadSource(HomedexError):
    """What was to be imported is missing, broken or of a version that is not known."""

    slug, title, status, exit_code = "bad-source", "Bad source", 422, 3


class SourceUnreachable(HomedexError):
    """The other side refused the connection, hung up or does not answer."""

    slug, title, status, exit_code, retry_after_s = "source-unreachable", "Source unreachable", 503, 10, 10


class SourceDenied(HomedexError):
    """The other side does not accept the token."""

    slug, title, status, exit_code = "source-denied", "Source denied access", 401, 11


class PlanHeld(HomedexError):
    """The plan removes more than the guard allows; nothing was written."""

    slug, title, status, exit_code = "plan-held", "Plan held", 409, 12
