"""The WAL-reset bug of SQLite itself: one process writes, another one checkpoints, and what was committed is gone.

A checkpoint that starts while the log is written back whole, and then loses time before it looks at the log, takes frames that the
next commit writes for ones that it has written back. A mapped file loses it that time: all of it is unmapped first.

Source: https://sqlite.org/wal.html#walresetbug
"""

import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw
from bench.processes import REPOSITORY

from homedex.errors import UnsafeLibrary
from homedex.storage.sqlite import check_library
from proof.fault import Fault, Seen

LONGEST_S, SHORTEST_S = 20.0, 5.0
ROWS, BYTES = 60_000, 3_900
BUSY = 1_000
"""So many of the rows are written: few enough to be looked at again soon."""

MAPPED_BYTES = 1024 * 1024 * 1024
IN_MEMORY = Path("/dev/shm")  # noqa: S108  (a folder of our own in it)
ROOM_BYTES = 1024 * 1024 * 1024
LASTED = "lasted"
"""The file in which the recipe's side leaves how long its torture lasted; ours lasts as long."""

Run = Callable[..., list[tuple[Any, ...]]]
"""Runs one statement and gives its rows."""


def in_the_recipe(folder: Path) -> Seen:
    version = sqlite3.sqlite_version
    if is_accepted(version):
        return Seen(shown=False, text=f"SQLite {version} of this Python has the fix", possible=False)
    begun = time.monotonic()
    found = tortured("sqlite3", LONGEST_S)
    lasted = time.monotonic() - begun
    (folder.parent / LASTED).write_text(str(lasted))
    return Seen(bool(found), f"SQLite {version} of this Python: {found or 'nothing was lost'} after {lasted:.0f} s")


def in_ours(folder: Path) -> Seen:
    left, version = folder.parent / LASTED, apsw.sqlite_lib_version()
    lasted = max(SHORTEST_S, float(left.read_text()) if left.exists() else 0.0)
    found = tortured("apsw", lasted)
    judged = ", ".join(
        f"{one} is {'accepted' if is_accepted(one) else 'refused'}" for one in dict.fromkeys((version, sqlite3.sqlite_version))
    )
    return Seen(
        bool(found) or not is_accepted(version),
        f"SQLite {version} of apsw: {found or 'nothing was lost'} in {lasted:.0f} s; at start {judged}",
    )


def is_accepted(version: str) -> bool:
    """Whether the storage room would work with this version of SQLite."""
    try:
        check_library(version)
    except UnsafeLibrary:
        return False
    return True


def tortured(library: str, seconds: float) -> str:
    """Have one process write and another checkpoint; what the writer finds wrong, or nothing."""
    fast = IN_MEMORY.is_dir() and shutil.disk_usage(IN_MEMORY).free > ROOM_BYTES
    with tempfile.TemporaryDirectory(prefix="homedex-proof-", dir=IN_MEMORY if fast else None) as name:
        path = Path(name, "app.db")
        _fill(path)
        with _process("checkpoint", library, path, seconds), _process("write", library, path, seconds) as writer:
            said = writer.communicate()[0].strip()
    if writer.returncode:
        raise RuntimeError(f"the writer ended with exit code {writer.returncode}")
    return said


def _fill(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=OFF")
    connection.execute("CREATE TABLE devices (device_id INTEGER PRIMARY KEY, readings INTEGER, name BLOB)")
    connection.executemany("INSERT INTO devices VALUES (?, 0, zeroblob(?))", ((number, BYTES) for number in range(ROWS)))
    connection.commit()
    connection.close()


@contextmanager
def _process(role: str, library: str, path: Path, seconds: float) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-m", "proof.wal_reset", role, library, str(path), str(seconds)]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


# --- the two processes ---


def opened(library: str, path: str) -> Run:
    """A connection of one of the two libraries, with nothing else between."""
    connection: Any
    if library == "apsw":
        connection = apsw.Connection(path)
        connection.set_busy_timeout(10_000)
    else:
        connection = sqlite3.connect(path, isolation_level=None, timeout=10)

    def run(sql: str, *values: int) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = connection.execute(sql, values).fetchall()
        return rows

    run(f"PRAGMA mmap_size={MAPPED_BYTES}")
    run("PRAGMA synchronous=OFF")
    run("PRAGMA cache_size=-200")
    return run


def write(run: Run, until: float) -> str:
    """Count up random rows, and see before each whether it has what it was given last."""
    dice = random.Random(1)
    given: dict[int, int] = {}
    try:
        while time.monotonic() < until:
            row = dice.randrange(BUSY)
            run("BEGIN IMMEDIATE")
            found = run("SELECT readings FROM devices WHERE device_id = ?", row)[0][0]
            if found != given.get(row, 0):
                return "a committed row was gone"
            given[row] = found + 1
            run("UPDATE devices SET readings = readings + 1 WHERE device_id = ?", row)
            run("COMMIT")
        gone = sum(given.get(row, 0) != found for row, found in run("SELECT device_id, readings FROM devices"))
        whole = run("PRAGMA integrity_check") == [("ok",)]
    except (sqlite3.DatabaseError, apsw.Error) as error:
        return str(error)
    if gone:
        return f"{gone} committed rows were gone"
    return "" if whole else "the file was corrupt"


def checkpoint(run: Run, until: float) -> str:
    """Read a piece of the file, so that it is mapped, and checkpoint, again and again."""
    dice = random.Random(2)
    while time.monotonic() < until:
        first = dice.randrange(ROWS - 5_000)
        run("SELECT sum(readings) FROM devices WHERE device_id BETWEEN ? AND ?", first, first + 3_000)
        for _ in range(200):
            run("PRAGMA wal_checkpoint(PASSIVE)")
    return ""


WAL_RESET = Fault("wal-reset", "SQLite's WAL-reset bug loses commits and corrupts the file.", in_the_recipe, in_ours)


if __name__ == "__main__":
    role, library, path, seconds = sys.argv[1:]
    work = {"write": write, "checkpoint": checkpoint}[role]
    print(work(opened(library, path), time.monotonic() + float(seconds)))
