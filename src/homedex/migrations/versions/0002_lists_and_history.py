"""Numbers that order lists, notes, what people set here, changes, search, and answers that may be asked for again.

A new primary key needs the tables built anew: SQLite cannot add one. What 0001 kept is copied.
"""

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from homedex.storage import types

revision = "0002"
down_revision = "0001"

EPOCH = "1970-01-01T00:00:00.000000Z"
REBUILT = ("devices", "entities", "sightings", "device_ids")
LIST_INDEXES = {
    "devices": ("name", "manufacturer", "model", "area_id", "integration", "source_id", "disabled_by", "created_at", "modified_at"),
    "entities": ("entity_id", "name", "domain", "platform", "area_id", "source_id", "disabled_by", "created_at", "modified_at"),
}
OLD_INDEXES = {
    "areas": ("ix_areas_area_id_source_id",),
    "devices": (
        *(
            f"ix_devices_{column}_device_id"
            for column in ("area_id", "disabled", "integration", "manufacturer", "model", "source_id")
        ),
        "ix_devices_device_id",
        "ix_devices_removed",
    ),
    "entities": (
        *(f"ix_entities_{column}_entity_id_id" for column in ("area_id", "device_id", "disabled", "domain", "platform")),
        "ix_entities_entity_id_id",
        "ix_entities_removed",
        "uq_entities_source_id_entity_id",
    ),
    "sightings": ("ix_sightings_last_seen",),
    "device_ids": ("ix_device_ids_device_id",),
}


def upgrade() -> None:
    on_sqlite = op.get_bind().dialect.name == "sqlite"
    for table, indexes in OLD_INDEXES.items():
        for index in indexes:
            op.drop_index(index, table)
    op.create_index("ix_areas_area_id", "areas", ["area_id", "source_id"])
    if on_sqlite:
        for table in REBUILT:
            op.rename_table(table, f"{table}_before")
    else:  # nobody has kept data at 0001 there: it was not served yet
        for table in reversed(REBUILT):
            op.drop_table(table)
    create_tables()
    if on_sqlite:
        copy_rows()
        for table in ("device_ids", "sightings", "entities", "devices"):
            op.drop_table(f"{table}_before")
        op.execute(SEARCH.format(table="device_search"))
        op.execute(SEARCH.format(table="entity_search"))
        op.execute(FILL_DEVICES)
        op.execute(FILL_ENTITIES)
    else:
        create_search_on_postgresql()
    op.add_column("sources", sa.Column("modified_at", types.UtcDateTime(), nullable=False, server_default=EPOCH))
    op.add_column("sources", sa.Column("version", sa.Integer(), nullable=False, server_default="1"))
    op.execute("UPDATE sources SET modified_at = coalesce(last_sync_at, created_at)")


def downgrade() -> None:
    raise NotImplementedError("what was written since would be lost: restore the backup from before the upgrade instead")


def text(*names: str) -> Iterator[sa.Column[Any]]:
    return (sa.Column(name, types.BYTEWISE, nullable=True) for name in names)


def given(name: str, kind: Any = None) -> sa.Column[Any]:
    return sa.Column(name, kind or types.BYTEWISE, nullable=False)


def numbered(name: str) -> sa.Column[Any]:
    """A number that is SQLite's to give; on PostgreSQL it is given by the program, because a sequence leaves gaps."""
    return sa.Column(name, types.BIG, nullable=False, autoincrement="auto" if op.get_bind().dialect.name == "sqlite" else False)


def bookkeeping() -> Iterator[sa.Column[Any]]:
    yield given("first_listed_at", types.UtcDateTime())
    yield sa.Column("last_listed_at", types.UtcDateTime(), nullable=True)
    yield sa.Column("removed_at", types.UtcDateTime(), nullable=True)
    yield given("created_at", types.UtcDateTime())
    yield given("modified_at", types.UtcDateTime())
    yield given("version", sa.Integer())


def disabled() -> sa.Column[Any]:
    return sa.Column("disabled", types.Flag(), sa.Computed("disabled_by IS NOT NULL", persisted=True), nullable=False)


