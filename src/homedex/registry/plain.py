"""Edits that need no thought: a new row that says facts alone, and a row that says what is stored already.

They are most rows of most bulk requests. To decide one in full takes 4 us; found out here, 0.7 us (2026-11).
"""

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import Connection

from homedex.registry import devices
from homedex.registry.lookup import find_values
from homedex.registry.memory import newest_change
from homedex.registry.records import NOUNS, Row
from homedex.registry.sources import MANUAL

if TYPE_CHECKING:
    from homedex.registry.edits import Edit

KEY_PLACE = 3
"""Where the key is in a row that was looked up, after its version, source and removal."""

PIECE = 1000
"""Rows that are looked at together: 10,000 fit no cache, and to go through them again and again took half as long again."""

SAMPLE = 64
"""Rows of a request that are looked at before all are."""

MERGED = ("extra",)
"""Columns whose values merge into what is stored."""

Values = tuple[Any, ...]


class Said(NamedTuple):
    """What a read found of a request's rows.

    Args:
        places: of those that say nothing new, in the request.
        newest: the number of the newest change then. While it is that, nothing has become of them.
    """

    places: AbstractSet[int]
    newest: int | None


def find_said(connection: Connection, rows: Sequence[Row]) -> Said:
    """The rows of devices that say what is stored already, as they came: what is stored obeys the rules, so none is asked.

    A sample is looked at first. Where less than half of it says nothing new, the others are not looked at.
    """
    newest = newest_change(connection)
    keys = [row.get("device_id") for row in rows]
    if newest is None or set(map(type, keys)) != {str} or len(set(keys)) != len(rows):  # a later row may undo an earlier one
        return Said(frozenset(), newest)
    sample = rows[:: max(1, len(rows) // SAMPLE)]
    if 2 * len(_said(connection, sample)) < len(sample):
        return Said(frozenset(), newest)
    said = set().union(*(_said(connection, rows[place : place + PIECE]) for place in range(0, len(rows), PIECE)))
    return Said({place for place, key in enumerate(keys) if key in said}, newest)


def _said(connection: Connection, rows: Sequence[Row]) -> set[str]:
    stated = {row["device_id"]: row for row in rows}
    named = set().union(*set(map(tuple, rows)))
    columns = ("version", "source_id", "removed_at", "device_id", *(name for name in devices.FACTS if name in named))
    return settled(stated, columns, find_values(connection, NOUNS["devices"].table, "device_id", list(stated), columns))


def settled(stated: Mapping[str, Mapping[str, Any]], columns: Sequence[str], found: Iterable[Values]) -> set[str]:
    """The keys of the rows kept by hand, and not removed, that say already all that is stated of them.

    They are compared column by column: row by row took nearly twice as long (2026-11).

    Args:
        stated: what the row of each key shall say.
        columns: of the rows that were found.
    """
    mine = [row for row in found if row[1] == MANUAL and row[2] is None and row[KEY_PLACE] in stated]
    if not mine:
        return set()
    stored = dict(zip(columns, zip(*mine, strict=True), strict=True))
    keys = stored[columns[KEY_PLACE]]
    rows = [stated[key] for key in keys]
    same = set(keys)
    shapes = [set(names) for names in set(map(tuple, rows))]
    named, everywhere = set().union(*shapes), set.intersection(*shapes)
    others = named.difference(stored).union(MERGED)  # of which there may be a million: they are gone through once
    same.difference_update(key for key, row in zip(keys, rows, strict=True) if not others.isdisjoint(row))
    for name in named - others:
        values = stored[name]
        if name in everywhere:
            given = tuple(map(itemgetter(name), rows))
        else:
            given = tuple([row.get(name, value) for row, value in zip(rows, values, strict=True)])
        if given != values:
            same.difference_update(key for key, one, other in zip(keys, given, values, strict=True) if one != other)
    return same


def is_plain(edit: "Edit") -> bool:
    """Whether an edit asks for nothing but that its values shall be so."""
    return edit.way == "upsert" and edit.error is None and edit.versions is None and not edit.only_new


def new_row(edit: "Edit", key: str, facts: dict[str, None], but: Sequence[str]) -> Row | None:
    """The row of a plain edit of what is not there yet; None where it says more than facts, clears some, or is a patch of `but`."""
    values = edit.values
    if not is_plain(edit) or None in values.values() or not values.keys() <= facts.keys() or not values.keys().isdisjoint(but):
        return None
    return {key: edit.key, **values}
