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

HEAD = ("what", "Homedex", "against", "", "ratio", "bar", "met", "aim")
NUMBERS = {1, 2, 4}
"""Which columns of the table are set to the right."""


@dataclass(frozen=True)
class Figure:
    """One measured figure of Homedex, beside another's where there is one. Each is the median of its rounds.

    A figure has one bar at most, and the aim is of the same kind: what is hoped for, where the bar is what is demanded.

    Args:
        what: what was measured.
        unit: of all values.
        homedex: a value per round.
        other: a value per round, empty when there is nothing to compare with.
        beside: whose `other` is.
        better: which way is better.
        times: the bar, as times better than the other.
        most: the bar, as the largest allowed value.
        least: the bar, as the smallest allowed value.
        aim: in the measure of the bar.
        client_share: the largest share of its core that the load client used.
    """

    what: str
    unit: str
    homedex: Sequence[float]
    other: Sequence[float] = field(default=())
    beside: str = "the recipe"
    better: Literal["more", "less"] = "more"
    times: float | None = None
    most: float | None = None
    least: float | None = None
    aim: float | None = None
    client_share: float = 0.0

    @property
    def ratio(self) -> float | None:
        """How many times better than the other; None when there is nothing to compare with."""
        if not self.other:
            return None
        ours, theirs = median(self.homedex), median(self.other)
        return ours / theirs if self.better == "more" else theirs / ours

    @property
    def bar(self) -> str:
        """The bar in words; empty when there is none."""
        return self._demand(self.times, self.most, self.least)

    @property
    def aimed(self) -> str:
        """The aim in words; empty when there is none."""
        demand = (self.aim if bar is not None else None for bar in (self.times, self.most, self.least))
        return self._demand(*demand)

    def _demand(self, times: float | None, most: float | None, least: float | None) -> str:
        words = [
            f">= {times:g}x" if times else "",
            f"<= {number(most)} {self.unit}" if most else "",
            f">= {number(least)} {self.unit}" if least else "",
        ]
        return "".join(words)

    @property
    def met(self) -> bool | None:
        """Whether the bar is met; None when there is none."""
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
            number(median(self.other)) if self.other else "",
            self.beside if self.other else "",
            f"{self.ratio:.2f}x" if self.ratio else "",
            self.bar,
            met + (" (client-bound)" if self.client_share >= CLIENT_BOUND else ""),
            self.aimed,
        ]

    def as_json(self) -> dict[str, Any]:
        """The figure with all its rounds."""
        return {
            "what": self.what,
            "unit": self.unit,
            "homedex": list(self.homedex),
            "other": list(self.other),
            "beside": self.beside if self.other else None,
            "ratio": self.ratio,
            "bar": self.bar,
            "met": self.met,
            "aim": self.aimed,
            "client_share": self.client_share,
        }


def number(value: float) -> str:
    """Three digits that count, and thousands apart."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def table(figures: Sequence[Figure]) -> str:
    """All figures in aligned columns."""
    rows = [HEAD, *(figure.cells() for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    return "\n".join(_line(row, widths) for row in rows)


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = [
        cell.rjust(width) if column in NUMBERS else cell.ljust(width)
        for column, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]
    return "  ".join(cells).rstrip()


def taken_on() -> str:
    """The day and the machine of a measurement, in words."""
    cpus = Path("/proc/cpuinfo")
    models = (
        [line.partition(":")[2].strip() for line in cpus.read_text().splitlines() if line.startswith("model name")]
        if (cpus.exists())
        else []
    )
    cores = f"{os.cpu_count()} cores" + (f" of {models[0]}" if models else "")
    system = f"{platform.system()} {platform.machine()}"
    return f"{datetime.now(UTC).date()}, {cores}, {system}, Python {platform.python_version()}"


def write(path: Path, figures: Mapping[str, Sequence[Figure]], in_force: Mapping[str, Any]) -> None:
    """Everything, by section, with the machine it was measured on, as JSON."""
    document = {
        "taken_at": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "machine": {
            "system": platform.platform(),
            "cpus": os.cpu_count(),
            "python": platform.python_version(),
            "load_average": os.getloadavg(),
        },
        "in_force": in_force,
        "sections": {name: [figure.as_json() for figure in found] for name, found in figures.items()},
    }
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(document, indent=2) + "\n")
