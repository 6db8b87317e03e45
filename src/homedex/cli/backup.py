"""The commands that make, check and restore backups. All but `restore` in place work while `serve` runs."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from homedex.errors import BadBackup, NotFound

if TYPE_CHECKING:
    from homedex.registry.backups import Backups
    from homedex.storage.backup_folder import Backup

backup_app = typer.Typer(help="Make backups that prove themselves, list, verify, restore and prune them.", rich_markup_mode=None)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead.")]
Gently = Annotated[bool, typer.Option("--gently", help="Leave the processor to all others.")]
Tell = Callable[[str, int, int], None]

WORDS = {"copy": "copying", "compress": "compressing", "unpack": "unpacking", "check": "checking", "replace": "putting in place"}


@backup_app.callback(invoke_without_command=True)
def backup(context: typer.Context) -> None:
    """Make a backup, where nothing else is asked for."""
    if context.invoked_subcommand is None:
        create()


@backup_app.command()
def create(
    *,
    verify: Annotated[bool, typer.Option(help="Restore it to a scratch place and check it, before it counts.")] = True,
    as_json: AsJson = False,
    gently: Gently = False,
    reason: Annotated[str, typer.Option(hidden=True)] = "command",
    unless_newer_than: Annotated[int | None, typer.Option(hidden=True, help="in seconds")] = None,
) -> None:
    """Back up the registry, whoever uses it meanwhile. What has not changed since the newest backup is not backed up again."""
    from homedex.registry.backups import create_here

    _step_back(gently)
    limit = None if unless_newer_than is None else timedelta(seconds=unless_newer_than)
    backups = _backups()
    with _progress() as tell:
        how = {"verified": verify, "unless_newer_than": limit, "wait": limit is not None, "tell": tell}
        made, new = create_here(backups, _now, reason, **how)
    if as_json:
        typer.echo(json.dumps(made.as_dict() | {"new": new}))
    elif new:
        typer.echo(f"{made.path}\n{_summary(made)}; {'verified' if made.verified_at else 'not verified'}.")
    else:
        typer.echo(f"{made.path}\nNothing has changed since: no new copy was made.")


@backup_app.command("list")
def list_all(*, as_json: AsJson = False) -> None:
    """List the backups there are, newest first."""
    backups = _backups()
    found = backups.folder.all()
    if as_json:
        typer.echo(json.dumps([one.as_dict() for one in found], indent=1))
        return
    if not found:
        typer.echo(f"There is no backup in {backups.folder.path}. Make one with `homedex backup create`.", err=True)
    rows = [("backup", "bytes", "schema", "changes", "verified", "why"), *(_row(one) for one in found)]
    if found:
        widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
        for row in rows:
            typer.echo("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())


@backup_app.command()
def verify(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Of backups, or files; the newest without it.")
    ] = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="All there are.")] = False,
    as_json: AsJson = False,
    gently: Gently = False,
) -> None:
    """Restore backups to a scratch place and check all of it: SHA-256, integrity, references, schema, and every table's digest."""
    from homedex.storage import backup as making

    _step_back(gently)
    backups = _backups()
    wanted = backups.folder.all() if every else [_found(backups, name) for name in names or [_newest(backups)]]
    fault: BadBackup | None = None
    results = []
    for one in wanted:
        with _progress() as tell:
            try:
                if one.path.parent == backups.folder.path:
                    results.append(making.verify(one, backups.folder, at=_now(), tell=tell))
                else:
                    results.append(making.verify_elsewhere(one.path, tell))
            except BadBackup as error:
                fault = error
                typer.echo(f"DAMAGED {one.path}: {error.detail}", err=True)
                continue
        if not as_json:
            typer.echo(f"ok      {one.path}: {_summary(results[-1])}.")
    if as_json and results:
        typer.echo(json.dumps(results[0].as_dict() if len(wanted) == 1 else [one.as_dict() for one in results]))
    if fault is not None:
        raise fault


