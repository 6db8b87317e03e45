"""Schema migrations on PostgreSQL: the same scripts, under the write lock of all processes, in one transaction."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, text

from homedex.errors import ForeignDatabase, HomedexError, MigrationFailed
from homedex.storage.migrate import head_revision, refuse_newer, run_in
from homedex.storage.postgres import WRITE_LOCK, Session, check_server, connect, create_engine, meaning, run_apart
from homedex.storage.urls import shown

if TYPE_CHECKING:
    from alembic.config import Config

REVISION = "SELECT version_num FROM alembic_version"
TABLES = "SELECT array_agg(tablename::text) FROM pg_tables WHERE schemaname = current_schema()"


def upgrade_server(url: str, scripts: Path) -> tuple[str | None, str]:
    """Bring the database to the newest schema; see `migrate.upgrade`."""
    return run_apart(partial(_upgrade, url, scripts))


async def _upgrade(url: str, scripts: Path) -> tuple[str | None, str]:
    await check_server(url)
    head = head_revision(scripts)
    before = await _revision(url)
    refuse_newer(shown(url), before, scripts)
    if before != head:
        await alembic_on_server(url, scripts, lambda command, config: command.upgrade(config, "head"))
    return before, head


async def _revision(url: str) -> str | None:
    """The revision that the database is at, None when it is empty; without Alembic, which takes 150 ms to import."""
    connection = await connect(url, Session())
    try:
        tables = await connection.fetchval(TABLES) or []  # at one instant: another process may migrate just now
        revision: str | None = await connection.fetchval(REVISION) if "alembic_version" in tables else None
        if (revision is None and set(tables) - {"alembic_version"}) or (revision is not None and not revision.isdigit()):
            raise ForeignDatabase(
                f"{shown(url)} has tables of another program and was left alone. "
                "Make a database of its own for Homedex with `createdb`, and name that in DATABASE_URL."
            )
    finally:
        await connection.close()
    return revision


async def alembic_on_server(url: str, scripts: Path, run: "Callable[[Any, Config], object]") -> None:
    """Run an Alembic command in one transaction that holds the write lock; raises what `migrate.run_alembic` raises."""
    engine = create_engine(url, Session(lock_s=600.0), size=1)

    def locked(connection: Connection) -> None:
        connection.execute(text(f"SELECT pg_advisory_xact_lock({WRITE_LOCK})"))
        run_in(connection, scripts, run)

    try:
        async with engine.execution_options(isolation_level="READ COMMITTED").begin() as connection:
            await connection.run_sync(locked)
    except HomedexError:
        raise
    except Exception as error:
        known = meaning(error, url)
        if known is not error:
            raise known from error
        raise MigrationFailed(f"{shown(url)} keeps the schema it had. The migration stopped with: {error}") from error
    finally:
        await engine.dispose()
