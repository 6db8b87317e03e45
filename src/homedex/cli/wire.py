"""How a command gets at its settings and its registry."""

import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from homedex.config import Settings
from homedex.errors import BadSetting, StorageUnavailable
from homedex.registry import schema
from homedex.storage.database import Database
from homedex.storage.urls import is_postgresql, target_of

if TYPE_CHECKING:
    from homedex.registry.backups import Backups


def load_settings() -> Settings:
    """The settings of this environment.

    Raises:
        BadSetting: a variable's value has no meaning; the sentence names it.
    """
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        variable = name if name == "DATABASE_URL" else f"HOMEDEX_{name.upper()}"
        raise BadSetting(f"{variable}={first['input']!r}: {first['msg']}.") from None


def registry_url() -> str:
    """DATABASE_URL or its default, even where another setting has no meaning."""
    return os.environ.get("DATABASE_URL", str(Settings.model_fields["database_url"].default))


def registry_target(settings: Settings, *, create: bool) -> str:
    """The registry's file, or its server's URL; a file's folder is made if only that is missing.

    Raises:
        StorageUnavailable: the folder cannot be made, or the file should be there and is not.
    """
    path = target_of(settings.database_url)
    if settings.replica_url is not None and not (is_postgresql(path) and is_postgresql(_replica(settings))):
        raise BadSetting(
            "HOMEDEX_REPLICA_URL names a standby of a PostgreSQL server; both it and DATABASE_URL must be postgresql://…."
        )
    if is_postgresql(path):
        return path
    if create:
        try:
            Path(path).parent.mkdir(mode=0o700, exist_ok=True)  # names of rooms and people are nobody else's business
        except OSError as error:
            raise StorageUnavailable(
                f"the folder {Path(path).parent} cannot be made: {error.strerror}. Make it, or correct DATABASE_URL."
            ) from error
    elif not os.path.exists(path):  # noqa: PTH110  (pathlib raises for a name that is too long)
        raise StorageUnavailable(
            f"there is no registry at {path}. Make one with `homedex serve` or `homedex import`, or set DATABASE_URL."
        )
    return path


@asynccontextmanager
async def registry(*, create: bool, scratch: bool = False) -> AsyncIterator[Database]:
    """The registry of this environment, open for one command: no deadlines, because a person can press Ctrl-C.

    Args:
        create: make the file if it is not there.
        scratch: for a dry run, which leaves no trace: if there is none, open an empty one in a temporary folder, and change nothing
            in one that is there.
    """
    settings = load_settings()
    one = {"pool_size" if is_postgresql(target_of(settings.database_url)) else "readers": 1}
    lanes = lane_settings(settings) | one | {"read_deadline_s": None, "write_deadline_s": None}
    wanted = target_of(settings.database_url)
    missing = scratch and not schema.is_there(wanted)
    with tempfile.TemporaryDirectory(prefix="homedex-") if missing else nullcontext() as folder:
        path = f"{folder}/scratch.db" if missing else registry_target(settings, create=create and not scratch)
        if missing or (create and not scratch):
            database = schema.open_registry(path, backup_dir=backup_dir(settings), **({} if missing else lanes))
        else:
            database = schema.open_as_it_is(path, **lanes)
        try:
            yield database
        finally:
            await database.close()


def backups_of(settings: Settings, target: str) -> "Backups":
    """The backups of this environment's registry; raises BadSetting."""
    from homedex.registry.backups import Backups, interval
    from homedex.storage.backup_folder import Keep

    try:
        keep = Keep.parse(settings.backup_keep)
    except BadSetting as error:
        raise BadSetting(f"HOMEDEX_BACKUP_KEEP={settings.backup_keep!r}: {error.detail}") from None
    return Backups(target, backup_dir(settings), every=interval(settings.backup_schedule), keep=keep)


def backup_dir(settings: Settings) -> Path | None:
    """Where backups lie; None where no setting says it."""
    return None if settings.backup_dir is None else Path(settings.backup_dir)


def lane_settings(settings: Settings) -> dict[str, Any]:
    """The settings that are Database's."""
    names = ["synchronous", "read_deadline_s", "write_deadline_s", "queue_limit", "busy_timeout_s"]
    names += ["pool_size", "write_retries", "replica_url"] if is_postgresql(target_of(settings.database_url)) else ["readers"]
    found = {name: getattr(settings, name) for name in names}
    return found | ({"replica_url": _replica(settings)} if settings.replica_url is not None else {})


def _replica(settings: Settings) -> str:
    return target_of(str(settings.replica_url), "HOMEDEX_REPLICA_URL")
