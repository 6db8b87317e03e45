"""Full-text search: what is indexed of a device and an entity, how it is kept in step, and what `q` means.

A row's document has two columns: its `names`, and its other `facts`. Matches come in three tiers: all words stand in the names; all
begin words of the names; all begin words anywhere. Within a tier rows come in the order in which they were registered. A score such
as BM25 would depend on every other row: it takes 50 ms to rank 90,000 matches where the tiers take 0.3 ms for a page, and pages
would shift while rows are written (measured 2026-11).

The index is SQLite's FTS5, without a copy of the texts. It is written in the transaction that writes the rows.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, TableClause, bindparam, column, table, text

from homedex.errors import Invalid
from homedex.storage.rows import json_values

MOST_WORDS = 32


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
    whole, begun = " AND ".join(quoted), " AND ".join(f"{word} *" for word in quoted)
    return (
        f"names : ({whole})",
        f"(names : ({begun})) NOT (names : ({whole}))",
        f"({begun}) NOT (names : ({begun}))",
        f"({begun})",
    )


_DEVICE_DOCUMENTS = """
    INSERT INTO device_search (rowid, names, facts)
    SELECT number, concat_ws(' ', name_by_user, name),
        concat_ws(' ', manufacturer, model, model_id, serial_number, device_id, identifiers, connections, labels, note, area_id,
            (SELECT areas.name FROM areas WHERE areas.area_id = devices.area_id AND areas.source_id = devices.source_id),
            (SELECT group_concat(entity_id, ' ') FROM entities
             WHERE entities.device_id = devices.device_id AND entities.removed_at IS NULL))
    FROM devices WHERE removed_at IS NULL AND number
"""
_ENTITY_DOCUMENTS = """
    INSERT INTO entity_search (rowid, names, facts)
    SELECT entities.number, concat_ws(' ', entities.name_by_user, entities.name, entities.entity_id),
        concat_ws(' ', entities.id, entities.unique_id, entities.platform, entities.device_class, entities.labels, entities.note,
            devices.name_by_user, devices.name, devices.manufacturer, devices.model, devices.serial_number,
            coalesce(entities.area_id, devices.area_id),
            (SELECT areas.name FROM areas
             WHERE areas.area_id = coalesce(entities.area_id, devices.area_id) AND areas.source_id = entities.source_id))
    FROM entities LEFT JOIN devices USING (device_id) WHERE entities.removed_at IS NULL AND entities.number
"""
_THESE = " IN (SELECT value FROM json_each(:numbers))"
_LATER = " > :number"

_DEVICES_TOUCHED = """
    SELECT json_group_array(number) FROM (
        SELECT number FROM devices WHERE device_id IN (SELECT value FROM json_each(:devices))
        UNION SELECT devices.number FROM json_each(:areas) AS one
            JOIN devices ON devices.area_id = one.value ->> 1 AND devices.source_id = one.value ->> 0
            WHERE devices.removed_at IS NULL)
"""
_ENTITIES_TOUCHED = """
    SELECT json_group_array(number) FROM (
        SELECT number FROM entities WHERE id IN (SELECT value FROM json_each(:entities))
        UNION SELECT number FROM entities WHERE device_id IN (SELECT value FROM json_each(:devices)) AND removed_at IS NULL
        UNION SELECT entities.number FROM json_each(:areas) AS one
            JOIN entities ON entities.area_id = one.value ->> 1 AND entities.source_id = one.value ->> 0
            WHERE entities.removed_at IS NULL
        UNION SELECT entities.number FROM json_each(:areas) AS one
            JOIN devices ON devices.area_id = one.value ->> 1 AND devices.removed_at IS NULL
            JOIN entities ON entities.device_id = devices.device_id AND entities.source_id = one.value ->> 0)
"""


def add_new(connection: Connection, noun: str, after: int) -> None:
    """Index the devices or entities whose number is higher than `after`."""
    if connection.dialect.name == "sqlite":
        documents = _DEVICE_DOCUMENTS if noun == "devices" else _ENTITY_DOCUMENTS
        connection.execute(text(documents + _LATER), {"number": after})


def refresh_devices(connection: Connection, device_ids: Iterable[str]) -> None:
    """Index devices anew whose entities came, went or were renamed; their other entities do not mind."""
    if connection.dialect.name == "sqlite":
        _rewrite(
            connection, "device_search", _DEVICES_TOUCHED, _DEVICE_DOCUMENTS, {"areas": "[]", "devices": json_values(device_ids)}
        )


def refresh(
    connection: Connection,
    *,
    areas: Iterable[tuple[str, str]] = (),
    devices: Iterable[str] = (),
    entities: Iterable[str] = (),
) -> None:
    """Index anew what has changed, and whatever says something of it: an area's devices, a device's entities.

    Args:
        areas: (source_id, area_id) of areas whose name changed.
        devices: device ids.
        entities: ids (not entity_ids).
    """
    if connection.dialect.name != "sqlite":
        return
    touched = {"areas": json_values(areas), "devices": json_values(devices)}
    _rewrite(connection, "device_search", _DEVICES_TOUCHED, _DEVICE_DOCUMENTS, touched)
    touched |= {"entities": json_values(entities)}
    _rewrite(connection, "entity_search", _ENTITIES_TOUCHED, _ENTITY_DOCUMENTS, touched)


def _rewrite(connection: Connection, name: str, find: str, documents: str, touched: dict[str, str]) -> None:
    numbers = connection.scalar(text(find), touched)
    if numbers != "[]":
        connection.execute(text(f"DELETE FROM {name} WHERE rowid{_THESE}"), {"numbers": numbers})  # noqa: S608
        connection.execute(text(documents + _THESE), {"numbers": numbers})
