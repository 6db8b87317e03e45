"""Routes of devices."""

from typing import Annotated

from fastapi import Path, Request, Response

from homedex.api.deps import body_of, clock, database, json_response, query_of
from homedex.registry import devices, entities
from homedex.registry.schemas import DEVICE_ID, DeviceIn, DeviceQuery, EntityOfDeviceQuery

Id = Annotated[str, Path(max_length=255, description="the device's id; an old one leads on to the present one")]
OwnId = Annotated[str, Path(pattern=DEVICE_ID, max_length=255, description="an id that no source owns")]


async def list_devices(request: Request) -> Response:
    """List devices, by device_id."""
    query = query_of(request, DeviceQuery)
    page = devices.DEVICES.page
    return json_response(await database(request).read(page, query.filters(), limit=query.limit, cursor=query.cursor))


async def get_device(request: Request, device_id: Id) -> Response:
    """Get one device."""
    return json_response(await database(request).read(devices.get_device, device_id))


async def list_entities_of_device(request: Request, device_id: Id) -> Response:
    """List the entities of one device."""
    query = query_of(request, EntityOfDeviceQuery)
    filters = query.filters() | {"device_id": [device_id]}
    page = entities.list_entities_of_device
    return json_response(await database(request).read(page, device_id, filters, limit=query.limit, cursor=query.cursor))


async def put_device(request: Request, device_id: OwnId) -> Response:
    """Create or replace a device that is kept by hand."""
    facts = vars(await body_of(request, DeviceIn))
    body, created = await database(request).write(devices.put_device, device_id, facts, now=clock(request))
    return json_response(body, 201 if created else 200)


async def remove_device(request: Request, device_id: Id) -> Response:
    """Remove a device that is kept by hand."""
    await database(request).write(devices.remove_device, device_id, now=clock(request))
    return Response(status_code=204)
