"""The first schema: sources, areas, devices, device ids, entities, sightings and sync runs."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from homedex.storage import types

revision = "0001"
down_revision = None

PRESENT: dict[str, Any] = {f"{engine}_where": sa.text("removed_at IS NULL") for engine in ("sqlite", "postgresql")}
REMOVED: dict[str, Any] = {f"{engine}_where": sa.text("removed_at IS NOT NULL") for engine in ("sqlite", "postgresql")}


def upgrade() -> None:
    op.create_table(
        "sources",
        sa.Column("source_id", types.BYTEWISE, nullable=False),
        sa.Column("kind", types.BYTEWISE, nullable=False),
        sa.Column("name", types.BYTEWISE, nullable=False),
        sa.Column("state", types.BYTEWISE, nullable=False),
        sa.Column("last_sync_at", types.UtcDateTime(), nullable=True),
        sa.Column("last_error", types.BYTEWISE, nullable=True),
        sa.Column("extra", types.JsonText(), nullable=False),
        sa.Column("created_at", types.UtcDateTime(), nullable=False),
        sa.CheckConstraint("kind IN ('home_assistant', 'mqtt', 'zigbee2mqtt', 'file', 'manual')", name="ck_sources_kind"),
        sa.CheckConstraint("state IN ('never', 'ok', 'error')", name="ck_sources_state"),
        sa.PrimaryKeyConstraint("source_id", name="pk_sources"),
        sqlite_strict=True,
    )
    op.create_table(
        "areas",
        sa.Column("source_id", types.BYTEWISE, nullable=False),
        sa.Column("area_id", types.BYTEWISE, nullable=False),
        sa.Column("name", types.BYTEWISE, nullable=False),
        sa.Column("floor_id", types.BYTEWISE, nullable=True),
        sa.Column("aliases", types.JsonText(), nullable=False),
        sa.Column("labels", types.JsonText(), nullable=False),
        sa.Column("extra", types.JsonText(), nullable=False),
        sa.Column("first_listed_at", types.UtcDateTime(), nullable=False),
        sa.Column("last_listed_at", types.UtcDateTime(), nullable=True),
        sa.Column("removed_at", types.UtcDateTime(), nullable=True),
        sa.Column("created_at", types.UtcDateTime(), nullable=False),
        sa.Column("modified_at", types.UtcDateTime(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["source_id"], ["sources.source_id"], name="fk_areas_source_id"),
        sa.PrimaryKeyConstraint("source_id", "area_id", name="pk_areas"),
        sqlite_strict=True,
    )
    op.create_index("ix_areas_area_id_source_id", "areas", ["area_id", "source_id", "removed_at"], **PRESENT)
    op.create_table(
        "devices",
        sa.Column("device_id", types.BYTEWISE, nullable=False),
        sa.Column("source_id", types.BYTEWISE, nullable=False),
        sa.Column("name", types.BYTEWISE, nullable=True),
        sa.Column("name_by_user", types.BYTEWISE, nullable=True),
        sa.Column("manufacturer", types.BYTEWISE, nullable=True),
        sa.Column("model", types.BYTEWISE, nullable=True),
        sa.Column("model_id", types.BYTEWISE, nullable=True),
        sa.Column("area_id", types.BYTEWISE, nullable=True),
        sa.Column("integration", types.BYTEWISE, nullable=True),
        sa.Column("sw_version", types.BYTEWISE, nullable=True),
        sa.Column("hw_version", types.BYTEWISE, nullable=True),
        sa.Column("serial_number", types.BYTEWISE, nullable=True),
        sa.Column("entry_type", types.BYTEWISE, nullable=True),
        sa.Column("configuration_url", types.BYTEWISE, nullable=True),
        sa.Column("via_device_id", types.BYTEWISE, nullable=True),
        sa.Column("parent_device_id", types.BYTEWISE, nullable=True),
        sa.Column("disabled_by", types.BYTEWISE, nullable=True),
        sa.Column("disabled", types.Flag(), sa.Computed("disabled_by IS NOT NULL", persisted=True), nullable=False),
        sa.Column("labels", types.JsonText(), nullable=False),
        sa.Column("identifiers", types.JsonText(), nullable=False),
        sa.Column("connections", types.JsonText(), nullable=False),
        sa.Column("extra", types.JsonText(), nullable=False),
        sa.Column("first_listed_at", types.UtcDateTime(), nullable=False),
        sa.Column("last_listed_at", types.UtcDateTime(), nullable=True),
        sa.Column("removed_at", types.UtcDateTime(), nullable=True),
        sa.Column("created_at", types.UtcDateTime(), nullable=False),
        sa.Column("modified_at", types.UtcDateTime(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.CheckConstraint("length(device_id) BETWEEN 1 AND 255", name="ck_devices_device_id_length"),
        sa.ForeignKeyConstraint(["source_id"], ["sources.source_id"], name="fk_devices_source_id"),
        sa.PrimaryKeyConstraint("device_id", name="pk_devices"),
        sqlite_strict=True,
    )
    op.create_index("ix_devices_area_id_device_id", "devices", ["area_id", "device_id", "removed_at"], **PRESENT)
    op.create_index("ix_devices_device_id", "devices", ["device_id", "removed_at"], **PRESENT)
    op.create_index("ix_devices_disabled_device_id", "devices", ["disabled", "device_id", "removed_at"], **PRESENT)
    op.create_index("ix_devices_integration_device_id", "devices", ["integration", "device_id", "removed_at"], **PRESENT)
    op.create_index("ix_devices_manufacturer_device_id", "devices", ["manufacturer", "device_id", "removed_at"], **PRESENT)
    op.create_index("ix_devices_model_device_id", "devices", ["model", "device_id", "removed_at"], **PRESENT)
    op.create_index("ix_devices_removed", "devices", ["source_id", "device_id"], **REMOVED)
    op.create_index("ix_devices_source_id_device_id", "devices", ["source_id", "device_id", "removed_at"], **PRESENT)
    op.create_table(
        "sync_runs",
        sa.Column("run_id", types.BYTEWISE, nullable=False),
        sa.Column("source_id", types.BYTEWISE, nullable=False),
        sa.Column("started_at", types.UtcDateTime(), nullable=False),
        sa.Column("finished_at", types.UtcDateTime(), nullable=False),
        sa.Column("counts", types.JsonText(), nullable=False),
        sa.Column("outcome", types.BYTEWISE, nullable=False),
        sa.Column("guard", types.BYTEWISE, nullable=True),
        sa.ForeignKeyConstraint(["source_id"], ["sources.source_id"], name="fk_sync_runs_source_id"),
        sa.PrimaryKeyConstraint("run_id", name="pk_sync_runs"),
        sqlite_strict=True,
    )
    op.create_index("ix_sync_runs_source_id", "sync_runs", ["source_id", "started_at"])
    op.create_table(
        "device_ids",
        sa.Column("old_id", types.BYTEWISE, nullable=False),
        sa.Column("device_id", types.BYTEWISE, nullable=False),
        sa.Column("reason", types.BYTEWISE, nullable=False),
        sa.Column("moved_at", types.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["device_id"], ["devices.device_id"], name="fk_device_ids_device_id"),
        sa.PrimaryKeyConstraint("old_id", name="pk_device_ids"),
        sqlite_strict=True,
    )
    op.create_index("ix_device_ids_device_id", "device_ids", ["device_id"])
    op.create_table(
        "entities",
        sa.Column("id", types.BYTEWISE, nullable=False),
        sa.Column("entity_id", types.BYTEWISE, nullable=False),
        sa.Column("source_id", types.BYTEWISE, nullable=False),
        sa.Column("device_id", types.BYTEWISE, nullable=True),
        sa.Column("domain", types.BYTEWISE, nullable=False),
        sa.Column("platform", types.BYTEWISE, nullable=True),
        sa.Column("unique_id", types.BYTEWISE, nullable=True),
        sa.Column("name", types.BYTEWISE, nullable=True),
        sa.Column("name_by_user", types.BYTEWISE, nullable=True),
        sa.Column("area_id", types.BYTEWISE, nullable=True),
        sa.Column("disabled_by", types.BYTEWISE, nullable=True),
        sa.Column("disabled", types.Flag(), sa.Computed("disabled_by IS NOT NULL", persisted=True), nullable=False),
        sa.Column("hidden_by", types.BYTEWISE, nullable=True),
        sa.Column("entity_category", types.BYTEWISE, nullable=True),
        sa.Column("device_class", types.BYTEWISE, nullable=True),
        sa.Column("labels", types.JsonText(), nullable=False),
        sa.Column("extra", types.JsonText(), nullable=False),
        sa.Column("first_listed_at", types.UtcDateTime(), nullable=False),
        sa.Column("last_listed_at", types.UtcDateTime(), nullable=True),
        sa.Column("removed_at", types.UtcDateTime(), nullable=True),
        sa.Column("created_at", types.UtcDateTime(), nullable=False),
        sa.Column("modified_at", types.UtcDateTime(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["device_id"], ["devices.device_id"], name="fk_entities_device_id"),
        sa.ForeignKeyConstraint(["source_id"], ["sources.source_id"], name="fk_entities_source_id"),
        sa.PrimaryKeyConstraint("id", name="pk_entities"),
        sqlite_strict=True,
    )
    op.create_index("ix_entities_area_id_entity_id_id", "entities", ["area_id", "entity_id", "id", "removed_at"], **PRESENT)
    op.create_index("ix_entities_device_id_entity_id_id", "entities", ["device_id", "entity_id", "id", "removed_at"], **PRESENT)
    op.create_index("ix_entities_disabled_entity_id_id", "entities", ["disabled", "entity_id", "id", "removed_at"], **PRESENT)
    op.create_index("ix_entities_domain_entity_id_id", "entities", ["domain", "entity_id", "id", "removed_at"], **PRESENT)
    op.create_index("ix_entities_entity_id_id", "entities", ["entity_id", "id", "removed_at"], **PRESENT)
    op.create_index("ix_entities_platform_entity_id_id", "entities", ["platform", "entity_id", "id", "removed_at"], **PRESENT)
    op.create_index("ix_entities_removed", "entities", ["source_id", "id"], **REMOVED)
    op.create_index("uq_entities_source_id_entity_id", "entities", ["source_id", "entity_id"], unique=True, **PRESENT)
    op.create_table(
        "sightings",
        sa.Column("device_id", types.BYTEWISE, nullable=False),
        sa.Column("last_seen", types.UtcDateTime(), nullable=False),
        sa.Column("seen_by", types.BYTEWISE, nullable=False),
        sa.ForeignKeyConstraint(["device_id"], ["devices.device_id"], name="fk_sightings_device_id"),
        sa.PrimaryKeyConstraint("device_id", name="pk_sightings"),
        sqlite_strict=True,
    )
    op.create_index("ix_sightings_last_seen", "sightings", ["last_seen", "device_id"])


def downgrade() -> None:
    for table in ("sightings", "entities", "device_ids", "sync_runs", "devices", "areas", "sources"):
        op.drop_table(table)
