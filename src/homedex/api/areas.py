"""Routes of areas and sources."""

from fastapi import Request, Response

from homedex.api.deps import database, json_response, query_of
from homedex.registry.areas import AREAS
from homedex.registry.schemas import AreaQuery, SourceQuery
from homedex.registry.sources import SOURCES


async def list_areas(request: Request) -> Response:
    """List areas, by area_id."""
    query = query_of(request, AreaQuery)
    return json_response(await database(request).read(AREAS.page, query.filters(), limit=query.limit, cursor=query.cursor))


async def list_sources(request: Request) -> Response:
    """List sources, by source_id."""
    query = query_of(request, SourceQuery)
    return json_response(await database(request).read(SOURCES.page, query.filters(), limit=query.limit, cursor=query.cursor))
