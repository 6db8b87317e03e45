"""Lists: filtered, searched, in any order, page by page without losing a row, straight to JSON.

A page begins at a cut: a place in the order, given by the sort values and the key of a row that may be gone by now. Going forward a
page is the rows at or after its cut, going back the rows before it, so that two neighbours never overlap and never leave a gap.
Null is smaller than everything, as SQLite's indexes have it. What follows a cut is read in segments, each one range of an index:
first the rows that are equal in all sort values, then those equal in all but the last, and so on.
"""

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection

from homedex.registry import plans
from homedex.registry.cursors import Cut, read_cursor, segments, write_cursor
from homedex.registry.queries import Query
from homedex.registry.search import expressions
from homedex.registry.statements import Statements


class Listing(Statements):
    """One list that can be asked for: see `Statements` for what it is made of."""

    def page(self, connection: Connection, query: Query) -> tuple[bytes, dict[str, str | None]]:
        """One page as JSON: `{"<noun>": […], "next": cursor or null, "prev": cursor or null, "total": …, "facets": …}`.

        Returns: (the JSON, its two cursors).
        Raises:
            BadCursor: the cursor is not one of ours, or was given out for another question.
        """
        cut = None if query.cursor is None else read_cursor(query.cursor, self.noun, query, self._kinds(query))
        rows, more = self.rows(connection, query, cut, query.limit)
        cursors = self._neighbours(query, cut, rows, more=more)
        found = ",".join([row[0] for row in rows[: query.limit]])
        parts = [f'"{self.noun}":[{found}]', *(f'"{name}":{json.dumps(cursor)}' for name, cursor in cursors.items())]
        if query.count:
            parts.append(f'"total":{plans.total(connection, self, query)}')
        if query.facets:
            parts.append(f'"facets":{json.dumps(self.facets(connection, query), ensure_ascii=False, separators=(",", ":"))}')
        return ("{" + ",".join(parts) + "}").encode(), cursors

    def rows(self, connection: Connection, query: Query, cut: Cut | None, limit: int) -> tuple[list[Sequence[Any]], bool]:
        """Rows from a cut on, in the list's order, each (JSON text, sort values…, key…).

        Returns: (at most `limit` rows, and going forward one more where there is one; whether there are more beyond).
        """
        shape = self.shape(query)
        back = cut is not None and cut.back
        way = plans.way(connection, self, query)
        bound = self.bound(query)
        if cut is not None:
            bound |= {f"at_{place}": value for place, value in enumerate(cut.values)}
            bound |= {f"key_{place}": value for place, value in enumerate(cut.key)}
        ranked = self.is_ranked(query)
        tiers = expressions(query.search or "") if query.search else ()
        found: list[Sequence[Any]] = []
        most = limit + 1
        if cut is None and query.count and query.conditions:  # after the last match the rest of the table need not be read
            most = min(most, plans.total(connection, self, query))
        for segment in segments(query.sort, cut, tiers=len(tiers) - 1 if ranked else None):
            bound["limit"] = most - len(found)
            if segment.tier is not None:
                bound["match"] = tiers[segment.tier]
            rows = self.page_of(shape, segment, back=back, way=way).all(connection, bound)
            found.extend(rows if segment.tier is None else [(row[0], segment.tier, *row[1:]) for row in rows])
            if len(found) >= most:
                break
        more = len(found) > limit
        return (found[:limit][::-1], more) if back else (found, more)

    def facets(self, connection: Connection, query: Query) -> dict[str, list[dict[str, Any]]]:
        """For each facet asked for its values and how many rows have them, most first, under all filters but its own."""
        return {
            name: plans.remembered(connection, self, query, f"facet {name}", lambda name=name: self._facet(connection, query, name))  # type: ignore[misc]
            for name in query.facets
        }

    def _facet(self, connection: Connection, query: Query, name: str) -> list[dict[str, Any]]:
        if query.search and not expressions(query.search):
            return []
        counted = connection.execute(self.facet_of(self.shape(query), name), self.bound(query))
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
