"""Alembic's entry: it gets an open connection that holds the write lock, and the registry's tables."""

from typing import Any

from alembic import context

from homedex.registry.tables import Base

connection = context.config.attributes["connection"]


def is_ours(what: Any, name: str | None, kind: str, *_: Any) -> bool:
    """Leave out the search index, which no model describes, and indexes that are the other engine's."""
    if kind == "table":
        return name is None or not name.startswith(("device_search", "entity_search"))
    meant_for = getattr(getattr(what, "_ddl_if", None), "dialect", None)
    return meant_for in {None, connection.dialect.name}


context.configure(
    connection=connection,
    target_metadata=Base.metadata,
    include_object=is_ours,
    render_as_batch=True,
    transactional_ddl=True,
    user_module_prefix="types.",
)
with context.begin_transaction():
    context.run_migrations()
