"""A damaged registry, as the person who runs it meets it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from homedex.storage.sqlite import open_connection
from service import Service, homedex

PAGE = 4096


@pytest.fixture(scope="module")
def template(migrated: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry with a few hundred devices, closed in order."""
    path = Path(shutil.copy(migrated, tmp_path_factory.mktemp("filled") / "registry.db"))
    with Service.start(path) as service:
        for batch in range(4):
            rows = [{"device_id": f"d{batch}-{number}", "name": f"Lamp {number}"} for number in range(100)]
            assert service.ask("POST", "/api/v1/devices/bulk", {"devices": rows})[0] == 200
    return path


@pytest.fixture
def filled(template: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copy(template, tmp_path / "registry.db"))


def blank_a_page(path: Path, table: str) -> None:
    """Put zeros into a page in the middle of a table, as a bad sector or a lost write would."""
    connection = open_connection(str(path))
    pages = [row[0] for row in connection.execute("SELECT pageno FROM dbstat WHERE name = ? AND pagetype = 'leaf'", (table,))]
    connection.close()
    with path.open("r+b") as file:
        file.seek((int(pages[len(pages) // 2]) - 1) * PAGE)
        file.write(bytes(PAGE))


def spoil_the_header(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"no longer SQLite")


def cut_in_half(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


@pytest.mark.parametrize("spoil", [spoil_the_header, cut_in_half])
def test_serve_says_in_one_line_that_the_file_is_damaged(filled: Path, spoil: Callable[[Path], None]) -> None:
    spoil(filled)
    before = filled.read_bytes()
    done = homedex("serve", path=filled, settings={"HOMEDEX_PORT": "0"})
    assert (done.returncode, done.stderr.count("\n"), done.stderr.startswith("Not a database: ")) == (8, 1, True), done.stderr
    assert filled.read_bytes() == before


def test_a_service_finds_damage_by_itself_serves_what_is_whole_and_writes_no_more(filled: Path) -> None:
    blank_a_page(filled, "changes")
    with Service.start(filled) as service:
        until = time.monotonic() + 10
        while service.ask("GET", "/readyz")[0] == 200:
            assert time.monotonic() < until, "the damage was not found"
        checks = service.ask("GET", "/readyz")[1]["checks"]
        assert (checks["read"], "is damaged" in checks["write"], "doctor --repair" in checks["write"]) == ("ok", True, True)
        assert service.ask("GET", "/api/v1/devices/d1-1")[0] == 200
        status, problem = service.ask("PUT", "/api/v1/devices/new", {"name": "new"})
        assert (status, problem["type"]) == (503, "/problems/not-a-database")
        assert service.ask("GET", "/api/v1/changes?limit=1000")[0] == 503
        assert service.ask("GET", "/api/v1/devices/new")[0] == 404
        service.stop()
    assert "is damaged" in service.log


def test_doctor_saves_what_can_be_saved_into_a_new_file_that_serves(filled: Path, tmp_path: Path) -> None:
    blank_a_page(filled, "devices")
    before, new = filled.read_bytes(), tmp_path / "new.db"
    done = homedex("doctor", "--repair", str(new), path=filled)
    assert (done.returncode, done.stderr) == (0, "")
    line = next(line for line in done.stdout.splitlines() if line.startswith("devices: "))
    saved, rebuilt, lost = (int(word) for word in line.replace(",", "").split() if word.isdigit())
    assert (saved + rebuilt, rebuilt > 0, lost) == (400, True, 0)
    assert f"{new} is whole" in done.stdout
    assert filled.read_bytes() == before
    with Service.start(new) as service:
        assert service.ask("GET", "/api/v1/devices?limit=1")[1]["total"] == 400
        assert service.ask("GET", "/api/v1/devices?limit=1&q=lamp")[1]["total"] == 400
    assert homedex("doctor", path=new).returncode == 0
    again = homedex("doctor", "--repair", str(new), path=filled)
    assert (again.returncode, again.stderr.count("\n"), "is there already" in again.stderr) == (5, 1, True)


def test_doctor_says_what_it_saved_as_json(filled: Path, tmp_path: Path) -> None:
    blank_a_page(filled, "changes")
    done = homedex("doctor", "--repair", str(tmp_path / "new.db"), "--json", path=filled)
    found = json.loads(done.stdout)
    lost = {table["table"]: table["lost"] for table in found["tables"] if table["lost"]}
    assert (list(lost), found["bad_pages"]) == (["changes"], 1)


def test_a_data_folder_that_is_removed_under_the_service_is_said_and_not_made_anew(filled: Path, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    path = Path(shutil.copy(filled, folder / "app.db"))
    with Service.start(path) as service:
        assert service.ask("PUT", "/api/v1/devices/before", {"name": "x"})[0] == 201
        shutil.rmtree(folder)
        status, problem = service.ask("PUT", "/api/v1/devices/after", {"name": "x"})
        assert (status, "removed or replaced" in problem["detail"]) == (503, True)
        status, ready = service.ask("GET", "/readyz")
        assert (status, ready["status"]) == (503, "not ready")
        assert "Nothing was written" in ready["checks"]["write"]
        assert service.ask("GET", "/api/v1/devices/after")[0] == 404
        assert service.stop() == 0
    assert not folder.exists()


needs_setpriv = pytest.mark.skipif(
    os.geteuid() == 0 and shutil.which("setpriv") is None, reason="root may write anywhere, and setpriv is not here"
)
UNPRIVILEGED = ["setpriv", "--inh-caps=-all", "--bounding-set=-all", "--no-new-privs"] if os.geteuid() == 0 else []


@needs_setpriv
def test_serve_says_in_one_line_that_it_may_not_read_the_file(filled: Path) -> None:
    filled.chmod(0)
    done = homedex("serve", path=filled, settings={"HOMEDEX_PORT": "0"}, prefix=UNPRIVILEGED)
    filled.chmod(0o644)
    assert (done.returncode, done.stderr.count("\n"), "this user may" in done.stderr) == (7, 1, True), done.stderr


ASK_READ_ONLY = """
import sys
from fastapi.testclient import TestClient
from homedex.api.app import create_app
from homedex.registry import schema

with TestClient(create_app(schema.open_registry(sys.argv[1]))) as client:
    print(client.get("/api/v1/devices/d1-1").status_code)
    print(client.put("/api/v1/devices/new", json={}).json()["type"])
    print(client.get("/readyz").json()["checks"]["write"])
"""


@needs_setpriv
def test_a_file_that_may_only_be_read_is_served_and_every_write_is_refused(filled: Path) -> None:
    filled.chmod(0o444)
    command = [*UNPRIVILEGED, sys.executable, "-c", ASK_READ_ONLY, str(filled)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    filled.chmod(0o644)
    read, written, ready = done.stdout.splitlines()
    assert (read, written) == ("200", "/problems/storage-unavailable")
    assert "Check that this user may write the file" in ready


@needs_setpriv
@pytest.mark.slow
def test_rights_that_are_taken_away_under_the_service_are_said_and_lose_nothing(tmp_path: Path) -> None:
    """A file that is open stays so; what must be opened or found anew is refused, and works again when the rights are back."""
    folder, acknowledged = tmp_path / "data", list[str]()
    folder.mkdir()
    path = folder / "app.db"

    def put(service: Service, device_id: str) -> tuple[int, str]:
        status, body = service.ask("PUT", f"/api/v1/devices/{device_id}", {"name": "x"})
        acknowledged.extend([device_id] * (status == 201))
        return status, body.get("detail", "")

    with Service.start(path, prefix=UNPRIVILEGED) as service:
        assert put(service, "before")[0] == 201
        for file in folder.iterdir():
            file.chmod(0o444)
        folder.chmod(0o555)
        assert put(service, "open-already")[0] == 201
        assert service.ask("POST", "/api/v1/backups")[0] == 503
        said = homedex("doctor", path=path, prefix=UNPRIVILEGED)
        assert (said.returncode, "this user may not read and write it" in said.stdout) == (21, True), said.stdout
        folder.chmod(0)
        status, detail = put(service, "shut-out")
        assert (status, "cannot be reached any more: Permission denied" in detail) == (503, True), detail
        assert service.ask("GET", "/api/v1/devices?limit=1")[1]["total"] == 2
        status, ready = service.ask("GET", "/readyz")
        assert (status, "cannot be reached" in ready["checks"]["write"]) == (503, True)
        said = homedex("doctor", path=path, prefix=UNPRIVILEGED)
        assert "cannot be reached: Permission denied" in said.stdout
        said = homedex("serve", path=path, prefix=UNPRIVILEGED, settings={"HOMEDEX_PORT": "0"})
        assert (said.returncode, said.stderr.count("\n"), "cannot be reached" in said.stderr) == (7, 1, True), said.stderr
        folder.chmod(0o700)
        assert put(service, "after")[0] == 201
        assert service.ask("GET", "/readyz")[0] == 200
        for file in folder.iterdir():
            file.chmod(0o600)
        service.stop(signal.SIGKILL)
    with Service.start(path, prefix=UNPRIVILEGED) as service:
        _, page = service.ask("GET", "/api/v1/devices?fields=device_id")
        assert {device["device_id"] for device in page["devices"]} == set(acknowledged)


def test_a_command_that_meets_damage_says_so_in_one_line(filled: Path) -> None:
    blank_a_page(filled, "changes")
    done = homedex("changes", path=filled)
    assert (done.returncode, done.stderr.count("\n"), "doctor --repair" in done.stderr) == (8, 1, True), done.stderr


def test_doctor_finds_damage_and_says_what_to_do(filled: Path) -> None:
    blank_a_page(filled, "changes")
    done = homedex("doctor", path=filled)
    assert (done.returncode, done.stderr, "doctor --repair" in done.stdout) == (21, "", True), done.stdout
