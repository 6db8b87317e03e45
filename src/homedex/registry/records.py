"""The one door by which areas, devices and entities are written: in sets, each row with its change and its place in the search.

Whoever writes, a sync, a request or a command, makes `Update`s and rows; what is written here is what `changes` says was written.
"""

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from itertools import islice
from typing import Any

from sqlalchemy import Connection, Table, Text, bindparam, cast, delete, func, insert, select, update

from homedex.registry import changes, search
from homedex.registry.changes import Change, Stamp
from homedex.registry.tables import Area, Device, DeviceId, Entity, Sighting, table_of
from homedex.storage.rows import Prepared, insert_rows
from homedex.storage.types import JsonText

Row = dict[str, Any]

CHUNK = 1000
LOADED = 5000
"""Rows of a source that are made at once."""

OBJECTS = {"extra", "source_values"}
REPEATED = (
    *("device_id", "domain", "platform", "area_id", "disabled_by", "hidden_by", "entity_category", "device_class", "manufacturer"),
    *("model", "model_id", "integration", "via_device_id", "sw_version", "hw_version"),
)
OURS = {"number", "source_id", "disabled", "note", "source_values", "first_listed_at", "last_listed_at", "version"}
"""Columns that no source says anything of."""

BORN = {"created_at", "modified_at"}
"""Columns that a source may say, and that have a value of ours where it does not."""

USER_FIELDS = ("name_by_user", "area_id", "labels", "disabled_by", "note")
"""What a person may set on the record of any source; it stays through every sync."""

SEARCHED = {
    "areas": frozenset({"name", "removed_at"}),
    "devices": frozenset(
        {
            *("name", "name_by_user", "manufacturer", "model", "model_id", "serial_number", "identifiers", "connections"),
            *("labels", "note", "area_id", "removed_at"),
        }
    ),
    "entities": frozenset(
        {
            *("entity_id", "name", "name_by_user", "unique_id", "platform", "device_class", "labels", "note", "area_id"),
            *("device_id", "removed_at"),
        }
    ),
}
"""Columns that are searched: a change of any of them is indexed."""


@dataclass(frozen=True, slots=True)
class Update:
    """The columns of one row that change: `before` and `after` have the same keys, and differ in each."""

    key: str
    before: Row
    after: Row


@dataclass(frozen=True, eq=False)
class Noun:
    """One of the three tables whose rows sources list."""

    name: str
    kind: str
    table: Table
    key: str
    blank: Row

    @cached_property
    def told(self) -> dict[str, None]:
        """The columns, first the key, whose stored value tells whether a new row has said it: the others are not blank unsaid."""
        known = (name for name, column in self.table.c.items() if name in self.blank and isinstance(column.type, Text | JsonText))
        return dict.fromkeys([self.key, *(name for name in known if name != "source_id")])

    @cached_property
    def repeated(self) -> list[str]:
        """The columns whose texts are often those of other rows."""
        return [name for name in REPEATED if name in self.table.c]


def _blank(table: Table) -> Row:
    """A row of which nothing is known yet; `number` is the database's to give."""
    stated = (column for column in table.c if column.computed is None and column.name != "number")
    return {column.name: ({} if column.name in OBJECTS else []) if isinstance(column.type, JsonText) else None for column in stated}


NOUNS = {
    name: Noun(name, kind, table_of(model), key, _blank(table_of(model)))
    for name, kind, model, key in (
        ("areas", "area", Area, "area_id"),
        ("devices", "device", Device, "device_id"),
        ("entities", "entity", Entity, "id"),
    )
}


def load_rows(connection: Connection, noun: str, source_id: str) -> dict[str, Row]:
    """Every row of one source by its key, tombstones included: what the source says of it, and `removed_at`.

    Where a person has set a column here, the row has what the source says of it.
    """
    names, statements = _loading(noun)
    position = names.index(NOUNS[noun].key)
    shared = [names.index(name) for name in NOUNS[noun].repeated]
    rows: dict[str, Row] = {}
    for statement in statements:
        for some in statement.parts(connection, {"source": source_id}, LOADED):
            for place in shared:
                some[place] = [value and sys.intern(value) for value in some[place]]
            rows.update(zip(some[position], [dict(zip(names, row, strict=True)) for row in zip(*some, strict=True)], strict=True))
    for row_key, values in overridden(connection, noun, source_id).items():
        rows[row_key] |= values
    return rows


