"""The commands: parse, wire, print; decide nothing. Each imports what it alone needs, so that `homedex version` is instant."""

from typing import Annotated

import typer

from homedex import __version__
from homedex.cli import backup, doctor, ingest, migrate, query, serve, transfer

app = typer.Typer(
    invoke_without_command=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("serve")(serve.serve)
app.command("demo")(serve.demo)
app.command("migrate")(migrate.migrate)
app.command("health")(serve.health)
app.add_typer(ingest.import_app, name="import")
app.add_typer(ingest.sync_app, name="sync")
for listed in (query.devices, query.entities, query.areas, query.sources, query.changes):
    app.command(listed.__name__, context_settings=query.ANY_FILTER)(listed)
app.command("export")(ingest.export)
app.add_typer(backup.backup_app, name="backup")
app.command("transfer")(transfer.transfer)
app.command("openapi")(serve.openapi)
app.command("doctor")(doctor.doctor)


def print_version(wanted: bool) -> None:
    """Print the version and end, where it is asked for."""
    if wanted:
        typer.echo(f"homedex {__version__}")
        raise typer.Exit


@app.callback()
def options(
    *, _: Annotated[bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=print_version)] = False
) -> None:
    """The registry of every device and entity in a home or a fleet.

    Settings are environment variables: DATABASE_URL (default sqlite:///./data/app.db), HOMEDEX_HOST, HOMEDEX_PORT and others;
    the README lists them all.
    """


@app.command()
def version() -> None:
    """Print the version."""
    print_version(wanted=True)
