"""The servers that are compared, and how each is started."""

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from bench.processes import REPOSITORY, SERVER, Program, Server, free_port, homedex_environment, running

FIRST = {"HOMEDEX_CACHE_MB": "0"}
"""Homedex so that each answer is made anew: what a first read costs."""

Start = Callable[[Path], AbstractContextManager[Server]]


def recipe(folder: Path, url: str | None = None) -> AbstractContextManager[Server]:
    """The baseline on a database in `folder`, or on a PostgreSQL server."""
    port = free_port()
    environment = os.environ | {"RECIPE_DATABASE": url or f"sqlite+aiosqlite:///{folder / 'recipe.db'}"}
    name = "the recipe" if url is None else "the recipe on PostgreSQL"
    program = Program(name, uvicorn("bench.recipe.app:app", port), environment, "/devices?limit=1")
    return running(program, port, folder)


def homedex(
    folder: Path,
    url: str | None = None,
    *,
    name: str = "Homedex",
    settings: Mapping[str, str] | None = None,
    cores: Sequence[int] = (SERVER,),
) -> AbstractContextManager[Server]:
    """Homedex as it is shipped but for `settings`, on a database in `folder`, or on a PostgreSQL server."""
    port = free_port()
    environment = homedex_environment(folder) | {"HOMEDEX_HOST": "127.0.0.1", "HOMEDEX_PORT": str(port)} | dict(settings or {})
    if url is not None:
        environment["DATABASE_URL"] = url
        name += " on PostgreSQL"
    return running(Program(name, [sys.executable, "-m", "homedex", "serve"], environment, "/livez", cores), port, folder)


def uvicorn(app: str, port: int) -> list[str]:
    """One worker, and no access log (a favour: it is on by default)."""
    command = [sys.executable, "-m", "uvicorn", app, "--app-dir", str(REPOSITORY), "--port", str(port)]
    return [*command, "--no-access-log", "--log-level", "warning"]


def constant(
    folder: Path, kind: str, name: str, bodies: Mapping[str, bytes], command: Callable[[str, int], list[str]] = uvicorn
) -> AbstractContextManager[Server]:
    """An app of bench/constant.py, `kind`, that answers these bodies to these paths; `command` starts it."""
    port = free_port()
    file = folder / f"{kind}.json"
    file.write_text(json.dumps({path: body.decode() for path, body in bodies.items()}))
    environment = os.environ | {"CONSTANT_BODIES": str(file), "PYTHONPATH": str(REPOSITORY)}
    return running(Program(name, command(f"bench.constant:{kind}", port), environment, next(iter(bodies))), port, folder)
