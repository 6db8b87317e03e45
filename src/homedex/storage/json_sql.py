"""SELECTs that come back as finished JSON text, on SQLite and PostgreSQL alike.

Rows that never become Python objects are what makes a page cheap: 50 devices took 74 us as JSON from SQL and 222 us as rows
through a fast encoder (measured 2026-11). The columns' types decide how each value is written: `Flag` as true or false,
`UtcDateTime` as RFC 3339 with six decimals and `Z`, `JsonText` as the value it holds, null as null.

Source: https://sqlite.org/json1.html, https://www.postgresql.org/docs/18/functions-json.html
"""

import json
from collections.abc import Iterable
from typing import Any

from sqlalchemy import ARRAY, Boolean, Dialect, Select, Text, TypeDecorator, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeEngine

from homedex.storage.types import TIME, Flag, JsonText, UtcDateTime, compact_json


class JsonSql(TypeDecorator[str]):
    """JSON that stays text when it is fetched, and is nested, not quoted, inside other JSON."""

    impl = Text
    cache_ok = True


class json_row(FunctionElement[str]):  # noqa: N801  (named as SQL functions are)
    """One JSON object: `{name: value, …}` of the columns given, in their order."""

    type = JsonSql()
    inherit_cache = True


class json_rows(FunctionElement[str]):  # noqa: N801
    """An aggregate: one JSON array of such objects, `[]` for no rows."""

    type = JsonSql()
    inherit_cache = True


class json_of_said(FunctionElement[str]):  # noqa: N801
    """One JSON object of the columns that are not null, `[]` or `{}`; the first, a text, always is. Texts, times and JSON only.

    It is written as Python's compact JSON is. Put together from texts, and not by `json_object`, which takes nulls in: 2.7 us
    a row of twelve columns, 4.0 us with `json_patch('{}', …)` to take them out again (2026-11).
    """

    type = JsonText()
    inherit_cache = True


def json_array(rows: Select[Any]) -> Select[tuple[str]]:
    """The rows of a SELECT, in its order, as one JSON array.

    Returns: a SELECT of one row and one column, the text.
    """
    inner = rows.subquery()
    return select(json_rows(*inner.c))


def _value_for_sqlite(column: ColumnElement[Any], sql: str) -> str:
    if isinstance(column.type, Flag | Boolean):
        return f"CASE {sql} WHEN 1 THEN json('true') WHEN 0 THEN json('false') END"
    # A subquery's JSON is plain text again to SQLite: json() marks it as JSON.
    return f"json({sql})" if isinstance(column.type, JsonText | JsonSql) else sql


def _value_for_postgresql(column: ColumnElement[Any], sql: str) -> str:
    if isinstance(column.type, UtcDateTime):
        return TIME.format(name=sql)
    return f"({sql})::json" if isinstance(column.type, JsonText | JsonSql) else sql


def _object_for_postgresql(element: FunctionElement[str], compiler: SQLCompiler, kw: dict[str, Any]) -> str:
    """A JSON object without blanks, byte for byte as SQLite writes it; json_build_object writes ` : ` between name and value."""
    kw = kw | {"within_columns_clause": False}
    columns: Iterable[Any] = element.clauses
    members = ", ".join(
        f"{_value_for_postgresql(column, compiler.process(column, **kw))} AS {compiler.preparer.quote_identifier(column.key)}"
        for column in columns
    )
    return f"(SELECT row_to_json(one) FROM (SELECT {members}) AS one)"  # noqa: S608  (our own columns)


def _pairs(element: FunctionElement[str], compiler: SQLCompiler, kw: dict[str, Any]) -> str:
    kw = kw | {"within_columns_clause": False}
    columns: Iterable[Any] = element.clauses
    return ", ".join(
        f"{compiler.render_literal_value(column.key, Text())}, {_value_for_sqlite(column, compiler.process(column, **kw))}"
        for column in columns
    )


@compiles(json_row, "sqlite")
def _(element: json_row, compiler: SQLCompiler, **kw: Any) -> str:
    return f"json_object({_pairs(element, compiler, kw)})"


