"""Every error Homedex raises on purpose, in one tree.

    HomedexError                     500  exit 1
    ├── Moved                        308  exit 4    the device has another id now; `device_id` says which
    ├── NotFound                     404  exit 4    no such device, entity, area or source
    │   └── NoSuchPage               404  exit 4    nothing is at that path
    ├── Gone                         410  exit 4    it was removed; `removed_at` says when
    ├── Conflict                     409  exit 5    the rows there do not allow it
    │   └── KeyInUse                 409  exit 5    the first request with this idempotency key is still under way
    ├── PreconditionFailed           412  exit 5    it has changed since it was read
    ├── BadRequest                   400  exit 2    the request itself is wrong, wherever it was sent
    │   └── HostNotAllowed           400  exit 2    it was sent to a name that is not this service's
    ├── MethodNotAllowed             405  exit 2    the path does not take this method
    ├── NotAcceptable                406  exit 2    the answer is not to be had in a type that was asked for
    ├── TooLarge                     413  exit 2    the body is larger than allowed
    ├── UnsupportedMediaType         415  exit 2    the body is of a type that is not taken
    ├── Invalid                      422  exit 2    the input breaks a rule; `errors` says where
    │   ├── UnknownParameter         400  exit 2    a query parameter that does not exist
    │   ├── BadCursor                400  exit 2    a cursor of another list, or of none
    │   ├── MalformedBody            400  exit 2    the body is no JSON, or broke off
    │   ├── KeyReused                422  exit 2    the idempotency key came with another body before
    │   └── BulkRefused              422  exit 2    an atomic bulk request had rows that cannot be taken
    ├── Busy                         503  exit 6    the write queue is full or the database locked; try again
    │   ├── QueryTimeout             503  exit 6    a read passed its deadline
    │   └── HeldTooLong              503  exit 6    a session kept the right to write past its deadline
    ├── StorageFull                  507  exit 7    no space left for the write
    ├── StorageUnavailable           503  exit 7    the file cannot be opened, read or written
    │   ├── NotADatabase             503  exit 8    the file is no SQLite database, or damaged
    │   ├── ForeignDatabase          503  exit 8    it is a database of another program
    │   ├── DatabaseTooNew           503  exit 9    it was written by a newer Homedex
    │   ├── DatabaseTooOld           503  exit 9    the database server is older than any that was tried
    │   └── UnsafeLibrary            503  exit 9    this SQLite can corrupt a database
    ├── MigrationFailed              500  exit 9    the schema is as it was
    ├── BadSetting                   500  exit 2    a setting or option has no meaning
    ├── BadSource                    422  exit 3    what was to be imported is missing, broken or of an unknown version
    ├── BadBackup                    409  exit 13   a backup is damaged, or is none
    ├── SourceUnreachable            503  exit 10   the other side refused, hung up or does not answer
    ├── SourceDenied                 401  exit 11   the other side does not accept the token
    └── PlanHeld                     409  exit 12   the plan removes more than the guard allows

Each leaf is one thing a caller can act on. The class carries what never changes (`slug`, `title`, `status`, `exit_code`, and for
its page at `/problems/{slug}` what happened, its docstring, and what to do, `advice`); the instance carries `detail`, one or two
sentences that say what happened and what to do. The API turns them into RFC 9457 problem documents, the command line prints
`title: detail`. Nothing here knows HTTP beyond the number. `homedex doctor` has exit codes of its own: 20 and 21 (`findings.py`).
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar


class HomedexError(Exception):
    """Something went wrong in Homedex itself, and was logged."""

    slug: ClassVar[str] = "internal"
    title: ClassVar[str] = "Internal error"
    status: ClassVar[int] = 500
    exit_code: ClassVar[int] = 1
    retry_after_s: ClassVar[int | None] = None
    advice: ClassVar[str] = "Look up the `request_id` in the log of the service, and report what it says there: this is a bug."

    def __init__(self, detail: str, **extensions: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.extensions: Mapping[str, Any] = extensions

    def __str__(self) -> str:
        return f"{self.title}: {self.detail}"


class NotFound(HomedexError):
    """Nothing is registered under that id."""

    slug, title, status, exit_code = "not-found", "Not found", 404, 4
    advice = "Check the id for typing errors, and ask the list (`GET /api/v1/devices`) for the ids that there are."


class NoSuchPage(NotFound):
    """Nothing is at that path."""

    slug, title = "no-such-page", "No such page"
    advice = "Check the path for typing errors and a slash at its end; `/docs` lists every path there is."


class Moved(HomedexError):
    """The device is known by another id now."""

    slug, title, status, exit_code = "moved", "Moved", 308, 4
    advice = "Send the same request to the address in the `Location` header, and keep the `device_id` of the answer from now on."

    def __init__(self, old_id: str, device_id: str) -> None:
        super().__init__(f"{old_id} is known as {device_id} now.", device_id=device_id)
        self.old_id, self.device_id = old_id, device_id


class Gone(HomedexError):
    """It was removed; its tombstone is kept."""

    slug, title, status, exit_code = "gone", "Gone", 410, 4
    advice = "Forget the id. What its source lists again comes back at the next sync; a device kept by hand, put again."


class Conflict(HomedexError):
    """The rows that are there do not allow it."""

    slug, title, status, exit_code = "conflict", "Conflict", 409, 5
    advice = "Read what is there, as `detail` says; change or remove that first, or ask for something else."


class KeyInUse(Conflict):
    """The first request with this idempotency key is still under way; this one did nothing."""

    slug, title, retry_after_s = "idempotency-key-in-use", "Idempotency key in use", 1
    advice = "Wait as long as `Retry-After` says and send the same request again: it gets the answer of the first."


class PreconditionFailed(HomedexError):
    """It has changed since you read it, so the condition of the request does not hold; nothing was written."""

    slug, title, status, exit_code = "precondition-failed", "Precondition failed", 412, 5
    advice = "Read it again, apply your change to what is there now, and send that with the new `ETag` in `If-Match`."


class BadRequest(HomedexError):
    """The request is not one that can be answered, wherever it is sent."""

    slug, title, status, exit_code = "bad-request", "Bad request", 400, 2
    advice = "Compare the request with its description at `/docs`, and correct what `detail` names."


class HostNotAllowed(BadRequest):
    """The request was sent to a host name that is not this service's, as a page that rebinds its name would do."""

    slug, title = "host-not-allowed", "Host not allowed"
    advice = "Ask by the address the service said at start. If this name is right, too, add it to `HOMEDEX_ALLOWED_HOSTS`."


