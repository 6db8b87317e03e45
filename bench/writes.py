"""Writes: of Homedex and the recipe in turns, and what they do to reads of Homedex meanwhile."""

from pathlib import Path

from bench.load import Load, Stream, drive_together
from bench.report import Figure
from bench.servers import homedex, recipe
from bench.sides import WRITERS, Pace, Side, compared, one_each, p99, rate, take_turns, tell

BESIDE = 8
"""Connections that read while others write."""


def writes(folder: Path, pace: Pace) -> list[Figure]:
    with recipe(folder) as baseline, homedex(folder) as ours:
        sides = Side(baseline, "/devices"), Side(ours, "/api/v1/devices")
        for side in sides:
            side.fill()
        print(f" PUT one device, {WRITERS} connections")
        theirs, own = take_turns(sides, WRITERS, lambda side: side.writes, pace)
        print(f" GET one device, {BESIDE} connections: alone, then beside {WRITERS} that write")
        alone, beside = zip(*(reads_and_writes(sides[1], pace) for _ in range(pace.rounds)), strict=True)
    return [
        compared("PUT one device", "per s", own, theirs, rate, times=9, aim=13),
        compared("PUT one device, p99", "ms", own, theirs, p99, better="less", times=10, aim=20),
        compared("GET one device beside writes, p99", "ms", beside, alone, p99, beside="no writes", better="less"),
        Figure(
            "the same, times that without writes",
            "x",
            [p99(one) / p99(other) for one, other in zip(beside, alone, strict=True)],
            better="less",
            most=3,
            aim=1.5,
        ),
    ]


def reads_and_writes(side: Side, pace: Pace) -> tuple[Load, Load]:
    """Reads with nothing beside them, and the same reads while writers send as much as they can."""
    reading = Stream(one_each(side), BESIDE)
    window = {"seconds": pace.window_s, "warm_up_s": pace.warm_up_s}
    (alone,) = drive_together(side.server, [reading], **window)
    beside, writing = drive_together(side.server, [reading, Stream(side.writes, WRITERS)], **window)
    for name, load in (("reads alone", alone), ("reads beside writes", beside), ("the writes", writing)):
        side.no_failures(load)
        tell(name, load)
    return alone, beside
