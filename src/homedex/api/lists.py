"""Lists over HTTP: a page as JSON, or the whole result as a stream of CSV or NDJSON."""

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any
from urllib.parse import urlencode

from fastapi import Request, Response
from fastapi.responses import StreamingResponse

from homedex.api.cache import depends_on_database_alone
from homedex.api.conditions import digest, tagged
from homedex.api.deps import JSON, NDJSON, check_accepts, clock, database, pairs_of
from homedex.api.problems import path_of
from homedex.registry.exports import header, text_chunk
from homedex.registry.pages import Listing
from homedex.registry.queries import Query

LONGEST_LINK = 2048
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
    if query.asked_at is None:
        depends_on_database_alone(request)
    return tagged(body, digest(body), headers=_links(request, cursors))


def _links(request: Request, cursors: Mapping[str, str | None]) -> dict[str, str]:
    """The Link header (RFC 8288) with the pages beside this one, and the first."""
    asked = [(name, value) for name, value in pairs_of(request) if name != "cursor"]
    path = path_of(request.scope)
    beside = [(rel, cursor) for rel, cursor in cursors.items() if cursor is not None]
    if not beside:
        return {}
    if sum(len(name) + len(value) for name, value in asked) > LONGEST_LINK:
        return {}  # some clients take no header of this length; the cursors are in the body
    links = [f'<{path}?{urlencode([*asked, ("cursor", cursor)])}>; rel="{rel}"' for rel, cursor in beside]
    first = f"{path}?{urlencode(asked)}" if asked else path
    return {"Link": ", ".join([*links, f'<{first}>; rel="first"'])}


async def ndjson(request: Request, listing: Listing) -> Response:
    """The whole result, one JSON object a line."""
    return await _whole(request, listing, NDJSON, f"{listing.noun}.ndjson", csv=False)


async def comma_separated(request: Request, listing: Listing) -> Response:
    """The whole result as CSV, harmless to spreadsheets."""
    return await _whole(request, listing, CSV, f"{listing.noun}.csv", csv=True)


async def _whole(request: Request, listing: Listing, kind: str, name: str, *, csv: bool) -> Response:
    """The whole result in pieces, each read in a snapshot of its own, so that a slow client holds nothing up.

    The first is read before the answer begins: what is wrong with the question is said in time.
    """
    check_accepts(request, kind)
    query = read_query(request, listing, whole=True)
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    db = database(request)
    text, cut = await db.read(text_chunk, listing, query, None, csv=csv)
    if request.method == "HEAD":  # nobody would see the rest
        head = Response(media_type=kind, headers=headers)
        del head.headers["content-length"]  # nobody knows it before all is read
        return head

    async def pieces() -> AsyncIterator[bytes]:
        yield header(listing, query) if csv else b""
        piece, following = text, cut
        while True:
            yield piece
            if following is None:
                return
            piece, following = await db.read(text_chunk, listing, query, following, csv=csv)

    return StreamingResponse(pieces(), media_type=kind, headers=headers)
