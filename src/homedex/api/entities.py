"""Routes of entities."""

from typing import Annotated

from fastapi import Path, Query, Request, Response

from homedex.api.deps import database, json_response
from homedex.registry import entities
from homedex.registry.schemas import EntityQuery, Line


async def list_entities(request: Request, query: Annotated[EntityQuery, Query()]) -> Response:
    """List entities, by entity_id."""
    page = entities.ENTITIES.page
    return json_response(await database(request).read(page, query.filters(), limit=query.limit, cursor=query.cursor))


async def get_entity(
    request: Request,
    entity_id: Annotated[str, Path(max_length=1024, description="such as light.kitchen, or the registry id")],
    source_id: Annotated[Line | None, Query(description="which source's, where several have one")] = None,
) -> Response:
    """Get one entity."""
    return json_response(await database(request).read(entities.get_entity, entity_id, source_id=source_id))
