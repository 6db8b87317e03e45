"""Routes of devices."""

from typing import Annotated

from fastapi import Path, Request, Response

from homedex.api import lists
from homedex.api.cache import depends_on_database_alone
from homedex.api.conditions import asked, item
from homedex.api.deps import JSON, MERGE_PATCH, body_of, check_accepts, database, options_of, stamp
from homedex.api.items import edited, view_of
from homedex.registry import devices, edits, entities
from homedex.registry.changes import CHANGES, list_changes_of_device
from homedex.registry.devices import DEVICES
from homedex.registry.edits import Edit
from homedex.registry.entities import ENTITIES
from homedex.registry.inputs import DEVICE_ID, READ_ONLY, DeviceIn, DevicePatch

Id = Annotated[str, Path(max_length=255, description="the device's id; an old one leads on to the present one")]
OwnId = Annotated[str, Path(pattern=DEVICE_ID, max_length=255, description="an id that no source owns")]


async def list_devices(request: Request) -> Response:
    """List devices."""
    return await lists.page(request, DEVICES)


async def list_devices_as_csv(request: Request) -> Response:
    """All devices as CSV."""
    return await lists.comma_separated(request, DEVICES)


async def list_devices_as_ndjson(request: Request) -> Response:
    """All devices, one JSON object a line."""
    return await lists.ndjson(request, DEVICES)


async def get_device(request: Request, device_id: Id) -> Response:
    """Get one device."""
    view = view_of(request, DEVICES)
    body, version = await database(request).read(devices.get_device, device_id, fields=view.fields, expand=view.expand)
    depends_on_database_alone(request)
    return item(body, version)


async def list_entities_of_device(request: Request, device_id: Id) -> Response:
    """List the entities of one device."""
    return await lists.page(request, ENTITIES, entities.list_entities_of_device, device_id)


async def list_changes_of_one_device(request: Request, device_id: Id) -> Response:
    """List what happened to one device."""
    return await lists.page(request, CHANGES, list_changes_of_device, device_id)


async def put_device(request: Request, device_id: OwnId) -> Response:
    """Create or replace a device that is kept by hand."""
    check_accepts(request, JSON)
    options_of(request, {})
    given = await body_of(request, DeviceIn, ignored=READ_ONLY["devices"])
    condition = asked(request)
    edit = Edit(device_id, given.stated(), "put", versions=condition.versions, only_new=condition.only_new)
    return await edited(request, "devices", edit)


async def patch_device(request: Request, device_id: Id) -> Response:
    """Change a device: all of one that is kept by hand, of any other what belongs to people."""
    check_accepts(request, JSON)
    options_of(request, {})
    given = await body_of(request, DevicePatch, kinds=(MERGE_PATCH, JSON))
    condition = asked(request)
    edit = Edit(device_id, given.stated(), "patch", versions=condition.versions, only_new=condition.only_new)
    return await edited(request, "devices", edit)


async def remove_device(request: Request, device_id: Id) -> Response:
    """Remove a device that is kept by hand."""
    options_of(request, {})
    condition = asked(request)
    edit = Edit(device_id, way="patch", versions=condition.versions, only_new=condition.only_new)
    await database(request).write(edits.remove_one, "devices", edit, stamp(request))
    return Response(status_code=204)
