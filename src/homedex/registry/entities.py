"""Entities: what can be asked of them, get one by its entity_id."""

from typing import Any

from sqlalchemy import Connection, and_, bindparam, exists, func, or_, select

from homedex.errors import Conflict, Gone, NotFound
from homedex.registry import search
from homedex.registry.devices import check_device, labelled
from homedex.registry.pages import Listing
from homedex.registry.queries import Field, Parameter, Query, Questions, filters_of, whether
from homedex.registry.tables import Area, Device, Entity, table_of
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
    "note",
    "extra",
)
"""What can be said of an entity; the rest of its columns is bookkeeping."""

_table, _devices, _areas = (table_of(model) for model in (Entity, Device, Area))
_e, _d, _a = _table.c, _devices.c, _areas.c

_its_area = select(_d.area_id).where(_d.device_id == _e.device_id, _d.removed_at.is_(None)).correlate(_table).scalar_subquery()
_area_id = func.coalesce(_e.area_id, _its_area)


def _in_area(binds: Any) -> Any:
    """An entity stands where it says, else where its device stands; each half is found by an index."""
    there = select(_d.device_id).where(_d.area_id.in_(binds), _d.removed_at.is_(None))
    return or_(_e.area_id.in_(binds), and_(_e.device_id.in_(there), _e.area_id.is_(None)))


def _of_device(column: Any) -> dict[str, Any]:
    """Entities of devices that have one of these values."""

    def among(binds: Any) -> Any:
        return _e.device_id.in_(select(_d.device_id).where(column.in_(binds), _d.removed_at.is_(None)))

    def one_by_one(binds: Any) -> Any:
        return exists(
            select(_d.number).where(_d.device_id == _e.device_id, column.in_(binds), _d.removed_at.is_(None)).correlate(_table)
        )

    return {"build": among, "build_by_order": one_by_one, "type": column.type}


_device_nested = (
    select(json_row(*(_d[name] for name in ("device_id", "name", "name_by_user", "manufacturer", "model", "area_id"))))
    .where(_d.device_id == _e.device_id)
    .correlate(_table)
    .scalar_subquery()
)
_area_nested = (
    select(json_row(_a.area_id, _a.name, _a.floor_id))
    .where(_a.area_id == _area_id, _a.source_id == _e.source_id, _a.removed_at.is_(None))
    .correlate(_table)
    .scalar_subquery()
)

_fields = {
    "id": Field(_e.id, sortable=True),
    "source_id": Field(_e.source_id, facet=True),
    "display_name": Field(func.coalesce(_e.name_by_user, _e.name)),
    "entity_id": Field(_e.entity_id, sortable=True),
    "device_id": Field(_e.device_id, sortable=True),
    "domain": Field(_e.domain, sortable=True, facet=True),
    "platform": Field(_e.platform, sortable=True, facet=True),
    "unique_id": Field(_e.unique_id),
    "name": Field(_e.name, sortable=True),
    "name_by_user": Field(_e.name_by_user),
    "area_id": Field(_e.area_id, sortable=True, facet=True, equals=_in_area, counted=_area_id),
    "disabled_by": Field(_e.disabled_by, facet=True),
    "hidden_by": Field(_e.hidden_by, facet=True),
    "entity_category": Field(_e.entity_category, facet=True),
    "device_class": Field(_e.device_class, facet=True),
    "labels": Field(_e.labels, "json"),
    "note": Field(_e.note),
    "extra": Field(_e.extra, "json"),
    "source_values": Field(_e.source_values, "json"),
    "disabled": Field(_e.disabled, "flag", facet=True),
    "first_listed_at": Field(_e.first_listed_at, "time"),
    "last_listed_at": Field(_e.last_listed_at, "time"),
    "removed_at": Field(_e.removed_at, "time"),
    "created_at": Field(_e.created_at, "time", sortable=True),
    "modified_at": Field(_e.modified_at, "time", sortable=True),
    "version": Field(_e.version, "number"),
}

