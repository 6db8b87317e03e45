"""A disk that fails on purpose: a SQLite VFS over the real one, which is the default while its block lasts.

It raises a chosen error at a chosen call, and it remembers every write, so that a test can ask what a power cut at any moment
would have left on the disk. SQLite's shared memory does not pass through a Python VFS (apsw hands it to the real one): faults of
it are made one level lower, in the system calls of the real VFS.
"""

import contextlib
import ctypes
import errno
import fcntl
import os
import random
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import apsw

Kind = Literal["open", "read", "write", "sync", "truncate", "delete", "lock", "size", "mmap", "fcntl"]
CHANGES: tuple[Kind, ...] = ("write", "sync", "truncate", "delete")
KILL = -9
"""In the place of an error: the process is killed."""

FAULTS: tuple[tuple[Kind, int], ...] = (
    ("write", apsw.SQLITE_IOERR_WRITE),
    ("write", apsw.SQLITE_FULL),
    ("write", apsw.SQLITE_READONLY),
    ("sync", apsw.SQLITE_IOERR_FSYNC),
    ("sync", apsw.SQLITE_FULL),
    ("read", apsw.SQLITE_IOERR_READ),
    ("truncate", apsw.SQLITE_IOERR_TRUNCATE),
    ("size", apsw.SQLITE_IOERR_FSTAT),
    ("lock", apsw.SQLITE_IOERR_LOCK),
    ("open", apsw.SQLITE_CANTOPEN),
    ("delete", apsw.SQLITE_IOERR_DELETE),
)
SHARED_FAULTS: tuple[tuple[Kind, int], ...] = (("mmap", errno.ENOMEM), ("fcntl", errno.EIO))
"""Of the shared memory, which cannot be mapped, or whose locks cannot be taken; the system's codes."""

SECTOR = 512
SHM_LOCKS = range(120, 129)
"""Where in a -shm file its locks are (os_unix.c: UNIX_SHM_BASE, UNIX_SHM_DMS)."""


@dataclass
class Fault:
    """An error that is raised by the n-th call of a kind from now on.

    Args:
        kinds: which calls are counted.
        code: SQLite's, primary or extended, or the system's, or KILL.
        lasting: every later call fails, too, until it is taken away.
        share: of a write that fails, which part of its bytes reaches the file all the same.
        only: the end of the file's name, such as "-wal".
    """

    kinds: tuple[Kind, ...]
    code: int
    at: int = 1
    lasting: bool = False
    share: float = 0.0
    only: str = ""
    raised: int = 0

    def is_due(self, kind: Kind, name: str) -> bool:
        """Count a call; whether it must fail."""
        if kind not in self.kinds or not name.endswith(self.only):
            return False
        self.at -= 1
        due = self.at == 0 or (self.at < 0 and self.lasting)
        self.raised += due
        return due


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that was done to a file."""

    action: Literal["write", "truncate", "sync", "delete"]
    name: str
    offset: int = 0
    data: bytes = b""


@dataclass
class Disk:
    """What becomes of the calls, and what they were."""

    fault: Fault | None = None
    recording: bool = False
    steps: list[Step] = field(default_factory=list)
    marks: list[list[int]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def meet(self, kind: Kind, name: str, data: bytes = b"", write: Callable[[bytes], None] | None = None) -> None:
        """Raise what is due; of a write that fails, the share that gets through is written first."""
        fault = self.due(kind, name)
        if fault is not None:
            if write is not None and fault.share:
                write(data[: int(len(data) * fault.share)])
            if fault.code == KILL:
                os.kill(os.getpid(), signal.SIGKILL)
            raise apsw.exception_for(fault.code)

    def due(self, kind: Kind, name: str = "") -> Fault | None:
        """The fault that a call meets."""
        with self._lock:
            return self.fault if self.fault is not None and self.fault.is_due(kind, name) else None

    def record(self, step: Step) -> None:
        """Remember a step."""
        if self.recording:
            with self._lock:
                self.steps.append(step)

    def mark(self) -> list[int]:
        """How many steps there were by now, in a list, because more may be found to have been before."""
        with self._lock:
            self.marks.append([len(self.steps)])
            return self.marks[-1]

    def sync_beside(self, name: str, sync: Callable[[], None]) -> None:
        """Sync a file by another way than SQLite's: on the disk is then what was written before this began."""
        began = self.mark()
        sync()
        with self._lock:
            if self.recording:
                (at,) = began
                self.steps.insert(at, Step("sync", name))
                for mark in self.marks:
                    mark[0] += mark[0] > at

    def after_a_cut(self, at: int, files: dict[str, bytes], dice: random.Random) -> dict[str, bytes]:
        """The files after the power went at a step: what was synced, and by chance some of what was not.

        A write that was not synced is there whole, or not at all, or in some of its sectors; later ones may be there without it.

        Args:
            files: name -> content when the recording began.
        """
        left: dict[str, bytearray | None] = {name: bytearray(content) for name, content in files.items()}
        steps = self.steps[:at]
        synced = {step.name: place for place, step in enumerate(steps) if step.action == "sync"}
        for place, step in enumerate(steps):
            durable = place < synced.get(step.name, -1)
            content = left.get(step.name)
            if step.action == "delete":
                if dice.random() < 0.5:
                    left[step.name] = None
            elif step.action == "truncate":
                if content is not None and (durable or dice.random() < 0.5):
                    del content[step.offset :]
            elif step.action == "write":
                for offset, data in _surviving(step, dice, durable=durable):
                    if content is None:
                        content = left[step.name] = bytearray()
                    content.extend(bytes(max(0, offset + len(data) - len(content))))
                    content[offset : offset + len(data)] = data
        return {name: bytes(content) for name, content in left.items() if content is not None}


