"""Schema migrations by Alembic, made safe for SQLite: under the write lock, all or nothing, with references checked.

Source: SQLite's Alembic runs are not transactional by default, a failed one leaves half a schema; a batch ALTER with foreign keys
on deleted every child row (Alembic 1.20.1, measured 2026-11).
"""

import ast
import logging
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import apsw
from sqlalchemy import Connection, MetaData

from homedex.errors import BadSetting, DatabaseTooNew, HomedexError, MigrationFailed
from homedex.storage import looking, types
from homedex.storage.engine import create_engine
from homedex.storage.jobs import meaning
from homedex.storage.rows import driver
from homedex.storage.sqlite import Options, busy_handler, open_connection
from homedex.storage.urls import is_postgresql, shown, target_of

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


def head_revision(scripts: Path | str) -> str:
    """The newest revision that the folder of migrations knows."""
    return known_revisions(scripts)[-1]


def known_revisions(scripts: Path | str) -> list[str]:
    """All revisions of the folder, oldest first. Read from the files' text: Alembic takes 150 ms to import and is seldom needed.

    Raises:
        BadSetting: the folder has none, or they are not one line with one end.
    """
    folder = Path(scripts) / "versions"
    texts = {file: file.read_text() for file in folder.glob("*.py")}
    before = dict(_said(file, text) for file, text in texts.items() if "revision" in text)
    if not before:
        raise BadSetting(f"{folder} has no migrations. Name the folder that `alembic init` made, and make the first.")
    try:
        known = list(TopologicalSorter(before).static_order())
    except CycleError as error:
        raise BadSetting(f"the migrations in {folder} come after one another in a circle: {', '.join(error.args[1])}.") from None
    ends = before.keys() - {one for those in before.values() for one in those}
    if len(ends) != 1 or len(known) != len(before):
        unknown = sorted(set(known) - before.keys())
        fault = f"no migration {unknown[0]}" if unknown else f"{len(ends)} newest migrations: {', '.join(sorted(ends))}"
        raise BadSetting(f"{folder} has {fault}. Each migration comes after another one there; `alembic merge heads` joins two.")
    return known


def _said(file: Path, text: str) -> tuple[str, tuple[str, ...]]:
    """A migration's revision, and those that it comes after."""
    try:
        said = dict(_assigned(ast.parse(text)))
        before = said.get("down_revision")
        return said["revision"], (before,) if isinstance(before, str) else tuple(before or ())
    except (KeyError, ValueError, SyntaxError, TypeError):
        raise BadSetting(f"{file} does not say `revision = ` and `down_revision = ` as Alembic's migrations do.") from None


def _assigned(module: ast.Module) -> Iterator[tuple[str, Any]]:
    """Each of the two names that the module gives a value; also where both are in one line."""
    for statement in module.body:
        if isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value is not None:
            target = statement.targets[0] if isinstance(statement, ast.Assign) else statement.target
            names = [ast.unparse(one) for one in (target.elts if isinstance(target, ast.Tuple) else [target])]
            if not {"revision", "down_revision"}.isdisjoint(names):
                value = ast.literal_eval(statement.value)
                yield from zip(names, value if isinstance(target, ast.Tuple) else [value], strict=True)


def schema_revision(connection: apsw.Connection) -> str | None:
    """The revision that the database is at; None when it has no schema yet."""
    if not connection.table_exists("main", "alembic_version"):
        return None
    row = next(connection.execute("SELECT version_num FROM alembic_version"), None)
    return None if row is None else row[0]


def upgrade(
    target: str, scripts: Path | str, *, application_id: int = 0, first: Callable[[], object] = lambda: None
) -> tuple[str | None, str]:
    """Bring the database to the newest schema, making its file if need be.

    Several processes may do this at the same instant: the first takes the write lock and migrates, the others wait for it, say
    so, and find nothing to do. A migration that fails is rolled back whole.

    Args:
        target: the path of a SQLite file, or a `postgresql://…` URL.
        scripts: the folder of migrations, with `env.py` and `versions` in it; see `run_migrations`.
        application_id: see `sqlite.Options`.
        first: done before an older schema is touched; what it raises keeps the schema as it is.
    Returns: (revision when this process had the lock, revision now): both are the same where another one was faster.
    Raises:
        DatabaseTooNew: the schema is of a newer program; nothing was touched.
        MigrationFailed: the schema is as it was.
        BadSetting: the folder has no migrations, or they are not one line with one end.
        StorageUnavailable, NotADatabase, ForeignDatabase: see `sqlite.open_connection`.
    """
    if is_postgresql(target):
        from homedex.storage.postgres_migrate import upgrade_server  # noqa: PLC0415  (asyncpg is an extra)

        return upgrade_server(target, scripts, first)
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
        before = run_alembic(target, scripts, partial(to_head, target, scripts, lambda: None), application_id=application_id)
    return before, head


