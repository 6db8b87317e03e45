"""Times, flags and JSON values survive the database as they were."""

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Column, Engine, MetaData, Table, insert, select
from sqlalchemy.exc import StatementError

from homedex.storage.engine import create_engine
from homedex.storage.sqlite import MEMORY, Options
from homedex.storage.types import Flag, JsonText, UtcDateTime, to_text

metadata = MetaData()
things = Table("things", metadata, Column("at", UtcDateTime), Column("flag", Flag), Column("value", JsonText), sqlite_strict=True)

instants = st.datetimes(timezones=st.timezones() | st.just(UTC), min_value=datetime(1000, 1, 3), max_value=datetime(9999, 12, 29))  # noqa: DTZ001
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(), lambda inner: st.lists(inner, max_size=3)
)


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    engine = create_engine(str(tmp_path / "types.db"), Options())
    metadata.create_all(engine)
    return engine


def round_trip(engine: Engine, **values: Any) -> Any:
    with engine.begin() as connection:
        connection.execute(insert(things), values)
        return connection.execute(select(things)).one()


def test_microseconds_and_the_instant_are_kept(engine: Engine) -> None:
    moment = datetime(2026, 11, 22, 18, 52, 56, 700259, tzinfo=timezone(timedelta(hours=5)))
    found = round_trip(engine, at=moment).at
    assert (found, found.tzinfo) == (moment, UTC)


def test_a_naive_time_is_refused(engine: Engine) -> None:
    with pytest.raises(StatementError, match="naive time"):
        round_trip(engine, at=datetime(2026, 11, 22))  # noqa: DTZ001


def test_the_text_is_rfc_3339_with_z() -> None:
    assert to_text(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)) == "2026-01-02T03:04:05.000000Z"


@given(instants, instants)
def test_the_text_sorts_as_time_does(one: datetime, other: datetime) -> None:
    assert (to_text(one) < to_text(other)) == (one.astimezone(UTC) < other.astimezone(UTC))


@given(st.booleans() | st.none(), json_values)
@settings(max_examples=50)
def test_flags_and_json_come_back_as_they_were(flag: bool | None, value: Any) -> None:
    engine = create_engine(MEMORY, Options())
    with engine.begin() as connection:
        metadata.create_all(connection)
        connection.execute(insert(things), {"flag": flag, "value": value})
        found = connection.execute(select(things.c.flag, things.c.value)).one()
    engine.dispose()
    assert (found.flag, found.value) == (flag, value)


def test_a_strict_table_refuses_another_type(engine: Engine) -> None:
    with engine.begin() as connection, pytest.raises(Exception, match="cannot store TEXT value in INTEGER"):
        connection.exec_driver_sql("INSERT INTO things (flag) VALUES ('maybe')")
