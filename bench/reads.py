"""Reads: the recipe, Homedex at a first and at a repeated read, and the same bytes out of memory, side by side."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from bench.load import Load
from bench.processes import BenchError, ask
from bench.report import Figure
from bench.servers import FIRST, constant, homedex, recipe
from bench.sides import DEVICES, READERS, Pace, Side, a_page, compared, device_id, one_each, p99, rate, take_turns

PATH = "/api/v1/devices"
FASTAPI, BARE = "FastAPI, constant bytes", "ASGI, constant bytes"


@contextlib.contextmanager
def five(folder: Path) -> Iterator[list[Side]]:
    """All five at once, on the same core: the four that are not asked sleep."""
    with contextlib.ExitStack() as stack:
        folders = {name: folder / name for name in ("recipe", "first", "repeated", "constant")}
        for own in folders.values():
            own.mkdir()
        first = homedex(folders["first"], name="Homedex, first read", settings=FIRST)
        repeated = homedex(folders["repeated"], name="Homedex, repeated read")
        sides = [
            Side(stack.enter_context(recipe(folders["recipe"])), "/devices"),
            Side(stack.enter_context(first), PATH),
            Side(stack.enter_context(repeated), PATH),
        ]
        for side in sides:
            side.fill()
        bodies = bodies_of(sides[2])
        for kind, name in (("fastapi", FASTAPI), ("bare", BARE)):
            sides.append(Side(stack.enter_context(constant(folders["constant"], kind, name, bodies)), PATH))
        for side in sides[3:]:
            if bodies_of(side) != bodies:
                raise BenchError(f"{side.server.name} does not answer the bytes that Homedex does")
        yield sides


def bodies_of(side: Side) -> dict[str, bytes]:
    """What a side answers to every request of the measurement, by path.

    Raises:
        BenchError: an answer had another status than 200.
    """
    bodies = {}
    for path in (PATH, *(f"{PATH}/{device_id(number)}" for number in range(DEVICES))):
        status, bodies[path] = ask(side.server.port, "GET", f"{path}?limit=50" if path == PATH else path)
        if status != 200:
            raise BenchError(f"{side.server.name} answered {status} to GET {path}")
    return bodies


def reads(folder: Path, pace: Pace) -> list[Figure]:
    with five(folder) as sides:
        print(f" GET 50 devices, {READERS} connections")
        pages = take_turns(sides, READERS, a_page, pace)
        print(f" GET one device, {READERS} connections")
        ones = take_turns(sides, READERS, one_each, pace)
    return [
        *figures("GET 50 devices", pages, first=(7, 11), repeated=(0.6, 0.9)),
        *figures("GET one device", ones, first=(6, 9), repeated=(0.5, 0.8)),
    ]


def figures(what: str, rounds: list[list[Load]], first: tuple[float, float], repeated: tuple[float, float]) -> list[Figure]:
    """The first read against the recipe, the repeated one against what cannot be faster; each with its bar and aim."""
    theirs, anew, again, fastapi, bare = rounds
    return [
        compared(f"{what}, first read", "per s", anew, theirs, rate, times=first[0], aim=first[1]),
        compared(f"{what}, first read, p99", "ms", anew, theirs, p99, better="less"),
        compared(f"{what}, repeated read", "per s", again, bare, rate, beside=BARE, times=repeated[0], aim=repeated[1]),
        compared(f"{what}, repeated read", "per s", again, fastapi, rate, beside=FASTAPI),
        compared(f"{what}, repeated read, p99", "ms", again, bare, p99, beside=BARE, better="less"),
    ]
