"""Lists, search, bulk edits and exports of a registry of 1,000 and 1,000,000 devices: what is fast must stay fast when it grows.

Both registries are served at once, on the same core, and asked in turns; what counts is how much longer the large one takes.
"""

import asyncio
import contextlib
import http.client
import itertools
import json
import random
import shutil
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

from bench.processes import CLIENT, BenchError, Server, homedex, peak_memory_mb, pinned
from bench.report import Figure
from sqlalchemy import Connection

from homedex.registry import records
from homedex.registry.changes import Stamp
from homedex.registry.devices import record_sightings
from homedex.registry.schema import open_registry
from homedex.registry.sources import create_source
from homedex.storage.database import Database
from homedex.storage.sqlite import Options, open_connection

SMALL, LARGE = 1_000, 1_000_000
ROUNDS, WARM_UPS = 15, 3  # each of the three readers has a page cache and totals of its own
BULK = 10_000
PAGE = 1000
BATCH = 10_000
WITH_ENTITIES = 100_000
"""The first so many devices have two entities each."""

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
SOURCES = {
    "home-assistant": ("home_assistant", 60),
    "zigbee2mqtt": ("zigbee2mqtt", 25),
    "mqtt": ("mqtt", 10),
    "manual": ("manual", 5),
}
WORDS = (
    *("Kitchen", "Hall", "Garden", "Bedroom", "Bath", "Office", "Attic", "Garage", "Cellar", "Stair", "Lamp", "Light", "Plug"),
    *("Switch", "Sensor", "Motion", "Door", "Window", "Blind", "Valve", "Meter", "Socket", "Button", "Dimmer", "Strip", "Spot"),
    *("Ceiling", "Wall", "Desk", "Left", "Right", "North", "South", "East", "West", "Upper", "Lower", "Main", "Small", "Large"),
)
MAKERS = (
    *("Signify", "IKEA of Sweden", "Aqara", "Shelly", "Sonos", "Espressif", "Bosch", "Eve Systems", "Tuya", "SONOFF", "Xiaomi"),
    *("OSRAM", "LEDVANCE", "Danfoss", "Schneider", "Legrand", "Netatmo", "Fibaro", "Heiman", "Develco", "Innr", "Gledopto"),
    *("Sengled", "Yale", "Nuki", "Ecobee", "Honeywell", "Somfy", "Velux", "Apple", "Google", "Amazon", "Ubiquiti", "AVM"),
    *("Siemens", "ABB", "Gira", "Jung", "Busch-Jaeger", "Theben"),
)
LABELS = ("light", "heating", "battery", "guest", "outdoor", "critical", "old", "rented", "dimmable", "spare")
DOMAINS = ("sensor", "light", "switch", "binary_sensor", "button", "update", "cover", "climate")


