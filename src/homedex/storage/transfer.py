"""Every row of one database into another, on either engine, with a proof that it arrived.

One thread reads the source in a single snapshot, another writes the target in a single transaction, and a short queue lies between.
So a run that is broken off, however it is, leaves both as they were, and what is proved before COMMIT is what is kept.

The proof is a digest of each table's rows as `copy_text` has them, in the order of their keys: the source's of what was read, the
target's of what can be read from it in the end.
"""

import asyncio
import hashlib
import queue
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import apsw
from sqlalchemy import Connection, MetaData, Table

from homedex.errors import BadSource, Conflict
from homedex.storage import bulk_load
from homedex.storage.beside import Beside
from homedex.storage.copy_text import first_not_carried, read_lines, stored, write_lines
from homedex.storage.database import Database
from homedex.storage.digests import Contents
from homedex.storage.engine import create_engine
from homedex.storage.jobs import in_our_words
from homedex.storage.looking import look, schema_revision, snapshot, table_names
from homedex.storage.migrate import head_revision, refuse_newer, upgrade
from homedex.storage.rows import driver, run
from homedex.storage.sqlite import Options, open_connection
from homedex.storage.urls import is_postgresql, shown

QUEUED = 4
"""Pieces of about a megabyte that may lie between the two threads."""

WAIT_S, TURN_S = 0.2, 0.001
CACHE_KIB = 64 * 1024
ALL_STATISTICS = "PRAGMA optimize(0x1fffe)"
"""As usual, and of every table, queried or not. Source: https://sqlite.org/pragma.html#pragma_optimize."""

REFUSALS = {"22", "23"}
"""Classes of SQLSTATE: data that a type cannot hold, and constraints."""

Progress = Callable[[str, int, int], None]


class Proof(NamedTuple):
    """One table, as it was read and as it arrived."""

    table: str
    source: Contents
    target: Contents


@dataclass(frozen=True, slots=True)
class Shape:
    """What the databases of a program consist of: `Shape(Base.metadata, "migrations")`.

    Args:
        metadata: the tables to copy.
        scripts: the folder of migrations that make them; see `migrate.run_migrations`.
        application_id: see `sqlite.Options`.
        finish: makes what follows from the rows, such as a search index, whatever of it is there; called where they were written.
        program: who writes, name and version.
        revision: of the schema; None: the newest.
    """

    metadata: MetaData
    scripts: Path | str
    application_id: int = 0
    finish: Callable[[Connection], object] = lambda _: None
    program: str = "homedex.storage"
    revision: str | None = None


def transfer(  # noqa: PLR0913  (each is said by who asks for it)
    source: str,
    target: str,
    shape: Shape,
    progress: Progress = lambda *_: None,
    *,
    moved: bool = True,
    make_way: Callable[[Connection], object] | None = None,
) -> list[Proof]:
    """Copy every table from one database to another that is empty, and whose schema is made first if need be. Blocks.

    Args:
        source, target: paths of SQLite files, or `postgresql://…` URLs.
        progress: told (what is being done, rows so far, rows in all); from another thread.
        moved: the target takes the source's place, so nothing may be written meanwhile; False for a copy of one moment.
        make_way: makes empty tables of the newest schema, in the transaction that writes the rows; None: there are such, or none.
    Returns: what was proved of each table.
    Raises:
        Conflict: the target is not empty or is the source, the source was written meanwhile, or a digest differs.
        BadSource: the source is missing, has another schema, rows that the target's engine cannot keep, or columns of a type
            that is none of text, whole number, boolean, UtcDateTime, JsonText and Flag.
        StorageUnavailable: one of the two cannot be used.
        DatabaseTooNew: one of the two is of a newer program.
    """
    unknown = first_not_carried(shape.metadata)
    if unknown is not None:
        raise BadSource(
            f"{unknown.table.name}.{unknown.name} is {unknown.type!r}, which the two engines write differently. What can be copied "
            "is text, whole numbers, booleans, UtcDateTime, JsonText and Flag. Nothing was changed."
        )
    between = _Between()
    reader = threading.Thread(target=_read, args=(source, shape, between, moved), name="homedex-transfer", daemon=True)
    reader.start()
    try:
        between.take()  # once the source was seen to be one that can be read
        if make_way is None:
            _refuse(source, target, shape.metadata)
        if make_way is None and shape.revision is None:
            upgrade(target, shape.scripts, application_id=shape.application_id)
        work = partial(_write_all, source=source, target=target, shape=shape, between=between, progress=progress, make_way=make_way)
        with _short_turns():
            if is_postgresql(target):
                return asyncio.run(_write_server(target, shape, between, work))
            return _write_file(target, shape, work)
    finally:
        between.stop()
        reader.join()


class _Stopped(Exception):
    """The other thread has ended."""


