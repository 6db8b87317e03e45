"""What was seen, as a table for people, a table for the page, and a verdict."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

from bench.report import taken_on

from proof.fault import Fault, Seen

HEAD = ("fault", "the recipe", "ours")
WIDTHS = (26, 50, 50)


@dataclass(frozen=True)
class Found:
    """What both sides of a fault did."""

    fault: Fault
    recipe: Seen
    ours: Seen

    @property
    def complaints(self) -> list[str]:
        """What is not as it should be, in sentences: the fault shows in the recipe where it can, and never in ours."""
        missing = self.recipe.possible and not self.recipe.shown
        return [
            *([f"{self.fault.name} did not show in the recipe: {self.recipe.text}"] if missing else []),
            *([f"{self.fault.name} shows in ours: {self.ours.text}"] if self.ours.shown else []),
        ]

    @property
    def cells(self) -> tuple[str, str, str]:
        """A row of the table."""
        return self.fault.sentence, self.recipe.text, self.ours.text


def table(found: Sequence[Found]) -> str:
    """All faults in columns, their texts broken into lines."""
    ruler = "  ".join("-" * width for width in WIDTHS)
    return "\n".join([_row(HEAD), ruler, *(f"{_row(one.cells)}\n" for one in found)])


def _row(cells: Sequence[str]) -> str:
    columns = [textwrap.wrap(cell, width) for cell, width in zip(cells, WIDTHS, strict=True)]
    lines = zip_longest(*columns, fillvalue="")
    return "\n".join("  ".join(part.ljust(width) for part, width in zip(line, WIDTHS, strict=True)).rstrip() for line in lines)


def blocks(found: Sequence[Found]) -> dict[str, str]:
    """What the page has between its marks: the same table, with when and where, and each fault for itself."""
    rows = [HEAD, ["---"] * len(HEAD), *(one.cells for one in found)]
    whole = f"Measured {taken_on()}.\n\n" + "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return {"proof": whole} | {
        f"fault {one.fault.name}": f"- In the recipe: {one.recipe.text}.\n- Here: {one.ours.text}." for one in found
    }
