"""Bounds that move with the clock, such as `-7d`: what is known of a question holds for the next bound if no row lies between."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import Connection

from homedex.registry import plans
from homedex.registry.memory import remembered
from homedex.registry.queries import Query
from homedex.registry.statements import Statements

NEAR = timedelta(hours=1)
"""How far a bound may have moved since it was last asked for."""

KEPT = 8
"""So many bounds of one question are kept: for `-1d` is asked as well as `-7d`."""

BEFORE, AFTER = "__lt", "__gte"
ALIASES = {"seen_before": f"last_seen{BEFORE}", "seen_after": f"last_seen{AFTER}"}

Bounds = tuple[datetime, ...]


def settled(connection: Connection, listed: Statements, query: Query) -> Query:
    """The same question with the bounds of the last time, where no row lies between those and these.

    Counting 200,000 rows before `-7d` anew for each request took 15 ms of 16, looking between the bounds takes 0.1 ms (2026-11).
    """
    places = [place for place, (name, values) in enumerate(query.conditions) if _moves(listed, name, values)]
    if not places or query.removed != "present" or connection.dialect.name != "sqlite":  # tombstones lie apart in each index
        return query
    now = tuple(query.conditions[place][1][0] for place in places)
    kept = remembered(connection, listed, _with(query, places, [None] * len(places)), "bounds", list[Bounds])
    last = min(kept, key=lambda one: _apart(one, now), default=None)
    if last is not None and _apart(last, now) <= NEAR:
        before = _with(query, places, last)
        more = [
            _more(connection, listed, query.conditions[place][0], *ends) for place, *ends in zip(places, last, now, strict=True)
        ]
        if not any(more):
            return before
        if len(query.conditions) == 1 and query.search is None and query.count:
            plans.count_on(connection, listed, before, query, more[0])
    kept.insert(0, now)
    del kept[KEPT:]
    return query


def _moves(listed: Statements, name: str, values: Sequence[object]) -> bool:
    """Whether it is one bound, and an index says what lies beside it."""
    suffixed = ALIASES.get(name, name).endswith((BEFORE, AFTER))
    return suffixed and len(values) == 1 and isinstance(values[0], datetime) and listed.is_findable(name)


def _apart(some: Bounds, others: Bounds) -> timedelta:
    return max(abs(one - other) for one, other in zip(some, others, strict=True))


def _with(query: Query, places: Sequence[int], values: Sequence[object]) -> Query:
    """The question with other bounds."""
    conditions = list(query.conditions)
    for place, value in zip(places, values, strict=True):
        conditions[place] = (conditions[place][0], (value,))
    return replace(query, conditions=tuple(conditions))


def _more(connection: Connection, listed: Statements, name: str, then: datetime, now: datetime) -> int:
    """How many rows more a filter accepts since its bound moved; fewer are negative."""
    if then == now:
        return 0
    field, _, how = ALIASES.get(name, name).rpartition("__")
    first, last = sorted((then, now))
    between = Query(conditions=((f"{field}{AFTER}", (first,)), (f"{field}{BEFORE}", (last,))))
    count = plans.count(connection, listed, between)
    return count if (how == "lt") == (now > then) else -count
