"""What goes out over the wire: no defaults, every key is always there."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from homedex.registry import examples

Time = Annotated[datetime, Field(examples=["2026-11-22T13:52:56.700259Z"])]


def example(*values: dict[str, Any]) -> ConfigDict:
    """A model's example in the OpenAPI document."""
    return ConfigDict(defer_build=True, json_schema_extra={"examples": list(values)})


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

    model_config = ConfigDict(defer_build=True, extra="allow")

    type: str
    title: str
    status: int
    detail: str


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


class TableContents(BaseModel):
    """What a table holds."""

    rows: int = Field(ge=0)
    digest: str = Field(description="of all its rows, in the order of their key: equal contents, equal digests")


class Backup(BaseModel):
    """A backup. What it says of itself is null where its file cannot be read."""

    model_config = example(examples.BACKUP)

    name: str
    size_bytes: int = Field(description="of its file", ge=0)
    verified_at: Time | None = Field(description="when it was last restored to a scratch place and found right")
    problem: str | None = Field(description="what is wrong with it, as far as is known")
    format: int | None
    program: str | None
    schema_revision: str | None
    application_id: int | None
    engine: str | None = Field(description="sqlite or postgresql: what it was made of")
    made_at: Time | None = Field(description="the moment whose state it holds")
    reason: str | None = Field(description="command, schedule, request or upgrade")
    sequence: int | None = Field(description="the last change in it, by `seq`")
    tables: dict[str, TableContents] | None
    database_bytes: int | None = Field(description="of the database in it")
    sha256: str | None = Field(description="of the database in it")


class MadeBackup(Backup):
    """A backup that was asked for."""

    model_config = example(examples.BACKUP | {"new": True})

    new: bool = Field(description="false where nothing had changed since the newest one, which this is then")


class Backups(BaseModel):
    """All backups there are, newest first."""

    model_config = example({"backups": [examples.BACKUP], "every_s": 86400, "trouble": None})

    backups: list[Backup]
    every_s: float | None = Field(description="seconds between two scheduled backups; null: none are scheduled")
    trouble: str | None = Field(description="why the last scheduled backup was not made; null if it was")


class Pruned(BaseModel):
    """Which backups nothing asks to be kept."""

    model_config = example({"dry_run": False, "removed": ["homedex-2026-01-22T13-52-56Z.db.zst"]})

    dry_run: bool
    removed: list[str]


class FieldError(BaseModel):
    """One place where the input breaks a rule."""

    pointer: str = Field(description="JSON pointer into the body, or the name of the parameter", examples=["#/name"])
    detail: str


class Problem(BaseModel):
    """An error, by RFC 9457."""

    model_config = ConfigDict(defer_build=True, extra="allow", json_schema_extra={"examples": [examples.PROBLEM]})

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

    errors: list[FieldError] = Field(
        default_factory=list, description="each place; left out where the whole request is meant, or a header"
    )
    results: list[BulkResult] = Field(default_factory=list, description="of a bulk request: what became of each row")