class MethodNotAllowed(HomedexError):
    """The path exists, and does not take this method."""

    slug, title, status, exit_code = "method-not-allowed", "Method not allowed", 405, 2
    advice = "Use one of the methods in the `Allow` header; `/docs` says what each of them does."


class NotAcceptable(HomedexError):
    """The answer is not to be had in any type that the `Accept` header names."""

    slug, title, status, exit_code = "not-acceptable", "Not acceptable", 406, 2
    advice = "Leave the `Accept` header out, or name a type that `detail` lists."


class TooLarge(HomedexError):
    """The body is larger than this address takes; nothing of it was used."""

    slug, title, status, exit_code = "too-large", "Too large", 413, 2
    advice = "Send it in several smaller requests."


class UnsupportedMediaType(HomedexError):
    """The body is of a type that this address does not take."""

    slug, title, status, exit_code = "unsupported-media-type", "Unsupported media type", 415, 2
    advice = "Send the body as a type that `detail` names, and say so in the `Content-Type` header."


class Invalid(HomedexError):
    """The input breaks a rule; `errors` holds one entry for each place."""

    slug, title, status, exit_code = "invalid", "Invalid input", 422, 2
    advice = "Correct the places that `errors` points at; `/docs` has the rules of every field, and an example."

    def __init__(self, detail: str, errors: Sequence[Mapping[str, Any]] = (), **extensions: Any) -> None:
        super().__init__(detail, **({"errors": list(errors)} if errors else {}), **extensions)


class UnknownParameter(Invalid):
    """A query parameter that this address does not take."""

    slug, title, status = "unknown-parameter", "Unknown parameter", 400
    advice = "Use the name that `detail` proposes, or leave the parameter out."


class BadCursor(Invalid):
    """A cursor that this list did not give out for these filters."""

    slug, title, status = "bad-cursor", "Bad cursor", 400
    advice = "Start again without `cursor`, and then take `next` of each page as it is, with the same filters."


class MalformedBody(Invalid):
    """The body is no JSON, or it broke off before its end; nothing of it was used."""

    slug, title, status = "malformed-body", "Malformed body", 400
    advice = "Send one whole JSON document in UTF-8. `python -m json.tool` shows where a file stops being one."


class KeyReused(Invalid):
    """The idempotency key was used before, for a request with another body; this one did nothing."""

    slug, title = "idempotency-key-reused", "Idempotency key reused"
    advice = "Make a new key for each new request, and keep a key only for sending the same request once more."


class BulkRefused(Invalid):
    """Some rows of an atomic bulk request cannot be taken, so nothing was written."""

    slug, title = "bulk-refused", "Bulk request refused"
    advice = "Correct or leave out the rows that the answer names and send all again, or do not ask for atomic."


class Busy(HomedexError):
    """Too much waits already, or another process holds the database; nothing was written."""

    slug, title, status, exit_code, retry_after_s = "busy", "Busy", 503, 6, 1
    advice = "Wait as long as `Retry-After` says and try again. If it stays so, look for another program that holds the file open."


