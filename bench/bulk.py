"""10,000 devices in one request: rows a second, and the server's own time, which other work on the machine disturbs less."""

import contextlib
import itertools
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from bench.fleet import Fleet, Side, build, cpu_s, served
from bench.processes import BenchError
from bench.report import Figure

from homedex.storage.sqlite import Options, open_connection

BULK = 10_000
ROUNDS = 5
WRITTEN_BACK_S = 0.2
"""So long after an answer the server has written its log back, which belongs to what a request costs."""

SIZES = (0, 100_000)


def bulk_requests(folder: Path) -> list[Figure]:
    """On a registry that is empty, and on one of 100,000 devices."""
    for size in SIZES:
        (folder / str(size)).mkdir()
        build(folder / str(size) / "homedex.db", size)
    figures: list[Figure] = []
    for size in SIZES:
        with served(folder, [size]) as sides:
            figures += bulk(sides[0], f" beside {size:,}")
    return figures


def bulk(side: Side, where: str) -> list[Figure]:
    """10,000 devices in one request: new, and the same again."""
    figures = []
    for kind in ("application/json", "application/x-ndjson"):
        name = kind.rpartition("/")[2]
        new, same = zip(*(new_and_same(side, kind, number) for number in range(ROUNDS)), strict=True)
        figures += [
            rate(f"bulk of new devices, {name}{where}", new, least=8e4, aim=2e5),
            rate(f"bulk unchanged, {name}{where}", same, least=1e5),
        ]
    return figures


def rate(what: str, rounds: Sequence[tuple[float, float]], **bar: Any) -> Figure:
    """The rates of some rounds, which are printed with what each row took of the server's own time."""
    rates, own = zip(*rounds, strict=True)
    print(f"  {what}: {[round(one) for one in rates]} rows a second, {median(own):.0f} us of CPU a row", flush=True)
    return Figure(what, "rows/s", rates, **bar)


def new_and_same(side: Side, kind: str, number: int) -> tuple[tuple[float, float], tuple[float, float]]:
    """Rows a second and microseconds of CPU a row: of 10,000 new devices, and of the same again."""
    rows = [row | {"device_id": f"{kind[12:]}-{number}-{place:05}"} for place, row in enumerate(stated(BULK, number))]
    body = (json.dumps({"devices": rows}) if kind == "application/json" else "\n".join(map(json.dumps, rows))).encode()
    side.connect()
    new = sent(side, body, kind, "created")
    before = written(side)
    same = sent(side, body, kind, "unchanged")
    if written(side) != before:
        raise BenchError("a bulk request that changed nothing wrote something")
    return new, same


def stated(count: int, seed: int) -> Iterator[dict[str, Any]]:
    """Devices as a client states them."""
    own = {"source_id", "created_at", "modified_at"}
    fleet = Fleet(count + seed)
    for row in itertools.islice(fleet.devices(), count):
        yield {name: value for name, value in row.items() if name not in own}


def sent(side: Side, body: bytes, kind: str, status: str) -> tuple[float, float]:
    """Rows a second and microseconds of CPU a row of one bulk request; raises BenchError if its rows fared otherwise."""
    cpu = cpu_s(side.server)
    took_ms, answer = side.ask("devices/bulk", body, kind)
    time.sleep(WRITTEN_BACK_S)
    cpu = cpu_s(side.server) - cpu
    counts = json.loads(answer)["counts"]
    if counts != {status: BULK}:
        raise BenchError(f"a bulk request of {BULK:,} was answered with {counts}, not all {status}")
    return BULK / took_ms * 1000, cpu / BULK * 1e6


def written(side: Side) -> tuple[Any, ...]:
    """What is different after every change: the newest change, and the versions of all new devices together."""
    with contextlib.closing(open_connection(str(side.path), Options(query_only=True))) as connection:
        return next(
            connection.execute(
                "SELECT max(seq), (SELECT max(number) FROM devices), (SELECT max(modified_at) FROM devices) FROM changes"
            )
        )