@cache
def _loading(noun: str) -> tuple[list[str], list[Prepared]]:
    """The columns of which sources say something, and how they are read: present rows, then tombstones."""
    table = NOUNS[noun].table
    names = [name for name in table.c.keys() if name not in OURS]  # noqa: SIM118  (a collection of columns, not a dict)
    mine = select(*(table.c[name] for name in names)).where(table.c.source_id == bindparam("source"))
    return names, [Prepared(mine.where(listed)) for listed in (table.c.removed_at.is_(None), table.c.removed_at.is_not(None))]


def overridden(connection: Connection, noun: str, source_id: str) -> dict[str, Row]:
    """The rows of one source in which a person has set columns: key -> what the source says of those columns."""
    if noun == "areas":
        return {}
    table, key = NOUNS[noun].table, NOUNS[noun].key
    theirs = select(table.c[key], table.c.source_values).where(
        table.c.source_id == source_id, cast(table.c.source_values, Text) != "{}"
    )  # PostgreSQL compares no json
    return dict(connection.execute(theirs).all())


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


def create_rows(connection: Connection, noun: str, source_id: str, rows: Sequence[Row], stamp: Stamp) -> None:
    """Insert rows as listed now; what they do not say is null or empty. One may say another `source_id`."""
    if not rows:
        return
    kind = NOUNS[noun]
    before = 0 if noun == "areas" else (connection.scalar(select(func.max(kind.table.c.number))) or 0)
    born = {"first_listed_at": stamp.at, "created_at": stamp.at, "modified_at": stamp.at, "version": 1}
    insert_rows(connection, kind.table, rows, kind.blank | {"source_id": source_id} | born)
    _append_created(connection, kind, source_id, rows, stamp, after=before)
    if noun == "areas":
        search.refresh_areas(connection, [(row.get("source_id", source_id), row["area_id"]) for row in rows])
        return
    if noun == "devices":
        new = select(kind.table.c.number).where(kind.table.c.number > before)
        connection.execute(insert(table_of(Sighting)).from_select(["number"], new))
    search.add_new(connection, noun, before)
    if noun == "entities":
        devices = {row["device_id"] for row in rows if row.get("device_id")}
        search.refresh_devices(connection, devices, with_entities=False)


def _append_created(  # noqa: PLR0913  (the same as what is created)
    connection: Connection, kind: Noun, source_id: str, rows: Sequence[Row], stamp: Stamp, *, after: int
) -> None:
    """Write down what the new rows say; the database does it where all of that can be told from the rows as they are stored."""
    said = set().union(*rows) - {"source_id"}
    always = {name for name in said & BORN if all(row.get(name) for row in rows)}  # stored are these, whoever has said them
    if kind.name != "areas" and stamp.request_ids is None and said <= kind.told.keys() | always:
        told = [name for name in (*kind.told, *sorted(always)) if name in said]
        changes.append_created(connection, kind.kind, [kind.table.c[name] for name in told], stamp, after=after)
        return
    owned = ((row.get("source_id", source_id), row) for row in rows)
    changes.append(connection, (Change(kind.kind, owner, row[kind.key], "create", None, _said(row)) for owner, row in owned), stamp)


def _said(row: Row) -> Row:
    """What a new row says: all that is not blank."""
    return {name: value for name, value in row.items() if (value or type(value) is str) and name != "source_id"}


def update_rows(  # noqa: PLR0913  (whose rows, which, and why)
    connection: Connection, noun: str, source_id: str, updates: Sequence[Update], stamp: Stamp, *, action: str = "update"
) -> None:
    """Write the changed columns of rows and count their versions up; `modified_at` is the source's where it says so.

    Rows that change the same columns go together in one statement.
    """
    if not updates:
        return
    kind = NOUNS[noun]
    by_columns: dict[tuple[str, ...], list[Row]] = {}
    again = {"last_listed_at": None} if action == "restore" else {}
    for one in updates:
        columns: Row = {"modified_at": stamp.at, **one.after, **again}
        values = {f"new_{name}": value for name, value in columns.items()}
        by_columns.setdefault(tuple(columns), []).append({"the_key": one.key, "the_source": source_id} | values)
    for names, rows in by_columns.items():
        _update(noun, names).run(connection, rows)
    changes.append(
        connection,
        (
            Change(
                kind.kind,
                source_id,
                one.key,
                "rename" if action == "update" and "entity_id" in one.after else action,
                one.before,
                one.after,
            )
            for one in updates
        ),
        stamp,
    )
    _index(connection, noun, source_id, updates)


