"""Backups: made beside whoever writes, and believed only once they were restored.

SQLite copies its pages itself, all in one step. That step reads one snapshot and delays no writer; in several steps, every commit
of another process would make it begin again (1,082 times in 6 s, and it was not done then; measured 2026-11). Who calls this should
not be the process that serves: reading every row takes a core for a while.
"""

import errno
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import apsw

from homedex.errors import BadBackup, ForeignDatabase, HomedexError, StorageFull, StorageUnavailable
from homedex.storage.backup_file import Manifest, pack, read_manifest, room_for, unpack, write_manifest
from homedex.storage.backup_folder import Backup, BackupFolder
from homedex.storage.checks import MOST, Checks, open_copy
from homedex.storage.digests import Contents, own_tables
from homedex.storage.looking import look
from homedex.storage.migrate import schema_revision
from homedex.storage.older import as_it_is
from homedex.storage.rows import run
from homedex.storage.sqlite import Options, open_connection, storage_error
from homedex.storage.transfer import Shape, transfer
from homedex.storage.urls import is_postgresql, shown

Tell = Callable[[str, int, int], None]


class Made(NamedTuple):
    """A backup, and whether it is a new one: of what is as it was, there is one already."""

    backup: Backup
    new: bool


class State(NamedTuple):
    """What can be said of a database by looking at it."""

    schema_revision: str | None
    application_id: int
    sequence: int
    tables: dict[str, Contents]


def create(  # noqa: PLR0913  (each is said by who asks for it)
    source: str,
    folder: BackupFolder,
    shape: Shape,
    *,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    reason: str = "command",
    verified: bool = True,
    unless_newer_than: timedelta | None = None,
    wait: bool = False,
    tell: Tell = lambda *_: None,
) -> Made:
    """Back up a database into a folder, whoever reads and writes it meanwhile. Blocks.

    Args:
        source: the path of a SQLite file, or a `postgresql://…` URL.
        folder: where it is kept; made if need be.
        shape: of the database.
        clock: says the time, aware UTC; asked when nobody else works on the backups, which may have taken a while.
        reason: why it is made; for people, who find it in its manifest.
        verified: restore it to a scratch place and check it before it gets its name.
        unless_newer_than: make none if there is one that is younger: another process was faster.
        wait: for another process that works on the backups there, instead of raising `Busy`.
        tell: told (what is being done, bytes done, bytes in all).
    Returns: the backup, and whether it is `new`; if nothing has changed since the newest one, that is what is returned.
    Raises:
        ForeignDatabase: the database is another program's.
        StorageFull: the folder's disk has too little room; no backup was touched.
        StorageUnavailable: the database or the folder cannot be used.
        BadBackup: what was made is not right, and was thrown away: the database itself is damaged, or the disk is.
        Busy: another process works on the backups there.
    """
    with faults(folder.path):
        _size(source)  # for what is not there no folder is made
    with faults(folder.path), folder.locked(wait=wait):
        at = clock()
        newest = folder.newest(not_after=at)
        if newest is not None and newest.problem is not None:
            newest = None  # it is of no use
        if newest is not None and unless_newer_than is not None and _made_at(newest) > at - unless_newer_than:
            return Made(newest, new=False)
        need = _size(source)
        with folder.scratch(2 * need) as scratch:
            copy, backup = scratch / "copy.db", scratch / "backup"
            tell("copy", 0, need)
            _copy(source, copy, shape)
            manifest = _pack(copy, backup, Manifest(shape.program, None, 0, _engine(source), at, reason, 0), tell)
            copy.unlink()
            if newest is not None and newest.manifest is not None and _same(newest.manifest, manifest):
                safe = newest if not verified else _verified_again(newest, folder, scratch, at, tell)
                if safe is not None:
                    return Made(safe, new=False)
            if verified:
                verify_file(backup, scratch, tell, called=f"the backup of {shown(source)}")
            path = folder.keep(backup, at)
        made = Backup(path, path.stat().st_size, manifest)
        return Made(folder.note(path.name, at, None) if verified else made, new=True)


def _verified_again(newest: Backup, folder: BackupFolder, scratch: Path, at: datetime, tell: Tell) -> Backup | None:
    """The backup that says the same already, checked now; None where it is damaged, which is written down."""
    problem = None
    try:
        with tempfile.TemporaryDirectory(dir=scratch) as place:
            verify_file(newest.path, Path(place), tell, called=str(newest.path))
    except BadBackup as error:
        problem = error.detail
    noted = folder.note(newest.name, at, problem)
    return None if problem else noted


def verify(backup: Backup, folder: BackupFolder, *, at: datetime | None = None, tell: Tell = lambda *_: None) -> Backup:
    """Restore a backup of the folder to a scratch place, check all of it, and write down how that ended. Blocks.

    Checked are the SHA-256 of the file, `integrity_check`, `foreign_key_check`, the schema revision, and of every table how many
    rows it has, and their digest.

    Args:
        at: the time that is written down, aware UTC; None: now.
        tell: told (what is being done, bytes done, bytes in all).
    Returns: the backup, with its `verified_at`.
    Raises:
        BadBackup: it is damaged; the sentence says how.
        StorageFull: there is no room to restore it to.
        Busy: another process works on the backups there.
    """
    with faults(folder.path), folder.locked():
        try:
            with folder.scratch(read_manifest(backup.path).database_bytes) as scratch:
                verify_file(backup.path, scratch, tell, called=str(backup.path))
        except BadBackup as error:
            folder.note(backup.name, at or datetime.now(UTC), error.detail)
            raise
        return folder.note(backup.name, at or datetime.now(UTC), None)


