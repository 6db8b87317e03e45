"""Our own export, written and read back: one NDJSON file for each list, as the API streams them, and one of old device ids.

What comes back is what went out, times and versions included, so that an export of it is the same byte for byte. The history does
not: in the new registry every row begins with its import.
"""

import json
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import AwareDatetime, BaseModel, ValidationError
from sqlalchemy import Connection, select, update

from homedex.errors import BadSource
from homedex.ingest.observation import Rejection, Row
from homedex.registry import schemas
from homedex.registry.areas import AREAS
from homedex.registry.changes import Stamp
from homedex.registry.devices import DEVICES
from homedex.registry.entities import ENTITIES
from homedex.registry.exports import whole
from homedex.registry.pages import Listing
from homedex.registry.queries import Query
from homedex.registry.records import NOUNS, create_rows, write_moves
from homedex.registry.sources import SOURCES, create_source
from homedex.registry.tables import Device, DeviceId, Sighting, Source, table_of
from homedex.storage.types import to_text

LISTINGS: tuple[tuple[Listing, type[BaseModel]], ...] = (
    (SOURCES, schemas.Source),
    (AREAS, schemas.Area),
    (DEVICES, schemas.Device),
    (ENTITIES, schemas.Entity),
)
"""In the order in which they must come back."""

OLD_IDS = "device_ids"


class OldId(BaseModel):
    """An id that a device had before; see `tables.DeviceId`."""

    old_id: str
    device_id: str
    reason: str
    moved_at: AwareDatetime


COMPUTED = frozenset({"display_name", "disabled", "last_seen", "seen_by", "entity_count", "device_count"})


def write_export(connection: Connection, folder: Path) -> dict[str, int]:
    """Write every list, tombstones included, in one snapshot. The files get their names when all are whole.

    Returns: how many rows each list has.
    """
    with tempfile.TemporaryDirectory(prefix=".unfinished-", dir=folder) as unfinished:
        counts = _write_lists(connection, Path(unfinished))
        for name in counts:
            Path(unfinished, f"{name}.ndjson").replace(folder / f"{name}.ndjson")
    return counts


def _write_lists(connection: Connection, folder: Path) -> dict[str, int]:
    counts = {}
    for listing, _ in LISTINGS:
        query = Query(removed="any") if listing.questions.has_tombstones else Query()
        with (folder / f"{listing.noun}.ndjson").open("w", encoding="utf-8", newline="\n") as file:
            counts[listing.noun] = sum(1 for row in whole(connection, listing, query) if file.write(f"{row}\n"))
    table = table_of(DeviceId)
    old_ids = connection.execute(select(table).order_by(table.c.old_id)).mappings().all()
    lines = [json.dumps(row | {"moved_at": to_text(row["moved_at"])}, ensure_ascii=False) for row in map(dict, old_ids)]
    (folder / f"{OLD_IDS}.ndjson").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="\n")
    return counts | {OLD_IDS: len(lines)}


def read_export(folder: Path) -> dict[str, list[Row]]:
    """The rows of each list, and the old device ids, which exports from before 2026-12 have not.

    Raises:
        BadSource: a file is missing, or a line of it is not what we write.
    """
    rows = {listing.noun: list(_rows(folder / f"{listing.noun}.ndjson", model)) for listing, model in LISTINGS}
    old_ids = folder / f"{OLD_IDS}.ndjson"
    return rows | {OLD_IDS: list(_rows(old_ids, OldId)) if old_ids.exists() else []}


def _rows(file: Path, model: type[BaseModel]) -> Iterator[Row]:
    try:
        lines = file.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise BadSource(f"{file} cannot be read: {reason}. `homedex export FOLDER` writes it.") from None
    for number, line in enumerate(lines, 1):
        if line:
            try:
                yield dict(model.model_validate_json(line, strict=False))
            except ValidationError as error:
                fault = error.errors(include_url=False)[0]
                place = ".".join(map(str, fault["loc"])) or "it"
                raise BadSource(f"{file}, line {number}: {place}: {fault['msg']}. Nothing was imported.") from None