def _index(connection: Connection, noun: str, source_id: str, updates: Sequence[Update]) -> None:
    """Bring the search index to what rows say now."""
    updates = [one for one in updates if not SEARCHED[noun].isdisjoint(one.after)]
    if not updates:
        return
    keys = [one.key for one in updates]
    if noun == "areas":
        search.refresh_areas(connection, [(source_id, key) for key in keys])
    elif noun == "devices":
        search.refresh_devices(connection, keys, with_entities=True)
    else:
        search.refresh_entities(connection, keys)
        left = {one.before["device_id"] for one in updates if one.before.get("device_id")}
        search.refresh_devices(connection, left | devices_of(connection, keys), with_entities=False)


def devices_of(connection: Connection, keys: Iterable[str]) -> set[str]:
    """The devices of these entities."""
    table = NOUNS["entities"].table.c
    found = select(table.device_id).where(table.id.in_(bindparam("keys", expanding=True)), table.device_id.is_not(None)).distinct()
    return {device_id for chunk in chunks(keys) for device_id in connection.scalars(found, {"keys": chunk})}


def write_values(  # noqa: PLR0913  (the same)
    connection: Connection, noun: str, source_id: str, updates: Sequence[Update], stamp: Stamp, *, action: str = "update"
) -> None:
    """Write what a source says now: into the columns, or beside them where a person has set a column here."""
    theirs = overridden(connection, noun, source_id) if updates else {}
    if theirs:
        updates = [_beside(one, theirs[one.key]) if one.key in theirs else one for one in updates]
    update_rows(connection, noun, source_id, updates, stamp, action=action)


def _beside(one: Update, stored: Row) -> Update:
    """The same update, with what is overridden put into `source_values`."""
    hidden = {name: one.after[name] for name in one.after if name in stored}
    if not hidden:
        return one
    before = {name: value for name, value in one.before.items() if name not in hidden}
    after = {name: value for name, value in one.after.items() if name not in hidden}
    return Update(one.key, before | {"source_values": stored}, after | {"source_values": stored | hidden})


def free_entity_ids(connection: Connection, keys: Sequence[str]) -> None:
    """Give entities that are about to be renamed an interim entity_id, so that two can swap theirs."""
    if keys:
        table = NOUNS["entities"].table
        interim = update(table).where(table.c.id == bindparam("the_key")).values(entity_id=bindparam("interim"))
        connection.execute(interim, [{"the_key": key, "interim": f"~{key}"} for key in keys])


def remove_rows(connection: Connection, noun: str, source_id: str, keys: Sequence[str], stamp: Stamp) -> None:
    """Turn rows into tombstones."""
    if not keys:
        return
    kind = NOUNS[noun]
    gone = {f"new_{name}": stamp.at for name in ("removed_at", "last_listed_at", "modified_at")}
    statement = _update(noun, ("removed_at", "last_listed_at", "modified_at"))
    statement.run(connection, [{"the_key": key, "the_source": source_id, **gone} for key in keys])
    before, after = {"removed_at": None}, {"removed_at": stamp.at}
    changes.append(connection, (Change(kind.kind, source_id, key, "remove", before, after) for key in keys), stamp)
    _index(connection, noun, source_id, [Update(key, before, after) for key in keys])


def write_moves(connection: Connection, rows: Sequence[Row], stamp: Stamp) -> None:
    """Lead old device ids on, also those that led elsewhere: rows of `device_ids`, each with the `source_id` of its device."""
    table = table_of(DeviceId)
    known: dict[str, str] = {}
    for chunk in chunks(row["old_id"] for row in rows):
        mine = table.c.old_id.in_(chunk)
        known.update(dict(connection.execute(select(table.c.old_id, table.c.device_id).where(mine)).all()))
        connection.execute(delete(table).where(mine))
    if rows:
        connection.execute(insert(table), [{name: row[name] for name in table.c.keys()} for row in rows])  # noqa: SIM118  (columns)
    told = ((row, {"device_id": known.get(row["old_id"], row["old_id"])}, {"device_id": row["device_id"]}) for row in rows)
    changes.append(
        connection, (Change("device", row["source_id"], row["old_id"], "move", before, after) for row, before, after in told), stamp
    )


@lru_cache(maxsize=1024)
def _update(noun: str, names: tuple[str, ...]) -> Prepared:
    """UPDATE of these columns of one row, `the_key` of `the_source`, to `new_…`."""
    table = NOUNS[noun].table
    mine = (table.c[NOUNS[noun].key] == bindparam("the_key"), table.c.source_id == bindparam("the_source"))
    values: Row = {name: bindparam(f"new_{name}") for name in names}
    return Prepared(update(table).where(*mine).values(values | {"version": table.c.version + 1}))
