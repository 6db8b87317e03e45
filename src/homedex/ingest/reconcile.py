"""What has to be written so that the registry says what was observed: pure, without SQL and without a clock."""

import marshal
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from homedex.errors import Conflict, PlanHeld
from homedex.ingest.observation import Observation, Rejection, Row
from homedex.registry.records import Update
from homedex.storage.types import same

WRITTEN = 2
"""The version of marshal whose bytes are of values alone; later ones tell which of them are one object, too."""

UNKNOWN_KIND = ("file", "never")
"""Kind and state of a source that a repair has rebuilt from what its records say: whoever lists it next says what it is."""

GUARDED_SHARE = 0.10
"""A sync that removes more than this share of what is present is more likely a broken source than a changed home."""
GUARDED_DEVICES = 5
GUARDED_ENTITIES = 50


@dataclass(frozen=True, slots=True)
class Have:
    """The registry's rows of one source, tombstones included, as the columns are stored (times aware, JSON decoded).

    Args:
        source: the row of `sources`, None when the source is new.
        areas: by `area_id`.
        devices: by `device_id`.
        entities: by `id`.
        moved: the old ids already led to a device (`device_ids`): old id -> device_id.
        foreign_devices: observed device ids that another source owns -> that source's id.
        foreign_entities: observed entity ids (`id`) that another source owns -> that source's id.
    """

    source: Row | None = None
    areas: Mapping[str, Row] = field(default_factory=dict)
    devices: Mapping[str, Row] = field(default_factory=dict)
    entities: Mapping[str, Row] = field(default_factory=dict)
    moved: Mapping[str, str] = field(default_factory=dict)
    foreign_devices: Mapping[str, str] = field(default_factory=dict)
    foreign_entities: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class KindPlan:
    """What happens to the areas, the devices or the entities.

    Args:
        create: whole rows as observed; columns that are absent were not said.
        update: rows that are there and differ.
        restore: tombstones that are listed again; `after` has `removed_at` None beside the columns that differ.
            (`first_listed_at`, `last_listed_at` and `version` are the writer's, not the source's.)
        remove: keys that become tombstones.
        unchanged: rows that are there and stay as they are.
        present: rows that were there before, without the tombstones: update + remove + unchanged.
    """

    create: list[Row]
    update: list[Update]
    restore: list[Update]
    remove: list[str]
    unchanged: int
    present: int

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to write."""
        return not (self.create or self.update or self.restore or self.remove)

    def counts(self) -> dict[str, int]:
        """How many rows meet which fate."""
        return {
            "create": len(self.create),
            "update": len(self.update),
            "restore": len(self.restore),
            "remove": len(self.remove),
            "unchanged": self.unchanged,
        }


@dataclass(frozen=True, slots=True)
class Plan:
    """All that has to be written so that the registry says what was observed.

    `entity_id` is unique among a source's present entities, and ids are handed on (a rename and a newcomer with the old
    name, or two that swap). So write removals first, then updates and restores, then what is new; and give entities
    whose `entity_id` changes an interim one before the final one.

    Args:
        create_source: the row of `sources` (`source_id`, `kind`, `name`, `extra`) when the source is new.
        update_source: its changed columns.
        moved: old device id -> device, as far as not yet known. Write it after the devices.
        rejections: what could not be used: those of the observation, then those found here.
    """

    source_id: str
    areas: KindPlan
    devices: KindPlan
    entities: KindPlan
    create_source: Row | None
    update_source: Update | None
    moved: dict[str, str]
    rejections: list[Rejection]

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to write; rejections are no reason to."""
        kinds = (self.areas, self.devices, self.entities)
        return not (self.create_source or self.update_source or self.moved) and all(kind.is_empty for kind in kinds)

    def counts(self) -> dict[str, dict[str, int]]:
        """Per table how many rows are created, updated, restored, removed and unchanged."""
        return {
            "areas": self.areas.counts(),
            "devices": self.devices.counts(),
            "entities": self.entities.counts(),
        }


