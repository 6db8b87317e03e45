"""The schema in one picture. Alembic's migrations make it; nothing calls `create_all`.

    sources ─┬─< areas
             ├─< devices ─┬─< entities
             │            ├── sightings      (exactly one row)
             │            └─< device_ids     (the ids it had before)
             ├─< entities                    (also those of no device)
             └─< sync_runs

    changes              what happened to all of them       device_search, entity_search    see search.py
    idempotency_keys     answers that may be asked for again

Four rules hold everywhere. A row that its source no longer lists is a tombstone (`removed_at`), because ids come back. What a
person chose wins over what a source says, and what the source says is kept (`source_values`). Every write of a source, area, device
or entity appends to `changes` in the same transaction. Devices and entities have a `number`, in the order in which they came: it
ends every order of a list, and SQLite has it at the end of every index without storing it twice.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, ClassVar, cast

from sqlalchemy import CheckConstraint, Computed, ForeignKey, Index, MetaData, Table, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from homedex.storage.types import BIG, BYTEWISE, Flag, JsonText, UtcDateTime

Json = list[Any]
JsonObject = dict[str, Any]
STRICT = {"sqlite_strict": True}
LONGEST_ID = 255


class Base(DeclarativeBase):
    """The registry's metadata: every constraint has a name, so that a migration can drop it."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar = {
        str: BYTEWISE,
        datetime: UtcDateTime(),
        list[Any]: JsonText(),
        dict[str, Any]: JsonText(),
        bool: Flag(),
    }


def table_of(model: type[Base]) -> Table:
    """A class's table. Statements on tables cost 100 us less than on classes, which the ORM looks at (measured 2026-11)."""
    return cast("Table", model.__table__)


def list_index(table: str, column: str) -> Index:
    """An index that a list is filtered or sorted by.

    `removed_at` leads, so that tombstones stand apart, SQLite counts from the index alone, and what follows is in order.
    """
    return Index(f"ix_{table}_{column}", "removed_at", column).ddl_if(dialect="sqlite")


LISTED = {
    "devices": ("name", "manufacturer", "model", "area_id", "integration", "source_id", "disabled_by", "created_at", "modified_at"),
    "entities": ("entity_id", "name", "domain", "platform", "area_id", "source_id", "disabled_by", "created_at", "modified_at"),
}
"""The columns that have such an index."""


def index_lists_on_postgresql(tables: Iterable[Table]) -> None:
    """The same on PostgreSQL: it has no rowid at the end of an index, sorts nulls last, and takes `IS NULL` for no fixed value."""
    for table in tables:
        present = {"postgresql_where": text("removed_at IS NULL")}
        for name in LISTED.get(table.name, ()):
            index = Index(f"ix_{table.name}_{name}", table.c[name].asc().nulls_first(), table.c.number, **present)  # type: ignore[arg-type]
            index.ddl_if(dialect="postgresql")


class Source(Base):
    """Where records come from: a Home Assistant, a broker, a file, or people (`manual`)."""

    __tablename__ = "sources"
    __table_args__ = (
        CheckConstraint("kind IN ('home_assistant', 'mqtt', 'zigbee2mqtt', 'file', 'manual')", "kind"),
        CheckConstraint("state IN ('never', 'ok', 'error')", "state"),
        STRICT,
    )

    source_id: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str]
    name: Mapped[str]
    state: Mapped[str]  # of the last sync
    last_sync_at: Mapped[datetime | None]  # the last sync that changed something here: one that changes nothing writes nothing
    last_error: Mapped[str | None]
    extra: Mapped[JsonObject]  # its version, floors, labels
    created_at: Mapped[datetime]
    modified_at: Mapped[datetime]
    version: Mapped[int]


