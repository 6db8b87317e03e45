"""Lists over HTTP: a page as JSON, or the whole result as a stream of CSV or NDJSON."""

import csv
import io
import json
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any
from urllib.parse import urlencode

from fastapi import Request, Response
from fastapi.responses import StreamingResponse

from homedex.api.deps import JSON, NDJSON, check_accepts, clock, database, json_response, pairs_of
from homedex.registry.exports import cells, chunk
from homedex.registry.pages import Listing
from homedex.registry.queries import Query
from homedex.storage.database import Database

CSV = "text/csv"
Page = tuple[bytes, dict[str, str | None]]


def read_query(request: Request, listing: Listing, *, whole: bool = False) -> Query:
    """The question that a request's parameters ask of a list."""
    return listing.questions.read(pairs_of(request), now=clock(request), whole=whole)


async def page(request: Request, listing: Listing, read: Callable[..., Page] | None = None, *args: Any) -> Response:
    """One page of a list; `read` is the query function where it is not the list's own."""
    check_accepts(request, JSON)
    query = read_query(request, listing)
    run: Callable[..., Page] = read or listing.page
    body, cursors = await database(request).read(run, *args, query)
    return json_response(body, headers=_links(request, cursors))


def _links(request: Request, cursors: Mapping[str, str | None]) -> dict[str, str]:
    """The Link header (RFC 8288) with the pages beside this one, and the first."""
    asked = [(name, value) for name, value in pairs_of(request) if name != "cursor"]
    path = request.scope["path"]
    beside = [(rel, cursor) for rel, cursor in cursors.items() if cursor is not None]
    if not beside:
        return {}
    links = [f'<{path}?{urlencode([*asked, ("cursor", cursor)])}>; rel="{rel}"' for rel, cursor in beside]
    first = f"{path}?{urlencode(asked)}" if asked else path
    return {"Link": ", ".join([*links, f'<{first}>; rel="first"'])}


async def ndjson(request: Request, listing: Listing) -> Response:
    """The whole result, one JSON object a line."""
    check_accepts(request, NDJSON)
    chunks = await _begun(database(request), listing, read_query(request, listing, whole=True))

    async def lines() -> AsyncIterator[bytes]:
        async for rows in chunks:
            yield ("\n".join(rows) + "\n").encode()

    return _streamed(request, lines(), NDJSON, f"{listing.noun}.ndjson")


async def comma_separated(request: Request, listing: Listing) -> Response:
    """The whole result as CSV, harmless to spreadsheets."""
    check_accepts(request, CSV)
    query = read_query(request, listing, whole=True)
    chunks = await _begun(database(request), listing, query)
    names = [*(query.fields or listing.questions.fields), *query.expand]

    async def lines() -> AsyncIterator[bytes]:
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(names)
        async for rows in chunks:
            writer.writerows(cells(json.loads(row)) for row in rows)
            yield text.getvalue().encode()
            text.seek(0)
            text.truncate()
        yield text.getvalue().encode()

    return _streamed(request, lines(), CSV, f"{listing.noun}.csv")


async def _begun(db: Database, listing: Listing, query: Query) -> AsyncIterator[list[str]]:
    """The whole result in pieces, each read in a snapshot of its own, so that a slow client holds nothing up.

    The first is read before this returns: what is wrong with the question is said before the answer begins.
    """
    rows, cut = await db.read(chunk, listing, query, None)

    async def pieces() -> AsyncIterator[list[str]]:
        nonlocal rows, cut
        while rows:
            yield rows
            if cut is None:
                return
            rows, cut = await db.read(chunk, listing, query, cut)

    return pieces()


def _streamed(request: Request, lines: AsyncIterator[bytes], kind: str, name: str) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    if request.method == "HEAD":  # nobody would see what is read
        return Response(media_type=kind, headers=headers)
    return StreamingResponse(lines, media_type=kind, headers=headers)
