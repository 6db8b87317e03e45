"""Measure Homedex against the recipe in one run: `python -m bench`, or a part of it: `python -m bench reads writes`.

Servers run as real processes pinned to one core, the load comes from another. All sides are measured in turns, and
what counts is the ratio of the medians. The table is printed, and written with every round to build/bench.json.
"""

import argparse
import json
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bench.backup import backup
from bench.bulk import bulk_requests
from bench.commands import import_home, start
from bench.in_process import lookup
from bench.large import LARGE, SMALL, large
from bench.memory import memory
from bench.parts import parts
from bench.postgresql import postgresql
from bench.processes import REPOSITORY, BenchError, homedex_environment, pinnable
from bench.publish import has_block, publish
from bench.reads import reads
from bench.report import Figure, table, write
from bench.sessions import sessions
from bench.sides import FULL, QUICK, Pace
from bench.transfer import transfer
from bench.web_servers import web_servers
from bench.workers import workers
from bench.writes import writes

LONGEST_S = 590
LONGEST_ALONE_S = 3600
RESULTS = REPOSITORY / "build" / "bench.json"

PACED: dict[str, Callable[[Path, Pace], list[Figure]]] = {
    "reads": reads,
    "writes": writes,
    "start": start,
    "memory": memory,
    "workers": workers,
}
SECTIONS: dict[str, Callable[[Path], list[Figure]]] = {
    "parts": parts,
    "sessions": sessions,
    "lookup": lookup,
    "bulk": bulk_requests,
    "import": import_home,
}
ALONE: dict[str, Callable[[Path], list[Figure]]] = {
    "backup": backup,
    "large": large,
    "postgresql": postgresql,
    "transfer": transfer,
    "granian": web_servers,
}
"""Sections that are run when they are asked for by name; `large` takes many minutes, the others a few."""

QUICKLY = ("reads", "writes", "start")


def main() -> int:
    given = _arguments()
    ALONE["large"] = partial(large, sizes=tuple(given.sizes), kept=given.keep and given.keep.absolute())
    signal.signal(signal.SIGALRM, _too_long)
    signal.alarm(LONGEST_S if ALONE.keys().isdisjoint(given.sections) else LONGEST_ALONE_S)
    figures: dict[str, list[Figure]] = {}
    in_force: dict[str, Any] = {}
    failure = None
    try:
        _measure(given.sections, QUICK if given.quick else FULL, figures, in_force)
        if given.publish:
            publish(figures, in_force)
    except BenchError as error:
        failure = error
    if figures:
        print(f"\n{table([figure for found in figures.values() for figure in found])}\n")
        print(f"Every round is in {RESULTS.relative_to(REPOSITORY)}. The ratios count; the times are this machine's.")
    if given.quick:
        print(f"This was the quick run: {QUICK.rounds} rounds of {QUICK.window_s:g} s each. `make bench` measures longer.")
    if failure:
        print(f"bench: {failure}", file=sys.stderr)
    return 1 if failure else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure Homedex against the recipe.")
    known = PACED | SECTIONS | ALONE
    alone = ", ".join(ALONE)
    parser.add_argument("sections", nargs="*", metavar="section", help=f"of {', '.join(known)}; none means all but {alone}")
    parser.add_argument("--quick", action="store_true", help=f"{', '.join(QUICKLY)} only, in shorter rounds")
    parser.add_argument("--publish", action="store_true", help="write what was found into docs/speed.md and its charts")
    parser.add_argument("--sizes", nargs=2, type=int, default=(SMALL, LARGE), metavar="N", help="devices of the two in `large`")
    parser.add_argument(
        "--keep", type=Path, metavar="FOLDER", help="where the registries of `large` are, or stay once they are made"
    )
    given = parser.parse_args()
    given.sections = given.sections or (QUICKLY if given.quick else [*PACED, *SECTIONS])
    if unknown := [name for name in given.sections if name not in known]:
        parser.error(f"there is no section {unknown[0]}; there are {', '.join(known)}")
    if given.quick and given.publish:
        parser.error("a quick run is not for the page")
    if given.publish and (untold := [name for name in given.sections if not has_block(name)]):
        parser.error(f"docs/speed.md does not tell of {untold[0]}")
    if given.publish and tuple(given.sizes) != (SMALL, LARGE):
        parser.error(f"the page is of {SMALL:,} and {LARGE:,} devices")
    return given


def _measure(chosen: list[str], pace: Pace, figures: dict[str, list[Figure]], in_force: dict[str, Any]) -> None:
    """Run the sections in the order they were asked for, and keep what each has found even if the next one fails."""
    if not all(find_spec(name) for name in ("aiosqlite", "asyncpg", "greenlet")):
        raise BenchError("the recipe needs aiosqlite and asyncpg: pip install -c constraints.txt '.[bench]'")
    if not pinnable():
        print("This machine offers one core only, or no pinning: servers and client share what there is.")
    with tempfile.TemporaryDirectory(prefix="homedex-bench-") as root:
        in_force |= _in_force(Path(root))
        for name in chosen:
            print(name, flush=True)
            folder = Path(root, name)
            folder.mkdir()
            figures[name] = PACED[name](folder, pace) if name in PACED else (SECTIONS | ALONE)[name](folder)
            shutil.rmtree(folder)
            write(RESULTS, figures, in_force)


def _in_force(folder: Path) -> dict[str, Any]:
    """Print and return which settings of SQLite each side has in force."""
    command = [sys.executable, "-m", "bench.in_force", str(folder)]
    asked = subprocess.run(
        command, cwd=REPOSITORY, env=homedex_environment(folder), check=False, capture_output=True, text=True, timeout=60
    )
    if asked.returncode:
        why = asked.stderr.strip().splitlines() or ["it did not say why"]
        raise BenchError(f"the settings in force cannot be read: {why[-1]}")
    in_force: dict[str, Any] = json.loads(asked.stdout)
    for side, settings in in_force.items():
        print(f"{side:<8}" + "".join(f"  {name}={value}" for name, value in settings.items()))
    print("The recipe answers before it commits, Homedex after.\n", flush=True)
    return in_force


def _too_long(_signal: int, _frame: Any) -> None:
    raise BenchError("stopped: it took so long that something must hang")


if __name__ == "__main__":
    sys.exit(main())
