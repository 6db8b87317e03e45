"""What crosses the wire. Inputs forbid what they do not know; outputs have no defaults: every key is always there."""

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


class Stated(BaseModel):
    """What somebody states: what is absent is not said, null clears."""

    def stated(self) -> dict[str, Any]:
        """The members that were said."""
        members = self.__dict__
        return {name: members[name] for name in self.model_fields_set}


class DeviceIn(Stated):
    """A device as a person or a script states it. Null means the same as nothing: no value, an empty list, an empty object."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [examples.DEVICE_IN]})

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


class DevicePatch(DeviceIn):
    """What is to change of a device (RFC 7396): what is absent stays, null clears."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"area_id": "basement", "note": "serviced in March"}]})

    source_values: dict[Line, Any] | None = Field(None, description="take a member out by null to let the source speak again")


class DeviceRow(DevicePatch):
    """One device of a bulk request: made if it is not there; what is absent stays, null clears."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"device_id": "boiler", **examples.DEVICE_IN}]})

    device_id: Annotated[str, StringConstraints(pattern=DEVICE_ID, max_length=255)]


class EntityIn(Stated):
    """An entity as a person or a script states it. Null means the same as nothing."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [examples.ENTITY_IN]})

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

    model_config = ConfigDict(json_schema_extra={"examples": [{"name_by_user": "Reading lamp"}]})

    entity_id: Annotated[str, StringConstraints(pattern=ENTITY_ID, max_length=255)] = Field("", description="its new entity_id")
    source_values: dict[Line, Any] | None = Field(None, description="take a member out by null to let the source speak again")


class EntityRow(EntityPatch):
    """One entity of a bulk request: made if it is not there; what is absent stays, null clears."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"entity_id": "sensor.boiler_pressure", **examples.ENTITY_IN}]})

    entity_id: Annotated[str, StringConstraints(pattern=ENTITY_ID, max_length=255)]
    id: Annotated[str, StringConstraints(pattern=DEVICE_ID, max_length=255)] = Field(
        "", description="its registry id, where that is known: entity_id is then its new name"
    )
    source_id: Line = Field("", description="which source's, where several have one")


class AreaIn(Stated):
    """An area as a person states it. Null means the same as nothing."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"name": "Basement", "floor_id": "below"}]})

    name: Annotated[str, StringConstraints(min_length=1, max_length=1024)]
    floor_id: Line | None = None
    aliases: Lines | None = None
    labels: Lines | None = None
    extra: Object | None = None


class AreaPatch(AreaIn):
    """What is to change of an area (RFC 7396): what is absent stays, null clears."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"floor_id": "ground"}]})

    name: Annotated[str, StringConstraints(min_length=1, max_length=1024)] = ""


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
    note: str | None
    extra: dict[str, Any]
    source_values: dict[str, Any] = Field(description="of the fields that a person set here, what the source says")
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
    note: str | None
    extra: dict[str, Any]
    source_values: dict[str, Any] = Field(description="of the fields that a person set here, what the source says")
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
    modified_at: Time
    version: int = Field(description="counts the changes of this row", ge=1)


class Change(BaseModel):
    """What happened to one row."""

    model_config = example(examples.CHANGE)

    seq: int = Field(description="in the order in which it happened")
    at: Time
    kind: str = Field(description="source, area, device or entity")
    source_id: str
    key: str = Field(description="its source_id, area_id, device_id or (of an entity) id")
    action: str = Field(description="create, update, remove, restore, rename (an entity_id) or move (to another device_id)")
    before: dict[str, Any] | None = Field(description="the changed fields as they were; null for what is new")
    after: dict[str, Any] | None = Field(description="the changed fields as they are")
    actor: str = Field(description="api, sync, import, demo or command")
    run_id: str | None = Field(description="of the sync or import")
    request_id: str | None = Field(description="of the HTTP request")


class FacetValue(BaseModel):
    """How many rows have a value."""

    value: str | bool | None
    count: int


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


class Page(BaseModel):
    """What every list has beside its objects. With `fields` objects have those members alone, with `expand` more."""

    next: str | None = Field(description="the cursor of the next page; null on the last")
    prev: str | None = Field(description="the cursor of the page before; null on the first")
    total: int = Field(0, description="how many there are in all pages; left out by count=none", ge=0)
    facets: dict[str, list[FacetValue]] = Field(
        default_factory=dict, description="where asked for: values of fields, most frequent first"
    )


class DevicePage(Page):
    """A page of devices, in the order asked for."""

    model_config = example({"devices": [examples.DEVICE], "next": None, "prev": None, "total": 1})

    devices: list[Device]


class EntityPage(Page):
    """A page of entities, in the order asked for."""

    model_config = example({"entities": [examples.ENTITY], "next": None, "prev": None, "total": 1})

    entities: list[Entity]


class AreaPage(Page):
    """A page of areas, in the order asked for."""

    model_config = example({"areas": [examples.AREA], "next": None, "prev": None, "total": 1})

    areas: list[Area]


class SourcePage(Page):
    """A page of sources, in the order asked for."""

    model_config = example({"sources": [examples.SOURCE], "next": None, "prev": None, "total": 1})

    sources: list[Source]


class ChangePage(Page):
    """A page of changes, by seq."""

    model_config = example({"changes": [examples.CHANGE], "next": None, "prev": None, "total": 1})

    changes: list[Change]


class RowProblem(BaseModel):
    """Why one row could not be taken."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    detail: str


class DeviceRows(BaseModel):
    """The rows of a bulk request; sent as NDJSON, one row a line."""

    model_config = ConfigDict(extra="forbid")

    devices: list[DeviceRow] = Field(max_length=10_000)


class EntityRows(BaseModel):
    """The rows of a bulk request; sent as NDJSON, one row a line."""

    model_config = ConfigDict(extra="forbid")

    entities: list[EntityRow] = Field(max_length=10_000)


class BulkResult(BaseModel):
    """What became of one row."""

    index: int = Field(description="its place in the request, from 0", ge=0)
    id: str = Field(description="the record's id; of an entity its registry id")
    status: str = Field(description="created, updated, restored, unchanged or failed")
    error: RowProblem | None = None


class BulkAnswer(BaseModel):
    """What became of each row."""

    model_config = example(examples.BULK)

    dry_run: bool
    counts: dict[str, int]
    results: list[BulkResult]


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
    request_id: str


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
