"""A made-up fleet of any size, the registry it is kept in, and that registry served."""

import asyncio
import contextlib
import http.client
import itertools
import json
import random
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bench.processes import CLIENT, BenchError, Server, pinned
from bench.servers import FIRST, homedex
from sqlalchemy import Connection

from homedex.registry import records
from homedex.registry.changes import Stamp
from homedex.registry.devices import record_sightings
from homedex.registry.schema import open_registry
from homedex.registry.sources import create_source
from homedex.storage.database import Database

BATCH = 10_000
WITH_ENTITIES = 100_000
"""The first so many devices have two entities each."""
RESTING_S = 0.02
"""So many seconds of CPU in half a second are a server's clocks: it rests."""

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
        self.connect()

    def connect(self) -> None:
        """A fresh connection: the server closes one that has been idle for some seconds."""
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
    """Fresh processes on the registries, on one core, and this one on the other. Each answer is made anew."""
    with contextlib.ExitStack() as stack:
        servers = [(stack.enter_context(homedex(folder / str(size), settings=FIRST)), size) for size in sizes]
        stack.enter_context(pinned(CLIENT))
        for server, _ in servers:
            rested(server)
        yield [Side(server, size, folder / str(size) / "homedex.db") for server, size in servers]


def rested(server: Server) -> None:
    """Wait for what a server does by itself after its start: it goes through the whole file, for pages that are damaged.

    Raises:
        BenchError: it has not come to an end in five minutes.
    """
    used, deadline = -1.0, time.monotonic() + 300
    while cpu_s(server) - used > RESTING_S:
        if time.monotonic() > deadline:
            raise BenchError(f"{server.name} does not come to rest, and so cannot be measured.")
        used = cpu_s(server)
        time.sleep(0.5)


def cpu_s(server: Server) -> float:
    """Seconds of CPU that a server has used."""
    fields = Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100
