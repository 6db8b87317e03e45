"""Damaged files: noticed at start, or by whoever meets it first; read on where whole, and never written to again."""

import asyncio
import os
import random
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

import ledger
from faulty import content
from homedex.errors import NotADatabase
from homedex.storage.database import Database
from homedex.storage.sqlite import open_connection, wal_bytes

pytestmark = pytest.mark.anyio

PAGE = 4096


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A ledger of some hundred pages, closed in order."""

    async def fill() -> None:
        db = Database.open(str(tmp_path / "some.db"), readers=1)
        await db.write(ledger.create)
        for _ in range(100):
            await db.write(ledger.append, 5, 1000)
        await db.close()

    asyncio.run(fill())
    return tmp_path / "some.db"


def overwrite(path: Path, offset: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)


def a_page_of(path: Path, table: str, kind: str = "leaf") -> int:
    """The number of a page in the middle of a table's or an index's tree."""
    connection = open_connection(str(path))
    pages = [row[0] for row in connection.execute("SELECT pageno FROM dbstat WHERE name = ? AND pagetype = ?", (table, kind))]
    connection.close()
    return int(pages[len(pages) // 2])


def garble(path: Path) -> None:
    overwrite(path, (a_page_of(path, "log") - 1) * PAGE, random.Random(1).randbytes(PAGE))  # noqa: S311


def blank(path: Path) -> None:
    overwrite(path, (a_page_of(path, "log") - 1) * PAGE, bytes(PAGE))


def blank_an_index(path: Path) -> None:
    overwrite(path, (a_page_of(path, "log_n") - 1) * PAGE, bytes(PAGE))


def truncate(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2 // PAGE * PAGE)


def truncate_within_a_page(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 1000)


def spoil_the_header(path: Path) -> None:
    overwrite(path, 0, b"no longer SQLite")


def spoil_the_page_size(path: Path) -> None:
    overwrite(path, 16, b"\x00\x07")


def spoil_the_schema(path: Path) -> None:
    overwrite(path, 100, bytes(8))


def log_sum(connection: Connection) -> int:
    n: int = connection.execute(text("SELECT sum(length(t)) FROM log")).scalar_one()
    return n


def read_count(connection: Connection) -> int:
    n: int = connection.execute(text("SELECT n FROM counter")).scalar_one()
    return n


@pytest.mark.parametrize(
    "spoil",
    [truncate, truncate_within_a_page, spoil_the_header, spoil_the_page_size, spoil_the_schema],
    ids=lambda spoil: spoil.__name__,
)
def test_what_shows_at_once_is_said_when_the_file_is_opened(path: Path, spoil: Callable[[Path], None]) -> None:
    spoil(path)
    before = path.read_bytes()
    with pytest.raises(NotADatabase, match=r"damaged|not a SQLite database"):
        Database.open(str(path), readers=1)
    assert path.read_bytes() == before


@pytest.mark.parametrize("spoil", [garble, blank, blank_an_index], ids=lambda spoil: spoil.__name__)
async def test_what_does_not_show_at_once_is_found_after_the_start(path: Path, spoil: Callable[[Path], None]) -> None:
    spoil(path)
    db = Database.open(str(path), readers=1)
    assert db.damage is None
    await db.look_for_damage()
    assert db.damage is not None
    assert "doctor --repair" in db.damage
    await db.close()


async def test_a_whole_file_is_found_whole(path: Path) -> None:
    db = Database.open(str(path), readers=1)
    await db.look_for_damage()
    assert (db.damage, await db.write(ledger.append, 1, 1)) == (None, 101)
    await db.close()


async def test_closing_does_not_wait_for_the_look(path: Path) -> None:
    db = Database.open(str(path), readers=1)
    looking = asyncio.ensure_future(db.look_for_damage())
    await asyncio.sleep(0)
    await asyncio.wait_for(db.close(), 2)
    await looking
    assert db.damage is None


@pytest.mark.parametrize("kind", ["read", "write"])
async def test_who_meets_damage_is_told_and_nothing_is_written_from_then_on(path: Path, kind: str) -> None:
    blank(path)
    db, log = Database.open(str(path), readers=1), Path(f"{path}-wal")
    assert await db.write(ledger.append, 1, 1) == 101
    with pytest.raises(NotADatabase, match="damaged"):
        await getattr(db, kind)(log_sum)
    before = [content(file) for file in (path, log)]
    for _ in range(3):
        with pytest.raises(NotADatabase, match="Nothing more is written"):
            await db.write(ledger.append, 1, 1)
    assert await db.read(read_count) == 101
    await db.close()
    assert [content(file) for file in (path, log)] == before  # the log is kept for the repair


async def test_what_shares_a_transaction_with_one_that_meets_damage_is_not_committed(path: Path) -> None:
    blank(path)
    db = Database.open(str(path), readers=1)
    leave = threading.Event()
    holding = asyncio.ensure_future(db.write(lambda _: leave.wait(10)))
    waiting = [
        asyncio.ensure_future(db.write(fn, *of)) for fn, of in ((ledger.append, (1, 1)), (log_sum, ()), (ledger.append, (1, 1)))
    ]
    await asyncio.sleep(0.05)  # they wait together, and share the next transaction
    leave.set()
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert await holding
    assert [type(outcome) for outcome in outcomes] == [NotADatabase] * 3
    assert await db.read(read_count) == 100
    await db.close()


def left_by_a_kill(path: Path, folder: Path, transactions: int) -> Path:
    """A copy of a file and its log, as a process that is killed after some transactions leaves them."""

    folder.mkdir()

    async def write() -> Path:
        db = Database.open(str(path), readers=1)
        for _ in range(transactions):
            await db.write(ledger.append, 2, 500)
        for suffix in ("", "-wal"):
            (folder / f"left.db{suffix}").write_bytes(content(Path(f"{path}{suffix}")))
        await db.close()
        return folder / "left.db"

    return asyncio.run(write())


def test_of_a_torn_log_everything_before_the_tear_is_there(path: Path, tmp_path: Path) -> None:
    left = left_by_a_kill(path, tmp_path / "left", 20)
    log = Path(f"{left}-wal")
    whole = log.read_bytes()
    found = []
    for size in range(0, len(whole), len(whole) // 40):
        again = Path(shutil.copy(left, tmp_path / "again.db"))
        Path(f"{again}-wal").write_bytes(whole[:size])
        found.append(ledger.counted(again))
    assert found == sorted(found)
    assert (found[0], found[-1] < 120, len(set(found)) > 10) == (100, True, True)


def test_of_a_log_with_a_bad_page_everything_before_it_is_there(path: Path, tmp_path: Path) -> None:
    left = left_by_a_kill(path, tmp_path / "left", 20)
    size = wal_bytes(str(left))
    overwrite(Path(f"{left}-wal"), size // 2, b"spoilt")
    assert 100 < ledger.counted(left) < 120


async def test_the_log_of_another_file_is_taken_by_sqlite_and_found_after_the_start(tmp_path: Path) -> None:
    """SQLite does not know whose log it is: whoever copies a file over another must take the log away."""
    files = []
    for name in ("one", "other"):
        path = tmp_path / f"{name}.db"
        db = Database.open(str(path), readers=1)
        await db.write(ledger.create)
        for _ in range(60 if name == "one" else 30):
            await db.write(ledger.append, 5, 1000 if name == "one" else 300)
        await db.close()
        files.append(path)
    left = await asyncio.to_thread(_left_by_a_kill_in_thread, files[1], tmp_path / "left")
    shutil.copy(f"{left}-wal", f"{files[0]}-wal")
    try:
        db = Database.open(str(files[0]), readers=1)
    except NotADatabase:
        return
    await db.look_for_damage()
    assert db.damage is not None
    await db.close()


def _left_by_a_kill_in_thread(path: Path, folder: Path) -> Path:
    return left_by_a_kill(path, folder, 20)


@pytest.mark.parametrize("how", ["empty", "gone"])
async def test_a_log_whose_file_was_lost_is_left_alone(path: Path, tmp_path: Path, how: str) -> None:
    left = await asyncio.to_thread(left_by_a_kill, path, tmp_path / "left", 5)
    if how == "empty":
        left.write_bytes(b"")
    else:
        left.unlink()
    before = wal_bytes(str(left))
    with pytest.raises(NotADatabase, match="its log"):
        Database.open(str(left), readers=1)
    assert (wal_bytes(str(left)), left.exists()) == (before, how == "empty")


async def test_a_file_that_is_gone_when_it_is_looked_through_is_no_damage(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    db = Database.open(str(path), readers=1)
    for suffix in ("", "-wal", "-shm"):
        os.rename(f"{path}{suffix}", f"{path}.away{suffix}")  # noqa: PTH104
    await db.look_for_damage()
    assert "was not looked through" in caplog.text
    assert db.damage is None
    await db.close()
