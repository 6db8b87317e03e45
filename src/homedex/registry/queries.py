"""What a list can be asked: its fields, the filters they allow, and the question read from names and values.

The same reading serves the HTTP API and the command line.
"""

import difflib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from sqlalchemy import BindParameter, ColumnElement, Text, cast, not_, or_, true
from sqlalchemy.orm import InstrumentedAttribute

from homedex.errors import Invalid, UnknownParameter
from homedex.storage.types import BIG, contains_folded, fold

Kind = Literal["text", "time", "flag", "number", "json"]
Bind = BindParameter[Any]
Build = Callable[[Sequence[Any]], ColumnElement[bool]]
Removed = Literal["present", "removed", "any"]

LONGEST_TEXT = 1024
MOST_VALUES = 100
LARGEST_NUMBER = 2**63 - 1
RELATIVE = re.compile(r"([+-])([0-9]{1,6})([smhdw])")
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
SPACE_FOR_PLUS = re.compile(r" (\d\d:\d\d)$")
WORDS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
RELEVANCE = "relevance"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, eq=False)
class Field:
    """One member of a list's objects that can be asked for.

    Args:
        column: its SQL.
        kind: what its values are, which decides the filters it allows.
        sortable: whether `sort` takes it.
        facet: whether `facet` takes it.
        equals: the condition of `name=value` where it is not `column = value`.
        sighted: whether its SQL needs the join with sightings.
        counted: what a facet counts where it is not the column.
    """

    column: InstrumentedAttribute[Any] | ColumnElement[Any]
    kind: Kind = "text"
    sortable: bool = False
    facet: bool = False
    equals: Build | None = None
    sighted: bool = False
    counted: ColumnElement[Any] | None = None

    @property
    def type(self) -> Any:
        """The SQL type of its values."""
        return self.column.type


@dataclass(frozen=True, eq=False)
class Parameter:
    """A filter: how its values are read, and the condition they make.

    Args:
        build: makes the condition of bind parameters, or of the values themselves where they are `fixed`.
        of: the field it is a filter of, which facets leave out.
        sighted: whether the condition needs the join with sightings.
        read: reads a value, where it is not its kind's way; raises ValueError with the reason.
        choices: the only values there are.
        fixed: there are few values, and each makes its own SQL.
        type: the SQL type of its values.
        build_by_order: the same condition for rows that are read one by one, where another form is better then.
    """

    name: str
    kind: Kind
    build: Build
    about: str = ""
    of: str = ""
    sighted: bool = False
    read: Callable[[str, datetime], Any] | None = None
    choices: tuple[str, ...] = ()
    fixed: bool = False
    type: Any = None
    build_by_order: Build | None = None


@dataclass(frozen=True, slots=True)
class Query:
    """A question to a list, read and checked.

    Args:
        conditions: (parameter, values), by name; several values mean "any of".
        search: the words of `q`.
        sort: (field, descending), most significant first; none means the order in which rows came, or relevance with `search`.
        removed: tombstones or not.
        limit: most objects in a page.
        cursor: which page.
        count: whether the total is wanted.
        facets: the fields whose values are to be counted.
        fields: the members wanted; none means all.
        expand: what is to be nested.
        asked_at: the time that relative times are relative to; None where there are none.
    """

    conditions: tuple[tuple[str, tuple[Any, ...]], ...] = ()
    search: str | None = None
    sort: tuple[tuple[str, bool], ...] = ()
    removed: Removed = "present"
    limit: int = 50
    cursor: str | None = None
    count: bool = True
    facets: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    expand: tuple[str, ...] = ()
    asked_at: datetime | None = None

    def only(self, name: str, value: str) -> "Query":
        """The same question, for rows with one value alone."""
        return replace(self, conditions=tuple(sorted([*self.conditions, (name, (value,))])))


def filters_of(fields: Mapping[str, Field], others: Iterable[Parameter] = ()) -> dict[str, Parameter]:
    """Every filter of these fields, with their suffixes, and the others."""
    found: dict[str, Parameter] = {}
    for name, one in fields.items():
        for parameter in _filters_of(name, one):
            found[parameter.name] = parameter
    return found | {parameter.name: parameter for parameter in others}


def _filters_of(name: str, one: Field) -> Iterable[Parameter]:
    column: Any = one.column
    kind = BIG if one.kind == "number" else one.type  # PostgreSQL takes no larger number than the type says
    own: dict[str, Any] = {"of": name, "sighted": one.sighted, "type": kind}
    if one.kind != "json":
        equals = one.equals or (lambda binds: column == binds[0] if len(binds) == 1 else column.in_(binds))
        yield Parameter(name, one.kind, equals, **own)
    if one.kind in {"text", "time", "number"}:
        yield Parameter(f"{name}__gte", one.kind, _each(lambda bind: column >= bind), "this or more, or later", **own)
        yield Parameter(f"{name}__lt", one.kind, _each(lambda bind: column < bind), "less than this, or before", **own)
    if one.kind in {"text", "json"}:
        text = column if one.kind == "text" else cast(column, Text)
        contains = _each(lambda bind: contains_folded(text, bind))
        yield Parameter(f"{name}__ic", "text", contains, "contains, ignoring case", **own | {"type": Text()}, read=_read_folded)
    if one.kind in {"text", "time", "json"}:
        yield Parameter(f"{name}__empty", "flag", whether(_is_empty(column, one.kind)), "whether it is empty", **own, fixed=True)


