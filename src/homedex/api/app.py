"""The app, and one list of all its routes."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel

from homedex import __version__
from homedex.api import areas, devices, entities, health, problems
from homedex.registry import schemas
from homedex.storage.database import Database


@dataclass(frozen=True, slots=True)
class Route:
    """One line of the list: what is asked where, what answers, and with what.

    Args:
        query: the model of its query parameters.
        body: the model of its body.
        answers: status -> the model of its body, None where it has none.
        faults: the statuses of problem documents beside 422, 500 and 503, which every route can give.
    """

    method: str
    path: str
    endpoint: Callable[..., Any]
    tag: str
    answers: dict[int, type[BaseModel] | None] = field(default_factory=dict)
    faults: tuple[int, ...] = ()
    query: type[BaseModel] | None = None
    body: type[BaseModel] | None = None

    def openapi_extra(self) -> dict[str, Any]:
        """What the document says of query and body, which FastAPI does not read itself (see `deps`)."""
        extra: dict[str, Any] = {}
        if self.query is not None:
            extra["parameters"] = [
                {"name": name, "in": "query", "required": False, "description": schema.pop("description", ""), "schema": schema}
                for name, schema in self.query.model_json_schema()["properties"].items()
            ]
        if self.body is not None:
            extra["requestBody"] = {"required": True, "content": {"application/json": {"schema": self.body.model_json_schema()}}}
        return extra


ONE, LIST = (308, 404, 410), (400,)

ROUTES = (
    Route("GET", "/api/v1/devices", devices.list_devices, "devices", {200: schemas.DevicePage}, LIST, schemas.DeviceQuery),
    Route("GET", "/api/v1/devices/{device_id}", devices.get_device, "devices", {200: schemas.Device}, ONE),
    Route(
        "PUT",
        "/api/v1/devices/{device_id}",
        devices.put_device,
        "devices",
        {201: schemas.Device, 200: schemas.Device},
        (308, 409, 413, 415),
        body=schemas.DeviceIn,
    ),
    Route("DELETE", "/api/v1/devices/{device_id}", devices.remove_device, "devices", {204: None}, (*ONE, 409)),
    Route(
        "GET",
        "/api/v1/devices/{device_id}/entities",
        devices.list_entities_of_device,
        "devices",
        {200: schemas.EntityPage},
        (*ONE, *LIST),
        schemas.EntityOfDeviceQuery,
    ),
    Route("GET", "/api/v1/entities", entities.list_entities, "entities", {200: schemas.EntityPage}, LIST, schemas.EntityQuery),
    Route(
        "GET",
        "/api/v1/entities/{entity_id}",
        entities.get_entity,
        "entities",
        {200: schemas.Entity},
        (400, 404, 409, 410),
        schemas.OneEntityQuery,
    ),
    Route("GET", "/api/v1/areas", areas.list_areas, "areas", {200: schemas.AreaPage}, LIST, schemas.AreaQuery),
    Route("GET", "/api/v1/sources", areas.list_sources, "sources", {200: schemas.SourcePage}, LIST, schemas.SourceQuery),
)

PLAIN_ROUTES = (
    Route("GET", "/livez", health.livez, "health"),
    Route("GET", "/readyz", health.readyz, "health"),
    Route("GET", "/", health.index, "health"),
)

DESCRIPTION = """
Every device and entity of a home or a fleet. Lists take `limit` and `cursor`, and filters: repeat a filter to accept several
values, use different ones to narrow. Errors are problem documents (RFC 9457) that say what happened and what to do.
"""


def utc_now() -> datetime:
    """The time, aware."""
    return datetime.now(UTC)


def create_app(database: Database, *, clock: Callable[[], datetime] = utc_now) -> FastAPI:
    """The HTTP service over an open registry, which it closes when it shuts down."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await database.close()

    app = FastAPI(
        title="Homedex", version=__version__, description=DESCRIPTION, lifespan=lifespan, redoc_url=None, redirect_slashes=False
    )
    app.state.database, app.state.clock = database, clock
    problems.install(app)
    for route in ROUTES:
        faults: dict[int | str, dict[str, Any]] = {status: {"model": schemas.Problem} for status in (*route.faults, 500, 503)}
        faults[422] = {"model": schemas.InvalidProblem}
        answers: dict[int | str, dict[str, Any]] = {
            status: {"model": model} if model else {} for status, model in route.answers.items()
        }
        app.add_api_route(
            route.path,
            route.endpoint,
            methods=[route.method],
            tags=[route.tag],
            operation_id=route.endpoint.__name__,
            summary=(route.endpoint.__doc__ or "").split("\n")[0].rstrip("."),
            status_code=next(iter(route.answers)),
            response_model=None,
            responses=answers | faults,
            openapi_extra=route.openapi_extra(),
        )
    for route in PLAIN_ROUTES:
        summary = (route.endpoint.__doc__ or "").split("\n")[0].rstrip(".")
        app.add_api_route(
            route.path, route.endpoint, methods=[route.method], response_model=None, tags=[route.tag], summary=summary
        )
    for route in (*ROUTES, *PLAIN_ROUTES):  # probes and proxies ask by HEAD; the server leaves the body out
        if route.method == "GET":
            app.add_api_route(route.path, route.endpoint, methods=["HEAD"], response_model=None, include_in_schema=False)
    framework_openapi = app.openapi
    app.openapi = lambda: name_problems(framework_openapi())  # type: ignore[method-assign]
    return app


def name_problems(document: dict[str, Any]) -> dict[str, Any]:
    """Say that errors are problem documents: the framework's own words for a response know one media type."""
    for path in document["paths"].values():
        for operation in path.values():
            for status, response in operation["responses"].items():
                content = response.get("content", {})
                if int(status) >= HTTPStatus.PERMANENT_REDIRECT and "application/json" in content:
                    response["content"] = {problems.MEDIA_TYPE: content["application/json"]}
    return document
