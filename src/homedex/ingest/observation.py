"""Observation: the one neutral shape that every source is translated to."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Row = dict[str, Any]
"""Columns of one record by their names in `registry.tables`, source facts only.

A key that is absent was not said by the source and is left as it is; None was said to be nothing. Times are aware UTC
datetimes, JSON columns (`labels`, `identifiers`, `connections`, `extra`) lists and dicts as `json.loads` gives them.
"""


@dataclass(frozen=True, slots=True)
class Rejection:
    """One record that could not be used, and why; it never fails the others.

    Args:
        kind: "device", "entity", "area" or "id" (of the composite split map).
        id: the record's id in its source, or a description such as "#17" where it has none.
        reason: one sentence for the person who runs the import.
    """

    kind: str
    id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Observation:
    """All that one full read of a source found.

    Args:
        source_id: the source these records belong to.
        kind: the source's kind, such as "home_assistant".
        name: what a person calls the source, such as the home's name.
        areas: rows of `areas`, each with `area_id` and `name`.
        devices: rows of `devices`, each with `device_id`.
        entities: rows of `entities`, each with `id` and `entity_id`; `device_id`, where set, is one of `devices`.
        extra: what is known of the source itself, such as its version, its floors and its labels; None when nothing is.
        moved: old device id -> the device that continues it (Home Assistant 2026.8 splits composites).
        rejections: records that could not be used. A known record that was rejected is left as it is, not removed.
        partial: what this way of reading cannot see, so that nothing follows from its absence: "state_only" (entities
            without a registry record, rows whose `platform` is None), "areas" (areas that are not listed), "name"
            (`name` is a stand-in).
        extra_keys: per table ("areas", "devices", "entities") the keys of `extra` that this way of reading can see. A
            stored key beyond them is left as it is, so that two ways of reading one home do not undo each other. A
            table that is not named here has its `extra` replaced whole.
    """

    source_id: str
    kind: str
    name: str
    areas: list[Row] = field(default_factory=list)
    devices: list[Row] = field(default_factory=list)
    entities: list[Row] = field(default_factory=list)
    extra: Row | None = None
    moved: dict[str, str] = field(default_factory=dict)
    rejections: list[Rejection] = field(default_factory=list)
    partial: frozenset[str] = frozenset()
    extra_keys: Mapping[str, frozenset[str]] = field(default_factory=dict)
