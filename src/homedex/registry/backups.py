"""The backups of one registry: made by a process of their own while the service runs, on a schedule, and pruned."""

import asyncio
import hashlib
import json
import logging
import os
import re
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO

from sqlalchemy import make_url

from homedex.errors import BadSetting, Busy, HomedexError, StorageUnavailable, read
from homedex.registry import schema
from homedex.storage.backup_folder import Backup, BackupFolder, Keep
from homedex.storage.database import Database
from homedex.storage.notice import Notice
from homedex.storage.urls import is_postgresql

log = logging.getLogger(__name__)

PROGRAM, USUAL = "homedex", "app"
NAMED = {"hourly": timedelta(hours=1), "daily": timedelta(days=1), "weekly": timedelta(weeks=1)}
UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
VERIFIED_EVERY = timedelta(weeks=1)
LONGEST_WAIT = timedelta(minutes=1)
"""How long the schedule sleeps at most: a clock that was set, or a machine that slept, is noticed then."""

MOST_RESTORED = 2
"""How many restored databases a process may have on their way to clients; each takes the disk what the registry does."""

AGAIN_AFTER = timedelta(minutes=10)
"""How long to wait after a backup that failed."""


class Backups:
    """The backups of one registry, in one folder.

    Args:
        target: the path of its file, or its server's URL.
        folder: where they lie; None: `backups` beside the file, `data/backups` for a server.
        every: how old the newest may get before `run` makes another; None: never.
        keep: which ones `run` leaves.
    """

    def __init__(self, target: str, folder: Path | None, *, every: timedelta | None = None, keep: Keep | None = None) -> None:
        beside = Path("data") if is_postgresql(target) else Path(target).parent
        self.target, self.every = target, every
        self.folder = BackupFolder(folder or beside / "backups", name_of(target))
        self.keep = keep or Keep(1, {"d": 7, "w": 4, "m": 12})
        self.trouble_said = Notice()
        """Why the last scheduled backup was not made; None when it was."""
        self._working = False
        self._restored: list[BinaryIO] = []

    async def create(self, reason: str, *, unless_newer_than: timedelta | None = None) -> dict[str, Any]:
        """A verified backup, or the one there is when nothing has changed: `Backup.as_dict()` and `new`.

        It is made by a process of its own that leaves the processor to others, so that requests are not kept waiting.

        Raises:
            HomedexError: what `storage.backup.create` raises.
        """
        limit = [] if unless_newer_than is None else ["--unless-newer-than", f"{unless_newer_than.total_seconds():.0f}"]
        return await self._apart("create", "--reason", reason, *limit)

    async def verify(self, name: str) -> dict[str, Any]:
        """One backup, restored to a scratch place and checked, by a process of its own: `Backup.as_dict()`.

        Raises:
            HomedexError: what `storage.backup.verify` raises.
        """
        return await self._apart("verify", self.folder.get(name).name)

    async def restore(self, name: str) -> BinaryIO:
        """The database that one backup holds, checked and at the newest schema, by a process of its own.

        Returns: a SQLite file, open for reading, that has no name any more: when it is closed it is gone.
        Raises:
            Busy: so many are open already that the disk could be filled.
            HomedexError: what `storage.restore.restore` raises.
        """
        found = self.folder.get(name)
        self._restored = [file for file in self._restored if not file.closed]
        if len(self._restored) >= MOST_RESTORED:
            raise Busy(f"{MOST_RESTORED} restored databases are being downloaded already. Try again when one is done.")
        with ExitStack() as held:
            await asyncio.to_thread(held.enter_context, self.folder.locked())
            place = await asyncio.to_thread(held.enter_context, self.folder.scratch(0)) / "restored.db"
            await self._apart("restore", found.name, "--to", str(place))
            file = place.open("rb")
            self._restored.append(file)
            return file

    async def _apart(self, *arguments: str) -> dict[str, Any]:
        if self._working:  # each is a process, and the folder takes one at a time
            raise Busy(f"a backup in {self.folder.path} is being made or checked already. Try again when it is done.")
        self._working = True
        try:
            return await self._run_apart(arguments)
        finally:
            self._working = False

    async def _run_apart(self, arguments: tuple[str, ...]) -> dict[str, Any]:
        url = self.target if is_postgresql(self.target) else f"sqlite:///{self.target}"
        process = subprocess.Popen(  # noqa: ASYNC220, S603  (2 ms; our own program)
            [sys.executable, "-m", "homedex", "backup", arguments[0], "--json", "--gently", *arguments[1:]],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=os.environ | {"DATABASE_URL": url, "HOMEDEX_BACKUP_DIR": str(self.folder.path)},
        )
        try:
            said, complaint = await asyncio.to_thread(process.communicate)
        except asyncio.CancelledError:  # the service stops: what is unfinished is removed by the next backup
            process.terminate()
            raise
        if process.returncode == 0:
            answer: dict[str, Any] = json.loads(said)
            return answer
        raise read(complaint.decode(errors="replace")) or StorageUnavailable(
            f"the process that makes backups ended with {process.returncode}, and said nothing. Nothing was changed."
        )

    def remove(self, name: str) -> None:
        """Remove one backup; raises NotFound."""
        self.folder.get(name)
        with self.folder.locked():
            self.folder.remove(name)

    def state(self) -> dict[str, Any]:
        """How safe the registry is, in short: times as texts, None where there is nothing to say."""
        newest = self.folder.newest()
        said = {} if newest is None else newest.as_dict()
        return {
            "made_at": said.get("made_at"),
            "verified_at": said.get("verified_at"),
            "problem": said.get("problem"),
            "trouble": self.trouble,
        }

    @property
    def trouble(self) -> str | None:
        """Why the last one that was due could not be made, until one can; whichever of the service's processes found it."""
        return self.trouble_said.get()

    # --- the schedule ---

    async def run(self, database: Database, clock: Callable[[], datetime]) -> None:
        """Back up whenever it is time, prune afterwards, and verify the newest again every week; until cancelled.

        As long as `database` stands at the revision of the last backup, none is made. Several services may do this with one
        registry: who is first makes it, the others see it.
        """
        if self.every is None:
            return
        seen, retry_at = "", None
        while True:
            await asyncio.sleep(min(self.every, LONGEST_WAIT).total_seconds() / 4)
            try:
                if retry_at is None or clock() >= retry_at:
                    seen = await self._once(database, clock, self.every, seen)
                    retry_at = None
                    self.trouble_said.set(None)
            except Busy:  # somebody asked for one just now
                continue
            except (HomedexError, OSError) as error:
                retry_at = clock() + min(AGAIN_AFTER, self.every)
                self.trouble_said.set(str(error))
                log.error("backups: %s", error)  # noqa: TRY400  (a sentence for people; the trace says nothing more)

    async def _once(self, database: Database, clock: Callable[[], datetime], every: timedelta, seen: str) -> str:
        """Do what it is time for; returns the revision that is safe now."""
        now = clock()
        newest = await asyncio.to_thread(self.folder.newest, not_after=now)
        if is_due(newest, now, every):
            revision = database.revision
            if newest is None or newest.problem is not None or revision != seen:
                made = await self.create("schedule", unless_newer_than=every)
                if made["new"]:
                    log.info("backed up into %s, %s bytes, verified", made["name"], f"{made['size_bytes']:,}")
                    await asyncio.to_thread(self.folder.prune, self.keep, now=clock())
                return revision
        if newest is not None and (newest.verified_at is None or now - newest.verified_at > VERIFIED_EVERY):
            await self.verify(newest.name)
        return seen


