"""Alembic's entry as the recipe has it: with the service's own engine, whose listener turns foreign keys on."""

from alembic import context

from proof.models import Base
from proof.recipe import make_engine

connectable = make_engine(context.config.get_main_option("sqlalchemy.url") or "")
with connectable.connect() as connection:
    context.configure(connection=connection, target_metadata=Base.metadata, render_as_batch=True)
    with context.begin_transaction():
        context.run_migrations()
connectable.dispose()
