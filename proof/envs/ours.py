"""Alembic's entry on the storage room."""

from homedex.storage import run_migrations
from proof.models import Base

run_migrations(Base.metadata)
