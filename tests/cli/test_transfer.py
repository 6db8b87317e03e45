"""`homedex transfer` as a person types it: real processes, killed in the middle, and what they say."""

import hashlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from homedex.storage.sqlite import open_connection
from servers import Server
from service import environment, homedex

HOME = str(Path(__file__).parent.parent / "data" / "ha_captures" / "storage-2026.11")
MANY = """
    INSERT INTO changes (at, kind, source_id, key, action, before, after, actor)
    WITH numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 300000)
    SELECT '2026-11-22T13:52:56.700259Z', 'device', 'home-assistant',
        'key ' || n, 'update', '{"a":1}', '{"a":[2,"é"]}', 'test' FROM numbers
"""
ENGINES = ("sqlite", "postgresql")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a long history, so that a transfer takes seconds."""
    path = tmp_path_factory.mktemp("source") / "app.db"
    assert homedex("import", "home-assistant", HOME, path=path).returncode == 0
    connection = open_connection(str(path))
    connection.execute(MANY)
    connection.close()
    return path


@pytest.fixture(scope="module")
def long_source(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One that takes so long that it is broken off for sure before it is done."""
    path = tmp_path_factory.mktemp("long") / "app.db"
    connection = open_connection(str(source))
    connection.execute("VACUUM INTO ?", (str(path),))
    connection.close()
    connection = open_connection(str(path))
    connection.execute(MANY)
    connection.execute(MANY)
    connection.close()
    return path


@pytest.fixture
def to_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Where a registry may go."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'there.db'}"
        return
    server: Server = request.getfixturevalue("postgresql")
    with server.database() as url:
        yield url


def transfer(source: Path, to_url: str) -> "subprocess.CompletedProcess[str]":
    return homedex("transfer", f"sqlite:///{source}", to_url, path=source.with_name("unused.db"))


def started(source: Path, to_url: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "homedex", "transfer", f"sqlite:///{source}", to_url]
    variables = environment(source.with_name("unused.db"))
    return subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("to_url", ENGINES, indirect=True)
def test_it_proves_each_table_and_exports_are_the_same_byte_for_byte(source: Path, to_url: str, tmp_path: Path) -> None:
    before = digest(source)
    said = transfer(source, to_url)
    assert (said.returncode, said.stderr) == (0, "")
    lines = [line.split() for line in said.stdout.splitlines()[1:-1]]
    assert {table: count for table, count, *_ in lines}["devices"] == "80"
    assert len(lines) == 9
    assert all(read == there and one == other for _, read, there, one, other in lines)
    assert digest(source) == before
    assert not source.with_name("unused.db").exists()
    homedex("export", str(tmp_path / "one"), path=source)
    exported = homedex("export", str(tmp_path / "other"), path=source, settings={"DATABASE_URL": to_url})
    assert exported.returncode == 0
    for file in (tmp_path / "one").iterdir():
        assert file.read_bytes() == (tmp_path / "other" / file.name).read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("to_url", ENGINES, indirect=True)
def test_a_run_that_is_broken_off_is_simply_started_again(long_source: Path, to_url: str, number: signal.Signals) -> None:
    source = long_source
    before, code = digest(source), {signal.SIGKILL: -9}.get(number, 128 + number)
    for after_s in (0.9, 1.8):
        process = started(source, to_url)
        time.sleep(after_s)
        process.send_signal(number)
        output, errors = process.communicate(timeout=20)
        assert (process.returncode, output) == (code, "")
        assert number == signal.SIGKILL or errors.startswith("Stopped: the source is as it was")
        assert errors.count("\n") <= 1
        assert digest(source) == before
    again = transfer(source, to_url)
    assert (again.returncode, again.stderr) == (0, "")


@pytest.mark.slow
@pytest.mark.parametrize("then", ["transfer", "migrate"])
def test_what_a_killed_run_left_in_a_file_is_said_and_put_back(source: Path, tmp_path: Path, then: str) -> None:
    there = tmp_path / "there.db"
    process = started(source, f"sqlite:///{there}")
    deadline = time.monotonic() + 60
    while not there.exists() or there.stat().st_size < 10_000_000:  # past what its cache holds
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.kill()
    process.communicate()
    assert Path(f"{there}-journal").exists()
    found = homedex("doctor", path=there)
    assert found.returncode
    assert "was being written when its process was killed" in found.stdout + found.stderr
    done = transfer(source, f"sqlite:///{there}") if then == "transfer" else homedex("migrate", path=there)
    assert (done.returncode, done.stderr) == (0, "")
    assert not Path(f"{there}-journal").exists()
    assert homedex("doctor", path=there).returncode == 0


def test_a_second_transfer_into_the_same_place_is_a_conflict(source: Path, tmp_path: Path) -> None:
    to_url = f"sqlite:///{tmp_path / 'there.db'}"
    assert transfer(source, to_url).returncode == 0
    before = digest(tmp_path / "there.db")
    said = transfer(source, to_url)
    assert (said.returncode, said.stdout) == (5, "")
    assert "is not empty" in said.stderr
    assert digest(tmp_path / "there.db") == before


WRONG = (
    (("sqlite:////nowhere/app.db", "sqlite:///{there}"), 3, "Bad source: there is no file /nowhere/app.db"),
    (("sqlite:///{source}", "sqlite:///{source}"), 5, "are the same database"),
    (("sqlite:///{source}", "sqlite:////nowhere/app.db"), 7, "the folder /nowhere does not exist. Create it, or correct the URL."),
    (("sqlite:///{source}", "mysql://u:secret@h/db"), 2, "TO_URL names mysql"),
    (("mysql://u:secret@h/db", "sqlite:///{there}"), 2, "FROM_URL names mysql"),
    (("sqlite:///{source}", "postgresql://u:secret@127.0.0.1:1/db"), 7, "postgresql://u@127.0.0.1:1/db"),
    (("postgresql://u:secret@127.0.0.1:1/db", "sqlite:///{there}"), 7, "postgresql://u@127.0.0.1:1/db"),
    (("sqlite:///{source}", "postgresql://u:se/cret@127.0.0.1:1/db"), 7, "postgresql://u@127.0.0.1:1/db"),
    (("sqlite:///{source}", "postgresql://u:se#cret@127.0.0.1:1/db"), 7, "postgresql://u@127.0.0.1:1/db"),
    (("sqlite:///{source}", "postgresql://u:se?cret@127.0.0.1:1/db"), 7, "postgresql://u@127.0.0.1:1/db"),
    (("sqlite:///{source}", "postgresql://u:secret@127.0.0.1:99999/db"), 7, "postgresql://u@127.0.0.1:99999/db"),
    (("sqlite:///{source}", "postgresql://u:secret@127.0.0.1:1/db?cret=1"), 7, "postgresql://u@127.0.0.1:1/db"),
    (("", "sqlite:///{there}"), 2, "FROM_URL is not a database URL"),
)


@pytest.mark.parametrize(("urls", "code", "said"), WRONG)
def test_what_is_wrong_is_one_line_without_a_password(
    urls: tuple[str, str], code: int, said: str, source: Path, tmp_path: Path
) -> None:
    places = {"source": str(source), "there": str(tmp_path / "there.db")}
    found = homedex("transfer", *(url.format(**places) for url in urls), path=tmp_path / "unused.db")
    assert (found.returncode, found.stdout, found.stderr.count("\n")) == (code, "", 1)
    assert said in found.stderr
    assert "cret" not in found.stderr
    assert "DATABASE_URL" not in found.stderr
    assert not list(tmp_path.iterdir())
