"""Rows that a source lists: read all of one source, and write what a plan says, in whole sets.

Works on the tables of areas, devices and entities alike: each has a key, facts, and the bookkeeping of when it was listed.
"""

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from sqlalchemy import Connection, Table, bindparam, insert, select, update

from homedex.registry.tables import Area, Device, Entity, table_of
from homedex.storage.types import JsonText

Row = dict[str, Any]
CHUNK = 1000
OBJECTS = {"extra"}
REPEATED = (
    "device_id",
    "domain",
    "platform",
    "area_id",
    "disabled_by",
    "hidden_by",
    "entity_category",
    "device_class",
    "manufacturer",
    "model",
    "model_id",
    "integration",
    "via_device_id",
    "sw_version",
    "hw_version",
)
OURS = {"source_id", "disabled", "first_listed_at", "last_listed_at", "version"}
"""Columns that no source says anything of."""


@dataclass(frozen=True, slots=True)
class Noun:
    """One of the three tables whose rows sources list."""

    name: str
    table: Table
    key: str


NOUNS = {
    noun.name: noun
    for noun in (
        Noun("areas", table_of(Area), "area_id"),
        Noun("devices", table_of(Device), "device_id"),
        Noun("entities", table_of(Entity), "id"),
    )
}


def load_rows(connection: Connection, noun: str, source_id: str) -> dict[str, Row]:
    """Every row of one source by its key, tombstones included: what the source says of it, and `removed_at`."""
    table, key = NOUNS[noun].table, NOUNS[noun].key
    names = [name for name in table.c.keys() if name not in OURS]  # noqa: SIM118  (a collection of columns, not a dict)
    position = names.index(key)
    mine = select(*(table.c[name] for name in names)).where(table.c.source_id == source_id)
    rows: dict[str, Row] = {}
    for listed in (table.c.removed_at.is_(None), table.c.removed_at.is_not(None)):  # one index each
        rows.update((row[position], share(dict(zip(names, row, strict=True)))) for row in connection.execute(mine.where(listed)))
    return rows


def share(row: Row) -> Row:
    """The same row, its often repeated texts kept once in memory: 37 MB less for 50,000 entities (2026-11)."""
    for name in REPEATED:
        value = row.get(name)
        if type(value) is str:
            row[name] = sys.intern(value)
    return row


def owners(connection: Connection, noun: str, keys: Iterable[str], *, but: str) -> dict[str, str]:
    """Of these keys those that another source than `but` owns, and which."""
    table, key = NOUNS[noun].table, NOUNS[noun].table.c[NOUNS[noun].key]
    owned = select(key, table.c.source_id).where(key.in_(bindparam("keys", expanding=True)), table.c.source_id != but)
    found: dict[str, str] = {}
    for chunk in chunks(keys):
        found.update(dict(connection.execute(owned, {"keys": chunk}).all()))
    return found


def chunks(items: Iterable[str], size: int = CHUNK) -> Iterable[list[str]]:
    """Lists of at most `size`, in order."""
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk


def create_rows(connection: Connection, noun: str, source_id: str, rows: Sequence[Row], *, now: datetime) -> None:
    """Insert rows as listed now; what they do not say is null or empty."""
    if not rows:
        return
    table = NOUNS[noun].table
    blank: Row = {column.name: _blank(column.name, column.type) for column in table.c if column.computed is None}
    blank |= {"source_id": source_id, "first_listed_at": now, "created_at": now, "modified_at": now, "version": 1}
    for start in range(0, len(rows), CHUNK):
        connection.execute(insert(table), [blank | row for row in rows[start : start + CHUNK]])


def _blank(name: str, kind: Any) -> Any:
    if isinstance(kind, JsonText):
        return {} if name in OBJECTS else []
    return None


def update_rows(
    connection: Connection, noun: str, source_id: str, changes: Sequence[tuple[str, Mapping[str, Any]]], *, now: datetime
) -> None:
    """Write the changed columns of each (key, columns) and count its version up.

    Rows that change the same columns go together in one statement. `modified_at` is the source's where it says so.
    """
    table = NOUNS[noun].table
    by_columns: dict[tuple[str, ...], list[Row]] = {}
    for key, after in changes:
        columns: Row = {"modified_at": now, **after}
        by_columns.setdefault(tuple(columns), []).append(
            {"the_key": key} | {f"new_{name}": value for name, value in columns.items()}
        )
    for names, parameters in by_columns.items():
        values: Row = {name: bindparam(f"new_{name}") for name in names}
        connection.execute(_one_row(noun, source_id).values(values | {"version": table.c.version + 1}), parameters)


def free_entity_ids(connection: Connection, source_id: str, keys: Sequence[str]) -> None:
    """Give entities that are about to be renamed an interim entity_id, so that two can swap theirs."""
    if keys:
        interim = _one_row("entities", source_id).values(entity_id=bindparam("interim"))
        connection.execute(interim, [{"the_key": key, "interim": f"~{key}"} for key in keys])


def remove_rows(connection: Connection, noun: str, source_id: str, keys: Sequence[str], *, now: datetime) -> None:
    """Turn rows into tombstones."""
    if keys:
        version = NOUNS[noun].table.c.version + 1
        tombstone = _one_row(noun, source_id).values(removed_at=now, last_listed_at=now, modified_at=now, version=version)
        connection.execute(tombstone, [{"the_key": key} for key in keys])


def _one_row(noun: str, source_id: str) -> Any:
    table = NOUNS[noun].table
    return update(table).where(table.c[NOUNS[noun].key] == bindparam("the_key"), table.c.source_id == source_id)
