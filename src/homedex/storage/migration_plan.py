"""What an upgrade would run, without running it.

Alembic's own offline mode cannot say it: a batch operation looks at the tables as they are. So an empty scratch database is brought
to the revision that the real one is at, and what is executed from there to the newest schema is written down. Scripts whose SQL
depends on the rows that are there would be planned wrongly: a test compares plan and upgrade of every released schema, with data.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import Connection, event

from homedex.errors import ForeignDatabase
from homedex.storage.engine import create_engine
from homedex.storage.looking import glance, schema_revision, table_names
from homedex.storage.migrate import head_revision, refuse_newer, run_in
from homedex.storage.rows import run
from homedex.storage.sqlite import MEMORY, Options
from homedex.storage.urls import is_postgresql, shown

READS = re.compile(r"\s*(SELECT|SHOW|EXPLAIN|PRAGMA(?![^(]*=))\b", re.IGNORECASE)
"""How a statement begins by which Alembic looks at what is there."""

PLACES = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|\?|\$(\d+)")
"""Texts and names, which are left alone, and the places of parameters."""


class Plan(NamedTuple):
    """An upgrade: from which revision (None: there is no registry yet) to which, and its SQL, none if there is nothing to do."""

    before: str | None
    after: str
    statements: list[str]


def plan(target: str, scripts: Path, *, application_id: int = 0) -> Plan:
    """What `migrate.upgrade` would run. Nothing is changed, and no file is made beside a SQLite file.

    Args:
        target: the path of a SQLite file, which need not be there, or a `postgresql://…` URL.
    Returns: the plan; its statements end with semicolons, and can be run by `sqlite3` or `psql`.
    Raises:
        DatabaseTooNew, ForeignDatabase, NotADatabase, StorageUnavailable: as `migrate.upgrade` would.
    """
    head = head_revision(scripts)
    if is_postgresql(target):
        from homedex.storage.postgres_migrate import TAKE_LOCK, plan_on_server  # noqa: PLC0415  (asyncpg is an extra)

        before, found = plan_on_server(target, scripts, partial(_record, scripts=scripts))
        return Plan(before, head, _framed(["BEGIN", TAKE_LOCK], found, []))
    there = os.path.exists(target)  # noqa: PTH110  (pathlib raises for a name that is too long)
    before = glance(target, partial(_revision, target, application_id)) if there else None
    refuse_newer(target, before, scripts)
    opening = [] if before else [f"PRAGMA application_id = {application_id}", "PRAGMA journal_mode = wal"]
    found = [] if before == head else _record_in_memory(scripts, before)
    return Plan(
        before, head, _framed([*opening, "PRAGMA foreign_keys = OFF", "BEGIN IMMEDIATE"], found, ["PRAGMA foreign_key_check"])
    )


def _revision(path: str, application_id: int, connection: Connection) -> str | None:
    (found,) = next(run(connection, "PRAGMA application_id"))
    if application_id and found != application_id and (found or table_names(connection)):
        raise ForeignDatabase(f"{shown(path)} belongs to another program (application id {found:#x}), and would be left alone.")
    return schema_revision(connection)


def _framed(before: list[str], statements: list[str], after: list[str]) -> list[str]:
    return [_ended(one) for one in (*before, *statements, *after, "COMMIT")] if statements else []


def _ended(statement: str) -> str:
    return statement.strip().rstrip(";") + ";"


def _record_in_memory(scripts: Path, before: str | None) -> list[str]:
    engine = create_engine(MEMORY, Options(foreign_keys=False))
    try:
        with engine.begin() as connection:
            return _record(connection, before, scripts)
    finally:
        engine.dispose()


def _record(connection: Connection, before: str | None, scripts: Path) -> list[str]:
    """What is executed from a revision to the newest; the connection's database is empty."""
    if before is not None:
        run_in(connection, scripts, lambda command, config: command.upgrade(config, before))
    with recorded(connection) as statements:
        run_in(connection, scripts, lambda command, config: command.upgrade(config, "head"))
    return statements


@contextmanager
def recorded(connection: Connection) -> Iterator[list[str]]:
    """Everything that the block executes but what only reads, values written into the SQL."""
    statements: list[str] = []

    def note(_: Connection, __: Any, statement: str, parameters: Any, ___: Any, many: bool) -> None:
        if not READS.match(statement):
            statements.extend(_filled(statement, one, connection) for one in (parameters if many else [parameters]))

    event.listen(connection, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        event.remove(connection, "before_cursor_execute", note)


def _filled(statement: str, parameters: Any, connection: Connection) -> str:
    """A statement with its parameters in their places."""
    if not parameters:
        return statement
    values = iter(parameters)

    def fill(place: re.Match[str]) -> str:
        if place[0] == "?":
            return literal(next(values), connection.dialect.name)
        return literal(parameters[int(place[1]) - 1], connection.dialect.name) if place[1] else place[0]

    return PLACES.sub(fill, statement)


def literal(value: Any, engine: str) -> str:
    """A driver's value as SQL."""
    match value:
        case None:
            return "NULL"
        case bool():
            return str(value).upper()
        case int() | float():
            return repr(value)
        case bytes() | memoryview():
            return f"X'{value.hex()}'" if engine == "sqlite" else f"'\\x{value.hex()}'"
        case datetime():
            return f"'{value.isoformat()}'"
    return "'" + str(value).replace("'", "''") + "'"
