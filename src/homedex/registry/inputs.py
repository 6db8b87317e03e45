"""What comes in over the wire: what is not known is refused."""

import json
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from homedex.registry import examples

DEVICE_ID = r"^[A-Za-z0-9._:-]*[A-Za-z0-9_:-][A-Za-z0-9._:-]*$"
"""Not dots alone: clients take `.` and `..` out of a path."""

ENTITY_ID = r"^[A-Za-z0-9_]+\.[A-Za-z0-9_-]+$"
AREA_ID = r"^[A-Za-z0-9._:-]*[A-Za-z0-9_:-][A-Za-z0-9._:-]*$"

Line = Annotated[str, StringConstraints(max_length=1024)]
Pair = Annotated[list[Line], Field(min_length=2, max_length=8)]
Lines = Annotated[list[Line], Field(max_length=1000)]
Pairs = Annotated[list[Pair], Field(max_length=1000)]

DEEPEST_JSON = 64
LARGEST_EXTRA_BYTES = 64 * 1024


def storable(value: dict[str, Any]) -> dict[str, Any]:
    """Refuse what JSON parsers let in and databases do not: numbers that overflow, halves of characters, endless nesting."""
    pending: list[tuple[Any, int]] = [(value, 1)]
    count = 0
    while pending:
        item, depth = pending.pop()
        if depth > DEEPEST_JSON:
            raise ValueError(f"nested deeper than {DEEPEST_JSON} levels")
        if isinstance(item, dict | list):
            count += len(item)
            if count > LARGEST_EXTRA_BYTES:  # each takes a byte at least; to write out eight million would take seconds
                raise ValueError(f"takes more than {LARGEST_EXTRA_BYTES} bytes")
            pending.extend((inner, depth + 1) for inner in (item.values() if isinstance(item, dict) else item))
    try:
        size = len(json.dumps(value, ensure_ascii=False, allow_nan=False).encode())
    except UnicodeEncodeError:
        raise ValueError("holds half a character (a lone surrogate)") from None
    except ValueError:
        raise ValueError("holds a number that is too large") from None
    if size > LARGEST_EXTRA_BYTES:
        raise ValueError(f"takes {size} bytes, and {LARGEST_EXTRA_BYTES} are allowed")
    return value


Object = Annotated[dict[str, Any], AfterValidator(storable)]


def in_utc(value: datetime) -> datetime:
    """Convert to UTC what can be."""
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise ValueError("lies outside the years 1 to 9999 in UTC") from None


def written_out(value: Any) -> Any:
    """Refuse numbers, and texts that hold one: whether they are seconds or milliseconds, nobody knows."""
    if isinstance(value, str | bytes | int | float) and "T" not in str(value).upper().replace(" ", "T"):
        raise ValueError("must be written out, such as 2026-11-22T13:52:56Z")
    return value


Instant = Annotated[AwareDatetime, BeforeValidator(written_out), AfterValidator(in_utc)]


class Stated(BaseModel):
    """What somebody states: what is absent is not said, null clears."""

    def stated(self) -> dict[str, Any]:
        """The members that were said, in the order of the fields."""
        said = self.model_fields_set
        return {name: value for name, value in self.__dict__.items() if name in said}


class DeviceIn(Stated):
    """A device as a person or a script states it. Null means the same as nothing: no value, an empty list, an empty object."""

    model_config = ConfigDict(defer_build=True, extra="forbid", json_schema_extra={"examples": [examples.DEVICE_IN]})

    name: Line | None = None
    name_by_user: Line | None = None
    manufacturer: Line | None = None
    model: Line | None = None
    model_id: Line | None = None
    area_id: Line | None = None
    integration: Line | None = None
    sw_version: Line | None = None
    hw_version: Line | None = None
    serial_number: Line | None = None
    entry_type: Line | None = Field(None, description='"service" for what is no hardware')
    configuration_url: Line | None = None
    via_device_id: Line | None = Field(None, description="the hub it is reached by")
    parent_device_id: Line | None = None
    disabled_by: Line | None = None
    labels: Lines | None = None
    identifiers: Pairs | None = Field(None, examples=[[["mqtt", "boiler"]]])
    connections: Pairs | None = Field(None, examples=[[["mac", "aa:bb:cc:dd:ee:ff"]]])
    note: Line | None = Field(None, description="a person's own words")
    extra: Object | None = Field(None, description="anything else worth keeping")
    last_seen: Instant | None = Field(None, description="when the device itself last reported; a later one is never taken back")


SENT_BACK = "may be sent back as it came, and has no meaning here: a PATCH lets the source speak again"


