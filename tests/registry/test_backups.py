"""The schedule of backups, on real registries of both engines, with a clock that the test sets."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from operator import add
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, text

from homedex.errors import BadSetting
from homedex.registry.backups import Backups, create_here, interval, is_due
from homedex.registry.changes import Stamp
from homedex.registry.sources import create_source
from homedex.storage.backup_folder import Keep
from homedex.storage.database import Database

pytestmark = pytest.mark.anyio

EVERY = timedelta(seconds=0.2)


class Clock:
    """The time now, moved by what the test adds."""

    def __init__(self) -> None:
        self.ahead = timedelta(0)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


def add_source(connection: Connection, name: str) -> None:
    row = {"source_id": name, "kind": "manual", "name": name, "state": "ok"}
    create_source(connection, row, Stamp(datetime.now(UTC), "command"))


def sequences(backups: Backups) -> list[int]:
    return [one.manifest.sequence for one in backups.folder.all() if one.manifest is not None]


async def until(true: Callable[[], Any]) -> None:
    """Wait for what a process does that runs only when no other wants the processor: seconds, minutes where all cores are busy."""
    for _ in range(3000):
        if true():
            return
        await asyncio.sleep(0.05)
    raise AssertionError("it did not happen within 150 s")


async def test_backups_are_made_when_something_has_changed_and_pruned(database: Database, registry: str, tmp_path: Path) -> None:
    backups = Backups(registry, tmp_path / "backups", every=EVERY, keep=Keep(2, {}))
    schedule = asyncio.create_task(backups.run(database, Clock()))
    await until(lambda: len(backups.folder.all()) == 1)
    await asyncio.sleep(1)  # several turns
    (first,) = backups.folder.all()
    assert first.verified_at is not None
    for number in range(3):
        await database.write(add_source, f"source {number}")
        await until(lambda: sequences(backups)[:1] == [number + 1])  # noqa: B023  (it is awaited here)
    await until(lambda: len(backups.folder.all()) == 2)
    schedule.cancel()
    assert sequences(backups) == [3, 2]
    assert {one.manifest.reason for one in backups.folder.all() if one.manifest is not None} == {"schedule"}


@pytest.mark.sqlite
async def test_the_newest_is_verified_again_every_week(database: Database, registry: str, tmp_path: Path) -> None:
    backups, clock = Backups(registry, tmp_path / "backups", every=EVERY), Clock()
    schedule = asyncio.create_task(backups.run(database, clock))
    await until(lambda: (newest := backups.folder.newest()) and newest.verified_at)  # it has its name before it is verified
    first = backups.folder.newest()
    clock.ahead = timedelta(days=6)
    await asyncio.sleep(0.5)
    assert backups.folder.newest() == first
    clock.ahead = timedelta(days=8)
    await until(lambda: backups.folder.newest() != first)
    schedule.cancel()
    newest = backups.folder.newest()
    assert newest is not None
    assert first is not None
    assert (newest.name, newest.problem) == (first.name, None)
    assert newest.verified_at is not None
    assert first.verified_at is not None
    assert newest.verified_at > first.verified_at


@pytest.mark.sqlite
async def test_what_went_wrong_is_said_and_tried_again(database: Database, registry: str, tmp_path: Path) -> None:
    place = tmp_path / "backups"
    place.write_text("no folder")
    clock = Clock()
    backups = Backups(registry, place, every=EVERY)
    schedule = asyncio.create_task(backups.run(database, clock))
    await until(lambda: backups.trouble)
    assert str(place) in str(backups.trouble)
    place.unlink()
    await until(lambda: backups.trouble is None)
    assert len(backups.folder.all()) == 1
    schedule.cancel()


@pytest.mark.sqlite
async def test_one_that_is_damaged_is_replaced_although_nothing_has_changed(
    database: Database, registry: str, tmp_path: Path
) -> None:
    backups = Backups(registry, tmp_path / "backups", every=EVERY)
    schedule = asyncio.create_task(backups.run(database, Clock()))
    await until(lambda: (newest := backups.folder.newest()) and newest.verified_at)
    (first,) = backups.folder.all()
    backups.folder.note(first.name, datetime.now(UTC), "it was damaged since")
    await until(lambda: len(backups.folder.all()) == 2)
    schedule.cancel()


async def test_a_backup_is_of_one_moment_however_much_is_written_meanwhile(
    database: Database, registry: str, tmp_path: Path
) -> None:
    backups, stopped = Backups(registry, tmp_path / "backups"), asyncio.Event()
    written: list[int] = []

    async def write() -> None:
        while not stopped.is_set():
            await database.write(add_source, f"source {len(written)}")
            written.append(1)

    writing, last = asyncio.create_task(write()), 0
    for _ in range(4):
        await until(lambda: len(written) > last)  # noqa: B023  (it is awaited here)
        made, new = await asyncio.to_thread(create_here, backups, Clock(), "command")
        assert new
        assert made.manifest is not None
        tables = made.manifest.tables
        assert tables["sources"].rows == tables["changes"].rows == made.manifest.sequence > last
        last = made.manifest.sequence
    stopped.set()
    await writing
    assert len(written) >= last


@pytest.mark.sqlite
async def test_after_the_clock_was_set_back_those_of_the_future_do_not_push_out_the_new_ones(
    database: Database, registry: str, tmp_path: Path
) -> None:
    backups, ahead = Backups(registry, tmp_path / "backups", every=EVERY, keep=Keep(2, {"d": 2})), timedelta(days=30)
    for number in range(3):
        await database.write(add_source, f"of the future {number}")
        create_here(backups, partial(add, ahead * (number + 1), datetime.now(UTC)), "command")
    future = {one.name for one in backups.folder.all()}
    schedule = asyncio.create_task(backups.run(database, Clock()))
    await database.write(add_source, "of now")
    await until(lambda: len(backups.folder.all()) == 4)
    await asyncio.sleep(1)  # several turns, in which nothing changes
    (new,) = {one.name for one in backups.folder.all()} - future
    await database.write(add_source, "of now, too")
    await until(lambda: len(backups.folder.all()) == 5)
    schedule.cancel()
    assert {new, *future} < {one.name for one in backups.folder.all()}


@pytest.mark.sqlite
async def test_two_services_make_one_backup(database: Database, registry: str, tmp_path: Path) -> None:
    every = timedelta(seconds=4)
    both = [Backups(registry, tmp_path / "backups", every=every) for _ in range(2)]
    schedules = [asyncio.create_task(one.run(database, Clock())) for one in both]
    await until(both[0].folder.all)
    await database.write(add_source, "x")
    await asyncio.sleep(2.5)
    for schedule in schedules:
        schedule.cancel()
    assert len(both[0].folder.all()) == 1


@pytest.mark.sqlite
async def test_without_a_schedule_none_are_made(database: Database, registry: str, tmp_path: Path) -> None:
    await Backups(registry, tmp_path / "backups").run(database, Clock())
    assert not (tmp_path / "backups").exists()
    assert await database.read(lambda connection: connection.execute(text("SELECT 1")).scalar()) == 1


@pytest.mark.sqlite
async def test_when_it_is_time(tmp_path: Path) -> None:
    assert is_due(Backups(str(tmp_path / "x.db"), None).folder.newest(), datetime.now(UTC), EVERY)


@pytest.mark.sqlite
@pytest.mark.parametrize(
    ("said", "every"),
    [
        ("off", None),
        ("daily", timedelta(days=1)),
        ("hourly", timedelta(hours=1)),
        ("weekly", timedelta(weeks=1)),
        ("1m", timedelta(minutes=1)),
        ("36h", timedelta(hours=36)),
        ("2w", timedelta(weeks=2)),
    ],
)
async def test_an_interval(said: str, every: timedelta | None) -> None:
    assert interval(said) == every


@pytest.mark.sqlite
@pytest.mark.parametrize("said", ["", "0m", "1s", "1.5h", "often", "99999m"])
async def test_what_is_no_interval_is_refused(said: str) -> None:
    with pytest.raises(BadSetting, match="HOMEDEX_BACKUP_SCHEDULE"):
        interval(said)