@compiles(json_rows, "sqlite")
def _(element: json_rows, compiler: SQLCompiler, **kw: Any) -> str:
    return f"json_group_array(json_object({_pairs(element, compiler, kw)}))"


@compiles(json_row, "postgresql")
def _(element: json_row, compiler: SQLCompiler, **kw: Any) -> str:
    return f"({_object_for_postgresql(element, compiler, kw)})::text"


@compiles(json_rows, "postgresql")
def _(element: json_rows, compiler: SQLCompiler, **kw: Any) -> str:
    return f"coalesce(array_to_json(array_agg({_object_for_postgresql(element, compiler, kw)}))::text, '[]')"


class json_texts(FunctionElement[str]):  # noqa: N801
    """The texts of a JSON array, as a table: `json_texts(value).table_valued("value")`."""

    inherit_cache = True
    name = "json_texts"


@compiles(json_texts, "sqlite")
def _(element: json_texts, compiler: SQLCompiler, **kw: Any) -> str:
    return f"json_each({compiler.process(element.clauses, **kw)})"


@compiles(json_texts, "postgresql")
def _(element: json_texts, compiler: SQLCompiler, **kw: Any) -> str:
    return f"json_array_elements_text(({compiler.process(element.clauses, **kw)})::json)"


class TextList(TypeDecorator[list[str]]):
    """A list of texts as one parameter: a JSON array on SQLite, an array on PostgreSQL."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """TEXT on SQLite, text[] elsewhere."""
        return dialect.type_descriptor(Text() if dialect.name == "sqlite" else ARRAY(Text()))

    def process_bind_param(self, value: list[str] | None, dialect: Dialect) -> Any:
        """JSON for SQLite; the driver encodes for PostgreSQL."""
        return compact_json(value) if dialect.name == "sqlite" else value


class among(FunctionElement[bool]):  # noqa: N801
    """Whether a text is one of a list: `among(column, bindparam("values", type_=TextList()))`.

    On PostgreSQL an array, which the planner takes for the few that it is. For a JSON array it expects 100, and reads the whole
    table: 64 of 20,000 devices took 3 ms by a JSON array and 0.9 ms by this one (2026-11).
    """

    inherit_cache = True  # and no type: after a Boolean SQLAlchemy writes `= 1` for SQLite, which then reads the whole table


@compiles(among, "sqlite")
def _(element: among, compiler: SQLCompiler, **kw: Any) -> str:
    column, values = (compiler.process(one, **kw) for one in element.clauses)
    return f"{column} IN (SELECT value FROM json_each({values}))"  # noqa: S608  (our own columns)


@compiles(among, "postgresql")
def _(element: among, compiler: SQLCompiler, **kw: Any) -> str:
    column, values = (compiler.process(one, **kw) for one in element.clauses)
    return f"{column} = ANY ({values})"


@compiles(json_of_said, "sqlite")
def _(element: json_of_said, compiler: SQLCompiler, **kw: Any) -> str:
    return f"concat({_said(element, compiler, kw)})"


@compiles(json_of_said, "postgresql")
def _(element: json_of_said, compiler: SQLCompiler, **kw: Any) -> str:
    return f"concat({_said(element, compiler, kw)})::json"


def _said(element: json_of_said, compiler: SQLCompiler, kw: dict[str, Any]) -> str:
    """The parts of the text: `concat` leaves out those that are null."""
    on_sqlite = compiler.dialect.name == "sqlite"
    parts, before = [], "{"
    for column in element.clauses:
        sql = compiler.process(column, **(kw | {"within_columns_clause": False}))
        name = compiler.render_literal_value(f"{before}{json.dumps(column.key)}:", Text())
        if isinstance(column.type, JsonText):
            parts.append(f"{name} || nullif(nullif({sql if on_sqlite else f'({sql})::text'}, '[]'), '{{}}')")
        else:
            value = f"json_quote({sql})" if on_sqlite else f"to_json({_value_for_postgresql(column, sql)})::text"
            parts.append(f"CASE WHEN {sql} IS NOT NULL THEN {name} || {value} END")
        before = ","
    return ", ".join([*parts, "'}'"])