class DevicePatch(DeviceIn):
    """What is to change of a device (RFC 7396): what is absent stays, null clears."""

    model_config = ConfigDict(
        defer_build=True, json_schema_extra={"examples": [{"area_id": "basement", "note": "serviced in March"}]}
    )

    source_values: dict[Line, Any] | None = Field(None, description="take a member out by null to let the source speak again")


class DeviceRow(DevicePatch):
    """One device of a bulk request: made if it is not there; what is absent stays, null clears."""

    model_config = ConfigDict(defer_build=True, json_schema_extra={"examples": [{"device_id": "boiler", **examples.DEVICE_IN}]})

    source_values: dict[Line, Any] | None = Field(None, description=SENT_BACK)
    device_id: Annotated[str, StringConstraints(pattern=DEVICE_ID, max_length=255)]


class EntityIn(Stated):
    """An entity as a person or a script states it. Null means the same as nothing."""

    model_config = ConfigDict(defer_build=True, extra="forbid", json_schema_extra={"examples": [examples.ENTITY_IN]})

    device_id: Line | None = Field(None, description="the device it belongs to, which must be there")
    platform: Line | None = None
    unique_id: Line | None = None
    name: Line | None = None
    name_by_user: Line | None = None
    area_id: Line | None = Field(None, description="where it differs from its device's")
    disabled_by: Line | None = None
    hidden_by: Line | None = None
    entity_category: Line | None = None
    device_class: Line | None = None
    labels: Lines | None = None
    note: Line | None = None
    extra: Object | None = None


class EntityPatch(EntityIn):
    """What is to change of an entity (RFC 7396): what is absent stays, null clears."""

    model_config = ConfigDict(defer_build=True, json_schema_extra={"examples": [{"name_by_user": "Reading lamp"}]})

    entity_id: Annotated[str, StringConstraints(pattern=ENTITY_ID, max_length=255)] = Field("", description="its new entity_id")
    source_values: dict[Line, Any] | None = Field(None, description="take a member out by null to let the source speak again")


class EntityRow(EntityPatch):
    """One entity of a bulk request: made if it is not there; what is absent stays, null clears."""

    model_config = ConfigDict(
        defer_build=True, json_schema_extra={"examples": [{"entity_id": "sensor.boiler_pressure", **examples.ENTITY_IN}]}
    )

    source_values: dict[Line, Any] | None = Field(None, description=SENT_BACK)
    entity_id: Annotated[str, StringConstraints(pattern=ENTITY_ID, max_length=255)]
    id: Annotated[str, StringConstraints(pattern=DEVICE_ID, max_length=255)] = Field(
        "", description="its registry id, where that is known: entity_id is then its new name"
    )
    source_id: Line = Field("", description="which source's, where several have one")


class AreaIn(Stated):
    """An area as a person states it. Null means the same as nothing."""

    model_config = ConfigDict(
        defer_build=True, extra="forbid", json_schema_extra={"examples": [{"name": "Basement", "floor_id": "below"}]}
    )

    name: Annotated[str, StringConstraints(min_length=1, max_length=1024)]
    floor_id: Line | None = None
    aliases: Lines | None = None
    labels: Lines | None = None
    extra: Object | None = None


class AreaPatch(AreaIn):
    """What is to change of an area (RFC 7396): what is absent stays, null clears."""

    model_config = ConfigDict(defer_build=True, json_schema_extra={"examples": [{"floor_id": "ground"}]})

    name: Annotated[str, StringConstraints(min_length=1, max_length=1024)] = ""


LISTED = ("first_listed_at", "last_listed_at", "removed_at", "created_at", "modified_at", "version")
READ_ONLY = {
    "devices": frozenset(
        {
            "device_id",
            "source_id",
            "display_name",
            "source_values",
            "disabled",
            "seen_by",
            "entity_count",
            "entities",
            "area",
            *LISTED,
        }
    ),
    "entities": frozenset(
        {"id", "entity_id", "domain", "source_id", "display_name", "source_values", "disabled", "device", "area", *LISTED}
    ),
    "areas": frozenset({"area_id", "source_id", "device_count", *LISTED}),
}
"""Members that a client may send back as it got them; they have no effect."""


class DeviceRows(BaseModel):
    """The rows of a bulk request; sent as NDJSON, one row a line."""

    model_config = ConfigDict(defer_build=True, extra="forbid")

    devices: list[DeviceRow] = Field(max_length=10_000)


class EntityRows(BaseModel):
    """The rows of a bulk request; sent as NDJSON, one row a line."""

    model_config = ConfigDict(defer_build=True, extra="forbid")

    entities: list[EntityRow] = Field(max_length=10_000)
