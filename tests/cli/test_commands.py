"""The commands, as a person types them: real processes, one line for an error, an exit code per kind."""

import csv
import io
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

import pytest

import released
from homedex.storage.sqlite import open_connection
from service import Service, environment, homedex

CAPTURES = Path(__file__).parent.parent / "data" / "ha_captures"
HOME = str(CAPTURES / "storage-2026.11")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "app.db"


@pytest.fixture
def filled(path: Path) -> Path:
    assert homedex("import", "home-assistant", HOME, path=path).returncode == 0
    return path


def contents(path: Path) -> list[object]:
    connection = open_connection(str(path))
    tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")]
    found = [(table, connection.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall()) for table in tables]
    connection.close()
    return list(found)


@pytest.mark.parametrize(("version", "devices", "entities"), [("2024.3", 52, 76), ("2025.4", 66, 166), ("2026.11", 80, 187)])
def test_an_import_brings_the_whole_home_and_then_changes_nothing(path: Path, version: str, devices: int, entities: int) -> None:
    folder = str(CAPTURES / f"storage-{version}")
    first = homedex("import", "home-assistant", folder, path=path)
    assert f"devices: {devices} create\nentities: {entities} create" in first.stdout
    before = contents(path)
    second = homedex("import", "home-assistant", folder, path=path)
    assert f"devices: {devices} unchanged\nentities: {entities} unchanged\nhome-assistant: nothing changed in" in second.stdout
    assert contents(path) == before


def test_a_dry_run_says_what_would_change_and_writes_nothing(path: Path) -> None:
    said = homedex("import", "home-assistant", HOME, "--dry-run", path=path)
    assert "home-assistant: would change" in said.stdout
    assert not path.parent.exists()


def test_a_plan_that_empties_the_home_is_held_until_it_is_allowed(filled: Path) -> None:
    before = contents(filled)
    older = str(CAPTURES / "storage-2025.4")
    held = homedex("import", "home-assistant", older, path=filled)
    assert (held.returncode, held.stderr.startswith("Plan held: 80 of 80 devices")) == (12, True)
    assert contents(filled) == before
    assert "would be held" in homedex("import", "home-assistant", older, "--dry-run", path=filled).stderr
    allowed = homedex("import", "home-assistant", older, "--allow-removals", path=filled)
    assert "devices: 66 create, 80 remove" in allowed.stdout


def test_two_homes_live_side_by_side(filled: Path) -> None:
    assert (
        homedex("import", "home-assistant", str(CAPTURES / "storage-2024.3"), "--source-id", "cabin", path=filled).returncode == 0
    )
    assert len(homedex("devices", "--source-id", "cabin", path=filled).stdout.splitlines()) == 52
    assert len(homedex("devices", path=filled).stdout.splitlines()) == 132


def test_lists_are_one_json_object_a_line_when_piped(filled: Path) -> None:
    lines = homedex("devices", "--manufacturer", "Tasmota", path=filled).stdout.splitlines()
    assert {json.loads(line)["manufacturer"] for line in lines} == {"Tasmota"}
    assert len(homedex("entities", "--domain", "light", "--domain", "switch", path=filled).stdout.splitlines()) > 5
    assert [json.loads(line)["area_id"] for line in homedex("areas", path=filled).stdout.splitlines()] == [
        "bedroom",
        "garden",
        "kitchen",
    ]


def test_csv_has_a_header_and_harmless_cells(filled: Path) -> None:
    connection = open_connection(str(filled))
    connection.execute("UPDATE devices SET name = '=1+1', name_by_user = NULL")
    connection.close()
    rows = list(csv.DictReader(io.StringIO(homedex("devices", "--csv", path=filled).stdout)))
    assert (len(rows), {row["name"] for row in rows}) == (80, {"'=1+1"})


