"""Full-text search: what is indexed of a device and an entity, how it is kept in step, and what `q` means.

A row's document has two columns: its `names`, and its other `facts`. Matches come in three tiers: all words stand in the names; all
begin words of the names; all begin words anywhere. Within a tier rows come in the order in which they were registered. A score such
as BM25 would depend on every other row: it takes 50 ms to rank 90,000 matches where the tiers take 0.3 ms for a page, and pages
would shift while rows are written (measured 2026-11).

The index is SQLite's FTS5 without a copy of the texts, or a `tsvector` on PostgreSQL (`words.py`). It is written in the transaction
that writes the rows.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from sqlalchemy import ColumnElement, Connection, Dialect, TableClause, Text, TypeDecorator, bindparam, column, table
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from homedex.errors import Invalid
from homedex.registry import words
from homedex.storage.ending import at_end
from homedex.storage.rows import json_values, run

MOST_WORDS = 32
LETTER = re.compile("[A-Za-z0-9]")
"""A single one stands for itself alone: of a million devices, a third begin some word with it, and nobody looks for those."""


Tier = Literal["whole", "begun", "elsewhere", "any"]


class Match(NamedTuple):
    """What a document must say: all words in its names, each begun in its names, each begun elsewhere, or any of these."""

    words: tuple[str, ...]
    tier: Tier

    def for_fts5(self) -> str:
        """An expression of FTS5. Every word is quoted, so that nothing in it is an operator."""
        quoted = ['"' + word.replace('"', '""') + '"' for word in self.words]
        whole = " AND ".join(quoted) or '""'  # which nothing matches
        begun = " AND ".join(
            inside if LETTER.fullmatch(word) else f"{inside} *" for word, inside in zip(self.words, quoted, strict=True)
        )
        return {
            "whole": f"names : ({whole})",
            "begun": f"(names : ({begun})) NOT (names : ({whole}))",
            "elsewhere": f"({begun}) NOT (names : ({begun}))",
            "any": f"({begun or whole})",
        }[self.tier]

    def for_tsquery(self) -> str:
        """The same as a tsquery of PostgreSQL, where the words of names have the weight A."""
        whole = " & ".join(words.phrase(word, weight="A") for word in self.words)
        begun, anywhere = (
            " & ".join(words.phrase(word, weight=weight, begun=not LETTER.fullmatch(word)) for word in self.words)
            for weight in ("A", "")
        )
        if not whole:
            return ""
        return {
            "whole": whole,
            "begun": f"({begun}) & !({whole})",
            "elsewhere": f"({anywhere}) & !({begun})",
            "any": anywhere,
        }[self.tier]


class MatchText(TypeDecorator[Match]):
    """A Match in the language of the engine."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Match | None, dialect: Dialect) -> str | None:
        """Its text."""
        if value is None:
            return None
        return value.for_fts5() if dialect.name == "sqlite" else value.for_tsquery()


class matches(FunctionElement[bool]):  # noqa: N801  (named as SQL functions are)
    """Whether a document matches: `matches(the index's column, bound Match)`."""

    inherit_cache = True


@compiles(matches, "sqlite")
def _(element: matches, compiler: SQLCompiler, **kw: Any) -> str:
    document, wanted = (compiler.process(one, **kw) for one in element.clauses)
    return f"{document} MATCH {wanted}"


@compiles(matches, "postgresql")
def _(element: matches, compiler: SQLCompiler, **kw: Any) -> str:
    document, wanted = element.clauses
    of_index = compiler.process(document.table.c.document, **kw)
    return f"{of_index} @@ ({compiler.process(wanted, **kw)})::tsquery"


@dataclass(frozen=True, eq=False)
class Index:
    """One search index: its table, with a row's `number` as rowid."""

    table: TableClause

    @property
    def number(self) -> ColumnElement[int]:
        """The number of the row that was found."""
        return self.table.c.rowid

    def matches(self) -> ColumnElement[bool]:
        """Whether a document matches the Match bound as `match`."""
        return matches(self.table.c[self.table.name], bindparam("match", type_=MatchText()))


def _index(name: str) -> Index:
    return Index(table(name, column("rowid"), column(name), column("document")))


