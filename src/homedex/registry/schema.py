"""The registry's schema in a file: where its migrations are, and the number that marks the file as ours."""

from pathlib import Path
from typing import Any

import homedex
from homedex.storage import migrate
from homedex.storage.database import Database

APPLICATION_ID = 0x484D4458
"""`HMDX`: what PRAGMA application_id and `file` show of a registry."""

MIGRATIONS = Path(homedex.__file__).parent / "migrations"


def head() -> str:
    """The newest schema revision this program knows."""
    return migrate.head_revision(MIGRATIONS)


def upgrade(path: str) -> tuple[str | None, str]:
    """Bring the registry at `path` to the newest schema; see `migrate.upgrade`."""
    return migrate.upgrade(path, MIGRATIONS, application_id=APPLICATION_ID)


def open_registry(path: str, **settings: Any) -> Database:
    """A registry at `path` with its schema brought up to date; `settings` are Database's."""
    upgrade(path)
    return Database.open(path, application_id=APPLICATION_ID, **settings)