def to_head(target: str, scripts: Path | str, first: Callable[[], object], command: Any, config: "Config") -> str | None:
    """An Alembic command for `run_alembic`: upgrade to the newest schema; the revision that the schema was at.

    It is read again under the lock: while this process waited, another one may have done the work, or be newer than this one.
    `first` is called before an older one is touched.
    """
    before = looking.schema_revision(config.attributes["connection"])
    refuse_newer(shown(target), before, scripts)
    if before != head_revision(scripts):
        if before is not None:
            first()
        command.upgrade(config, "head")
    return before


def refuse_newer(path: str, revision: str | None, scripts: Path | str) -> None:
    """Return if the revision is one that the folder knows, or none; raises DatabaseTooNew."""
    known = known_revisions(scripts)
    if revision is not None and revision not in known:
        raise DatabaseTooNew(
            f"{path} has schema {revision}, and this program knows schemas up to {known[-1]}. "
            "Use the newer version that wrote it, or restore a backup from before that upgrade. Nothing was changed."
        )


def run_alembic(path: str, scripts: Path | str, run: "Callable[[Any, Config], T]", *, application_id: int = 0) -> T:
    """The result of an Alembic command, `run(alembic.command, config)`, in one transaction that holds the write lock.

    Raises:
        MigrationFailed: the command failed or broke a reference; everything was rolled back.
    """
    with _migrating(path, application_id) as connection:
        return run_in(connection, scripts, run)


@contextmanager
def _migrating(path: str, application_id: int) -> Iterator[Connection]:
    """One transaction that holds the write lock, for Alembic.

    Foreign keys are off while it runs, because a batch ALTER drops the old table and ON DELETE CASCADE would take its children
    along; the pragma does nothing inside a transaction, so it is set when the connection is made. They are checked before
    COMMIT instead.
    """
    options = Options(foreign_keys=False, application_id=application_id)
    engine = create_engine(path, options)
    try:
        with engine.connect() as connection:
            driver(connection).set_busy_handler(patient(path))
            with connection.begin():
                yield connection
                _check_references(connection)
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


def run_in(connection: Connection, scripts: Path | str, run: "Callable[[Any, Config], T]") -> T:
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


# --- what env.py calls -----------------------------------------------------------------------------------------------------------


def run_migrations(metadata: MetaData, *, url: str | None = None, application_id: int = 0, **settings: Any) -> None:
    """All that an `env.py` of Alembic has to do: `run_migrations(Base.metadata)`.

    Called by `upgrade`, the migrations run in its transaction. Called by the command `alembic` (`alembic revision --autogenerate`,
    `alembic check`), they run in the same kind of transaction: under the write lock, all or nothing, references checked at the
    end. Batch operations are on, so that SQLite can alter what it cannot by itself.

    Args:
        metadata: the tables that `--autogenerate` and `check` compare the database with.
        url: the database of the command `alembic`; None: `sqlalchemy.url` of `alembic.ini`. `upgrade` is told its own.
        application_id: see `sqlite.Options`; for the command `alembic`.
        settings: of Alembic's `context.configure`, such as `include_object`.
    Raises:
        CommandError: (Alembic's, to the command `alembic`, which prints it) what `upgrade` would raise, in one line.
    """
    from alembic import context  # noqa: PLC0415  (150 ms that a database at head need not pay)
    from alembic.util import CommandError  # noqa: PLC0415

    said = {"target_metadata": metadata, "render_as_batch": True, "transactional_ddl": True, "render_item": _rendered} | settings

    def run(connection: Connection) -> None:
        context.configure(connection=connection, **said)  # type: ignore[arg-type]
        with context.begin_transaction():
            context.run_migrations()

    given = context.config.attributes.get("connection")
    if given is not None:
        run(given)
        return
    try:
        if context.is_offline_mode():
            raise BadSetting("--sql writes down nothing here: batch operations have to look at the tables that there are.")
        _run_alone(url or context.config.get_main_option("sqlalchemy.url") or "", application_id, run)
    except HomedexError as error:
        raise CommandError(str(error)) from error


def _run_alone(url: str, application_id: int, run: Callable[[Connection], None]) -> None:
    target = target_of(url, "sqlalchemy.url")
    if is_postgresql(target):
        from homedex.storage.postgres import run_apart  # noqa: PLC0415  (asyncpg is an extra)
        from homedex.storage.postgres_migrate import under_lock  # noqa: PLC0415

        run_apart(partial(under_lock, target, run))
        return
    with _migrating(target, application_id) as connection:
        run(connection)


def _rendered(kind: str, item: Any, context: Any) -> str | Literal[False]:
    """How `alembic revision --autogenerate` writes our column types: by their public names, with their import."""
    name = type(item).__name__
    if kind != "type" or name not in {"UtcDateTime", "JsonText", "Flag"} or type(item).__module__ != types.__name__:
        return False
    context.imports.add("import homedex.storage")
    return f"homedex.storage.{name}()"
