"""Alembic's entry: it gets an open connection that holds the write lock, and the registry's tables."""

from typing import Any

from alembic import context

from homedex.registry.tables import Base


def is_ours(_: Any, name: str | None, kind: str, *__: Any) -> bool:
    """Leave out the search index: SQLite's own tables, which no model describes."""
    return kind != "table" or name is None or not name.startswith(("device_search", "entity_search"))


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    include_object=is_ours,
    render_as_batch=True,
    transactional_ddl=True,
    user_module_prefix="types.",
)
with context.begin_transaction():
    context.run_migrations()
