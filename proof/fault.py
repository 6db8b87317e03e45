"""What a fault is, and what was seen of it."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Seen:
    """What one side did when it was put to the test.

    Args:
        shown: whether the fault showed.
        text: what happened, with what was measured.
        possible: false where the fault cannot show on this machine, as `text` explains.
    """

    shown: bool
    text: str
    possible: bool = True


Side = Callable[[Path], Seen] | Callable[[Path], Coroutine[Any, Any, Seen]]
"""Puts one side to the test in an empty folder. It runs in a process of its own (see `child`), so it stands in a module."""


@dataclass(frozen=True)
class Fault:
    """One fault of the recipe.

    Args:
        name: by which it is asked for on the command line.
        sentence: what is wrong.
        recipe: shows it in the recipe.
        ours: tries the same on the storage room.
    """

    name: str
    sentence: str
    recipe: Side
    ours: Side
