"""Kills a process that writes, at each step of commit and checkpoint in turn; run as a script, because only one thread may fork.

`python killed.py KILLS` prints how many were killed at each step; it fails if one lost or halved a transaction.
"""

import asyncio
import gc
import os
import random
import sys
import tempfile
from collections import Counter
from pathlib import Path

import ledger
from faulty import CHANGES, KILL, Fault, faulty_disk
from homedex.storage import sqlite_writer
from homedex.storage.database import Database

ROUNDS = 6
KILLS_PER_FILE = 60


async def fill(path: Path) -> None:
    db = Database.open(str(path), readers=1)
    await db.write(ledger.create)
    await db.close()


async def write(path: Path, fault: Fault, dice: random.Random, acknowledged: int) -> None:
    """Commit, write back, close; each number goes into the pipe once it is acknowledged."""
    with faulty_disk() as disk:
        disk.fault = fault
        db = Database.open(str(path), readers=1)
        for _ in range(ROUNDS):
            os.write(acknowledged, f"{await db.write(ledger.append, *ledger.some(dice))}\n".encode())
        await db.close()


def killed(path: Path, fault: Fault, seed: int) -> tuple[bool, int]:
    """Whether the child was killed, and the last number that it had acknowledged."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            asyncio.run(write(path, fault, random.Random(seed), writing))  # noqa: S311  (repeatable)
            code = 0
        finally:
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        numbers = [int(line) for line in pipe]
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status), max(numbers, default=0)


def main(folder: Path, kills: int) -> None:
    sqlite_writer.CHECKPOINT_PAGES = 4
    gc.freeze()
    steps, seed, at, last = Counter[int](), 0, 1, 0
    path = folder / "none.db"
    while steps.total() < kills:
        fresh = folder / f"{steps.total() // KILLS_PER_FILE}.db"
        if fresh != path:
            path, last = fresh, 0
            asyncio.run(fill(path))
        died, acknowledged = killed(path, Fault(CHANGES, KILL, at=at, share=0.5 * (seed % 2)), seed)
        last = max(last, acknowledged)
        found = ledger.counted(path)
        assert last <= found <= last + 1, f"step {at} of seed {seed}: {last} acknowledged, {found} there"
        last = found
        steps[at] += died
        seed, at = (seed, at + 1) if died else (seed + 1, 1)  # past its last step: from the first again
    print(f"killed {steps.total()} times at {len(steps)} steps of {seed + 1} workloads")  # noqa: T201


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        main(Path(temporary), int(sys.argv[1]))