def create_tables() -> None:
    op.create_table(
        "devices",
        numbered("number"),
        *(given(name) for name in ("device_id", "source_id")),
        *text("name", "name_by_user", "manufacturer", "model", "model_id", "area_id", "integration", "sw_version", "hw_version"),
        *text("serial_number", "entry_type", "configuration_url", "via_device_id", "parent_device_id", "disabled_by"),
        disabled(),
        *(given(name, types.JsonText()) for name in ("labels", "identifiers", "connections")),
        *text("note"),
        *(given(name, types.JsonText()) for name in ("extra", "source_values")),
        *bookkeeping(),
        sa.CheckConstraint("length(device_id) BETWEEN 1 AND 255", name="ck_devices_device_id_length"),
        sa.ForeignKeyConstraint(["source_id"], ["sources.source_id"], name="fk_devices_source_id"),
        sa.PrimaryKeyConstraint("number", name="pk_devices"),
        sa.UniqueConstraint("device_id", name="uq_devices_device_id"),
        sqlite_strict=True,
    )
    op.create_table(
        "entities",
        numbered("number"),
        *(given(name) for name in ("id", "entity_id", "source_id")),
        *text("device_id"),
        given("domain"),
        *text("platform", "unique_id", "name", "name_by_user", "area_id", "disabled_by"),
        disabled(),
        *text("hidden_by", "entity_category", "device_class"),
        given("labels", types.JsonText()),
        *text("note"),
        *(given(name, types.JsonText()) for name in ("extra", "source_values")),
        *bookkeeping(),
        sa.ForeignKeyConstraint(["device_id"], ["devices.device_id"], name="fk_entities_device_id"),
        sa.ForeignKeyConstraint(["source_id"], ["sources.source_id"], name="fk_entities_source_id"),
        sa.PrimaryKeyConstraint("number", name="pk_entities"),
        sa.UniqueConstraint("id", name="uq_entities_id"),
        sqlite_strict=True,
    )
    op.create_table(
        "sightings",
        given("number", types.BIG),
        sa.Column("last_seen", types.UtcDateTime(), nullable=True),
        *text("seen_by"),
        sa.ForeignKeyConstraint(["number"], ["devices.number"], name="fk_sightings_number"),
        sa.PrimaryKeyConstraint("number", name="pk_sightings"),
        sqlite_strict=True,
    )
    op.create_table(
        "device_ids",
        *(given(name) for name in ("old_id", "device_id", "reason")),
        given("moved_at", types.UtcDateTime()),
        sa.ForeignKeyConstraint(["device_id"], ["devices.device_id"], name="fk_device_ids_device_id"),
        sa.PrimaryKeyConstraint("old_id", name="pk_device_ids"),
        sqlite_strict=True,
    )
    op.create_table(
        "changes",
        numbered("seq"),
        given("at", types.UtcDateTime()),
        *(given(name) for name in ("kind", "source_id", "key", "action")),
        *(sa.Column(name, types.JsonText(), nullable=True) for name in ("before", "after")),
        given("actor"),
        *text("run_id", "request_id"),
        sa.CheckConstraint("kind IN ('source', 'area', 'device', 'entity')", name="ck_changes_kind"),
        sa.CheckConstraint("action IN ('create', 'update', 'remove', 'restore', 'rename', 'move')", name="ck_changes_action"),
        sa.PrimaryKeyConstraint("seq", name="pk_changes"),
        sqlite_strict=True,
        sqlite_autoincrement=True,
    )
    op.create_table(
        "idempotency_keys",
        *(given(name) for name in ("key", "digest")),
        given("status", sa.Integer()),
        given("body"),
        given("kept_at", types.UtcDateTime()),
        sa.PrimaryKeyConstraint("key", name="pk_idempotency_keys"),
        sqlite_strict=True,
    )
    create_indexes()


def create_indexes() -> None:
    on_sqlite = op.get_bind().dialect.name == "sqlite"
    for table, columns in LIST_INDEXES.items():
        for column in columns:
            if on_sqlite:
                op.create_index(f"ix_{table}_{column}", table, ["removed_at", column])
            else:
                of_list: list[Any] = [sa.text(f"{column} ASC NULLS FIRST"), "number"]
                op.create_index(f"ix_{table}_{column}", table, of_list, postgresql_where=sa.text("removed_at IS NULL"))
    op.create_index("ix_entities_of_device", "entities", ["device_id", "removed_at"])
    present = {f"{engine}_where": sa.text("removed_at IS NULL") for engine in ("sqlite", "postgresql")}
    op.create_index("uq_entities_source_id_entity_id", "entities", ["source_id", "entity_id"], unique=True, **present)  # type: ignore[arg-type]
    op.create_index("ix_sightings_last_seen", "sightings", ["last_seen"])
    op.create_index("ix_device_ids_device_id", "device_ids", ["device_id"])
    op.create_index("ix_changes_key", "changes", ["kind", "key"])
    of_run = {f"{engine}_where": sa.text("run_id IS NOT NULL") for engine in ("sqlite", "postgresql")}
    op.create_index("ix_changes_run_id", "changes", ["run_id"], **of_run)  # type: ignore[arg-type]
    op.create_index("ix_idempotency_keys_kept_at", "idempotency_keys", ["kept_at"])


