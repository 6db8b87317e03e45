"""The SQL of a list: what finds its rows, page by page in any order, counts them, and writes them as JSON.

Source: comparing rows as `(a, b) > (x, y)`, as off-the-shelf keyset libraries do, loses rows where a or x is null (2026-11).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache, wraps
from typing import Any, Literal, TypeVar

from sqlalchemy import Column, ColumnElement, FromClause, Select, Table, bindparam, func, literal, select
from sqlalchemy.sql.visitors import replacement_traverse

from homedex.registry.cursors import Segment
from homedex.registry.queries import Query, Questions
from homedex.registry.ranges import compared, one_or_tuple, ordered, tests
from homedex.registry.search import NOTHING, Index, matches_of
from homedex.registry.tables import Base, table_of
from homedex.storage.json_sql import TextList, among, json_row
from homedex.storage.rows import Prepared, by_row

Key = Column[Any]

Way = Literal["order", "set", "filter", "both"]
"""How rows are found: in the order of the sort, each row tested; in that order, each number looked up in a set of those that match;
by the filters, then sorted; or by one index that does both."""

MOST_FACET_VALUES = 1000

ONE_BY = {"devices": ("device_id",), "entities": ("number",), "areas": ("area_id", "source_id"), "sources": ("source_id",)}


F = TypeVar("F", bound=Callable[..., Any])

MOST_KEPT, MANY, LEAST_KEPT = 4, 100, 32
"""SQL is made once for questions with few values in their filters; of those with more, up to `MANY`, only so much is kept, and of
those with still more none: 20 filters of 40 values are a megabyte each, and there is no end of them (2026-11)."""


def kept(maxsize: int) -> Callable[[F], F]:
    """A cache of what a method of a listing makes of a shape, as far as the shape is small."""

    def mark(make: F) -> F:
        small, larger = lru_cache(maxsize)(make), lru_cache(LEAST_KEPT)(make)

        @wraps(make)
        def made(self: "Statements", shape: Shape, *args: Any, **more: Any) -> Any:
            weight = shape.weight
            return (small if weight <= MOST_KEPT else larger if weight <= MANY else make)(self, shape, *args, **more)

        return made  # type: ignore[return-value]

    return mark


@dataclass(frozen=True, slots=True)
class Shape:
    """All of a question that decides its SQL; the rest is bound."""

    conditions: tuple[tuple[str, Any], ...]  # (parameter, how many values, or the values themselves where they are fixed)
    sort: tuple[tuple[str, bool], ...]
    removed: str
    searched: bool
    fields: tuple[str, ...]
    expand: tuple[str, ...]

    @property
    def weight(self) -> int:
        """How many values its filters have."""
        return sum([how if type(how) is int else len(how) for _, how in self.conditions])


@dataclass(frozen=True, eq=False)
class Statements:
    """What one list is made of, and the SQL that answers what it is asked.

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

    def shape(self, query: Query) -> Shape:
        """What of a question decides its SQL."""
        conditions = tuple(
            (name, values if self.questions.filters[name].fixed else len(values)) for name, values in query.conditions
        )
        return Shape(conditions, query.sort, query.removed, query.search is not None, query.fields, query.expand)

    def is_ranked(self, query: Query) -> bool:
        """Whether its order is that of relevance."""
        return query.search is not None and not query.sort

    def bound(self, query: Query) -> dict[str, Any]:
        """The values of a question, as its statements take them."""
        bound = {
            f"{name}_{nth}_{place}": value
            for nth, (name, values) in enumerate(query.conditions)  # one name may stand there twice: see `Query.only`
            for place, value in enumerate(values)
        }
        if query.search is not None:
            bound["match"] = (matches_of(query.search) or (NOTHING,))[-1]
        return bound

    def is_findable(self, name: str) -> bool:
        """Whether an index leads to the rows that a filter accepts."""
        parameter = self.questions.filters[name]
        return parameter.of in self._found_by or parameter.sighted or parameter.build_by_order is not None

    def is_set(self, shape: Shape) -> bool:
        """Whether an index alone names all that match, so that a set of them costs less than looking at rows."""
        if shape.searched or shape.removed != "present" or len(shape.conditions) != 1:
            return False
        name = shape.conditions[0][0]
        return self._is_listed(name) and not self.questions.filters[name].sighted and not name.endswith("__ic")

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

    @kept(2048)
    def page_of(self, shape: Shape, segment: Segment, *, back: bool, way: Way) -> Prepared:
        """SELECT of (JSON, sort values, key) for one segment; `limit` and the values are bound."""
        found = self._of_tier(shape, segment, back=back) if segment.tier is not None else self._of(shape, segment, back, way)
        page = found.limit(bindparam("limit")).subquery("page")
        order = [ordered(page.c[f"sort_{place}"], down=down) for place, down in enumerate(_downs(shape, back))]
        order += [page.c[column.key].desc() if _down(shape, back) else page.c[column.key] for column in self.key]
        source = page.join(
            table_of(self.table), one_or_tuple([page.c[column.key] for column in self.key]) == one_or_tuple(self.key)
        )
        if self.beside is not None:  # one flat chain of joins: SQLite takes 50 us more for one in parentheses
            source = source.join(*self.beside)
        places = [page.c[f"sort_{place}"] for place in range(len(shape.sort))]
        keys = [page.c[column.key] for column in self.key]
        return Prepared(select(json_row(*self._members(shape)), *places, *keys).select_from(source).order_by(*order))

    def _of(self, shape: Shape, segment: Segment, back: bool, way: Way) -> Select[Any]:
        """SELECT of (sort values, key) in order, for one segment."""
        key = self._key_beside(shape)
        plain: Callable[[Any], Any] = by_row if way == "filter" else lambda column: column
        columns = [plain(self.questions.fields[name].column) for name, _ in shape.sort]
        keys = [plain(column) for column in key]
        order = [ordered(column, down=down) for column, down in zip(columns, _downs(shape, back), strict=True)]
        order += [column.desc() if _down(shape, back) else column for column in keys]
        found = select(*self._values(shape), *key).select_from(self._counted(shape)).where(*self._filtered(shape, key, way))
        return found.where(*tests(segment, columns, keys, self.key)).order_by(*order)

    def _filtered(self, shape: Shape, key: Sequence[Key], way: Way) -> list[ColumnElement[bool]]:
        """The conditions of a question, in the form that suits a way."""
        if way == "set" and len(key) == 1:
            return self._in_set(shape, key[0])
        if way == "filter" and shape.conditions and len(key) == 1:  # each filter's index alone names rows, and few are read
            return [key[0].in_(self._numbers(shape))]
        return self._conditions(shape, by_order=way == "order")

    def _in_set(self, shape: Shape, key: Key) -> list[ColumnElement[bool]]:
        """Whether a row is one of those that the filters' own index names; SQLite makes the set, and a Bloom filter, once."""
        conditions: list[ColumnElement[bool]] = []
        if shape.sort and shape.sort[0][0] in self._listed and self.removed_at is not None and shape.removed != "any":
            conditions.append(self.removed_at.is_(None) if shape.removed == "present" else self.removed_at.is_not(None))
        return [*conditions, by_row(key).in_(self._numbers(shape))]

    def _of_tier(self, shape: Shape, segment: Segment, *, back: bool) -> Select[Any]:
        """SELECT of the keys of one tier: the search is read first, in the order of its numbers, and each match looked up."""
        search: Any = self.search
        source = search.table.join(table_of(self.table), by_row(search.number) == self.key[0])
        if self.beside is not None and self._needs_join(shape):
            source = source.join(*self.beside)
        conditions = [*self._conditions(shape, by_order=True, tier=segment.tier), search.matches()]
        if segment.key:
            conditions.append(compared(search.number, segment.key, bindparam("key_0")))
        found = select(*self.key).select_from(source).where(*conditions)
        return found.order_by(search.number.desc() if back else search.number)

    @kept(512)
    def order_of(self, shape: Shape) -> Prepared:
        """SELECT of the numbers of all that match, in order."""
        return Prepared(select(self._of(shape, Segment(), back=False, way="filter").subquery("page").c[self.key[0].key]))

    @kept(512)
    def rows_of(self, shape: Shape) -> Prepared:
        """SELECT of (JSON, sort values, key) for the `numbers` bound as a JSON array: in any order, as far as they are there."""
        given = func.json_each(bindparam("numbers")).table_valued("value", name="given")
        source = given.join(table_of(self.table), self.key[0] == given.c.value)
        if self.beside is not None:
            source = source.join(*self.beside)
        return Prepared(select(json_row(*self._members(shape)), *self._values(shape), self.key[0]).select_from(source))

    def _values(self, shape: Shape) -> list[ColumnElement[Any]]:
        """The sort values."""
        return [self.questions.fields[name].column.label(f"sort_{place}") for place, (name, _) in enumerate(shape.sort)]

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

    @lru_cache(maxsize=8)  # noqa: B019
    def several(self) -> Prepared:
        """SELECT of (id, object as JSON, `version`) of those whose ids are in the list bound as `ids`, in any order."""
        shape = Shape((), (), "any", searched=False, fields=(), expand=())
        table = table_of(self.table).c
        key = table[ONE_BY[self.noun][0]]
        mine = select(self.key[0]).where(among(key, bindparam("ids", type_=TextList())))
        found = select(key, json_row(*self._members(shape)), table.version).select_from(self._whole())
        return Prepared(found.where(self.key[0].in_(mine.correlate(None))))

    @kept(512)
    def total_of(self, shape: Shape) -> Prepared:
        """SELECT of how many rows match."""
        if self.beside is None or not self._is_of_sightings(shape):
            return Prepared(self._matches(shape, func.count()))
        # One index counts all of them, and the few that were removed are taken off: no row is joined for those that are there.
        conditions = self._conditions(replace(shape, removed="any"))
        gone = [self.removed_at.is_not(None), *map(self._by_row, conditions)] if self.removed_at is not None else []
        counts = (
            select(func.count()).select_from(table).where(*where).scalar_subquery()
            for table, where in ((self.beside[0], conditions), (self._whole(), gone))
        )
        return Prepared(select(next(counts) - next(counts)))

    @kept(512)
    def total_to(self, shape: Shape) -> Prepared:
        """SELECT of the total, as far as the `few` that is bound."""
        if self._is_of_sightings(shape) and self.beside is not None:  # the few that were removed do not matter
            rows = select(literal(1)).select_from(self.beside[0]).where(*self._conditions(replace(shape, removed="any")))
        else:
            rows = self._matches(shape, literal(1))
        return Prepared(select(func.count()).select_from(rows.limit(bindparam("few")).subquery()))

    def _is_of_sightings(self, shape: Shape) -> bool:
        """Whether all that is asked, but for tombstones, stands in the table beside ours."""
        sighted = [self.questions.filters[name].sighted for name, _ in shape.conditions]
        return bool(sighted) and all(sighted) and not shape.searched and shape.removed == "present"

    def _is_search_alone(self, shape: Shape) -> bool:
        return shape.searched and not shape.conditions and shape.removed == "present"

    def _numbers(self, shape: Shape) -> Select[Any]:
        """SELECT of the numbers of all that match."""
        number = self.search.number if self.search is not None and self._is_search_alone(shape) else self.key[0]
        return self._matches(replace(shape, sort=()), number).correlate(None)

    def _matches(self, shape: Shape, what: ColumnElement[Any]) -> Select[Any]:
        """SELECT of all that match, in any order."""
        if self.search is not None and self._is_search_alone(shape):
            return select(what).select_from(self.search.table).where(self.search.matches())
        return select(what).select_from(self._counted(shape)).where(*self._conditions(shape))

    @kept(512)
    def facet_of(self, shape: Shape, name: str) -> Prepared:
        """SELECT of (value, how many rows have it), under all filters but the facet's own."""
        one = self.questions.fields[name]
        value = one.counted if one.counted is not None else one.column
        counted = select(value, func.count()).select_from(self._counted(shape, name)).where(*self._conditions(shape, but=name))
        return Prepared(counted.group_by(value).order_by(func.count().desc(), ordered(value, down=False)).limit(MOST_FACET_VALUES))

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

    def _counted(self, shape: Shape, facet: str | None = None) -> FromClause:
        """What rows are counted in: no more than the question needs."""
        return self._whole() if self._needs_join(shape, facet) else table_of(self.table)

    def _whole(self) -> FromClause:
        table = table_of(self.table)
        return table if self.beside is None else table.join(*self.beside)


def _downs(shape: Shape, back: bool) -> list[bool]:
    """Which sort fields descend, going that way."""
    return [descending != back for _, descending in shape.sort]


def _down(shape: Shape, back: bool) -> bool:
    """Whether the key descends, going that way."""
    return (shape.sort[-1][1] if shape.sort else False) != back