def reconcile(have: Have, observed: Observation) -> Plan:
    """The plan that makes the registry's rows of one source say what was observed.

    The order of records decides nothing but which of two that claim one id counts: the first. Applying the plan and
    reconciling again gives an empty plan.

    Raises:
        Conflict: the source exists with another kind.
    """
    create_source, update_source = _plan_source(have.source, observed)
    rejections = list(observed.rejections)
    areas = _first_of_each("area", "area_id", observed.areas, {}, rejections)
    devices = _first_of_each("device", "device_id", observed.devices, have.foreign_devices, rejections)
    entities = _first_of_each("entity", "id", observed.entities, have.foreign_entities, rejections)
    if have.foreign_devices:
        _leave_foreign_devices(entities, have.foreign_devices)
    holders = _holders_of_entity_ids(entities, rejections)

    spared = _ids_by_kind(rejections)
    spared_areas = have.areas if "areas" in observed.partial else spared["area"]
    spared_entities = _spared_entities(have.entities, observed, spared["entity"], holders)
    seen = observed.extra_keys
    return Plan(
        source_id=observed.source_id,
        areas=_plan_kind(have.areas, areas, spared_areas, seen.get("areas")),
        devices=_plan_kind(have.devices, devices, spared["device"], seen.get("devices")),
        entities=_plan_kind(have.entities, entities, spared_entities, seen.get("entities")),
        create_source=create_source,
        update_source=update_source,
        moved=_new_moves(have.moved, observed.moved, devices, rejections),
        rejections=rejections,
    )


def check_guard(plan: Plan, *, allow_removals: bool) -> None:
    """Stop a plan that removes suspiciously much; a source that lost its memory must not empty the registry.

    Devices that live on under a new id (`moved`) do not count as removed: the upgrade to Home Assistant 2026.8 may
    split more than a tenth of them.

    Args:
        plan: the plan, not yet applied.
        allow_removals: a person has looked and wants it.

    Raises:
        PlanHeld: more than 10 % of the source's present devices and more than 5 would go, or more than 10 % of its
            present entities and more than 50.
    """
    if allow_removals:
        return
    leaving = [key for key in plan.devices.remove if key not in plan.moved]
    checks = (
        ("devices", len(leaving), plan.devices.present, GUARDED_DEVICES),
        ("entities", len(plan.entities.remove), plan.entities.present, GUARDED_ENTITIES),
    )
    for kind, count, present, harmless in checks:
        if count > harmless and count > GUARDED_SHARE * present:
            raise PlanHeld(
                f"{count} of {present} {kind} of the source {plan.source_id!r} would be removed, so nothing was "
                "written. If they are really gone, repeat it with --allow-removals; otherwise see why the source does "
                "not list them.",
                kind=kind,
                removals=count,
                present=present,
            )


def _plan_source(stored: Row | None, observed: Observation) -> tuple[Row | None, Update | None]:
    extra = observed.extra or {}
    if stored is None:
        named = {"source_id": observed.source_id, "kind": observed.kind, "name": observed.name}
        return {**named, "extra": extra}, None
    if stored["kind"] != observed.kind and (stored["kind"], stored.get("state")) != UNKNOWN_KIND:
        raise Conflict(
            f"The source {observed.source_id!r} is of the kind {stored['kind']!r}, not {observed.kind!r}; "
            "import under another source id."
        )
    after: Row = {"extra": {**stored["extra"], **extra}}  # one way knows the version, another the files' formats
    if stored["kind"] != observed.kind:
        after["kind"] = observed.kind
    if "name" not in observed.partial:
        after["name"] = observed.name
    return None, _difference(observed.source_id, stored, after, None)


def _first_of_each(kind: str, key: str, rows: list[Row], foreign: Mapping[str, str], rejections: list[Rejection]) -> dict[str, Row]:
    accepted: dict[str, Row] = {}
    for row in rows:
        row_id = row[key]
        if row_id in accepted:
            rejections.append(Rejection(kind, row_id, "It is listed twice; the first one counts."))
        elif row_id in foreign:
            owner = foreign[row_id]
            rejections.append(Rejection(kind, row_id, f"It belongs to the source {owner!r}, which lists the same {kind}."))
        else:
            accepted[row_id] = row
    return accepted


def _leave_foreign_devices(entities: dict[str, Row], foreign: Mapping[str, str]) -> None:
    """What is said about a device that is not ours is not said: the entity keeps the device it has."""
    for key, row in entities.items():
        if row.get("device_id") in foreign:
            entities[key] = {column: value for column, value in row.items() if column != "device_id"}


