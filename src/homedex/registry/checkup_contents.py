"""What `homedex doctor` finds in the tables, by the same questions on both engines."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, func, select

from homedex.registry import schema
from homedex.registry.findings import Finding, judged
from homedex.registry.tables import Area, Change, Device, Entity, Source, table_of
from homedex.storage.looking import schema_revision, table_names

AHEAD = timedelta(days=1)
"""How far in the future a time may lie: further than any time zone that was set wrongly."""

DOCUMENTS = {"sqlite": "{}_docsize (id)", "postgresql": "{} (rowid)"}
"""Where each engine keeps one row for each document of a search index, and under which name its number."""


def schema_at_head(connection: Connection) -> Iterator[Finding]:
    """Whether the schema is the one that this program works with."""
    found, head = schema_revision(connection), schema.head()
    if found is None:
        yield Finding("schema", "none", "error", f"This program needs {head}: run `homedex migrate`.")
    elif found > head:
        yield Finding("schema", found, "error", f"This program knows schemas up to {head}: use the newer version that wrote it.")
    else:
        yield judged("schema", found, f"This program needs {head}: run `homedex migrate`.", fine=found == head)


def search(connection: Connection) -> Iterator[Finding]:
    """Whether the search index has a document for each row that is present, and for no other."""
    tables = table_names(connection)
    for table, index in (("devices", "device_search"), ("entities", "entity_search")):
        documents, _, number = DOCUMENTS[connection.dialect.name].format(index).rstrip(")").partition(" (")
        if not {table, documents} <= tables:
            continue
        # NOT EXISTS, not NOT IN: PostgreSQL would read all documents anew for each row, once they do not fit in its memory.
        same = f"removed_at IS NULL AND number = d.{number}"
        missing, surplus = connection.exec_driver_sql(
            f"SELECT (SELECT count(*) FROM {table} WHERE removed_at IS NULL"  # noqa: S608  (our own tables)
            f" AND NOT EXISTS (SELECT 1 FROM {documents} AS d WHERE {same})),"
            f" (SELECT count(*) FROM {documents} AS d WHERE NOT EXISTS (SELECT 1 FROM {table} WHERE {same}))"
        ).one()
        advice = "Searches miss rows, or find what is gone: `homedex transfer` into a new database makes the index anew."
        found = f"{missing:,} missing, {surplus:,} too many"
        yield judged(f"search of {table}", found, advice, fine=not missing and not surplus)


def clock(connection: Connection) -> Iterator[Finding]:
    """Whether the newest time that was written lies in the future, because a clock was wrong."""
    tables, now = table_names(connection), datetime.now(UTC)
    change = table_of(Change)
    newest: list[tuple[datetime, str]] = []
    for table in map(table_of, (Source, Area, Device, Entity)):
        if table.name in tables and "changes" in tables:
            at = connection.scalar(select(func.max(table.c.modified_at)))
            newest += [(at, f"{table.name}.modified_at")] if at is not None else []
    if "changes" in tables:
        at = connection.scalar(select(change.c.at).order_by(change.c.seq.desc()).limit(1))
        newest += [(at, "changes.at")] if at is not None else []
    if not newest:
        yield Finding("clock", "nothing was written yet")
        return
    at, where = max(newest)
    advice = f"The clock of this machine or of a source was ahead when {where} was written, or this one is behind: compare them."
    yield judged("clock", f"newest {where} is {at:%Y-%m-%dT%H:%M:%SZ}", advice, fine=at <= now + AHEAD, level="warning")


def holds(connection: Connection) -> Iterator[Finding]:
    """How much there is."""
    tables = table_names(connection)
    counts = [
        f"{connection.exec_driver_sql(f'SELECT count(*) FROM {table} WHERE removed_at IS NULL').scalar():,} {table}"  # noqa: S608
        for table in ("devices", "entities", "areas")
        if table in tables
    ]
    yield Finding("holds", ", ".join(counts) or "nothing of Homedex")
