"""The SQL of one range of an order: what its segment asks of the sort fields and the key."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Column, ColumnElement, bindparam, null, tuple_

from homedex.registry.cursors import Segment


def tests(segment: Segment, columns: Sequence[Any], key: Sequence[Any], named: Sequence[Column[Any]]) -> list[ColumnElement[bool]]:
    """The conditions of a segment.

    Args:
        columns: the sort fields' SQL.
        key: the key's SQL, of the columns that are `named`.
    """
    found = [_test(column, how, place) for place, (column, how) in enumerate(zip(columns, segment.tests, strict=False))]
    if segment.key:
        binds = [bindparam(f"key_{place}", type_=column.type) for place, column in enumerate(named)]
        found.append(compared(one_or_tuple(key), segment.key, one_or_tuple(binds)))
    return found


def one_or_tuple(columns: Sequence[Any]) -> Any:
    """A key as SQL compares it."""
    return columns[0] if len(columns) == 1 else tuple_(*columns)


def _test(column: Any, how: str, place: int) -> ColumnElement[bool]:
    """One of a segment's conditions: on the sort field of that place."""
    bound = bindparam(f"at_{place}", type_=column.type)
    if how in {"null", "some"}:
        return column.is_(null()) if how == "null" else column.is_not(null())  # type: ignore[no-any-return]
    return compared(column, how, bound)


def compared(left: Any, how: str, right: Any) -> ColumnElement[bool]:
    """A comparison by its sign."""
    if how == "=":
        return left == right  # type: ignore[no-any-return]
    if how in {">", ">="}:
        return left > right if how == ">" else left >= right  # type: ignore[no-any-return]
    return left < right if how == "<" else left <= right  # type: ignore[no-any-return]


def ordered(column: Any, *, down: bool) -> ColumnElement[Any]:
    """The order by a column: null is smaller than everything, as SQLite's indexes have it."""
    return column.desc().nulls_last() if down else column.asc().nulls_first()  # type: ignore[no-any-return]
