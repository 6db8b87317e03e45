"""Lists: filtered, searched, in any order, page by page without losing a row, straight to JSON.

A page begins at a cut: a place in the order, given by the sort values and the key of a row that may be gone by now. Going forward a
page is the rows at or after its cut, going back the rows before it, so that two neighbours never overlap and never leave a gap.
Null is smaller than everything, as SQLite's indexes have it. What follows a cut is read in segments, each one range of an index:
first the rows that are equal in all sort values, then those equal in all but the last, and so on.

Source: comparing rows as `(a, b) > (x, y)`, as off-the-shelf keyset libraries do, loses rows where a or x is null (2026-11).
"""

import json
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from math import isqrt
from typing import Any, Literal

from sqlalchemy import Column, ColumnElement, Connection, FromClause, Select, Table, bindparam, func, literal, null, select, tuple_
from sqlalchemy.sql.visitors import replacement_traverse

from homedex.registry.cursors import Cut, Segment, read_cursor, segments, write_cursor
from homedex.registry.queries import Query, Questions
from homedex.registry.search import NOTHING, Index, expressions
from homedex.registry.tables import Base, table_of
from homedex.storage.json_sql import json_row
from homedex.storage.rows import Prepared, by_row, driver, run

Key = Column[Any]

Way = Literal["order", "filter", "both"]
"""How rows are found: in the order of the sort, each tested; by the filters, then sorted; or by one index that does both."""

FEW = 2_000
"""So many matches are read and sorted; more are looked for in the order of the sort's index. See `_few`."""

REMEMBERED = 512
"""How many totals and facets each connection keeps."""

MOST_FACET_VALUES = 1000

ONE_BY = {"devices": ("device_id",), "entities": ("number",), "areas": ("area_id", "source_id"), "sources": ("source_id",)}


