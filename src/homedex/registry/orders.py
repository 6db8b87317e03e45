"""What is learnt of a question while it takes long: where its first match is, and when it is asked often, the order of all."""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from homedex.registry import plans
from homedex.registry.cursors import Cut
from homedex.registry.memory import remembered
from homedex.registry.queries import Query
from homedex.registry.statements import Statements, Way
from homedex.storage.rows import json_values

SLOW_S = 0.0015
"""From how many seconds for one page on something is learnt of a question: three times what a page takes that is found at once."""

SORTED_S = 3e-6
"""What it takes to look up a row and sort it (2026-11)."""

LONGEST = 50_000
"""So many matches at most are kept in order: 400 KB of numbers, 0.2 s to sort."""

KEPT = 8
"""So many orders at most a connection keeps: 3 MB."""


@dataclass(eq=False)
class Asked:
    """One question in one order, until something changes.

    Args:
        pages: how many were asked for.
        spent_s: seconds that those of them took that were slow.
        start: the place of its first match.
        numbers: of all that match, in order.
    """

    pages: int = 0
    spent_s: float = 0.0
    start: Cut | None = None
    numbers: "array[int] | None" = None


def asked(connection: Connection, listed: Statements, query: Query, way: Way) -> Asked | None:
    """What is known of this question; None where nothing needs to be learnt: an index leads to its page."""
    if way == "both" or listed.is_ranked(query) or not (query.conditions or query.search):
        return None
    if connection.dialect.name != "sqlite" or listed.key[0].key != "number":
        return None
    return remembered(connection, listed, query, ("order", query.sort), Asked, [name for name, _ in query.sort])


def learn(connection: Connection, listed: Statements, query: Query, known: Asked, first: Cut | None, took_s: float) -> None:  # noqa: PLR0913
    """Learn from a page that took long, but not from the first: its statement was compiled, and its rows were read from the disk.

    All that match are put in order once the pages have taken as long as that will: at most twice the time of the better way. A page
    of 1 % of 1,000,000 devices takes 2 ms by another field's order, and 60 ms where they lie at its end; 0.5 ms from here.

    Args:
        first: the place of the question's first match, where it was met.
    """
    known.pages += 1
    if known.pages == 1 or took_s < SLOW_S or known.numbers is not None:
        return
    known.spent_s += took_s
    known.start = first or known.start
    if query.count and _pays(known.spent_s, plans.counted(connection, listed, query)):
        _put_in_order(connection, listed, query, known)


def _pays(spent_s: float, counted: plans.Counted) -> bool:
    return counted.total <= LONGEST and spent_s >= counted.took_s + counted.total * SORTED_S


def _put_in_order(connection: Connection, listed: Statements, query: Query, known: Asked) -> None:
    found = listed.order_of(listed.shape(query)).all(connection, listed.bound(query))
    known.numbers = array("q", (row[0] for row in found))
    kept: list[Asked] = connection.info.setdefault("orders", [])
    kept.append(known)
    if len(kept) > KEPT:
        oldest = kept.pop(0)
        oldest.numbers, oldest.spent_s = None, 0.0


def read(connection: Connection, listed: Statements, query: Query, known: Asked, cut: Cut | None) -> list[Sequence[Any]] | None:
    """Rows from a cut on and away from it, one more than a page where there is one; None where that order does not say.

    It does not where the row of the cut has been changed or removed since the cut was given out.
    """
    if known.numbers is None:
        return None
    wanted = _from(known.numbers, cut, query.limit + 1)
    if wanted is None:
        return None
    rows: list[Sequence[Any]] = list(
        listed.rows_of(listed.shape(query)).all(connection, listed.bound(query) | {"numbers": json_values(wanted)})
    )
    by_number = {row[-1]: row for row in rows}
    found = [by_number[number] for number in wanted if number in by_number]
    if len(found) < len(wanted):
        return None
    if cut is None:
        return found
    return None if tuple(found[0][1:-1]) != cut.values else found[1:] if cut.back else found


def _from(numbers: "array[int]", cut: Cut | None, most: int) -> Sequence[int] | None:
    """The numbers to read, the cut's own first; going back, it is one more."""
    if cut is None:
        return numbers[:most]
    try:
        place = numbers.index(cut.key[0])
    except ValueError:
        return None
    return numbers[place : place + most] if not cut.back else numbers[max(0, place - most) : place + 1][::-1]
