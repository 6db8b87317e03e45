"""Routes of devices."""

from typing import Annotated

from fastapi import Path, Query, Request, Response

from homedex.api.deps import clock, database, json_response
from homedex.registry import devices, entities
from homedex.registry.schemas import DEVICE_ID, DeviceIn, DeviceQuery, EntityOfDeviceQuery

Id = Annotated[str, Path(max_length=255, description="the device's id; an old one leads on to the present one")]
OwnId = Annotated[str, Path(pattern=DEVICE_ID, description="an id that no source owns")]


async def list_devices(request: Request, query: Annotated[DeviceQuery, Query()]) -> Response:
    """List devices, by device_id."""
    page = devices.DEVICES.page
    return json_response(await database(request).read(page, query.filters(), limit=query.limit, cursor=query.cursor))


async def get_device(request: Request, device_id: Id) -> Response:
    """Get one device."""
    return json_response(await database(request).read(devices.get_device, device_id))


async def list_entities_of_device(request: Request, device_id: Id, query: Annotated[EntityOfDeviceQuery, Query()]) -> Response:
    """List the entities of one device."""
    filters = query.filters() | {"device_id": [device_id]}
    return json_response(
        await database(request).read(entities.list_entities_of_device, device_id, filters, limit=query.limit, cursor=query.cursor)
    )


async def put_device(request: Request, device_id: OwnId, device: DeviceIn) -> Response:
    """Create or replace a device that is kept by hand."""
    body, created = await database(request).write(devices.put_device, device_id, device.model_dump(), now=clock(request))
    return json_response(body, 201 if created else 200)


async def remove_device(request: Request, device_id: Id) -> Response:
    """Remove a device that is kept by hand."""
    await database(request).write(devices.remove_device, device_id, now=clock(request))
    return Response(status_code=204)
