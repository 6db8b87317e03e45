"""Column types that mean the same on SQLite and PostgreSQL, and that STRICT tables accept."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, Boolean, DateTime, Dialect, Integer, Text, TypeDecorator
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeEngine

BYTEWISE = Text().with_variant(Text(collation="C"), "postgresql")
"""Text that compares and sorts by its bytes on both engines, whatever the locale of a server."""

BIG = BigInteger().with_variant(Integer(), "sqlite")
"""A number of 64 bits; SQLite's rowid must be called INTEGER."""


def to_text(moment: datetime) -> str:
    """RFC 3339 in UTC with six decimals and `Z`: text that sorts as time does."""
    if moment.tzinfo is None:
        raise ValueError(f"naive time {moment.isoformat()} refused: give it a time zone, such as UTC")
    return moment.astimezone(UTC).isoformat(timespec="microseconds")[:-6] + "Z"


TIME = """coalesce(to_char({name} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), CASE {name}
    WHEN 'infinity' THEN '9999-12-31T23:59:59.999999Z' WHEN '-infinity' THEN '0001-01-01T00:00:00.000000Z' END)"""
"""An instant of PostgreSQL as text: asyncpg writes the last and the first that Python knows as infinity, which has no year."""


class UtcDateTime(TypeDecorator[datetime]):
    """An instant: aware datetimes only, UTC in the database, UTC back, microseconds kept.

    On SQLite it is text such as `2026-11-22T13:52:56.700259Z`, of fixed width, so that `<`, ORDER BY and indexes are right and
    the column can be sent to a client as it is. On PostgreSQL it is `timestamptz`.

    Raises:
        ValueError: (inside SQLAlchemy's StatementError) when a naive datetime is bound.
    Source:
        `DateTime(timezone=True)` on SQLite drops the zone: one instant written as UTC and as +05:00 compares unequal, and
        comes back naive (measured with SQLAlchemy 2.1.9, 2026-11).
    """

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """TEXT on SQLite, timestamptz elsewhere."""
        return dialect.type_descriptor(Text() if dialect.name == "sqlite" else DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        """Refuse naive times; convert the others to UTC."""
        if value is None:
            return None
        text = to_text(value)
        return text if dialect.name == "sqlite" else value.astimezone(UTC)

    def process_literal_param(self, value: datetime | None, dialect: Dialect) -> str:  # noqa: ARG002
        """The instant as a quoted literal, for DDL and `literal_binds`."""
        return "NULL" if value is None else f"'{to_text(value)}'"

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """An aware UTC datetime."""
        if value is None:
            return None
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
        # asyncpg gives the first and the last instant, which it writes as -infinity and infinity, without a zone.
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def _plain(value: Any) -> str:
    if isinstance(value, datetime):
        return to_text(value)
    raise TypeError(f"{type(value).__name__} has no place in JSON")


_decode = json.JSONDecoder().raw_decode
_make = getattr(json.encoder, "c_make_encoder", None)  # CPython has it
_encoder = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=_plain)


def compact_json(value: Any) -> str:
    """JSON as both engines keep it, without blanks.

    The C encoder is made once: json.JSONEncoder.encode makes one for each value, which takes twice the time.
    """
    return _encoder.encode(value) if _once is None else "".join(_once(value, 0))


_once = _make and _make(None, _plain, json.encoder.encode_basestring, None, ":", ",", *(False, False, False))


def same(one: Any, other: Any) -> bool:
    """Whether two values are the same in JSON, where `true` is not 1; the order of members means nothing."""
    if one != other:
        return False
    if not isinstance(one, dict | list) or not one or repr(one) == repr(other):  # a seventh of what JSON takes (2026-11)
        return True
    return json.dumps(one, sort_keys=True, default=_plain) == json.dumps(other, sort_keys=True, default=_plain)


def differences(stored: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """What of a row is wanted otherwise than it is stored. Most is as it was, and most of that is text."""
    after = {}
    for name, value in wanted.items():
        before = stored[name]
        if before is not value and (before != value or not (type(value) is str or same(before, value))):
            after[name] = value
    return after


class JsonText(TypeDecorator[Any]):
    """A JSON value: TEXT on SQLite (STRICT tables know no JSON type), `json` on PostgreSQL. None is SQL NULL.

    Not `jsonb`: that reorders an object's keys, and both engines should answer alike.
    """

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """TEXT on SQLite, json elsewhere."""
        return dialect.type_descriptor(Text() if dialect.name == "sqlite" else JSON(none_as_null=True))

    def process_bind_param(self, value: Any | None, dialect: Dialect) -> Any:
        """Compact JSON text for SQLite; the driver encodes for PostgreSQL."""
        if value is None or dialect.name != "sqlite":
            return value
        return compact_json(value)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> Any:
        """What was stored, as Python lists, dicts and scalars."""
        if value is None or dialect.name != "sqlite":
            return value
        if value == "[]":  # most are empty, and parsing 140,000 of them took 0.5 s of a sync (2026-11)
            return []
        if value == "{}":
            return {}
        return _decode(value)[0]


def decoded(texts: Sequence[str | None]) -> list[Any]:
    """What a column of JSON texts holds, parsed in one go: a third of the time that one by one takes (2026-11)."""
    parsed: list[Any] = _decode(f"[{','.join([text or 'null' for text in texts])}]")[0]
    return parsed


class Flag(TypeDecorator[bool]):
    """True or false: INTEGER 0/1 on SQLite (STRICT tables know no BOOLEAN), `boolean` on PostgreSQL."""

    impl = Integer
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """INTEGER on SQLite, boolean elsewhere."""
        return dialect.type_descriptor(Integer() if dialect.name == "sqlite" else Boolean())

    def process_bind_param(self, value: bool | None, dialect: Dialect) -> Any:
        """0 or 1 for SQLite."""
        return int(value) if value is not None and dialect.name == "sqlite" else value

    def process_result_value(self, value: Any | None, dialect: Dialect) -> bool | None:  # noqa: ARG002
        """A real bool on both engines."""
        return None if value is None else bool(value)


def fold(text: str) -> str:
    """The text with the differences of case taken out."""
    return text.casefold()


class contains_folded(FunctionElement[bool]):  # noqa: N801  (named as SQL functions are)
    """Whether a text contains another, whatever the case: `contains_folded(column, fold(wanted))`. Null contains nothing."""

    type = Boolean()
    inherit_cache = True


@compiles(contains_folded, "sqlite")
def _(element: contains_folded, compiler: SQLCompiler, **kw: Any) -> str:
    # `casefold` is registered on every connection (sqlite.configure): SQLite's own lower() knows ASCII alone.
    column, wanted = (compiler.process(one, **kw) for one in element.clauses)
    return f"instr(casefold({column}), {wanted}) > 0"


@compiles(contains_folded, "postgresql")
def _(element: contains_folded, compiler: SQLCompiler, **kw: Any) -> str:
    column, wanted = (compiler.process(one, **kw) for one in element.clauses)
    return f"strpos(homedex_casefold({column}), {wanted}) > 0"  # see migration 0002
