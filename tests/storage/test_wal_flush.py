"""What a session has confirmed is in that part of the log which has reached the disk."""

import asyncio
import os
import shutil
import threading
from pathlib import Path

import apsw
import pytest
from sqlalchemy import text

from homedex.errors import StorageUnavailable
from homedex.storage import wal_flush
from homedex.storage.sessions import Sessions

pytestmark = [pytest.mark.anyio, pytest.mark.sqlite]


async def made(path: Path) -> Sessions:
    sessions = Sessions.open(str(path))
    async with sessions.write() as session:
        await session.execute(text("CREATE TABLE kept (id INTEGER PRIMARY KEY) STRICT"))
    return sessions


async def write(sessions: Sessions, number: int) -> None:
    async with sessions.write() as session:
        await session.execute(text("INSERT INTO kept VALUES (:number)"), {"number": number})


async def test_what_is_confirmed_outlives_a_power_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sessions, reached, confirmed = await made(tmp_path / "some.db"), [0], list[tuple[int, int]]()

    def sync(log: int) -> None:
        size = os.fstat(log).st_size
        os.fsync(log)
        reached.append(size)

    monkeypatch.setattr(wal_flush, "_sync", sync)

    async def one(number: int) -> None:
        await write(sessions, number)
        confirmed.append((number, reached[-1]))

    await asyncio.gather(*(one(number) for number in range(60)))
    (tmp_path / "cut").mkdir()
    # By another process: reading the file in this one would drop SQLite's locks.
    copy = await asyncio.create_subprocess_exec("cp", tmp_path / "some.db", tmp_path / "some.db-wal", tmp_path / "cut")
    assert await copy.wait() == 0
    for number, size in confirmed[::6]:
        cut = tmp_path / f"cut{number}"
        cut.mkdir()
        shutil.copy(tmp_path / "cut" / "some.db", cut)
        (cut / "some.db-wal").write_bytes((tmp_path / "cut" / "some.db-wal").read_bytes()[:size])
        found = [row[0] for row in apsw.Connection(str(cut / "some.db")).execute("SELECT id FROM kept")]
        assert number in found
    await sessions.close()


async def test_nobody_hears_of_success_before_the_log_is_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sessions, may_go_on, flushes = await made(tmp_path / "some.db"), threading.Event(), list[int]()

    def sync(log: int) -> None:
        flushes.append(log)
        may_go_on.wait(30)

    monkeypatch.setattr(wal_flush, "_sync", sync)
    tasks = [asyncio.create_task(write(sessions, number)) for number in range(5)]
    await asyncio.sleep(0.5)
    assert not any(task.done() for task in tasks)
    may_go_on.set()
    await asyncio.gather(*tasks)
    assert len(flushes) in {1, 2}  # for the first that committed, and then once for those that came meanwhile, if any did
    await sessions.close()


@pytest.mark.parametrize("count", [1, 5])
async def test_a_disk_that_fails_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    sessions = await made(tmp_path / "some.db")

    def fail(_: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(wal_flush, "_sync", fail)
        outcomes = await asyncio.gather(*(write(sessions, number) for number in range(count)), return_exceptions=True)
    assert [type(one) for one in outcomes] == [StorageUnavailable] * count
    with pytest.raises(StorageUnavailable, match="Nothing was written"):  # it would come after a gap in the log
        await write(sessions, 100)
    await sessions.close()
    await write(sessions := Sessions.open(str(tmp_path / "some.db")), 100)
    await sessions.close()


async def test_normal_does_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await (await made(tmp_path / "some.db")).close()
    monkeypatch.setattr(wal_flush, "_sync", lambda _: pytest.fail("it was flushed"))
    sessions = Sessions.open(str(tmp_path / "some.db"), synchronous="NORMAL")
    await asyncio.gather(*(write(sessions, number) for number in range(5)))
    await sessions.close()
