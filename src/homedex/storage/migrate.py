"""Schema migrations by Alembic, made safe for SQLite: under the write lock, all or nothing, with references checked.

Source: SQLite's Alembic runs are not transactional by default, a failed one leaves half a schema; a batch ALTER with foreign keys
on deleted every child row (Alembic 1.20.1, measured 2026-11).
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import apsw
from sqlalchemy import Connection

from homedex.errors import DatabaseTooNew, HomedexError, MigrationFailed
from homedex.storage.engine import create_engine
from homedex.storage.jobs import meaning
from homedex.storage.sqlite import Options, open_connection
from homedex.storage.urls import is_postgresql

if TYPE_CHECKING:
    from alembic.config import Config


def head_revision(scripts: Path) -> str:
    """The newest revision that the folder of migrations knows; files are named `0001_what_it_does.py`."""
    return known_revisions(scripts)[-1]


def known_revisions(scripts: Path) -> list[str]:
    """All revisions of the folder, oldest first. Read from the names: Alembic takes 150 ms to import and is seldom needed."""
    return sorted(file.stem.partition("_")[0] for file in (scripts / "versions").glob("[0-9]*.py"))


def schema_revision(connection: apsw.Connection) -> str | None:
    """The revision that the database is at; None when it has no schema yet."""
    if not connection.table_exists("main", "alembic_version"):
        return None
    row = next(connection.execute("SELECT version_num FROM alembic_version"), None)
    return None if row is None else row[0]


def upgrade(target: str, scripts: Path, *, application_id: int = 0) -> tuple[str | None, str]:
    """Bring the database to the newest schema, making its file if need be.

    Several processes may do this at the same instant: the first takes the write lock and migrates, the others wait for it and
    find nothing to do. A migration that fails is rolled back whole.

    Args:
        target: the path of a SQLite file, or a `postgresql://…` URL.
    Returns: (revision before, revision now).
    Raises:
        DatabaseTooNew: the schema is of a newer program; nothing was touched.
        MigrationFailed: the schema is as it was.
        StorageUnavailable, NotADatabase, ForeignDatabase: see `sqlite.open_connection`.
    """
    if is_postgresql(target):
        from homedex.storage.postgres_migrate import upgrade_server  # noqa: PLC0415  (asyncpg is an extra)

        return upgrade_server(target, scripts)
    head, path = head_revision(scripts), target
    connection = open_connection(path, Options(application_id=application_id))
    try:
        before = schema_revision(connection)
        refuse_newer(path, before, scripts)
    finally:
        connection.close()
    if before != head:
        run_alembic(path, scripts, lambda command, config: command.upgrade(config, "head"), application_id=application_id)
    return before, head


def refuse_newer(path: str, revision: str | None, scripts: Path) -> None:
    """Return if the revision is one that the folder knows, or none; raises DatabaseTooNew."""
    known = known_revisions(scripts)
    if revision is not None and revision not in known:
        raise DatabaseTooNew(
            f"{path} has schema {revision}, and this program knows schemas up to {known[-1]}. "
            "Use the newer Homedex that wrote it, or restore a backup from before that upgrade. Nothing was changed."
        )


def run_alembic(path: str, scripts: Path, run: "Callable[[Any, Config], object]", *, application_id: int = 0) -> None:
    """Run an Alembic command, `run(alembic.command, config)`, in one transaction that holds the write lock.

    Foreign keys are off while it runs, because a batch ALTER drops the old table and ON DELETE CASCADE would take its children
    along; the pragma does nothing inside a transaction, so it is set when the connection is made. They are checked before
    COMMIT instead.

    Raises:
        MigrationFailed: the command failed or broke a reference; everything was rolled back.
    """
    options = Options(foreign_keys=False, application_id=application_id)
    engine = create_engine(path, options)
    try:
        with engine.begin() as connection:
            run_in(connection, scripts, run)
            _check_references(connection)
    except HomedexError:
        raise
    except Exception as error:
        known = meaning(error, path)
        if known is not error:
            raise known from error
        raise MigrationFailed(f"{path} keeps the schema it had. The migration stopped with: {error}") from error
    finally:
        engine.dispose()


def run_in(connection: Connection, scripts: Path, run: "Callable[[Any, Config], object]") -> None:
    """Run an Alembic command in a transaction that is open already."""
    from alembic import command  # noqa: PLC0415  (150 ms that a database at head need not pay)
    from alembic.config import Config  # noqa: PLC0415

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(scripts).replace("%", "%%"))
    run(command, config)


def _check_references(connection: Connection) -> None:
    broken = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchmany(3)
    if broken:
        places = ", ".join(f"{row[0]} row {row[1]} -> {row[2]}" for row in broken)
        raise MigrationFailed(f"the migration would leave rows that point nowhere ({places}). It was rolled back.")
