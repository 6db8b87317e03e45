"""What a check of the registry finds: how bad it is, and what to do."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

Level = Literal["ok", "warning", "error"]
EXIT_CODES: dict[Level, int] = {"ok": 0, "warning": 20, "error": 21}
"""What `homedex doctor` exits with by the worst that it found; none of them is the code of anything that stops a command."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Args:
        what: the thing, in a few words.
        found: how it is.
        level: "error": the registry is in danger, or cannot serve; "warning": it will do for now.
        advice: what to do about it, where it is not ok.
    """

    what: str
    found: str
    level: Level = "ok"
    advice: str = ""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def judged(what: str, found: str, advice: str, *, fine: bool, level: Level = "error") -> Finding:
    """A finding that is ok where it is `fine`, else of a level, with advice."""
    return Finding(what, found) if fine else Finding(what, found, level, advice)


def worst(findings: Iterable[Finding]) -> Level:
    """The level of all of them together."""
    levels = {finding.level for finding in findings}
    return "error" if "error" in levels else "warning" if "warning" in levels else "ok"
