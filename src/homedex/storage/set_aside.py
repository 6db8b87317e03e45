"""Making way on a server: what there is goes into a schema of its own, in the transaction that writes what takes its place."""

from pathlib import Path

from sqlalchemy import Connection

from homedex.errors import Busy, Conflict
from homedex.storage.looking import schema_revision, table_names
from homedex.storage.migrate import run_in
from homedex.storage.postgres import IN_USE_LOCK
from homedex.storage.postgres_migrate import refuse_foreign
from homedex.storage.rows import run
from homedex.storage.urls import shown

MOVES = """
    SELECT format('ALTER TABLE %I SET SCHEMA %I', relname, $1::text) FROM pg_class AS one
    WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND NOT EXISTS (
        SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = one.oid
        AND (deptype = 'e' OR relkind = 'S' AND deptype IN ('a', 'i')))
    UNION ALL
    SELECT format('ALTER ROUTINE %s SET SCHEMA %I', oid::regprocedure, $1::text) FROM pg_proc AS one
    WHERE pronamespace = current_schema()::regnamespace
        AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_proc'::regclass AND objid = one.oid AND deptype = 'e')
    UNION ALL
    SELECT format('ALTER TYPE %s SET SCHEMA %I', oid::regtype, $1::text) FROM pg_type AS one
    WHERE typnamespace = current_schema()::regnamespace AND typtype IN ('d', 'e')
        AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_type'::regclass AND objid = one.oid AND deptype = 'e')
"""
"""Tables, views, sequences, functions and types, but what an extension has made; indexes, and what numbers a table, go with it."""


def make_way(connection: Connection, url: str, scripts: Path | str, schema: str) -> bool:
    """Move all there is into a new schema, and make the tables of the newest schema of `scripts` where it was.

    Returns: whether there was anything to move; if not, no schema is made.
    Raises:
        Busy: another process has the database open.
        Conflict: there is a schema of that name.
        ForeignDatabase: its tables are another program's.
    """
    if not next(run(connection, f"SELECT pg_try_advisory_xact_lock({IN_USE_LOCK})"))[0]:
        raise Busy(f"another process has {shown(url)} open. Stop the service, and restore again. Nothing was changed.")
    refuse_foreign(url, schema_revision(connection), table_names(connection), scripts)
    moves = [move for (move,) in run(connection, MOVES, schema)]
    if moves:
        if any(run(connection, "SELECT 1 FROM pg_namespace WHERE nspname = $1", schema)):
            raise Conflict(f"{shown(url)} has a schema {schema} already. Try again in a second. Nothing was changed.")
        run(connection, f'CREATE SCHEMA "{schema}"')
    for move in moves:
        run(connection, move)
    with connection.begin_nested():  # Alembic sees that there is a transaction, and leaves it alone
        run_in(connection, scripts, lambda command, config: command.upgrade(config, "head"))
    return bool(moves)