def test_commands_work_while_the_service_runs(filled: Path) -> None:
    with Service.start(filled) as service:
        assert service.ask("GET", "/api/v1/devices")[1]["total"] == 80
        homedex("import", "home-assistant", str(CAPTURES / "storage-2024.3"), "--source-id", "cabin", path=filled)
        assert service.ask("GET", "/api/v1/devices")[1]["total"] == 132
        service.ask("PUT", "/api/v1/devices/boiler", {"name": "Boiler"})
        assert "boiler" in homedex("devices", "--source-id", "manual", path=filled).stdout
        assert homedex("doctor", path=filled).returncode == 0
        assert homedex("health", path=filled, settings={"HOMEDEX_PORT": str(service.port)}).returncode == 0


def test_sigterm_ends_the_service_in_order(path: Path) -> None:
    service = Service.start(path)
    service.ask("PUT", "/api/v1/devices/boiler", {"name": "Boiler"})
    assert service.stop(signal.SIGTERM) == 0
    assert [file.name for file in path.parent.iterdir()] == ["app.db"]


def test_an_empty_registry_says_at_start_how_to_fill_it(path: Path) -> None:
    service = Service.start(path)
    service.process.terminate()
    assert service.process.stderr is not None
    assert "homedex import home-assistant" in service.process.stderr.read()
    service.stop()


def test_version_and_help() -> None:
    assert homedex("version", path=Path("nowhere")).stdout.startswith("homedex 0.")
    assert homedex("--version", path=Path("nowhere")).stdout == homedex("version", path=Path("nowhere")).stdout
    assert "serve" in homedex("--help", path=Path("nowhere")).stdout


@pytest.mark.parametrize(
    ("arguments", "settings", "code", "said"),
    [
        (["devices"], {}, 7, "Storage unavailable: there is no registry at"),
        (["serve"], {"DATABASE_URL": "mysql://u@h/d"}, 2, "Bad setting: DATABASE_URL names mysql"),
        (["serve"], {"DATABASE_URL": "postgresql://u:secret@h.invalid/d"}, 7, "Storage unavailable: postgresql://u@h.invalid/d"),
        (["serve"], {"HOMEDEX_PORT": "http"}, 2, "Bad setting: HOMEDEX_PORT='http'"),
        (["serve"], {"HOMEDEX_SYNCHRONOUS": "OFF"}, 2, "Bad setting: HOMEDEX_SYNCHRONOUS='OFF'"),
        (["serve"], {"HOMEDEX_HOST": "0.0.0.0"}, 2, "Bad setting: HOMEDEX_HOST=0.0.0.0 can be reached by others"),
        (["serve"], {"HOMEDEX_HOST": "192.0.2.1", "HOMEDEX_INSECURE_BIND": "1"}, 2, "Bad setting: cannot listen on 192.0.2.1"),
        (["health"], {"HOMEDEX_PORT": "1"}, 10, "Source unreachable: http://127.0.0.1:1/readyz does not answer"),
        (["import", "home-assistant", "/nowhere"], {}, 3, "Bad source: "),
        (["import", "home-assistant", "x" * 300], {}, 3, "Bad source: "),
        (["import", "home-assistant", HOME, "--source-id", "manual"], {}, 2, "Invalid input: 'manual' cannot be the id"),
        (["import", "home-assistant", HOME, "--source-id", "a\nb"], {}, 2, "Invalid input: "),
        (["import", "home-assistant", HOME, "--source-id", ""], {}, 2, "Invalid input: "),
        (["serve"], {"DATABASE_URL": "http://[::1"}, 2, "Bad setting: DATABASE_URL is not"),
        (["devices"], {"DATABASE_URL": f"sqlite:///{'x' * 300}.db"}, 7, "Storage unavailable: "),
        (["serve"], {"DATABASE_URL": "sqlite:///./no/such/folder.db"}, 7, "Storage unavailable: the folder no/such cannot be made"),
        (["serve"], {"HOMEDEX_HOST": "a" * 300}, 2, "Bad setting: HOMEDEX_HOST="),
        (["health"], {"HOMEDEX_HOST": "a b"}, 10, "Source unreachable: "),
        (
            ["sync", "home-assistant", "--url", "http://x", "--token-file", "/dev/zero"],
            {},
            2,
            "Bad setting: --token-file /dev/zero",
        ),
        (["sync", "home-assistant", "--url", "http://x", "--token-file", "/nowhere"], {}, 2, "Bad setting: --token-file /nowhere"),
        (["sync", "home-assistant", "--url", "http://127.0.0.1:1", "--token-file", __file__], {}, 10, "Source unreachable: "),
    ],
)
def test_an_error_is_one_line_and_an_exit_code(
    path: Path, arguments: list[str], settings: dict[str, str], code: int, said: str
) -> None:
    done = homedex(*arguments, path=path, settings=settings)
    assert (done.returncode, done.stderr.count("\n"), done.stderr.startswith(said)) == (code, 1, True), done.stderr
    assert "secret" not in done.stderr


