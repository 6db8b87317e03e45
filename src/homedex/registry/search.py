"""Full-text search: what is indexed of a device and an entity, how it is kept in step, and what `q` means.

A row's document has two columns: its `names`, and its other `facts`. Matches come in three tiers: all words stand in the names; all
begin words of the names; all begin words anywhere. Within a tier rows come in the order in which they were registered. A score such
as BM25 would depend on every other row: it takes 50 ms to rank 90,000 matches where the tiers take 0.3 ms for a page, and pages
would shift while rows are written (measured 2026-11).

The index is SQLite's FTS5, without a copy of the texts. It is written in the transaction that writes the rows.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, TableClause, bindparam, column, table

from homedex.errors import Invalid
from homedex.storage.ending import at_end
from homedex.storage.rows import json_values, run

MOST_WORDS = 32
LETTER = re.compile("[A-Za-z0-9]")
"""A single one stands for itself alone: of a million devices, a third begin some word with it, and nobody looks for those."""


@dataclass(frozen=True, eq=False)
class Index:
    """One search index: its table, with a row's `number` as rowid."""

    table: TableClause

    @property
    def number(self) -> ColumnElement[int]:
        """The number of the row that was found."""
        return self.table.c.rowid

    def matches(self) -> ColumnElement[bool]:
        """Whether a document matches the expression bound as `match`."""
        found: ColumnElement[bool] = self.table.c[self.table.name].op("MATCH")(bindparam("match"))
        return found


def _index(name: str) -> Index:
    return Index(table(name, column("rowid"), column(name)))


DEVICES, ENTITIES = _index("device_search"), _index("entity_search")

TIERS = 3
NOTHING = '""'
"""An expression that nothing matches."""


def expressions(q: str) -> tuple[str, ...]:
    """FTS5 expressions of the tiers, disjoint, then one of all matches; empty when `q` holds no word.

    Every word is quoted, so that nothing in it is an operator.

    Raises:
        Invalid: too many words.
    """
    words = [word for word in dict.fromkeys(q.split()) if any(map(str.isalnum, word))]
    if len(words) > MOST_WORDS:
        raise Invalid(
            f"q: takes {MOST_WORDS} words at most, and got {len(words)}.",
            [{"pointer": "q", "detail": f"takes {MOST_WORDS} words at most, and got {len(words)}"}],
        )
    if not words:
        return ()
    quoted = ['"' + word.replace('"', '""') + '"' for word in words]
    whole = " AND ".join(quoted)
    begun = " AND ".join(
        f"{inside}" if LETTER.fullmatch(word) else f"{inside} *" for word, inside in zip(words, quoted, strict=True)
    )
    return (
        f"names : ({whole})",
        f"(names : ({begun})) NOT (names : ({whole}))",
        f"({begun}) NOT (names : ({begun}))",
        f"({begun})",
    )


