"""Areas: what can be asked of them, get one."""

from sqlalchemy import Connection, bindparam, func, select

from homedex.errors import Conflict, Gone, NotFound
from homedex.registry.devices import labelled
from homedex.registry.pages import Listing
from homedex.registry.queries import Field, Parameter, Questions, filters_of
from homedex.registry.tables import Area, Device, table_of
from homedex.storage.types import to_text

FACTS = ("name", "floor_id", "aliases", "labels", "extra")
"""What can be said of an area; the rest of its columns is bookkeeping."""

_table, _devices = table_of(Area), table_of(Device)
_a, _d = _table.c, _devices.c

_device_count = (
    select(func.count())
    .select_from(_devices)
    .where(_d.area_id == _a.area_id, _d.source_id == _a.source_id, _d.removed_at.is_(None))
    .correlate(_table)
    .scalar_subquery()
)

_fields = {
    "area_id": Field(_a.area_id, sortable=True),
    "source_id": Field(_a.source_id, facet=True),
    "name": Field(_a.name, sortable=True),
    "floor_id": Field(_a.floor_id, facet=True),
    "aliases": Field(_a.aliases, "json"),
    "labels": Field(_a.labels, "json"),
    "extra": Field(_a.extra, "json"),
    "device_count": Field(_device_count, "number"),
    "first_listed_at": Field(_a.first_listed_at, "time"),
    "last_listed_at": Field(_a.last_listed_at, "time"),
    "removed_at": Field(_a.removed_at, "time"),
    "created_at": Field(_a.created_at, "time", sortable=True),
    "modified_at": Field(_a.modified_at, "time", sortable=True),
    "version": Field(_a.version, "number"),
}

AREAS = Listing(
    questions=Questions(
        noun="areas",
        fields=_fields,
        filters=filters_of(
            _fields, [Parameter("label", "text", lambda binds: labelled(_a.labels, binds), "areas with that label")]
        ),
    ),
    table=Area,
    key=(_a.area_id, _a.source_id),
    indexed=frozenset({"area_id"}),
    removed_at=_a.removed_at,
)

_named = select(_a.source_id, _a.removed_at).where(_a.area_id == bindparam("area_id")).order_by(_a.source_id)


def get_area(
    connection: Connection, area_id: str, *, source_id: str | None = None, fields: tuple[str, ...] = ()
) -> tuple[bytes, int]:
    """One area.

    Args:
        source_id: which source's, where several have an area of that id.
    Returns: (the area as JSON, its version).
    Raises:
        NotFound: there is no such area, or not in that source.
        Gone: it was removed.
        Conflict: several sources have one; `sources` names them.
    """
    source_id = find_area(connection, area_id, source_id=source_id)
    found = AREAS.one(fields).all(connection, {"area_id": area_id, "source_id": source_id})[0]
    return found[0].encode(), found[1]


def find_area(connection: Connection, area_id: str, *, source_id: str | None = None) -> str:
    """The source of one area; raises what `get_area` raises."""
    wanted = [row for row in connection.execute(_named, {"area_id": area_id}) if source_id in {None, row.source_id}]
    present = [row for row in wanted if row.removed_at is None]
    if len(present) > 1:
        raise Conflict(
            f"{area_id!r} is in several sources. Say which with ?source_id=.", sources=[row.source_id for row in present]
        )
    if present:
        return str(present[0].source_id)
    if wanted:
        raise Gone(f"the area {area_id!r} was removed.", removed_at=to_text(wanted[0].removed_at))
    where = "" if source_id is None else f" in the source {source_id!r}"
    raise NotFound(f"no area has the id {area_id!r}{where}.")
