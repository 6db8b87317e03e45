"""One side of a fault in a process of its own: two SQLite libraries must not meet in one, and memory is a process's.

`python -m proof.child proof.times:in_ours FOLDER` prints what was seen as JSON.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict
from importlib import import_module
from pathlib import Path

from bench.processes import REPOSITORY, last_line

from proof.fault import Seen, Side

LONGEST_S = 120
DATABASE = "app.db"
"""The live file of each side, in its folder. The recipe is told by `DATABASE_PATH`."""


class ProofError(Exception):
    """A side that ended without having seen anything; the sentence says which and why."""


def seen_by(side: Side, folder: Path) -> Seen:
    """Run one side in a new folder, in a process of its own.

    Raises:
        ProofError: it failed, or took too long; with the last line it wrote.
    """
    folder.mkdir(parents=True)
    name = f"{side.__module__}:{side.__name__}"
    environment = os.environ | {"DATABASE_PATH": str(folder / DATABASE), "PYTHONPATH": str(REPOSITORY)}
    said, complained = folder / "said", folder / "complained"
    with said.open("wb") as out, complained.open("wb") as err:
        command = [sys.executable, "-m", "proof.child", name, str(folder)]
        child = subprocess.Popen(command, env=environment, stdout=out, stderr=err, start_new_session=True)
        try:
            child.wait(LONGEST_S)
        except subprocess.TimeoutExpired as error:
            raise ProofError(f"{name} was stopped after {LONGEST_S} s") from error
        finally:
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)  # what it started, too
                child.wait()
    if child.returncode:
        raise ProofError(f"{name} ended with exit code {child.returncode}: {last_line(complained)}")
    return Seen(**json.loads(last_line(said)))


def main() -> None:
    module, _, name = sys.argv[1].partition(":")
    side: Side = getattr(import_module(module), name)
    seen = side(Path(sys.argv[2]))
    print(json.dumps(asdict(seen if isinstance(seen, Seen) else asyncio.run(seen))))


if __name__ == "__main__":
    main()
