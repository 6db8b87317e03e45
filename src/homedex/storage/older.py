"""A server's database that an older program has left, as it is: what the tables of its schema are is read from itself."""

from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Boolean, Connection, DateTime, MetaData, event
from sqlalchemy.types import JSON, TypeEngine

from homedex.storage.digests import own_tables
from homedex.storage.looking import look, schema_revision
from homedex.storage.migrate import head_revision, refuse_newer, run_alembic
from homedex.storage.sqlite import open_connection
from homedex.storage.transfer import Shape
from homedex.storage.types import Flag, JsonText, UtcDateTime
from homedex.storage.urls import shown

OURS: tuple[tuple[type[TypeEngine[Any]], type[TypeEngine[Any]]], ...] = (
    (DateTime, UtcDateTime),
    (JSON, JsonText),
    (Boolean, Flag),
)
"""What a server calls our types."""


def as_it_is(source: str, copy: Path, shape: Shape) -> Shape:
    """The shape of a server's database: `shape`, or, if its schema is an older one, what that consists of.

    In that case the same migrations make the tables in `copy`, up to the same revision. What follows from their rows, such as a
    search index, stays empty there, because only the program of that time knew how to make it: `restore` makes it of the newest.

    Args:
        source: a `postgresql://…` URL.
        copy: an empty SQLite file.
    """
    found = look(source, schema_revision)
    if found in {None, head_revision(shape.scripts)}:
        return shape
    refuse_newer(shown(source), found, shape.scripts)
    run_alembic(
        str(copy), shape.scripts, lambda command, config: command.upgrade(config, found), application_id=shape.application_id
    )
    with closing(open_connection(str(copy))) as connection:
        names = set(own_tables(connection)) - {"alembic_version"}
    return replace(shape, metadata=look(source, partial(_tables, names)), finish=_nothing, revision=found)


def _tables(names: set[str], connection: Connection) -> MetaData:
    """The tables of these names, as a server describes them."""
    found = MetaData()
    event.listen(found, "column_reflect", _give_our_type)
    found.reflect(connection, only=sorted(names))
    return found


def _give_our_type(_: Any, __: Any, column: Any) -> None:
    column["type"] = next((ours() for theirs, ours in OURS if isinstance(column["type"], theirs)), column["type"])


def _nothing(_: Connection) -> None:
    pass
