"""Routes of areas, sources and changes."""

from typing import Annotated

from fastapi import Path, Request, Response

from homedex.api import lists
from homedex.api.cache import depends_on_database_alone
from homedex.api.conditions import asked, item
from homedex.api.deps import JSON, MERGE_PATCH, body_of, check_accepts, database, options_of, stamp
from homedex.api.items import edited, view_of
from homedex.registry import areas, edits, sources
from homedex.registry.areas import AREAS
from homedex.registry.changes import CHANGES
from homedex.registry.edits import Edit
from homedex.registry.inputs import AREA_ID, READ_ONLY, AreaIn, AreaPatch
from homedex.registry.sources import SOURCES

AreaKey = Annotated[str, Path(max_length=255, description="such as kitchen")]
OwnAreaKey = Annotated[str, Path(pattern=AREA_ID, max_length=255, description="such as kitchen")]
SourceKey = Annotated[str, Path(max_length=255, description="such as home-assistant")]


async def list_areas(request: Request) -> Response:
    """List areas."""
    return await lists.page(request, AREAS)


async def list_areas_as_csv(request: Request) -> Response:
    """All areas as CSV."""
    return await lists.comma_separated(request, AREAS)


async def list_areas_as_ndjson(request: Request) -> Response:
    """All areas, one JSON object a line."""
    return await lists.ndjson(request, AREAS)


async def get_area(request: Request, area_id: AreaKey) -> Response:
    """Get one area."""
    view = view_of(request, AREAS)
    body, version = await database(request).read(areas.get_area, area_id, source_id=view.source_id, fields=view.fields)
    depends_on_database_alone(request)
    return item(body, version)


async def put_area(request: Request, area_id: OwnAreaKey) -> Response:
    """Create or replace an area that is kept by hand."""
    check_accepts(request, JSON)
    options_of(request, {})
    given = await body_of(request, AreaIn, ignored=READ_ONLY["areas"])
    condition = asked(request)
    edit = Edit(area_id, given.stated(), "put", versions=condition.versions, only_new=condition.only_new)
    return await edited(request, "areas", edit)


async def patch_area(request: Request, area_id: AreaKey) -> Response:
    """Change an area that is kept by hand."""
    check_accepts(request, JSON)
    options_of(request, {})
    given = await body_of(request, AreaPatch, kinds=(MERGE_PATCH, JSON))
    condition = asked(request)
    edit = Edit(area_id, given.stated(), "patch", versions=condition.versions, only_new=condition.only_new)
    return await edited(request, "areas", edit)


async def remove_area(request: Request, area_id: AreaKey) -> Response:
    """Remove an area that is kept by hand."""
    options_of(request, {})
    condition = asked(request)
    edit = Edit(area_id, way="patch", versions=condition.versions, only_new=condition.only_new)
    await database(request).write(edits.remove_one, "areas", edit, stamp(request))
    return Response(status_code=204)


async def list_sources(request: Request) -> Response:
    """List sources."""
    return await lists.page(request, SOURCES)


async def list_sources_as_csv(request: Request) -> Response:
    """All sources as CSV."""
    return await lists.comma_separated(request, SOURCES)


async def list_sources_as_ndjson(request: Request) -> Response:
    """All sources, one JSON object a line."""
    return await lists.ndjson(request, SOURCES)


async def get_source(request: Request, source_id: SourceKey) -> Response:
    """Get one source."""
    view = view_of(request, SOURCES)
    body, version = await database(request).read(sources.get_source, source_id, fields=view.fields)
    depends_on_database_alone(request)
    return item(body, version)


async def list_changes(request: Request) -> Response:
    """List what happened to every record."""
    return await lists.page(request, CHANGES)


async def list_changes_as_csv(request: Request) -> Response:
    """All changes as CSV."""
    return await lists.comma_separated(request, CHANGES)


async def list_changes_as_ndjson(request: Request) -> Response:
    """All changes, one JSON object a line."""
    return await lists.ndjson(request, CHANGES)