class Area(Base):
    """A room, a garden, a hall: where devices stand."""

    __tablename__ = "areas"
    __table_args__ = (Index("ix_areas_area_id", "area_id", "source_id"), STRICT)

    source_id: Mapped[str] = mapped_column(ForeignKey("sources.source_id"), primary_key=True)
    area_id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    floor_id: Mapped[str | None]
    aliases: Mapped[Json]
    labels: Mapped[Json]
    extra: Mapped[JsonObject]
    first_listed_at: Mapped[datetime]
    last_listed_at: Mapped[datetime | None]  # when its source stopped listing it; null while it does
    removed_at: Mapped[datetime | None]
    created_at: Mapped[datetime]  # by the source's clock where the source says it, else ours
    modified_at: Mapped[datetime]
    version: Mapped[int]


class Device(Base):
    """A thing in the home, or a service that acts like one (`entry_type` "service")."""

    __tablename__ = "devices"
    __table_args__ = (
        CheckConstraint(f"length(device_id) BETWEEN 1 AND {LONGEST_ID}", "device_id_length"),
        *(list_index("devices", column) for column in LISTED["devices"]),
        STRICT,
    )

    number: Mapped[int] = mapped_column(BIG, primary_key=True)  # in the order in which they came; never leaves the database
    device_id: Mapped[str] = mapped_column(unique=True)
    source_id: Mapped[str] = mapped_column(ForeignKey("sources.source_id"))
    name: Mapped[str | None]
    name_by_user: Mapped[str | None]
    manufacturer: Mapped[str | None]
    model: Mapped[str | None]
    model_id: Mapped[str | None]
    area_id: Mapped[str | None]
    integration: Mapped[str | None]
    sw_version: Mapped[str | None]
    hw_version: Mapped[str | None]
    serial_number: Mapped[str | None]
    entry_type: Mapped[str | None]
    configuration_url: Mapped[str | None]
    via_device_id: Mapped[str | None]  # the hub; no foreign key, because sources let it dangle
    parent_device_id: Mapped[str | None]
    disabled_by: Mapped[str | None]
    disabled: Mapped[bool] = mapped_column(Computed("disabled_by IS NOT NULL", persisted=True))
    labels: Mapped[Json]
    identifiers: Mapped[Json]
    connections: Mapped[Json]
    note: Mapped[str | None]  # a person's own words
    extra: Mapped[JsonObject]  # the source's keys that have no column
    source_values: Mapped[JsonObject]  # of the columns that a person has set here, what the source says
    first_listed_at: Mapped[datetime]
    last_listed_at: Mapped[datetime | None]  # when its source stopped listing it; null while it does
    removed_at: Mapped[datetime | None]
    created_at: Mapped[datetime]  # by the source's clock where the source says it, else ours
    modified_at: Mapped[datetime]
    version: Mapped[int]

    entities: Mapped[list["Entity"]] = relationship(back_populates="device", lazy="raise")


class DeviceId(Base):
    """An id that a device had before: requests for it are led to the device."""

    __tablename__ = "device_ids"
    __table_args__ = (Index("ix_device_ids_device_id", "device_id"), STRICT)

    old_id: Mapped[str] = mapped_column(primary_key=True)
    device_id: Mapped[str] = mapped_column(ForeignKey("devices.device_id"))
    reason: Mapped[str]
    moved_at: Mapped[datetime]


