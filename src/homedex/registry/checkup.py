"""What `homedex doctor` looks at."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import apsw
from sqlalchemy import Connection, inspect

from homedex.registry import schema
from homedex.storage.database import Database
from homedex.storage.rows import driver
from homedex.storage.sqlite import JOURNAL_LIMIT_BYTES, wal_bytes
from homedex.storage.sqlite_database import SqliteDatabase

WANTED: dict[str, object] = {
    "journal_mode": "wal",
    "foreign_keys": 1,
    "temp_store": 2,
    "mmap_size": 0,
    "trusted_schema": 0,
    "cell_size_check": 1,
    "journal_size_limit": JOURNAL_LIMIT_BYTES,
    "application_id": schema.APPLICATION_ID,
}
SWITCHES = {
    "defensive": (apsw.SQLITE_DBCONFIG_DEFENSIVE, 1),
    "double-quoted strings": (apsw.SQLITE_DBCONFIG_DQS_DML, 0),
}
SHOWN = ("synchronous", "cache_size", "page_size")
SYNCHRONOUS = {0: "OFF", 1: "NORMAL", 2: "FULL", 3: "EXTRA"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at, and what to do where it is wrong."""

    what: str
    found: str
    ok: bool = True
    advice: str = ""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


async def examine(database: Database) -> list[Finding]:
    """Every finding, best read in order."""
    if not isinstance(database, SqliteDatabase):
        return await database.read(_server, database.shown) + await database.write(_schema_and_counts)
    findings = _library_and_file(Path(database.path))
    findings += await database.write(_settings, "writer")
    findings += await database.read(_settings, "reader")
    return findings + await database.read(_schema_and_rows)


def _library_and_file(file: Path) -> list[Finding]:
    log_bytes = wal_bytes(str(file))
    return [
        Finding("SQLite", f"{apsw.sqlite_lib_version()} (apsw {apsw.apsw_version()})"),
        Finding("file", f"{file.resolve()}, {file.stat().st_size:,} bytes"),
        Finding(
            "write-ahead log",
            f"{log_bytes:,} bytes",
            log_bytes <= JOURNAL_LIMIT_BYTES,
            "A reader keeps it from being written back: look for a process that holds the file open.",
        ),
    ]


def _settings(connection: Connection, who: str) -> list[Finding]:
    wanted = WANTED | {"query_only": int(who == "reader")}
    findings = []
    for name, value in wanted.items():
        found = connection.exec_driver_sql(f"PRAGMA {name}").scalar()
        findings.append(
            Finding(f"{who} {name}", str(found), found == value, f"{value} was expected: this is a fault of Homedex, report it.")
        )
    for name, (switch, value) in SWITCHES.items():
        found = driver(connection).config(switch, -1)
        findings.append(Finding(f"{who} {name}", str(found), found == value, f"{value} was expected: report this."))
    for name in SHOWN:
        found = connection.exec_driver_sql(f"PRAGMA {name}").scalar()
        findings.append(Finding(f"{who} {name}", SYNCHRONOUS[found or 0] if name == "synchronous" else str(found)))
    return findings


ON_SERVER = {
    "fsync": ("on", "without it a crash of the server's machine can destroy the database: set it on in postgresql.conf."),
    "full_page_writes": (
        "on",
        "without it a crash of the server's machine can destroy the database: set it on in postgresql.conf.",
    ),
    "synchronous_commit": ("on", "an acknowledged write can be lost: leave HOMEDEX_SYNCHRONOUS at FULL."),
    "data_checksums": ("on", "without them a bad disk goes unnoticed: see pg_checksums."),
}


def _server(connection: Connection, shown: str) -> list[Finding]:
    findings = [Finding("PostgreSQL", str(connection.exec_driver_sql("SHOW server_version").scalar())), Finding("database", shown)]
    for name, (wanted, advice) in ON_SERVER.items():
        found = connection.exec_driver_sql(f"SHOW {name}").scalar()
        findings.append(Finding(name, str(found), found == wanted, advice))
    used = connection.exec_driver_sql("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'").scalar() or 0
    most = int(connection.exec_driver_sql("SHOW max_connections").scalar() or 0)
    return [
        *findings,
        Finding("connections", f"{used} of {most}", used < most - 3, "raise max_connections, or lower HOMEDEX_POOL_SIZE."),
    ]


def _schema_and_counts(connection: Connection) -> list[Finding]:
    head = schema.head()
    if not {"alembic_version", "devices"} <= set(inspect(connection).get_table_names()):
        nothing = Finding("schema", "none", ok=False, advice=f"this program needs {head}: start `homedex serve` once.")
        return [nothing, Finding("holds", "nothing of Homedex")]
    found = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    counts = ", ".join(
        f"{connection.exec_driver_sql(f'SELECT count(*) FROM {table} WHERE removed_at IS NULL').scalar():,} {table}"  # noqa: S608
        for table in ("devices", "entities", "areas")
    )
    return [
        Finding("schema", f"{found}", found == head, f"this program needs {head}: start `homedex serve` once."),
        Finding("holds", counts),
    ]


def _schema_and_rows(connection: Connection) -> list[Finding]:
    schema_found, holds = _schema_and_counts(connection)
    complaints = [row[0] for row in connection.exec_driver_sql("PRAGMA integrity_check(5)")]
    orphans = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchmany(5)
    return [
        schema_found,
        Finding("integrity", "; ".join(complaints), complaints == ["ok"], "Stop the service, copy the file, and restore a backup."),
        Finding(
            "references", f"{len(orphans)} broken", not orphans, "Report this, with the rows that PRAGMA foreign_key_check lists."
        ),
        holds,
    ]
