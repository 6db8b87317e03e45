"""Repair: of every kind of damaged page, all is saved that is there, what is lost is counted, and the result is whole."""

import asyncio
import json
import random
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, text

from faulty import content
from homedex.errors import Busy, Conflict, DatabaseTooNew, HomedexError, NotADatabase, StorageUnavailable
from homedex.ingest import demo
from homedex.registry import schema
from homedex.registry.devices import DEVICES
from homedex.registry.repair import repair
from homedex.storage.database import Database
from homedex.storage.salvage import Salvage
from homedex.storage.sqlite import open_connection
from service import Service

pytestmark = pytest.mark.sqlite

PAGE = 4096
KEYS = {
    "sources": "source_id",
    "areas": "area_id",
    "devices": "device_id",
    "entities": "id",
    "sightings": "number",
    "sync_runs": "run_id",
    "changes": "seq",
}


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The made-up home: 240 devices, 1,400 entities, 1,653 changes less those that were forgotten; closed in order."""
    path = tmp_path_factory.mktemp("home") / "home.db"

    async def fill() -> None:
        db = schema.open_registry(str(path), readers=1)
        await demo.fill(db)
        await db.write(forget_some)
        await db.close()

    asyncio.run(fill())
    return path


def forget_some(connection: Connection) -> None:
    connection.execute(text("DELETE FROM changes WHERE seq BETWEEN 500 AND 800"))  # leaves free pages


@pytest.fixture
def damaged(home: Path, tmp_path: Path) -> Path:
    """A copy to be damaged."""
    return Path(shutil.copy(home, tmp_path / "damaged.db"))


def rows_of(path: Path) -> dict[str, dict[Any, Any]]:
    connection = open_connection(str(path))
    try:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        return {
            table: {row[0]: row[1:] for row in connection.execute(f"SELECT {key}, * FROM {table}")} for table, key in KEYS.items()
        }
    finally:
        connection.close()


def pages_of(path: Path, name: str, kind: str) -> list[int]:
    connection = open_connection(str(path))
    sql = "SELECT pageno FROM dbstat WHERE name = ? AND pagetype = ? ORDER BY path"
    pages = [int(str(row[0])) for row in connection.execute(sql, (name, kind))]
    connection.close()
    return pages


def spoil(path: Path, page: int, how: str, size: int = PAGE) -> None:
    data = bytes(size) if how == "blank" else random.Random(page).randbytes(size)  # noqa: S311
    with path.open("r+b") as file:
        file.seek((page - 1) * PAGE)
        file.write(data)


def check(home: Path, damaged: Path, tmp_path: Path) -> Salvage:
    """Repair; fails unless what was saved is what was there, and saved, rebuilt and lost are all."""
    before = damaged.read_bytes()
    found = repair(str(damaged), tmp_path / "new.db")
    assert damaged.read_bytes() == before
    there, now = rows_of(home), rows_of(tmp_path / "new.db")
    for saved in found.tables:
        if saved.table in KEYS:
            was, is_now = there[saved.table], now[saved.table]
            assert set(is_now) <= set(was) or saved.table == "sightings", saved  # of a device that was rebuilt without its number
            assert sum(is_now[key] == was.get(key) for key in is_now) >= saved.saved, saved
            if saved.counted:
                assert saved.saved + saved.rebuilt + saved.lost == len(was), saved
            assert len(is_now) == saved.saved + saved.rebuilt
    return found


def of(found: Salvage, table: str) -> tuple[int, int, int]:
    return next((one.saved, one.rebuilt, one.lost) for one in found.tables if one.table == table)


def test_of_a_whole_file_everything_is_saved_byte_for_byte(home: Path, damaged: Path, tmp_path: Path) -> None:
    found = check(home, damaged, tmp_path)
    assert rows_of(home) == rows_of(tmp_path / "new.db")
    assert (found.bad_pages, found.header_is_whole) == (0, True)


@pytest.mark.parametrize("how", ["blank", pytest.param("garbled", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "where",
    [
        ("devices", "leaf"),
        ("devices", "internal"),
        ("entities", "leaf"),
        ("changes", "leaf"),
        ("sources", "leaf"),
        ("sqlite_autoindex_devices_1", "internal"),
        ("sqlite_autoindex_devices_1", "leaf"),
        ("ix_entities_name", "leaf"),
        ("sqlite_schema", "leaf"),
        ("sqlite_schema", "internal"),
        ("device_search_data", "leaf"),
        ("alembic_version", "leaf"),
    ],
)
def test_a_page_that_is_lost_costs_no_more_than_what_stood_in_it(
    home: Path, damaged: Path, tmp_path: Path, where: tuple[str, str], how: str
) -> None:
    name, kind = where
    pages = pages_of(damaged, name, kind)
    spoil(damaged, pages[len(pages) // 2], how)
    found = check(home, damaged, tmp_path)
    total = {table: len(rows) for table, rows in rows_of(home).items()}
    if (name, kind) == ("devices", "leaf"):
        saved, rebuilt, lost = of(found, "devices")
        assert (saved + rebuilt, lost) == (240, 0)
        assert 0 < rebuilt < 20
        assert indexed(tmp_path / "new.db") == indexed(home)
    elif name == "changes":
        assert 0 < of(found, "changes")[2] < 30
    elif name == "entities":
        assert of(found, "entities")[0] > 1380
        assert of(found, "entities")[2] == 0
    elif name == "sources":
        assert of(found, "sources") == (0, 1, 0)
    else:  # nothing but the way to the rows
        assert {one.table: one.saved for one in found.tables if one.table in KEYS} == total


def indexed(path: Path) -> set[tuple[Any, ...]]:
    connection = open_connection(str(path))
    columns = "number, device_id, name, manufacturer, model, area_id, integration, source_id, created_at"
    rows = set(connection.execute(f"SELECT {columns} FROM devices"))
    connection.close()
    return rows


def test_what_rows_point_to_is_rebuilt_for_them_though_no_index_knows_it_any_more(
    home: Path, damaged: Path, tmp_path: Path
) -> None:
    names = [*indexes_of(damaged, "devices"), *indexes_of(damaged, "sources"), "sources"]
    roots = [(pages_of(damaged, name, "internal") or pages_of(damaged, name, "leaf"))[0] for name in names]
    for page in [*roots, pages_of(damaged, "devices", "leaf")[5]]:
        spoil(damaged, page, "blank")
    found = check(home, damaged, tmp_path)
    assert of(found, "sources")[:2] == (0, 1)
    assert of(found, "devices")[1] > 0
    assert of(found, "entities") == (1400, 0, 0)


def indexes_of(path: Path, table: str) -> list[str]:
    connection = open_connection(str(path))
    names = [str(row[1]) for row in connection.execute(f"PRAGMA index_list({table})")]
    connection.close()
    return names


def test_what_was_deleted_does_not_come_back(home: Path, damaged: Path, tmp_path: Path) -> None:
    for name, kind in (("changes", "internal"), ("ix_changes_key", "internal")):
        spoil(damaged, pages_of(damaged, name, kind)[0], "blank")
    found = check(home, damaged, tmp_path)
    assert of(found, "changes")[0] > 1300


@pytest.mark.parametrize("how", ["blank", "garbled"])
@pytest.mark.parametrize("size", [16, 100, PAGE])
def test_a_header_that_is_lost_costs_nothing(home: Path, damaged: Path, tmp_path: Path, size: int, how: str) -> None:
    spoil(damaged, 1, how, size)
    found = check(home, damaged, tmp_path)
    assert not found.header_is_whole
    if size == 16:
        assert {one.table: one.saved for one in found.tables if one.table in KEYS} == {
            table: len(rows) for table, rows in rows_of(home).items()
        }


def test_a_list_of_free_pages_that_is_lost_costs_nothing(home: Path, damaged: Path, tmp_path: Path) -> None:
    with damaged.open("rb") as file:
        trunk = int.from_bytes(file.read(36)[32:])
    assert trunk
    spoil(damaged, trunk, "garbled")
    check(home, damaged, tmp_path)
    assert rows_of(home) == rows_of(tmp_path / "new.db")


def test_of_a_file_that_was_cut_in_half_the_half_is_saved(home: Path, damaged: Path, tmp_path: Path) -> None:
    with damaged.open("r+b") as file:
        file.truncate(damaged.stat().st_size // 2)
    found = check(home, damaged, tmp_path)
    assert sum(one.saved for one in found.tables) > 500


def test_what_the_log_holds_is_saved_too(damaged: Path, tmp_path: Path) -> None:
    async def write() -> None:
        db = Database.open(str(damaged), readers=1, application_id=schema.APPLICATION_ID)
        await db.write(lambda connection: connection.execute(text("UPDATE devices SET note = 'in the log'")).rowcount)
        (tmp_path / "left.db").write_bytes(content(damaged))
        (tmp_path / "left.db-wal").write_bytes(content(Path(f"{damaged}-wal")))
        await db.close()

    asyncio.run(write())
    found = repair(str(tmp_path / "left.db"), tmp_path / "new.db")
    assert 0 < found.log_bytes_used <= found.log_bytes
    assert all("in the log" in row for row in rows_of(tmp_path / "new.db")["devices"].values())
    assert of(found, "devices") == (240, 0, 0)


def test_what_was_rebuilt_can_be_searched_read_and_synced(damaged: Path, tmp_path: Path) -> None:
    pages = pages_of(damaged, "devices", "leaf")
    for page in pages[10:20]:
        spoil(damaged, page, "blank")
    found = repair(str(damaged), tmp_path / "new.db")
    assert of(found, "devices")[1] > 10

    async def sync_and_ask() -> tuple[int, Any]:
        db = schema.open_registry(str(tmp_path / "new.db"), readers=1)
        await demo.fill(db)
        query = DEVICES.questions.read([("q", "kitchen"), ("limit", "1")], now=datetime.now(UTC))
        page, _ = await db.read(DEVICES.page, query)
        nameless = await db.read(lambda connection: connection.execute(NAMELESS).scalar_one())
        await db.close()
        return nameless, json.loads(page)["total"]

    nameless, in_kitchen = asyncio.run(sync_and_ask())
    assert (nameless, in_kitchen > 10) == (0, True)


NAMELESS = text("SELECT count(*) FROM devices WHERE name IS NULL OR identifiers = '[]' AND name NOT LIKE 'demo%'")


def test_numbers_that_lost_changes_had_are_not_given_out_again(home: Path, damaged: Path, tmp_path: Path) -> None:
    spoil(damaged, pages_of(damaged, "changes", "leaf")[-1], "blank")
    repair(str(damaged), tmp_path / "new.db")
    connection = open_connection(str(tmp_path / "new.db"))
    ((last,),) = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'changes'").fetchall()
    connection.close()
    assert last == max(rows_of(home)["changes"])
    assert max(rows_of(tmp_path / "new.db")["changes"]) < last


def test_numbers_are_not_given_out_again_when_all_changes_are_lost(home: Path, damaged: Path, tmp_path: Path) -> None:
    for page in pages_of(damaged, "changes", "leaf"):
        spoil(damaged, page, "blank")
    repair(str(damaged), tmp_path / "new.db")
    assert not rows_of(tmp_path / "new.db")["changes"]
    connection = open_connection(str(tmp_path / "new.db"))
    connection.execute(
        "INSERT INTO changes (at, kind, source_id, key, action, actor) "
        "SELECT created_at, 'device', source_id, device_id, 'update', 'x' FROM devices LIMIT 1"
    )
    ((given,),) = connection.execute("SELECT seq FROM changes").fetchall()
    connection.close()
    assert given == max(rows_of(home)["changes"]) + 1


def test_a_file_that_is_there_is_not_written_over(damaged: Path, tmp_path: Path) -> None:
    (tmp_path / "new.db").write_text("mine")
    with pytest.raises(Conflict, match="is there already"):
        repair(str(damaged), tmp_path / "new.db")
    assert (tmp_path / "new.db").read_text() == "mine"


def test_a_file_in_use_by_another_process_is_left_alone(damaged: Path, tmp_path: Path) -> None:
    with Service.start(damaged), pytest.raises(Busy, match="Stop the service first"):
        repair(str(damaged), tmp_path / "new.db")
    assert not (tmp_path / "new.db").exists()


@pytest.mark.parametrize(
    ("content_of_it", "error"), [(b"", NotADatabase), (b"dear diary\n" * 5000, NotADatabase), (None, StorageUnavailable)]
)
def test_what_is_no_registry_leaves_nothing(tmp_path: Path, content_of_it: bytes | None, error: type[HomedexError]) -> None:
    if content_of_it is not None:
        (tmp_path / "old.db").write_bytes(content_of_it)
    with pytest.raises(error):
        repair(str(tmp_path / "old.db"), tmp_path / "new.db")
    assert not list(tmp_path.glob("new.db*"))


def test_a_registry_of_a_newer_homedex_is_not_repaired_by_an_older_one(damaged: Path, tmp_path: Path) -> None:
    connection = open_connection(str(damaged))
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    with pytest.raises(DatabaseTooNew):
        repair(str(damaged), tmp_path / "new.db")
    assert not list(tmp_path.glob("new.db*"))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100))
def test_any_pages_may_be_lost(home: Path, damaged: Path, tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)  # noqa: S311
    last = damaged.stat().st_size // PAGE
    for _ in range(dice.choice((1, 1, 3, 10))):
        spoil(damaged, dice.randint(1, last), dice.choice(("blank", "garbled")))
    check(home, damaged, tmp_path)
