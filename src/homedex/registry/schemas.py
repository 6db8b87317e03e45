"""What crosses the wire. Inputs forbid what they do not know; outputs have no defaults: every key is always there."""

import json
from datetime import UTC, datetime
from functools import cache
from typing import Annotated, Any, get_origin

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from homedex.registry import examples

DEVICE_ID = r"^[A-Za-z0-9._:-]*[A-Za-z0-9_:-][A-Za-z0-9._:-]*$"
"""Not dots alone: clients take `.` and `..` out of a path."""

# NUL ends a string for C programs that read the same file; nothing on the wire needs it.
Line = Annotated[str, StringConstraints(max_length=1024, pattern=r"^[^\x00]*$")]
Pair = Annotated[list[Line], Field(min_length=2, max_length=8)]

DEEPEST_JSON = 64
LARGEST_EXTRA_BYTES = 64 * 1024


def storable(value: dict[str, Any]) -> dict[str, Any]:
    """Refuse what JSON parsers let in and databases do not: numbers that overflow, halves of characters, endless nesting."""
    pending: list[tuple[Any, int]] = [(value, 1)]
    while pending:
        item, depth = pending.pop()
        if depth > DEEPEST_JSON:
            raise ValueError(f"nested deeper than {DEEPEST_JSON} levels")
        if isinstance(item, dict | list):
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

Time = Annotated[datetime, Field(examples=["2026-11-22T13:52:56.700259Z"])]


class DeviceIn(BaseModel):
    """A device as a person or a script states it. What is left out is null or empty: PUT replaces the whole."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "name": "Boiler",
                    "manufacturer": "Vaillant",
                    "model": "ecoTEC plus",
                    "area_id": "basement",
                    "serial_number": "21-1402",
                }
            ]
        },
    )

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
    labels: list[Line] = Field(default_factory=list, max_length=1000)
    identifiers: list[Pair] = Field(default_factory=list, max_length=1000, examples=[[["mqtt", "boiler"]]])
    connections: list[Pair] = Field(default_factory=list, max_length=1000, examples=[[["mac", "aa:bb:cc:dd:ee:ff"]]])
    extra: Object = Field(default_factory=dict, description="anything else worth keeping")
    last_seen: Instant | None = Field(None, description="when the device itself last reported; left out, it stays as it is")


def example(*values: dict[str, Any]) -> ConfigDict:
    """A model's example in the OpenAPI document."""
    return ConfigDict(json_schema_extra={"examples": list(values)})


class Bookkeeping(BaseModel):
    """What every listed row carries."""

    first_listed_at: Time
    last_listed_at: Time | None = Field(description="when its source stopped listing it; null while it does")
    removed_at: Time | None
    created_at: Time = Field(description="by the source's clock where it says so")
    modified_at: Time
    version: int = Field(description="counts the changes of this row", ge=1)


class Device(Bookkeeping):
    """A device of any source."""

    model_config = example(examples.DEVICE)

    device_id: str = Field(examples=["7b773bb7175ba5c13f03ab79ac927458"])
    source_id: str = Field(examples=["home-assistant"])
    display_name: str | None = Field(description="name_by_user, else name")
    name: str | None
    name_by_user: str | None
    manufacturer: str | None
    model: str | None
    model_id: str | None
    area_id: str | None
    integration: str | None
    sw_version: str | None
    hw_version: str | None
    serial_number: str | None
    entry_type: str | None
    configuration_url: str | None
    via_device_id: str | None
    parent_device_id: str | None
    disabled_by: str | None
    labels: list[str]
    identifiers: list[list[Any]]
    connections: list[list[Any]]
    extra: dict[str, Any]
    disabled: bool
    last_seen: Time | None = Field(description="when the device itself last reported")
    seen_by: str | None
    entity_count: int


class Entity(Bookkeeping):
    """An entity of any source."""

    model_config = example(examples.ENTITY)

    id: str = Field(description="the source's registry id; stays when entity_id is renamed")
    source_id: str
    display_name: str | None = Field(description="name_by_user, else name")
    entity_id: str = Field(examples=["light.kitchen"])
    device_id: str | None
    domain: str
    platform: str | None = Field(description="the integration that provides it; null when only a state is known of it")
    unique_id: str | None
    name: str | None
    name_by_user: str | None
    area_id: str | None = Field(description="its own area, where it differs from its device's")
    disabled_by: str | None
    hidden_by: str | None
    entity_category: str | None
    device_class: str | None
    labels: list[str]
    extra: dict[str, Any]
    disabled: bool


