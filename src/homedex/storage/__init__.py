"""The engine room: SQLite run right, and nothing about devices. `docs/storage.md` shows how a program of its own uses it.

What is named here is public, and `homedex.errors` beside it; the modules of this folder are not. A name is imported when it is
first asked for, so that `import homedex.storage.urls` costs nothing more.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from homedex.storage.backup import create as create_backup
    from homedex.storage.backup import verify as verify_backup
    from homedex.storage.backup_folder import BackupFolder, Keep
    from homedex.storage.database import Database
    from homedex.storage.json_sql import json_array, json_row, json_rows
    from homedex.storage.migrate import run_migrations, upgrade
    from homedex.storage.orm import session_on
    from homedex.storage.restore import restore as restore_backup
    from homedex.storage.sessions import Sessions
    from homedex.storage.sqlite import Options, open_connection
    from homedex.storage.transfer import Shape
    from homedex.storage.types import Flag, JsonText, UtcDateTime
    from homedex.storage.urls import target_of

__all__ = [
    "BackupFolder",
    "Database",
    "Flag",
    "JsonText",
    "Keep",
    "Options",
    "Sessions",
    "Shape",
    "UtcDateTime",
    "create_backup",
    "json_array",
    "json_row",
    "json_rows",
    "open_connection",
    "restore_backup",
    "run_migrations",
    "session_on",
    "target_of",
    "upgrade",
    "verify_backup",
]

_PLACES = {
    "BackupFolder": "backup_folder",
    "Database": "database",
    "Flag": "types",
    "JsonText": "types",
    "Keep": "backup_folder",
    "Options": "sqlite",
    "Sessions": "sessions",
    "Shape": "transfer",
    "UtcDateTime": "types",
    "create_backup": "backup:create",
    "json_array": "json_sql",
    "json_row": "json_sql",
    "json_rows": "json_sql",
    "open_connection": "sqlite",
    "restore_backup": "restore:restore",
    "run_migrations": "migrate",
    "session_on": "orm",
    "target_of": "urls",
    "upgrade": "migrate",
    "verify_backup": "backup:verify",
}
"""Where each public name is: `module`, or `module:name` where it is called otherwise there. A new one has a line in the three lists
here, and a section in docs/storage.md; tests hold them against each other."""


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, called = _PLACES[name].partition(":")
    found = globals()[name] = getattr(import_module(f"{__name__}.{module}"), called or name)
    return found


def __dir__() -> list[str]:
    return __all__