class _Between:
    """What lies between the thread that reads and the one that writes; either may end it."""

    def __init__(self) -> None:
        self._queue: queue.Queue[Any] = queue.Queue(QUEUED)
        self._stopped = threading.Event()
        self._error: BaseException | None = None
        self.written = threading.Event()
        """Set once all that was read is in the target."""

    def put(self, item: Any) -> None:
        """Hand over; waits for room."""
        while not self._stopped.is_set():
            with suppress(queue.Full):
                return self._queue.put(item, timeout=WAIT_S)
        raise _Stopped

    def take(self) -> Any:
        """The next item; raises the reader's error if that comes first."""
        while not self._stopped.is_set():
            with suppress(queue.Empty):
                return self._queue.get(timeout=WAIT_S)
        raise self._error or _Stopped

    def wait_until_written(self) -> None:
        """For the thread that reads."""
        while not self.written.wait(WAIT_S):
            if self._stopped.is_set():
                raise _Stopped

    def stop(self, error: BaseException | None = None) -> None:
        """Have the other thread end."""
        self._error = self._error or error
        self._stopped.set()


# --- the source ------------------------------------------------------------------------------------------------------------------


def _read(source: str, shape: Shape, between: _Between, moved: bool) -> None:
    try:
        look(_known(source), lambda connection: _read_all(connection, source, shape, between, moved))
    except BaseException as error:  # noqa: BLE001  (raised again by who waits for rows)
        between.stop(error)


def _known(source: str) -> str:
    if not is_postgresql(source) and not Path(source).is_file():
        raise BadSource(f"there is no file {source} to be read.")
    return source


def _read_all(connection: Connection, source: str, shape: Shape, between: _Between, moved: bool) -> None:
    metadata = shape.metadata
    with snapshot(connection):
        _check_schema(connection, source, shape)
        before = _state(connection, metadata) if moved else None
        between.put(None)
        between.put(sum(bulk_load.counts_of(connection, metadata).values()))
        for table in metadata.sorted_tables:
            between.put(_contents(connection, table, between.put))
        between.put(bulk_load.numbers_given(connection, metadata))
    between.wait_until_written()
    with snapshot(connection):
        between.put(moved and _state(connection, metadata) != before)


def _check_schema(connection: Connection, source: str, shape: Shape) -> None:
    """Return if the source has the newest schema. It is not brought to it here, because nothing of it may be changed."""
    found, wanted = schema_revision(connection), shape.revision or head_revision(shape.scripts)
    refuse_newer(shown(source), found, shape.scripts)
    if found is not None and found != wanted:
        raise BadSource(
            f"{shown(source)} has schema {found}, and only {wanted} can be copied. Start its service once, which brings it "
            "there, and stop it again. Nothing was changed."
        )
    if found is None or not shape.metadata.tables.keys() <= table_names(connection):
        raise BadSource(f"{shown(source)} has not the tables that are copied. Name the database that the service uses.")


def _state(connection: Connection, metadata: MetaData) -> list[Any]:
    """Something that is different after every commit that changed a row.

    A new version of a row has a higher `xmin` than all before, so the sum rises or the count falls. The server's own counters of
    rows written would cost less, but come seconds late.
    """
    if connection.dialect.name == "sqlite":
        return list(run(connection, "PRAGMA data_version"))
    tables = [f'SELECT count(*), sum(xmin::text::bigint) FROM "{table.name}"' for table in metadata.sorted_tables]  # noqa: S608
    return [next(run(connection, statement)) for statement in tables]


def _contents(connection: Connection, table: Table, give: Callable[[bytes], None] = lambda _: None) -> Contents:
    """Read a table; each piece of it goes to `give`."""
    digest, count = hashlib.blake2b(digest_size=16), 0

    def add(lines: bytes) -> None:
        nonlocal count
        hashing.give(lines)
        count += lines.count(b"\n")
        give(lines)

    with Beside(digest.update) as hashing:
        read_lines(connection, table, add)
        hashing.finish()
    return Contents(count, digest.hexdigest())


# --- the target ------------------------------------------------------------------------------------------------------------------


def _refuse(source: str, target: str, metadata: MetaData) -> None:
    """Return if the target is another database than the source and has no rows, before anything is done to it."""
    if not is_postgresql(target) and not Path(target).exists():
        return
    if is_postgresql(source) == is_postgresql(target) and _identity(source) == _identity(target):
        raise Conflict(f"{shown(source)} and {shown(target)} are the same database. Nothing was changed.")
    if not is_postgresql(target) and Path(f"{target}-journal").exists():  # of a run that was killed; this puts back what was there
        open_connection(target, Options(create=False)).close()
    look(target, lambda connection: _refuse_rows(connection, target, metadata))


