"""What was measured, as one table for people and one file for machines."""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any, Literal

CLIENT_BOUND = 0.9
"""From this share of its core on, the load client itself may be what limits the figure."""


@dataclass(frozen=True)
class Figure:
    """One measured figure of Homedex, beside the recipe's where it has one. Each is the median of its rounds.

    Args:
        what: and in which unit.
        homedex: a value per round.
        recipe: a value per round, empty when there is nothing to compare with.
        better: which way is better.
        times: the bar, as times better than the recipe.
        most: the bar, as the largest allowed value.
        least: the bar, as the smallest allowed value.
        client_share: the largest share of its core that the load client used.
    """

    what: str
    unit: str
    homedex: Sequence[float]
    recipe: Sequence[float] = field(default=())
    better: Literal["more", "less"] = "more"
    times: float | None = None
    most: float | None = None
    least: float | None = None
    client_share: float = 0.0

    @property
    def ratio(self) -> float | None:
        """How many times better than the recipe; None when there is nothing to compare with."""
        if not self.recipe:
            return None
        ours, theirs = median(self.homedex), median(self.recipe)
        return ours / theirs if self.better == "more" else theirs / ours

    @property
    def bar(self) -> str:
        """The bar in words; empty when there is none."""
        bars = [
            f"{self.times:g}x" if self.times else "",
            f"<= {self.most:g} {self.unit}" if self.most else "",
            f">= {self.least:,.0f} {self.unit}" if self.least else "",
        ]
        return ", ".join(filter(None, bars))

    @property
    def met(self) -> bool | None:
        """Whether every bar is met; None when there is none."""
        if not self.bar:
            return None
        fast = self.times is None or (self.ratio or 0.0) >= self.times
        small = self.most is None or median(self.homedex) <= self.most
        many = self.least is None or median(self.homedex) >= self.least
        return fast and small and many

    def cells(self) -> list[str]:
        """The figure as a row of the table."""
        met = {True: "yes", False: "NO", None: ""}[self.met]
        return [
            f"{self.what}, {self.unit}",
            number(median(self.homedex)),
            number(median(self.recipe)) if self.recipe else "",
            f"{self.ratio:.1f}x" if self.ratio else "",
            self.bar,
            met + (" (client-bound)" if self.client_share >= CLIENT_BOUND else ""),
        ]

    def as_json(self) -> dict[str, Any]:
        """The figure with all its rounds."""
        return {
            "what": self.what,
            "unit": self.unit,
            "homedex": list(self.homedex),
            "recipe": list(self.recipe),
            "ratio": self.ratio,
            "bar": self.bar,
            "met": self.met,
            "client_share": self.client_share,
        }


def number(value: float) -> str:
    """Three digits that count, and thousands apart."""
    return f"{value:,.0f}" if value >= 100 else f"{value:#.3g}"


def table(figures: Sequence[Figure]) -> str:
    """All figures in aligned columns."""
    rows = [["what", "Homedex", "recipe", "better by", "bar", "met"], *(figure.cells() for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(_line(row, widths) for row in rows)


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    numbers = {1, 2, 3}
    cells = [
        cell.rjust(width) if column in numbers else cell.ljust(width)
        for column, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]
    return "  ".join(cells).rstrip()


def write(path: Path, figures: Sequence[Figure], in_force: Mapping[str, Any]) -> None:
    """Everything, with the machine it was measured on, as JSON."""
    document = {
        "taken_at": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "machine": {
            "system": platform.platform(),
            "cpus": os.cpu_count(),
            "python": platform.python_version(),
            "load_average": os.getloadavg(),
        },
        "in_force": in_force,
        "figures": [figure.as_json() for figure in figures],
    }
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(document, indent=2) + "\n")
