"""From an observation to the registry: plan, guard, apply."""

import re
import uuid
from datetime import datetime

from sqlalchemy import Connection, insert, select

from homedex.errors import Invalid
from homedex.ingest.observation import Observation, Row
from homedex.ingest.reconcile import Have, KindPlan, Plan, check_guard, reconcile
from homedex.registry import devices, records
from homedex.registry.changes import Stamp
from homedex.registry.edits import Edit, apply_one
from homedex.registry.lookup import find
from homedex.registry.sources import MANUAL, create_source, update_source
from homedex.registry.tables import Device, DeviceId, Sighting, Source, SyncRun, table_of
from homedex.storage.database import Database

SOURCE_ID = r"[A-Za-z0-9._:-]{1,255}"
MOVED_REASON = "split by its source"


def check_source_id(source_id: str) -> None:
    """Refuse an id that cannot be asked for over HTTP, and the one of the devices that people keep by hand.

    Raises:
        Invalid: it says what an id may be.
    """
    if source_id == MANUAL or re.fullmatch(SOURCE_ID, source_id) is None:
        raise Invalid(
            f"{source_id[:40]!r} cannot be the id of a source: 1 to 255 letters, digits and . _ : -, "
            f"and not {MANUAL!r}, which is for devices kept by hand."
        )


async def sync(  # noqa: PLR0913  (what a person can choose)
    database: Database, observed: Observation, *, allow_removals: bool, dry_run: bool, now: datetime, actor: str = "sync"
) -> Plan:
    """Make the registry say what was observed, in one transaction; a plan that is empty writes nothing at all.

    The plan is made on a snapshot first, so that a dry run, a held plan and an empty one never take the write lock. It is
    made again under the lock, because another process may have written in between.

    Returns: the plan, applied unless `dry_run`.
    Raises:
        Invalid: the source's id cannot be one.
        PlanHeld: it removes more than the guard allows; nothing was written.
        Conflict: the source exists with another kind.
    """
    check_source_id(observed.source_id)
    plan = await database.read(plan_sync, observed)
    if not dry_run:
        check_guard(plan, allow_removals=allow_removals)
    if dry_run or plan.is_empty:
        return plan
    return await database.write(apply_sync, observed, allow_removals=allow_removals, now=now, actor=actor)


def plan_sync(connection: Connection, observed: Observation) -> Plan:
    """What `apply_sync` would do now."""
    return reconcile(load_source(connection, observed), observed)


def load_source(connection: Connection, observed: Observation) -> Have:
    """What the registry holds of the observed source, and who else owns what was observed."""
    source_id = observed.source_id
    source = connection.execute(select(table_of(Source)).where(Source.source_id == source_id)).mappings().one_or_none()
    devices = records.load_rows(connection, "devices", source_id)
    entities = records.load_rows(connection, "entities", source_id)
    new_devices = (row["device_id"] for row in observed.devices if row["device_id"] not in devices)
    new_entities = (row["id"] for row in observed.entities if row["id"] not in entities)
    moved: dict[str, str] = {}
    for chunk in records.chunks(observed.moved):
        known = select(DeviceId.old_id, DeviceId.device_id).where(DeviceId.old_id.in_(chunk))
        moved.update(dict(connection.execute(known).all()))
    return Have(
        source=None if source is None else dict(source),
        areas=records.load_rows(connection, "areas", source_id),
        devices=devices,
        entities=entities,
        moved=moved,
        foreign_devices=records.owners(connection, "devices", new_devices, but=source_id),
        foreign_entities=records.owners(connection, "entities", new_entities, but=source_id),
    )


def apply_sync(connection: Connection, observed: Observation, *, allow_removals: bool, now: datetime, actor: str = "sync") -> Plan:
    """Plan, guard, and write the plan, its changes and its run.

    Raises:
        PlanHeld: see `check_guard`.
    """
    plan = plan_sync(connection, observed)
    check_guard(plan, allow_removals=allow_removals)
    if plan.is_empty:
        return plan
    stamp = Stamp(now, actor, run_id=uuid.uuid4().hex)
    _write_source(connection, plan, stamp)
    for noun, kind in (("areas", plan.areas), ("devices", plan.devices), ("entities", plan.entities)):
        _write_kind(connection, noun, plan.source_id, kind, stamp)
    _write_moves(connection, plan, stamp)
    _hand_on(connection, plan, stamp)
    run: Row = {"run_id": stamp.run_id, "source_id": plan.source_id, "started_at": now, "finished_at": now}
    guard = "removals allowed by hand" if allow_removals else None
    connection.execute(insert(table_of(SyncRun)), run | {"counts": plan.counts(), "outcome": "ok", "guard": guard})
    return plan


def _write_source(connection: Connection, plan: Plan, stamp: Stamp) -> None:
    state: Row = {"state": "ok", "last_sync_at": stamp.at, "last_error": None}
    if plan.create_source is not None:
        create_source(connection, plan.create_source | state, stamp)
        return
    changed = plan.update_source.after if plan.update_source is not None else {}
    update_source(connection, plan.source_id, changed | state, stamp)


def _write_kind(connection: Connection, noun: str, source_id: str, plan: KindPlan, stamp: Stamp) -> None:
    """Removals first and new rows last, so that an entity_id is free when its next holder comes."""
    records.remove_rows(connection, noun, source_id, plan.remove, stamp)
    if noun == "entities":
        renamed = [change.key for change in (*plan.update, *plan.restore) if "entity_id" in change.after]
        records.free_entity_ids(connection, renamed)
    records.write_values(connection, noun, source_id, plan.update, stamp)
    records.write_values(connection, noun, source_id, plan.restore, stamp, action="restore")
    records.create_rows(connection, noun, source_id, plan.create, stamp)


def _write_moves(connection: Connection, plan: Plan, stamp: Stamp) -> None:
    """Lead old device ids to the devices that continue them."""
    again = {"reason": MOVED_REASON, "moved_at": stamp.at, "source_id": plan.source_id}
    rows = [{"old_id": old_id, "device_id": device_id} | again for old_id, device_id in plan.moved.items()]
    records.write_moves(connection, rows, stamp)


def _hand_on(connection: Connection, plan: Plan, stamp: Stamp) -> None:
    """What people have set on a device, and when it was seen, goes on with the one that continues it; what is set there stays."""
    columns = ("number", "device_id", "source_id", "source_values", *records.USER_FIELDS)
    table = table_of(Device)
    for old in find(connection, table, "device_id", plan.moved, columns):
        (new,) = find(connection, table, "device_id", [plan.moved[old["device_id"]]], columns)
        if {old["source_id"], new["source_id"]} != {plan.source_id}:
            continue
        kept = {name: old[name] for name in old["source_values"] if name not in new["source_values"]}
        if old["note"] is not None and new["note"] is None:
            kept["note"] = old["note"]
        if kept:
            apply_one(connection, "devices", Edit(new["device_id"], kept), stamp)
        for seen in find(connection, table_of(Sighting), "number", [old["number"]], ["last_seen", "seen_by"]):
            if seen["last_seen"] is not None:
                devices.record_sightings(connection, [(new["device_id"], seen["last_seen"])], seen_by=seen["seen_by"])