@dataclass(frozen=True, slots=True)
class Shape:
    """All of a question that decides its SQL; the rest is bound."""

    conditions: tuple[tuple[str, Any], ...]  # (parameter, how many values, or the values themselves where they are fixed)
    sort: tuple[tuple[str, bool], ...]
    removed: str
    searched: bool
    fields: tuple[str, ...]
    expand: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Listing:
    """One list that can be asked for.

    Args:
        questions: what it can be asked.
        table: the table of its objects.
        key: the columns that are unique and end every order.
        beside: a table with exactly one row for each of ours, and how they belong together.
        expansions: name -> SQL of what can be nested in an object.
        indexed: the fields that have an index of their own.
        removed_at: the column that makes a row a tombstone.
        search: its search index.
    """

    questions: Questions
    table: type[Base]
    key: tuple[Key, ...]
    beside: tuple[Table, ColumnElement[bool]] | None = None
    expansions: Mapping[str, ColumnElement[Any]] = field(default_factory=dict)
    indexed: frozenset[str] = frozenset()
    removed_at: Key | None = None
    search: Index | None = None

    @property
    def noun(self) -> str:
        """Its name in the answer, such as "devices"."""
        return self.questions.noun

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
            parts.append(f'"total":{self.total(connection, query)}')
        if query.facets:
            parts.append(f'"facets":{json.dumps(self.facets(connection, query), ensure_ascii=False, separators=(",", ":"))}')
        return ("{" + ",".join(parts) + "}").encode(), cursors

    def rows(self, connection: Connection, query: Query, cut: Cut | None, limit: int) -> tuple[list[Sequence[Any]], bool]:
        """Rows from a cut on, in the list's order, each (JSON text, sort values…, key…).

        Returns: (at most `limit` rows, and going forward one more where there is one; whether there are more beyond).
        """
        shape = self._shape(query)
        back = cut is not None and cut.back
        way = self._way(connection, query)
        bound = self._bound(query)
        if cut is not None:
            bound |= {f"at_{place}": value for place, value in enumerate(cut.values)}
            bound |= {f"key_{place}": value for place, value in enumerate(cut.key)}
        ranked = self._is_ranked(query)
        tiers = expressions(query.search or "") if query.search else ()
        found: list[Sequence[Any]] = []
        most = limit + 1
        if cut is None and query.count and query.conditions:  # after the last match the rest of the table need not be read
            most = min(most, self.total(connection, query))
        for segment in segments(query.sort, cut, tiers=len(tiers) - 1 if ranked else None):
            bound["limit"] = most - len(found)
            if segment.tier is not None:
                bound["match"] = tiers[segment.tier]
            rows = self._statement(shape, segment, back=back, way=way).all(connection, bound)
            found.extend(rows if segment.tier is None else [(row[0], segment.tier, *row[1:]) for row in rows])
            if len(found) >= most:
                break
        more = len(found) > limit
        return (found[:limit][::-1], more) if back else (found, more)

    def total(self, connection: Connection, query: Query) -> int:
        """How many rows the question finds in all pages: exact, and remembered until something changes."""
        return int(self._remembered(connection, query, "total", lambda: self._count(connection, query)))

    def _count(self, connection: Connection, query: Query) -> int:
        if query.search and not expressions(query.search):
            return 0
        return connection.scalar(self._total(self._shape(query)), self._bound(query)) or 0

    def facets(self, connection: Connection, query: Query) -> dict[str, list[dict[str, Any]]]:
        """For each facet asked for its values and how many rows have them, most first, under all filters but its own."""
        return {
            name: self._remembered(connection, query, f"facet {name}", lambda name=name: self._facet(connection, query, name))  # type: ignore[misc]
            for name in query.facets
        }

    def _facet(self, connection: Connection, query: Query, name: str) -> list[dict[str, Any]]:
        if query.search and not expressions(query.search):
            return []
        counted = connection.execute(self._facet_statement(self._shape(query), name), self._bound(query))
        return [{"value": value, "count": count} for value, count in counted]

    def _remembered(self, connection: Connection, query: Query, what: str, find: Callable[[], Any]) -> Any:
        """What was found for this question since the last change, else what is found now.

        `changes` grows with every change of what is counted here, but not with sightings, and its oldest are forgotten: those any
        commit may have changed.
        """
        memory: OrderedDict[Any, tuple[Any, Any]] = connection.info.setdefault("remembered", OrderedDict())
        asked = (self.noun, what, query.conditions, query.search, query.removed)
        newest: Any = newest_change(connection)
        named = what.removeprefix("facet ")
        of_commits = self.noun == "changes" or (named in self.questions.fields and self.questions.fields[named].sighted)
        if of_commits or any(self.questions.filters[name].sighted for name, _ in query.conditions):
            if connection.dialect.name != "sqlite":
                return find()
            newest = (newest, next(run(connection, "PRAGMA data_version"))[0], driver(connection).total_changes())
        known = memory.get(asked)
        if known is not None and known[0] == newest:
            memory.move_to_end(asked)
            return known[1]
        found = find()
        memory[asked] = (newest, found)
        if len(memory) > REMEMBERED:
            memory.popitem(last=False)
        return found

    @lru_cache(maxsize=512)  # noqa: B019  (listings live as long as the program)
    def one(self, fields: tuple[str, ...] = (), expand: tuple[str, ...] = ()) -> Prepared:
        """SELECT of one object as JSON, its `version` and `removed_at`; its id is bound under the name of the id's column."""
        shape = Shape((), (), "any", searched=False, fields=fields, expand=expand)
        table = table_of(self.table).c
        ids = ONE_BY[self.noun]
        rest = [table.version] if self.removed_at is None else [table.version, self.removed_at]
        found = select(json_row(*self._members(shape)), *rest).select_from(self._whole())
        mine = [table[name] == bindparam(name) for name in ids]
        if self.beside is not None:
            # By its rowid: a row that SQLite has come to by an index is parsed anew for each column of a join, 25 us (2026-11).
            mine = [self.key[0] == select(self.key[0]).where(*mine).correlate(None).scalar_subquery()]
        return Prepared(found.where(*mine))

    def _is_ranked(self, query: Query) -> bool:
        return query.search is not None and not query.sort

    def _kinds(self, query: Query) -> list[str]:
        """Of what kind the values of a cursor are: those of the sort fields, then those of the key."""
        if self._is_ranked(query):
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

    def _shape(self, query: Query) -> Shape:
        conditions = tuple(
            (name, values if self.questions.filters[name].fixed else len(values)) for name, values in query.conditions
        )
        return Shape(conditions, query.sort, query.removed, query.search is not None, query.fields, query.expand)

    def _bound(self, query: Query) -> dict[str, Any]:
        bound = {
            f"{name}_{nth}_{place}": value
            for nth, (name, values) in enumerate(query.conditions)  # one name may stand there twice: see `Query.only`
            for place, value in enumerate(values)
        }
        if query.search is not None:
            bound["match"] = (expressions(query.search) or (NOTHING,))[-1]
        return bound

    def _way(self, connection: Connection, query: Query) -> Way:
        """How the rows are best found. What is few is sorted; what is many is met soon in any order."""
        if self._is_ranked(query) or not (query.conditions or query.search):
            return "order"
        for name, values in query.conditions:
            if (
                name in self.indexed
                and len(values) == 1
                and query.sort[1:] == ()
                and query.sort[:1] in {(), ((name, False),), ((name, True),)}
            ):
                return "both"
        if not query.sort and query.search is None and not any(self._is_findable(name) for name, _ in query.conditions):
            return "order"
        count = self.total if query.count else self._count_to_many
        return "order" if count(connection, query) > self._few(connection, query) else "filter"

    def _is_findable(self, name: str) -> bool:
        """Whether an index leads to the rows that a filter accepts."""
        parameter = self.questions.filters[name]
        return parameter.of in self._found_by or parameter.sighted or parameter.build_by_order is not None

    def _is_listed(self, name: str) -> bool:
        """Whether a filter and `removed_at` are answered by one index."""
        of = self.questions.filters[name].of
        plain = "__" in name or (of in self.questions.fields and self.questions.fields[of].equals is None)
        return plain and (of in self._listed or (of, "removed_at") in self._indexes)

    @cached_property
    def _indexes(self) -> frozenset[tuple[str, ...]]:
        return frozenset(tuple(index.columns.keys()) for index in table_of(self.table).indexes)

    @cached_property
    def _listed(self) -> frozenset[str]:
        """The columns that stand second in an index, after `removed_at`."""
        return frozenset(columns[1] for columns in self._indexes if columns[0] == "removed_at")

    @cached_property
    def _found_by(self) -> frozenset[str]:
        """The fields that lead to rows by an index."""
        return self._listed | self.indexed | {columns[0] for columns in self._indexes}

    def _few(self, connection: Connection, query: Query) -> int:
        """From how many matches on it costs less to walk the order until a page is full than to sort them all.

        With M of N rows matching, the walk reads N / M rows for each it finds, and sorting reads M: all of them far apart.
        """
        if self.key[0].key != "number" or connection.dialect.name != "sqlite":
            return FEW
        newest = next(run(connection, f"SELECT max(number) FROM {table_of(self.table).name}"))[0] or 0  # noqa: S608  (our own name)
        return isqrt((query.limit + 1) * newest)

    def _count_to_many(self, connection: Connection, query: Query) -> int:
        """The total, as far as it matters."""
        few = self._few(connection, query)

        def count() -> int:
            shape = self._shape(query)
            if self._is_of_sightings(shape) and self.beside is not None:  # the few that were removed do not matter
                rows = select(literal(1)).select_from(self.beside[0]).where(*self._conditions(replace(shape, removed="any")))
            else:
                rows = self._matches(shape, literal(1))
            rows = rows.limit(bindparam("few"))
            return connection.scalar(select(func.count()).select_from(rows.subquery()), self._bound(query) | {"few": few + 1}) or 0

        return int(self._remembered(connection, query, "count to many", count))

    @lru_cache(maxsize=2048)  # noqa: B019  (listings live as long as the program)
    def _statement(self, shape: Shape, segment: Segment, *, back: bool, way: Way) -> Prepared:
        """SELECT of (JSON, sort values, key) for one segment; `limit` and the values are bound."""
        fields = self.questions.fields
        sort = [(fields[name].column, descending != back) for name, descending in shape.sort]
        down = (shape.sort[-1][1] if shape.sort else False) != back
        values = [column.label(f"sort_{place}") for place, (column, _) in enumerate(sort)]
        key = self._key_beside(shape)
        conditions = self._conditions(shape, by_order=way == "order", tier=segment.tier)
        if (
            way == "filter" and shape.conditions and len(key) == 1
        ):  # each filter's index alone says which rows, and few are looked up
            conditions = [key[0].in_(self._matches(shape, self.key[0]).correlate(None))]
        found = select(*values, *key).where(*conditions)
        if segment.tier is not None and self.search is not None:
            # The search is read first, in the order of its numbers, and each match looked up.
            number = self.search.number
            found = found.select_from(self.search.table).where(self.search.matches(), by_row(number) == self.key[0])
            order: list[Any] = [number.desc() if down else number]
            if segment.key:
                found = found.where(_compared(number, segment.key, bindparam("key_0")))
        else:
            plain: Callable[[Any], Any] = by_row if way == "filter" else lambda column: column
            order = [plain(column).desc() if descending else plain(column) for column, descending in sort]
            order += [plain(column).desc() if down else plain(column) for column in key]
            found = found.where(*self._tests(segment, [plain(column) for column, _ in sort], [plain(column) for column in key]))
        if segment.tier is None:
            found = found.select_from(self._counted(shape))
        elif self.beside is not None and self._needs_join(shape):
            found = found.join(*self.beside)
        page = found.order_by(*order).limit(bindparam("limit")).subquery("page")
        outer = [page.c[f"sort_{place}"].desc() if one[1] else page.c[f"sort_{place}"] for place, one in enumerate(sort)]
        outer += [page.c[column.key].desc() if down else page.c[column.key] for column in self.key]
        ours: Any = self.key[0] if len(self.key) == 1 else tuple_(*self.key)
        theirs: Any = page.c[self.key[0].key] if len(self.key) == 1 else tuple_(*(page.c[column.key] for column in self.key))
        source = page.join(table_of(self.table), theirs == ours)
        if self.beside is not None:  # one flat chain of joins: SQLite takes 50 us more for one in parentheses
            source = source.join(*self.beside)
        places = [page.c[f"sort_{place}"] for place in range(len(sort))]
        keys = [page.c[column.key] for column in self.key]
        return Prepared(select(json_row(*self._members(shape)), *places, *keys).select_from(source).order_by(*outer))

    def _members(self, shape: Shape) -> list[ColumnElement[Any]]:
        """The columns of one object, in order."""
        names = shape.fields or tuple(self.questions.fields)
        members = [self.questions.fields[name].column.label(name) for name in names]
        return [*members, *(self.expansions[name].label(name) for name in shape.expand)]

    def _key_beside(self, shape: Shape) -> tuple[Key, ...]:
        """The key, from the table whose index is read: it has the order of equal values then."""
        if self.beside is None or not shape.sort or not self.questions.fields[shape.sort[0][0]].sighted:
            return self.key
        return tuple(self.beside[0].c[column.key] for column in self.key)

    def _tests(self, segment: Segment, columns: Sequence[Any], key: Sequence[Any]) -> list[ColumnElement[bool]]:
        tests = [_test(column, how, place) for place, (column, how) in enumerate(zip(columns, segment.tests, strict=False))]
        if segment.key:
            here: Any = key[0] if len(key) == 1 else tuple_(*key)
            binds = [bindparam(f"key_{place}", type_=column.type) for place, column in enumerate(self.key)]
            tests.append(_compared(here, segment.key, binds[0] if len(binds) == 1 else tuple_(*binds)))
        return tests

    def _conditions(
        self, shape: Shape, *, by_order: bool = False, tier: int | None = None, but: str | None = None
    ) -> list[ColumnElement[bool]]:
        first = shape.sort[0][0] if shape.sort else None
        found: list[ColumnElement[bool]] = []
        for nth, (name, how) in enumerate(shape.conditions):
            parameter = self.questions.filters[name]
            if but is not None and parameter.of == but:
                continue
            build = parameter.build_by_order or parameter.build if by_order else parameter.build
            values = how if parameter.fixed else [bindparam(f"{name}_{nth}_{n}", type_=parameter.type) for n in range(how)]
            condition = build(values)
            found.append(self._by_row(condition) if by_order and parameter.of != first else condition)
            if by_order and parameter.of == first and name.endswith("__ic"):  # null holds nothing: those at the end are not read
                found.append(self.questions.fields[parameter.of].column.is_not(None))
        if self.removed_at is not None and shape.removed != "any":
            present = self.removed_at.is_(None) if shape.removed == "present" else self.removed_at.is_not(None)
            nothing_else = not (shape.conditions or shape.searched)
            led = first in self._listed if by_order else nothing_else or any(self._is_listed(name) for name, _ in shape.conditions)
            by_index = led and tier is None
            found.append(present if by_index else self._by_row(present))
        if shape.searched and tier is None and self.search is not None:
            number: Any = by_row(self.key[0]) if by_order else self.key[0]
            found.append(number.in_(select(self.search.number).where(self.search.matches())))
        return found

    def _by_row(self, condition: ColumnElement[bool]) -> ColumnElement[bool]:
        """The same condition, without the help of an index on our own table, or the one beside it."""
        own = [table_of(self.table), *(() if self.beside is None else self.beside[:1])]

        def replaced(element: Any, **_: Any) -> Any:
            return by_row(element) if any(getattr(element, "table", None) is table for table in own) else None

        return replacement_traverse(condition, {}, replaced)

    def _needs_join(self, shape: Shape, facet: str | None = None) -> bool:
        sorts = (self.questions.fields[name].sighted for name in (facet, *(name for name, _ in shape.sort)) if name is not None)
        return any(sorts) or any(self.questions.filters[name].sighted for name, _ in shape.conditions)

    @lru_cache(maxsize=512)  # noqa: B019
    def _total(self, shape: Shape) -> Select[Any]:
        if self.beside is None or not self._is_of_sightings(shape):
            return self._matches(shape, func.count())
        # One index counts all of them, and the few that were removed are taken off: no row is joined for those that are there.
        conditions = self._conditions(replace(shape, removed="any"))
        gone = [self.removed_at.is_not(None), *map(self._by_row, conditions)] if self.removed_at is not None else []
        counts = (
            select(func.count()).select_from(table).where(*where).scalar_subquery()
            for table, where in ((self.beside[0], conditions), (self._whole(), gone))
        )
        return select(next(counts) - next(counts))

    def _is_of_sightings(self, shape: Shape) -> bool:
        """Whether all that is asked, but for tombstones, stands in the table beside ours."""
        sighted = [self.questions.filters[name].sighted for name, _ in shape.conditions]
        return bool(sighted) and all(sighted) and not shape.searched and shape.removed == "present"

    @lru_cache(maxsize=512)  # noqa: B019
    def _matches(self, shape: Shape, what: ColumnElement[Any]) -> Select[Any]:
        """SELECT of all that match, in any order."""
        if shape.searched and not shape.conditions and shape.removed == "present" and self.search is not None:
            return select(what).select_from(self.search.table).where(self.search.matches())
        return select(what).select_from(self._counted(shape)).where(*self._conditions(shape))

    @lru_cache(maxsize=512)  # noqa: B019
    def _facet_statement(self, shape: Shape, name: str) -> Select[Any]:
        one = self.questions.fields[name]
        value = one.counted if one.counted is not None else one.column
        counted = select(value, func.count()).select_from(self._counted(shape, name)).where(*self._conditions(shape, but=name))
        return counted.group_by(value).order_by(func.count().desc(), value).limit(MOST_FACET_VALUES)

    def _counted(self, shape: Shape, facet: str | None = None) -> FromClause:
        """What rows are counted in: no more than the question needs."""
        return self._whole() if self._needs_join(shape, facet) else table_of(self.table)

    def _whole(self) -> FromClause:
        table = table_of(self.table)
        return table if self.beside is None else table.join(*self.beside)


def newest_change(connection: Connection) -> int | None:
    """The number of the last change there is."""
    statement = "SELECT max(seq) FROM changes"
    if connection.dialect.name == "sqlite":
        return next(run(connection, statement))[0]  # type: ignore[no-any-return]
    return connection.exec_driver_sql(statement).scalar()


def _test(column: Any, how: str, place: int) -> ColumnElement[bool]:
    """One of a segment's conditions: on the sort field of that place."""
    bound = bindparam(f"at_{place}", type_=column.type)
    if how in {"null", "some"}:
        return column.is_(null()) if how == "null" else column.is_not(null())  # type: ignore[no-any-return]
    return _compared(column, how, bound)


def _compared(left: Any, how: str, right: Any) -> ColumnElement[bool]:
    if how == "=":
        return left == right  # type: ignore[no-any-return]
    if how in {">", ">="}:
        return left > right if how == ">" else left >= right  # type: ignore[no-any-return]
    return left < right if how == "<" else left <= right  # type: ignore[no-any-return]
