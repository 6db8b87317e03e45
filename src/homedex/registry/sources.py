"""Sources: where records come from."""

from datetime import datetime

from sqlalchemy import Connection, func, insert, select

from homedex.registry.pages import Listing
from homedex.registry.tables import Device, Source, table_of

MANUAL = "manual"
"""The source of the devices that people add by hand."""

_device_count = (
    select(func.count())
    .select_from(Device)
    .where(Device.source_id == Source.source_id, Device.removed_at.is_(None))
    .scalar_subquery()
    .label("device_count")
)

SOURCES = Listing(
    noun="sources",
    rows=select(
        Source.source_id,
        Source.kind,
        Source.name,
        Source.state,
        Source.last_sync_at,
        Source.last_error,
        Source.extra,
        _device_count,
        Source.created_at,
    ).where(Source.source_id.is_not(None)),
    key=(Source.source_id,),
    filters={"source_id": lambda match: match(Source.source_id)},
)


_manual = select(Source.source_id).where(Source.source_id == MANUAL)


def ensure_manual_source(connection: Connection, *, now: datetime) -> None:
    """Make the source of hand-kept devices if it is not there yet."""
    if connection.scalar(_manual) is not None:
        return
    row = {"source_id": MANUAL, "kind": "manual", "name": "Added by hand", "state": "never", "extra": {}, "created_at": now}
    connection.execute(insert(table_of(Source)), row)
