"""Devices: what can be asked of them, get one, and when one was last seen."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, exists, func, or_, select, update

from homedex.errors import Gone, Moved, NotFound
from homedex.registry import search
from homedex.registry.pages import Listing
from homedex.registry.queries import Field, Parameter, Questions, filters_of, read_time, whether
from homedex.registry.tables import Area, Device, DeviceId, Entity, Sighting, table_of
from homedex.storage.json_sql import json_array, json_row, json_texts
from homedex.storage.types import to_text

FACTS = (
    "name",
    "name_by_user",
    "manufacturer",
    "model",
    "model_id",
    "area_id",
    "integration",
    "sw_version",
    "hw_version",
    "serial_number",
    "entry_type",
    "configuration_url",
    "via_device_id",
    "parent_device_id",
    "disabled_by",
    "labels",
    "identifiers",
    "connections",
    "note",
    "extra",
)
"""What can be said of a device; the rest of its columns is bookkeeping."""

_table, _entities, _areas, _sightings = (table_of(model) for model in (Device, Entity, Area, Sighting))
_d, _e, _a, _s = _table.c, _entities.c, _areas.c, _sightings.c

_mine = (_e.device_id == _d.device_id, _e.removed_at.is_(None))
_entity_count = select(func.count()).select_from(_entities).where(*_mine).correlate(_table).scalar_subquery()
_entities_nested = json_array(
    select(*(_e[name] for name in ("id", "entity_id", "name", "name_by_user", "domain", "platform", "device_class", "disabled")))
    .where(*_mine)
    .order_by(_e.entity_id, _e.id)
    .correlate(_table)
).scalar_subquery()
_area_nested = (
    select(json_row(_a.area_id, _a.name, _a.floor_id))
    .where(_a.area_id == _d.area_id, _a.source_id == _d.source_id, _a.removed_at.is_(None))
    .correlate(_table)
    .scalar_subquery()
)


def _with_entity(column: Any) -> dict[str, Any]:
    """Devices with an entity that has one of these values: found from the entities when few match, looked up when many do."""

    def among(binds: Any) -> Any:
        return _d.device_id.in_(select(_e.device_id).where(column.in_(binds), _e.removed_at.is_(None), _e.device_id.is_not(None)))

    def one_by_one(binds: Any) -> Any:
        return exists(select(_e.number).where(*_mine, column.in_(binds)).correlate(_table))

    return {"build": among, "build_by_order": one_by_one, "type": column.type}


def labelled(labels: Any, binds: Any) -> Any:
    """Whether a JSON array of texts holds one of these."""
    one = json_texts(labels).table_valued("value")
    return exists(select(one.c.value).select_from(one).where(one.c.value.in_(binds)))


_fields = {
    "device_id": Field(_d.device_id, sortable=True),
    "source_id": Field(_d.source_id, facet=True),
    "display_name": Field(func.coalesce(_d.name_by_user, _d.name)),
    "name": Field(_d.name, sortable=True),
    "name_by_user": Field(_d.name_by_user),
    "manufacturer": Field(_d.manufacturer, sortable=True, facet=True),
    "model": Field(_d.model, sortable=True, facet=True),
    "model_id": Field(_d.model_id, facet=True),
    "area_id": Field(_d.area_id, sortable=True, facet=True),
    "integration": Field(_d.integration, sortable=True, facet=True),
    "sw_version": Field(_d.sw_version, facet=True),
    "hw_version": Field(_d.hw_version, facet=True),
    "serial_number": Field(_d.serial_number),
    "entry_type": Field(_d.entry_type, facet=True),
    "configuration_url": Field(_d.configuration_url),
    "via_device_id": Field(_d.via_device_id, facet=True),
    "parent_device_id": Field(_d.parent_device_id),
    "disabled_by": Field(_d.disabled_by, facet=True),
    "labels": Field(_d.labels, "json"),
    "identifiers": Field(_d.identifiers, "json"),
    "connections": Field(_d.connections, "json"),
    "note": Field(_d.note),
    "extra": Field(_d.extra, "json"),
    "source_values": Field(_d.source_values, "json"),
    "disabled": Field(_d.disabled, "flag", facet=True),
    "last_seen": Field(_s.last_seen, "time", sortable=True, sighted=True),
    "seen_by": Field(_s.seen_by, facet=True, sighted=True),
    "entity_count": Field(_entity_count, "number"),
    "first_listed_at": Field(_d.first_listed_at, "time"),
    "last_listed_at": Field(_d.last_listed_at, "time"),
    "removed_at": Field(_d.removed_at, "time"),
    "created_at": Field(_d.created_at, "time", sortable=True),
    "modified_at": Field(_d.modified_at, "time", sortable=True),
    "version": Field(_d.version, "number"),
}


def _read_seen(said: str, _: datetime) -> bool:
    if said not in {"never", "ever"}:
        raise ValueError("must be never or ever; for times there are seen_before and seen_after")
    return said == "ever"


DEVICES = Listing(
    questions=Questions(
        noun="devices",
        fields=_fields,
        filters=filters_of(
            _fields,
            (
                # By the column that has an index: SQLite does not count a computed one, as `disabled` is, from its index alone.
                Parameter("disabled", "flag", whether(_d.disabled_by.is_not(None)), of="disabled_by", fixed=True),
                Parameter("label", "text", lambda binds: labelled(_d.labels, binds), "devices with that label", of="labels"),
                Parameter("domain", "text", about="devices with an entity of that domain", **_with_entity(_e.domain)),
                Parameter("platform", "text", about="devices with an entity of that platform", **_with_entity(_e.platform)),
                Parameter(
                    "has_area", "flag", whether(_d.area_id.is_not(None)), "whether it stands somewhere", "area_id", fixed=True
                ),
                Parameter(
                    *("seen", "text", whether(_s.last_seen.is_not(None)), "never or ever", "last_seen"),
                    sighted=True,
                    read=_read_seen,
                    choices=("never", "ever"),
                    fixed=True,
                ),
                Parameter(
                    *("seen_before", "time", lambda binds: or_(*(_s.last_seen < bind for bind in binds))),
                    *("last seen before that time", "last_seen"),
                    sighted=True,
                    read=read_time,
                    type=_s.last_seen.type,
                ),
                Parameter(
                    *("seen_after", "time", lambda binds: or_(*(_s.last_seen >= bind for bind in binds))),
                    *("last seen at that time or later", "last_seen"),
                    sighted=True,
                    read=read_time,
                    type=_s.last_seen.type,
                ),
            ),
        ),
        expansions=("entities", "area"),
        searchable=True,
    ),
    table=Device,
    key=(_d.number,),
    beside=(_sightings, _s.number == _d.number),
    expansions={"entities": _entities_nested, "area": _area_nested},
    indexed=frozenset(
        {
            "name",
            "manufacturer",
            "model",
            "area_id",
            "integration",
            "source_id",
            "disabled_by",
            "created_at",
            "modified_at",
            "device_id",
        }
    ),
    removed_at=_d.removed_at,
    search=search.DEVICES,
)

_moved_to = select(DeviceId.device_id).where(table_of(DeviceId).c.old_id == bindparam("old_id"))
_present = select(_d.device_id, _d.removed_at).where(_d.device_id == bindparam("device_id"))


def get_device(
    connection: Connection, device_id: str, *, fields: tuple[str, ...] = (), expand: tuple[str, ...] = ()
) -> tuple[bytes, int]:
    """One device.

    Returns: (the device as JSON, its version).
    Raises:
        NotFound: no device has or had that id.
        Gone: it was removed.
        Moved: it has another id now.
    """
    found = DEVICES.one(fields, expand).one_or_none(connection, {"device_id": device_id})
    if found is None or found[2] is not None:
        raise absent(connection, device_id, None if found is None else found[2])
    return found[0].encode(), found[1]


def get_devices(connection: Connection, device_ids: Iterable[str]) -> dict[str, tuple[bytes, int]]:
    """Several devices by their ids, as `get_device` gives them; an id that no device has now is not among them."""
    found = DEVICES.several().all(connection, {"ids": list(device_ids)})
    return {device_id: (body.encode(), version) for device_id, body, version in found}


def check_device(connection: Connection, device_id: str) -> None:
    """Return if the device is there; raises what `get_device` raises."""
    found = connection.execute(_present, {"device_id": device_id}).one_or_none()
    if found is None or found.removed_at is not None:
        raise absent(connection, device_id, None if found is None else found.removed_at)


def absent(connection: Connection, device_id: str, removed_at: datetime | None) -> NotFound | Gone | Moved:
    """The error that tells what became of a device that is not there."""
    moved_to = connection.scalar(_moved_to, {"old_id": device_id})
    if moved_to is not None:
        return Moved(device_id, moved_to)
    if removed_at is None:
        return NotFound(f"no device has the id {device_id!r}.")
    return Gone(f"the device {device_id!r} was removed.", removed_at=to_text(removed_at))


_seen = (
    update(_sightings)
    .where(
        _s.number == select(_d.number).where(_d.device_id == bindparam("of")).scalar_subquery(),
        or_(_s.last_seen.is_(None), _s.last_seen < bindparam("at", type_=_s.last_seen.type)),
    )
    .values(last_seen=bindparam("at", type_=_s.last_seen.type), seen_by=bindparam("by"))
)


def record_sightings(connection: Connection, sightings: Iterable[tuple[str, datetime]], *, seen_by: str) -> None:
    """Keep the latest time at which each device itself reported; an older one changes nothing."""
    rows = [{"of": device_id, "at": last_seen, "by": seen_by} for device_id, last_seen in sightings]
    if rows:
        connection.execute(_seen, rows)
