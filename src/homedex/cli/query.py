"""The commands that ask the registry for lists. They work while `serve` runs on the same file."""

import io
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from homedex.cli.terminal import plain
from homedex.errors import BadSetting

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from homedex.registry.pages import Listing
    from homedex.registry.queries import Query

ANY_FILTER = {"allow_extra_args": True, "ignore_unknown_options": True}
"""The filters are the API's, read by the same code: they are not listed here again."""

Format = Annotated[
    Literal["table", "ndjson", "json", "csv"] | None,
    typer.Option("--format", help="table on a terminal, ndjson (one JSON object a line) when piped."),
]
Csv = Annotated[bool, typer.Option("--csv", help="The same as --format csv.")]
Limit = Annotated[int | None, typer.Option(min=1, help="Most rows; all without it.")]


def devices(context: typer.Context, *, form: Format = None, csv: Csv = False, limit: Limit = None) -> None:
    """List devices by any filter of the API.

    For example: --manufacturer Aqara --manufacturer IKEA --area-id kitchen --last-seen--lt=-7d --q lamp --sort=-modified_at
    --fields device_id,name --disabled --enabled --removed true. Repeat a filter to accept several values.
    """
    from homedex.registry.devices import DEVICES

    columns = ("device_id", "display_name", "manufacturer", "model", "area_id", "integration", "entity_count")
    _list(DEVICES, context.args, columns, form="csv" if csv else form, limit=limit)


def entities(context: typer.Context, *, form: Format = None, csv: Csv = False, limit: Limit = None) -> None:
    """List entities by any filter of the API.

    For example: --domain light --area-id kitchen --manufacturer Signify --q ceiling --sort entity_id --disabled.
    """
    from homedex.registry.entities import ENTITIES

    columns = ("entity_id", "display_name", "platform", "device_id", "device_class", "disabled")
    _list(ENTITIES, context.args, columns, form="csv" if csv else form, limit=limit)


def areas(context: typer.Context, *, form: Format = None, csv: Csv = False, limit: Limit = None) -> None:
    """List areas by any filter of the API, such as --floor-id ground --sort name."""
    from homedex.registry.areas import AREAS

    _list(
        AREAS, context.args, ("area_id", "name", "floor_id", "source_id", "device_count"), form="csv" if csv else form, limit=limit
    )


def sources(context: typer.Context, *, form: Format = None, csv: Csv = False, limit: Limit = None) -> None:
    """List sources: where records come from."""
    from homedex.registry.sources import SOURCES

    columns = ("source_id", "kind", "name", "state", "last_sync_at", "device_count")
    _list(SOURCES, context.args, columns, form="csv" if csv else form, limit=limit)


def changes(context: typer.Context, *, form: Format = None, csv: Csv = False, limit: Limit = None) -> None:
    """List what happened to every record, oldest first.

    For example: --at--gte=-1d --kind device --action remove --key 7b773bb7175ba5c13f03ab79ac927458 --sort=-seq --limit 20.
    """
    from homedex.registry.changes import CHANGES

    columns = ("seq", "at", "kind", "key", "action", "before", "after", "actor")
    _list(CHANGES, context.args, columns, form="csv" if csv else form, limit=limit)


def pairs_of(words: Sequence[str]) -> list[tuple[str, str]]:
    """Options as names and values: `--area-id x`, `--area_id=x`, `--last-seen--lt=-7d`, `--disabled`, `--enabled`.

    Raises:
        BadSetting: a word that is no option, or an option without its value.
    """
    pairs: list[tuple[str, str]] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if not word.startswith("--"):
            raise BadSetting(f"{word!r} is no option. A filter is written --name value, such as --area-id kitchen.")
        name, equals, value = word[2:].partition("=")
        name = name.replace("-", "_")
        if not equals and name in {"disabled", "enabled"}:
            name, value = "disabled", "true" if name == "disabled" else "false"
        elif not equals:
            if not rest:
                raise BadSetting(f"{word} has no value. Write {word} VALUE.")
            value = rest.pop(0)
        pairs.append((name, value))
    return pairs


def _list(listing: "Listing", words: Sequence[str], columns: Sequence[str], *, form: str | None, limit: int | None) -> None:
    import asyncio

    if sys.stdout is None:  # closed by whoever started us
        return
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")  # whatever the locale: JSON is UTF-8, and names have accents
    query = listing.questions.read(pairs_of(words), now=datetime.now(UTC), whole=True)
    form = form or ("table" if sys.stdout.isatty() else "ndjson")
    printers = {"table": _print_table, "csv": _print_csv, "ndjson": _print_lines, "json": _print_json}
    shown = query.fields or columns
    try:
        asyncio.run(_print(printers[form], listing, query, shown, limit))
        sys.stdout.flush()
    except BrokenPipeError:  # who reads has enough, such as `head`; what Python would still flush at its end goes nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


async def _print(
    printer: "Callable[[Iterator[str], Listing, Query, Sequence[str]], None]",
    listing: "Listing",
    query: "Query",
    columns: Sequence[str],
    limit: int | None,
) -> None:
    from homedex.cli.wire import registry
    from homedex.registry.exports import whole

    def print_all(connection: "Connection") -> None:
        printer(islice(whole(connection, listing, query), limit), listing, query, [*columns, *query.expand])

    async with registry(create=False) as database:
        await database.read(print_all)


def _print_lines(rows: Iterator[str], *_: Any) -> None:
    for row in rows:
        sys.stdout.write(f"{row}\n")


def _print_json(rows: Iterator[str], listing: "Listing", *_: Any) -> None:
    sys.stdout.write(f'{{"{listing.noun}":[')
    for place, row in enumerate(rows):
        sys.stdout.write(f",\n{row}" if place else f"\n{row}")
    sys.stdout.write("\n]}\n")


def _print_csv(rows: Iterator[str], listing: "Listing", query: "Query", _: Sequence[str]) -> None:
    import csv

    from homedex.registry.exports import cells, header

    sys.stdout.write(header(listing, query).decode())
    csv.writer(sys.stdout).writerows(cells(row) for row in map(json.loads, rows))


def _print_table(rows: Iterator[str], listing: "Listing", _: "Query", columns: Sequence[str]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*columns)
    for row in map(json.loads, rows):
        table.add_row(*(Text(_shown(row[name])) for name in columns))
    Console().print(table, Text(f"{table.row_count} {listing.noun}"))


def _shown(value: Any) -> str:
    if value is None:
        return ""
    return plain(json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else str(value))
