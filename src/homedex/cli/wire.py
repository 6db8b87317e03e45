"""How a command gets at its settings and its registry."""

import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from homedex.config import Settings
from homedex.errors import BadSetting, StorageUnavailable
from homedex.registry import schema
from homedex.storage.database import Database, sqlite_path


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


def registry_path(settings: Settings, *, create: bool) -> str:
    """The registry's file; its folder is made if only that is missing.

    Raises:
        StorageUnavailable: the folder cannot be made, or the file should be there and is not.
    """
    path = sqlite_path(settings.database_url)
    if create:
        try:
            Path(path).parent.mkdir(exist_ok=True)
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
async def registry(*, create: bool, scratch: bool = False, as_it_is: bool = False) -> AsyncIterator[Database]:
    """The registry of this environment, open for one command: no deadlines, because a person can press Ctrl-C.

    Args:
        create: make the file if it is not there.
        as_it_is: do not migrate it.
        scratch: if it is not there, open an empty one in a temporary folder instead, so that a dry run leaves nothing.
    """
    settings = load_settings()
    lanes = lane_settings(settings) | {"readers": 1, "read_deadline_s": None, "write_deadline_s": None}
    wanted = sqlite_path(settings.database_url)
    with tempfile.TemporaryDirectory(prefix="homedex-") as folder:
        missing = scratch and not os.path.exists(wanted)  # noqa: ASYNC240, PTH110  (pathlib raises for a name that is too long)
        path = f"{folder}/scratch.db" if missing else registry_path(settings, create=create)
        if as_it_is:
            database = Database.open(path, application_id=schema.APPLICATION_ID, **lanes)
        else:
            database = schema.open_registry(path, **lanes)
        try:
            yield database
        finally:
            await database.close()


def lane_settings(settings: Settings) -> dict[str, Any]:
    """The settings that are Database's."""
    names = ("readers", "synchronous", "read_deadline_s", "write_deadline_s", "queue_limit", "busy_timeout_s")
    return {name: getattr(settings, name) for name in names}
