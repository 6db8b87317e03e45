"""Schema migrations by Alembic, made safe for SQLite: under the write lock, all or nothing, with references checked.

Source: SQLite's Alembic runs are not transactional by default, a failed one leaves half a schema; a batch ALTER with foreign keys
on deleted every child row (Alembic 1.20.1, measured 2026-11).
"""

import logging
import re
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import apsw
from sqlalchemy import Connection

from homedex.errors import DatabaseTooNew, HomedexError, MigrationFailed
from homedex.storage import looking
from homedex.storage.engine import create_engine
from homedex.storage.jobs import meaning
from homedex.storage.rows import driver
from homedex.storage.sqlite import Options, busy_handler, open_connection
from homedex.storage.urls import is_postgresql, shown

if TYPE_CHECKING:
    from alembic.config import Config

T = TypeVar("T")
log = logging.getLogger(__name__)

LOCK_S = 600.0
"""How long to wait for the write lock: another process may be rebuilding tables of a million rows."""

QUIET_S = 1.0
"""How long of that is nothing to speak of: a service that goes on writing holds the lock that long at most."""

WAITING = "another process is migrating %s, or writing much to it; waiting for it to end"
SAID_LENGTH = 300


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


def upgrade(
    target: str, scripts: Path, *, application_id: int = 0, first: Callable[[], object] = lambda: None
) -> tuple[str | None, str]:
    """Bring the database to the newest schema, making its file if need be.

    Several processes may do this at the same instant: the first takes the write lock and migrates, the others wait for it, say
    so, and find nothing to do. A migration that fails is rolled back whole.

    Args:
        target: the path of a SQLite file, or a `postgresql://…` URL.
        first: done before an older schema in a file is touched; what it raises keeps the schema as it is.
    Returns: (revision when this process had the lock, revision now): both are the same where another one was faster.
    Raises:
        DatabaseTooNew: the schema is of a newer program; nothing was touched.
        MigrationFailed: the schema is as it was.
        StorageUnavailable, NotADatabase, ForeignDatabase: see `sqlite.open_connection`.
    """
    if is_postgresql(target):
        from homedex.storage.postgres_migrate import upgrade_server  # noqa: PLC0415  (asyncpg is an extra)

        return upgrade_server(target, scripts)
    head = head_revision(scripts)
    connection = open_connection(target, Options(application_id=application_id))
    try:
        before = schema_revision(connection)
        refuse_newer(target, before, scripts)
    finally:
        connection.close()
    if before != head:
        if before is not None:
            first()
        before = run_alembic(target, scripts, partial(to_head, target, scripts), application_id=application_id)
    return before, head


def to_head(target: str, scripts: Path, command: Any, config: "Config") -> str | None:
    """An Alembic command for `run_alembic`: upgrade to the newest schema; the revision that the schema was at.

    It is read again under the lock: while this process waited, another one may have done the work, or be newer than this one.
    """
    before = looking.schema_revision(config.attributes["connection"])
    refuse_newer(shown(target), before, scripts)
    if before != head_revision(scripts):
        command.upgrade(config, "head")
    return before


def refuse_newer(path: str, revision: str | None, scripts: Path) -> None:
    """Return if the revision is one that the folder knows, or none; raises DatabaseTooNew."""
    known = known_revisions(scripts)
    if revision is not None and revision not in known:
        raise DatabaseTooNew(
            f"{path} has schema {revision}, and this program knows schemas up to {known[-1]}. "
            "Use the newer Homedex that wrote it, or restore a backup from before that upgrade. Nothing was changed."
        )


def run_alembic(path: str, scripts: Path, run: "Callable[[Any, Config], T]", *, application_id: int = 0) -> T:
    """The result of an Alembic command, `run(alembic.command, config)`, in one transaction that holds the write lock.

    Foreign keys are off while it runs, because a batch ALTER drops the old table and ON DELETE CASCADE would take its children
    along; the pragma does nothing inside a transaction, so it is set when the connection is made. They are checked before
    COMMIT instead.

    Raises:
        MigrationFailed: the command failed or broke a reference; everything was rolled back.
    """
    options = Options(foreign_keys=False, application_id=application_id)
    engine = create_engine(path, options)
    try:
        with engine.connect() as connection:
            driver(connection).set_busy_handler(patient(path))
            with connection.begin():
                result = run_in(connection, scripts, run)
                _check_references(connection)
            return result
    except HomedexError:
        raise
    except Exception as error:
        known = meaning(error, path)
        if known is not error:
            raise known from error
        raise failed(path, error) from error
    finally:
        engine.dispose()


def failed(target: str, error: Exception) -> MigrationFailed:
    """What to say of a migration that stopped, in one line."""
    cause = getattr(error, "orig", None) or error
    what = re.sub(r"\s+", " ", str(cause))[:SAID_LENGTH].rstrip(". ")
    return MigrationFailed(f"{shown(target)} keeps the schema it had. The migration stopped with: {what}.")


def patient(path: str) -> Callable[[int], bool]:
    """A busy handler that waits for another process's migration, and says so once it takes longer than other writes do."""
    wait_on, began, silent = busy_handler(LOCK_S), 0.0, True

    def wait(tries: int) -> bool:
        nonlocal began, silent
        if tries == 0:
            began = time.monotonic()
        if silent and time.monotonic() > began + QUIET_S:
            silent = False
            log.warning(WAITING, path)
        return wait_on(tries)

    return wait


def run_in(connection: Connection, scripts: Path, run: "Callable[[Any, Config], T]") -> T:
    """The result of an Alembic command in a transaction that is open already."""
    from alembic import command  # noqa: PLC0415  (150 ms that a database at head need not pay)
    from alembic.config import Config  # noqa: PLC0415

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(scripts).replace("%", "%%"))
    return run(command, config)


def _check_references(connection: Connection) -> None:
    broken = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchmany(3)
    if broken:
        places = ", ".join(f"{row[0]} row {row[1]} -> {row[2]}" for row in broken)
        raise MigrationFailed(f"the migration would leave rows that point nowhere ({places}). It was rolled back.")