def bring_back(connection: Connection, rows: Mapping[str, Sequence[Row]], stamp: Stamp) -> tuple[dict[str, int], list[Rejection]]:
    """Write the rows of an export; what is there already is left as it is.

    Returns: (how many rows of each list were written, those that could not be, and why).
    """
    written: Counter[str] = Counter()
    rejections: list[Rejection] = []
    known = set(connection.scalars(select(table_of(Source).c.source_id)))
    for row in rows["sources"]:
        if row["source_id"] not in known:
            stated = {name: value for name, value in row.items() if name not in COMPUTED}
            create_source(connection, stated, stamp)
            known.add(row["source_id"])
            written["sources"] += 1
    for noun in ("areas", "devices", "entities"):
        new = _new_rows(connection, noun, rows[noun], known, rejections)
        create_rows(connection, noun, "", [_stored(noun, row) for row in new], stamp)
        written[noun] += len(new)
        if noun == "devices":
            _bring_back_sightings(connection, new)
    moves = _new_moves(connection, rows[OLD_IDS], rejections)
    write_moves(connection, moves, stamp)
    written[OLD_IDS] = len(moves)
    return dict(written), rejections


def _stored(noun: str, row: Row) -> Row:
    return {name: value for name, value in row.items() if name in NOUNS[noun].blank and name not in COMPUTED}


def _new_rows(connection: Connection, noun: str, rows: Sequence[Row], sources: set[str], rejections: list[Rejection]) -> list[Row]:
    """The rows that are not there, and can be."""
    kind = NOUNS[noun]
    table, key = kind.table.c, kind.key
    there = set(
        connection.execute(select(table.source_id, table[key])).all() if noun == "areas" else connection.scalars(select(table[key]))
    )
    held: set[Any] = set()
    devices: set[str] = set()
    if noun == "entities":
        present = select(table.source_id, table.entity_id).where(table.removed_at.is_(None))
        held = {tuple(pair) for pair in connection.execute(present)}
        devices = set(connection.scalars(select(table_of(Device).c.device_id)))
    new: list[Row] = []
    for row in rows:
        identity = (row["source_id"], row[key]) if noun == "areas" else row[key]
        reason = None
        if row["source_id"] not in sources:
            reason = f"Its source {row['source_id']!r} is not in the export."
        elif noun == "entities" and row["removed_at"] is None and (row["source_id"], row["entity_id"]) in held:
            reason = f"The entity_id {row['entity_id']!r} is taken."
        elif noun == "entities" and row["device_id"] is not None and row["device_id"] not in devices:
            reason = f"Its device {row['device_id']!r} is not there."
        if identity in there:
            continue
        if reason is not None:
            rejections.append(Rejection(kind.kind, str(row[key]), reason))
            continue
        there.add(identity)
        if noun == "entities" and row["removed_at"] is None:
            held.add((row["source_id"], row["entity_id"]))
        new.append(row)
    return new


def _new_moves(connection: Connection, rows: Sequence[Row], rejections: list[Rejection]) -> list[Row]:
    """The old ids that lead nowhere yet, each with the source of the device it shall lead to."""
    if not rows:
        return []
    device = table_of(Device).c
    sources = dict(connection.execute(select(device.device_id, device.source_id)).all())
    known = set(connection.scalars(select(table_of(DeviceId).c.old_id)))
    lost = (row for row in rows if row["device_id"] not in sources)
    rejections.extend(Rejection("id", row["old_id"], f"Its device {row['device_id']!r} is not there.") for row in lost)
    new = (row for row in rows if row["old_id"] not in known and row["device_id"] in sources)
    return [row | {"source_id": sources[row["device_id"]]} for row in new]


def _bring_back_sightings(connection: Connection, devices: Sequence[Row]) -> None:
    seen = {row["device_id"]: row for row in devices if row["last_seen"] is not None}
    if not seen:
        return
    table, device = table_of(Sighting), table_of(Device)
    numbers = connection.execute(select(device.c.device_id, device.c.number)).all()
    for device_id, number in numbers:
        if device_id in seen:
            row = seen[device_id]
            connection.execute(
                update(table).where(table.c.number == number).values(last_seen=row["last_seen"], seen_by=row["seen_by"])
            )
