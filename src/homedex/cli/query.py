"""The commands that ask the registry: devices, entities, areas, doctor. They work while `serve` runs on the same file."""

import io
import json
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from homedex.registry.pages import Listing

Filter = Annotated[list[str] | None, typer.Option(help="Repeat it to accept several.", metavar="TEXT")]
Disabled = Annotated[bool | None, typer.Option("--disabled/--enabled", help="Only those that are, or are not, disabled.")]
Csv = Annotated[bool, typer.Option("--csv", help="Print CSV instead.")]

PAGE = 1000


def devices(  # noqa: PLR0913  (one option for each filter)
    device_id: Filter = None,
    manufacturer: Filter = None,
    model: Filter = None,
    area_id: Filter = None,
    integration: Filter = None,
    source_id: Filter = None,
    domain: Filter = None,
    platform: Filter = None,
    *,
    disabled: Disabled = None,
    csv: Csv = False,
) -> None:
    """List devices: a table on a terminal, one JSON object a line when piped."""
    from homedex.registry.devices import DEVICES

    chosen = locals()
    columns = ("device_id", "display_name", "manufacturer", "model", "area_id", "integration", "entity_count")
    _list(DEVICES, {name: chosen[name] for name in DEVICES.filters}, columns, csv=csv)


def entities(  # noqa: PLR0913  (one option for each filter)
    device_id: Filter = None,
    domain: Filter = None,
    platform: Filter = None,
    area_id: Filter = None,
    source_id: Filter = None,
    manufacturer: Filter = None,
    model: Filter = None,
    integration: Filter = None,
    *,
    disabled: Disabled = None,
    csv: Csv = False,
) -> None:
    """List entities: a table on a terminal, one JSON object a line when piped."""
    from homedex.registry.entities import ENTITIES

    chosen = locals()
    columns = ("entity_id", "display_name", "platform", "device_id", "device_class", "disabled")
    _list(ENTITIES, {name: chosen[name] for name in ENTITIES.filters}, columns, csv=csv)


def areas(area_id: Filter = None, source_id: Filter = None, *, csv: Csv = False) -> None:
    """List areas: a table on a terminal, one JSON object a line when piped."""
    from homedex.registry.areas import AREAS

    _list(
        AREAS, {"area_id": area_id, "source_id": source_id}, ("area_id", "name", "floor_id", "source_id", "device_count"), csv=csv
    )


def _list(listing: "Listing", chosen: Mapping[str, Any], columns: Sequence[str], *, csv: bool) -> None:
    import asyncio

    if sys.stdout is None:  # closed by whoever started us
        return
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")  # whatever the locale: JSON is UTF-8, and names have accents
    values = {name: value if isinstance(value, list) else [value] for name, value in chosen.items() if value is not None}
    if csv:
        asyncio.run(_print_csv(listing, values))
    elif sys.stdout.isatty():
        asyncio.run(_print_table(listing, values, columns))
    else:
        asyncio.run(_print_lines(listing, values))


async def _rows(listing: "Listing", values: Mapping[str, Sequence[Any]]) -> AsyncIterator[dict[str, Any]]:
    from homedex.cli.wire import registry

    async with registry(create=False) as database:
        cursor = None
        while True:
            page = json.loads(await database.read(listing.page, values, limit=PAGE, cursor=cursor))
            for row in page[listing.noun]:
                yield row
            cursor = page["next"]
            if cursor is None:
                return


async def _print_lines(listing: "Listing", values: Mapping[str, Sequence[Any]]) -> None:
    async for row in _rows(listing, values):
        sys.stdout.write(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n")


async def _print_csv(listing: "Listing", values: Mapping[str, Sequence[Any]]) -> None:
    import csv

    writer = None
    async for row in _rows(listing, values):
        if writer is None:
            writer = csv.DictWriter(sys.stdout, list(row))
            writer.writeheader()
        writer.writerow({name: _cell(value) for name, value in row.items()})


def _cell(value: Any) -> Any:
    """A CSV cell: JSON for lists and objects, and no spreadsheet formula (OWASP, CSV injection)."""
    if isinstance(value, bool | list | dict):
        return json.dumps(value, ensure_ascii=False)
    return f"'{value}" if isinstance(value, str) and value[:1] in {"=", "+", "-", "@", "\t", "\r"} else value


async def _print_table(listing: "Listing", values: Mapping[str, Sequence[Any]], columns: Sequence[str]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*columns)
    async for row in _rows(listing, values):
        table.add_row(*(Text("" if row[name] is None else str(row[name])) for name in columns))
    Console().print(table, Text(f"{table.row_count} {listing.noun}"))


def doctor(*, as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead.")] = False) -> None:
    """Check the registry: library, settings in force, file, WAL, schema, integrity. Exit 1 if anything is wrong."""
    import asyncio

    from homedex.cli.wire import registry
    from homedex.registry import checkup

    async def examine() -> list[checkup.Finding]:
        async with registry(create=False, as_it_is=True) as database:
            return await checkup.examine(database)

    findings = asyncio.run(examine())
    if as_json:
        typer.echo(json.dumps([finding.as_dict() for finding in findings], indent=1))
    else:
        for finding in findings:
            typer.echo(
                f"{'ok   ' if finding.ok else 'WRONG'} {finding.what}: {finding.found}"
                + (f". {finding.advice}" if not finding.ok else "")
            )
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)