def create_search_on_postgresql() -> None:
    """What FTS5 is on SQLite: the words of each document with their places, those of names with the weight A."""
    for table in ("device_search", "entity_search"):
        op.create_table(
            table,
            sa.Column("rowid", sa.BigInteger(), nullable=False, autoincrement=False),
            sa.Column("document", postgresql.TSVECTOR(), nullable=False),
            sa.PrimaryKeyConstraint("rowid", name=f"pk_{table}"),
        )
        # A short list of what is not yet in its place: 10,000 documents took the server 115 us each without, 68 us with 256 kB, and
        # searches no longer; with the 4 MB of the default they took twice as long (2026-11).
        kept = {"fastupdate": "on", "gin_pending_list_limit": 256}
        op.create_index(f"ix_{table}_document", table, ["document"], postgresql_using="gin", postgresql_with=kept)
    op.execute(CASEFOLD)


COPIED = {
    "devices": (
        *("device_id", "source_id", "name", "name_by_user", "manufacturer", "model", "model_id", "area_id", "integration"),
        *("sw_version", "hw_version", "serial_number", "entry_type", "configuration_url", "via_device_id", "parent_device_id"),
        *("disabled_by", "labels", "identifiers", "connections", "extra", "first_listed_at", "last_listed_at", "removed_at"),
        *("created_at", "modified_at", "version"),
    ),
    "entities": (
        *("id", "entity_id", "source_id", "device_id", "domain", "platform", "unique_id", "name", "name_by_user", "area_id"),
        *("disabled_by", "hidden_by", "entity_category", "device_class", "labels", "extra", "first_listed_at", "last_listed_at"),
        *("removed_at", "created_at", "modified_at", "version"),
    ),
}


def copy_rows() -> None:
    for table, names in COPIED.items():
        columns = ", ".join(names)
        rows = f"SELECT {columns}, '{{}}' FROM {table}_before ORDER BY rowid"  # noqa: S608  (names of our own)
        op.execute(f"INSERT INTO {table} ({columns}, source_values) {rows}")
    op.execute("INSERT INTO sightings SELECT number, last_seen, seen_by FROM devices LEFT JOIN sightings_before USING (device_id)")
    op.execute("INSERT INTO device_ids SELECT old_id, device_id, reason, moved_at FROM device_ids_before")


CASEFOLD = """
    DO $$
    DECLARE
        folded text := CASE
            WHEN current_setting('server_version_num')::int >= 180000 THEN 'casefold($1 COLLATE pg_unicode_fast)'
            WHEN current_setting('server_version_num')::int >= 170000 THEN 'lower($1 COLLATE pg_c_utf8)'
            WHEN EXISTS (SELECT FROM pg_collation WHERE collname = 'und-x-icu') THEN 'lower($1 COLLATE "und-x-icu")'
            ELSE 'lower($1)'
        END;
    BEGIN
        EXECUTE format(
            'CREATE FUNCTION homedex_casefold(text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE RETURN %s', folded
        );
    END $$
"""
SEARCH = """
    CREATE VIRTUAL TABLE {table} USING fts5 (
        names, facts, content = '', contentless_delete = 1, prefix = '2', tokenize = 'unicode61 remove_diacritics 2'
    )
"""
FILL_DEVICES = """
    INSERT INTO device_search (rowid, names, facts)
    SELECT number, concat_ws(' ', name_by_user, name),
        concat_ws(' ', manufacturer, model, model_id, serial_number, device_id, identifiers, connections, labels, note, area_id,
            (SELECT areas.name FROM areas WHERE areas.area_id = devices.area_id AND areas.source_id = devices.source_id),
            (SELECT group_concat(entity_id, ' ') FROM entities
             WHERE entities.device_id = devices.device_id AND entities.removed_at IS NULL))
    FROM devices WHERE removed_at IS NULL
"""
FILL_ENTITIES = """
    INSERT INTO entity_search (rowid, names, facts)
    SELECT entities.number, concat_ws(' ', entities.name_by_user, entities.name, entities.entity_id),
        concat_ws(' ', entities.id, entities.unique_id, entities.platform, entities.device_class, entities.labels, entities.note,
            devices.name_by_user, devices.name, devices.manufacturer, devices.model, devices.serial_number,
            coalesce(entities.area_id, devices.area_id),
            (SELECT areas.name FROM areas
             WHERE areas.area_id = coalesce(entities.area_id, devices.area_id) AND areas.source_id = entities.source_id))
    FROM entities LEFT JOIN devices ON devices.device_id = entities.device_id AND devices.removed_at IS NULL
    WHERE entities.removed_at IS NULL
"""