DEVICES, ENTITIES = _index("device_search"), _index("entity_search")

TIERS = 3
NOTHING = Match((), "any")
"""What nothing matches."""


def matches_of(q: str) -> tuple[Match, ...]:
    """The tiers of a search, disjoint, then all that it finds; empty when `q` holds no word.

    Raises:
        Invalid: too many words.
    """
    found = tuple(word for word in dict.fromkeys(q.split()) if any(map(str.isalnum, word)))
    if len(found) > MOST_WORDS:
        raise Invalid(
            f"q: takes {MOST_WORDS} words at most, and got {len(found)}.",
            [{"pointer": "q", "detail": f"takes {MOST_WORDS} words at most, and got {len(found)}"}],
        )
    if not found:
        return ()
    return (Match(found, "whole"), Match(found, "begun"), Match(found, "elsewhere"), Match(found, "any"))


# What one document says: its number, names and facts. $1 stands for the parameter, {each} for the table of a JSON array's texts,
# {pairs} for the table of a JSON array's pairs.
_DEVICE_DOCUMENTS = """
    SELECT number, concat_ws(' ', name_by_user, name),
        concat_ws(' ', manufacturer, model, model_id, serial_number, device_id, identifiers, connections, labels, note, area_id,
            (SELECT areas.name FROM areas WHERE areas.area_id = devices.area_id AND areas.source_id = devices.source_id),
            (SELECT string_agg(entity_id, ' ') FROM entities
             WHERE entities.device_id = devices.device_id AND entities.removed_at IS NULL))
    FROM devices WHERE removed_at IS NULL AND number {which}
"""
_ENTITY_DOCUMENTS = """
    SELECT entities.number, concat_ws(' ', entities.name_by_user, entities.name, entities.entity_id),
        concat_ws(' ', entities.id, entities.unique_id, entities.platform, entities.device_class, entities.labels, entities.note,
            devices.name_by_user, devices.name, devices.manufacturer, devices.model, devices.serial_number,
            coalesce(entities.area_id, devices.area_id),
            (SELECT areas.name FROM areas
             WHERE areas.area_id = coalesce(entities.area_id, devices.area_id) AND areas.source_id = entities.source_id))
    FROM entities LEFT JOIN devices ON devices.device_id = entities.device_id AND devices.removed_at IS NULL
    WHERE entities.removed_at IS NULL AND entities.number {which}
"""
_DEVICES = "IN (SELECT number FROM devices WHERE device_id IN (SELECT value FROM {each})"
_DEVICES_IN_AREAS = """
    IN (SELECT devices.number FROM {pairs} AS area
        JOIN devices ON devices.removed_at IS NULL AND devices.area_id = area.value ->> 1
        WHERE devices.source_id = area.value ->> 0)
"""
_ENTITIES = "IN (SELECT number FROM entities WHERE id IN (SELECT value FROM {each})"
_ENTITIES_OF_DEVICES = """
    IN (SELECT number FROM entities WHERE device_id IN (SELECT value FROM {each}) AND removed_at IS NULL)
"""
_ENTITIES_IN_AREAS = """
    IN (SELECT entities.number FROM {pairs} AS area
        JOIN entities ON entities.removed_at IS NULL AND entities.area_id = area.value ->> 1
        WHERE entities.source_id = area.value ->> 0
        UNION SELECT entities.number FROM {pairs} AS area
        JOIN devices ON devices.removed_at IS NULL AND devices.area_id = area.value ->> 1
        JOIN entities ON entities.device_id = devices.device_id
        WHERE entities.source_id = area.value ->> 0)
"""


ON_SQLITE = {"each": "json_each(?1)", "pairs": "json_each(?1)", "this": "?1"}
ON_POSTGRESQL = {
    # The planner takes an array for the few that it is, and a JSON array for 100: then it read all devices, 12 ms for each PUT
    # among 11,000 and 0.2 ms this way (2026-11).
    "each": "unnest($1::text[]) AS one (value)",
    "pairs": "json_array_elements($1::json)",
    "this": "$1",
}


