"""The folder that backups lie in: their names, who may write there, when each was verified, and which are kept how long."""

import fcntl
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from homedex.errors import BadBackup, BadSetting, Busy, NotFound, StorageFull, StorageUnavailable
from homedex.storage.backup_file import Manifest, read_manifest, written

PROGRAM = re.compile(r"[a-z][a-z0-9-]*")
WHEN = r"-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ(-\d+)?\.db\.zst"
NAME = re.compile(PROGRAM.pattern + WHEN)
SUFFIX = ".db.zst"
UNFINISHED = ".unfinished-"
LOCK, VERIFIED = ".lock", ".verified.json"
KEYS = tuple(one.name for one in fields(Manifest))
LEAST_FREE_BYTES = 16 * 1024 * 1024
PERIODS: dict[str, Callable[[datetime], Any]] = {
    "h": lambda at: (at.date(), at.hour),
    "d": lambda at: at.date(),
    "w": lambda at: at.isocalendar()[:2],
    "m": lambda at: (at.year, at.month),
}


@dataclass(frozen=True, slots=True)
class Backup:
    """One backup in a folder.

    Attributes:
        path: its file.
        size_bytes: of the file.
        manifest: what it holds; None where the file is damaged or no backup.
        verified_at: when it was last restored to a scratch place and found right, aware UTC; None: never since it was made.
        problem: what is wrong with it, as far as is known.
    """

    path: Path
    size_bytes: int
    manifest: Manifest | None
    verified_at: datetime | None = None
    problem: str | None = None

    @property
    def name(self) -> str:
        """The name of its file."""
        return self.path.name

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it: the manifest's keys beside the file's."""
        said = dict.fromkeys(KEYS) if self.manifest is None else self.manifest.as_dict()
        verified_at = None if self.verified_at is None else written(self.verified_at)
        return {"name": self.name, "size_bytes": self.size_bytes, "verified_at": verified_at, "problem": self.problem} | said


class BackupFolder:
    """A folder of backups; made, for this user alone, when the first is written, and the one that it lies in with it.

    Several databases may have theirs in one folder, each under a `program` of its own: listed, compared and pruned are this one's.

    Args:
        path: the folder.
        program: what the names of the files begin with: small letters, digits, hyphens.
    Raises:
        BadSetting: `program` is something else.
    """

    def __init__(self, path: Path | str, program: str = "backup") -> None:
        if not PROGRAM.fullmatch(program):
            raise BadSetting(f"the names of backups cannot begin with {program!r}: only with a-z, then a-z, 0-9 and hyphens.")
        self.path, self.program = Path(path), program
        self._own = re.compile(re.escape(program) + WHEN)

    # --- what is there ---

    def all(self) -> list[Backup]:
        """Every backup, newest first. Reads the front of each file, 4 KiB."""
        verified = self._verified()
        return [self._look(self.path / name, verified.get(name)) for name in self._names()]

    def newest(self, *, not_after: datetime | None = None) -> Backup | None:
        """The newest backup that can be read at all.

        Args:
            not_after: and that is not of the future: such a one was made before the clock was set back.
        """
        verified = self._verified()
        for name in self._names():
            backup = self._look(self.path / name, verified.get(name))
            if backup.manifest is not None and (not_after is None or backup.manifest.made_at <= not_after):
                return backup
        return None

    def get(self, name: str) -> Backup:
        """A backup by its name, also one of another database: who names it means it.

        Raises:
            NotFound: there is none of that name.
        """
        if not NAME.fullmatch(name) or not (self.path / name).is_file():
            there = ", ".join(self._names()[:3])
            raise NotFound(f"there is no backup {name!r} in {self.path}." + (f" The newest there: {there}." if there else ""))
        return self._look(self.path / name, self._verified().get(name))

    def _names(self) -> list[str]:
        try:
            names = [name for name in os.listdir(self.path) if self._own.fullmatch(name)]  # noqa: PTH208  (names are what is wanted)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise _refused(self.path, error) from error
        return sorted(names, key=_time_of, reverse=True)

    def _look(self, path: Path, verified: dict[str, Any] | None) -> Backup:
        at, problem, manifest, size = None, None, None, 0
        try:
            size = path.stat().st_size
            manifest = read_manifest(path)
            if verified is not None and verified.get("sha256") == manifest.sha256:
                at, problem = _time(verified.get("at")), verified.get("problem")
        except BadBackup as error:
            problem = error.detail
        except OSError as error:
            problem = error.strerror
        return Backup(path, size, manifest, None if problem else at, problem)

    # --- what is written ---

    @contextmanager
    def locked(self, *, wait: bool = False) -> Iterator[None]:
        """A block in which no other process writes here. What one that was killed left unfinished is removed first.

        Args:
            wait: until the other one is done; otherwise `Busy` is raised at once.
        """
        try:
            for folder in (self.path.parent, self.path):  # a registry on a server has no folder beside it yet
                folder.mkdir(mode=0o700, exist_ok=True)
            lock = os.open(self.path / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise _refused(self.path, error) from error
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                raise Busy(f"another process works on the backups in {self.path}. Try again when it is done.") from None
            for left in self.path.glob(f"{UNFINISHED}*"):
                shutil.rmtree(left, ignore_errors=True)
            yield
        finally:
            os.close(lock)

    @contextmanager
    def scratch(self, need_bytes: int) -> Iterator[Path]:
        """A folder in this one for what is unfinished, for this user alone; gone after the block. To be used under the lock.

        Raises:
            StorageFull: the disk has less room than `need_bytes`.
        """
        free = shutil.disk_usage(self.path).free
        if free < need_bytes + LEAST_FREE_BYTES:
            raise StorageFull(
                f"{self.path} has {free:,} bytes free, and {need_bytes + LEAST_FREE_BYTES:,} are needed. "
                "Free some space, or keep the backups on another disk. No backup was touched."
            )
        with tempfile.TemporaryDirectory(prefix=UNFINISHED, dir=self.path, ignore_cleanup_errors=True) as folder:
            yield Path(folder)

    def keep(self, finished: Path, at: datetime) -> Path:
        """Give a file that is complete and on the disk its name, which no other file has; the name is on the disk then, too."""
        stem = f"{self.program}-{at:%Y-%m-%dT%H-%M-%SZ}"
        for number in range(1000):
            path = self.path / (f"{stem}-{number}{SUFFIX}" if number else f"{stem}{SUFFIX}")
            with suppress(FileExistsError):
                _give_name(finished, path)
                return path
        raise StorageUnavailable(f"{self.path} has a thousand backups of the same second.")

    def remove(self, name: str) -> None:
        """Remove a backup, under the lock; raises NotFound."""
        self.get(name).path.unlink()
        verified = self._verified()
        if verified.pop(name, None) is not None:
            self._write_verified(verified)

    def note(self, name: str, at: datetime, problem: str | None) -> Backup:
        """Write down how the verification of a backup ended."""
        backup = self._look(self.path / name, None)
        if backup.manifest is None:  # what is wrong can be seen without
            return backup
        record = {"at": written(at), "sha256": backup.manifest.sha256} | ({"problem": problem} if problem else {})
        self._write_verified(
            {name: kept for name, kept in self._verified().items() if (self.path / name).exists()} | {name: record}
        )
        return self._look(backup.path, record)

    def _verified(self) -> dict[str, Any]:
        try:
            found = json.loads((self.path / VERIFIED).read_bytes())
        except (OSError, ValueError):  # then all count as never verified, and are verified again
            return {}
        return {name: one for name, one in found.items() if isinstance(one, dict)} if isinstance(found, dict) else {}

    def _write_verified(self, verified: dict[str, Any]) -> None:
        unfinished = self.path / f"{VERIFIED}.unfinished"
        unfinished.write_text(json.dumps(verified, indent=1))
        unfinished.chmod(0o600)
        unfinished.replace(self.path / VERIFIED)

    # --- how long they are kept ---

    def prune(self, keep: "Keep", *, now: datetime | None = None, dry_run: bool = False) -> list[str]:
        """Remove the backups that nothing asks to be kept; their names, newest first. `dry_run` removes none.

        Raises:
            Busy: another process works on the backups here.
        """
        if not self.path.exists():
            return []
        with self.locked():
            names = [backup.name for backup in self.superfluous(keep, now=now)]
            for name in [] if dry_run else names:
                self.remove(name)
        return names

    def superfluous(self, keep: "Keep", *, now: datetime | None = None) -> list[Backup]:
        """Those that nothing asks to be kept. The newest is, and the newest verified one.

        Not judged, and so neither removed nor counted in place of a good one, is what cannot be read, what was found damaged, and
        what is of the future: made before the clock was set back.

        Args:
            now: aware UTC; None: what the clock says.
        """
        now = now or datetime.now(UTC)
        judged, times = [], []
        for backup in self.all():
            if backup.manifest is not None and backup.problem is None and backup.manifest.made_at <= now:
                judged.append(backup)
                times.append(backup.manifest.made_at)
        verified = next((place for place, backup in enumerate(judged) if backup.verified_at is not None), 0)
        kept = keep.kept(times) | {0, verified}
        return [backup for place, backup in enumerate(judged) if place not in kept]


@dataclass(frozen=True, slots=True)
class Keep:
    """How many backups are kept: of the last so many hours, days, weeks and months that have any, the newest of each.

    Args:
        newest: and so many of the newest, whenever they were made.
        periods: letter -> how many of them: h, d, w and m.
    """

    newest: int
    periods: dict[str, int]

    @staticmethod
    def parse(said: str) -> "Keep":
        """Read `7d 4w 12m`, `10 24h 7d`: a number alone is of the newest.

        Raises:
            BadSetting: it is something else.
        """
        newest, periods = 1, {}
        for word in said.replace(",", " ").split():
            found = re.fullmatch(r"(\d{1,6})([hdwm]?)", word)
            if found is None:
                raise BadSetting(f"{word!r} does not say how many backups to keep. Write 7d 4w 12m, or 10 for the newest ten.")
            if found[2]:
                periods[found[2]] = int(found[1])
            else:
                newest = int(found[1])
        return Keep(newest, periods)

    def kept(self, times: Iterable[datetime]) -> set[int]:
        """The places in a list, newest first, of those that are kept."""
        times = list(times)
        kept = set(range(min(self.newest, len(times))))
        for letter, count in self.periods.items():
            first: dict[Any, int] = {}
            for place, at in enumerate(times):
                first.setdefault(PERIODS[letter](at), place)
            kept |= set(list(first.values())[:count])
        return kept


def sync_folder(folder: Path) -> None:
    """Have the names in a folder on the disk."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _give_name(finished: Path, path: Path) -> None:
    try:
        os.link(finished, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without links; nobody else writes here under the lock
        if path.exists():
            raise FileExistsError from None
        finished.rename(path)
    sync_folder(path.parent)


def _time_of(name: str) -> tuple[str, int]:
    time, _, number = name.removesuffix(SUFFIX).rpartition("Z")
    return time[-19:], int(number[1:] or 0)


def _time(said: Any) -> datetime | None:
    """A time that was written here; None where somebody else has written something else."""
    try:
        return datetime.fromisoformat(said).astimezone(UTC)
    except (TypeError, ValueError):
        return None


def _refused(folder: Path, error: OSError) -> StorageUnavailable:
    return StorageUnavailable(f"the backups in {folder} cannot be used: {error.strerror}. Name a folder that this user may write.")