def test_output_that_cannot_be_written_is_said(filled: Path) -> None:
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "homedex", "devices"]
        done = subprocess.run(command, env=environment(filled), stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (7, "Output failed: No space left on device.\n")


def test_names_with_accents_are_printed_in_any_locale(filled: Path) -> None:
    said = homedex("entities", "--csv", path=filled, settings={"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"})
    assert (said.returncode, said.stderr) == (0, "")


@pytest.mark.parametrize("broken", ["core.config_entries", "core.area_registry"])
def test_a_link_that_leads_nowhere_is_a_broken_folder(path: Path, tmp_path: Path, broken: str) -> None:
    folder = Path(shutil.copytree(HOME, tmp_path / "copy"))
    (folder / broken).unlink()
    (folder / broken).symlink_to(folder / "gone")
    assert homedex("import", "home-assistant", str(folder), path=path).returncode == 3


def test_a_pipe_in_the_folder_does_not_hang_the_import(path: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(HOME, tmp_path / "copy"))
    (folder / "core.area_registry").unlink()
    os.mkfifo(folder / "core.area_registry")
    assert homedex("import", "home-assistant", str(folder), path=path).returncode == 3


def test_the_demo_serves_its_home_and_leaves_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "homedex", "demo"]
    variables = environment(tmp_path / "none.db", TMPDIR=str(tmp_path), HOMEDEX_PORT="0")
    process = subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(4)]
    base = lines[1].split("'")[1].partition("/api")[0]
    until = time.monotonic() + 20
    while time.monotonic() < until:
        try:
            with urllib.request.urlopen(f"{base}/api/v1/devices?limit=1", timeout=5) as answer:  # noqa: S310  (http)
                devices = json.load(answer)["total"]
            break
        except OSError:
            time.sleep(0.05)
    with urllib.request.urlopen(f"{base}/api/v1/entities?limit=1", timeout=5) as answer:  # noqa: S310  (http)
        entities = json.load(answer)["total"]
    process.send_signal(signal.SIGTERM)
    assert (process.wait(20), devices, entities) == (0, 240, 1400)
    process.stdout.close()
    assert os.listdir(tmp_path) == []  # noqa: PTH208


