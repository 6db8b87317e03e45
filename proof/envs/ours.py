"""Alembic's entry as `homedex.storage.migrate` needs it: it gets an open connection that holds the write lock."""

from alembic import context

from proof.models import Base

context.configure(
    connection=context.config.attributes["connection"], target_metadata=Base.metadata, render_as_batch=True, transactional_ddl=True
)
with context.begin_transaction():
    context.run_migrations()
