"""The registry's schema in a file: where its migrations are, and the number that marks the file as ours."""

import os
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import homedex
from homedex.errors import StorageUnavailable
from homedex.storage import migrate
from homedex.storage.database import Database
from homedex.storage.urls import is_postgresql, shown

if TYPE_CHECKING:
    from homedex.storage.migration_plan import Plan
    from homedex.storage.transfer import Progress, Proof, Shape

APPLICATION_ID = 0x484D4458
"""`HMDX`: what PRAGMA application_id and `file` show of a registry."""

MIGRATIONS = Path(homedex.__file__).parent / "migrations"


def head() -> str:
    """The newest schema revision this program knows."""
    return migrate.head_revision(MIGRATIONS)


def upgrade(target: str, *, backup_dir: Path | None = None) -> tuple[str | None, str]:
    """Bring a registry to the newest schema; see `migrate.upgrade`. An older one is backed up first, and that verified.

    Args:
        backup_dir: where backups lie; None: `backups` beside the file, or in this folder if it is on a server.
    Raises:
        StorageFull, StorageUnavailable, BadBackup: it could not be backed up; the schema is as it was.
    """
    if not is_postgresql(target):
        # Names of rooms and people are nobody else's business. If it is there, or cannot be made, that is said when it is opened.
        with suppress(OSError):
            os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    return migrate.upgrade(target, MIGRATIONS, application_id=APPLICATION_ID, first=partial(_back_up, target, backup_dir))


def _back_up(target: str, folder: Path | None) -> None:
    from homedex.registry.backups import Backups, create_here  # noqa: PLC0415  (few starts upgrade anything)

    create_here(Backups(target, folder), lambda: datetime.now(UTC), "upgrade", wait=True)


def plan(target: str) -> "Plan":
    """What `upgrade` would run; see `migration_plan.plan`."""
    from homedex.storage import migration_plan  # noqa: PLC0415  (only who asks for it needs it)

    return migration_plan.plan(target, MIGRATIONS, application_id=APPLICATION_ID)


def is_there(target: str) -> bool:
    """Whether there is a registry, of whatever schema; writes nothing."""
    from homedex.storage.looking import look, schema_revision  # noqa: PLC0415  (the service needs it not)

    is_file = not is_postgresql(target)
    if is_file and (not os.path.exists(target) or os.path.getsize(target) == 0):  # noqa: PTH110, PTH202  (pathlib raises for a long name)
        return False
    return look(target, schema_revision) is not None


def open_as_it_is(target: str, **settings: Any) -> Database:
    """A registry that is at the newest schema already, for who only reads.

    Raises:
        StorageUnavailable: it is older, or none yet; nothing was written.
        DatabaseTooNew: it is newer.
    """
    from homedex.storage.looking import look, schema_revision  # noqa: PLC0415  (the service needs it not)

    found, newest = look(target, schema_revision), head()
    if found is None:
        raise StorageUnavailable(f"there is no registry in {shown(target)} yet. Make one with `homedex serve` or `homedex import`.")
    if found != newest:
        migrate.refuse_newer(shown(target), found, MIGRATIONS)
        raise StorageUnavailable(
            f"the registry in {shown(target)} has schema {found}, and {newest} is wanted. "
            "Run `homedex migrate`, which backs it up first. Nothing was changed."
        )
    return Database.open(target, application_id=APPLICATION_ID, **settings)


def open_registry(target: str, *, backup_dir: Path | None = None, **settings: Any) -> Database:
    """A registry with its schema brought up to date; see `upgrade` and `Database.open`."""
    upgrade(target, backup_dir=backup_dir)
    return Database.open(target, application_id=APPLICATION_ID, **settings)


def transfer(source: str, target: str, progress: "Progress") -> "list[Proof]":
    """Copy a registry into an empty database, search index and all; see `storage.transfer`."""
    from homedex.storage import transfer as moving  # noqa: PLC0415  (most who bring a schema up to date need it not)

    return moving.transfer(source, target, shape(), progress)


def shape() -> "Shape":
    """What a registry consists of."""
    from homedex.registry.search import add_all  # noqa: PLC0415  (as above)
    from homedex.registry.tables import Base  # noqa: PLC0415
    from homedex.storage.transfer import Shape  # noqa: PLC0415

    return Shape(Base.metadata, MIGRATIONS, APPLICATION_ID, add_all, f"homedex {homedex.__version__}")
