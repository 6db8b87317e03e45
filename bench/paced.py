"""So many small edits a second through `Database.write`, as told on stdin, and how long each took: a program of its own.

Each line of stdin names what the edits that follow are counted under; when stdin ends, what was counted is printed as JSON.
Where some were refused, because a full queue waited, it ends with a sentence and exit code 1 instead.
"""

import asyncio
import json
import random
import sys
import time
from collections import defaultdict
from datetime import UTC, datetime

from homedex.errors import Busy
from homedex.registry import edits, schema
from homedex.registry.changes import Stamp
from homedex.registry.edits import Edit
from homedex.storage.database import Database

TICK_S = 0.002


async def main(path: str, per_second: int, count: int) -> None:
    database = Database.open(path, application_id=schema.APPLICATION_ID)
    keys = await database.read(lambda connection: [str(row[0]) for row in connection.exec_driver_sql(SOME, (count,))])
    took: dict[str, list[float]] = defaultdict(list)
    label, dice, running = "start", random.Random(2), set[asyncio.Task[None]]()
    refused = 0

    async def write(begun: float) -> None:
        nonlocal refused
        under = label
        edit = Edit(dice.choice(keys), {"note": f"{dice.random()}"}, "patch")
        try:
            await database.write(edits.apply_one, "devices", edit, Stamp(datetime.now(UTC), "api"))
        except Busy:
            refused += 1
            return
        took[under].append((time.perf_counter() - begun) * 1000)

    lines: asyncio.Queue[str] = asyncio.Queue()
    asyncio.get_running_loop().add_reader(sys.stdin, lambda: lines.put_nowait(sys.stdin.readline()))
    print("ready", flush=True)
    due = time.perf_counter()
    while True:
        if not lines.empty():
            line = lines.get_nowait()
            if not line:
                break
            label = line.strip()
        while due <= time.perf_counter():  # a tick that comes late counts from when it should have come
            for _ in range(round(per_second * TICK_S)):
                task = asyncio.create_task(write(due))
                running.add(task)
                task.add_done_callback(running.discard)
            due += TICK_S
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
    asyncio.get_running_loop().remove_reader(sys.stdin)
    await asyncio.gather(*running)
    await database.close()
    if refused:
        sys.exit(f"{refused:,} edits were refused")
    print(json.dumps(took))


SOME = "SELECT device_id FROM devices ORDER BY number DESC LIMIT ?"

if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