def _holders_of_entity_ids(entities: dict[str, Row], rejections: list[Rejection]) -> dict[str, str]:
    """entity_id -> id of the one entity that has it; whoever comes second is taken out of `entities`."""
    holders: dict[str, str] = {}
    late = [key for key, row in entities.items() if holders.setdefault(row["entity_id"], key) != key]
    for key in late:
        entity_id = entities.pop(key)["entity_id"]
        reason = f"Its entity_id {entity_id!r} is that of {holders[entity_id]!r} too; the first one counts."
        rejections.append(Rejection("entity", key, reason))
    return holders


def _ids_by_kind(rejections: list[Rejection]) -> dict[str, set[str]]:
    by_kind: dict[str, set[str]] = {"area": set(), "device": set(), "entity": set()}
    for rejection in rejections:
        by_kind.setdefault(rejection.kind, set()).add(rejection.id)
    return by_kind


def _spared_entities(stored: Mapping[str, Row], observed: Observation, rejected: set[str], holders: Mapping[str, str]) -> set[str]:
    """Entities that stay although they are not listed, unless one that is listed took over their entity_id."""
    spared = {key for key in rejected if key in stored}
    if "state_only" in observed.partial:
        spared.update(key for key, row in stored.items() if row["platform"] is None)
    return {key for key in spared if stored[key]["entity_id"] not in holders}


def _plan_kind(stored: Mapping[str, Row], listed: dict[str, Row], spared: Collection[str], seen: frozenset[str] | None) -> KindPlan:
    plan = KindPlan([], [], [], [], unchanged=0, present=0)
    present = sum(row["removed_at"] is None for row in stored.values())
    for key, row in listed.items():
        before = stored.get(key)
        if before is None:
            plan.create.append(row)
            continue
        gone = before["removed_at"] is not None
        change = _difference(key, before, {**row, "removed_at": None} if gone else row, seen)
        if change is not None:
            (plan.restore if gone else plan.update).append(change)
    plan.remove.extend(key for key, row in stored.items() if row["removed_at"] is None and key not in listed and key not in spared)
    return replace(plan, present=present, unchanged=present - len(plan.update) - len(plan.remove))


def _difference(key: str, stored: Row, observed: Row, seen: frozenset[str] | None) -> Update | None:
    other_extra = "extra" in observed and _is_other(stored["extra"], observed["extra"])
    if not other_extra and stored | observed == stored:  # nearly every row of a sync ends here: 60,000 in 0.3 s
        return None
    after = {column: value for column, value in observed.items() if stored.get(column) != value}
    if other_extra:
        after["extra"] = observed["extra"]
    if "modified_at" in after and stored.get("modified_at") and after["modified_at"] < stored["modified_at"]:
        del after["modified_at"]  # somebody has changed the row here since
    if "extra" in after and seen is not None:
        extra = _merged_extra(stored["extra"], after.pop("extra"), seen)
        if _is_other(stored["extra"], extra):
            after["extra"] = extra
    return Update(key, {column: stored.get(column) for column in after}, after) if after else None


def _is_other(stored: Any, observed: Any) -> bool:
    """Whether two values differ in JSON, where `true` is not 1 as it is to Python."""
    return marshal.dumps(stored, WRITTEN) != marshal.dumps(observed, WRITTEN) and not same(stored, observed)


def _merged_extra(stored: dict[str, Any], observed: dict[str, Any], seen: frozenset[str]) -> dict[str, Any]:
    return {key: value for key, value in stored.items() if key not in seen} | observed


def _new_moves(
    known: Mapping[str, str], observed: Mapping[str, str], devices: Mapping[str, Row], rejections: list[Rejection]
) -> dict[str, str]:
    moves: dict[str, str] = {}
    for old, new in observed.items():
        if new not in devices:
            rejections.append(Rejection("id", old, f"It is said to live on as {new!r}, which is not among the devices."))
        elif old in devices:
            rejections.append(Rejection("id", old, f"It is said to live on as {new!r}, but is itself still listed."))
        elif known.get(old) != new:
            moves[old] = new
    return moves