def add_new(connection: Connection, noun: str, after: int) -> None:
    """Index the devices or entities whose number is higher than `after`."""
    at_end(connection, _add_new_devices if noun == "devices" else _add_new_entities, [after])


def add_all(connection: Connection) -> None:
    """Index every device and entity, and nothing else that was indexed."""
    for name, documents in DOCUMENTS.items():
        every = documents.format(which="> 0")
        if connection.dialect.name == "sqlite":
            run(connection, f"INSERT INTO {name} ({name}) VALUES ('delete-all')")  # noqa: S608  (our own)
            run(connection, f"INSERT INTO {name} (rowid, names, facts) {every}")
        else:
            run(connection, f"DELETE FROM {name}")  # noqa: S608  (our own)
            words.copy_documents(connection, name, every)


def _add_new_devices(connection: Connection, after: list[int]) -> None:
    _write(connection, "device_search", "> {this}", min(after))


def _add_new_entities(connection: Connection, after: list[int]) -> None:
    _write(connection, "entity_search", "> {this}", min(after))


def refresh_areas(connection: Connection, areas: Iterable[tuple[str, str]]) -> None:
    """Index anew what stands in areas, (source_id, area_id), whose name changed."""
    at_end(connection, _refresh_areas, areas)


def _refresh_areas(connection: Connection, areas: list[tuple[str, str]]) -> None:
    named = json_values(areas)
    _write(connection, "device_search", _DEVICES_IN_AREAS, named)
    _write(connection, "entity_search", _ENTITIES_IN_AREAS, named)


def refresh_devices(connection: Connection, device_ids: Iterable[str], *, with_entities: bool) -> None:
    """Index devices anew: themselves changed, then their entities with them, or only their entities came, went or were renamed."""
    ids = list(device_ids)
    at_end(connection, _refresh_devices, ids)
    if with_entities:
        at_end(connection, _refresh_entities_of_devices, ids)


def _refresh_devices(connection: Connection, device_ids: list[str]) -> None:
    _replace(connection, "device_search", _DEVICES, _list(connection, device_ids))


def _refresh_entities_of_devices(connection: Connection, device_ids: list[str]) -> None:
    _write(connection, "entity_search", _ENTITIES_OF_DEVICES, _list(connection, device_ids))


def refresh_entities(connection: Connection, keys: Iterable[str]) -> None:
    """Index entities anew, by their ids."""
    at_end(connection, _refresh_entities, keys)


def _refresh_entities(connection: Connection, keys: list[str]) -> None:
    _replace(connection, "entity_search", _ENTITIES, _list(connection, keys))


def _list(connection: Connection, values: list[str]) -> str | list[str]:
    return json_values(values) if connection.dialect.name == "sqlite" else values


def _replace(connection: Connection, name: str, which: str, ids: str | list[str]) -> None:
    """Write the documents of records that are there, and take out those of the others."""
    on = ON_SQLITE if connection.dialect.name == "sqlite" else ON_POSTGRESQL
    gone = f"DELETE FROM {name} WHERE rowid {which.format(**on)} AND removed_at IS NOT NULL)"  # noqa: S608  (our own)
    if connection.dialect.name == "sqlite":
        run(connection, gone, ids)
        _write(connection, name, f"{which})", ids)
    else:  # one round trip less
        _write(connection, name, f"{which})", ids, first=f"WITH gone AS ({gone})")


def _write(connection: Connection, name: str, which: str, parameter: str | int | list[str], *, first: str = "") -> None:
    """Write the documents of the records that `which`, SQL about their numbers, says."""
    on = ON_SQLITE if connection.dialect.name == "sqlite" else ON_POSTGRESQL
    documents = DOCUMENTS[name].format(which=which.format(**on))
    if connection.dialect.name == "sqlite":
        # `OR REPLACE` takes the old one out: the index has no copy of the texts to compare with.
        run(connection, f"INSERT OR REPLACE INTO {name} (rowid, names, facts) {documents}", parameter)
    else:
        words.write_documents(connection, name, run(connection, first + documents, parameter))


DOCUMENTS = {"device_search": _DEVICE_DOCUMENTS, "entity_search": _ENTITY_DOCUMENTS}