class QueryTimeout(Busy):
    """A read passed its deadline and was stopped."""

    slug, title = "query-timeout", "Query timeout"
    advice = "Ask for less: a smaller `limit`, or more filters. `HOMEDEX_READ_DEADLINE_S` sets the deadline."


class HeldTooLong(Busy):
    """A session kept the right to write for longer than allowed; what it wrote was rolled back."""

    slug, title = "held-too-long", "Held too long"
    advice = (
        "Send the request again. If it stays so, what `detail` names waits for something while it may write: have it wait before."
    )


class StorageFull(HomedexError):
    """There is no space left for the write; it was rolled back."""

    slug, title, status, exit_code = "storage-full", "Storage full", 507, 7
    advice = "Make room on the disk that holds the registry, and send the request again; reading works meanwhile."


class StorageUnavailable(HomedexError):
    """The database file cannot be opened, read or written."""

    slug, title, status, exit_code, retry_after_s = "storage-unavailable", "Storage unavailable", 503, 7, 5
    advice = "Look whether the file is at its path, and the service may read and write it and its folder; ask `homedex doctor`."


class NotADatabase(StorageUnavailable):
    """The file is no SQLite database, or it is damaged."""

    slug, title, exit_code = "not-a-database", "Not a database", 8
    advice = "Check that `DATABASE_URL` names the right file. If it is damaged, restore a backup, or try `homedex doctor --repair`."


class ForeignDatabase(StorageUnavailable):
    """The file is a database of another program; it is left alone."""

    slug, title, exit_code = "foreign-database", "Database of another program", 8
    advice = "Set `DATABASE_URL` to a file of its own for Homedex."


class DatabaseTooNew(StorageUnavailable):
    """The schema is newer than this program knows; it is left alone."""

    slug, title, exit_code = "database-too-new", "Database too new", 9
    advice = "Install the newest Homedex, or set `DATABASE_URL` to a copy from before the upgrade."


class DatabaseTooOld(StorageUnavailable):
    """The database server is older than any that Homedex was tried with; nothing was changed."""

    slug, title, exit_code = "database-too-old", "Database server too old", 9
    advice = "Upgrade the server, or set `DATABASE_URL` to another one."


class UnsafeLibrary(StorageUnavailable):
    """The SQLite library in use has a bug that corrupts databases."""

    slug, title, exit_code = "unsafe-library", "Unsafe SQLite library", 9
    advice = "Install the `apsw` package from PyPI, which brings a SQLite of its own."


class MigrationFailed(HomedexError):
    """A schema migration failed and was rolled back whole."""

    slug, title, exit_code = "migration-failed", "Migration failed", 9
    advice = "Do as `detail` says and start again; until then the version before this one still opens the file."


class BadSetting(HomedexError):
    """A setting or command line option has no meaning."""

    slug, title, exit_code = "bad-setting", "Bad setting", 2
    advice = "Correct the setting that `detail` names; the README lists all of them with their defaults."


class BadSource(HomedexError):
    """What was to be imported is missing, broken or of a version that is not known."""

    slug, title, status, exit_code = "bad-source", "Bad source", 422, 3
    advice = "Check that the path leads to a Home Assistant configuration folder; copy it afresh if a file in it is broken."


class BadBackup(HomedexError):
    """A backup is damaged, or the file is none."""

    slug, title, status, exit_code = "bad-backup", "Bad backup", 409, 13
    advice = "Take another one: `homedex backup list` shows all there are. Make a new backup now, and check the disk they lie on."


class SourceUnreachable(HomedexError):
    """The other side refused the connection, hung up or does not answer."""

    slug, title, status, exit_code, retry_after_s = "source-unreachable", "Source unreachable", 503, 10, 10
    advice = "Check that the other side runs and that its address is right, and try again."


class SourceDenied(HomedexError):
    """The other side does not accept the token."""

    slug, title, status, exit_code = "source-denied", "Source denied access", 401, 11
    advice = "Make a new long-lived access token in Home Assistant, as an administrator, and use that."


class PlanHeld(HomedexError):
    """The plan removes more than the guard allows; nothing was written."""

    slug, title, status, exit_code = "plan-held", "Plan held", 409, 12
    advice = "Look at the plan with `--dry-run`. If those removals are meant, run it again with `--allow-removals`."


def read(said: str) -> HomedexError | None:
    """The error whose text another process wrote as its last line; None where that is none of ours."""
    title, _, detail = said.strip().rpartition("\n")[2].partition(": ")
    kinds, found = [HomedexError], None
    while kinds:
        kind = kinds.pop()
        kinds += kind.__subclasses__()
        if kind.title == title and "title" in vars(kind):
            found = kind
    return None if found is None else found(detail)
