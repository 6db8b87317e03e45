"""The app, and one list of all its routes."""

from collections.abc import AsyncIterator, Callable, Container, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Literal

from fastapi import FastAPI
from pydantic import BaseModel

from homedex import __version__
from homedex.api import areas, bulk, devices, entities, health, problem_pages, problems
from homedex.api import backups as backups_api
from homedex.api.cache import Cache
from homedex.api.deps import JSON, MERGE_PATCH, NDJSON
from homedex.api.direct import Direct
from homedex.api.lists import CSV
from homedex.api.openapi import DESCRIPTION, document
from homedex.api.requests import Requests
from homedex.registry import inputs, schemas
from homedex.registry.areas import AREAS
from homedex.registry.backups import Backups
from homedex.registry.changes import CHANGES
from homedex.registry.devices import DEVICES
from homedex.registry.entities import ENTITIES
from homedex.registry.pages import Listing
from homedex.registry.sources import SOURCES
from homedex.storage.database import Database


@dataclass(frozen=True, slots=True)
class Route:
    """One line of the list: what is asked where, what answers, and with what.

    Args:
        answers: status -> the model of its body, None where it has none, a media type where it is a stream.
        faults: the statuses of problem documents beside 400, 406, 413, 422, 500, 503 and 507, which every route can give.
        listing: the list whose parameters it takes; `whole` without those of a page, `view` those of one record.
        parameters: further ones: name -> (description, values there are).
        body: the model of its body, or (media type -> schema).
        kinds: the media types of its body.
        conditional: "get" or "edit": the headers that make it depend on the record's entity tag.
    """

    method: str
    path: str
    endpoint: Callable[..., Any]
    tag: str
    answers: Mapping[int, Any] = field(default_factory=dict)
    faults: tuple[int, ...] = ()
    listing: Listing | None = None
    takes: Literal["page", "whole", "view", ""] = ""
    parameters: Mapping[str, tuple[str, tuple[str, ...]]] = field(default_factory=dict)
    body: type[BaseModel] | None = None
    kinds: tuple[str, ...] = ()
    conditional: Literal["get", "put", "edit", ""] = ""


V1 = "/api/v1"
CACHE_BYTES = 32 * 1024 * 1024
PATCHES = (MERGE_PATCH, JSON)
SOURCE_ID = {"source_id": ("which source's, where several have one", ())}
BULK = {
    "mode": ("all rows or none, or as many as can be", ("atomic", "best_effort")),
    "dry_run": ("try, and undo", ("true", "false")),
}


def _list(path: str, noun: str, listing: Listing, model: type[BaseModel], *endpoints: Callable[..., Any]) -> tuple[Route, ...]:
    """A list as JSON, CSV and NDJSON."""
    page, as_csv, as_ndjson = endpoints
    return (
        Route("GET", f"{V1}/{path}", page, noun, {200: model}, (304,), listing, "page", conditional="get"),
        Route("GET", f"{V1}/{path}.csv", as_csv, noun, {200: CSV}, (), listing, "whole"),
        Route("GET", f"{V1}/{path}.ndjson", as_ndjson, noun, {200: NDJSON}, (), listing, "whole"),
    )


def _item(path: str, noun: str, listing: Listing, model: type[BaseModel], get: Callable[..., Any], *faults: int) -> Route:
    """One record."""
    return Route("GET", f"{V1}/{path}", get, noun, {200: model}, (304, 404, *faults), listing, "view", conditional="get")


def _edits(  # noqa: PLR0913  (three routes and their models)
    path: str,
    noun: str,
    model: type[BaseModel],
    bodies: tuple[type[BaseModel], type[BaseModel]],
    endpoints: tuple[Callable[..., Any], Callable[..., Any], Callable[..., Any]],
    faults: tuple[tuple[int, ...], tuple[int, ...]],
    parameters: Mapping[str, tuple[str, tuple[str, ...]]] = MappingProxyType({}),
) -> tuple[Route, ...]:
    """PUT, PATCH and DELETE of one record; `faults`: of PUT, and of the others, beside those that all nouns have."""
    put, patch, remove = endpoints
    to_put, to_change = (*faults[0], 412), (*faults[1], 404, 409, 410, 412)
    made = {201: model, 200: model}
    changed = {"parameters": parameters, "conditional": "edit"}
    return (
        Route("PUT", f"{V1}/{path}", put, noun, made, (*to_put, 415), body=bodies[0], kinds=(JSON,), conditional="put"),
        Route("PATCH", f"{V1}/{path}", patch, noun, {200: model}, (*to_change, 415), body=bodies[1], kinds=PATCHES, **changed),  # type: ignore[arg-type]
        Route("DELETE", f"{V1}/{path}", remove, noun, {204: None}, to_change, **changed),  # type: ignore[arg-type]
    )