class Fleet:
    """A made-up fleet, the same each time: what is frequent in a small one is as frequent in a large one."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.areas = [f"area_{number:04}" for number in range(max(10, count // 500))]
        self._random = random.Random(count)
        self._makers = [100 / (rank + 2) for rank in range(len(MAKERS))]
        self._models = [10 / (rank + 1) for rank in range(10)]

    def devices(self) -> Iterator[dict[str, Any]]:
        """Every device as the registry takes it, in the order in which they came."""
        r = self._random
        span = timedelta(days=730)
        sources = [name for name, (_, share) in SOURCES.items() for _ in range(share)]
        for number in range(self.count):
            maker = r.choices(range(len(MAKERS)), self._makers)[0]
            model = maker * 10 + r.choices(range(10), self._models)[0]
            created = NOW - span + span * (number / self.count) + timedelta(seconds=r.randrange(3600))
            row: dict[str, Any] = {
                "device_id": f"{r.getrandbits(128):032x}",
                "source_id": r.choice(sources),
                "name": None if r.random() < 0.05 else f"{' '.join(r.sample(WORDS, 3))} {number}",
                "manufacturer": MAKERS[maker],
                "model": f"Model {model:03}",
                "model_id": f"LCT{model:03}",
                "area_id": None if r.random() < 0.05 else r.choice(self.areas),
                "integration": f"integration_{int(25 * r.random() ** 2):02}",
                "sw_version": f"1.{r.randrange(90)}.{r.randrange(20)}",
                "serial_number": f"{number:012X}",
                "identifiers": [["bench", f"0x{number:016x}"]],
                "created_at": created,
                "modified_at": created if r.random() < 0.6 else created + (NOW - created) * r.random(),
            }
            if r.random() < 0.03:
                row["disabled_by"] = "user"
            if r.random() < 0.2:
                row["labels"] = r.sample(LABELS, 2)
            yield row

    def last_seen(self) -> datetime | None:
        """When one of them last reported: most within a day, some long ago, 30 % never."""
        r = self._random
        if r.random() < 0.3:
            return None
        return NOW - timedelta(minutes=1) - timedelta(days=60) * r.random() ** 6

    def entities(self, device: dict[str, Any], number: int) -> Iterator[dict[str, Any]]:
        """The two entities of one device."""
        for place in range(2):
            domain = DOMAINS[(number + place * 3) % len(DOMAINS)]
            yield {
                "id": f"{self._random.getrandbits(128):032x}",
                "entity_id": f"{domain}.thing_{number}_{place}",
                "source_id": device["source_id"],
                "device_id": device["device_id"],
                "domain": domain,
                "platform": device["integration"],
                "name": f"Part {place}",
            }


def build(path: Path, count: int) -> float:
    """A registry of so many devices, made by the functions that make every other; returns the seconds it took."""
    begun = time.perf_counter()
    unfinished = path.with_suffix(".unfinished")
    for left in path.parent.glob(f"{unfinished.name}*"):
        left.unlink()
    asyncio.run(_build(unfinished, Fleet(count)))
    unfinished.rename(path)
    return time.perf_counter() - begun


async def _build(path: Path, fleet: Fleet) -> None:
    database: Database = open_registry(str(path), synchronous="NORMAL", write_deadline_s=None)
    stamp = Stamp(NOW, "import")
    try:
        await database.write(_found, fleet, stamp)
        devices, done = fleet.devices(), 0
        while batch := list(itertools.islice(devices, BATCH)):
            await database.write(_add, fleet, batch, done, stamp)
            done += len(batch)
    finally:
        await database.close()


def _found(connection: Connection, fleet: Fleet, stamp: Stamp) -> None:
    for source_id, (kind, _) in SOURCES.items():
        create_source(connection, {"source_id": source_id, "kind": kind, "name": source_id, "state": "ok"}, stamp)
    rows = [{"area_id": area_id, "name": area_id.replace("_", " ")} for area_id in fleet.areas]
    records.create_rows(connection, "areas", "home-assistant", rows, stamp)


def _add(connection: Connection, fleet: Fleet, batch: list[dict[str, Any]], done: int, stamp: Stamp) -> None:
    records.create_rows(connection, "devices", "home-assistant", batch, stamp)
    seen = ((row["device_id"], fleet.last_seen()) for row in batch)
    record_sightings(connection, ((key, at) for key, at in seen if at is not None), seen_by="bench")
    named = enumerate(batch[: max(0, WITH_ENTITIES - done)], done)
    entities = [entity for number, row in named for entity in fleet.entities(row, number)]
    records.create_rows(connection, "entities", "home-assistant", entities, stamp)


@dataclass
class Side:
    """One of the two registries, served."""

    server: Server
    count: int
    path: Path
    first_ms: float = 0.0
    connection: http.client.HTTPConnection = field(init=False)

    def __post_init__(self) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=120)
        self.connection.connect()
        self.connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, path: str, body: bytes | None = None, kind: str = "application/json") -> tuple[float, bytes]:
        """Milliseconds from the request to the end of its answer, and the answer.

        Raises:
            BenchError: its status was not 2xx; with the answer.
        """
        headers = {} if body is None else {"Content-Type": kind}
        begun = time.perf_counter()
        self.connection.request("GET" if body is None else "POST", f"/api/v1/{path}", body, headers)
        response = self.connection.getresponse()
        answer = response.read()
        took = (time.perf_counter() - begun) * 1000
        if response.status != 200:
            raise BenchError(f"{self.count:,} devices: {response.status} to {path}: {answer.decode(errors='replace')[:300]}")
        return took, answer

    def json(self, path: str) -> Any:
        """An answer outside the measurement."""
        return json.loads(self.ask(path)[1])


@contextlib.contextmanager
def served(folder: Path, sizes: Sequence[int]) -> Iterator[list[Side]]:
    """Fresh processes on the registries, on one core, and this one on the other."""
    with contextlib.ExitStack() as stack:
        servers = [(stack.enter_context(homedex(folder / str(size))), size) for size in sizes]
        stack.enter_context(pinned(CLIENT))
        yield [Side(server, size, folder / str(size) / "homedex.db") for server, size in servers]


def large(folder: Path, sizes: tuple[int, int] = (SMALL, LARGE), kept: Path | None = None) -> list[Figure]:
    """All of it, on copies of the registries that are kept, or made now."""
    for size in sizes:
        built = (kept or folder) / f"{size}.db"
        if not built.exists():
            took = build(built, size)
            print(f" built {size:,} devices in {took:.0f} s: {size / took:,.0f} a second", flush=True)
        (folder / str(size)).mkdir()
        shutil.copy(built, folder / str(size) / "homedex.db")
    figures: list[Figure] = []
    with served(folder, sizes) as sides:
        figures += lists(sides)
        figures += depth(sides)
    with served(folder, sizes) as sides:
        figures += searches(sides)
    for kind in ("ndjson", "csv"):
        with served(folder, sizes[1:]) as sides:
            figures += export(sides[0], kind)
    with served(folder, sizes[1:]) as sides:
        figures += bulk(sides[0])
    return figures


SORTS = ("name", "manufacturer", "model", "area_id", "integration", "device_id", "created_at", "modified_at", "last_seen")
FILTERS = (
    *("manufacturer=Signify", "model=Model+000", "area_id=area_0003", "integration=integration_03", "source_id=mqtt"),
    *(
        "disabled=true",
        "disabled=false",
        "domain=light",
        "platform=integration_00",
        "label=light",
        "has_area=true",
        "has_area=false",
    ),
    *("seen=ever", "seen=never", "last_seen__lt=-7d", "last_seen__lt=2026-11-15T00:00:00Z", "name__ic=lamp", "model_id=LCT000"),
    *(
        "created_at__gte=-400d",
        "created_at__gte=2026-01-01T00:00:00Z",
        "manufacturer=Signify&manufacturer=Aqara",
        "serial_number=0",
    ),
)
CROSSED = (
    *("manufacturer=Signify", "model=Model+007", "area_id=area_0003", "source_id=mqtt", "disabled=true", "seen=never"),
    *(
        "last_seen__lt=2026-11-15T00:00:00Z",
        "domain=light",
        "has_area=true",
        "name__ic=lamp",
        "created_at__gte=2026-01-01T00:00:00Z",
    ),
)
CROSSING = ("name", "-last_seen", "-modified_at", "device_id", "manufacturer")


def lists(sides: list[Side]) -> list[Figure]:
    """A page of 50 by every sort, by filters of every kind, and by both."""
    asked = ["", *(f"sort={sign}{name}" for name in SORTS for sign in ("", "-")), *FILTERS]
    asked += [f"{condition}&sort={sort}" for condition in CROSSED for sort in CROSSING]
    asked += ["facet=manufacturer", "count=none&last_seen__lt=-7d", "count=none&label=light"]
    print(f" {'a page of 50':<62} {'small':>9} {'large':>9} {'times':>7} {'first small':>12} {'first large':>12}")
    figures = [compared(sides, f"devices?limit=50&{one}".rstrip("&"), one or "default order") for one in asked]
    return sorted(figures, key=lambda one: -median(one.homedex))


def compared(sides: list[Side], path: str, what: str) -> Figure:
    """How many times longer the large registry takes for the same question, asked in turns."""
    firsts = [side.ask(path)[0] for side in sides]
    for _ in range(WARM_UPS - 1):
        for side in sides:
            side.ask(path)
    small, big = zip(*([side.ask(path)[0] for side in sides] for _ in range(ROUNDS)), strict=True)
    ratio = median(big) / median(small)
    times = "  ".join(f"{first:>10.1f}" for first in firsts)
    print(f"  {what:<61} {median(small):9.2f} {median(big):9.2f} {ratio:6.2f}x   {times}", flush=True)
    return Figure(f"page: {what}", "x", [ours / theirs for ours, theirs in zip(big, small, strict=True)], better="less", most=1.5)


def depth(sides: list[Side]) -> list[Figure]:
    """The first page and the 1,000th of the large registry."""
    figures = []
    for order in ("", "&sort=name", "&sort=-last_seen"):
        first = deep = f"devices?limit=50{order}"
        begun = time.perf_counter()
        for _ in range(min(PAGE, sides[1].count // 50) - 1):
            cursor = sides[1].json(f"{deep}&count=none")["next"]
            deep = f"{first}&cursor={cursor}"
        walked = time.perf_counter() - begun
        paths = (first, deep)
        rounds = [[sides[1].ask(path)[0] for path in paths] for _ in range(ROUNDS + WARM_UPS)][WARM_UPS:]
        one, last = zip(*rounds, strict=True)
        what = f"page {PAGE:,} against page 1{order.replace('&', ', ')}"
        print(f"  {what:<61} {median(one):9.2f} {median(last):9.2f} {median(last) / median(one):6.2f}x   walked in {walked:.1f} s")
        figures.append(Figure(what, "x", [b / a for a, b in rounds], better="less", most=1.5))
    return figures


def searches(sides: list[Side]) -> list[Figure]:
    """`q`: words that many, few and no devices have."""
    figures = []
    words = {
        "common word": "lamp",
        "rare word": "00000000012c",
        "two words": "kitchen+lamp",
        "three letters": "kit",
        "one letter": "l",
    }
    for what, q in words.items():
        path = f"devices?limit=50&q={q}"
        compared(sides, path, f"q, {what}: {q}")
        took = sorted(sides[1].ask(path)[0] for _ in range(2 * ROUNDS))
        figures.append(Figure(f"q, {what}", "ms", took, better="less", most=10))
        figures.append(Figure(f"q, {what}, slowest of {len(took)}", "ms", took[-1:], better="less", most=10))
    return figures


def export(side: Side, kind: str) -> list[Figure]:
    """Every device in one answer, and what it costs the server in memory."""
    side.json("devices?limit=50")
    before, cpu = peak_memory_mb(side.server), cpu_s(side.server)
    begun = time.perf_counter()
    side.connection.request("GET", f"/api/v1/devices.{kind}")
    response = side.connection.getresponse()
    rows = length = 0
    while chunk := response.read1(1 << 20):
        rows += chunk.count(b"\n")
        length += len(chunk)
    seconds, cpu = time.perf_counter() - begun, cpu_s(side.server) - cpu
    more = peak_memory_mb(side.server) - before
    rows -= kind == "csv"
    if rows != side.count:
        raise BenchError(f"the {kind} export has {rows:,} rows where there are {side.count:,} devices")
    print(
        f"  {kind}: {length / 1e6:,.0f} MB in {seconds:.1f} s, {cpu:.1f} s of the server's CPU; {before:.0f} MB before", flush=True
    )
    return [
        Figure(f"export as {kind}", "rows per s", [rows / seconds])
        if kind == "csv"
        else at_least(f"export as {kind}", rows / seconds, 1e5),
        Figure(f"export as {kind}, more memory", "MB", [max(more, 0.1)], better="less", most=50),
    ]


def bulk(side: Side) -> list[Figure]:
    """10,000 devices in one request: new, and the same again."""
    figures = []
    for kind in ("application/json", "application/x-ndjson"):
        new: list[float] = []
        same: list[float] = []
        for number in range(5):
            rows = [row | {"device_id": f"{kind[12:]}-{number}-{place:05}"} for place, row in enumerate(stated(BULK, number))]
            body = json.dumps({"devices": rows}) if kind == "application/json" else "\n".join(map(json.dumps, rows))
            new.append(BULK / sent(side, body.encode(), kind, "created") * 1000)
            before = written(side)
            same.append(BULK / sent(side, body.encode(), kind, "unchanged") * 1000)
            if written(side) != before:
                raise BenchError("a bulk request that changed nothing wrote something")
        name = kind.rpartition("/")[2]
        print(
            f"  bulk as {name}: new {[round(one) for one in new]}, unchanged {[round(one) for one in same]} rows a second",
            flush=True,
        )
        figures += [
            at_least(f"bulk of new devices, {name}", median(new), 5e4),
            at_least(f"bulk unchanged, {name}", median(same), 1e5),
        ]
    return figures


def stated(count: int, seed: int) -> Iterator[dict[str, Any]]:
    """Devices as a client states them."""
    own = {"source_id", "created_at", "modified_at"}
    fleet = Fleet(count + seed)
    for row in itertools.islice(fleet.devices(), count):
        yield {name: value for name, value in row.items() if name not in own}


def sent(side: Side, body: bytes, kind: str, status: str) -> float:
    """Milliseconds of one bulk request; raises BenchError if its rows fared otherwise."""
    took, answer = side.ask("devices/bulk", body, kind)
    counts = json.loads(answer)["counts"]
    if counts != {status: BULK}:
        raise BenchError(f"a bulk request of {BULK:,} was answered with {counts}, not all {status}")
    return took


def written(side: Side) -> tuple[Any, ...]:
    """What is different after every change: the newest change, and the versions of all new devices together."""
    with contextlib.closing(open_connection(str(side.path), Options(query_only=True))) as connection:
        return next(
            connection.execute(
                "SELECT max(seq), (SELECT max(number) FROM devices), (SELECT max(modified_at) FROM devices) FROM changes"
            )
        )


def at_least(what: str, per_second: float, bar: float) -> Figure:
    """A rate, as microseconds a row, because a bar is the most that is allowed."""
    return Figure(f"{what} ({per_second:,.0f} rows per s)", "us a row", [1e6 / per_second], better="less", most=1e6 / bar)


def cpu_s(server: Server) -> float:
    """Seconds of CPU that a server has used."""
    fields = Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100
