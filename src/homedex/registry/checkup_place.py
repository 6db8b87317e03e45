"""What `homedex doctor` sees of a file's surroundings without opening it: rights, disk, file system, log."""

import errno
import os
import pwd
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import apsw

from homedex.errors import UnsafeLibrary
from homedex.registry.findings import Finding, judged
from homedex.storage.sqlite import JOURNAL_LIMIT_BYTES, Options, check_library, open_connection, wal_bytes

LEAST_FREE_BYTES = 16 * 1024 * 1024
UNFIT = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "glusterfs", "gfs2", "lustre", "ocfs2", "virtiofs", "vboxsf"}
"""File systems whose locks or memory maps SQLite cannot trust, because another machine may hold the file, too.

Source: https://sqlite.org/useovernet.html, https://sqlite.org/wal.html (all processes must be on the same host)
"""
MOUNTS = Path("/proc/self/mounts")


def library() -> Iterator[Finding]:
    """Which SQLite this is, and whether it is one that can be trusted."""
    found = f"{apsw.sqlite_lib_version()} (apsw {apsw.apsw_version()})"
    try:
        check_library()
    except UnsafeLibrary as error:
        yield Finding("SQLite", found, "error", error.detail)
    else:
        yield Finding("SQLite", found)


def examine(file: Path) -> Iterator[Finding]:
    """Everything there is to see, as far as the file is there."""
    advice = "Set DATABASE_URL to the registry's file, or make one with `homedex serve`."
    try:
        found = os.stat(file)  # noqa: PTH116  (pathlib raises for a name that is too long)
    except OSError as error:
        yield Finding("file", f"{file}: {error.strerror}", "error", advice)
        return
    if not stat.S_ISREG(found.st_mode):
        yield Finding("file", f"{file} is no file", "error", advice)
        return
    yield Finding("file", f"{file.resolve()}, {found.st_size:,} bytes")
    yield rights(file, found)
    yield from disk(file, found.st_size)
    yield file_system(file)
    yield write_ahead_log(file)


def rights(file: Path, found: os.stat_result) -> Finding:
    """Who may read and write it. Others count as far as they can come to it through its folders."""
    shown = f"{_owner(found.st_uid)}, mode {stat.S_IMODE(found.st_mode):04o}"
    if is_read_only(file.absolute().parent):
        advice = "Mount it for writing. If the system itself has made it so, look in its log (dmesg): the disk may be failing."
        return Finding("rights", f"{shown}, on a file system that nobody may write", "error", advice)
    if not os.access(file, os.R_OK | os.W_OK):
        advice = f"Run this as {_owner(found.st_uid)}, or let this user read and write the file."
        return Finding("rights", f"{shown}: this user may not read and write it", "error", advice)
    if not os.access(file.absolute().parent, os.W_OK | os.X_OK):
        advice = f"Let this user write in {file.absolute().parent}: the log is kept beside the file."
        return Finding("rights", f"{shown}, in a folder that this user may not write", "error", advice)
    reachable = all(folder.stat().st_mode & stat.S_IXOTH for folder in file.resolve().parents)
    if reachable and found.st_mode & stat.S_IWOTH:
        return Finding("rights", f"{shown}: every user here may change it", "error", f"chmod o= {file}*")
    if reachable and found.st_mode & stat.S_IROTH:
        return Finding("rights", f"{shown}: every user here may read it", "warning", f"chmod o= {file}*")
    return Finding("rights", shown)


def is_read_only(folder: Path) -> bool:
    """Whether a folder's file system takes no writes from anybody, as after an error of its disk.

    Only a try tells: the flags of the mount may say nothing of it. The file that is tried has no name, and is gone at once.
    """
    try:
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        return error.errno == errno.EROFS
    return False


def _owner(number: int) -> str:
    with suppress(KeyError):
        return pwd.getpwuid(number).pw_name
    return f"user {number}"


def disk(file: Path, size_bytes: int) -> Iterator[Finding]:
    """How much room there is, for the service and for a copy: upgrades, backups and VACUUM need as much as the file has."""
    free = shutil.disk_usage(file.absolute().parent).free
    advice = f"Make room on the disk of {file.absolute().parent}: "
    if free < LEAST_FREE_BYTES:
        yield Finding("free space", f"{free:,} bytes", "error", advice + "writes will soon be refused.")
        return
    wanted = size_bytes + wal_bytes(str(file))
    copied = "an upgrade, a backup and VACUUM need as much as the file has."
    yield judged("free space", f"{free:,} bytes", advice + copied, fine=free >= wanted, level="warning")


def file_system(file: Path) -> Finding:
    """The kind of file system that the file is on, where the system says it."""
    try:
        kind = kind_at(file.resolve(), MOUNTS.read_text(encoding="utf-8", errors="surrogateescape"))
    except OSError:
        return Finding("file system", "not known on this system")
    unfit = kind in UNFIT or kind.startswith("fuse")
    advice = "Put the file on a local disk: over a network SQLite's locks may not hold, and two writers can destroy it."
    return judged("file system", kind, advice, fine=not unfit, level="warning")


def kind_at(file: Path, mounts: str) -> str:
    """The type of the mount that holds a path, from the text of /proc/mounts; the last one that fits covers the others."""
    best, kind = -1, "unknown"
    for line in mounts.splitlines():
        _, place, found, *_ = line.split(" ")
        mounted = Path(place.encode().decode("unicode_escape"))  # a blank is written \040
        if (file == mounted or mounted in file.parents) and len(mounted.parts) >= best:
            best, kind = len(mounted.parts), found
    return kind


def write_ahead_log(file: Path) -> Finding:
    """How large the log is; one over its limit is written back here, as a service would, and it is said what came of it.

    No other check changes a file that is there, and this one writes nothing that was not acknowledged long ago.
    """
    size = wal_bytes(str(file))
    if size <= JOURNAL_LIMIT_BYTES:
        return Finding("write-ahead log", f"{size:,} bytes")
    try:
        connection = open_connection(str(file), Options(busy_timeout_s=1.0))
        try:
            in_log, written = connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        finally:
            connection.close()
    except Exception as error:  # noqa: BLE001  (whatever it is, the looks inside say it better)
        return Finding(
            "write-ahead log", f"{size:,} bytes, and cannot be written back: {error}", "warning", "See the other findings."
        )
    if written < in_log:
        found = f"{size:,} bytes; {in_log - written:,} of {in_log:,} pages cannot be written back"
        return Finding("write-ahead log", found, "warning", f"A reader holds on to it: end what has the file open (lsof {file}).")
    return Finding(
        "write-ahead log",
        f"{size:,} bytes, all of it written back now",
        "warning",
        "It is cut at the next start or stop of `homedex serve`. If it grows again, look for a process that reads for minutes.",
    )