def name_of(target: str) -> str:
    """What the names of a registry's backups begin with, so that others may have theirs in the same folder.

    It is `homedex` for `app.db`, `homedex-` and its name for another file, or its server's name and its own for one on a server.
    """
    if is_postgresql(target):
        url = make_url(target)
        said = "-".join(str(part) for part in ("server", url.host, url.port, url.database) if part)
    else:
        said = Path(target).name.removesuffix(".db")
    slug = re.sub("[^a-z0-9]+", "-", said.lower()).strip("-")
    if slug != said:  # two names may be alike in small letters
        slug = f"{slug[:40]}-{hashlib.blake2s(said.encode(errors='surrogateescape'), digest_size=3).hexdigest()}".lstrip("-")
    return PROGRAM if slug == USUAL else f"{PROGRAM}-{slug}"


def is_due(newest: Backup | None, now: datetime, every: timedelta) -> bool:
    """Whether it is time for another."""
    if newest is None or newest.manifest is None or newest.problem is not None:
        return True
    return now - newest.manifest.made_at >= every


def interval(said: str) -> timedelta | None:
    """How often `HOMEDEX_BACKUP_SCHEDULE` asks for a backup: `hourly`, `daily`, `weekly`, `15m`, `6h`, `2d`; None for `off`.

    Raises:
        BadSetting: it is something else.
    """
    if said == "off":
        return None
    found = re.fullmatch(r"([1-9]\d{0,3})([mhdw])", said)
    every = NAMED.get(said) or (int(found[1]) * UNITS[found[2]] if found is not None else None)
    if every is None:
        raise BadSetting(f"HOMEDEX_BACKUP_SCHEDULE={said!r} is no interval. Write daily, hourly, weekly, 15m, 6h, 2d or off.")
    return every


def create_here(backups: Backups, clock: Callable[[], datetime], reason: str, **how: Any) -> tuple[Backup, bool]:
    """A backup made by this process; see `storage.backup.create` for the rest."""
    from homedex.storage.backup import create  # noqa: PLC0415  (the service makes none by itself)

    return create(backups.target, backups.folder, schema.shape(), clock=clock, reason=reason, **how)
