"""Lists: filtered, in the order of a key, page by page without losing a row, straight to JSON."""

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, bindparam, func, select, tuple_
from sqlalchemy.orm import InstrumentedAttribute

from homedex.errors import BadCursor
from homedex.storage.json_sql import json_row, json_rows

Column = InstrumentedAttribute[Any]
Match = Callable[[Column], ColumnElement[bool]]
Filter = Callable[[Match], ColumnElement[bool]]
Values = Mapping[str, Sequence[Any]]


@dataclass(frozen=True, eq=False)
class Listing:
    """One list that can be asked for.

    Args:
        noun: its name in the answer, such as "devices".
        rows: SELECT of the columns that make one object, tombstones left out.
        key: the columns that order it; together unique, and the tail of every index behind a filter.
        filters: parameter -> its condition, built from `match(column)`, which is true where the column has one of the values.
    """

    noun: str
    rows: Select[Any]
    key: tuple[Column, ...]
    filters: Mapping[str, Filter]

    def page(self, connection: Connection, values: Values, *, limit: int, cursor: str | None = None) -> bytes:
        """One page as JSON: `{"<noun>": […], "next": cursor or null, "total": rows in all pages}`.

        Args:
            values: filter -> accepted values; several mean "any of".
            limit: most objects in the page.
            cursor: the `next` of the page before, asked for with the same filters.
        Raises:
            BadCursor: the cursor is not one of ours, or was given out for other filters.
        """
        chosen = {name: accepted for name, accepted in values.items() if accepted}
        shape = tuple((name, len(accepted) > 1) for name, accepted in chosen.items())
        bound: dict[str, Any] = {name: accepted if len(accepted) > 1 else accepted[0] for name, accepted in chosen.items()}
        bound |= {"limit": limit}
        if cursor is not None:
            bound |= {f"after_{number}": part for number, part in enumerate(self._read_cursor(cursor, chosen))}
        rows, following, total = connection.execute(self.statement(shape, after=cursor is not None), bound).one()
        position = "null" if following is None else f'"{self._write_cursor(json.loads(following), chosen)}"'
        return f'{{"{self.noun}":{rows},"next":{position},"total":{total}}}'.encode()

    @lru_cache(maxsize=1024)  # noqa: B019  (listings live as long as the program)
    def statement(self, shape: tuple[tuple[str, bool], ...], *, after: bool) -> Select[Any]:
        """The page's SELECT for these filters (name, whether it has several values): (rows as JSON, next key or null, total)."""
        conditions = [self.filters[name](_match(name, several=several)) for name, several in shape]
        found = self.rows.where(*conditions)
        rest = found
        if after:
            start: list[Any] = [bindparam(f"after_{number}") for number in range(len(self.key))]
            rest = found.where(tuple_(*self.key) >= tuple_(*start) if len(start) > 1 else self.key[0] >= start[0])
        page = rest.order_by(*self.key).limit(bindparam("limit")).subquery("page")
        key = json_row(*self.key)
        following = rest.with_only_columns(key).order_by(*self.key).limit(1).offset(bindparam("limit")).scalar_subquery()
        total = found.with_only_columns(func.count(), maintain_column_froms=True).order_by(None).scalar_subquery()
        return select(select(json_rows(*page.c)).scalar_subquery(), following, total)

    def _write_cursor(self, key: Mapping[str, Any], chosen: Values) -> str:
        text = json.dumps([_fingerprint(self.noun, chosen), *key.values()], separators=(",", ":"))
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    def _read_cursor(self, cursor: str, chosen: Values) -> list[str]:
        try:
            fingerprint, *key = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
            for part in key:
                part.encode()
        except (binascii.Error, ValueError, TypeError, AttributeError, RecursionError):
            fingerprint, key = None, []
        if len(key) != len(self.key) or not all(isinstance(part, str) for part in key):
            raise BadCursor("`cursor` is not one that this list gave out. Use the `next` of an earlier page as it is, or none.")
        if fingerprint != _fingerprint(self.noun, chosen):
            raise BadCursor(
                "`cursor` belongs to other filters. Ask with the filters of the page it came from, or start again without."
            )
        return [str(part) for part in key]


def _match(name: str, *, several: bool) -> Match:
    def match(column: Column) -> ColumnElement[bool]:
        if several:
            return column.in_(bindparam(name, expanding=True))
        return column == bindparam(name, type_=column.type)

    return match


def _fingerprint(noun: str, chosen: Values) -> str:
    """Twelve characters that stand for the list and the filters of a cursor."""
    canonical = noun + json.dumps({name: sorted(map(str, accepted)) for name, accepted in sorted(chosen.items())})
    return hashlib.blake2s(canonical.encode(), digest_size=6).hexdigest()