def test_a_taken_port_is_said(path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = homedex("serve", path=path, settings={"HOMEDEX_PORT": str(taken.getsockname()[1])})
    assert (done.returncode, "in use" in done.stderr, done.stderr.count("\n")) == (2, True, 1)


def test_a_file_that_is_no_registry_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("dear diary\n" * 1000)
    done = homedex("serve", path=path, settings={"HOMEDEX_PORT": "0"})
    assert (done.returncode, done.stderr.count("\n")) == (8, 1)
    assert path.read_text() == "dear diary\n" * 1000


def test_a_registry_of_a_newer_homedex_is_left_alone(filled: Path) -> None:
    connection = open_connection(str(filled))
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    before = contents(filled)
    for command in (["serve"], ["devices"], ["import", "home-assistant", HOME]):
        assert homedex(*command, path=filled, settings={"HOMEDEX_PORT": "0"}).returncode == 9
    assert contents(filled) == before


def test_a_full_disk_is_said_and_the_registry_is_as_it_was(filled: Path) -> None:
    before = contents(filled)

    def fill_the_disk() -> None:  # as far as one process can tell: no file may grow beyond this
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (filled.stat().st_size + 20_000,) * 2)

    older = str(CAPTURES / "storage-2025.4")
    done = homedex("import", "home-assistant", older, "--source-id", "cabin", path=filled, before_start=fill_the_disk)
    assert (done.returncode, done.stderr.count("\n")) == (7, 1), done.stderr
    assert contents(filled) == before


@pytest.mark.skipif(
    os.geteuid() == 0 and shutil.which("setpriv") is None, reason="root may write anywhere, and setpriv is not here"
)
def test_a_read_only_folder_is_said(filled: Path) -> None:
    filled.parent.chmod(0o555)
    filled.chmod(0o444)
    unprivileged = ["setpriv", "--inh-caps=-all", "--bounding-set=-all", "--no-new-privs"] if os.geteuid() == 0 else []
    done = homedex("import", "home-assistant", HOME, path=filled, prefix=unprivileged)
    filled.parent.chmod(0o755)
    assert (done.returncode, done.stderr.count("\n")) == (7, 1), done.stderr


def test_who_only_reads_or_tries_leaves_an_older_registry_as_it_is(path: Path, tmp_path: Path) -> None:
    path.parent.mkdir()
    released.load_file("0001", path)
    before = path.read_bytes()
    for words in (("devices",), ("export", str(tmp_path / "x")), ("import", "home-assistant", HOME, "--dry-run")):
        refused = homedex(*words, path=path)
        assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (7, "", 1)
        assert "Run `homedex migrate`" in refused.stderr
    assert path.read_bytes() == before
    assert not (path.parent / "backups").exists()


def test_a_new_registry_is_for_this_user_alone(path: Path) -> None:
    assert homedex("import", "home-assistant", HOME, path=path).returncode == 0
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_name_cannot_paint_over_a_terminal(path: Path, tmp_path: Path) -> None:
    home = tmp_path / ".storage"
    shutil.copytree(HOME, home)
    file = home / "core.device_registry"
    said = json.loads(file.read_text())
    said["data"]["devices"][0]["name"] = "\x1b[31m red \u202e\n"
    file.write_text(json.dumps(said))
    assert homedex("import", "home-assistant", str(home), path=path).returncode == 0
    table = homedex("devices", "--format", "table", "--fields", "name", path=path).stdout
    assert "\\x1b[31m red \\u202e\\n" in table
    assert "\x1b" not in table


def test_who_has_read_enough_may_go(path: Path) -> None:
    assert homedex("import", "home-assistant", HOME, path=path).returncode == 0
    command = [sys.executable, "-m", "homedex", "changes"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(path)) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert (process.wait(20), process.stderr.read()) == (0, b"")


def test_a_csv_of_nothing_has_its_header(path: Path) -> None:
    assert homedex("import", "home-assistant", HOME, path=path).returncode == 0
    nothing = homedex("devices", "--area-id", "nowhere", "--csv", "--fields", "name,model", path=path)
    assert nothing.stdout.splitlines() == ["name,model"]


def test_the_demo_takes_another_port_also_where_its_address_is_a_name(tmp_path: Path) -> None:
    with socket.socket() as taken:
        with suppress(OSError):  # somebody else may have it
            taken.bind(("127.0.0.1", 8000))
            taken.listen()
        command = [sys.executable, "-m", "homedex", "demo"]
        kept = environment(tmp_path / "none.db", HOMEDEX_HOST="localhost")
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=kept, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline().startswith("A made-up home")
            process.terminate()
