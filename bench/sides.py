"""The servers under load: the same 1,000 devices in each, and the same requests to each in turns."""

import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.load import Load, drive, request_bytes
from bench.processes import BenchError, Server, ask
from bench.report import Figure

DEVICES = 1000
READERS, WRITERS = 32, 64
MAKERS = ["Philips", "IKEA of Sweden", "Aqara", "Shelly", "Sonos", "Espressif", "Bosch", "Eve Systems"]
ROOMS = ["kitchen", "living_room", "bedroom", "bathroom", "hall", "garage", "garden", "attic"]


@dataclass(frozen=True)
class Pace:
    """How long is measured, and how often."""

    rounds: int
    window_s: float
    warm_up_s: float
    starts: int


FULL = Pace(rounds=3, window_s=3.0, warm_up_s=0.5, starts=7)
QUICK = Pace(rounds=2, window_s=1.0, warm_up_s=0.3, starts=3)


def device_id(number: int) -> str:
    return f"bench-{number:06}"


def device(number: int, name_by_user: str = "Lamp over the long table") -> dict[str, Any]:
    """A device with every field filled that both servers know, so that both send as much."""
    maker = MAKERS[number % len(MAKERS)]
    return {
        "name": f"{maker} ceiling lamp {number}",
        "name_by_user": name_by_user,
        "manufacturer": maker,
        "model": f"Ceiling lamp A{number % 40}",
        "model_id": f"LCT{number % 400:03}",
        "area_id": ROOMS[number % len(ROOMS)],
        "integration": "mqtt",
        "sw_version": "1.93.11",
        "hw_version": "2.1",
        "serial_number": f"{number:012X}",
        "configuration_url": f"http://lamp-{number}.local/settings",
        "via_device_id": device_id(number // 50 * 50),
        "labels": ["light", "dimmable"],
        "identifiers": [["mqtt", f"lamp_{number:06}"]],
        "connections": [["mac", f"aa:bb:cc:00:{number // 256:02x}:{number % 256:02x}"]],
    }


@dataclass
class Side:
    """A running server, where its devices are, and the writes that come next."""

    server: Server
    devices: str
    writes: Iterator[bytes] = field(init=False)

    def __post_init__(self) -> None:
        self.writes = itertools.cycle([self.put(n, name) for name in ("Ana's lamp", "Ben's lamp") for n in range(DEVICES)])

    def put(self, number: int, name_by_user: str) -> bytes:
        """The request that writes one device."""
        body = json.dumps(device(number, name_by_user)).encode()
        return request_bytes("PUT", f"{self.devices}/{device_id(number)}", body)

    def ask(self, method: str, path: str = "", body: bytes | None = None) -> Any:
        """The JSON of one request outside the measurement.

        Raises:
            BenchError: its status was not 2xx; with the answer.
        """
        status, answer = ask(self.server.port, method, self.devices + path, body)
        if not 200 <= status < 300:
            words = answer.decode(errors="replace")[:300]
            raise BenchError(f"{self.server.name} answered {status} to {method} {self.devices}{path}: {words}")
        return json.loads(answer)

    def fill(self) -> None:
        """Put the devices in, and see that they are there as they were sent.

        Raises:
            BenchError: it refused one, or gives back something else.
        """
        self.ask("PUT", f"/{device_id(0)}", json.dumps(device(0)).encode())
        load = drive(self.server, iter([self.put(n, device(n)["name_by_user"]) for n in range(DEVICES)]), connections=8)
        self.no_failures(load)
        page = self.ask("GET", "?limit=50")
        listed = page["devices"] if isinstance(page, dict) else page
        found = self.ask("GET", f"/{device_id(DEVICES - 1)}")
        if len(listed) != 50 or any(found.get(key) != value for key, value in device(DEVICES - 1).items()):
            raise BenchError(f"{self.server.name} does not give back the devices that were put in: {found}")

    def no_failures(self, load: Load) -> None:
        """Refuse a run in which an answer was not 2xx."""
        if load.failures:
            raise BenchError(f"{self.server.name} answered wrongly under load: {dict(load.failures)} (answers by status)")


def compared(
    what: str, unit: str, ours: Sequence[Load], other: Sequence[Load], value: Callable[[Load], float], **more: Any
) -> Figure:
    """One value of every round of both."""
    share = max(load.client_share for load in [*ours, *other])
    return Figure(what, unit, [*map(value, ours)], [*map(value, other)], client_share=share, **more)


def take_turns(
    sides: Sequence[Side], connections: int, requests: Callable[[Side], Iterator[bytes]], pace: Pace = FULL
) -> list[list[Load]]:
    """The same load on each, one after another, and again: what else the machine does meets all alike.

    Returns: for each side its rounds.
    Raises:
        BenchError: an answer had another status than 2xx.
    """
    rounds: list[list[Load]] = [[] for _ in sides]
    for _ in range(pace.rounds):
        for side, loads in zip(sides, rounds, strict=True):
            load = drive(side.server, requests(side), connections=connections, seconds=pace.window_s, warm_up_s=pace.warm_up_s)
            side.no_failures(load)
            loads.append(load)
            tell(side.server.name, load)
    return rounds


def tell(who: str, load: Load) -> None:
    print(
        f"  {who:<24} {load.per_second:>8,.0f}/s  p50 {load.percentile_ms(50):7.1f} ms  "
        f"p99 {load.percentile_ms(99):7.1f} ms  {load.body_bytes:>6,} bytes  client {load.client_share:4.0%}",
        flush=True,
    )


def a_page(side: Side) -> Iterator[bytes]:
    return itertools.repeat(request_bytes("GET", f"{side.devices}?limit=50"))


def one_each(side: Side) -> Iterator[bytes]:
    return itertools.cycle([request_bytes("GET", f"{side.devices}/{device_id(n)}") for n in range(DEVICES)])


def rate(load: Load) -> float:
    return load.per_second


def p99(load: Load) -> float:
    return load.percentile_ms(99)


def p50(load: Load) -> float:
    return load.percentile_ms(50)