class Entity(Base):
    """One thing a device measures or does. Known by the source's registry id, because `entity_id` can be renamed."""

    __tablename__ = "entities"
    __table_args__ = (
        Index(
            "uq_entities_source_id_entity_id",
            "source_id",
            "entity_id",
            unique=True,
            sqlite_where=text("removed_at IS NULL"),
            postgresql_where=text("removed_at IS NULL"),
        ),
        Index("ix_entities_of_device", "device_id", "removed_at"),
        *(list_index("entities", column) for column in LISTED["entities"]),
        STRICT,
    )

    number: Mapped[int] = mapped_column(BIG, primary_key=True)  # in the order in which they came; never leaves the database
    id: Mapped[str] = mapped_column(unique=True)
    entity_id: Mapped[str]
    source_id: Mapped[str] = mapped_column(ForeignKey("sources.source_id"))
    device_id: Mapped[str | None] = mapped_column(ForeignKey("devices.device_id"))
    domain: Mapped[str]
    platform: Mapped[str | None]  # null when only a state is known of it
    unique_id: Mapped[str | None]
    name: Mapped[str | None]
    name_by_user: Mapped[str | None]
    area_id: Mapped[str | None]  # overrides the device's
    disabled_by: Mapped[str | None]
    disabled: Mapped[bool] = mapped_column(Computed("disabled_by IS NOT NULL", persisted=True))
    hidden_by: Mapped[str | None]
    entity_category: Mapped[str | None]
    device_class: Mapped[str | None]
    labels: Mapped[Json]
    note: Mapped[str | None]
    extra: Mapped[JsonObject]
    source_values: Mapped[JsonObject]
    first_listed_at: Mapped[datetime]
    last_listed_at: Mapped[datetime | None]  # when its source stopped listing it; null while it does
    removed_at: Mapped[datetime | None]
    created_at: Mapped[datetime]  # by the source's clock where the source says it, else ours
    modified_at: Mapped[datetime]
    version: Mapped[int]

    device: Mapped[Device | None] = relationship(back_populates="entities", lazy="raise")


class Sighting(Base):
    """When a device itself last reported. Written often, so it lives apart from `devices` and never changes their version.

    Every device has its row from the start: a list by `last_seen` then reads one index, those never seen included.
    """

    __tablename__ = "sightings"
    __table_args__ = (Index("ix_sightings_last_seen", "last_seen"), STRICT)

    number: Mapped[int] = mapped_column(BIG, ForeignKey("devices.number"), primary_key=True)
    last_seen: Mapped[datetime | None]
    seen_by: Mapped[str | None]


class SyncRun(Base):
    """One sync or import that changed something."""

    __tablename__ = "sync_runs"
    __table_args__ = (Index("ix_sync_runs_source_id", "source_id", "started_at"), STRICT)

    run_id: Mapped[str] = mapped_column(primary_key=True)
    source_id: Mapped[str] = mapped_column(ForeignKey("sources.source_id"))
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime]
    counts: Mapped[JsonObject]  # {"devices": {"create": 3, …}, …}
    outcome: Mapped[str]
    guard: Mapped[str | None]  # why a plan was held and who let it pass, else null


class Change(Base):
    """One thing that happened to one row. `before` and `after` hold the changed columns alone."""

    __tablename__ = "changes"
    __table_args__ = (
        CheckConstraint("kind IN ('source', 'area', 'device', 'entity')", "kind"),
        CheckConstraint("action IN ('create', 'update', 'remove', 'restore', 'rename', 'move')", "action"),
        Index("ix_changes_key", "kind", "key"),
        Index("ix_changes_run_id", "run_id", sqlite_where=text("run_id IS NOT NULL"), postgresql_where=text("run_id IS NOT NULL")),
        {"sqlite_strict": True, "sqlite_autoincrement": True},  # a number that was given out is never given again
    )

    seq: Mapped[int] = mapped_column(BIG, primary_key=True)
    at: Mapped[datetime]
    kind: Mapped[str]
    source_id: Mapped[str]
    key: Mapped[str]  # source_id, area_id, device_id or an entity's id
    action: Mapped[str]
    before: Mapped[JsonObject | None]
    after: Mapped[JsonObject | None]
    actor: Mapped[str]
    run_id: Mapped[str | None]
    request_id: Mapped[str | None]


class IdempotencyKey(Base):
    """The answer to a request that may be sent again, kept for a day."""

    __tablename__ = "idempotency_keys"
    __table_args__ = (Index("ix_idempotency_keys_kept_at", "kept_at"), STRICT)

    key: Mapped[str] = mapped_column(primary_key=True)
    digest: Mapped[str]  # of the request: method, path, query and body
    status: Mapped[int]
    body: Mapped[str]
    kept_at: Mapped[datetime]


index_lists_on_postgresql(Base.metadata.sorted_tables)
