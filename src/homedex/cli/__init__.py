"""The commands: parse, wire, print; decide nothing. Each imports what it alone needs, so that `homedex version` is instant."""

import typer

from homedex import __version__
from homedex.cli import ingest, query, serve

app = typer.Typer(
    help="The registry of every device and entity in a home or a fleet.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("serve")(serve.serve)
app.command("demo")(serve.demo)
app.command("health")(serve.health)
app.add_typer(ingest.import_app, name="import")
app.add_typer(ingest.sync_app, name="sync")
app.command("devices")(query.devices)
app.command("entities")(query.entities)
app.command("areas")(query.areas)
app.command("doctor")(query.doctor)


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(f"homedex {__version__}")
