"""A disk that fails, a power cut, a SIGKILL, each at every step or at random ones, hundreds of times."""

import asyncio
import contextlib
import http.client
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import ledger
import released
from faulty import FAULTS, SHARED_FAULTS, Disk, Fault, faulty_disk, faulty_shared_memory
from homedex.errors import Busy, StorageFull, StorageUnavailable
from homedex.registry import schema
from homedex.storage.database import Database
from homedex.storage.sqlite import open_connection
from servers import Server
from service import Service

pytestmark = [pytest.mark.slow, pytest.mark.anyio]

INJECTED, PER_FILE = 1000, 50
MET = (*(fault for fault in FAULTS if fault[0] != "delete"), SHARED_FAULTS[1])
"""A log is deleted by the last who closes, and shared memory mapped by the first who opens: those two are in tests/storage."""

OF_OPENING = {"open", "lock"}
"""Kinds of calls that a connection makes when it is opened, and not while it works."""


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    """A faulty disk; the log is written back every few pages, so that faults meet checkpoints, too."""
    monkeypatch.setattr("homedex.storage.sqlite_writer.CHECKPOINT_PAGES", 8)
    with faulty_disk() as made:
        yield made


async def write_until_it_fails(
    db: Database, disk: Disk, dice: random.Random, beside: Path | None
) -> tuple[list[int], list[BaseException]]:
    """The numbers that were acknowledged and the errors that were given out, in bursts until the fault was met.

    Args:
        beside: a file that is opened and closed again with each burst, for faults that are met nowhere else.
    """
    numbers: list[int] = []
    errors: list[BaseException] = []
    for _ in range(100):
        burst = [db.write(ledger.append, *ledger.some(dice)) for _ in range(dice.randint(1, 6))]
        for outcome in await asyncio.wait_for(asyncio.gather(*burst, return_exceptions=True), 10):
            (errors if isinstance(outcome, BaseException) else numbers).append(outcome)  # type: ignore[arg-type]
        if beside is not None:
            try:
                await Database.open(str(beside), readers=1, busy_timeout_s=0.2).close()
            except (StorageUnavailable, Busy):
                assert disk.fault is not None
                assert disk.fault.raised
        if disk.fault is None or disk.fault.raised:
            break
    return numbers, errors


async def test_a_thousand_faults_of_the_disk_lose_nothing(tmp_path: Path, disk: Disk) -> None:
    dice, met = random.Random(1000), Counter[int]()  # noqa: S311  (repeatable)
    for number in range(INJECTED):
        if number % PER_FILE == 0:
            path = tmp_path / f"{number}.db"
            db = Database.open(str(path), readers=1, busy_timeout_s=0.2)
            await db.write(ledger.create)
            last = 0
        kind, code = dice.choice(MET)
        lasting = kind != "fcntl" and dice.random() < 0.3  # SQLite tries for such a lock for 10 s
        disk.fault = Fault((kind,), code, at=dice.randint(1, 12), share=dice.choice((0.0, 0.5)), lasting=lasting)
        # Not always: no call of Python's may be met while an error of the disk's is under way.
        with faulty_shared_memory(disk) if kind == "fcntl" else contextlib.nullcontext():
            numbers, errors = await write_until_it_fails(db, disk, dice, path if kind in OF_OPENING else None)
        assert all(isinstance(error, StorageFull | StorageUnavailable | Busy) for error in errors), errors
        met[code] += disk.fault.raised > 0
        disk.fault = None
        last = max([last, *numbers])
        found = ledger.counted_anew(path, tmp_path / "anew")
        assert last <= found <= last + len(errors)
        last = await asyncio.wait_for(db.write(ledger.append, 1, 10), 10)
        if number % PER_FILE == PER_FILE - 1:
            await db.close()
            assert ledger.counted(path) == last
    assert all(met[code] > INJECTED / 40 for _, code in MET), met


def test_a_thousand_kills_at_every_step_of_commit_and_checkpoint_lose_nothing() -> None:
    script = Path(__file__).parents[1] / "killed.py"
    command = [sys.executable, "-W", "error", str(script), "1000"]
    ended = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": str(script.parent)}, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith("killed 1000 times")


def kills_of_work(*arguments: str) -> list[int]:
    """How often `killed_work.py` has killed each work."""
    script = Path(__file__).parents[1] / "killed_work.py"
    ended = subprocess.run(
        [sys.executable, "-W", "error", str(script), *arguments],
        env={**os.environ, "PYTHONPATH": str(script.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    return [int(word) for word in ended.stdout.split() if word.isdigit()]


def test_kills_at_every_step_of_a_backup_and_a_restore_leave_the_old_or_the_new_one() -> None:
    kills = kills_of_work()
    assert len(kills) == 3
    assert min(kills) > 30, kills


def test_kills_during_a_backup_of_a_server_leave_none_or_a_whole_one(postgresql: Server) -> None:
    with postgresql.database() as url:
        released.load_server(schema.head(), url)
        (kills,) = kills_of_work(url)
        assert kills > 20


def test_two_services_on_one_file_of_which_one_is_killed_again_and_again_lose_nothing(tmp_path: Path) -> None:
    path, acknowledged = tmp_path / "app.db", list[str]()
    stop = threading.Event()

    def write(service: Service, name: str) -> None:
        for turn in range(100_000):
            try:
                status, _ = service.ask("PUT", f"/api/v1/devices/{name}-{turn}", {"name": name})
            except (OSError, ValueError, http.client.HTTPException):
                return
            assert status == 201
            acknowledged.append(f"{name}-{turn}")
            if stop.is_set():
                return

    with Service.start(path) as steady:
        writer = threading.Thread(target=write, args=(steady, "steady"))
        writer.start()
        for kill in range(10):
            killed = Service.start(path)
            other = threading.Thread(target=write, args=(killed, f"killed{kill}"))
            other.start()
            time.sleep(0.2)
            killed.stop(signal.SIGKILL)
            other.join()
        stop.set()
        writer.join()
    connection = open_connection(str(path))
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    there = {row[0] for row in connection.execute("SELECT device_id FROM devices")}
    connection.close()
    assert set(acknowledged) <= there
    assert len([name for name in acknowledged if name.startswith("killed")]) > 10
