"""Work that is done once at the end of a transaction, for all functions that share it.

A full-text index is why: FTS5 writes what it has collected at every SAVEPOINT, and each function of a group commit runs in one.
"""

from collections.abc import Callable, Hashable, Iterable
from typing import Any, TypeVar

from sqlalchemy import Connection

T = TypeVar("T", bound=Hashable)
Action = Callable[[Connection, list[Any]], None]
WAITING = "homedex waiting for the end"


def at_end(connection: Connection, action: Callable[[Connection, list[T]], None], items: Iterable[T]) -> None:
    """Have `action(connection, items)` done before the transaction commits, once with the items of all who ask for it.

    Where nobody collects such work, outside `Database.write`, it is done at once. What a function asks for is dropped if it fails.

    Args:
        action: must depend on nothing but the rows as they are then, because the items of several functions come together.
    """
    waiting: list[tuple[Action, T]] | None = connection.info.get(WAITING)
    if waiting is None:
        action(connection, list(items))
    else:
        waiting.extend((action, item) for item in items)


def begin(connection: Connection) -> None:
    """Collect from now on."""
    connection.info[WAITING] = []


def mark(connection: Connection) -> int:
    """How much is waiting."""
    return len(connection.info[WAITING])


def drop(connection: Connection, since: int) -> None:
    """Forget what was asked for after a mark."""
    del connection.info[WAITING][since:]


def finish(connection: Connection) -> None:
    """Do all that waits."""
    by_action: dict[Action, dict[Any, None]] = {}
    for action, item in connection.info[WAITING]:
        by_action.setdefault(action, {})[item] = None
    connection.info[WAITING] = []
    for action, items in by_action.items():
        action(connection, list(items))