class Area(Bookkeeping):
    """An area of any source."""

    model_config = example(examples.AREA)

    area_id: str
    source_id: str
    name: str
    floor_id: str | None
    aliases: list[str]
    labels: list[str]
    extra: dict[str, Any]
    device_count: int


class Source(BaseModel):
    """Where records come from."""

    model_config = example(examples.SOURCE)

    source_id: str
    kind: str
    name: str
    state: str
    last_sync_at: Time | None = Field(description="the last sync that changed something; one that changes nothing writes nothing")
    last_error: str | None
    extra: dict[str, Any]
    device_count: int
    created_at: Time


class Page(BaseModel):
    """What every list has beside its objects."""

    next: str | None = Field(description="the cursor of the next page; null on the last")
    total: int = Field(description="how many there are in all pages", ge=0)


class DevicePage(Page):
    """A page of devices, by device_id."""

    model_config = example({"devices": [examples.DEVICE], "next": None, "total": 1})

    devices: list[Device]


class EntityPage(Page):
    """A page of entities, by entity_id."""

    model_config = example({"entities": [examples.ENTITY], "next": None, "total": 1})

    entities: list[Entity]


class AreaPage(Page):
    """A page of areas, by area_id."""

    model_config = example({"areas": [examples.AREA], "next": None, "total": 1})

    areas: list[Area]


class SourcePage(Page):
    """A page of sources, by source_id."""

    model_config = example({"sources": [examples.SOURCE], "next": None, "total": 1})

    sources: list[Source]


@cache
def lists_of(model: type[BaseModel]) -> frozenset[str]:
    """The fields of a query model that may be repeated."""
    return frozenset(name for name, field in model.model_fields.items() if get_origin(field.annotation) is list)


class PageQuery(BaseModel):
    """Which page of a list. Its own field names are no filters; all others are."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(50, ge=1, le=1000, description="most objects in the page")
    cursor: str | None = Field(None, max_length=4096, description="the `next` of the page before, with the same filters")

    def filters(self) -> dict[str, list[Any]]:
        """Filter -> accepted values, for `Listing.page`."""
        given = {name: getattr(self, name) for name in self.model_fields_set - PageQuery.model_fields.keys()}
        return {name: value if isinstance(value, list) else [value] for name, value in given.items() if value is not None}


Values = Annotated[list[Line], Field(default_factory=list, max_length=100)]


class DeviceQuery(PageQuery):
    """The filters of devices. Repeat one to accept several values; different ones must all hold."""

    device_id: Values
    manufacturer: Values
    model: Values
    area_id: Values
    integration: Values
    source_id: Values
    domain: Values = Field(description="devices with an entity of that domain")
    platform: Values = Field(description="devices with an entity of that platform")
    disabled: bool | None = None


class EntityOfDeviceQuery(PageQuery):
    """The filters of one device's entities. Repeat one to accept several values; different ones must all hold."""

    domain: Values
    platform: Values
    area_id: Values = Field(description="of the entity itself, else of its device")
    source_id: Values
    disabled: bool | None = None


class EntityQuery(EntityOfDeviceQuery):
    """The filters of entities. Repeat one to accept several values; different ones must all hold."""

    device_id: Values
    manufacturer: Values = Field(description="of its device")
    model: Values = Field(description="of its device")
    integration: Values = Field(description="of its device")


class OneEntityQuery(BaseModel):
    """Which of several entities of one entity_id."""

    model_config = ConfigDict(extra="forbid")

    source_id: Line | None = Field(None, description="which source's, where several have one")


class AreaQuery(PageQuery):
    """The filters of areas."""

    area_id: Values
    source_id: Values


class SourceQuery(PageQuery):
    """The filters of sources."""

    source_id: Values


class FieldError(BaseModel):
    """One place where the input breaks a rule."""

    pointer: str = Field(description="JSON pointer into the body, or the name of the parameter", examples=["#/name"])
    detail: str


class Problem(BaseModel):
    """An error, by RFC 9457."""

    model_config = ConfigDict(extra="allow", json_schema_extra={"examples": [examples.PROBLEM]})

    type: str = Field(examples=["/problems/not-found"])
    title: str
    status: int
    detail: str
    instance: str


class InvalidProblem(Problem):
    """Input that breaks rules."""

    model_config = example(
        examples.PROBLEM
        | {
            "type": "/problems/invalid",
            "title": "Invalid input",
            "status": 422,
            "detail": "#/name: Input should be a valid string.",
            "errors": [{"pointer": "#/name", "detail": "Input should be a valid string"}],
        }
    )

    errors: list[FieldError]
