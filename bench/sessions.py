"""AsyncSession as people use it: ours against aiosqlite's, with the same models."""

import json
import subprocess
import sys
from pathlib import Path

from bench.processes import REPOSITORY, BenchError
from bench.report import Figure

ROUNDS = 5


def sessions(folder: Path) -> list[Figure]:
    """A session for each get, list and commit, as a request has one; 64 tasks commit at once. Each side may use all cores.

    Raises:
        BenchError: a side failed, or lost what it had confirmed.
    """
    sides: dict[str, list[dict[str, float]]] = {"recipe": [], "homedex": []}
    for number in range(ROUNDS):
        for side, found in sides.items():
            place = folder / f"{side}-{number}"
            place.mkdir()
            found.append(_measured(side, place))

    def figure(what: str, unit: str, key: str, their_key: str = "", *, times: float) -> Figure:
        theirs = [one[their_key or key] for one in sides["recipe"]]
        better = "more" if unit == "per s" else "less"
        return Figure(what, unit, [one[key] for one in sides["homedex"]], theirs, better=better, times=times)  # type: ignore[arg-type]

    return [
        figure("AsyncSession, get by key", "us", "get_us", times=2.5),
        figure("AsyncSession, 50 rows", "us", "list_us", times=2.0),
        figure("AsyncSession, add and commit, 64 tasks", "per s", "add_per_s", times=5.0),
        figure("AsyncSession, add and commit, 64 tasks, p99", "ms", "add_p99_ms", times=10.0),
        figure("ORM inside Database.read, get by key (against AsyncSession)", "us", "read_us", "get_us", times=3.0),
    ]


def _measured(side: str, place: Path) -> dict[str, float]:
    command = [sys.executable, "-m", "bench.session_side", side, str(place)]
    done = subprocess.run(command, cwd=REPOSITORY, check=False, capture_output=True, text=True, timeout=120)
    if done.returncode:
        raise BenchError(f"{side}: {(done.stderr.strip().splitlines() or ['it did not say why'])[-1]}")
    found: dict[str, float] = json.loads(done.stdout)
    if found["lost"]:
        raise BenchError(f"{side} lost {found['lost']:g} rows that it had confirmed")
    return found
