"""Reads, writes and memory: both servers hold the same 1,000 devices and meet the same load, in turns."""

import contextlib
import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.load import Load, drive, request_bytes
from bench.processes import BenchError, Server, ask, homedex, peak_memory_mb, recipe
from bench.report import Figure

DEVICES = 1000
ROUNDS = 3
WARM_UP_S, WINDOW_S = 0.5, 3.0
READERS, WRITERS = 32, 64
MAKERS = ["Philips", "IKEA of Sweden", "Aqara", "Shelly", "Sonos", "Espressif", "Bosch", "Eve Systems"]
ROOMS = ["kitchen", "living_room", "bedroom", "bathroom", "hall", "garage", "garden", "attic"]


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


@dataclass(frozen=True)
class Rounds:
    """The same load on both servers, once per round."""

    homedex: list[Load]
    recipe: list[Load]

    def figure(self, what: str, unit: str, value: Callable[[Load], float], **bar: Any) -> Figure:
        """One value of every round, side by side."""
        share = max(load.client_share for load in [*self.homedex, *self.recipe])
        return Figure(what, unit, [*map(value, self.homedex)], [*map(value, self.recipe)], client_share=share, **bar)


@contextlib.contextmanager
def both_filled(folder: Path) -> Iterator[tuple[Side, Side]]:
    """Both servers at once, on the same core: the one that is not asked sleeps."""
    with recipe(folder) as baseline, homedex(folder) as ours:
        sides = Side(ours, "/api/v1/devices"), Side(baseline, "/devices")
        for side in sides:
            side.fill()
        yield sides


def in_turns(sides: tuple[Side, Side], connections: int, requests: Callable[[Side], Iterator[bytes]]) -> Rounds:
    """The recipe, Homedex, the recipe, Homedex, …; see `take_turns`."""
    ours, baseline = sides
    theirs, own = take_turns((baseline, ours), connections, requests)
    return Rounds(own, theirs)


def take_turns(
    sides: Sequence[Side], connections: int, requests: Callable[[Side], Iterator[bytes]], *, window_s: float = WINDOW_S
) -> list[list[Load]]:
    """The same load on each, one after another, and again: what else the machine does meets all alike.

    Returns: for each side its rounds.
    Raises:
        BenchError: an answer had another status than 2xx.
    """
    rounds: list[list[Load]] = [[] for _ in sides]
    width = max(len(side.server.name) for side in sides)
    for _ in range(ROUNDS):
        for side, loads in zip(sides, rounds, strict=True):
            load = drive(side.server, requests(side), connections=connections, seconds=window_s, warm_up_s=WARM_UP_S)
            side.no_failures(load)
            loads.append(load)
            print(
                f"  {side.server.name:<{width}} {load.per_second:>8,.0f}/s  p50 {load.percentile_ms(50):7.1f} ms  "
                f"p99 {load.percentile_ms(99):7.1f} ms  {load.body_bytes:>6,} bytes  client {load.client_share:4.0%}",
                flush=True,
            )
    return rounds


def a_page(side: Side) -> Iterator[bytes]:
    return itertools.repeat(request_bytes("GET", f"{side.devices}?limit=50"))


def one_each(side: Side) -> Iterator[bytes]:
    return itertools.cycle([request_bytes("GET", f"{side.devices}/{device_id(n)}") for n in range(DEVICES)])


def reads(folder: Path) -> list[Figure]:
    with both_filled(folder) as sides:
        print(f" GET 50 devices, {READERS} connections")
        pages = in_turns(sides, READERS, a_page)
        print(f" GET one device, {READERS} connections")
        ones = in_turns(sides, READERS, one_each)
    return [
        pages.figure("GET 50 devices", "per s", rate, times=4),
        pages.figure("GET 50 devices, p99", "ms", p99, better="less"),
        ones.figure("GET one device", "per s", rate, times=4),
        ones.figure("GET one device, p99", "ms", p99, better="less"),
    ]


def writes(folder: Path) -> list[Figure]:
    with both_filled(folder) as sides:
        print(f" PUT one device, {WRITERS} connections")
        rounds = in_turns(sides, WRITERS, lambda side: side.writes)
    return [
        rounds.figure("PUT one device", "per s", rate, times=5),
        rounds.figure("PUT one device, p99", "ms", p99, better="less", times=5),
    ]


def memory(folder: Path) -> list[Figure]:
    """The most memory each server held after the same 2,000 pages and 2,000 writes."""
    with both_filled(folder) as sides:
        for side in sides:
            pages = itertools.repeat(request_bytes("GET", f"{side.devices}?limit=50"), 2000)
            side.no_failures(drive(side.server, pages, connections=READERS))
            side.no_failures(drive(side.server, itertools.islice(side.writes, 2000), connections=WRITERS))
        ours, baseline = (peak_memory_mb(side.server) for side in sides)
    return [Figure("most memory of the server", "MB", [ours], [baseline], better="less")]


def rate(load: Load) -> float:
    return load.per_second


def p99(load: Load) -> float:
    return load.percentile_ms(99)


def p50(load: Load) -> float:
    return load.percentile_ms(50)
