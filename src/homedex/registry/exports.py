"""The whole result of a list, piece by piece, and what a CSV cell may hold."""

import io
import json
from collections.abc import Callable, Iterator, Mapping
from csv import writer
from typing import Any

from sqlalchemy import Connection

from homedex.registry.cursors import Cut
from homedex.registry.pages import Listing
from homedex.registry.queries import Query

ROWS = 1000
"""Rows of one piece: 0.8 MB of JSON, 15 ms of a reader's time."""

FORMULA = frozenset("=+-@\t\r")


def chunk(connection: Connection, listing: Listing, query: Query, cut: Cut | None) -> tuple[list[str], Cut | None]:
    """The next rows as JSON texts.

    Returns: (at most ROWS of them, where to go on; None when these were the last).
    """
    rows, more = listing.rows(connection, query, cut, ROWS)
    following = listing.cut_at(rows[-1]) if more else None
    return [row[0] for row in rows[:ROWS]], following


def text_chunk(connection: Connection, listing: Listing, query: Query, cut: Cut | None, *, csv: bool) -> tuple[bytes, Cut | None]:
    """The same as text, made on the reader's thread: one JSON object a line, or lines of CSV without their header."""
    rows, following = chunk(connection, listing, query, cut)
    if not csv:
        return "".join([f"{row}\n" for row in rows]).encode(), following
    lines = io.StringIO()
    writer(lines).writerows(cells(json.loads(row)) for row in rows)
    return lines.getvalue().encode(), following


def header(listing: Listing, query: Query) -> bytes:
    """The first line of a CSV."""
    line = io.StringIO()
    writer(line).writerow([*(query.fields or listing.questions.fields), *query.expand])
    return line.getvalue().encode()


def whole(connection: Connection, listing: Listing, query: Query) -> Iterator[str]:
    """Every row as JSON text, in one snapshot: for the command line."""
    cut: Cut | None = None
    while True:
        rows, cut = chunk(connection, listing, query, cut)
        yield from rows
        if cut is None:
            return


def cells(row: Mapping[str, Any]) -> list[Any]:
    """A row's values as CSV cells: JSON for lists, objects and flags, and no text that a spreadsheet would run as a formula.

    Source: OWASP, CSV injection.
    """
    return [CELLS[type(value)](value) for value in row.values()]


def _text_cell(value: str) -> str:
    return f"'{value}" if value[:1] in FORMULA else value


def _json_cell(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False) if value else "[]" if value == [] else "{}"


CELLS: Mapping[type, Callable[[Any], Any]] = {
    str: _text_cell,
    list: _json_cell,
    dict: _json_cell,
    bool: lambda value: "true" if value else "false",
    int: lambda value: value,
    float: lambda value: value,
    type(None): lambda value: value,
}
