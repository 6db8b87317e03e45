"""Devices: list them, get one, and keep those that people add by hand."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, bindparam, func, insert, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from homedex.errors import Conflict, Gone, Invalid, Moved, NotFound
from homedex.registry.pages import Listing, Match
from homedex.registry.sources import MANUAL, ensure_manual_source
from homedex.registry.tables import Device, DeviceId, Entity, Sighting, table_of
from homedex.storage.json_sql import json_row
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
    "extra",
)
"""What can be said of a device; the rest of its columns is bookkeeping."""

CLOCK_SKEW = timedelta(days=1)
"""How far ahead of ours a device's clock may be."""

_display_name = func.coalesce(Device.name_by_user, Device.name).label("display_name")
_last_seen = select(Sighting.last_seen).where(Sighting.device_id == Device.device_id).scalar_subquery().label("last_seen")
_seen_by = select(Sighting.seen_by).where(Sighting.device_id == Device.device_id).scalar_subquery().label("seen_by")
_entity_count = (
    select(func.count())
    .select_from(Entity)
    .where(Entity.device_id == Device.device_id, Entity.removed_at.is_(None))
    .scalar_subquery()
    .label("entity_count")
)
_columns = (
    Device.device_id,
    Device.source_id,
    _display_name,
    *(getattr(Device, fact) for fact in FACTS),
    Device.disabled,
    _last_seen,
    _seen_by,
    _entity_count,
    Device.first_listed_at,
    Device.last_listed_at,
    Device.removed_at,
    Device.created_at,
    Device.modified_at,
    Device.version,
)


def _with_entity(column: Any, match: Match) -> Any:
    has = select(Entity.device_id).where(match(column), Entity.removed_at.is_(None), Entity.device_id.is_not(None))
    return Device.device_id.in_(has)


DEVICES = Listing(
    noun="devices",
    rows=select(*_columns).where(Device.removed_at.is_(None)),
    key=(Device.device_id,),
    filters={
        "device_id": lambda match: match(Device.device_id),
        "manufacturer": lambda match: match(Device.manufacturer),
        "model": lambda match: match(Device.model),
        "area_id": lambda match: match(Device.area_id),
        "integration": lambda match: match(Device.integration),
        "source_id": lambda match: match(Device.source_id),
        "disabled": lambda match: match(Device.disabled),
        "domain": lambda match: _with_entity(Entity.domain, match),
        "platform": lambda match: _with_entity(Entity.platform, match),
    },
)

_one = select(json_row(*_columns), Device.removed_at).where(Device.device_id == bindparam("device_id"))
_moved_to = select(DeviceId.device_id).where(DeviceId.old_id == bindparam("old_id"))
_insert = insert(table_of(Device))
_update = update(table_of(Device)).where(table_of(Device).c.device_id == bindparam("key"))
_update_returning = _update.returning(json_row(*_columns))
_present = select(Device.device_id, Device.removed_at).where(Device.device_id == bindparam("device_id"))
_stored = select(table_of(Device)).where(Device.device_id == bindparam("device_id"))


def get_device(connection: Connection, device_id: str) -> bytes:
    """One device as JSON.

    Raises:
        NotFound: no device has or had that id.
        Gone: it was removed.
        Moved: it has another id now.
    """
    found = connection.execute(_one, {"device_id": device_id}).one_or_none()
    if found is None or found.removed_at is not None:
        raise absent(connection, device_id, None if found is None else found.removed_at)
    return found[0].encode()


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


def put_device(connection: Connection, device_id: str, facts: Mapping[str, Any], *, now: datetime) -> tuple[bytes, bool]:
    """Create or replace a device that people keep by hand; replacing it by what it is already writes nothing.

    Args:
        device_id: any id that no source owns.
        facts: all of FACTS, and `last_seen` where the caller knows it (a sighting is never taken back by leaving it out).
        now: the time of the change.
    Returns: (the device as JSON, whether it is new).
    Raises:
        Conflict: the device belongs to a source, which would overwrite it.
        Moved: the id is an old one of another device.
        Invalid: `last_seen` lies more than a day ahead.
    """
    if facts.get("last_seen") is not None and facts["last_seen"] > now + CLOCK_SKEW:
        detail = "lies in the future; it could never be corrected, because a sighting is not taken back"
        raise Invalid(f"#/last_seen: {detail}.", [{"pointer": "#/last_seen", "detail": detail}])
    values = {fact: facts[fact] for fact in FACTS}
    stored = connection.execute(_stored, {"device_id": device_id}).one_or_none()
    if stored is None:
        _create(connection, device_id, values, now)
    else:
        _refuse_foreign(stored)
    if facts.get("last_seen") is not None:
        record_sighting(connection, device_id, facts["last_seen"], seen_by="api")
    device = None if stored is None else _replace(connection, stored, values, now)
    return device or get_device(connection, device_id), stored is None or stored.removed_at is not None


def _create(connection: Connection, device_id: str, values: Mapping[str, Any], now: datetime) -> None:
    moved_to = connection.scalar(_moved_to, {"old_id": device_id})
    if moved_to is not None:
        raise Moved(device_id, moved_to)
    ensure_manual_source(connection, now=now)
    bookkeeping = {"first_listed_at": now, "created_at": now, "modified_at": now, "version": 1}
    connection.execute(_insert, {"device_id": device_id, "source_id": MANUAL, **values, **bookkeeping})


def _replace(connection: Connection, stored: Row[Any], values: Mapping[str, Any], now: datetime) -> bytes | None:
    """The device as JSON after the change; None when there is none to write."""
    changed = {fact: value for fact, value in values.items() if getattr(stored, fact) != value}
    if stored.removed_at is not None:
        changed |= {"removed_at": None, "last_listed_at": None}
    if not changed:
        return None
    changed |= {"modified_at": now, "version": stored.version + 1}
    return connection.execute(_update_returning, {"key": stored.device_id, **changed}).scalar_one().encode()


def remove_device(connection: Connection, device_id: str, *, now: datetime) -> None:
    """Turn a device that people keep by hand into a tombstone.

    Raises:
        Conflict: the device belongs to a source: remove it there.
        NotFound, Gone, Moved: see `get_device`.
    """
    stored = connection.execute(_stored, {"device_id": device_id}).one_or_none()
    if stored is None or stored.removed_at is not None:
        raise absent(connection, device_id, None if stored is None else stored.removed_at)
    _refuse_foreign(stored)
    tombstone = {"removed_at": now, "last_listed_at": now, "modified_at": now, "version": stored.version + 1}
    connection.execute(_update, {"key": device_id, **tombstone})


def _refuse_foreign(stored: Row[Any]) -> None:
    if stored.source_id != MANUAL:
        raise Conflict(
            f"the device {stored.device_id!r} belongs to the source {stored.source_id!r}, whose next sync would undo this. "
            "Change it there, or choose an id that no source owns.",
            source_id=stored.source_id,
        )


def record_sighting(connection: Connection, device_id: str, last_seen: datetime, *, seen_by: str) -> None:
    """Keep the latest time at which the device itself reported; an older one changes nothing."""
    row = upsert(Sighting).values(device_id=device_id, last_seen=last_seen, seen_by=seen_by)
    newer = row.excluded.last_seen > Sighting.last_seen
    connection.execute(
        row.on_conflict_do_update(
            index_elements=[Sighting.device_id],
            set_={"last_seen": row.excluded.last_seen, "seen_by": row.excluded.seen_by},
            where=newer,
        )
    )