ROUTES = (
    *_list(
        *("devices", "devices", DEVICES, schemas.DevicePage),
        *(devices.list_devices, devices.list_devices_as_csv, devices.list_devices_as_ndjson),
    ),
    Route(
        *("POST", f"{V1}/devices/bulk", bulk.edit_devices, "devices", {200: schemas.BulkAnswer}, (409, 415)),
        parameters=BULK,
        body=inputs.DeviceRows,
        kinds=(JSON, NDJSON),
    ),
    _item("devices/{device_id}", "devices", DEVICES, schemas.Device, devices.get_device, 308, 410),
    *_edits(
        *("devices/{device_id}", "devices", schemas.Device, (inputs.DeviceIn, inputs.DevicePatch)),
        (devices.put_device, devices.patch_device, devices.remove_device),
        ((308, 409, 410), (308,)),
    ),
    Route(
        *("GET", f"{V1}/devices/{{device_id}}/entities", devices.list_entities_of_device, "devices"),
        *({200: schemas.EntityPage}, (304, 308, 404, 410), ENTITIES, "page"),
        conditional="get",
    ),
    Route(
        *("GET", f"{V1}/devices/{{device_id}}/changes", devices.list_changes_of_one_device, "changes"),
        *({200: schemas.ChangePage}, (304, 308, 404), CHANGES, "page"),
        conditional="get",
    ),
    *_list(
        *("entities", "entities", ENTITIES, schemas.EntityPage),
        *(entities.list_entities, entities.list_entities_as_csv, entities.list_entities_as_ndjson),
    ),
    Route(
        *("POST", f"{V1}/entities/bulk", bulk.edit_entities, "entities", {200: schemas.BulkAnswer}, (409, 415)),
        parameters=BULK,
        body=inputs.EntityRows,
        kinds=(JSON, NDJSON),
    ),
    _item("entities/{entity_id}", "entities", ENTITIES, schemas.Entity, entities.get_entity, 409, 410),
    *_edits(
        *("entities/{entity_id}", "entities", schemas.Entity, (inputs.EntityIn, inputs.EntityPatch)),
        (entities.put_entity, entities.patch_entity, entities.remove_entity),
        ((409, 410), ()),
        SOURCE_ID,
    ),
    *_list("areas", "areas", AREAS, schemas.AreaPage, areas.list_areas, areas.list_areas_as_csv, areas.list_areas_as_ndjson),
    _item("areas/{area_id}", "areas", AREAS, schemas.Area, areas.get_area, 409, 410),
    *_edits(
        *("areas/{area_id}", "areas", schemas.Area, (inputs.AreaIn, inputs.AreaPatch)),
        (areas.put_area, areas.patch_area, areas.remove_area),
        ((), ()),
    ),
    *_list(
        *("sources", "sources", SOURCES, schemas.SourcePage),
        *(areas.list_sources, areas.list_sources_as_csv, areas.list_sources_as_ndjson),
    ),
    _item("sources/{source_id}", "sources", SOURCES, schemas.Source, areas.get_source),
    *_list(
        *("changes", "changes", CHANGES, schemas.ChangePage),
        *(areas.list_changes, areas.list_changes_as_csv, areas.list_changes_as_ndjson),
    ),
)

