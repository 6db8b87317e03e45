"""The page that tells how fast it is: its tables and charts are written from what was measured, never typed."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from bench.chart import chart
from bench.processes import REPOSITORY
from bench.report import Figure, number, taken_on

PAGE = REPOSITORY / "docs" / "speed.md"
CHARTS = REPOSITORY / "docs" / "speed"
SHOWN = 8
"""Lists of `large` that are shown, the slowest; the others are counted."""

DRAWN = {
    "GET 50 devices": ("per s", "A list of 50 devices, answers per second (more is better)", "/s"),
    "GET one device": ("per s", "One device, answers per second (more is better)", "/s"),
    "PUT one device": ("per s", "Writes of one device, 64 clients, per second (more is better)", "/s"),
    "PUT one device, p99": ("ms", "99 of 100 writes take at most (less is better)", "ms"),
}


def publish(figures: Mapping[str, Sequence[Figure]], in_force: Mapping[str, Mapping[str, Any]]) -> None:
    """Fill the page's block of each section that was run, and draw its charts; the other blocks stay as they are.

    A block stands between `<!-- section -->` and `<!-- /section -->`.
    """
    blocks = {name: block(name, found) for name, found in figures.items()} | {"settings": settings(in_force)}
    PAGE.write_text(filled(PAGE.read_text(), blocks))
    CHARTS.mkdir(exist_ok=True)
    for path, svg in charts([one for found in figures.values() for one in found]).items():
        path.write_text(svg)


def filled(page: str, blocks: Mapping[str, str]) -> str:
    """The page with each of these blocks as it is now."""
    for name, text in blocks.items():
        page = re.sub(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", rf"\g<1>{_literal(text)}\n\g<2>", page, flags=re.DOTALL)
    return page


def has_block(name: str) -> bool:
    """Whether the page tells of this section."""
    return f"<!-- {name} -->" in PAGE.read_text()


def _literal(text: str) -> str:
    return text.replace("\\", r"\\")


def block(name: str, figures: Sequence[Figure]) -> str:
    """When and where, and the figures as a table."""
    shown, more = shortened(figures) if name == "large" else (figures, "")
    head = ["what", "Homedex", "against", "ratio", "bar", "met", "aim"]
    rows = [head, ["---"] * len(head), *(cells(one) for one in shown)]
    share = max(one.client_share for one in figures)
    client = f" The load client used at most {share:.0%} of its core." if share else ""
    return f"Measured {taken_on()}.{client}{more}\n\n" + "\n".join(f"| {' | '.join(row)} |" for row in rows)


def shortened(figures: Sequence[Figure]) -> tuple[list[Figure], str]:
    """Only the slowest lists, which come first, and all else; with a sentence on the lists that are left out."""
    pages = [one for one in figures if one.what.startswith("page: ")]
    rest = [one for one in figures if one not in pages]
    middle = median(median(one.homedex) for one in pages)
    words = f" Of {len(pages)} lists the {SHOWN} that grow most are shown; the middle one takes {middle:.2f} times as long."
    return pages[:SHOWN] + rest, words


def cells(figure: Figure) -> list[str]:
    """A figure as a row of the page."""
    other = f"{number(median(figure.other))} {figure.unit} ({figure.beside})" if figure.other else ""
    met = {True: "yes", False: "no", None: ""}[figure.met]
    ratio = f"{figure.ratio:.2f}x" if figure.ratio else ""
    ours = f"{number(median(figure.homedex))} {figure.unit}"
    return [figure.what, ours, other, ratio, figure.bar, met, figure.aimed]


def settings(in_force: Mapping[str, Mapping[str, Any]]) -> str:
    """The settings of SQLite that each side has in force, as a table."""
    names = list(dict.fromkeys(name for one in in_force.values() for name in one))
    rows = [["setting", *in_force], ["---"] * (len(in_force) + 1)]
    rows += [[f"`{name}`", *(str(one.get(name, "")) for one in in_force.values())] for name in names]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def charts(figures: Sequence[Figure]) -> dict[Path, str]:
    """The charts that these figures are enough for, by file."""
    drawn = {}
    for what, (unit, title, shown) in DRAWN.items():
        bars: dict[str, float] = {}
        for one in figures:
            kind = one.what.removeprefix(what)
            if one.unit == unit and kind in {"", ", first read", ", repeated read"} and one.what.startswith(what):
                bars |= {one.beside: median(one.other), f"Homedex{kind}": median(one.homedex)}
        if bars:
            name = what.lower().replace(",", "").replace(" ", "-")
            drawn[CHARTS / f"{name}.svg"] = chart(
                title, shown, dict(sorted(bars.items(), key=lambda bar: bar[1], reverse=unit == "ms")), taken_on()
            )
    return drawn
