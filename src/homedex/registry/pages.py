"""Lists: filtered, searched, in any order, page by page without losing a row, straight to JSON.

A page begins at a cut: a place in the order, given by the sort values and the key of a row that may be gone by now. Going forward a
page is the rows at or after its cut, going back the rows before it, so that two neighbours never overlap and never leave a gap.
Null is smaller than everything, as SQLite's indexes have it. What follows a cut is read in segments, each one range of an index:
first the rows that are equal in all sort values, then those equal in all but the last, and so on.
"""

import json
from collections.abc import Sequence
from functools import partial
from time import perf_counter
from typing import Any

from sqlalchemy import Connection

from homedex.registry import bounds, orders, plans
from homedex.registry.cursors import Cut, read_cursor, segments, write_cursor
from homedex.registry.memory import remembered
from homedex.registry.queries import Query
from homedex.registry.search import matches_of
from homedex.registry.statements import Statements, Way


class Listing(Statements):
    """One list that can be asked for: see `Statements` for what it is made of."""

    def page(self, connection: Connection, query: Query) -> tuple[bytes, dict[str, str | None]]:
        """One page as JSON: `{"<noun>": […], "next": cursor or null, "prev": cursor or null, "total": …, "facets": …}`.

        Returns: (the JSON, its two cursors).
        Raises:
            BadCursor: the cursor is not one of ours, or was given out for another question.
        """
        cut = None if query.cursor is None else read_cursor(query.cursor, self.noun, query, self._kinds(query))
        asked = bounds.settled(connection, self, query)
        rows, more = self._page(connection, asked, cut)
        cursors = self._neighbours(query, cut, rows, more=more)
        found = ",".join([row[0] for row in rows[: query.limit]])
        places = (f'"{name}":null' if cursor is None else f'"{name}":"{cursor}"' for name, cursor in cursors.items())
        parts = [f'"{self.noun}":[{found}]', *places]
        if query.count:
            parts.append(f'"total":{plans.total(connection, self, asked)}')
        if query.facets:
            parts.append(f'"facets":{json.dumps(self.facets(connection, asked), ensure_ascii=False, separators=(",", ":"))}')
        return ("{" + ",".join(parts) + "}").encode(), cursors

    def rows(self, connection: Connection, query: Query, cut: Cut | None, limit: int) -> tuple[list[Sequence[Any]], bool]:
        """Rows from a cut on, in the list's order, each (JSON text, sort values…, key…).

        Returns: (at most `limit` rows, and going forward one more where there is one; whether there are more beyond).
        """
        way = plans.way(connection, self, query)
        return _turned(self._read(connection, query, cut, self._most(connection, query, cut, limit), way), cut, limit)

    def _page(self, connection: Connection, query: Query, cut: Cut | None) -> tuple[list[Sequence[Any]], bool]:
        """The rows of a page, as `rows` has them; what took long is learnt from."""
        way = plans.way(connection, self, query)
        known = orders.asked(connection, self, query, way)
        most = self._most(connection, query, cut, query.limit)
        found = None if known is None else orders.read(connection, self, query, known, cut)
        if found is None:
            begun = perf_counter()
            found = self._read(connection, query, known.start if known is not None and cut is None else cut, most, way)
            if known is not None:
                first = self.cut_at(found[0]) if found and cut is None and way == "order" else None
                orders.learn(connection, self, query, known, first, perf_counter() - begun)
        return _turned(found, cut, query.limit)

    def _most(self, connection: Connection, query: Query, cut: Cut | None, limit: int) -> int:
        """How many rows to look for: after the last match the rest of the table need not be read."""
        counted = cut is None and query.count and query.conditions
        return min(limit + 1, plans.total(connection, self, query)) if counted else limit + 1

    def _read(self, connection: Connection, query: Query, cut: Cut | None, most: int, way: Way) -> list[Sequence[Any]]:
        """At most so many rows from a cut on and away from it, range by range of the order."""
        shape, bound = self.shape(query), self.bound(query)
        if cut is not None:
            bound |= {f"at_{place}": value for place, value in enumerate(cut.values)}
            bound |= {f"key_{place}": value for place, value in enumerate(cut.key)}
        tiers = matches_of(query.search or "") if query.search else ()
        found: list[Sequence[Any]] = []
        for segment in segments(query.sort, cut, tiers=len(tiers) - 1 if self.is_ranked(query) else None):
            bound["limit"] = most - len(found)
            if segment.tier is not None:
                bound["match"] = tiers[segment.tier]
            rows = self.page_of(shape, segment, back=cut is not None and cut.back, way=way).all(connection, bound)
            found.extend(rows if segment.tier is None else [(row[0], segment.tier, *row[1:]) for row in rows])
            if len(found) >= most:
                break
        return found

    def facets(self, connection: Connection, query: Query) -> dict[str, list[dict[str, Any]]]:
        """For each facet asked for its values and how many rows have them, most first, under all filters but its own."""
        return {
            name: remembered(connection, self, query, f"facet {name}", partial(self._facet, connection, query, name), (name,))
            for name in query.facets
        }

    def _facet(self, connection: Connection, query: Query, name: str) -> list[dict[str, Any]]:
        if query.search and not matches_of(query.search):
            return []
        counted = self.facet_of(self.shape(query), name).all(connection, self.bound(query))
        return [{"value": value, "count": count} for value, count in counted]

    def _kinds(self, query: Query) -> list[str]:
        """Of what kind the values of a cursor are: those of the sort fields, then those of the key."""
        if self.is_ranked(query):
            return ["tier", "number"]
        keys = ["number" if column.key in {"number", "seq"} else "text" for column in self.key]
        return [*(self.questions.fields[name].kind for name, _ in query.sort), *keys]

    def _neighbours(self, query: Query, cut: Cut | None, rows: Sequence[Any], *, more: bool) -> dict[str, str | None]:
        """The cursors of the next page and of the one before."""

        def at(row: Sequence[Any], *, back: bool) -> str:
            return write_cursor(self.cut_at(row, back=back), self.noun, query)

        if cut is not None and cut.back:
            following = write_cursor(Cut(back=False, values=cut.values, key=cut.key), self.noun, query)
            return {"next": following, "prev": at(rows[0], back=True) if more else None}
        before = None if cut is None else write_cursor(Cut(back=True, values=cut.values, key=cut.key), self.noun, query)
        return {"next": at(rows[-1], back=False) if more else None, "prev": before}

    def cut_at(self, row: Sequence[Any], *, back: bool = False) -> Cut:
        """The place of one of `rows`."""
        keys = len(row) - len(self.key)
        return Cut(back, tuple(row[1:keys]), tuple(row[keys:]))


def _turned(found: list[Sequence[Any]], cut: Cut | None, limit: int) -> tuple[list[Sequence[Any]], bool]:
    """Rows that were read away from a cut, in the list's order; whether there are more beyond."""
    more = len(found) > limit
    return (found[:limit][::-1] if cut is not None and cut.back else found), more
