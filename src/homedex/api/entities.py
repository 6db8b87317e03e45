"""Routes of entities."""

from typing import Annotated

from fastapi import Path, Request, Response

from homedex.api.deps import database, json_response, query_of
from homedex.registry import entities
from homedex.registry.schemas import EntityQuery, OneEntityQuery


async def list_entities(request: Request) -> Response:
    """List entities, by entity_id."""
    query = query_of(request, EntityQuery)
    page = entities.ENTITIES.page
    return json_response(await database(request).read(page, query.filters(), limit=query.limit, cursor=query.cursor))


async def get_entity(
    request: Request, entity_id: Annotated[str, Path(max_length=1024, description="such as light.kitchen, or the registry id")]
) -> Response:
    """Get one entity."""
    source_id = query_of(request, OneEntityQuery).source_id
    return json_response(await database(request).read(entities.get_entity, entity_id, source_id=source_id))