BACKUP_ROUTES = (
    Route("GET", f"{V1}/backups", backups_api.list_backups, "backups", {200: schemas.Backups}, (404,)),
    Route(
        *("POST", f"{V1}/backups", backups_api.create_backup, "backups"),
        *({201: schemas.MadeBackup, 200: schemas.MadeBackup}, (404, 409)),
    ),
    Route(
        *("POST", f"{V1}/backups/prune", backups_api.prune_backups, "backups", {200: schemas.Pruned}, (404,)),
        parameters={"dry_run": ("only say which", ("true", "false"))},
    ),
    Route("GET", f"{V1}/backups/{{name}}", backups_api.get_backup, "backups", {200: schemas.Backup}, (404,)),
    Route("GET", f"{V1}/backups/{{name}}/file", backups_api.download_backup, "backups", {200: backups_api.ZSTD}, (404,)),
    Route("POST", f"{V1}/backups/{{name}}/verify", backups_api.verify_backup, "backups", {200: schemas.Backup}, (404, 409)),
    Route(
        *("POST", f"{V1}/backups/{{name}}/restore", backups_api.restore_backup, "backups"),
        *({200: backups_api.SQLITE}, (404, 409)),
    ),
    Route("DELETE", f"{V1}/backups/{{name}}", backups_api.remove_backup, "backups", {204: None}, (404,)),
)

PLAIN_ROUTES = (
    Route("GET", "/livez", health.livez, "health"),
    Route("GET", "/readyz", health.readyz, "health"),
    Route("GET", "/", health.index, "health"),
)


def utc_now() -> datetime:
    """The time, aware."""
    return datetime.now(UTC)


def openapi_document() -> dict[str, Any]:
    """The OpenAPI document, without a database."""
    return document(_app_of_routes(), (*ROUTES, *BACKUP_ROUTES))


def create_app(  # noqa: PLR0913  (each is a setting of the service)
    database: Database,
    *,
    backups: Backups | None = None,
    clock: Callable[[], datetime] = utc_now,
    allowed_hosts: Container[str] | None = None,
    access_log: bool = False,
    cache_bytes: int = CACHE_BYTES,
) -> FastAPI:
    """The HTTP service over an open registry, which it closes when it shuts down.

    Args:
        backups: of the registry; None where there are none to be had over HTTP.
        clock: what time it is, aware.
        allowed_hosts: the names it may be asked by, in lower case and without a port; None means any.
        access_log: log a line for every request, not only for those that failed by our fault.
        cache_bytes: how much of what was answered is kept until the database changes; 0: nothing. On PostgreSQL nothing is: what
            another process has committed is heard of some milliseconds later.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await database.close()

    app = _app_of_routes(lifespan)
    app.state.database, app.state.clock, app.state.keys_in_use = database, clock, set()
    app.state.backups = backups
    problems.install(app)
    # Outside of the framework's own error handling, where `add_middleware` does not reach.
    framework_stack = app.build_middleware_stack
    app.build_middleware_stack = lambda: Requests(  # type: ignore[method-assign]
        Cache(Direct(framework_stack(), app), database, cache_bytes if database.hears_at_once else 0),
        allowed_hosts=allowed_hosts,
        access_log=access_log,
    )
    app.openapi = lambda: document(app, (*ROUTES, *BACKUP_ROUTES))  # type: ignore[method-assign]
    return app


def _app_of_routes(lifespan: Any = None) -> FastAPI:
    app = FastAPI(
        title="Homedex",
        version=__version__,
        description=DESCRIPTION,
        lifespan=lifespan,
        redoc_url=None,
        redirect_slashes=False,
        telemetry={"tracing": False, "metrics": False, "logs": False},  # asking for a provider that is not there: 11 us a request
    )
    for route in (*ROUTES, *BACKUP_ROUTES):
        app.add_api_route(
            route.path,
            route.endpoint,
            methods=[route.method],
            tags=[route.tag],
            operation_id=route.endpoint.__name__,
            summary=(route.endpoint.__doc__ or "").split("\n")[0].rstrip("."),
            status_code=next(iter(route.answers)),
            response_model=None,
        )
    for route in PLAIN_ROUTES:
        summary = (route.endpoint.__doc__ or "").split("\n")[0].rstrip(".")
        app.add_api_route(
            route.path, route.endpoint, methods=[route.method], response_model=None, tags=[route.tag], summary=summary
        )
    for route in (*ROUTES, *BACKUP_ROUTES, *PLAIN_ROUTES):  # probes and proxies ask by HEAD; the server leaves the body out
        if route.method == "GET":
            app.add_api_route(route.path, route.endpoint, methods=["HEAD"], response_model=None, include_in_schema=False)
    for path, page in problem_pages.PROBLEM_ROUTES:
        app.add_route(path, page, methods=["GET"], include_in_schema=False)
    return app
