"""Alembic's entry: it gets an open connection that holds the write lock, and the registry's tables."""

from alembic import context

from homedex.registry.tables import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,
    transactional_ddl=True,
    user_module_prefix="types.",
)
with context.begin_transaction():
    context.run_migrations()
