"""Faults of the disk: whatever fails, the caller is told, what was acknowledged stays, and the service recovers by itself."""

import asyncio
import os
import random
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import apsw
import pytest
from sqlalchemy import Connection, text

import ledger
from faulty import FAULTS, SHARED_FAULTS, Disk, Fault, Kind, faulty_disk, faulty_shared_memory
from homedex.errors import Busy, HomedexError, StorageFull, StorageUnavailable
from homedex.storage import wal_flush
from homedex.storage.database import Database
from homedex.storage.lanes import identity
from homedex.storage.sessions import Sessions
from homedex.storage.sqlite_database import SqliteDatabase

pytestmark = pytest.mark.anyio

BUSY_S = 0.2


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    """A faulty disk; the log is written back every few pages, so that faults meet checkpoints, too."""
    monkeypatch.setattr("homedex.storage.sqlite_writer.CHECKPOINT_PAGES", 8)
    with faulty_disk() as made:
        yield made


@pytest.fixture
async def path(tmp_path: Path) -> Path:
    """A file with an empty ledger."""
    db = Database.open(str(tmp_path / "some.db"), readers=1)
    await db.write(ledger.create)
    await db.close()
    return tmp_path / "some.db"


def read_count(connection: Connection) -> int:
    n: int = connection.execute(text("SELECT n FROM counter")).scalar_one()
    return n


@pytest.mark.parametrize(("kind", "code"), FAULTS[:8])
@pytest.mark.parametrize("at", [1, 2, 5])
async def test_a_call_that_fails_loses_nothing_and_the_next_write_goes_through(
    path: Path, disk: Disk, kind: str, code: int, at: int
) -> None:
    db = Database.open(str(path), readers=1, busy_timeout_s=BUSY_S)
    last, kinds = 0, list[type[HomedexError]]()
    disk.fault = Fault((kind,), code, at=at)  # type: ignore[arg-type]
    for _ in range(20):
        try:
            last = await asyncio.wait_for(db.write(ledger.append, 3, 3000), 5)
        except HomedexError as error:
            kinds.append(type(error))
            assert last <= ledger.counted_anew(path, path.parent / "anew") <= last + 1
    assert disk.fault.raised == 1
    assert kinds in ([], [StorageFull if code == apsw.SQLITE_FULL else StorageUnavailable])
    assert await db.read(read_count) == last
    assert 20 - len(kinds) <= last <= 20  # 20: SQLite passes over some faults, and apsw raises them all the same
    await db.close()
    assert ledger.counted(path) == last


@pytest.mark.parametrize(("kind", "code"), [fault for fault in FAULTS if fault[0] in {"open", "lock", "read", "size"}])
async def test_a_file_that_cannot_be_opened_is_said_and_opens_when_the_fault_is_gone(
    path: Path, disk: Disk, kind: str, code: int
) -> None:
    disk.fault = Fault((kind,), code, lasting=True)  # type: ignore[arg-type]
    with pytest.raises(StorageUnavailable):
        Database.open(str(path), readers=1, busy_timeout_s=BUSY_S)
    disk.fault = None
    db = Database.open(str(path), readers=1)
    assert await db.write(ledger.append, 1, 10) == 1
    await db.close()


@pytest.mark.parametrize(("kind", "code"), [fault for fault in FAULTS if fault[0] in {"open", "read"}])
async def test_a_lane_that_cannot_open_another_connection_says_so_until_it_can(
    path: Path, disk: Disk, kind: str, code: int
) -> None:
    db = Database.open(str(path), readers=1, busy_timeout_s=BUSY_S)
    disk.fault = Fault((kind,), code, lasting=True)  # type: ignore[arg-type]
    with pytest.raises(Exception, match=r"clos|rolled back"):
        await db.write(lambda connection: connection.connection.driver_connection.driver.close())  # type: ignore[union-attr]
    with pytest.raises(StorageUnavailable):
        await asyncio.wait_for(db.write(ledger.append, 1, 10), 5)
    disk.fault = None
    while True:
        try:
            assert await asyncio.wait_for(db.write(ledger.append, 1, 10), 5) == 1
            break
        except StorageUnavailable:  # the lane had looked just before
            continue
    await db.close()


