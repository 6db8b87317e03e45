"""The command that brings a registry to the newest schema, or says how it would."""

from typing import Annotated

import typer


def migrate(
    *, plan: Annotated[bool, typer.Option("--plan", help="Print the SQL that would be run, and change nothing.")] = False
) -> None:
    """Bring the registry to the newest schema, as `serve` does at its start; all or nothing.

    Other processes may go on reading a SQLite file meanwhile; on PostgreSQL they wait. A migration that fails, or is killed, leaves
    the schema as it was.
    """
    from homedex.cli.wire import backup_dir, load_settings, registry_target
    from homedex.registry import schema
    from homedex.storage.urls import shown, target_of

    settings = load_settings()
    if plan:
        _print_plan(target_of(settings.database_url))
        return
    target = registry_target(settings, create=True)
    before, after = schema.upgrade(target, backup_dir=backup_dir(settings))
    if before == after:
        typer.echo(f"{shown(target)} is at schema {after} already.")
    else:
        typer.echo(f"{shown(target)} was brought from {_named(before)} to schema {after}.")


def _print_plan(target: str) -> None:
    from homedex.registry import schema
    from homedex.storage.urls import shown

    found = schema.plan(target)
    if not found.statements:
        typer.echo(f"{shown(target)} is at schema {found.after} already: there is nothing to run.", err=True)
        return
    typer.echo(f"-- {shown(target)}: from {_named(found.before)} to schema {found.after}")
    for statement in found.statements:
        typer.echo(statement)


def _named(revision: str | None) -> str:
    return "no schema" if revision is None else f"schema {revision}"
