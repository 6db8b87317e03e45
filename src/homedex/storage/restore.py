"""A database made of a backup. At every moment the old database is whole in its place, or the new one is.

What is restored is unpacked, verified and brought to the newest schema beside the target, under another name. Then the target is
taken from everybody, gets a second name that keeps it, and its first name goes to the new file, in one step of the file system.
On a server one transaction moves the old tables into another schema, and makes the new ones.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import apsw
from sqlalchemy import Connection

from homedex.errors import BadBackup, Busy, Conflict, StorageFull, StorageUnavailable
from homedex.storage.backup import Tell, faults, verify_file
from homedex.storage.backup_file import Manifest, read_manifest
from homedex.storage.backup_folder import LEAST_FREE_BYTES, sync_folder
from homedex.storage.engine import create_engine
from homedex.storage.migrate import refuse_newer, upgrade
from homedex.storage.sqlite import Options, busy_handler, open_connection
from homedex.storage.transfer import Shape, transfer
from homedex.storage.urls import is_postgresql

UNFINISHED = ".restoring-"
WAIT_S = 1.0
"""How long to wait for a process that is about to let go of the database."""

FIRST_LOCK_BYTE, LOCK_BYTES = 0x40000000, 512
"""Where SQLite locks a file: every connection that has read one in WAL mode holds some of these bytes.

Source: https://sqlite.org/src/file/src/os.h, PENDING_BYTE and what follows it.
"""


class Restored(NamedTuple):
    """What a restore did.

    Attributes:
        manifest: what the backup said.
        schema: the revision the database is at now.
        aside: where the database that was there before is now; None if there was none.
        aside_schema: on a server, the schema where what was there before is now.
    """

    manifest: Manifest
    schema: str
    aside: Path | None
    aside_schema: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it: what the backup said, and where things are now."""
        aside = None if self.aside is None else str(self.aside)
        return self.manifest.as_dict() | {"schema": self.schema, "aside": aside, "aside_schema": self.aside_schema}


def restore(  # noqa: PLR0913  (each is said by who asks for it)
    backup: Path,
    target: str,
    shape: Shape,
    *,
    at: datetime | None = None,
    replace: bool = False,
    tell: Tell = lambda *_: None,
) -> Restored:
    """Make a database of a backup, verified before anything is touched, and bring it to the newest schema. Blocks.

    Args:
        backup: the file.
        target: the path of a SQLite file, or a `postgresql://…` URL.
        shape: of the database.
        at: now, aware UTC; part of the name that a database that was there gets. None: what the clock says.
        replace: the target may be there already, or not be empty; nobody may have it open then. What was there is kept beside it.
        tell: told (what is being done, bytes or rows done, bytes or rows in all).
    Raises:
        BadBackup: it is damaged, or of another program.
        DatabaseTooNew: its schema is of a newer program.
        Conflict: the target is there, or is not empty.
        Busy: another process has the target open.
        StorageFull, StorageUnavailable: there is no room, or the place cannot be written. Nothing was changed.
    """
    at = at or datetime.now(UTC)
    with faults(backup.parent):
        manifest = read_manifest(backup)
    if shape.application_id not in {0, manifest.application_id}:
        raise BadBackup(f"{backup} is a backup of another program (application id {manifest.application_id:#x}).")
    refuse_newer(str(backup), manifest.schema_revision, shape.scripts)
    if is_postgresql(target):
        return _into_server(backup, target, shape, manifest, f"before_restore_{at:%Y_%m_%d_%H_%M_%S}" if replace else None, tell)
    place = Path(target).resolve()
    if not replace and place.exists():
        raise Conflict(f"{target} is there already. Name a file that is not, or restore in place with the service stopped.")
    with faults(place.parent), _beside(place, manifest.database_bytes) as folder:
        restored = verify_file(backup, folder, tell, called=str(backup))
        schema = _brought_up(restored, manifest, shape)
        _settle(restored)
        tell("replace", 0, 0)
        if not place.exists():
            _move_journals(place, _aside(place, at))
            _give(restored, place)
            return Restored(manifest, schema, None)
        return Restored(manifest, schema, _replace(restored, place, at))


def _into_server(  # noqa: PLR0913  (as above)
    backup: Path, url: str, shape: Shape, manifest: Manifest, aside: str | None, tell: Tell
) -> Restored:
    """Into an empty database, or, where what is there goes into the schema `aside`, in its place."""
    moved = False

    def make_way(connection: Connection) -> None:
        from homedex.storage.set_aside import make_way as move  # noqa: PLC0415  (asyncpg is an extra)

        nonlocal moved
        moved = move(connection, url, shape.scripts, str(aside))

    with tempfile.TemporaryDirectory(prefix="homedex-") as name, faults(Path(name)):
        restored = verify_file(backup, Path(name), tell, called=str(backup))
        _, schema = upgrade(str(restored), shape.scripts, application_id=shape.application_id)
        transfer(str(restored), url, shape, tell, make_way=None if aside is None else make_way)
    return Restored(manifest, schema, None, aside if moved else None)


def _brought_up(restored: Path, manifest: Manifest, shape: Shape) -> str:
    """Have the newest schema in a file, and what follows from its rows; the schema's revision."""
    _, schema = upgrade(str(restored), shape.scripts, application_id=shape.application_id)
    if manifest.engine == "postgresql":  # see `older`
        engine = create_engine(str(restored), Options())
        try:
            with engine.begin() as connection:
                shape.finish(connection)
        finally:
            engine.dispose()
    return schema


