"""Records looked up by one of their ids, many at once, with no more of them than is wanted."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Table, bindparam, select

from homedex.registry.records import Row
from homedex.storage.json_sql import TextList, among
from homedex.storage.rows import Prepared


def find(  # noqa: PLR0913  (the same as below)
    connection: Connection, table: Table, column: str, values: Iterable[str], columns: Sequence[str], *, present: bool = False
) -> list[Row]:
    """The rows that have one of these values."""
    found = find_values(connection, table, column, values, columns, present=present)
    return [dict(zip(columns, row, strict=True)) for row in found]


def find_values(  # noqa: PLR0913  (what is looked for, where, and what is wanted of it)
    connection: Connection, table: Table, column: str, values: Iterable[str], columns: Sequence[str], *, present: bool = False
) -> list[tuple[Any, ...]]:
    """What these columns hold in the rows that have one of these values.

    Args:
        present: no tombstones. Of a column that is not unique they stand apart in its index: it is of no use without this.
    """
    wanted = list(values)
    if not wanted:
        return []
    several = len(wanted) > 1
    statement = _select(table, column, tuple(columns), several=several, present=present)
    return statement.all(connection, {"values": wanted} if several else {"value": wanted[0]})


@lru_cache(maxsize=256)
def _select(table: Table, column: str, columns: tuple[str, ...], *, several: bool, present: bool) -> Prepared:
    chosen = select(*(table.c[name] for name in columns))
    if present:
        chosen = chosen.where(table.c.removed_at.is_(None))
    if not several:
        return Prepared(chosen.where(table.c[column] == bindparam("value")))
    return Prepared(chosen.where(among(table.c[column], bindparam("values", type_=TextList()))))
