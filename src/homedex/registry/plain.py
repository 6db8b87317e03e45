"""Edits that need no thought: a new row that says facts alone, and a row that says what is stored already.

They are most rows of most bulk requests. To decide one in full takes 4 us; found out here, 0.7 us (2026-11).
"""

from collections.abc import Callable, Iterable, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from homedex.registry.records import Row

if TYPE_CHECKING:
    from homedex.registry.edits import Edit

KEY_PLACE = 3
"""Where the key is in a row that was looked up, after its version, source and removal."""

Values = tuple[Any, ...]
Pick = Callable[[Values], Values]


def settled(edits: Iterable["Edit"], columns: Sequence[str], found: Iterable[Values], owner: str, but: Sequence[str]) -> set[str]:
    """The keys of the stored rows, of this owner and not removed, that say already all that an upsert of them says.

    Args:
        columns: of the rows that were found.
        but: columns in which a value is a patch, not what shall be.
    """
    present = {row[KEY_PLACE]: row for row in found if row[1] == owner and row[2] is None}
    places = {name: place for place, name in enumerate(columns) if name not in but}
    picks: dict[tuple[str, ...], Pick | None] = {}
    same: set[str] = set()
    for edit in edits if present else ():
        row = present.get(edit.key)
        if row is None or not is_plain(edit):
            continue
        names = tuple(edit.values)
        pick = picks[names] if names in picks else picks.setdefault(names, _pick(places, names))
        if pick is not None and pick(row) == (edit.key, edit.key, *edit.values.values()):
            same.add(edit.key)
    return same


def _pick(places: dict[str, int], names: tuple[str, ...]) -> Pick | None:
    """What takes these columns out of a row; the key comes twice before them, because a getter of one place gives no tuple."""
    if not places.keys() >= set(names):
        return None
    return itemgetter(KEY_PLACE, KEY_PLACE, *(places[name] for name in names))


def is_plain(edit: "Edit") -> bool:
    """Whether an edit asks for nothing but that its values shall be so."""
    return edit.way == "upsert" and edit.error is None and edit.versions is None and not edit.only_new


def new_row(edit: "Edit", key: str, facts: dict[str, None], but: Sequence[str]) -> Row | None:
    """The row of a plain edit of what is not there yet; None where it says more than facts, clears some, or is a patch of `but`."""
    values = edit.values
    if not is_plain(edit) or None in values.values() or not values.keys() <= facts.keys() or not values.keys().isdisjoint(but):
        return None
    return {key: edit.key, **values}
