"""Readers that do not end: the log grows, which is said; writes go on, and the log is cut when they end."""

import asyncio
import logging
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

import ledger
from homedex.errors import QueryTimeout
from homedex.storage.database import Database
from homedex.storage.sqlite import wal_bytes

pytestmark = pytest.mark.anyio

HOLDER = """
import sys
from homedex.storage.sqlite import Options, open_connection
connection = open_connection(sys.argv[1], Options(query_only=True))
connection.execute("BEGIN")
print(connection.execute("SELECT n FROM counter").fetchall(), flush=True)
sys.stdin.read()
print(connection.execute("SELECT n FROM counter").fetchall(), flush=True)
"""
SLOW = text(
    "SELECT n FROM counter, (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 2000000000) SELECT sum(i) FROM n)"
)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything that is done about a large log is done about a small one."""
    monkeypatch.setattr("homedex.storage.sqlite_writer.CHECKPOINT_PAGES", 50)
    monkeypatch.setattr("homedex.storage.sqlite_writer.IDLE_S", 0.05)
    monkeypatch.setattr("homedex.storage.sqlite_writer.WAL_WORTH_CUTTING_BYTES", 1)
    monkeypatch.setattr("homedex.storage.sqlite_writer.WAL_WORTH_A_WARNING_BYTES", 1_000_000)


async def cut(db: Database, limit_s: float = 10) -> bool:
    """Whether the log is cut to nothing before long."""
    until = time.monotonic() + limit_s
    while wal_bytes(db.shown) and time.monotonic() < until:  # noqa: ASYNC110  (a thread does it, and tells nobody)
        await asyncio.sleep(0.02)
    return wal_bytes(db.shown) == 0


def holding(path: str) -> "Iterator[subprocess.Popen[str]]":
    command = [sys.executable, "-c", HOLDER, path]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process


@pytest.mark.usefixtures("small")
async def test_a_reader_in_another_process_lets_the_log_grow_which_is_said_and_mended(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "homedex")
    db = Database.open(str(tmp_path / "some.db"), readers=1)
    await db.write(ledger.create)
    for process in holding(db.shown):
        assert process.stdout is not None
        assert await asyncio.to_thread(process.stdout.readline) == "[(0,)]\n"
        for _ in range(120):
            await db.write(ledger.append, 10, 3000)
        warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
        assert len(warnings) in {3, 4}  # at 1, 2, 4 and perhaps 8 MB
        assert all("a reader that does not end" in warning for warning in warnings)
        assert wal_bytes(db.shown) > 4_000_000
        assert await db.read(lambda connection: connection.execute(text("SELECT n FROM counter")).scalar_one()) == 120
        rest, _ = await asyncio.to_thread(process.communicate, "")
        assert rest == "[(0,)]\n"  # its snapshot held to the end
    assert await cut(db)
    await db.close()
    assert "written back and cut" in caplog.text
    assert ledger.counted(tmp_path / "some.db") == 120


@pytest.mark.usefixtures("small")
async def test_a_read_of_ours_that_does_not_end_is_stopped_and_the_log_is_cut(tmp_path: Path) -> None:
    db = Database.open(str(tmp_path / "some.db"), readers=1, read_deadline_s=0.5)
    await db.write(ledger.create)
    reading = asyncio.ensure_future(db.read(lambda connection: connection.execute(SLOW).scalar()))
    for _ in range(20):
        await db.write(ledger.append, 10, 3000)
    with pytest.raises(QueryTimeout):
        await reading
    assert await cut(db)
    await db.close()


@pytest.mark.usefixtures("small")
async def test_what_a_reader_kept_in_the_log_is_written_back_beside_the_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("homedex.storage.sqlite_writer.BACKLOG_PAGES", 200)
    monkeypatch.setattr("homedex.storage.sqlite_writer.IDLE_S", 60)  # who is idle does not help here
    db = Database.open(str(tmp_path / "some.db"), readers=1)
    await db.write(ledger.create)
    for process in holding(db.shown):
        assert process.stdout is not None
        await asyncio.to_thread(process.stdout.readline)
        for _ in range(60):
            await db.write(ledger.append, 10, 3000)
        await asyncio.to_thread(process.communicate, "")
    grown = wal_bytes(db.shown)
    assert grown > 2_000_000
    for _ in range(200):
        await db.write(ledger.append, 10, 3000)
    assert wal_bytes(db.shown) < grown + 1_000_000  # it began anew; without that it would have 8 MB more
    await db.close()
    assert ledger.counted(tmp_path / "some.db") == 260


@pytest.mark.usefixtures("small")
async def test_nothing_is_said_where_no_reader_is_in_the_way(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    db = Database.open(str(tmp_path / "some.db"), readers=1)
    await db.write(ledger.create)
    for _ in range(5):
        await db.write(ledger.append, 400, 3000)
    assert wal_bytes(db.shown) > 1_000_000
    await db.close()
    assert not [record for record in caplog.records if "has grown" in record.getMessage()]
