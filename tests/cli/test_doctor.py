"""`homedex doctor`, as a person or a monitor runs it: real processes."""

import json
import os
import shutil
from pathlib import Path

import pytest

import released
from homedex.registry import schema
from homedex.storage.sqlite import open_connection
from service import Service, homedex


@pytest.fixture
def path(tmp_path: Path) -> Path:
    released.load_file(schema.head(), tmp_path / "app.db")
    return tmp_path / "app.db"


def test_all_is_well_on_aligned_lines_and_as_json(path: Path) -> None:
    said = homedex("doctor", path=path)
    assert (said.returncode, said.stderr) == (0, "")
    lines = said.stdout.splitlines()
    assert {line.split()[0] for line in lines} == {"ok"}
    place = lines[0].index("all have a meaning")
    assert all(line[place - 2 : place] == "  " and line[place] != " " for line in lines)
    answer = json.loads(homedex("doctor", "--json", path=path).stdout)
    assert answer["level"] == "ok"
    assert {frozenset(finding) for finding in answer["findings"]} == {frozenset({"what", "found", "level", "advice"})}


def test_a_warning_and_an_error_have_exit_codes_of_their_own_and_say_what_to_do(path: Path) -> None:
    connection = open_connection(str(path))
    connection.execute("UPDATE devices SET modified_at = '2999-01-01T00:00:00.000000Z' WHERE number = 1")
    warned = homedex("doctor", path=path)
    assert (warned.returncode, warned.stderr) == (20, "")
    lines = warned.stdout.splitlines()
    (place,) = (place for place, line in enumerate(lines) if line.startswith("warning  clock"))
    assert lines[place + 1].strip().startswith("-> The clock of this machine")
    connection.execute("DELETE FROM device_search WHERE rowid = 1")
    connection.close()
    failed = homedex("doctor", "--json", path=path)
    assert (failed.returncode, json.loads(failed.stdout)["level"]) == (21, "error")


@pytest.mark.slow
def test_it_looks_while_the_service_runs(path: Path) -> None:
    with Service.start(path) as service:
        assert service.ask("PUT", "/api/v1/devices/new", {"name": "New"})[0] == 201
        said = homedex("doctor", path=path)
    assert said.returncode == 0, said.stdout
    assert "14 devices" in said.stdout


def test_a_registry_that_is_not_there_is_a_finding(tmp_path: Path) -> None:
    said = homedex("doctor", path=tmp_path / "none" / "app.db")
    assert (said.returncode, "error    file" in said.stdout, said.stderr) == (21, True, "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("settings", "code", "said"),
    [
        ({"HOMEDEX_PORT": "http"}, 21, "error    settings"),
        ({"DATABASE_URL": "mysql://me:secret@host/d"}, 2, ""),
    ],
)
def test_a_setting_without_meaning_is_one_line(path: Path, settings: dict[str, str], code: int, said: str) -> None:
    done = homedex("doctor", path=path, settings=settings)
    assert (done.returncode, said in done.stdout, done.stderr.count("\n")) == (code, True, 0 if said else 1)
    assert "secret" not in done.stdout + done.stderr


@pytest.mark.skipif(
    os.geteuid() == 0 and shutil.which("setpriv") is None, reason="root may write anywhere, and setpriv is not here"
)
@pytest.mark.parametrize(("mode", "folder", "said"), [(0o400, 0o700, "may not read and write it"), (0o600, 0o500, "in a folder")])
def test_what_this_user_may_not_do_is_said_and_the_rest_is_looked_at(path: Path, mode: int, folder: int, said: str) -> None:
    path.chmod(mode)
    path.parent.chmod(folder)
    unprivileged = ["setpriv", "--inh-caps=-all", "--bounding-set=-all", "--no-new-privs"] if os.geteuid() == 0 else []
    done = homedex("doctor", path=path, prefix=unprivileged)
    path.parent.chmod(0o700)
    assert (done.returncode, said in done.stdout, "ok       integrity" in done.stdout) == (21, True, True), done.stdout


def test_a_setting_that_is_none_is_named_with_the_nearest(path: Path) -> None:
    said = homedex("doctor", path=path, settings={"HOMEDEX_WORKER": "4", "HOMEDEX_NOPE": "1"}).stdout
    assert "warning  settings" in said
    assert "HOMEDEX_NOPE, HOMEDEX_WORKER (did you mean HOMEDEX_WORKERS?)" in said
