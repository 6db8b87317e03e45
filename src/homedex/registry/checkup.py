"""What `homedex doctor` looks at, of a file or a server, and how it goes on where one look fails.

It changes nothing: the registry is opened for reading only, and where nobody has the file open, not even a log is made beside it.
So the settings that it finds in force are those of a connection that reads; one that writes gets the same from the same function.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from sqlalchemy import Connection

from homedex.errors import HomedexError
from homedex.registry import checkup_backups, checkup_contents, checkup_file, checkup_place, checkup_server
from homedex.registry.backups import Backups
from homedex.registry.findings import Finding
from homedex.storage.jobs import meaning
from homedex.storage.looking import glance
from homedex.storage.urls import is_postgresql

Look = tuple[str, Callable[[Connection], Iterable[Finding]]]

OF_FILE: Sequence[Look] = (
    ("settings in force", checkup_file.settings),
    ("schema", checkup_contents.schema_at_head),
    ("integrity", checkup_file.integrity),
    ("references", checkup_file.references),
    ("search index", checkup_contents.search),
    ("numbers of changes", checkup_file.numbers),
    ("clock", checkup_contents.clock),
    ("free pages", checkup_file.free_pages),
    ("statistics", checkup_file.statistics),
    ("holds", checkup_contents.holds),
)
OF_SERVER: Sequence[Look] = (
    ("PostgreSQL", checkup_server.server),
    ("connections", checkup_server.connections),
    ("schema", checkup_contents.schema_at_head),
    ("indexes", checkup_server.indexes),
    ("search index", checkup_contents.search),
    ("clock", checkup_contents.clock),
    ("statistics", checkup_server.statistics),
    ("holds", checkup_contents.holds),
)


def examine(target: str, *, synchronous: str = "FULL", backups: Backups | None = None) -> list[Finding]:
    """Every finding, best read in order. What cannot be looked at is a finding, too, and the other looks go on.

    Args:
        target: the path of a SQLite file, or a `postgresql://…` URL.
        synchronous: what the service is set to.
        backups: of the registry, to be looked at, too.
    """
    return [
        *_around(target),
        *_inside(target, OF_SERVER if is_postgresql(target) else OF_FILE),
        _durability(synchronous),
        *([] if backups is None else checkup_backups.examine(backups, datetime.now(UTC))),
    ]


def _durability(synchronous: str) -> Finding:
    note = {"FULL": "an acknowledged write survives a power cut", "NORMAL": "the last writes may be lost in a power cut"}
    return Finding("synchronous", f"{synchronous}: {note[synchronous]}")


def _around(target: str) -> Iterator[Finding]:
    """What can be seen without opening it."""
    if is_postgresql(target):
        yield checkup_server.place(target)
        return
    yield from checkup_place.library()
    yield from checkup_place.examine(Path(target))


def _inside(target: str, looks: Sequence[Look]) -> list[Finding]:
    try:
        return glance(target, partial(_look, target, looks))
    except HomedexError as error:
        return [_failed("database", error)]


def _look(target: str, looks: Sequence[Look], connection: Connection) -> list[Finding]:
    """What each look finds. One that fails for the same reason as one before it is left out."""
    findings: list[Finding] = []
    for name, look in looks:
        try:
            findings += look(connection)
        except Exception as error:
            known = _meaning(error, target)
            if not isinstance(known, HomedexError):
                raise
            if known.detail not in {finding.found for finding in findings}:
                findings.append(_failed(name, known))
    return findings


def _failed(name: str, error: HomedexError) -> Finding:
    return Finding(name, error.detail, "error", f"{error.advice.partition(';')[0].rstrip('.')}.")  # what follows is: ask the doctor


def _meaning(error: Exception, target: str) -> BaseException:
    if not is_postgresql(target):
        return meaning(error, target)
    from homedex.storage import postgres  # noqa: PLC0415  (asyncpg is an extra)

    return postgres.meaning(error, target)
