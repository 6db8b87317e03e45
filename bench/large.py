"""Lists, search, bulk edits and exports of a registry of 1,000 and 1,000,000 devices: what is fast must stay fast when it grows.

Both registries are served at once, on the same core, and asked in turns; what counts is how much longer the large one takes.
"""

import shutil
import time
from pathlib import Path
from statistics import median

from bench.bulk import bulk
from bench.fleet import Side, build, cpu_s, served
from bench.memory import peak_mb
from bench.processes import BenchError
from bench.report import Figure

SMALL, LARGE = 1_000, 1_000_000
ROUNDS, WARM_UPS = 15, 3  # each of the three readers has a page cache and totals of its own
PAGE = 1000


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
        figures += bulk(sides[0], f" beside {sizes[1]:,}")
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
    """A page by every sort, by filters of every kind, and by both: of 50 rows, or of as many as the small registry finds."""
    asked = ["", *(f"sort={sign}{name}" for name in SORTS for sign in ("", "-")), *FILTERS]
    asked += [f"{condition}&sort={sort}" for condition in CROSSED for sort in CROSSING]
    asked += ["facet=manufacturer", "count=none&last_seen__lt=-7d", "count=none&label=light"]
    print(f" {'a page':<62} {'small':>9} {'large':>9} {'times':>7} {'first small':>12} {'first large':>12}")
    figures = [compared(sides, f"devices?limit={rows(sides[0], one)}&{one}".rstrip("&"), one or "default order") for one in asked]
    return sorted(figures, key=lambda one: -median(one.homedex))


def rows(side: Side, asked: str) -> int:
    """How many rows a page of 50 has: one of 7 is compared with one of 7, because each row that is sent takes its time."""
    return max(1, len(side.json(f"devices?limit=50&{asked}".rstrip("&"))["devices"]))


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
    name = f"page: {what} ({median(small):.2f} ms, then {median(big):.2f})"
    return Figure(name, "x", [ours / theirs for ours, theirs in zip(big, small, strict=True)], better="less", most=1.5)


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
    before, cpu = peak_mb(side.server), cpu_s(side.server)
    begun = time.perf_counter()
    side.connection.request("GET", f"/api/v1/devices.{kind}")
    response = side.connection.getresponse()
    sent = length = 0
    while chunk := response.read1(1 << 20):
        sent += chunk.count(b"\n")
        length += len(chunk)
    seconds, cpu = time.perf_counter() - begun, cpu_s(side.server) - cpu
    more = peak_mb(side.server) - before
    sent -= kind == "csv"
    if sent != side.count:
        raise BenchError(f"the {kind} export has {sent:,} rows where there are {side.count:,} devices")
    print(
        f"  {kind}: {length / 1e6:,.0f} MB in {seconds:.1f} s, {cpu:.1f} s of the server's CPU; {before:.0f} MB before", flush=True
    )
    return [
        Figure(f"export as {kind}", "rows/s", [sent / seconds], least=None if kind == "csv" else 1e5),
        Figure(f"export as {kind}, more memory", "MB", [max(more, 0.1)], better="less", most=50),
    ]