# What one document says. `OR REPLACE` takes the old one out: the index has no copy of the texts to compare with.
_DEVICE_DOCUMENTS = """
    INSERT OR REPLACE INTO device_search (rowid, names, facts)
    SELECT number, concat_ws(' ', name_by_user, name),
        concat_ws(' ', manufacturer, model, model_id, serial_number, device_id, identifiers, connections, labels, note, area_id,
            (SELECT areas.name FROM areas WHERE areas.area_id = devices.area_id AND areas.source_id = devices.source_id),
            (SELECT group_concat(entity_id, ' ') FROM entities
             WHERE entities.device_id = devices.device_id AND entities.removed_at IS NULL))
    FROM devices WHERE removed_at IS NULL AND number
"""
_ENTITY_DOCUMENTS = """
    INSERT OR REPLACE INTO entity_search (rowid, names, facts)
    SELECT entities.number, concat_ws(' ', entities.name_by_user, entities.name, entities.entity_id),
        concat_ws(' ', entities.id, entities.unique_id, entities.platform, entities.device_class, entities.labels, entities.note,
            devices.name_by_user, devices.name, devices.manufacturer, devices.model, devices.serial_number,
            coalesce(entities.area_id, devices.area_id),
            (SELECT areas.name FROM areas
             WHERE areas.area_id = coalesce(entities.area_id, devices.area_id) AND areas.source_id = entities.source_id))
    FROM entities LEFT JOIN devices ON devices.device_id = entities.device_id AND devices.removed_at IS NULL
    WHERE entities.removed_at IS NULL AND entities.number
"""
_DEVICES = "IN (SELECT number FROM devices WHERE device_id IN (SELECT value FROM json_each(?))"
_DEVICES_IN_AREAS = """
    IN (SELECT devices.number FROM json_each(?) AS area
        JOIN devices ON devices.removed_at IS NULL AND devices.area_id = area.value ->> 1
        WHERE devices.source_id = area.value ->> 0)
"""
_ENTITIES = "IN (SELECT number FROM entities WHERE id IN (SELECT value FROM json_each(?))"
_ENTITIES_OF_DEVICES = """
    IN (SELECT number FROM entities WHERE device_id IN (SELECT value FROM json_each(?)) AND removed_at IS NULL)
"""
_ENTITIES_IN_AREAS = """
    IN (SELECT entities.number FROM json_each(?1) AS area
        JOIN entities ON entities.removed_at IS NULL AND entities.area_id = area.value ->> 1
        WHERE entities.source_id = area.value ->> 0
        UNION SELECT entities.number FROM json_each(?1) AS area
        JOIN devices ON devices.removed_at IS NULL AND devices.area_id = area.value ->> 1
        JOIN entities ON entities.device_id = devices.device_id
        WHERE entities.source_id = area.value ->> 0)
"""


def add_new(connection: Connection, noun: str, after: int) -> None:
    """Index the devices or entities whose number is higher than `after`."""
    at_end(connection, _add_new_devices if noun == "devices" else _add_new_entities, [after])


def _add_new_devices(connection: Connection, after: list[int]) -> None:
    _run(connection, f"{_DEVICE_DOCUMENTS} > ?", min(after))


def _add_new_entities(connection: Connection, after: list[int]) -> None:
    _run(connection, f"{_ENTITY_DOCUMENTS} > ?", min(after))


def refresh_areas(connection: Connection, areas: Iterable[tuple[str, str]]) -> None:
    """Index anew what stands in areas, (source_id, area_id), whose name changed."""
    at_end(connection, _refresh_areas, areas)


def _refresh_areas(connection: Connection, areas: list[tuple[str, str]]) -> None:
    named = json_values(areas)
    _run(connection, _DEVICE_DOCUMENTS + _DEVICES_IN_AREAS, named)
    _run(connection, _ENTITY_DOCUMENTS + _ENTITIES_IN_AREAS, named)


def refresh_devices(connection: Connection, device_ids: Iterable[str], *, with_entities: bool) -> None:
    """Index devices anew: themselves changed, then their entities with them, or only their entities came, went or were renamed."""
    ids = list(device_ids)
    at_end(connection, _refresh_devices, ids)
    if with_entities:
        at_end(connection, _refresh_entities_of_devices, ids)


def _refresh_devices(connection: Connection, device_ids: list[str]) -> None:
    ids = json_values(device_ids)
    _run(connection, f"DELETE FROM device_search WHERE rowid {_DEVICES} AND removed_at IS NOT NULL)", ids)  # noqa: S608  (our own)
    _run(connection, f"{_DEVICE_DOCUMENTS} {_DEVICES})", ids)


def _refresh_entities_of_devices(connection: Connection, device_ids: list[str]) -> None:
    _run(connection, _ENTITY_DOCUMENTS + _ENTITIES_OF_DEVICES, json_values(device_ids))


def refresh_entities(connection: Connection, keys: Iterable[str]) -> None:
    """Index entities anew, by their ids."""
    at_end(connection, _refresh_entities, keys)


def _refresh_entities(connection: Connection, keys: list[str]) -> None:
    ids = json_values(keys)
    _run(connection, f"DELETE FROM entity_search WHERE rowid {_ENTITIES} AND removed_at IS NOT NULL)", ids)  # noqa: S608  (our own)
    _run(connection, f"{_ENTITY_DOCUMENTS} {_ENTITIES})", ids)


def _run(connection: Connection, statement: str, parameter: str | int) -> None:
    """Write to the index, which is SQLite's; PostgreSQL has one of its own."""
    if connection.dialect.name == "sqlite":
        run(connection, statement, parameter)
