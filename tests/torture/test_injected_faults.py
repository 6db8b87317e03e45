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
from faulty import FAULTS, SHARED_FAULTS, Disk, Fault, faulty_disk, faulty_shared_memory
from homedex.errors import Busy, StorageFull, StorageUnavailable
from homedex.storage.database import Database
from homedex.storage.sqlite import open_connection
from service import Service, homedex

pytestmark = [pytest.mark.slow, pytest.mark.anyio]

INJECTED, PER_FILE = 1000, 50
ERROR = 21
"""How `homedex doctor` ends where something is wrong."""

MET = (*(fault for fault in FAULTS if fault[0] != "delete"), SHARED_FAULTS[1])
"""A log is deleted by the last who closes, and shared memory mapped by the first who opens: those two are in tests/storage."""

OF_OPENING = {"open", "lock"}
"""Kinds of calls that a connection makes when it is opened, and not while it works."""


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    """A faulty disk; the log is written back every few pages, so that faults meet checkpoints, too."""
    monkeypatch.setattr("homedex.storage.lanes.CHECKPOINT_PAGES", 8)
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


def test_kills_at_every_step_of_a_backup_and_a_restore_leave_the_old_or_the_new_one() -> None:
    script = Path(__file__).parents[1] / "killed_work.py"
    ended = subprocess.run(
        [sys.executable, "-W", "error", str(script)],
        env={**os.environ, "PYTHONPATH": str(script.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    kills = [int(word) for word in ended.stdout.split() if word.isdigit()]
    assert len(kills) == 3
    assert min(kills) > 30, ended.stdout


def test_a_service_on_a_full_disk_says_507_reads_on_and_writes_again_when_there_is_space(tmp_path: Path) -> None:
    folder = tmp_path / "small"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", folder], capture_output=True, check=False).returncode:  # noqa: S607
        pytest.skip("a small disk can only be mounted as root")
    try:
        (folder / "ballast").write_bytes(bytes(28_000_000))
        with Service.start(folder / "app.db") as service:
            acknowledged, status = list[str](), 201
            while status == 201:
                device_id = f"d{len(acknowledged)}"
                status, body = service.ask("PUT", f"/api/v1/devices/{device_id}", {"name": "x", "note": "n" * 1000})
                acknowledged += [device_id] * (status == 201)
            assert (status, body["type"]) == (507, "/problems/storage-full")
            assert service.ask("GET", f"/api/v1/devices/{acknowledged[-1]}")[0] == 200
            assert service.ask("GET", "/readyz")[0] == 503
            (folder / "ballast").unlink()
            assert service.ask("PUT", "/api/v1/devices/after", {"name": "after"})[0] == 201
            assert service.ask("GET", "/readyz")[0] == 200
            service.stop(signal.SIGKILL)
        with Service.start(folder / "app.db") as service:
            _, page = service.ask("GET", "/api/v1/devices?fields=device_id&limit=1000")
            assert {device["device_id"] for device in page["devices"]} == {*acknowledged, "after"}
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)  # noqa: S607


@pytest.fixture
def failing_disk(tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    """A file system of its own, and the file that makes it find an error: the kernel then takes no more writes to it."""
    image, folder = tmp_path / "image", tmp_path / "disk"
    folder.mkdir()
    with image.open("wb") as file:
        file.truncate(64 << 20)
    make, mount = ["mkfs.ext4", "-q", str(image)], ["mount", "-o", "loop,errors=remount-ro", str(image), str(folder)]
    try:
        mounted = all(subprocess.run(command, capture_output=True, check=False).returncode == 0 for command in (make, mount))
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("a disk that fails can only be mounted as root, with mkfs.ext4")
    device = next(line.split()[0] for line in Path("/proc/mounts").read_text().splitlines() if line.split()[1] == str(folder))
    yield folder, Path("/sys/fs/ext4") / Path(device).name / "trigger_fs_error"
    subprocess.run(["umount", "--lazy", folder], check=True)  # noqa: S607


def test_a_file_system_that_becomes_read_only_is_said_and_read_on_and_loses_nothing(failing_disk: tuple[Path, Path]) -> None:
    folder, fail = failing_disk
    path = folder / "app.db"
    with Service.start(path) as service:
        written = [service.ask("PUT", f"/api/v1/devices/d{number}", {"name": "x"})[0] for number in range(20)]
        assert written == [201] * 20
        fail.write_text("1")
        for _ in range(2):
            status, body = service.ask("PUT", "/api/v1/devices/late", {"name": "x"})
            assert (status, body["type"]) == (503, "/problems/storage-unavailable")
        assert service.ask("GET", "/api/v1/devices/d19")[0] == 200
        assert service.ask("GET", "/api/v1/devices/late")[0] == 404
        status, body = service.ask("GET", "/readyz")
        assert (status, body["checks"]["disk"]) == (503, "the file system takes no writes: look for the disk in the system's log")
        said = homedex("doctor", path=path)
        assert said.returncode == ERROR
        assert "on a file system that nobody may write" in said.stdout
        assert "Mount it for writing" in said.stdout
        said = homedex("backup", path=path)
        assert (said.returncode, said.stderr.count("\n")) == (7, 1)
        assert "Read-only file system" in said.stderr
        assert service.stop() == 0
    subprocess.run(["umount", folder], check=True)  # noqa: S607
    subprocess.run(["mount", "-o", "loop", folder.with_name("image"), folder], check=True)  # noqa: S607
    with Service.start(path) as service:
        assert service.ask("GET", "/api/v1/devices?limit=1")[1]["total"] == 20
        assert service.ask("PUT", "/api/v1/devices/late", {"name": "x"})[0] == 201
        assert service.ask("GET", "/readyz")[0] == 200


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
