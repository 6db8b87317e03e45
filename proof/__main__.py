"""Show each fault of the recipe, and that the storage room has none of them: `python -m proof`, or some of them by name.

Each side runs in a process of its own, on real files. The exit code is 0 if every fault shows in the recipe that can show on this
machine, and none in ours.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from bench.processes import REPOSITORY
from bench.publish import filled

from proof.child import ProofError, seen_by
from proof.fault import Fault
from proof.report import Found, blocks, table

PAGE = REPOSITORY / "docs" / "fastapi-on-sqlite.md"


def main(words: Sequence[str] | None = None) -> int:
    if not all(find_spec(name) for name in ("aiosqlite", "greenlet")):
        print("proof: the recipe needs aiosqlite: pip install -c constraints.txt '.[bench]'", file=sys.stderr)
        return 1
    from proof.faults import FAULTS  # noqa: PLC0415  (it needs aiosqlite)

    given = _arguments(words, [fault.name for fault in FAULTS])
    chosen = [fault for fault in FAULTS if fault.name in given.faults or not given.faults]
    begun = time.monotonic()
    try:
        found = put_to_the_test(chosen)
    except ProofError as error:
        print(f"proof: {error}", file=sys.stderr)
        return 1
    print(f"\n{table(found)}\n")
    code = verdict(found, time.monotonic() - begun)
    if given.publish and code == 0:
        PAGE.write_text(filled(PAGE.read_text(), blocks(found)))
    return code


def _arguments(words: Sequence[str] | None, known: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m proof", description="Show each fault of the recipe, on it and on ours.")
    parser.add_argument("faults", nargs="*", metavar="fault", help=f"of {', '.join(known)}; none means all")
    parser.add_argument("--publish", action="store_true", help=f"write what was seen into {PAGE.relative_to(REPOSITORY)}")
    given = parser.parse_args(words)
    if unknown := [name for name in given.faults if name not in known]:
        parser.error(f"there is no fault {unknown[0]}; there are {', '.join(known)}")
    if given.publish and given.faults:
        parser.error("some faults alone are not for the page")
    return given


def put_to_the_test(faults: Sequence[Fault]) -> list[Found]:
    """Run both sides of each fault, one after another, in folders of their own.

    Raises:
        ProofError: a side failed before it had seen anything.
    """
    found = []
    for fault in faults:
        begun = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="homedex-proof-") as folder:
            found.append(Found(fault, seen_by(fault.recipe, Path(folder, "recipe")), seen_by(fault.ours, Path(folder, "ours"))))
        print(f"{fault.name:<16} {time.monotonic() - begun:5.1f} s", flush=True)
    return found


def verdict(found: Sequence[Found], seconds: float) -> int:
    """Say whether all is as it should be, and what is not; returns the exit code."""
    complaints = [complaint for one in found for complaint in one.complaints]
    for complaint in complaints:
        print(f"proof: {complaint}", file=sys.stderr)
    if complaints:
        return 1
    shown = sum(one.recipe.shown for one in found)
    cannot = [one.fault.name for one in found if not one.recipe.possible]
    rest = f"; {', '.join(cannot)} cannot show on this machine" if cannot else ""
    print(f"{shown} of {len(found)} faults show in the recipe, none in ours ({seconds:.0f} s){rest}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
