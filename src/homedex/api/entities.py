"""Routes of entities."""

from typing import Annotated

from fastapi import Path, Request, Response

from homedex.api import lists
from homedex.api.cache import depends_on_database_alone
from homedex.api.conditions import asked, item
from homedex.api.deps import JSON, MERGE_PATCH, body_of, check_accepts, database, options_of, stamp
from homedex.api.items import edited, view_of
from homedex.registry import edits, entities
from homedex.registry.edits import Edit
from homedex.registry.entities import ENTITIES
from homedex.registry.inputs import ENTITY_ID, READ_ONLY, EntityIn, EntityPatch

Key = Annotated[str, Path(max_length=1024, description="such as light.kitchen, or the registry id")]
OwnKey = Annotated[str, Path(pattern=ENTITY_ID, max_length=255, description="such as sensor.boiler_pressure")]


async def list_entities(request: Request) -> Response:
    """List entities."""
    return await lists.page(request, ENTITIES)


async def list_entities_as_csv(request: Request) -> Response:
    """All entities as CSV."""
    return await lists.comma_separated(request, ENTITIES)


async def list_entities_as_ndjson(request: Request) -> Response:
    """All entities, one JSON object a line."""
    return await lists.ndjson(request, ENTITIES)


async def get_entity(request: Request, entity_id: Key) -> Response:
    """Get one entity."""
    view = view_of(request, ENTITIES)
    body, version = await database(request).read(
        entities.get_entity, entity_id, source_id=view.source_id, fields=view.fields, expand=view.expand
    )
    depends_on_database_alone(request)
    return item(body, version)


async def put_entity(request: Request, entity_id: OwnKey) -> Response:
    """Create or replace an entity that is kept by hand."""
    check_accepts(request, JSON)
    options_of(request, {})
    given = await body_of(request, EntityIn, ignored=READ_ONLY["entities"])
    condition = asked(request)
    edit = Edit(entity_id, given.stated(), "put", versions=condition.versions, only_new=condition.only_new)
    return await edited(request, "entities", edit)


async def patch_entity(request: Request, entity_id: Key) -> Response:
    """Change or rename an entity: all of one that is kept by hand, of any other what belongs to people."""
    check_accepts(request, JSON)
    source_id = options_of(request, {"source_id": None}).get("source_id")
    given = await body_of(request, EntityPatch, kinds=(MERGE_PATCH, JSON))
    condition = asked(request)
    edit = Edit(entity_id, given.stated(), "patch", versions=condition.versions, only_new=condition.only_new, source_id=source_id)
    return await edited(request, "entities", edit)


async def remove_entity(request: Request, entity_id: Key) -> Response:
    """Remove an entity that is kept by hand."""
    source_id = options_of(request, {"source_id": None}).get("source_id")
    condition = asked(request)
    edit = Edit(entity_id, way="patch", versions=condition.versions, only_new=condition.only_new, source_id=source_id)
    await database(request).write(edits.remove_one, "entities", edit, stamp(request))
    return Response(status_code=204)
