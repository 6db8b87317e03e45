"""Schema migrations on PostgreSQL: the same scripts, under the write lock of all processes, in one transaction."""

import asyncio
import logging
import secrets
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from homedex.errors import ForeignDatabase, HomedexError
from homedex.storage.migrate import LOCK_S, QUIET_S, WAITING, failed, head_revision, known_revisions, refuse_newer, run_in, to_head
from homedex.storage.postgres import WRITE_LOCK, Session, check_server, connect, create_engine, meaning, run_apart, sqlstate
from homedex.storage.urls import shown

T = TypeVar("T")
log = logging.getLogger(__name__)

TAKE_LOCK = f"SELECT pg_advisory_xact_lock({WRITE_LOCK})"
LOCKED = "55P03"
"""The SQLSTATE of a lock that was not to be had in time."""

REVISION = "SELECT version_num FROM alembic_version"
TABLES = "SELECT array_agg(tablename::text) FROM pg_tables WHERE schemaname = current_schema()"


def upgrade_server(url: str, scripts: Path | str, first: Callable[[], object]) -> tuple[str | None, str]:
    """Bring the database to the newest schema; see `migrate.upgrade`. `first` is called when this process has the lock."""
    return run_apart(partial(_upgrade, url, scripts, first))


async def _upgrade(url: str, scripts: Path | str, first: Callable[[], object]) -> tuple[str | None, str]:
    before, head = await _revision(url, scripts), head_revision(scripts)
    if before != head:
        # A migration locks tables that a backup reads, so `first` waits for that of another process, too.
        steps = partial(to_head, url, scripts, lambda: run_apart(partial(asyncio.to_thread, first)))
        before = await under_lock(url, lambda connection: run_in(connection, scripts, steps))
    return before, head


async def _revision(url: str, scripts: Path | str) -> str | None:
    """The revision that the database is at, None when it is empty; without Alembic, which takes 150 ms to import.

    Raises:
        ForeignDatabase: its tables are another program's.
        DatabaseTooNew: its schema is a newer program's.
    """
    await check_server(url)
    connection = await connect(url, Session())
    try:
        tables = await connection.fetchval(TABLES) or []  # at one instant: another process may migrate just now
        revision: str | None = await connection.fetchval(REVISION) if "alembic_version" in tables else None
        refuse_foreign(url, revision, set(tables), scripts)
    finally:
        await connection.close()
    refuse_newer(shown(url), revision, scripts)
    return revision


def refuse_foreign(url: str, revision: str | None, tables: set[str], scripts: Path | str) -> None:
    """Return unless a database is another program's: it has tables without a revision, or one that is no number as ours are."""
    if revision is None:
        is_foreign = bool(tables - {"alembic_version"})
    else:
        is_foreign = not revision.isdigit() and all(known.isdigit() for known in known_revisions(scripts))
    if is_foreign:
        raise ForeignDatabase(
            f"{shown(url)} has tables of another program and was left alone. "
            "Make a database of its own with `createdb`, and name that in DATABASE_URL."
        )


async def under_lock(url: str, work: Callable[[Connection], T]) -> T:
    """The result of `work(connection)` in one transaction that holds the write lock; see `migrate.run_alembic`."""

    def locked(connection: Connection) -> T:
        _take_lock(connection, url)
        return work(connection)

    return await _in_transaction(url, locked)


def _take_lock(connection: Connection, url: str) -> None:
    """Wait for the write lock, and say so once it takes longer than other writes do."""
    try:
        with connection.begin_nested():
            connection.execute(text(f"SET LOCAL lock_timeout = '{QUIET_S}s'"))
            connection.execute(text(TAKE_LOCK))
    except DBAPIError as error:
        if sqlstate(error) != LOCKED:
            raise
        log.warning(WAITING, shown(url))
        connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_S}s'"))
        connection.execute(text(TAKE_LOCK))
    connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_S}s'"))


async def _in_transaction(url: str, work: Callable[[Connection], T], *, keep: bool = True) -> T:
    """The result of `work(connection)` in a transaction, which is rolled back in the end unless `keep`."""
    engine = create_engine(url, Session(lock_s=LOCK_S), size=1)
    try:
        async with engine.execution_options(isolation_level="READ COMMITTED").connect() as connection, connection.begin() as begun:
            result = await connection.run_sync(work)
            if not keep:
                await begun.rollback()
            return result
    except HomedexError:
        raise
    except Exception as error:
        known = meaning(error, url)
        raise (known if known is not error else failed(url, error)) from error
    finally:
        await engine.dispose()


def plan_on_server(
    url: str, scripts: Path | str, record: Callable[[Connection, str | None], list[str]]
) -> tuple[str | None, list[str]]:
    """The revision of a database, and what `record(connection, revision)` finds in an empty scratch schema of it.

    The schema goes with the transaction that made it, so nothing is left of it, even if this process is killed, and nothing of
    the registry is locked meanwhile. It needs the right to make a schema (CREATE on the database), which an owner has.
    """

    def in_scratch(connection: Connection, before: str | None) -> list[str]:
        name = f"homedex_plan_{secrets.token_hex(4)}"
        connection.execute(text(f"CREATE SCHEMA {name}"))
        connection.execute(text(f"SET LOCAL search_path TO {name}"))
        return record(connection, before)

    async def plan() -> tuple[str | None, list[str]]:
        before = await _revision(url, scripts)
        if before == head_revision(scripts):
            return before, []
        return before, await _in_transaction(url, lambda connection: in_scratch(connection, before), keep=False)

    return run_apart(plan)
