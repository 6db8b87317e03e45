"""Sources: where records come from."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, bindparam, func, insert, select, update

from homedex.errors import NotFound
from homedex.registry import changes
from homedex.registry.changes import Change, Stamp
from homedex.registry.pages import Listing
from homedex.registry.queries import Field, Questions, filters_of
from homedex.registry.tables import Device, Source, table_of
from homedex.storage.types import differences

MANUAL = "manual"
"""The source of what people add by hand."""

_table, _devices = table_of(Source), table_of(Device)
_s, _d = _table.c, _devices.c

_device_count = (
    select(func.count())
    .select_from(_devices)
    .where(_d.source_id == _s.source_id, _d.removed_at.is_(None))
    .correlate(_table)
    .scalar_subquery()
)

_fields = {
    "source_id": Field(_s.source_id, sortable=True),
    "kind": Field(_s.kind, facet=True),
    "name": Field(_s.name, sortable=True),
    "state": Field(_s.state, facet=True),
    "last_sync_at": Field(_s.last_sync_at, "time"),
    "last_error": Field(_s.last_error),
    "extra": Field(_s.extra, "json"),
    "device_count": Field(_device_count, "number"),
    "created_at": Field(_s.created_at, "time", sortable=True),
    "modified_at": Field(_s.modified_at, "time", sortable=True),
    "version": Field(_s.version, "number"),
}

SOURCES = Listing(
    questions=Questions(noun="sources", fields=_fields, filters=filters_of(_fields), has_tombstones=False),
    table=Source,
    key=(_s.source_id,),
    indexed=frozenset({"source_id"}),
)

_known = select(_s.source_id).where(_s.source_id == bindparam("source_id"))


def get_source(connection: Connection, source_id: str, *, fields: tuple[str, ...] = ()) -> tuple[bytes, int]:
    """One source.

    Returns: (the source as JSON, its version).
    Raises:
        NotFound: there is no such source.
    """
    found = SOURCES.one(fields).one_or_none(connection, {"source_id": source_id})
    if found is None:
        raise NotFound(f"no source has the id {source_id!r}.")
    return found[0].encode(), found[1]


def ensure_manual_source(connection: Connection, stamp: Stamp) -> None:
    """Make the source of hand-kept records if it is not there yet."""
    if connection.scalar(_known, {"source_id": MANUAL}) is None:
        create_source(connection, {"source_id": MANUAL, "kind": "manual", "name": "Added by hand", "state": "never"}, stamp)


def create_source(connection: Connection, row: Mapping[str, Any], stamp: Stamp) -> None:
    """Add a source: `source_id`, `kind`, `name`, `state`, and what else is known of it."""
    born = {"extra": {}, "created_at": stamp.at, "modified_at": stamp.at, "version": 1}
    connection.execute(insert(_table), born | dict(row))
    changes.append(connection, [Change("source", row["source_id"], row["source_id"], "create", None, dict(row))], stamp)


def update_source(connection: Connection, source_id: str, wanted: Mapping[str, Any], stamp: Stamp) -> None:
    """Write the columns that are otherwise than they are."""
    stored = dict(connection.execute(select(_table).where(_s.source_id == source_id)).mappings().one())
    after = differences(stored, wanted)
    if after:
        values: dict[str, Any] = {"modified_at": stamp.at, "version": _s.version + 1}
        connection.execute(update(_table).where(_s.source_id == source_id).values(after | values))
        before = {name: stored[name] for name in after}
        changes.append(connection, [Change("source", source_id, source_id, "update", before, after)], stamp)