def _identity(target: str) -> Any:
    if not is_postgresql(target):
        found = Path(target).stat()
        return found.st_dev, found.st_ino
    return look(
        target, lambda connection: next(run(connection, "SELECT pg_postmaster_start_time(), current_database(), current_schema()"))
    )


def _refuse_rows(connection: Connection, target: str, metadata: MetaData) -> None:
    found = bulk_load.first_with_rows(connection, metadata)
    if found is not None:
        raise Conflict(f"{shown(target)} is not empty: it has rows in {found}. Name a new database. Nothing was changed.")


@contextmanager
def _short_turns() -> Iterator[None]:
    """A block in which Python's threads wait 1 ms for each other, not 5: a million rows take 20 s to a server, not 22 (2026-11)."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(TURN_S)
    try:
        yield
    finally:
        sys.setswitchinterval(usual)


async def _write_server(target: str, shape: Shape, between: _Between, work: Callable[[Connection], list[Proof]]) -> list[Proof]:
    # One try: what lies between the threads can be taken once.
    database = Database.open(target, application_id=shape.application_id, write_deadline_s=None, write_retries=0, listens=False)
    try:
        return await database.write(work)
    except BaseException:
        between.stop()  # what runs on another thread may not go on to its COMMIT
        raise
    finally:
        await database.close()


def _write_file(target: str, shape: Shape, work: Callable[[Connection], list[Proof]]) -> list[Proof]:
    """Write a file that nobody else has open without a log, which would hold all of it once more, and be slow to be read from.

    The journal that takes its place holds the little that was there before; who opens the file next goes back to that.
    """
    engine = create_engine(target, Options(application_id=shape.application_id, cache_kib=CACHE_KIB))
    try:
        with in_our_words(target), engine.connect() as connection:
            with suppress(apsw.BusyError):  # else a log it is
                run(connection, "PRAGMA journal_mode=delete")
            run(connection, "BEGIN IMMEDIATE")
            try:
                proofs = work(connection)
                run(connection, "COMMIT")
            finally:
                if driver(connection).in_transaction:
                    run(connection, "ROLLBACK")
                with suppress(apsw.BusyError):
                    run(connection, "PRAGMA journal_mode=wal")
            with suppress(apsw.Error):  # the copy is there, and a service gathers them, too
                run(connection, ALL_STATISTICS)
            return proofs
    finally:
        engine.dispose()


def _write_all(  # noqa: PLR0913  (all there is)
    connection: Connection,
    *,
    source: str,
    target: str,
    shape: Shape,
    between: _Between,
    progress: Progress,
    make_way: Callable[[Connection], object] | None,
) -> list[Proof]:
    metadata = shape.metadata
    if make_way is not None:
        make_way(connection)
    _refuse_rows(connection, target, metadata)
    parts = bulk_load.take_out(connection)
    total = between.take()
    with _refusals(source):
        read = _copy_all(connection, metadata, between, lambda what, done: progress(what, done, total))
        bulk_load.set_numbers(connection, metadata, between.take())
        progress("indexes", total, total)
        bulk_load.make(connection, [part for part in parts if part.table in metadata.tables])
    progress("search index", total, total)
    shape.finish(connection)
    bulk_load.make(connection, [part for part in parts if part.table not in metadata.tables])
    progress("proof", total, total)
    proofs = [Proof(table.name, read[table.name], _contents(connection, table)) for table in metadata.sorted_tables]
    _check(proofs)
    between.written.set()
    if between.take():
        raise Conflict(
            f"{shown(source)} was written while it was copied. Stop what writes to it, and start again: "
            f"{shown(target)} is empty still."
        )
    return proofs


def _copy_all(
    connection: Connection, metadata: MetaData, between: _Between, progress: Callable[[str, int], None]
) -> dict[str, Contents]:
    read, done = {}, 0
    for table in metadata.sorted_tables:
        names = [column.name for column in stored(table)]
        while isinstance(item := between.take(), bytes):
            write_lines(connection, table.name, names, item)
            done += item.count(b"\n")
            progress(table.name, done)
        read[table.name] = item
    return read


@contextmanager
def _refusals(source: str) -> Iterator[None]:
    """Say of rows that an engine does not take that they are the source's."""
    try:
        yield
    except Exception as error:
        if isinstance(error, apsw.ConstraintError | UnicodeDecodeError) or str(getattr(error, "sqlstate", None))[:2] in REFUSALS:
            raise BadSource(f"{shown(source)} has rows that the target does not take: {error}. Nothing was copied.") from error
        raise


def _check(proofs: list[Proof]) -> None:
    for table, read, there in proofs:
        if read != there:
            raise Conflict(
                f"{table} did not arrive as it was: {read.rows:,} rows, digest {read.digest}, were read, and "
                f"{there.rows:,} rows, digest {there.digest}, are there. Nothing was kept; this is a fault of Homedex, report it."
            )
