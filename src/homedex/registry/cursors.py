"""Places in the order of a list: cuts, the segments that follow one, and the opaque cursors that carry them."""

import base64
import binascii
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from homedex.errors import BadCursor
from homedex.registry.queries import EPOCH, LARGEST_NUMBER, Query
from homedex.registry.search import TIERS
from homedex.storage.types import compact_json, to_text

Conditions = tuple[tuple[str, tuple[Any, ...]], ...]
Sort = tuple[tuple[str, bool], ...]

LONGEST_CURSOR = 60 * 1024
"""An address may have 64 KiB, and four texts of 1024 characters that take four bytes each make 22."""


@dataclass(frozen=True, slots=True)
class Cut:
    """A place in the order of a list, and which way to go from it.

    Args:
        back: the rows before it are wanted, not those at or after it.
        values: of the sort fields there; with a search by relevance, the tier.
        key: of the list's key there.
    """

    back: bool
    values: tuple[Any, ...]
    key: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Segment:
    """One range of the order.

    Args:
        tests: of the leading sort fields: `=` and `null` (the same as the cut), `>`, `<`, and `some` (any value but null).
        key: how the key compares with the cut's; empty where it need not.
        tier: of a search by relevance.
    """

    tests: tuple[str, ...] = ()
    key: str = ""
    tier: int | None = None


def segments(sort: Sequence[tuple[str, bool]], cut: Cut | None, *, tiers: int | None = None) -> Iterator[Segment]:
    """The ranges that follow a cut, in the order in which they are read: away from it.

    Args:
        sort: (field, descending).
        cut: where to begin; None for the whole list.
        tiers: of a search by relevance how many there are (-1: it has no words, nothing is found); None for other orders.
    """
    if tiers is not None:
        yield from _tiers(cut, tiers)
        return
    if cut is None:
        yield Segment()
        return
    same = tuple("null" if value is None else "=" for value in cut.values)
    down = (sort[-1][1] if sort else False) != cut.back
    yield Segment(same, _beyond(down=down, here=not cut.back))
    for place in range(len(sort) - 1, -1, -1):
        descending = sort[place][1] != cut.back
        if not descending:
            yield Segment((*same[:place], "some" if cut.values[place] is None else ">"))
        elif cut.values[place] is not None:
            yield Segment((*same[:place], "<"))
            yield Segment((*same[:place], "null"))


def _tiers(cut: Cut | None, tiers: int) -> Iterator[Segment]:
    if tiers < 1:
        return
    if cut is None:
        yield from (Segment(tier=tier) for tier in range(tiers))
        return
    here = cut.values[0]
    yield Segment(tier=here, key=_beyond(down=cut.back, here=not cut.back))
    beyond = range(here - 1, -1, -1) if cut.back else range(here + 1, tiers)
    yield from (Segment(tier=tier) for tier in beyond)


def _beyond(*, down: bool, here: bool) -> str:
    return ("<" if down else ">") + ("=" if here else "")


def write_cursor(cut: Cut, noun: str, query: Query) -> str:
    """A cut as an opaque text, bound to its question."""
    values = [to_text(value) if isinstance(value, datetime) else value for value in (*cut.values, *cut.key)]
    content = compact_json([fingerprint(noun, query), "b" if cut.back else "f", *values])
    text = base64.urlsafe_b64encode(content.encode()).decode().rstrip("=")
    return text if query.asked_at is None else f"{(query.asked_at - EPOCH) // timedelta(microseconds=1)}.{text}"


def read_cursor(cursor: str, noun: str, query: Query, kinds: Sequence[str]) -> Cut:
    """The cut that a cursor stands for.

    Args:
        kinds: of the sort values, which may be null, and then of the key, which may not.
    Raises:
        BadCursor: it is none of ours, or belongs to another question.
    """
    cursor = cursor.rpartition(".")[2]  # before it stands what `asked_at` reads
    try:
        content = base64.b64decode(cursor[:LONGEST_CURSOR] + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        mark, way, *values = json.loads(content)
        known = mark == fingerprint(noun, query)
        if known:
            return _cut(way, values, kinds, len(query.sort) or int(query.search is not None))
    except (binascii.Error, ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        known = True
    if not known:
        raise BadCursor(
            "`cursor` belongs to another question. Ask with the filters and sort of the page it came from, or start again."
        )
    raise BadCursor("`cursor` is not one that this list gave out. Use the `next` or `prev` of another page as it is, or none.")


def _cut(way: str, values: Sequence[Any], kinds: Sequence[str], sorted_by: int) -> Cut:
    if way not in {"b", "f"} or len(values) != len(kinds):
        raise ValueError
    read = [_value(value, kind) for value, kind in zip(values, kinds, strict=True)]
    if any(value is None for value in read[sorted_by:]):
        raise ValueError
    return Cut(way == "b", tuple(read[:sorted_by]), tuple(read[sorted_by:]))


def _value(value: Any, kind: str) -> Any:
    if value is None and kind != "tier":
        return None
    if kind == "time":
        moment = datetime.fromisoformat(value)
        return moment.astimezone(UTC)
    if kind == "tier" and value not in range(TIERS):
        raise ValueError
    if kind in {"number", "tier"}:
        if type(value) is not int or abs(value) > LARGEST_NUMBER:
            raise ValueError
        return value
    if "\0" in value:  # PostgreSQL refuses to hear of such a text, and there is none
        raise ValueError
    value.encode()
    return value


def fingerprint(noun: str, query: Query) -> str:
    """Twelve characters that stand for the list, its filters, its search and its order."""
    return _fingerprint(noun, query.conditions, query.search, query.sort, query.removed)


@lru_cache(maxsize=64)  # 6 us a page (2026-11), and most pages are of a few questions
def _fingerprint(noun: str, conditions: Conditions, search: str | None, sort: Sort, removed: str) -> str:
    said = [[name, sorted(map(str, values))] for name, values in conditions]
    asked = json.dumps([noun, said, search, sort, removed])
    return hashlib.blake2s(asked.encode(), digest_size=6).hexdigest()
