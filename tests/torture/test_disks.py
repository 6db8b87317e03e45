"""Real file systems that are full or become read-only under the real service and the real commands; mounted by root alone."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from pathlib import Path

import pytest

import released
from disks import NotMounted, ext4, mounted
from homedex.registry import schema
from homedex.storage.migrate import schema_revision
from homedex.storage.sqlite import open_connection
from power_cuts import CANNOT
from servers import Server
from service import Service, homedex

pytestmark = pytest.mark.slow

DOCTOR_ERROR, STORAGE = 21, 7
"""Exit codes."""


@contextmanager
def disk(folder: Path, *arguments: str) -> Iterator[Path]:
    """`mounted`; where it may not be, the test is skipped."""
    try:
        with mounted(folder, *arguments):
            yield folder
    except NotMounted as error:
        pytest.skip(f"a disk of its own can only be mounted as root: {error}")


def small_disk(folder: Path, megabytes: int) -> AbstractContextManager[Path]:
    """A file system of this size."""
    return disk(folder, "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs")


def fill(folder: Path, *, but_bytes: int) -> Path:
    """A file that takes all the room there is but so much."""
    ballast = folder / "ballast"
    found = subprocess.run(["df", "--output=avail", "-B1", folder], capture_output=True, text=True, check=True)  # noqa: S607
    ballast.write_bytes(bytes(int(found.stdout.split()[-1]) - but_bytes))
    return ballast


def revision(path: Path) -> str | None:
    with closing(open_connection(str(path))) as connection:
        return schema_revision(connection)


def test_a_service_on_a_full_disk_says_507_reads_on_and_writes_again_when_there_is_space(tmp_path: Path) -> None:
    with small_disk(tmp_path / "small", 32) as folder:
        (folder / "ballast").write_bytes(bytes(28_000_000))
        with Service.start(folder / "app.db") as service:
            acknowledged, status = list[str](), 201
            while status == 201:
                device_id = f"d{len(acknowledged)}"
                status, body = service.ask("PUT", f"/api/v1/devices/{device_id}", {"name": "x", "note": "n" * 1000})
                acknowledged += [device_id] * (status == 201)
            assert (status, body["type"]) == (507, "/problems/storage-full")
            assert service.ask("GET", f"/api/v1/devices/{acknowledged[-1]}")[0] == 200
            assert service.ask("GET", "/readyz")[0] == 503
            (folder / "ballast").unlink()
            assert service.ask("PUT", "/api/v1/devices/after", {"name": "after"})[0] == 201
            assert service.ask("GET", "/readyz")[0] == 200
            service.stop(signal.SIGKILL)
        with Service.start(folder / "app.db") as service:
            _, page = service.ask("GET", "/api/v1/devices?fields=device_id&limit=1000")
            assert {device["device_id"] for device in page["devices"]} == {*acknowledged, "after"}


def test_a_server_whose_disk_is_full_is_507_and_written_again_when_there_is_space(postgresql: Server, tmp_path: Path) -> None:
    """The disk of its tables; a server that finds no room for its log stops, as it does for other reasons."""
    with tempfile.TemporaryDirectory() as parent, ExitStack() as after:
        Path(parent).chmod(0o755)
        folder = after.enter_context(small_disk(Path(parent) / "small", 48))
        (folder / "tables").mkdir()
        shutil.chown(folder / "tables", postgresql.folder.owner(), postgresql.folder.group())
        postgresql.execute(f"CREATE TABLESPACE small LOCATION '{folder / 'tables'}'")
        after.callback(postgresql.execute, "DROP TABLESPACE small")
        postgresql.execute("CREATE DATABASE crowded TABLESPACE small")
        after.callback(postgresql.execute, "DROP DATABASE crowded WITH (FORCE)")
        settings = {"DATABASE_URL": postgresql.url("crowded")}
        with Service.start(tmp_path, **settings) as service:
            ballast = fill(folder, but_bytes=512 * 1024)
            acknowledged, status = list[str](), 201
            while status == 201:
                device_id = f"d{len(acknowledged)}"
                status, body = service.ask("PUT", f"/api/v1/devices/{device_id}", {"name": "x", "note": "n" * 1000})
                acknowledged += [device_id] * (status == 201)
            assert (status, body["type"]) == (507, "/problems/storage-full"), body
            assert "Nothing was written" in body["detail"]
            assert service.ask("GET", f"/api/v1/devices/{acknowledged[-1]}")[0] == 200
            ballast.unlink()
            assert service.ask("PUT", "/api/v1/devices/after", {"name": "after"})[0] == 201
            assert service.ask("GET", "/readyz")[0] == 200
            service.stop(signal.SIGKILL)
        with Service.start(tmp_path, **settings) as service:
            _, page = service.ask("GET", "/api/v1/devices?fields=device_id&limit=1000")
            assert {device["device_id"] for device in page["devices"]} == {*acknowledged, "after"}


def test_a_disk_of_backups_that_is_full_is_507_and_leaves_the_registry_alone(tmp_path: Path) -> None:
    with (
        small_disk(tmp_path / "small", 8) as folder,
        Service.start(tmp_path / "app.db", HOMEDEX_BACKUP_DIR=str(folder)) as service,
    ):
        assert service.ask("PUT", "/api/v1/devices/boiler", {"name": "Boiler"})[0] == 201
        status, body = service.ask("POST", "/api/v1/backups")
        assert (status, body["type"]) == (507, "/problems/storage-full")
        assert "bytes free" in body["detail"]
        assert service.ask("GET", "/api/v1/backups")[1]["backups"] == []
        assert service.ask("PUT", "/api/v1/devices/boiler", {"name": "Heater"})[0] == 200
        assert service.ask("GET", "/readyz")[0] == 200


def test_a_migration_on_a_full_disk_leaves_the_old_schema_and_goes_through_when_there_is_room(tmp_path: Path) -> None:
    with small_disk(tmp_path / "small", 16) as folder:
        path, settings = folder / "app.db", {"HOMEDEX_BACKUP_DIR": str(tmp_path / "backups")}
        released.load_file("0001", path)
        ballast = fill(folder, but_bytes=64 * 1024)
        said = homedex("migrate", path=path, settings=settings)
        assert (said.returncode, said.stderr.count("\n")) == (STORAGE, 1), said.stderr
        assert "no space is left" in said.stderr
        ballast.unlink()
        assert revision(path) == "0001"
        said = homedex("migrate", path=path, settings=settings)
        assert said.returncode == 0, said.stderr
        assert revision(path) == schema.head()


@pytest.fixture
def failing_disk(tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    """A file system of its own, and the file that makes it find an error: the kernel then takes no more writes to it."""
    try:
        image = ext4(tmp_path / "image", 64 << 20)
    except NotMounted as error:
        pytest.skip(str(error))
    with disk(tmp_path / "disk", "-o", "loop,errors=remount-ro", str(image)) as folder:
        mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
        device = next(words[0] for words in mounts if words[1] == str(folder))
        yield folder, Path("/sys/fs/ext4") / Path(device).name / "trigger_fs_error"


def test_a_file_system_that_becomes_read_only_is_said_and_read_on_and_loses_nothing(failing_disk: tuple[Path, Path]) -> None:
    folder, fail = failing_disk
    path = folder / "app.db"
    with Service.start(path) as service:
        written = [service.ask("PUT", f"/api/v1/devices/d{number}", {"name": "x"})[0] for number in range(20)]
        assert written == [201] * 20
        fail.write_text("1")
        for _ in range(2):
            status, body = service.ask("PUT", "/api/v1/devices/late", {"name": "x"})
            assert (status, body["type"]) == (503, "/problems/storage-unavailable")
        assert service.ask("GET", "/api/v1/devices/d19")[0] == 200
        assert service.ask("GET", "/api/v1/devices/late")[0] == 404
        status, body = service.ask("GET", "/readyz")
        assert (status, body["checks"]["disk"]) == (503, "the file system takes no writes: look for the disk in the system's log")
        said = homedex("doctor", path=path)
        assert said.returncode == DOCTOR_ERROR
        assert "on a file system that nobody may write" in said.stdout
        assert "Mount it for writing" in said.stdout
        said = homedex("backup", path=path)
        assert (said.returncode, said.stderr.count("\n")) == (STORAGE, 1)
        assert "Read-only file system" in said.stderr
        assert service.stop() == 0
    subprocess.run(["umount", folder], check=True)  # noqa: S607
    subprocess.run(["mount", "-o", "loop", folder.with_name("image"), folder], check=True)  # noqa: S607
    with Service.start(path) as service:
        assert service.ask("GET", "/api/v1/devices?limit=1")[1]["total"] == 20
        assert service.ask("PUT", "/api/v1/devices/late", {"name": "x"})[0] == 201
        assert service.ask("GET", "/readyz")[0] == 200


def test_power_cuts_at_every_step_leave_the_old_or_the_new_one_and_all_that_was_acknowledged() -> None:
    script = Path(__file__).parents[1] / "power_cuts.py"
    ended = subprocess.run(
        [sys.executable, "-W", "error", str(script)],
        env={**os.environ, "PYTHONPATH": str(script.parent)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if ended.stderr.startswith(CANNOT):
        pytest.skip(ended.stderr)
    assert (ended.returncode, ended.stderr) == (0, "")
    cuts = [int(line.rpartition(": ")[2]) for line in ended.stdout.splitlines()]
    assert len(cuts) == 6
    assert min(cuts) >= 4, ended.stdout
