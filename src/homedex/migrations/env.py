"""Alembic's entry: the registry's tables, and what of a database is none of theirs."""

from typing import Any

from alembic import context

from homedex.registry.schema import APPLICATION_ID
from homedex.registry.tables import Base
from homedex.storage.migrate import run_migrations


def is_ours(what: Any, name: str | None, kind: str, *_: Any) -> bool:
    """Leave out the search index, which no model describes, and indexes that are the other engine's."""
    if kind == "table":
        return name is None or not name.startswith(("device_search", "entity_search"))
    meant_for = getattr(getattr(what, "_ddl_if", None), "dialect", None)
    return meant_for in {None, context.get_context().dialect.name}


run_migrations(Base.metadata, application_id=APPLICATION_ID, include_object=is_ours)
