"""Whether a file that nobody writes is whole, and what its tables hold, on all the cores there are.

`integrity_check` of a gigabyte takes 7 to 11 s on one core (2026-11). Asked for each table that has indexes, beside a `quick_check`
of the whole, it finds the same, and takes as long as the largest table. Of a table without indexes, and of a full-text index, which
is the slowest to be checked, a `quick_check` checks all there is.
"""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import Self, TypeVar

import apsw

from homedex.storage.digests import Contents, contents_of
from homedex.storage.sqlite import Options, open_connection

T = TypeVar("T")

INDEXED = """
SELECT name FROM pragma_table_list
WHERE schema = 'main' AND type <> 'view' AND EXISTS (SELECT 1 FROM pragma_index_list(pragma_table_list.name))
"""

CACHE_KIB = 4 * 1024
"""For what goes through a file from one end to the other: more makes that no faster (2026-11)."""

SEEKING_CACHE_KIB, LARGEST_CACHE_KIB = 24 * 1024, 56 * 1024
"""For `integrity_check`, which looks every row up in every index; the table that takes longest gets the larger one.

Of 500,000 rows with ten indexes: 6.2 s with 4 MiB, 5.1 s with 32, 4.6 s with 64 (2026-11).
"""

MOST = 5
"""How many complaints of a table are told."""


def open_copy(path: Path, cache_kib: int = CACHE_KIB) -> apsw.Connection:
    """A file that nobody writes, as it is: no journal is looked for and none is left beside it."""
    return open_connection(str(path), Options(read_only=True, unwatched=True, cache_kib=cache_kib))


class Checks:
    """Work on a file, done by as many threads as there are cores; each piece of it has a connection of its own.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._pool = ThreadPoolExecutor(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def contents(self) -> Callable[[], dict[str, Contents]]:
        """Begin to read every table, one after the other; the function returned waits for what they hold, by name.

        Two threads that both go through rows would wait for each other at each: apsw has Python's lock for every one.
        """
        return self._begin(contents_of).result

    def complaints(self) -> Callable[[], list[str]]:
        """Begin to check all of it; the function returned waits for what is wrong."""
        with closing(open_copy(self.path)) as connection:
            names = [str(name) for (name,) in connection.execute(INDEXED)]
            names.sort(key=lambda name: _weight(connection, name), reverse=True)  # what takes longest must not come last
        largest = [self._begin(_integrity, name, cache_kib=LARGEST_CACHE_KIB) for name in names[:1]]
        others = [self._begin(_integrity, name, cache_kib=SEEKING_CACHE_KIB) for name in names[1:]]
        waiting = [*largest, self._begin(_quick), *others, self._begin(_references)]
        return lambda: list(dict.fromkeys(chain.from_iterable(one.result() for one in waiting)))

    def _begin(self, work: Callable[..., T], *args: object, cache_kib: int = CACHE_KIB) -> "Future[T]":
        def run() -> T:
            with closing(open_copy(self.path, cache_kib)) as connection:
                return work(connection, *args)

        return self._pool.submit(run)


def _weight(connection: apsw.Connection, table: str) -> int:
    """About how much there is to be checked: rows, each once for the table and once for each index."""
    try:
        named = table.replace('"', '""')
        rows = int(next(connection.execute(f'SELECT coalesce(max(rowid), 0) FROM "{named}"'))[0])  # noqa: S608  (a name)
        return rows * (1 + len(connection.execute("SELECT 1 FROM pragma_index_list(?)", (table,)).fetchall()))
    except apsw.Error:  # it has no rowid, or cannot be read: the check will say so
        return 0


def _integrity(connection: apsw.Connection, table: str) -> Iterable[str]:
    """What is wrong with a table and its indexes."""
    return _told(connection, "integrity_check('{}')".format(table.replace("'", "''")))


def _quick(connection: apsw.Connection) -> Iterable[str]:
    """What is wrong with the pages of the whole file, with rows, and with full-text indexes."""
    return _told(connection, f"quick_check({MOST})")


def _told(connection: apsw.Connection, asked: str) -> list[str]:
    found = [str(line) for (line,) in connection.execute(f"PRAGMA {asked}")]
    return [] if found == ["ok"] else found[:MOST]


def _references(connection: apsw.Connection) -> Iterable[str]:
    broken = connection.execute("PRAGMA foreign_key_check").fetchall()[:MOST]
    return [f"row {row[1]} of {row[0]} points to nothing in {row[2]}" for row in broken]
