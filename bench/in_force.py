"""Print, as JSON, which SQLite and which settings each side has in force: `python -m bench.in_force FOLDER`.

A process of its own, because the recipe reads the place of its database when it is imported.
"""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

from homedex.config import Settings
from homedex.storage.sqlite import Options, open_connection

PRAGMAS = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout", "cache_size", "temp_store")
SYNCHRONOUS = {0: "OFF", 1: "NORMAL", 2: "FULL", 3: "EXTRA"}


async def recipe_settings(folder: Path) -> dict[str, Any]:
    os.environ["RECIPE_DATABASE"] = f"sqlite+aiosqlite:///{folder / 'recipe-settings.db'}"
    from bench.recipe import app as recipe  # noqa: PLC0415  (it reads the environment when imported)

    recipe.Base.metadata.create_all(recipe.engine)
    async with recipe.async_engine.connect() as connection:
        found = {name: (await connection.exec_driver_sql(f"PRAGMA {name}")).scalar() for name in PRAGMAS}
        found["sqlite"] = (await connection.exec_driver_sql("SELECT sqlite_version()")).scalar()
    await recipe.async_engine.dispose()
    return found


def homedex_settings(folder: Path) -> dict[str, Any]:
    options = Options(synchronous=Settings().synchronous)
    connection = open_connection(str(folder / "homedex-settings.db"), options)
    found = {name: connection.pragma(name) for name in PRAGMAS}
    found["sqlite"] = next(connection.execute("SELECT sqlite_version()"))[0]
    connection.close()
    del found["busy_timeout"]  # it has a busy handler of its own instead, which the pragma does not see
    return found


if __name__ == "__main__":
    here = Path(sys.argv[1])
    both = {"Homedex": homedex_settings(here), "recipe": asyncio.run(recipe_settings(here))}
    for settings in both.values():
        settings["synchronous"] = SYNCHRONOUS[settings["synchronous"]]
    json.dump(both, sys.stdout)