def verify_elsewhere(path: Path, tell: Tell = lambda *_: None) -> Backup:
    """The same for a file that lies anywhere; nothing is written beside it."""
    with tempfile.TemporaryDirectory(prefix="homedex-") as name, faults(path):
        verify_file(path, Path(name), tell, called=str(path))
        return Backup(path, path.stat().st_size, read_manifest(path), verified_at=None)


def verify_file(path: Path, scratch: Path, tell: Tell = lambda *_: None, *, called: str) -> Path:
    """The database that a backup holds, in a scratch folder, where it was found to be what the backup says.

    Checked are the SHA-256 of the file, `integrity_check`, `foreign_key_check`, the schema revision, and of every table how many
    rows it has, and their digest.

    Args:
        called: the backup, for error sentences.
    Raises:
        BadBackup: it is not.
    """
    restored = scratch / "restored.db"
    with restored.open("xb") as file:
        manifest = unpack(path, file, lambda done, total: tell("unpack", done, total))
    tell("check", 0, 0)
    with Checks(restored) as checks, closing(open_copy(restored)) as connection:
        reading, complaining = checks.contents(), checks.complaints()
        try:
            complaints = complaining()
            found = state_of(connection, reading) if not complaints else None
        except (apsw.CorruptError, apsw.NotADBError, apsw.SQLError, UnicodeDecodeError) as error:
            complaints, found = [str(error)], None
    if found is None:
        raise BadBackup(
            f"{called} holds a damaged database: {'; '.join(complaints[:MOST])}. If it was made just now, the database itself is "
            "damaged: PRAGMA integrity_check says where."
        )
    said = State(manifest.schema_revision, manifest.application_id, manifest.sequence, manifest.tables)
    for name, is_there, should_be in zip(State._fields, found, said, strict=True):
        if is_there != should_be:
            raise BadBackup(f"{called} is not what it says: {name} is {is_there}, and should be {should_be}.")
    return restored


# --- looking at a file that nobody else has ---


def state_of(connection: apsw.Connection, tables: Callable[[], dict[str, Contents]]) -> State:
    """What a database holds; `tables` gives the most of it."""
    return State(schema_revision(connection), int(connection.pragma("application_id")), _sequence(connection), tables())


def _sequence(connection: apsw.Connection) -> int:
    """The highest number that the one table that never gives a number twice has given out: `changes` of a registry."""
    if not connection.table_exists("main", "sqlite_sequence"):
        return 0
    return int(next(connection.execute("SELECT coalesce(max(seq), 0) FROM sqlite_sequence"))[0])


# --- making one ---


def _copy(source: str, copy: Path, shape: Shape) -> None:
    """A copy of one moment of the database, as a SQLite file for this user alone."""
    copy.touch(0o600)
    if is_postgresql(source):
        transfer(source, str(copy), as_it_is(source, copy, shape), moved=False)
        return
    with closing(open_connection(source, Options(read_only=True))) as here, closing(apsw.Connection(str(copy))) as there:
        found = here.pragma("application_id")
        if shape.application_id not in {0, found}:
            raise ForeignDatabase(f"{source} belongs to another program (application id {found:#x}), and was not backed up.")
        there.pragma("journal_mode", "off")  # a copy that is broken off is thrown away
        there.pragma("synchronous", "OFF")
        with there.backup("main", here, "main") as copying:
            copying.step(-1)


def _pack(copy: Path, backup: Path, manifest: Manifest, tell: Tell) -> Manifest:
    """Compress the copy while its tables are read; returns the manifest that stands in front of it."""
    with backup.open("xb") as file, copy.open("rb") as database, Checks(copy) as checks, closing(open_copy(copy)) as connection:
        os.fchmod(file.fileno(), 0o600)
        reading = checks.contents()
        room = room_for(len(own_tables(connection)))
        size, sha256 = pack(database, file, room, lambda done, total: tell("compress", done, total))
        found = state_of(connection, reading)
        manifest = replace(manifest, **found._asdict(), database_bytes=size, sha256=sha256)
        write_manifest(file, manifest, room)
        file.flush()
        os.fsync(file.fileno())
    return manifest


def _same(one: Manifest, other: Manifest) -> bool:
    """Whether two backups hold the same rows in the same schema. Their files may differ: pages move."""
    return (one.schema_revision, one.sequence, one.tables) == (other.schema_revision, other.sequence, other.tables)


def _made_at(backup: Backup) -> datetime:
    assert backup.manifest is not None  # noqa: S101  (`newest` gives those that can be read)
    return backup.manifest.made_at


def _engine(source: str) -> str:
    return "postgresql" if is_postgresql(source) else "sqlite"


def _size(source: str) -> int:
    """How large the database is, in bytes."""
    if is_postgresql(source):
        return look(source, lambda connection: int(next(run(connection, "SELECT pg_database_size(current_database())"))[0]))
    try:
        return Path(source).stat().st_size + _log_size(source)
    except OSError as error:
        raise StorageUnavailable(f"{source} cannot be backed up: {error.strerror}. Check DATABASE_URL.") from error


def _log_size(source: str) -> int:
    log = Path(f"{source}-wal")
    return log.stat().st_size if log.exists() else 0


@contextmanager
def faults(place: Path) -> Iterator[None]:
    """Say what the disk and SQLite report in our own words."""
    try:
        yield
    except HomedexError:
        raise
    except apsw.Error as error:
        known = storage_error(getattr(error, "extendedresult", apsw.SQLITE_ERROR), str(place))
        raise known or StorageUnavailable(f"{place}: {error}") from error
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
            raise StorageFull(f"no space is left in {place}. What was begun is undone; every backup is whole.") from error
        raise StorageUnavailable(f"{place}: {error.strerror or error}.") from error
