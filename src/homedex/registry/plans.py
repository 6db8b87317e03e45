"""How the rows of a list are best found, and the totals that decide it: counted once, and remembered until something changes."""

from collections import OrderedDict
from collections.abc import Callable
from math import isqrt
from typing import Any

from sqlalchemy import Connection

from homedex.registry.queries import Query
from homedex.registry.search import expressions
from homedex.registry.statements import Statements, Way
from homedex.registry.tables import table_of
from homedex.storage.rows import driver, run

FEW = 2_000
"""So many matches are read and sorted; more are looked for in the order of the sort's index. See `few`."""

REMEMBERED = 512
"""How many totals and facets each connection keeps."""


def way(connection: Connection, listed: Statements, query: Query) -> Way:
    """How the rows are best found. What is few is sorted; what is many is met soon in any order."""
    if listed.is_ranked(query) or not (query.conditions or query.search):
        return "order"
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
    count = total if query.count else _count_to_many
    return "order" if count(connection, listed, query) > few(connection, listed, query) else "filter"


def few(connection: Connection, listed: Statements, query: Query) -> int:
    """From how many matches on it costs less to walk the order until a page is full than to sort them all.

    With M of N rows matching, the walk reads N / M rows for each it finds, and sorting reads M: all of them far apart.
    """
    if listed.key[0].key != "number" or connection.dialect.name != "sqlite":
        return FEW
    newest = next(run(connection, f"SELECT max(number) FROM {table_of(listed.table).name}"))[0] or 0  # noqa: S608  (our own name)
    return isqrt((query.limit + 1) * newest)


def total(connection: Connection, listed: Statements, query: Query) -> int:
    """How many rows the question finds in all pages: exact, and remembered until something changes."""
    return int(remembered(connection, listed, query, "total", lambda: _count(connection, listed, query)))


def _count(connection: Connection, listed: Statements, query: Query) -> int:
    if query.search and not expressions(query.search):
        return 0
    return connection.scalar(listed.total_of(listed.shape(query)), listed.bound(query)) or 0


def _count_to_many(connection: Connection, listed: Statements, query: Query) -> int:
    """The total, as far as it matters."""
    most = few(connection, listed, query) + 1

    def count() -> int:
        return connection.scalar(listed.total_to(listed.shape(query)), listed.bound(query) | {"few": most}) or 0

    return int(remembered(connection, listed, query, "count to many", count))


def remembered(connection: Connection, listed: Statements, query: Query, what: str, find: Callable[[], Any]) -> Any:
    """What was found for this question since the last change, else what is found now.

    `changes` grows with every change of what is counted here, but not with sightings, and its oldest are forgotten: those any
    commit may have changed.
    """
    memory: OrderedDict[Any, tuple[Any, Any]] = connection.info.setdefault("remembered", OrderedDict())
    asked = (listed.noun, what, query.conditions, query.search, query.removed)
    newest: Any = newest_change(connection)
    named = what.removeprefix("facet ")
    fields, filters = listed.questions.fields, listed.questions.filters
    of_commits = listed.noun == "changes" or (named in fields and fields[named].sighted)
    if of_commits or any(filters[name].sighted for name, _ in query.conditions):
        if connection.dialect.name != "sqlite":
            return find()
        newest = (newest, next(run(connection, "PRAGMA data_version"))[0], driver(connection).total_changes())
    known = memory.get(asked)
    if known is not None and known[0] == newest:
        memory.move_to_end(asked)
        return known[1]
    found = find()
    memory[asked] = (newest, found)
    if len(memory) > REMEMBERED:
        memory.popitem(last=False)
    return found


def newest_change(connection: Connection) -> int | None:
    """The number of the last change there is."""
    statement = "SELECT max(seq) FROM changes"
    if connection.dialect.name == "sqlite":
        return next(run(connection, statement))[0]  # type: ignore[no-any-return]
    return connection.exec_driver_sql(statement).scalar()
