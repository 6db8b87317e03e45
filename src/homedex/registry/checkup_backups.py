"""What `homedex doctor` sees of the backups: that there are some, how old the newest is, and that it was restored."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from homedex.errors import HomedexError
from homedex.registry.backups import VERIFIED_EVERY, Backups
from homedex.registry.findings import Finding, judged
from homedex.storage.backup_folder import Backup

GRACE = timedelta(days=1)
"""How late a backup or a verification may be: the machine was off, or the service is about to."""

NOW = "Make one now with `homedex backup`"


def examine(backups: Backups, now: datetime) -> Iterator[Finding]:
    """Everything there is to see. Whether anything has changed since the newest is not asked."""
    try:
        found = backups.folder.all()
    except HomedexError as error:
        yield Finding("backups", error.detail, "error", error.advice)
        return
    bad = [one for one in found if one.problem is not None]
    if bad:
        names = ", ".join(one.name for one in bad[:3])
        advice = f"Remove what is of no use. {NOW}, and check the disk they lie on."
        yield Finding("damaged backups", f"{len(bad)} of {len(found)}: {names}", "error", advice)
    newest = next((one for one in found if one.problem is None and one.manifest is not None), None)
    if newest is None or newest.manifest is None:
        none = "none, and none are scheduled" if backups.every is None else f"none in {backups.folder.path}"
        advice = f"{NOW}; the running service makes one by itself."
        yield judged("backups", none, advice, fine=backups.every is None, level="warning")
        return
    yield _age(backups, newest, newest.manifest.made_at, now)
    yield _verified(newest, now)


def _age(backups: Backups, newest: Backup, made_at: datetime, now: datetime) -> Finding:
    age = now - made_at
    limit = None if backups.every is None else max(backups.every, GRACE) + GRACE
    return judged(
        "last backup",
        f"{made_at:%Y-%m-%d %H:%M} UTC, {newest.name}",
        f"{NOW}. If the registry has changed since, look in the log of the service why it made none.",
        fine=limit is None or age <= limit,
        level="warning",
    )


def _verified(newest: Backup, now: datetime) -> Finding:
    at = newest.verified_at
    return judged(
        "last verified",
        "never" if at is None else f"{at:%Y-%m-%d %H:%M} UTC",
        "Restore it to a scratch place and check it with `homedex backup verify`.",
        fine=at is not None and now - at <= VERIFIED_EVERY + GRACE,
        level="warning",
    )
