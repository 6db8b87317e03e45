"""What `homedex doctor` finds on a PostgreSQL server."""

from collections.abc import Iterator

from sqlalchemy import Connection

from homedex.registry.checkup_file import COUNTED, MANY_ROWS
from homedex.registry.findings import Finding, judged
from homedex.storage.urls import shown

DESTROYED = "Without it a crash of the server's machine can destroy the database: set it on in postgresql.conf."
WANTED = {
    "fsync": ("on", DESTROYED),
    "full_page_writes": ("on", DESTROYED),
    "data_checksums": ("on", "Without them a bad disk goes unnoticed: see pg_checksums."),
}
SPARE = 3
"""Connections that a server keeps for its superuser by default."""

INVALID = """
    SELECT count(*) FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
    WHERE relnamespace = current_schema()::regnamespace AND NOT (indisvalid AND indisready)
"""
UNKNOWN = """
    SELECT relname::text FROM pg_class
    WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r' AND reltuples < 0 ORDER BY 1
"""


def place(url: str) -> Finding:
    """Which database it is."""
    return Finding("database", shown(url))


def server(connection: Connection) -> Iterator[Finding]:
    """Its version and the settings that keep data safe."""
    yield Finding("PostgreSQL", str(connection.exec_driver_sql("SHOW server_version").scalar()))
    for name, (wanted, advice) in WANTED.items():
        found = connection.exec_driver_sql(f"SHOW {name}").scalar()
        level = "warning" if name == "data_checksums" else "error"
        yield judged(name, str(found), advice, fine=found == wanted, level=level)  # type: ignore[arg-type]
    size = connection.exec_driver_sql("SELECT pg_database_size(current_database())").scalar_one()
    yield Finding("size", f"{size:,} bytes")
    standby = connection.exec_driver_sql("SELECT pg_is_in_recovery()").scalar_one()
    yield judged("role", "standby" if standby else "primary", "Name its primary in DATABASE_URL.", fine=not standby)


def connections(connection: Connection) -> Iterator[Finding]:
    """How many connections are left."""
    used = connection.exec_driver_sql("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'").scalar_one()
    most = int(connection.exec_driver_sql("SHOW max_connections").scalar_one())
    advice = "Raise max_connections, or lower HOMEDEX_POOL_SIZE."
    yield judged("connections", f"{used} of {most}", advice, fine=used < most - SPARE, level="warning")


def indexes(connection: Connection) -> Iterator[Finding]:
    """Whether all are in use; a REINDEX CONCURRENTLY that was broken off leaves one that is not."""
    broken = connection.exec_driver_sql(INVALID).scalar_one()
    yield judged("indexes", f"{broken} not in use", "REINDEX the database.", fine=not broken)


def statistics(connection: Connection) -> Iterator[Finding]:
    """Whether the planner knows how large the large tables are."""
    unknown = {row[0] for row in connection.exec_driver_sql(UNKNOWN)} & set(COUNTED)
    large = (f"SELECT 1 FROM {table} LIMIT 1 OFFSET {MANY_ROWS}" for table in sorted(unknown))  # noqa: S608  (our own tables)
    missing = [one for one, sql in zip(sorted(unknown), large, strict=True) if connection.exec_driver_sql(sql).first()]
    advice = "Run ANALYZE, and see that autovacuum is on."
    yield judged("statistics", f"missing of {', '.join(missing)}" if missing else "kept", advice, fine=not missing, level="warning")
