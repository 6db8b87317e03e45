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


# What one document says: its number, names and facts. {which} is SQL about the numbers of those wanted; {plus} keeps SQLite
# from going through an index of all that are there instead. Numbers come in their order that way: FTS5 writes out what it has
# gathered whenever one is lower than the one before, and takes four times as long (2026-11).
_DEVICE_DOCUMENTS = """
    SELECT number, concat_ws(' ', name_by_user, name),
        concat_ws(' ', manufacturer, model, model_id, serial_number, device_id, identifiers, connections, labels, note, area_id,
            (SELECT areas.name FROM areas WHERE areas.area_id = devices.area_id AND areas.source_id = devices.source_id
                AND areas.removed_at IS NULL),
            (SELECT string_agg(entity_id, ' ') FROM entities
             WHERE entities.device_id = devices.device_id AND entities.removed_at IS NULL))
    FROM devices WHERE {plus}removed_at IS NULL AND number {which}
"""
_ENTITY_DOCUMENTS = """
    SELECT entities.number, concat_ws(' ', entities.name_by_user, entities.name, entities.entity_id),
        concat_ws(' ', entities.id, entities.unique_id, entities.platform, entities.device_class, entities.labels, entities.note,
            devices.name_by_user, devices.name, devices.manufacturer, devices.model, devices.serial_number,
            coalesce(entities.area_id, devices.area_id),
            (SELECT areas.name FROM areas
             WHERE areas.area_id = coalesce(entities.area_id, devices.area_id) AND areas.source_id = entities.source_id
                AND areas.removed_at IS NULL))
    FROM entities LEFT JOIN devices ON devices.device_id = entities.device_id AND devices.removed_at IS NULL
    WHERE {plus}entities.removed_at IS NULL AND entities.number {which}
"""
DOCUMENTS = {"device_search": _DEVICE_DOCUMENTS, "entity_search": _ENTITY_DOCUMENTS}

# The ways to those that have to be indexed anew; `ids` is the last. {this} is the parameter, {each} the table of an array's texts,
# {pairs} that of a JSON array's pairs, and {join} goes on from there.
WAYS: dict[str, dict[str, str]] = {
    "device_search": {
        "after": "SELECT number FROM devices WHERE number > {this}",
        "in areas": """
            SELECT devices.number FROM {pairs} AS area
            {join} devices ON devices.removed_at IS NULL AND devices.area_id = area.value ->> 1
            WHERE devices.source_id = area.value ->> 0
        """,
        "ids": "SELECT number FROM devices WHERE device_id IN (SELECT value FROM {each})",
    },
    "entity_search": {
        "after": "SELECT number FROM entities WHERE number > {this}",
        "in areas": """
            SELECT entities.number FROM {pairs} AS area
            {join} entities ON entities.removed_at IS NULL AND entities.area_id = area.value ->> 1
            WHERE entities.source_id = area.value ->> 0
            UNION SELECT entities.number FROM {pairs} AS area
            {join} devices ON devices.removed_at IS NULL AND devices.area_id = area.value ->> 1
            {join} entities ON entities.device_id = devices.device_id
            WHERE entities.source_id = area.value ->> 0
        """,
        "of devices": "SELECT number FROM entities WHERE device_id IN (SELECT value FROM {each}) AND removed_at IS NULL",
        "ids": "SELECT number FROM entities WHERE id IN (SELECT value FROM {each})",
    },
}
SAID = {
    # A CROSS JOIN goes from left to right. By itself SQLite reads all entities first, and all areas for each (2026-11).
    "sqlite": {"each": "json_each(?{place})", "pairs": "json_each(?{place})", "this": "?{place}", "join": "CROSS JOIN"},
    # The planner takes an array for the few that it is, and a JSON array for 100: then it read all devices, 12 ms for each PUT
    # among 11,000 and 0.2 ms this way (2026-11).
    "postgresql": {
        "each": "unnest(${place}::text[]) AS one (value)",
        "pairs": "json_array_elements(${place}::json)",
        "this": "${place}",
        "join": "JOIN",
    },
}


