"""How long Homedex takes to start, and to import a home, with the memory it takes."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from bench.in_process import resync
from bench.processes import REPOSITORY, BenchError, timed
from bench.report import Figure
from bench.servers import Start, homedex, recipe
from bench.sides import Pace

HOME = {"devices": 10_000, "entities": 50_000}
COMMAND = [sys.executable, "-m", "homedex"]


def start(folder: Path, pace: Pace) -> list[Figure]:
    """Starts on a database that is there and migrated, in turns; the first of each makes it and does not count."""

    def started_s(server: Start) -> float:
        with server(folder) as running:
            return running.started_s

    sides = (recipe, homedex)
    for side in sides:
        started_s(side)
    baseline, ours = zip(*([started_s(side) for side in sides] for _ in range(pace.starts)), strict=True)
    versions = [timed([*COMMAND, "version"], folder).seconds for _ in range(pace.starts)]
    return [
        Figure("start to first 200", "s", ours, baseline, better="less", most=0.7, aim=0.4),
        Figure("homedex version", "s", versions, better="less", most=0.3),
    ]


def import_home(folder: Path) -> list[Figure]:
    """A home of 10,000 devices and 50,000 entities, new and then again unchanged.

    Raises:
        BenchError: it cannot be made or imported, or does not arrive whole.
    """
    home = make_home(folder, **HOME)
    command = [*COMMAND, "import", "home-assistant", str(home)]
    new = timed(command, folder)
    _expect(folder)
    again = timed(command, folder)
    _expect(folder)
    in_process = resync(folder / "homedex.db", home)
    return [
        Figure("import of 10,000 devices, new", "s", [new.seconds], better="less", most=6),
        Figure("the same again, unchanged", "s", [again.seconds], better="less", most=3),
        Figure("the same in process: observe, plan, apply", "s", in_process, better="less", most=1.5, aim=0.5),
        Figure("most memory of an import", "MB", [max(new.peak_mb, again.peak_mb)], better="less", most=400),
    ]


def make_home(folder: Path, *, devices: int, entities: int) -> Path:
    """A folder as Home Assistant keeps it, of a made-up home of this size.

    Raises:
        BenchError: it cannot be made.
    """
    home = folder / "home"
    make = [sys.executable, str(REPOSITORY / "bench" / "make_home.py"), str(home)]
    make += ["--devices", str(devices), "--entities", str(entities)]
    made = subprocess.run(make, cwd=folder, check=False, capture_output=True, text=True, timeout=120)
    if made.returncode:
        raise BenchError(f"bench/make_home.py ended with exit code {made.returncode}: {made.stderr.strip()[-300:]}")
    return home


def _expect(folder: Path) -> None:
    # No other process has the file open now, so a second SQLite library may.
    with closing(sqlite3.connect(f"file:{folder / 'homedex.db'}?mode=ro", uri=True)) as connection:
        for table, count in HOME.items():
            found = connection.execute(f"SELECT count(*) FROM {table} WHERE removed_at IS NULL").fetchone()[0]
            if found != count:
                raise BenchError(f"the import left {found:,} {table} where the home has {count:,}")
