"""Areas: list them."""

from sqlalchemy import func, select

from homedex.registry.pages import Listing
from homedex.registry.tables import Area, Device

_device_count = (
    select(func.count())
    .select_from(Device)
    .where(Device.area_id == Area.area_id, Device.source_id == Area.source_id, Device.removed_at.is_(None))
    .scalar_subquery()
    .label("device_count")
)

AREAS = Listing(
    noun="areas",
    rows=select(
        Area.area_id,
        Area.source_id,
        Area.name,
        Area.floor_id,
        Area.aliases,
        Area.labels,
        Area.extra,
        _device_count,
        Area.first_listed_at,
        Area.last_listed_at,
        Area.removed_at,
        Area.created_at,
        Area.modified_at,
        Area.version,
    ).where(Area.removed_at.is_(None)),
    key=(Area.area_id, Area.source_id),
    filters={
        "area_id": lambda match: match(Area.area_id),
        "source_id": lambda match: match(Area.source_id),
    },
)