@backup_app.command()
def restore(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A backup: its file, or its name in the list.")],
    to: Annotated[str | None, typer.Option("--to", help="A path or database URL where nothing is yet.")] = None,
    *,
    as_json: AsJson = False,
    gently: Gently = False,
) -> None:
    """Make a registry of a backup: at --to, or in the place of the present one, which is kept aside. Stop the service first."""
    from homedex.cli.wire import load_settings, registry_target
    from homedex.registry import schema
    from homedex.storage.restore import restore as make
    from homedex.storage.urls import shown, target_of

    _step_back(gently)
    backups = _backups()
    path = _found(backups, file).path
    if to is None:
        target = registry_target(load_settings(), create=True)
    elif "://" in to:
        target = target_of(to, "--to")
    else:
        target = to
    with _progress() as tell:
        done = make(path, target, schema.shape(), at=_now(), replace=to is None, tell=tell)
    said = done.manifest
    if as_json:
        typer.echo(json.dumps(done.as_dict() | {"target": shown(target)}))
        return
    upgraded = "" if said.schema_revision == done.schema else f", brought from schema {said.schema_revision} to {done.schema}"
    typer.echo(f"{shown(target)} is as it was at {said.made_at:%Y-%m-%d %H:%M:%S} UTC, after change {said.sequence:,}{upgraded}.")
    if done.aside is not None:
        typer.echo(f"What was there before is kept at {done.aside}; remove it when you no longer need it.")
    if done.aside_schema is not None:
        typer.echo(f"What was there before is kept in its schema {done.aside_schema}: DROP SCHEMA {done.aside_schema} CASCADE.")


@backup_app.command()
def prune(
    *,
    keep: Annotated[str | None, typer.Option(help="Such as '7d 4w 12m', or '10' for the newest ten; HOMEDEX_BACKUP_KEEP.")] = None,
    dry_run: Annotated[bool, typer.Option(help="Only say what would be removed.")] = False,
) -> None:
    """Remove the backups that are not to be kept. The newest always is, and the newest that was verified.

    Those that are damaged, or were made before the clock was set back, are left alone.
    """
    from homedex.storage.backup_folder import Keep

    backups = _backups()
    names = backups.folder.prune(backups.keep if keep is None else Keep.parse(keep), now=_now(), dry_run=dry_run)
    for name in names:
        typer.echo(f"{'would remove' if dry_run else 'removed'} {name}")
    typer.echo(f"{len(backups.folder.all()) - (len(names) if dry_run else 0)} backups are kept.")


def _backups() -> "Backups":
    from homedex.cli.wire import backups_of, load_settings
    from homedex.storage.urls import target_of

    settings = load_settings()
    return backups_of(settings, target_of(settings.database_url))


def _newest(backups: "Backups") -> str:
    newest = backups.folder.newest()
    if newest is None:
        raise NotFound(f"there is no backup in {backups.folder.path}. Make one with `homedex backup create`.")
    return newest.name


def _found(backups: "Backups", name: str) -> "Backup":
    """A backup by its name in the folder, or by the path of its file anywhere."""
    from homedex.storage.backup_folder import Backup

    path = Path(name)
    if path.parent == Path() and not path.is_file():
        return backups.folder.get(name)
    if path.is_file() and path.parent.resolve() == backups.folder.path.resolve():
        return backups.folder.get(path.name)
    if not path.is_file():
        raise NotFound(f"there is no file {name}. `homedex backup list` shows the backups there are.")
    return Backup(path, path.stat().st_size, None)


def _row(one: "Backup") -> tuple[str, ...]:
    said = one.manifest
    if said is None:
        return one.name, f"{one.size_bytes:,}", "", "", "UNREADABLE", one.problem or ""
    verified = "DAMAGED" if one.problem else f"{one.verified_at:%Y-%m-%d %H:%M}" if one.verified_at else "never"
    schema = said.schema_revision or "none"
    return one.name, f"{one.size_bytes:,}", schema, f"{said.sequence:,}", verified, one.problem or said.reason


def _summary(made: "Backup") -> str:
    said = made.manifest
    assert said is not None  # noqa: S101  (it was read to be made or verified)
    rows = sum(contents.rows for contents in said.tables.values())
    return f"{made.size_bytes:,} bytes hold {rows:,} rows after change {said.sequence:,}"


def _step_back(gently: bool) -> None:
    """Take the processor only where nobody else wants it."""
    if not gently:
        return
    os.nice(10)
    if hasattr(os, "SCHED_IDLE"):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def _now() -> datetime:
    return datetime.now(UTC)


@contextmanager
def _progress() -> Iterator[Tell]:
    """Something to tell how far it is: a bar on a terminal, nothing elsewhere."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda *_: None
        return
    with Progress(BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), console=console, transient=True) as progress:
        task = progress.add_task("starting", total=None)

        def tell(what: str, done: int, total: int) -> None:
            progress.update(task, description=WORDS.get(what, what), completed=done, total=total or None)

        yield tell