ENTITIES = Listing(
    questions=Questions(
        noun="entities",
        fields=_fields,
        filters=filters_of(
            _fields,
            (
                # By the column that has an index: SQLite does not count a computed one, as `disabled` is, from its index alone.
                Parameter("disabled", "flag", whether(_e.disabled_by.is_not(None)), of="disabled_by", fixed=True),
                Parameter("label", "text", lambda binds: labelled(_e.labels, binds), "entities with that label", of="labels"),
                Parameter("manufacturer", "text", about="of its device", **_of_device(_d.manufacturer)),
                Parameter("model", "text", about="of its device", **_of_device(_d.model)),
                Parameter("integration", "text", about="of its device", **_of_device(_d.integration)),
                Parameter(
                    *("has_area", "flag", whether(_area_id.is_not(None)), "whether it, or its device, stands somewhere", "area_id"),
                    fixed=True,
                ),
            ),
        ),
        expansions=("device", "area"),
        searchable=True,
    ),
    table=Entity,
    key=(_e.number,),
    expansions={"device": _device_nested, "area": _area_nested},
    indexed=frozenset(
        {"entity_id", "name", "domain", "platform", "source_id", "disabled_by", "created_at", "modified_at", "device_id", "id"}
    ),
    removed_at=_e.removed_at,
    search=search.ENTITIES,
)

_named = select(_e.number, _e.source_id, _e.removed_at)
_by_entity_id = _named.where(_e.entity_id == bindparam("key"), _e.removed_at.is_(None)).order_by(_e.source_id)
_by_id = _named.where(_e.id == bindparam("key"))
_gone = _named.where(_e.entity_id == bindparam("key"), _e.removed_at.is_not(None)).order_by(_e.removed_at.desc()).limit(1)


def list_entities_of_device(connection: Connection, device_id: str, query: Query) -> tuple[bytes, dict[str, str | None]]:
    """A page of one device's entities; raises what `devices.get_device` raises where the device is not there."""
    check_device(connection, device_id)
    return ENTITIES.page(connection, query.only("device_id", device_id))


def get_entity(
    connection: Connection, key: str, *, source_id: str | None = None, fields: tuple[str, ...] = (), expand: tuple[str, ...] = ()
) -> tuple[bytes, int]:
    """One entity.

    Args:
        key: its entity_id, such as `light.kitchen`, or its registry id.
        source_id: which source's, where several have an entity of that entity_id.
    Returns: (the entity as JSON, its version).
    Raises:
        NotFound: there is no such entity, or not in that source.
        Gone: it was removed.
        Conflict: several sources have one; `sources` names them.
    """
    number = find_entity(connection, key, source_id=source_id)
    found = ENTITIES.one(fields, expand).all(connection, {"number": number})[0]
    return found[0].encode(), found[1]


def get_entity_of_id(connection: Connection, key: str) -> tuple[bytes, int]:
    """The entity of a registry id, which may be the entity_id of another: (the entity as JSON, its version)."""
    number = connection.execute(_by_id, {"key": key}).one().number
    found = ENTITIES.one(()).all(connection, {"number": number})[0]
    return found[0].encode(), found[1]


def find_entity(connection: Connection, key: str, *, source_id: str | None = None) -> int:
    """The number of one entity; raises what `get_entity` raises."""
    found = connection.execute(_by_entity_id, {"key": key}).all() or connection.execute(_by_id, {"key": key}).all()
    wanted = [row for row in found if source_id in {None, row.source_id}]
    if not found:
        wanted = list(connection.execute(_gone, {"key": key}))
    if not wanted:
        where = "" if source_id is None else f" in the source {source_id!r}"
        raise NotFound(f"no entity has the id {key!r}{where}.")
    if len(wanted) > 1:
        sources = [row.source_id for row in wanted]
        raise Conflict(f"{key!r} is in several sources. Say which with ?source_id=.", sources=sources)
    if wanted[0].removed_at is not None:
        raise Gone(f"the entity {key!r} was removed.", removed_at=to_text(wanted[0].removed_at))
    return int(wanted[0].number)
