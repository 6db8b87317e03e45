"""Backups of a gigabyte while 2,000 edits a second are written: how fast, what the edits feel of it, and in how much memory."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO

from bench.fleet import build
from bench.processes import REPOSITORY, BenchError, ended
from bench.report import Figure

DEVICES = int(os.environ.get("D", "500000"))
EDITS_A_SECOND, EDITED = int(os.environ.get("EDITS", "2000")), 1_000
ROUNDS = 3
QUIET_S = 8
HOMEDEX = [sys.executable, "-m", "homedex"]


def backup(folder: Path) -> list[Figure]:
    """Create under load, in turns with quiet, then verify and restore; each by the command.

    Raises:
        BenchError: a command failed, or the edits could not be written as fast as that.
    """
    small, path = folder / "small" / "app.db", folder / "app.db"
    small.parent.mkdir()
    build(small, DEVICES // 5)
    modest = max(run(small, small.parent, "create")[2], run(small, small.parent, "verify")[2])
    print(f"  built {DEVICES:,} devices in {build(path, DEVICES):.0f} s, {path.stat().st_size / 1e6:,.0f} MB", flush=True)
    os.sync()  # what building it left to be written would be in the way of the first edits
    made: list[tuple[float, float, float]] = []
    with paced(path) as (count_as, latencies):
        time.sleep(QUIET_S)
        for turn in range(ROUNDS):
            count_as(f"quiet {turn}")
            time.sleep(QUIET_S)
            count_as(f"backup {turn}")
            made.append(run(path, folder, "create", "--no-verify", "--gently"))
            count_as(f"quiet {turn}")
            time.sleep(QUIET_S)
            count_as(f"verified backup {turn}")
            run(path, folder, "create", "--gently")
    verified = [run(path, folder, "verify") for _ in range(ROUNDS)]
    newest = max((folder / "backups").glob("*.zst"))
    restored = []
    for turn in range(ROUNDS):
        restored.append(run(path, folder, "restore", str(newest), "--to", str(folder / f"new-{turn}.db")))
        (folder / f"new-{turn}.db").unlink()
    shutil.rmtree(folder / "backups")
    most = max(one[2] for one in (*made, *verified, *restored))

    def slower(label: str) -> list[float]:
        return [p99(latencies[f"{label} {turn}"]) / p99(latencies[f"quiet {turn}"]) for turn in range(ROUNDS)]

    for label, some in latencies.items():
        print(f"  {label}: p99 of an edit {p99(some):.1f} ms, of {len(some):,}")
    return [
        rate(f"create a backup, {EDITS_A_SECOND:,} edits/s meanwhile", made),
        Figure("p99 of an edit during a backup, times that without", "x", slower("backup"), better="less", most=1.5),
        Figure("the same, while it is verified, too", "x", slower("verified backup"), better="less", most=1.5),
        rate("verify a backup", verified),
        rate("restore a backup", restored),
        Figure("most memory of it", "MB", [most], better="less", most=160),
        Figure("the same, times that of a fifth of the rows", "x", [most / modest], better="less", most=1.1),
    ]


def rate(what: str, runs: list[tuple[float, float, float]]) -> Figure:
    """Megabytes of database a second, the bar 100."""
    return Figure(what, "MB/s", [megabytes / seconds for megabytes, seconds, _ in runs], least=100)


def p99(latencies: list[float]) -> float:
    return sorted(latencies)[int((len(latencies) - 1) * 0.99)]


def run(path: Path, folder: Path, *arguments: str) -> tuple[float, float, float]:
    """One command: (megabytes of the database, seconds, peak MB)."""
    environment = os.environ | {"DATABASE_URL": f"sqlite:///{path}", "HOMEDEX_BACKUP_DIR": str(folder / "backups")}
    with tempfile.TemporaryFile("w+") as said:
        begun = time.perf_counter()
        process = subprocess.Popen([*HOMEDEX, "backup", *arguments], env=environment, stdout=said, stderr=subprocess.STDOUT)
        peak_mb = ended(process)
        seconds = time.perf_counter() - begun
        if process.returncode:
            said.seek(0)
            raise BenchError(f"homedex backup {arguments[0]} ended with {process.returncode}: {said.read()[-300:]}")
    print(f"  {arguments[0]}: {seconds:.1f} s, {peak_mb:.0f} MB", flush=True)
    return path.stat().st_size / 1e6, seconds, peak_mb


@contextmanager
def paced(path: Path) -> Iterator[tuple[Callable[[str], None], dict[str, list[float]]]]:
    """Edits by a process of its own; what each took, in ms and by what was said when it began, is there after the block."""
    command = [sys.executable, "-m", "bench.paced", str(path), str(EDITS_A_SECOND), str(EDITED)]
    latencies: dict[str, list[float]] = {}
    with subprocess.Popen(command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        if process.stdin is None or process.stdout is None:
            raise BenchError("there are no pipes to the process that edits")
        if process.stdout.readline() != "ready\n":
            raise BenchError("the process that edits did not start")
        try:
            yield partial(say, process.stdin), latencies
        except BaseException:
            process.kill()
            raise
        begun = time.perf_counter()
        said = process.communicate("")[0]
        if process.returncode or time.perf_counter() - begun > QUIET_S:
            raise BenchError(f"{EDITS_A_SECOND:,} edits a second are more than this machine writes; EDITS=300 asks for fewer")
        latencies.update(json.loads(said))


def say(to: IO[str], label: str) -> None:
    """Name what the edits from now on are counted under."""
    to.write(f"{label}\n")
    to.flush()