def _surviving(step: Step, dice: random.Random, *, durable: bool) -> Iterator[tuple[int, bytes]]:
    fate = 0.0 if durable else dice.random()
    if fate < 0.4:
        yield step.offset, step.data
    elif fate < 0.7:
        start = step.offset
        while start < step.offset + len(step.data):
            end = min((start // SECTOR + 1) * SECTOR, step.offset + len(step.data))
            if dice.random() < 0.5:
                yield start, step.data[start - step.offset : end - step.offset]
            start = end


class _File(apsw.VFSFile):
    def __init__(self, disk: Disk, name: Any, flags: list[int]) -> None:
        self.disk = disk
        self.name = (name.filename() if isinstance(name, apsw.URIFilename) else name) or ""
        disk.meet("open", self.name)
        super().__init__("unix", name, flags)
        self._read_only = bool(flags[0] & apsw.SQLITE_OPEN_READONLY)

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802  (SQLite's names)
        self.disk.meet("read", self.name)
        return super().xRead(amount, offset)

    def xWrite(self, data: Any, offset: int) -> None:  # noqa: N802
        whole = bytes(data)
        self.disk.meet("write", self.name, whole, lambda part: super(_File, self).xWrite(part, offset))
        super().xWrite(whole, offset)
        self.disk.record(Step("write", self.name, offset, whole))

    def xSync(self, flags: int) -> None:  # noqa: N802
        self.disk.meet("sync", self.name)
        super().xSync(flags)
        self.disk.record(Step("sync", self.name))

    def xTruncate(self, newsize: int) -> None:  # noqa: N802
        self.disk.meet("truncate", self.name)
        super().xTruncate(newsize)
        self.disk.record(Step("truncate", self.name, newsize))

    def xFileSize(self) -> int:  # noqa: N802
        self.disk.meet("size", self.name)
        return super().xFileSize()

    def xLock(self, level: int) -> None:  # noqa: N802
        if level != apsw.SQLITE_LOCK_EXCLUSIVE:  # tried when the last one closes, and SQLite passes over what goes wrong
            self.disk.meet("lock", self.name)
        try:
            super().xLock(level)
        except apsw.IOError as error:
            if not self._read_only:
                raise
            raise apsw.BusyError from error  # SQLite tries it at every close, and apsw raises what SQLite passes over


class _Vfs(apsw.VFS):
    def __init__(self, disk: Disk) -> None:
        self.disk = disk
        super().__init__("faulty", "unix", makedefault=True)

    def xOpen(self, name: Any, flags: list[int]) -> _File:  # noqa: N802
        return _File(self.disk, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802
        self.disk.meet("delete", filename)
        super().xDelete(filename, syncdir)
        self.disk.record(Step("delete", filename))


@contextlib.contextmanager
def faulty_disk() -> Iterator[Disk]:
    """A disk under every connection that is opened in the block; all must be closed in it."""
    disk = Disk()
    vfs = _Vfs(disk)
    try:
        yield disk
    finally:
        vfs.unregister()


def content(path: Path) -> bytes:
    """A file that may be open in this process, read through SQLite: closing it otherwise would drop SQLite's locks."""
    flags = [apsw.SQLITE_OPEN_MAIN_DB | apsw.SQLITE_OPEN_READONLY, 0]
    file = apsw.VFSFile("unix", str(path), flags)
    try:
        size = file.xFileSize()
        return file.xRead(size, 0) if size else b""
    finally:
        file.xClose()


@contextlib.contextmanager
def faulty_shared_memory(disk: Disk) -> Iterator[None]:
    """In the block SQLite's shared memory meets the disk's faults, too."""
    vfs = apsw.VFS("real", "unix")
    try:
        with _instead(vfs, disk, "mmap"), _instead(vfs, disk, "fcntl"):
            yield
    finally:
        vfs.unregister()


@contextlib.contextmanager
def _instead(vfs: apsw.VFS, disk: Disk, call: Literal["mmap", "fcntl"]) -> Iterator[None]:
    address = vfs.xGetSystemCall(call)
    assert address is not None
    types = {
        "mmap": (ctypes.c_void_p, *(ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_int64)),
        "fcntl": (ctypes.c_int, *(ctypes.c_int, ctypes.c_int, ctypes.c_void_p)),
    }[call]
    kind = ctypes.CFUNCTYPE(*types, use_errno=True)
    real = kind(address)

    def instead(*arguments: Any) -> Any:
        ours = call == "mmap" or (arguments[1] == fcntl.F_SETLK and _is_shared(arguments[2]))
        fault = disk.due(call) if ours else None
        if fault is None:
            return real(*arguments)
        ctypes.set_errno(fault.code)
        return ctypes.c_void_p(-1).value if call == "mmap" else -1

    callback = kind(instead)
    vfs.xSetSystemCall(call, ctypes.cast(callback, ctypes.c_void_p).value or 0)
    try:
        yield
    finally:
        vfs.xSetSystemCall(call, address)


def _is_shared(lock: int) -> bool:
    """Whether a `struct flock` of 64-bit Linux takes a lock of the shared memory, which is not asked when one is given back."""
    kind, start = ctypes.c_int16.from_address(lock).value, ctypes.c_int64.from_address(lock + 8).value
    return start in SHM_LOCKS and kind != fcntl.F_UNLCK
