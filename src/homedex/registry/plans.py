"""How the rows of a list are best found, and the totals that decide it: counted once, and remembered until something changes."""

from math import isqrt
from time import perf_counter
from typing import NamedTuple

from sqlalchemy import Connection

from homedex.registry.memory import remembered
from homedex.registry.queries import Query
from homedex.registry.search import matches_of
from homedex.registry.statements import Statements, Way
from homedex.registry.tables import table_of
from homedex.storage.rows import run

FEW = 2_000
"""So many matches are read and sorted where nothing is known of what it costs; more are looked for in the order of the sort."""

SORTED_US, TESTED_US = 2.5, 1.4
"""A row that is looked up for its sort values and sorted; one that the order comes to and that is looked up for its filters."""

SET_US, STEP_US = 0.15, 0.09
"""A number that goes into a set; an entry of the sort's index that is looked up in it (all four at 1,000,000 devices, 2026-11)."""


class Counted(NamedTuple):
    """A total, and how many seconds it took to count."""

    total: int
    took_s: float


def way(connection: Connection, listed: Statements, query: Query) -> Way:
    """How the rows are best found. What is few is sorted; what is many is met soon in any order."""
    if listed.is_ranked(query) or not (query.conditions or query.search) or connection.dialect.name != "sqlite":
        return "order"  # PostgreSQL's planner weighs LIMIT by itself
    for name, values in query.conditions:
        if (
            name in listed.indexed
            and len(values) == 1
            and query.sort[1:] == ()
            and query.sort[:1] in {(), ((name, False),), ((name, True),)}
        ):
            return "both"
    if not query.sort and query.search is None and not any(listed.is_findable(name) for name, _ in query.conditions):
        return "order"
    matches = total if query.count else _count_to_many
    return cheapest(connection, listed, query, matches(connection, listed, query))


def cheapest(connection: Connection, listed: Statements, query: Query, matches: int) -> Way:
    """The way that costs least for a page, when so many rows match, no matter which.

    With M of N rows matching, the order reads N / M rows for each it finds, and sorting reads M: all of them far apart. Where an
    index alone names the M, a set of them is made in a tenth of that time, and the order of the sort is read from its index alone:
    1 % of 1,000,000 devices by another field's order took 12 to 18 ms by the other two ways, and takes 2 ms (2026-11).
    """
    if not _is_estimated(listed):
        return "order" if matches > FEW else "filter"
    numbers = _numbers(connection, listed)
    read = min(numbers, (query.limit + 1) * numbers // max(matches, 1))
    costs: dict[Way, float] = {"filter": matches * SORTED_US, "order": read * TESTED_US}
    if _has_set(listed, query):
        costs["set"] = matches * SET_US + read * STEP_US
    return min(costs, key=costs.__getitem__)


def _many(connection: Connection, listed: Statements, query: Query) -> int:
    """From how many matches on the order is the cheapest way."""
    if not _is_estimated(listed):
        return FEW
    ratio = (TESTED_US - STEP_US) / SET_US if _has_set(listed, query) else TESTED_US / SORTED_US
    return isqrt(int((query.limit + 1) * _numbers(connection, listed) * ratio)) + 1


def _is_estimated(listed: Statements) -> bool:
    return listed.key[0].key == "number"


def _has_set(listed: Statements, query: Query) -> bool:
    return bool(query.sort) and listed.is_set(listed.shape(query))


def _numbers(connection: Connection, listed: Statements) -> int:
    """How many rows there are, tombstones too."""
    return next(run(connection, f"SELECT max(number) FROM {table_of(listed.table).name}"))[0] or 0  # noqa: S608  (our own name)


def total(connection: Connection, listed: Statements, query: Query) -> int:
    """How many rows the question finds in all pages: exact, and remembered until something changes."""
    return counted(connection, listed, query).total


def counted(connection: Connection, listed: Statements, query: Query) -> Counted:
    """The same, and how long it took to count."""

    def find() -> Counted:
        begun = perf_counter()
        return Counted(count(connection, listed, query), perf_counter() - begun)

    return remembered(connection, listed, query, "total", find)


def count_on(connection: Connection, listed: Statements, before: Query, query: Query, more: int) -> None:
    """Remember the total of a question as that of another and so many more."""
    known = counted(connection, listed, before)
    remembered(connection, listed, query, "total", lambda: Counted(known.total + more, known.took_s))


def count(connection: Connection, listed: Statements, query: Query) -> int:
    """How many rows the question finds now."""
    if query.search and not matches_of(query.search):
        return 0
    found = listed.total_of(listed.shape(query)).one_or_none(connection, listed.bound(query))
    return int(found[0]) if found else 0


def _count_to_many(connection: Connection, listed: Statements, query: Query) -> int:
    """The total, as far as it matters."""
    most = _many(connection, listed, query) + 1

    def find() -> int:
        found = listed.total_to(listed.shape(query)).one_or_none(connection, listed.bound(query) | {"few": most})
        return int(found[0]) if found else 0

    return remembered(connection, listed, query, ("count to", most), find)
