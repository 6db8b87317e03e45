"""Entities: list them, get one by its entity_id."""

from typing import Any

from sqlalchemy import Connection, bindparam, func, select, union_all
from sqlalchemy.orm import aliased

from homedex.errors import Conflict, Gone, NotFound
from homedex.registry.devices import check_device
from homedex.registry.pages import Listing, Match, Values
from homedex.registry.tables import Device, Entity
from homedex.storage.json_sql import json_row
from homedex.storage.types import to_text

FACTS = (
    "entity_id",
    "device_id",
    "domain",
    "platform",
    "unique_id",
    "name",
    "name_by_user",
    "area_id",
    "disabled_by",
    "hidden_by",
    "entity_category",
    "device_class",
    "labels",
    "extra",
)
"""What a source says of an entity; the rest of its columns is bookkeeping."""

_display_name = func.coalesce(Entity.name_by_user, Entity.name).label("display_name")
_columns = (
    Entity.id,
    Entity.source_id,
    _display_name,
    *(getattr(Entity, fact) for fact in FACTS),
    Entity.disabled,
    Entity.first_listed_at,
    Entity.last_listed_at,
    Entity.removed_at,
    Entity.created_at,
    Entity.modified_at,
    Entity.version,
)


def _of_device(column: Any, match: Match) -> Any:
    return Entity.device_id.in_(select(Device.device_id).where(match(column), Device.removed_at.is_(None)))


def _in_area(match: Match) -> Any:
    """An entity stands where it says, else where its device stands.

    Two look-ups by index and their union: SQLite reads the whole table for an OR of the two.
    """
    there = aliased(Entity)
    by_itself = select(there.id).where(match(there.area_id), there.removed_at.is_(None))
    its_device = select(Device.device_id).where(match(Device.area_id), Device.removed_at.is_(None))
    by_device = select(there.id).where(there.device_id.in_(its_device), there.area_id.is_(None), there.removed_at.is_(None))
    return Entity.id.in_(union_all(by_itself, by_device))


ENTITIES = Listing(
    noun="entities",
    rows=select(*_columns).where(Entity.removed_at.is_(None)),
    key=(Entity.entity_id, Entity.id),
    filters={
        "device_id": lambda match: match(Entity.device_id),
        "domain": lambda match: match(Entity.domain),
        "platform": lambda match: match(Entity.platform),
        "source_id": lambda match: match(Entity.source_id),
        "disabled": lambda match: match(Entity.disabled),
        "area_id": _in_area,
        "manufacturer": lambda match: _of_device(Device.manufacturer, match),
        "model": lambda match: _of_device(Device.model, match),
        "integration": lambda match: _of_device(Device.integration, match),
    },
)

_named = select(json_row(*_columns), Entity.source_id, Entity.removed_at)
_by_entity_id = _named.where(Entity.entity_id == bindparam("key"), Entity.removed_at.is_(None)).order_by(Entity.source_id)
_by_id = _named.where(Entity.id == bindparam("key"))


def list_entities_of_device(connection: Connection, device_id: str, values: Values, *, limit: int, cursor: str | None) -> bytes:
    """A page of one device's entities; raises what `devices.get_device` raises where the device is not there."""
    check_device(connection, device_id)
    return ENTITIES.page(connection, values, limit=limit, cursor=cursor)


def get_entity(connection: Connection, key: str, *, source_id: str | None = None) -> bytes:
    """One entity as JSON.

    Args:
        key: its entity_id, such as `light.kitchen`, or its registry id.
        source_id: which source's, where several have an entity of that entity_id.
    Raises:
        NotFound: there is no such entity, or not in that source.
        Gone: it was removed.
        Conflict: several sources have one; `sources` names them.
    """
    found = connection.execute(_by_entity_id, {"key": key}).all() or connection.execute(_by_id, {"key": key}).all()
    wanted = [row for row in found if source_id in {None, row.source_id}]
    if not wanted:
        where = "" if source_id is None else f" in the source {source_id!r}"
        raise NotFound(f"no entity has the id {key!r}{where}.")
    if len(wanted) > 1:
        sources = [row.source_id for row in wanted]
        raise Conflict(f"{key!r} is in several sources. Say which with ?source_id=.", sources=sources)
    if wanted[0].removed_at is not None:
        raise Gone(f"the entity {key!r} was removed.", removed_at=to_text(wanted[0].removed_at))
    return wanted[0][0].encode()