@pytest.mark.parametrize(
    ("kind", "code"),
    [SHARED_FAULTS[0], pytest.param(*SHARED_FAULTS[1], marks=pytest.mark.slow)],  # SQLite tries for a lock for 10 s
)
async def test_shared_memory_that_fails_is_said_and_recovers(path: Path, kind: Kind, code: int) -> None:
    disk = Disk()
    with faulty_shared_memory(disk):
        disk.fault = lasting = Fault((kind,), code, lasting=True)
        with pytest.raises((StorageUnavailable, Busy)):
            Database.open(str(path), readers=1, busy_timeout_s=BUSY_S)
        disk.fault = None
        db = SqliteDatabase.open_file(str(path), readers=1, busy_timeout_s=BUSY_S)
        assert await db.write(ledger.append, 1, 10) == 1
        disk.fault = lasting
        with pytest.raises((StorageUnavailable, Busy)):  # so many pages need another piece of shared memory
            await asyncio.wait_for(db.write(ledger.append, 9000, 2000), 60)
        assert db.revision
        disk.fault = None
        assert await asyncio.wait_for(db.write(ledger.append, 1, 10), 5) == 2
        await db.close()
    assert ledger.counted(path) == 2


CUTS = 30


Acknowledged = list[tuple[list[int], int]]
"""(steps by then, number) of each transaction."""


async def by_database(path: Path, disk: Disk, synchronous: str, dice: random.Random) -> Acknowledged:
    """Bursts of writes while the disk remembers every step."""
    db, acknowledged = Database.open(str(path), readers=1, synchronous=synchronous), []
    for _ in range(40):
        burst = [db.write(ledger.append, *ledger.some(dice)) for _ in range(dice.randint(1, 6))]
        number = max(await asyncio.gather(*burst))
        acknowledged.append((disk.mark(), number))
    await db.close()
    return acknowledged


async def by_sessions(path: Path, disk: Disk, synchronous: str, dice: random.Random) -> Acknowledged:
    """The same by sessions, some of which commit alone, and some at once."""
    sessions, acknowledged = Sessions.open(str(path), readers=1, synchronous=synchronous), Acknowledged()

    async def append() -> None:
        async with sessions.write() as session:
            await session.execute(text("SELECT n FROM counter"))
            connection = await session.connection()
            number = await connection.run_sync(ledger.append, *ledger.some(dice))
        acknowledged.append((disk.mark(), number))

    for _ in range(40):
        await asyncio.gather(*(append() for _ in range(dice.randint(1, 6))))
    await sessions.close()
    return acknowledged


Door = Callable[[Path, Disk, str, random.Random], Awaitable[Acknowledged]]


async def power_cuts(folder: Path, disk: Disk, door: Door, synchronous: str, seed: int) -> int:
    """How many acknowledged transactions the power cuts cost, each at another moment; fails if it is more than a tail."""
    dice, path = random.Random(seed), folder / "some.db"  # noqa: S311
    db = Database.open(str(path), readers=1)
    await db.write(ledger.create)
    await db.close()
    before = {str(path): path.read_bytes()}
    disk.recording, disk.steps, disk.marks = True, [], []
    acknowledged = await door(path, disk, synchronous, dice)
    disk.recording, lost = False, 0
    for _ in range(CUTS):
        at = dice.randint(1, len(disk.steps))
        left = disk.after_a_cut(at, before, dice)
        found = ledger.counted_of({name.removeprefix(str(path)): data for name, data in left.items()}, folder / "anew")
        needed = max((number for (steps,), number in acknowledged if steps <= at), default=0)
        lost += max(0, needed - found)
    return lost


@pytest.fixture
def flushes(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk hears of the log's flushes that do not go through SQLite."""

    def sync(log: int) -> None:
        disk.sync_beside(str(Path(f"/proc/self/fd/{log}").readlink()), lambda: os.fsync(log))

    monkeypatch.setattr(wal_flush, "_sync", sync)


@pytest.mark.usefixtures("flushes")
@pytest.mark.parametrize("door", [by_database, by_sessions])
@pytest.mark.parametrize("seed", [*range(4), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(4, 10))])
async def test_a_power_cut_loses_nothing_acknowledged(tmp_path: Path, disk: Disk, door: Door, seed: int) -> None:
    assert await power_cuts(tmp_path, disk, door, "FULL", seed) == 0