def _read_folded(said: str, _: datetime) -> str:
    return fold(_line(said))


def _each(condition: Callable[[Bind], ColumnElement[bool]]) -> Build:
    return lambda binds: or_(*(condition(bind) for bind in binds))


def whether(condition: ColumnElement[bool]) -> Build:
    """The condition itself for true, its opposite for false; both accepted says nothing."""
    return lambda values: true() if len(values) > 1 else condition if values[0] else not_(condition)


def _is_empty(column: Any, kind: Kind) -> ColumnElement[bool]:
    if kind == "json":
        text = cast(column, Text)
        return or_(column.is_(None), text == "[]", text == "{}")
    return column.is_(None) if kind == "time" else or_(column.is_(None), column == "")


@dataclass(frozen=True, eq=False)
class Questions:
    """All that one list can be asked; reads names and values into a Query.

    Args:
        noun: the list's name, such as "devices".
        fields: the members of its objects, in their order.
        filters: parameter -> filter.
        expansions: what `expand` takes.
        searchable: whether it takes `q`.
        has_tombstones: whether it takes `removed`.
    """

    noun: str
    fields: Mapping[str, Field]
    filters: Mapping[str, Parameter]
    expansions: tuple[str, ...] = ()
    searchable: bool = False
    has_tombstones: bool = True
    control: Mapping[str, str] = field(init=False)

    def __post_init__(self) -> None:
        control = {"limit": "most objects in the page: 1 to 1000", "cursor": "`next` or `prev` of another page of the same list"}
        control |= {"sort": f"fields to sort by, such as `-modified_at,{next(iter(self.fields))}`; `-` means descending"}
        control |= {"fields": "the only members wanted, such as `name,area_id`", "count": "`none` leaves `total` out"}
        if any(one.facet for one in self.fields.values()):
            control["facet"] = "count the values of this field, under all filters but its own"
        if self.expansions:
            control["expand"] = f"nest {' or '.join(self.expansions)}"
        if self.searchable:
            control["q"] = "words to search for, each may be the beginning of one; best matches first"
        if self.has_tombstones:
            control["removed"] = "`true`: tombstones alone; `any`: those too; default `false`"
        object.__setattr__(self, "control", control)

    def names(self, *, whole: bool = False) -> list[str]:
        """Every parameter there is; `whole` leaves out those of a single page."""
        control = [name for name in self.control if not (whole and name in PAGE_ONLY)]
        return [*control, *self.filters]

    def read(self, pairs: Iterable[tuple[str, str]], *, now: datetime, whole: bool = False) -> Query:
        """The question that these names and values ask.

        Args:
            pairs: as they came, repeats and all.
            now: what relative times are relative to; those of a further page are relative to the time of the first.
            whole: the whole result is wanted, not a page.
        Raises:
            UnknownParameter: a name that this list does not take.
            Invalid: a value without meaning; `errors` names each.
        """
        given: dict[str, list[str]] = {}
        for name, said in pairs:
            given.setdefault(name, []).append(said)
        for name in given:
            if (name not in self.control and name not in self.filters) or (whole and name in PAGE_ONLY):
                raise UnknownParameter(self._suggest(name, whole=whole))
        now = asked_at(given.get("cursor", [""])[-1]) or now
        read: dict[str, Any] = {}
        conditions: list[tuple[str, tuple[Any, ...]]] = []
        errors: list[dict[str, str]] = []
        for name, values in given.items():
            try:
                if name in self.filters:
                    conditions.append((name, self._values(self.filters[name], values, now)))
                else:
                    read |= self._control(name, values)
            except ValueError as error:
                errors.append({"pointer": name, "detail": str(error)})
        if errors:
            more = f" {len(errors) - 1} more in `errors`." if len(errors) > 1 else ""
            raise Invalid(f"{errors[0]['pointer']}: {errors[0]['detail']}.{more}", errors)
        if any(self.filters[name].kind == "time" and any(map(is_relative, given[name])) for name, _ in conditions):
            read["asked_at"] = now
        return Query(conditions=tuple(sorted(conditions, key=lambda one: one[0])), **read)

    def _suggest(self, unknown: str, *, whole: bool) -> str:
        known = self.names(whole=whole)
        near = difflib.get_close_matches(unknown, known, n=1)
        plain = ", ".join(name for name in known if "__" not in name)
        if unknown in PAGE_ONLY and whole:
            return f"`{unknown}` has no meaning here: this answers with the whole result."
        hint = f"Did you mean `{near[0]}`?" if near else f"This address takes {plain}, and suffixes of the filters."
        return f"there is no parameter `{unknown[:100]}` here. {hint}"

    def _values(self, parameter: Parameter, said: Sequence[str], now: datetime) -> tuple[Any, ...]:
        if len(said) > MOST_VALUES:
            raise ValueError(f"takes {MOST_VALUES} values at most, and got {len(said)}")
        read = parameter.read or READERS[parameter.kind]
        return tuple(dict.fromkeys(read(one, now) for one in said))

    def _control(self, name: str, said: Sequence[str]) -> dict[str, Any]:  # noqa: PLR0911  (one answer for each)
        last = said[-1]
        if name == "limit":
            return {"limit": _limit(last)}
        if name == "cursor":
            return {"cursor": last}
        if name == "sort":
            return {"sort": self._sort(said)}
        if name == "count":
            return {"count": _one_of(last, ("exact", "none")) == "exact"}
        if name == "q":
            return {"search": _line(last).strip() or None}
        if name == "removed":
            return {"removed": "any" if last == "any" else "removed" if _read_flag(last) else "present"}
        if name == "facet":
            return {"facets": _names(said, [name for name, one in self.fields.items() if one.facet])}
        if name == "fields":
            return {"fields": _names(said, list(self.fields))}
        return {"expand": _names(said, self.expansions)}

    def _sort(self, said: Sequence[str]) -> tuple[tuple[str, bool], ...]:
        known = [name for name, one in self.fields.items() if one.sortable]
        if self.searchable and said == [RELEVANCE]:
            return ()
        keys: dict[str, bool] = {}
        for part in ",".join(said).split(","):
            name, descending = part.strip().lstrip("-"), part.strip().startswith("-")
            if name in keys:
                raise ValueError(f"names {name} twice")
            keys[_one_of(name, known)] = descending
        return tuple(keys.items())


