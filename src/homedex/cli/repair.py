"""`homedex doctor --repair`: what can be saved of a damaged registry, in a new file."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from homedex.errors import BadSetting

if TYPE_CHECKING:
    from homedex.storage.salvage import Salvage


def save(new: str, *, as_json: bool) -> None:
    """Save the registry of this environment into a new file, and say what became of it."""
    from homedex.cli.wire import load_settings
    from homedex.registry.repair import repair
    from homedex.storage.urls import is_postgresql, target_of

    old = target_of(load_settings().database_url)
    if is_postgresql(old):
        raise BadSetting("DATABASE_URL names a server; --repair saves a SQLite file. PostgreSQL has tools of its own.")
    found = repair(old, Path(new))
    if as_json:
        tables = [table._asdict() for table in found.tables]
        typer.echo(json.dumps(asdict(found) | {"tables": tables}, indent=1))
    else:
        _print(found, old, new)


def _print(found: "Salvage", old: str, new: str) -> None:
    for table in found.tables:
        lost = f"{'' if table.counted else 'at least '}{table.lost:,} lost"
        typer.echo(f"{table.table}: {table.saved:,} saved, {table.rebuilt:,} rebuilt, {lost}")
    if not found.header_is_whole:
        typer.echo("The header of the file was damaged.")
    if found.bad_pages:
        typer.echo(f"{found.bad_pages:,} pages could not be read.")
    if found.log_bytes_used < found.log_bytes:
        typer.echo(f"Of {found.log_bytes:,} bytes of log, {found.log_bytes_used:,} hold whole transactions of this file.")
    typer.echo(
        f"{new} is whole, and search is ready. {old} is as it was. What was rebuilt has its ids and what indexes knew; the next "
        f"sync fills in the rest. To use it: stop the service, move {old} with its -wal and -shm away, and put {new} in its place."
    )
