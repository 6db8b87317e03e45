"""What a connection remembers of the questions it was asked, until something changes."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from sqlalchemy import Connection

from homedex.registry.queries import Query
from homedex.registry.statements import Statements
from homedex.storage.rows import driver, run

T = TypeVar("T")

REMEMBERED = 512
"""How many totals, facets and orders each connection keeps."""


def remembered(  # noqa: PLR0913  (what is asked, of whom, and how it is found)
    connection: Connection, listed: Statements, query: Query, what: Any, find: Callable[[], T], fields: Sequence[str] = ()
) -> T:
    """What was found for this question since the last commit, else what is found now.

    SQLite knows of everybody's commits, a shell's too. PostgreSQL does not say, but `changes` grows with every change that Homedex
    makes of what is asked for here. Sightings do not make it grow, and its oldest are forgotten: those any commit may have changed.

    Args:
        what: of the question: "total", a facet, an order.
        fields: whose values decide it, beside those of the filters.
    """
    memory: OrderedDict[Any, tuple[Any, Any]] = connection.info.setdefault("remembered", OrderedDict())
    asked = (listed.noun, what, query.conditions, query.search, query.removed)
    newest: Any
    if connection.dialect.name == "sqlite":
        newest = (next(run(connection, "PRAGMA data_version"))[0], driver(connection).total_changes())
    elif listed.noun == "changes" or _is_of_sightings(listed, query, fields):
        return find()
    else:
        newest = newest_change(connection)
    known = memory.get(asked)
    if known is not None and known[0] == newest:
        memory.move_to_end(asked)
        return known[1]  # type: ignore[no-any-return]
    found = find()
    memory[asked] = (newest, found)
    if len(memory) > REMEMBERED:
        memory.popitem(last=False)
    return found


def _is_of_sightings(listed: Statements, query: Query, fields: Sequence[str]) -> bool:
    questions = listed.questions
    sighted = [questions.fields[name].sighted for name in fields]
    return any(sighted) or any(questions.filters[name].sighted for name, _ in query.conditions)


def newest_change(connection: Connection) -> int | None:
    """The number of the newest change; None while nothing has ever happened."""
    return next(run(connection, "SELECT max(seq) FROM changes"))[0]  # type: ignore[no-any-return]
