"""What doctor says of backups: real ones, in every state they can be in."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from homedex.registry.backups import Backups, create_here
from homedex.registry.checkup_backups import examine

pytestmark = pytest.mark.sqlite


@pytest.fixture
def backups(registry_file: Path) -> Backups:
    return Backups(str(registry_file), None, every=timedelta(days=1))


def levels(backups: Backups, **later: int) -> dict[str, str]:
    return {one.what: one.level for one in examine(backups, datetime.now(UTC) + timedelta(**later))}


def test_what_doctor_says_of_backups(backups: Backups) -> None:
    assert levels(backups) == {"backups": "warning"}
    made, _ = create_here(backups, lambda: datetime.now(UTC), "command", verified=False)
    assert levels(backups) == {"last backup": "ok", "last verified": "warning"}
    made.path.unlink()
    made, _ = create_here(backups, lambda: datetime.now(UTC), "command")
    assert levels(backups) == {"last backup": "ok", "last verified": "ok"}
    assert levels(backups, days=3) == {"last backup": "warning", "last verified": "ok"}
    assert levels(backups, days=9) == {"last backup": "warning", "last verified": "warning"}
    backups.every = None
    assert levels(Backups(backups.target, backups.folder.path / "none")) == {"backups": "ok"}
    assert levels(backups, days=3)["last backup"] == "ok"


def test_a_damaged_backup_and_a_folder_that_cannot_be_read_are_errors(backups: Backups) -> None:
    made, _ = create_here(backups, lambda: datetime.now(UTC), "command")
    made.path.write_text("nothing of ours")
    assert levels(backups) == {"damaged backups": "error", "backups": "warning"}
    made.path.unlink()
    folder = backups.folder.path
    for left in folder.iterdir():
        left.unlink()
    folder.rmdir()
    folder.write_text("no folder")
    assert levels(backups) == {"backups": "error"}