@contextmanager
def _beside(place: Path, database_bytes: int) -> Iterator[Path]:
    """A folder on the target's own disk, for this user alone; what a restore that was killed left there is removed first."""
    if not place.parent.is_dir():
        raise StorageUnavailable(f"the folder {place.parent} does not exist. Make it first.")
    with _only_restore_in(place.parent):
        for left in place.parent.glob(f"{UNFINISHED}*"):
            shutil.rmtree(left, ignore_errors=True)
        for left in place.parent.glob(f"{place.name}.before-restore-*"):
            if place.exists() and left.samefile(place):  # a second name of the same file: it was killed before it took the first
                left.unlink()
        need = 2 * database_bytes + LEAST_FREE_BYTES  # an upgrade may write every page anew
        free = shutil.disk_usage(place.parent).free
        if free < need:
            room = f"{place.parent} has {free:,} bytes free, and {need:,} are needed"
            raise StorageFull(f"{room}. Free some space. Nothing was changed.")
        with tempfile.TemporaryDirectory(prefix=UNFINISHED, dir=place.parent, ignore_cleanup_errors=True) as folder:
            yield Path(folder)


@contextmanager
def _only_restore_in(folder: Path) -> Iterator[None]:
    """A block in which no other process restores into a folder: it would take this one's unfinished files for leftovers."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Busy(f"another process restores into {folder}. Try again when it is done. Nothing was changed.") from None
        except OSError:  # some file systems of a network lock no folders
            pass
        yield
    finally:
        os.close(opened)


def _settle(restored: Path) -> None:
    """Have all of a database in its one file, and that on the disk."""
    with closing(open_connection(str(restored))) as connection:
        connection.pragma("journal_mode", "delete")
        connection.pragma("journal_mode", "wal")  # as it will be used; the log is empty, and goes when this is closed
    with restored.open("r+b") as file:
        os.fsync(file.fileno())


def _give(restored: Path, place: Path) -> None:
    """Give the new file its name, which no file has; it is for this user alone, as the backup is."""
    restored.chmod(0o600)
    try:
        os.link(restored, place)
    except FileExistsError:
        raise Conflict(f"{place} was made by somebody else meanwhile. It was left alone.") from None
    except OSError:  # a file system without links
        restored.rename(place)
    sync_folder(place.parent)


def _aside(place: Path, at: datetime) -> Path:
    return place.with_name(f"{place.name}.before-restore-{at:%Y-%m-%dT%H-%M-%SZ}")


def _move_journals(place: Path, aside: Path) -> None:
    """Take away what is left beside a database that is gone or unreadable: SQLite would write it into the new one."""
    for suffix in ("-wal", "-shm", "-journal"):
        journal = Path(f"{place}{suffix}")
        if journal.exists():
            journal.rename(f"{aside}{suffix}")


def _replace(restored: Path, place: Path, at: datetime) -> Path:
    aside = _aside(place, at)
    there = place.stat()
    restored.chmod(there.st_mode & 0o777)
    with suppress(PermissionError):
        os.chown(restored, there.st_uid, there.st_gid)
    taken = Conflict(f"{aside} is there already. Try again in a second.")
    with _alone(place) as whole, ExitStack() as opened:
        try:
            os.link(place, aside)
        except FileExistsError:
            raise taken from None
        except OSError:  # a file system without links
            if aside.exists():
                raise taken from None
            _copy(opened.enter_context(place.open("rb")), restored.with_name("aside"), aside)
        if not whole:
            _move_journals(place, aside)
        sync_folder(place.parent)
        restored.replace(place)
        sync_folder(place.parent)
    return aside


def _copy(old: BinaryIO, unfinished: Path, aside: Path) -> None:
    """Keep a copy of the old database. Its file stays open: the system takes SQLite's locks from a process that closes it."""
    need, free = os.fstat(old.fileno()).st_size + LEAST_FREE_BYTES, shutil.disk_usage(unfinished.parent).free
    if free < need:
        room = f"{aside.parent} has {free:,} bytes free, and {need:,} are needed to keep a copy of what is there"
        raise StorageFull(f"{room}: its file system knows no hard links. Free some space. Nothing was changed.")
    with unfinished.open("xb") as copy:
        shutil.copyfileobj(old, copy, 1 << 20)
        there = os.fstat(old.fileno())
        os.fchmod(copy.fileno(), there.st_mode & 0o777)
        with suppress(PermissionError):
            os.fchown(copy.fileno(), there.st_uid, there.st_gid)
        os.fsync(copy.fileno())
    unfinished.rename(aside)


@contextmanager
def _alone(place: Path) -> Iterator[bool]:
    """A block in which no other process can use a database; whether all of it is in its one file now.

    SQLite's own locks decide. A database that SQLite cannot read is locked the way SQLite would.

    Raises:
        Busy: another process has it open.
    """
    with closing(apsw.Connection(str(place), flags=apsw.SQLITE_OPEN_READWRITE)) as connection:
        connection.set_busy_handler(busy_handler(WAIT_S))
        try:
            connection.pragma("locking_mode", "exclusive")
            connection.pragma("journal_mode", "delete")
            connection.execute("BEGIN EXCLUSIVE")
        except apsw.BusyError:
            raise _in_use(place) from None
        except (apsw.NotADBError, apsw.CorruptError, apsw.IOError, apsw.ReadOnlyError):
            whole = False
        else:
            whole = True
            yield whole
    if not whole:
        with place.open("r+b") as file:
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, LOCK_BYTES, FIRST_LOCK_BYTE)
            except OSError:
                raise _in_use(place) from None
            yield whole


def _in_use(place: Path) -> Busy:
    return Busy(f"another process has {place} open. Stop the service, and restore again. Nothing was changed.")
