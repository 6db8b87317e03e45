"""Routes of areas and sources."""

from typing import Annotated

from fastapi import Query, Request, Response

from homedex.api.deps import database, json_response
from homedex.registry.areas import AREAS
from homedex.registry.schemas import AreaQuery, SourceQuery
from homedex.registry.sources import SOURCES


async def list_areas(request: Request, query: Annotated[AreaQuery, Query()]) -> Response:
    """List areas, by area_id."""
    return json_response(await database(request).read(AREAS.page, query.filters(), limit=query.limit, cursor=query.cursor))


async def list_sources(request: Request, query: Annotated[SourceQuery, Query()]) -> Response:
    """List sources, by source_id."""
    return json_response(await database(request).read(SOURCES.page, query.filters(), limit=query.limit, cursor=query.cursor))