@pytest.mark.parametrize("door", [by_database, by_sessions])
@pytest.mark.parametrize("seed", range(4))
async def test_a_power_cut_with_synchronous_normal_loses_no_more_than_a_tail(
    tmp_path: Path, disk: Disk, door: Door, seed: int
) -> None:
    assert await power_cuts(tmp_path, disk, door, "NORMAL", seed) > 0  # else the cuts would show nothing


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 4 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", folder], capture_output=True, check=False).returncode:  # noqa: S607
        pytest.skip("a small disk can only be mounted as root")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)  # noqa: S607


async def fill_up(db: Database, acknowledged: list[int]) -> None:
    """Write until there is no space."""
    try:
        while True:
            acknowledged.append(await db.write(ledger.append, 3, 3000))
    except StorageFull:
        return


@pytest.mark.parametrize("pages", [8, 100_000], ids=["in a checkpoint", "in the log"])
async def test_a_disk_that_is_really_full_loses_nothing_and_is_used_again_when_there_is_space(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch, pages: int
) -> None:
    monkeypatch.setattr("homedex.storage.sqlite_writer.CHECKPOINT_PAGES", pages)
    db = Database.open(str(small_disk / "some.db"), readers=1)
    await db.write(ledger.create)
    acknowledged: list[int] = []
    for size in (2_000_000, 1_000_000, 500_000):
        (small_disk / "ballast").write_bytes(bytes(size))
        await fill_up(db, acknowledged)
        await fill_up(db, acknowledged)
        assert await db.read(read_count) == acknowledged[-1]
    (small_disk / "ballast").unlink()
    acknowledged.append(await db.write(ledger.append, 3, 3000))
    assert acknowledged == list(range(1, len(acknowledged) + 1))
    await db.close()
    assert ledger.counted(small_disk / "some.db") == acknowledged[-1]


async def test_a_full_disk_at_start_is_said_and_nothing_is_lost(small_disk: Path) -> None:
    db = Database.open(str(small_disk / "some.db"), readers=1)
    await db.write(ledger.create)
    await db.write(ledger.append, 3, 3000)
    await db.close()
    left = os.statvfs(small_disk)
    (small_disk / "ballast").write_bytes(bytes(left.f_bavail * left.f_frsize))
    with pytest.raises(StorageFull):  # SQLite needs 32 kB of shared memory beside the file, even to read
        Database.open(str(small_disk / "some.db"), readers=1)
    (small_disk / "ballast").unlink()
    assert ledger.counted(small_disk / "some.db") == 1


def identity_or_none(path: Path) -> tuple[int, int] | None:
    return identity(str(path)) if path.exists() else None


def break_connection(connection: Connection) -> None:
    connection.connection.driver_connection.driver.close()  # type: ignore[union-attr]


@pytest.mark.parametrize("how", ["removed", "replaced"])
@pytest.mark.parametrize("kind", ["read", "write"])
async def test_no_lane_makes_or_takes_another_file_in_the_place_of_one_that_was_lost(path: Path, how: str, kind: str) -> None:
    db = Database.open(str(path), readers=1)
    assert await db.write(ledger.append, 1, 10) == 1
    for suffix in ("", "-wal", "-shm"):
        os.rename(f"{path}{suffix}", f"{path}.away{suffix}")  # noqa: PTH104
    if how == "replaced":
        other = Database.open(str(path), readers=1)
        await other.write(ledger.create)
        await other.close()
    before = identity_or_none(path)
    with pytest.raises(Exception, match=r"clos|rolled back|removed or replaced"):
        await asyncio.wait_for(getattr(db, kind)(break_connection), 5)
    for _ in range(3):
        with pytest.raises(StorageUnavailable, match="removed or replaced"):
            await asyncio.wait_for(getattr(db, kind)(read_count), 5)
    await db.close()
    assert identity_or_none(path) == before
