"""The commands that bring a home into the registry: import, sync."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from homedex.cli.terminal import plain
from homedex.errors import BadSetting, PlanHeld

if TYPE_CHECKING:
    from homedex.ingest.observation import Observation
    from homedex.ingest.reconcile import Plan

import_app = typer.Typer(help="Bring in what another program has written down.", no_args_is_help=True)
sync_app = typer.Typer(help="Bring in what another program says now.", no_args_is_help=True)

SourceId = Annotated[str, typer.Option(help="The source these devices belong to; give each home its own.", metavar="ID")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print what would change, and write nothing.")]
AllowRemovals = Annotated[
    bool, typer.Option("--allow-removals", help="Let a plan pass that removes more than a tenth of the source.")
]

LONGEST_TOKEN_BYTES = 64 * 1024
SHOWN = 20
"""Rejections and changes printed before they are only counted."""

Observe = Callable[[Callable[[str, int], None]], Awaitable["Observation"]]


@import_app.command("home-assistant")
def import_home_assistant(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Home Assistant's configuration folder, or its .storage.")],
    source_id: SourceId = "home-assistant",
    *,
    dry_run: DryRun = False,
    allow_removals: AllowRemovals = False,
) -> None:
    """Read the registries in a Home Assistant configuration folder; never its secrets."""

    async def observe(tell: Callable[[str, int], None]) -> "Observation":
        from homedex.ingest.ha_storage import read_storage

        tell(f"reading {folder}", 0)
        return read_storage(folder, source_id=source_id)

    _sync(source_id, observe, dry_run=dry_run, allow_removals=allow_removals, actor="import")


@import_app.command("export")
def import_export(folder: Annotated[Path, typer.Argument(metavar="DIR", help="What `homedex export DIR` has written.")]) -> None:
    """Bring back an export, as it was; what is there already is left as it is."""
    import asyncio
    import gc
    from datetime import UTC, datetime

    from homedex.cli.wire import registry
    from homedex.ingest.exported import bring_back, read_export
    from homedex.registry.changes import Stamp

    gc.disable()
    rows = read_export(folder)

    async def write() -> None:
        async with registry(create=True) as database:
            written, rejections = await database.write(bring_back, rows, Stamp(datetime.now(UTC), "import"))
        for rejection in rejections[:SHOWN]:
            typer.echo(plain(f"not used: {rejection.kind} {rejection.id}: {rejection.reason}"), err=True)
        if len(rejections) > SHOWN:
            typer.echo(f"… and {len(rejections) - SHOWN} more that were not used", err=True)
        for noun, stated in rows.items():
            typer.echo(f"{noun}: {written.get(noun, 0)} of {len(stated)} written")

    asyncio.run(write())


def export(folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where to write; made if it is not there.")]) -> None:
    """Write every source, area, device and entity, tombstones included, as NDJSON, to be brought back by `import export`."""
    import asyncio

    from homedex.cli.wire import registry
    from homedex.ingest.exported import write_export

    async def read() -> None:
        async with registry(create=False) as database:
            try:
                folder.mkdir(parents=True, exist_ok=True)
                counts = await database.read(write_export, folder)
            except OSError as error:
                raise BadSetting(f"{folder} cannot be written: {error.strerror}.") from None
        for noun, count in counts.items():
            typer.echo(f"{noun}: {count} in {folder / noun}.ndjson")

    asyncio.run(read())


@sync_app.command("home-assistant")
def sync_home_assistant(
    url: Annotated[str, typer.Option(help="Where it answers, such as http://homeassistant.local:8123.")],
    token_file: Annotated[Path, typer.Option(help="A file that holds a long-lived access token; a read-only user's is enough.")],
    source_id: SourceId = "home-assistant",
    *,
    dry_run: DryRun = False,
    allow_removals: AllowRemovals = False,
) -> None:
    """Read a running Home Assistant over its WebSocket."""
    token = _token(token_file)

    async def observe(tell: Callable[[str, int], None]) -> "Observation":
        from homedex.ingest.home_assistant_ws import read_home_assistant

        return await read_home_assistant(url, token, source_id=source_id, progress=tell)

    _sync(source_id, observe, dry_run=dry_run, allow_removals=allow_removals)


def _token(file: Path) -> str:
    """The token in a file; a pipe or a device is none, because it may never end."""
    try:
        if file.exists() and not file.is_file():
            raise BadSetting(f"--token-file {file} is no file.")
        if file.stat().st_size > LONGEST_TOKEN_BYTES:
            raise BadSetting(f"--token-file {file} is too large for a token.")
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise BadSetting(f"--token-file {file} cannot be read: {reason}.") from None


def _sync(source_id: str, observe: Observe, *, dry_run: bool, allow_removals: bool, actor: str = "sync") -> None:
    import asyncio
    import gc

    from homedex.ingest.run import check_source_id

    check_source_id(source_id)
    # A short life with hundreds of thousands of objects and no cycles: collecting took a third of an import (2026-11).
    gc.disable()
    asyncio.run(_observe_and_sync(observe, dry_run=dry_run, allow_removals=allow_removals, actor=actor))


async def _observe_and_sync(observe: Observe, *, dry_run: bool, allow_removals: bool, actor: str) -> None:
    from datetime import UTC, datetime

    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from homedex.cli.wire import registry
    from homedex.ingest import run

    console = Console(stderr=True)
    columns = (BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("starting", total=3)  # reading, comparing, writing: how long each takes is not known before

        def tell(what: str, count: int) -> None:
            progress.update(task, description=f"{what} {count or ''}")

        observed = await observe(tell)
        progress.advance(task)
        tell("comparing and writing", len(observed.devices) + len(observed.entities))
        async with registry(create=True, scratch=dry_run) as database:
            now = datetime.now(UTC)
            plan = await run.sync(database, observed, allow_removals=allow_removals, dry_run=dry_run, now=now, actor=actor)
        progress.update(task, completed=3)
    _print_plan(plan, dry_run=dry_run, file=database.shown)
    if dry_run:
        _warn_of_guard(plan, allow_removals=allow_removals)


def _print_plan(plan: "Plan", *, dry_run: bool, file: str) -> None:
    for rejection in plan.rejections[:SHOWN]:
        typer.echo(plain(f"not used: {rejection.kind} {rejection.id}: {rejection.reason}"), err=True)
    if len(plan.rejections) > SHOWN:
        typer.echo(f"… and {len(plan.rejections) - SHOWN} more that were not used", err=True)
    if dry_run:
        _print_changes(plan)
    verb = "would change" if dry_run else "changed"
    for noun, counts in plan.counts().items():
        said = ", ".join(f"{count} {fate}" for fate, count in counts.items() if count) or "none"
        typer.echo(f"{noun}: {said}")
    if plan.rejections:
        typer.echo(f"not used: {len(plan.rejections)} records")
    if plan.moved:
        typer.echo(f"ids: {len(plan.moved)} old ones led to the devices that continue them")
    where = "" if dry_run else f" in {file}"
    typer.echo(f"{plan.source_id}: nothing {verb}{where}" if plan.is_empty else f"{plan.source_id}: {verb}{where}")


def _print_changes(plan: "Plan") -> None:
    for noun, kind in (("area", plan.areas), ("device", plan.devices), ("entity", plan.entities)):
        key = {"area": "area_id", "device": "device_id", "entity": "entity_id"}[noun]
        lines = [f"create {noun} {row[key]}" for row in kind.create]
        lines += [f"update {noun} {change.key}: {', '.join(change.after)}" for change in kind.update]
        lines += [f"restore {noun} {change.key}" for change in kind.restore]
        lines += [f"remove {noun} {removed}" for removed in kind.remove]
        for line in lines[:SHOWN]:
            typer.echo(plain(line))
        if len(lines) > SHOWN:
            typer.echo(f"… and {len(lines) - SHOWN} more of that kind")


def _warn_of_guard(plan: "Plan", *, allow_removals: bool) -> None:
    from homedex.ingest.reconcile import check_guard

    try:
        check_guard(plan, allow_removals=allow_removals)
    except PlanHeld as held:
        typer.echo(f"This plan would be held: {held.detail} (--allow-removals)", err=True)
