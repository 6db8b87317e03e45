"""Saving what can be saved of a damaged registry into a new file."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from homedex.errors import NotADatabase
from homedex.registry import schema, search
from homedex.registry.tables import Base
from homedex.storage.engine import create_engine
from homedex.storage.rows import run
from homedex.storage.salvage import Plan, Salvage, salvage
from homedex.storage.sqlite import Options
from homedex.storage.types import JsonText, UtcDateTime, to_text

REBUILT = {
    "sources": ("source_id",),
    "areas": ("source_id", "area_id"),
    "devices": ("number", "device_id", "source_id"),
    "device_ids": ("old_id", "device_id"),
    "entities": ("number", "id", "entity_id", "source_id"),
    "sightings": ("number",),
}
"""What must be known of a row to rebuild it. History is not rebuilt: half a change says something that did not happen."""


def repair(old: str, new: Path) -> Salvage:
    """Save what can be saved of a registry's file into a new one, at the newest schema, with a new search index. Blocks.

    A row that others need, or that an index still knows, is rebuilt with what is known of it: the next sync fills in the rest.

    Raises:
        NotADatabase: nothing could be saved.
        Conflict, Busy, StorageUnavailable, StorageFull: see `salvage`.
    """
    made_by_us = not new.exists()
    try:
        found = salvage(Path(old), new, Plan(schema.MIGRATIONS, schema.APPLICATION_ID, rebuild))
        engine = create_engine(str(new), Options(application_id=schema.APPLICATION_ID))
        with engine.begin() as connection:
            sightings = _complete(connection)
        engine.dispose()
    except BaseException:
        if made_by_us:
            for suffix in ("", "-wal", "-shm"):
                Path(f"{new}{suffix}").unlink(missing_ok=True)
        raise
    tables = [
        one._replace(rebuilt=one.rebuilt + sightings, lost=max(0, one.lost - sightings)) if one.table == "sightings" else one
        for one in found.tables
    ]
    return replace(found, tables=tables)


def rebuild(table: str, known: dict[str, Any]) -> Mapping[str, Any] | None:
    """A row of a table from what is known of it; None where that is too little."""
    needed = REBUILT.get(table, ("",))
    if table in {"devices", "entities"} and "number" not in known:
        needed = needed[1:]  # it gets a new one
    if any(known.get(name) is None for name in needed):
        return None
    own: dict[str, Any] = {}
    match table:
        case "sources":
            own = {"kind": "manual" if known["source_id"] == "manual" else "file", "name": known["source_id"], "state": "never"}
        case "areas":
            own = {"name": known["area_id"]}
        case "device_ids":
            own = {"reason": "rebuilt"}
        case "entities":
            own = {"domain": known["entity_id"].partition(".")[0]}
    return _neutral(table) | own | known


def _neutral(table: str) -> dict[str, Any]:
    """Values that say nothing, for the columns that must have one."""
    now = to_text(datetime.now(UTC))
    values: dict[str, Any] = {}
    for column in Base.metadata.tables[table].columns:
        if column.nullable or column.computed is not None or column.primary_key:
            continue
        if isinstance(column.type, UtcDateTime):
            values[column.name] = now
        elif isinstance(column.type, JsonText):
            values[column.name] = "[]" if column.name in {"labels", "aliases", "identifiers", "connections"} else "{}"
        elif column.name == "version":
            values[column.name] = 1
    return values


def _complete(connection: Connection) -> int:
    """Make what follows from the rows: the search index, and a sighting for each device; how many there were not."""
    missing = "INSERT INTO sightings (number) SELECT number FROM devices WHERE number NOT IN (SELECT number FROM sightings)"
    made = len(list(run(connection, f"{missing} RETURNING number")))
    search.add_all(connection)
    complaints = [row[0] for row in run(connection, "PRAGMA integrity_check(3)")]
    broken = list(run(connection, "PRAGMA foreign_key_check"))
    if complaints != ["ok"] or broken:
        raise NotADatabase(f"what was saved is not whole ({'; '.join(map(str, complaints + broken))}). Report this.")
    return made