class Stale(NamedTuple):
    """A record, or several, that the index does not have as they are now: of which table, found which way, by which value."""

    table: str
    way: str
    value: Any


def add_new(connection: Connection, noun: str, after: int) -> None:
    """Index the devices or entities whose number is higher than `after`."""
    at_end(connection, _index_stale, [Stale("device_search" if noun == "devices" else "entity_search", "after", after)])


def add_all(connection: Connection) -> None:
    """Index every device and entity, and nothing else that was indexed."""
    for name, documents in DOCUMENTS.items():
        if connection.dialect.name == "sqlite":
            run(connection, f"INSERT INTO {name} ({name}) VALUES ('delete-all')")  # noqa: S608  (our own)
            run(connection, f"INSERT INTO {name} (rowid, names, facts) {documents.format(plus='+', which='> 0')}")
        else:
            run(connection, f"DELETE FROM {name}")  # noqa: S608  (our own)
            words.copy_documents(connection, name, documents.format(plus="", which="> 0"))


def refresh_areas(connection: Connection, areas: Iterable[tuple[str, str]]) -> None:
    """Index anew what stands in areas, (source_id, area_id), whose name changed."""
    at_end(connection, _index_stale, [Stale(name, "in areas", area) for area in areas for name in DOCUMENTS])


def refresh_devices(connection: Connection, device_ids: Iterable[str], *, with_entities: bool) -> None:
    """Index devices anew: themselves changed, then their entities with them, or only their entities came, went or were renamed."""
    ids = list(device_ids)
    at_end(connection, _index_stale, [Stale("device_search", "ids", one) for one in ids])
    if with_entities:
        at_end(connection, _index_stale, [Stale("entity_search", "of devices", one) for one in ids])


def refresh_entities(connection: Connection, keys: Iterable[str]) -> None:
    """Index entities anew, by their ids."""
    at_end(connection, _index_stale, [Stale("entity_search", "ids", key) for key in keys])


def _index_stale(connection: Connection, stale: list[Stale]) -> None:
    """Write the document of each such record, once, whichever ways lead to it; take out those of records that are gone."""
    for name, ways in WAYS.items():
        values = {way: [one.value for one in stale if one[:2] == (name, way)] for way in ways}
        found = {way: values[way] for way in ways if values[way]}
        if 0 in values["after"]:  # all there are: no other way leads to more
            found = {"after": [0]}
        if found:
            _write(connection, name, found)


def _write(connection: Connection, name: str, found: dict[str, list[Any]]) -> None:
    on_sqlite = connection.dialect.name == "sqlite"
    numbers, parameters = [], []
    for place, (way, values) in enumerate(found.items(), 1):
        said = {key: word.format(place=place) for key, word in SAID[connection.dialect.name].items()}
        numbers.append(WAYS[name][way].format(**said))
        parameters.append(_parameter(way, values, on_sqlite=on_sqlite))
    gone = f"DELETE FROM {name} WHERE rowid IN ({numbers[-1]} AND removed_at IS NOT NULL)" if "ids" in found else None  # noqa: S608  (our own)
    documents = DOCUMENTS[name].format(plus="+" if on_sqlite else "", which=f"IN ({' UNION '.join(numbers)})")
    if on_sqlite:
        if gone is not None:
            run(connection, gone, *parameters)
        # `OR REPLACE` takes the old one out: the index has no copy of the texts to compare with.
        run(connection, f"INSERT OR REPLACE INTO {name} (rowid, names, facts) {documents}", *parameters)
    else:  # in one round trip
        first = "" if gone is None else f"WITH gone AS ({gone}) "
        words.write_documents(connection, name, run(connection, first + documents, *parameters))


def _parameter(way: str, values: list[Any], *, on_sqlite: bool) -> Any:
    if way == "after":
        return min(values)
    return json_values(values) if on_sqlite or way == "in areas" else values
