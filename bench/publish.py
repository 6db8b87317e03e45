"""The page that tells how fast it is, written from what was measured."""

from typing import Any

from bench.report import Figure


def publish(figures: dict[str, list[Figure]], in_force: dict[str, Any]) -> None:
    raise NotImplementedError(figures, in_force)