PAGE_ONLY = frozenset({"limit", "cursor", "count", "facet"})


def _limit(said: str) -> int:
    limit = _read_number(said)
    if not 1 <= limit <= 1000:  # noqa: PLR2004  (DESIGN's bounds, said in the sentence)
        raise ValueError("must be 1 to 1000")
    return limit


def _names(said: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_one_of(part.strip(), known) for part in ",".join(said).split(",")))


def _one_of(said: str, known: Sequence[str]) -> str:
    if said not in known:
        near = difflib.get_close_matches(said, known, n=1)
        hint = f"did you mean {near[0]}" if near else f"it takes {', '.join(known)}"
        raise ValueError(f"there is no {said[:100]!r} here; {hint}")
    return said


def _line(said: str) -> str:
    if len(said) > LONGEST_TEXT:
        raise ValueError(f"takes {LONGEST_TEXT} characters at most")
    if "\x00" in said:
        raise ValueError("holds a NUL character")
    try:
        said.encode()
    except UnicodeEncodeError:
        raise ValueError("holds half a character (a lone surrogate)") from None
    return said


def _read_flag(said: str) -> bool:
    found = WORDS.get(said.lower())
    if found is None:
        raise ValueError("must be true or false")
    return found


def _read_number(said: str) -> int:
    if re.fullmatch(r"-?[0-9]{1,19}", said) is None or abs(int(said)) > LARGEST_NUMBER:
        raise ValueError("must be a whole number")
    return int(said)


def is_relative(said: str) -> bool:
    """Whether a time is relative to now."""
    return _relative(said) is not None


def _relative(said: str) -> re.Match[str] | None:
    return RELATIVE.fullmatch(said.replace(" ", "+") if said[:1] == " " else said)


def asked_at(cursor: str) -> datetime | None:
    """The time of the first page of the walk that a cursor belongs to, where it matters: microseconds before its first dot."""
    microseconds, dot, _ = cursor.partition(".")
    if not dot or re.fullmatch("[0-9]{1,18}", microseconds) is None:
        return None
    try:
        return EPOCH + timedelta(microseconds=int(microseconds))
    except OverflowError:
        return None


def read_time(said: str, now: datetime) -> datetime:
    """A time with its zone, such as 2026-11-22T13:52:56Z, or one relative to now, such as -7d."""
    relative = _relative(said)
    try:
        if relative is not None:
            sign, count, unit = relative.groups()
            span = timedelta(**{UNITS[unit]: int(count)})
            return now + span if sign == "+" else now - span
        if "T" not in said.upper() and " " not in said:
            raise ValueError  # noqa: TRY301  (one sentence for all that is wrong with a time)
        moment = datetime.fromisoformat(SPACE_FOR_PLUS.sub(r"+\1", said))  # an unescaped + comes as a space
        if moment.tzinfo is None:
            raise ValueError  # noqa: TRY301
        return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(
            "must be a time with its zone, such as 2026-11-22T13:52:56Z, or relative to now, such as -7d (s, m, h, d, w)"
        ) from None


READERS: dict[Kind, Callable[[str, datetime], Any]] = {
    "text": lambda said, _: _line(said),
    "time": read_time,
    "flag": lambda said, _: _read_flag(said),
    "number": lambda said, _: _read_number(said),
}
