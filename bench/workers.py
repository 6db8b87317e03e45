"""Two workers on two cores against one, by a read that is so heavy that the client matters little.

With two workers no core is left for the client: it takes its share of the second. How much that is stands beside each
round, and makes the ratio smaller than it would be with a third core, never larger.
"""

import contextlib
import itertools
from collections.abc import Iterator
from pathlib import Path

from bench.load import request_bytes
from bench.memory import processes_of
from bench.processes import CLIENT, SERVER
from bench.report import Figure
from bench.servers import FIRST, homedex
from bench.sides import Pace, Side, compared, rate, take_turns

READERS = 16
TWO = FIRST | {"HOMEDEX_WORKERS": "2"}


def workers(folder: Path, pace: Pace) -> list[Figure]:
    """One worker on a core to itself, one that may use both, two, and one of a thread more that reads."""
    with contextlib.ExitStack() as stack:
        sides = []
        for name, settings, cores in (
            ("one worker, one core", FIRST, [SERVER]),
            ("one worker, two cores", FIRST, [SERVER, CLIENT]),
            ("two workers, two cores", TWO, [SERVER, CLIENT]),
            ("three readers, two cores", FIRST | {"HOMEDEX_READERS": "3"}, [SERVER, CLIENT]),
        ):
            own = folder / name.replace(" ", "-")
            own.mkdir()
            server = stack.enter_context(homedex(own, name=name, settings=settings, cores=cores))
            sides.append(Side(server, "/api/v1/devices"))
            sides[-1].fill()
        print(f" GET 200 devices and facets, {READERS} connections", flush=True)
        one, spread, two, three = take_turns(sides, READERS, heavy, pace)
        print(f"  asked for two workers, {len(processes_of(sides[2].server.process.pid))} processes", flush=True)
    what = "GET 200 devices and facets, two workers"
    return [
        compared(what, "per s", two, one, rate, beside="one on one core", times=1.6, aim=1.9),
        compared(what, "per s", two, spread, rate, beside="one on both cores"),
        compared("the same, one worker on both cores", "per s", spread, three, rate, beside="one with three readers"),
    ]


def heavy(side: Side) -> Iterator[bytes]:
    return itertools.repeat(request_bytes("GET", f"{side.devices}?limit=200&facet=manufacturer&facet=area_id"))
