"""What `homedex doctor` finds inside a SQLite file, on a connection that only reads."""

from collections.abc import Iterator

import apsw
from sqlalchemy import Connection

from homedex.registry import schema
from homedex.registry.findings import Finding, judged
from homedex.storage.looking import table_names
from homedex.storage.rows import driver
from homedex.storage.sqlite import JOURNAL_LIMIT_BYTES

WANTED: dict[str, object] = {
    "foreign_keys": 1,
    "temp_store": 2,
    "mmap_size": 0,
    "trusted_schema": 0,
    "cell_size_check": 1,
    "journal_size_limit": JOURNAL_LIMIT_BYTES,
}
SWITCHES = {
    "defensive": (apsw.SQLITE_DBCONFIG_DEFENSIVE, 1),
    "double-quoted strings": (apsw.SQLITE_DBCONFIG_DQS_DML, 0),
}
FAULT = "{} was expected: this is a fault of Homedex, report it."
WAL_FORMAT = b"\x02\x02"
COUNTED = ("devices", "entities", "changes")
MANY_ROWS = 10_000
FREE_SHARE, FREE_BYTES = 0.25, 16 * 1024 * 1024
RESTORE = "Stop the service, keep a copy of the file and its -wal, and restore a backup."


def settings(connection: Connection) -> Iterator[Finding]:
    """Whose file it is, its journal mode, and the settings of a connection to it."""
    number = _pragma(connection, "application_id")
    yield judged(
        "application_id",
        f"{number:#x}",
        "This is another program's file: set DATABASE_URL to the registry's.",
        fine=number == schema.APPLICATION_ID,
    )
    # From the header, because a file that nobody has open is opened without its log; by SQLite, because nothing else may open it.
    _, header = driver(connection).read("main", 0, 18, 2)
    ahead = header == WAL_FORMAT
    yield judged("journal_mode", "wal" if ahead else "not wal", "Start `homedex serve`, which turns it on.", fine=ahead)
    for name, value in WANTED.items():
        found = _pragma(connection, name)
        yield judged(name, str(found), FAULT.format(value), fine=found == value)
    for name, (switch, value) in SWITCHES.items():
        on = driver(connection).config(switch, -1)
        yield judged(name, str(on), FAULT.format(value), fine=on == value)
    yield Finding("page_size", f"{_pragma(connection, 'page_size'):,} bytes")


def integrity(connection: Connection) -> Iterator[Finding]:
    """Whether every page, index and search index of the file is sound."""
    complaints = [str(row[0]).strip() for row in connection.exec_driver_sql("PRAGMA integrity_check(5)")]
    yield judged("integrity", "; ".join(complaints).replace("\n", " "), RESTORE, fine=complaints == ["ok"])


def references(connection: Connection) -> Iterator[Finding]:
    """Whether rows point to rows that are there."""
    orphans = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchmany(5)
    advice = "Report this, with the rows that PRAGMA foreign_key_check lists."
    yield judged("references", f"{len(orphans)} broken", advice, fine=not orphans)


def numbers(connection: Connection) -> Iterator[Finding]:
    """Whether a change will get a number that none had before."""
    if "changes" not in table_names(connection):
        return
    newest = connection.exec_driver_sql("SELECT coalesce(max(seq), 0) FROM changes").scalar_one()
    given = connection.exec_driver_sql("SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'changes'").scalar_one()
    advice = "The counter of changes is behind: numbers would be given again after a retention. Report this, and restore a backup."
    yield judged("numbers of changes", f"up to {newest:,} of {given:,} given", advice, fine=given >= newest)


def free_pages(connection: Connection) -> Iterator[Finding]:
    """How much of the file is empty."""
    pages, free, size = (_pragma(connection, name) for name in ("page_count", "freelist_count", "page_size"))
    advice = f"Stop the service, and give the space back to the disk: python -m apsw {_path(connection)} VACUUM"
    fine = free <= FREE_SHARE * pages or free * size < FREE_BYTES
    yield judged("free pages", f"{free:,} of {pages:,}", advice, fine=fine, level="warning")


def statistics(connection: Connection) -> Iterator[Finding]:
    """Whether SQLite knows how large its large tables are, so that it chooses the right index."""
    tables = table_names(connection)
    known = set()
    if "sqlite_stat1" in tables:
        known = {row[0] for row in connection.exec_driver_sql("SELECT DISTINCT tbl FROM sqlite_stat1")}
    missing = [table for table in COUNTED if table in tables - known and _has_many(connection, table)]
    advice = f"Stop `homedex serve` once, which gathers them, or: python -m apsw {_path(connection)} ANALYZE"
    yield judged("statistics", f"missing of {', '.join(missing)}" if missing else "kept", advice, fine=not missing, level="warning")


def _has_many(connection: Connection, table: str) -> bool:
    statement = f"SELECT 1 FROM {table} LIMIT 1 OFFSET {MANY_ROWS}"  # noqa: S608  (our own tables)
    return connection.exec_driver_sql(statement).first() is not None


def _pragma(connection: Connection, name: str) -> int:
    return int(connection.exec_driver_sql(f"PRAGMA {name}").scalar_one())


def _path(connection: Connection) -> str:
    return driver(connection).filename
