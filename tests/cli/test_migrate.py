"""`homedex migrate`, and what `serve` makes of a migration that fails, is killed, or is another process's: real processes."""

import json
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

import released
from homedex.registry import schema
from homedex.storage.backup_file import unpack
from homedex.storage.looking import look, schema_revision, table_names
from homedex.storage.migrate import WAITING
from homedex.storage.urls import shown
from scripts import program_with
from servers import Server
from service import environment, homedex

NEXT = f"{int(schema.head()) + 1:04}"
FAILS = """
    op.create_table("extra", sa.Column("id", sa.Integer))
    op.execute("UPDATE devices SET name = 'lost'")
    op.execute("INSERT INTO nowhere VALUES (1)")
"""
DIES = """
    import os, signal
    op.create_table("extra", sa.Column("id", sa.Integer))
    op.execute("UPDATE devices SET name = 'lost'")
    os.kill(os.getpid(), signal.SIGKILL)
"""
TAKES_LONG = """
    import sys
    op.add_column("devices", sa.Column("extra_column", sa.Text))
    op.execute("UPDATE devices SET extra_column = 'x'")
    print("halfway", flush=True)
    sys.stdin.readline()
"""
SUCCEEDS = """
    op.create_table("extra", sa.Column("id", sa.Integer))
"""


BOTH = pytest.mark.parametrize("target", ["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)], indirect=True)
"""The same on both engines, a second for each process: PostgreSQL's share of it waits for `make test-slow`."""


@pytest.fixture(params=["sqlite", "postgresql"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A registry of the newest schema with a home in it: what DATABASE_URL names."""
    if request.param == "sqlite":
        released.load_file(schema.head(), tmp_path / "app.db")
        yield f"sqlite:///{tmp_path / 'app.db'}"
        return
    server: Server = request.getfixturevalue("postgresql")
    with server.database() as url:
        released.load_server(schema.head(), url)
        yield url


def opened(target: str) -> str:
    return target.removeprefix("sqlite:///")


def names(target: str) -> list[str]:
    """The names of all devices, so that a change of them is seen."""
    return look(opened(target), lambda connection: [str(row) for row in connection.exec_driver_sql("SELECT name FROM devices")])


def test_migrate_says_from_which_schema_to_which(tmp_path: Path) -> None:
    path = tmp_path / "data" / "app.db"
    for said in ("was brought from no schema to schema", "is at schema"):
        done = homedex("migrate", path=path)
        assert (done.returncode, done.stderr, f"{path} {said} {schema.head()}" in done.stdout) == (0, "", True)
    released.load_file("0001", tmp_path / "old.db")
    planned = homedex("migrate", "--plan", path=tmp_path / "old.db")
    assert (planned.returncode, planned.stderr) == (0, "")
    heading = f"-- {tmp_path / 'old.db'}: from schema 0001 to schema {schema.head()}"
    assert planned.stdout.startswith(f"{heading}\nPRAGMA foreign_keys = OFF;\n")
    assert "was brought from schema 0001 to schema" in homedex("migrate", path=tmp_path / "old.db").stdout


def test_a_plan_with_nothing_to_do_prints_nothing(target: str, tmp_path: Path) -> None:
    done = homedex("migrate", "--plan", path=tmp_path, settings={"DATABASE_URL": target})
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (0, "", 1)
    assert f"is at schema {schema.head()} already: there is nothing to run" in done.stderr


@pytest.mark.slow
def test_a_newer_or_a_foreign_database_is_refused(target: str, tmp_path: Path) -> None:
    newer = {"DATABASE_URL": target} | program_with(tmp_path, SUCCEEDS)
    assert homedex("migrate", path=tmp_path, settings=newer).returncode == 0
    (tmp_path / "notes").write_text("dear diary\n" * 1000)
    for arguments in (["migrate"], ["migrate", "--plan"]):
        done = homedex(*arguments, path=tmp_path, settings={"DATABASE_URL": target})
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (9, "", 1), done.stderr
        assert homedex(*arguments, path=tmp_path / "notes").returncode == 8


@pytest.mark.parametrize(
    ("command", "target"),
    [
        ("migrate", "sqlite"),
        ("serve", "postgresql"),
        pytest.param("serve", "sqlite", marks=pytest.mark.slow),
        pytest.param("migrate", "postgresql", marks=pytest.mark.slow),
    ],
    indirect=["target"],
)
def test_a_migration_that_fails_is_one_line_and_leaves_all_as_it_was(command: str, target: str, tmp_path: Path) -> None:
    before = names(target)
    settings = {"DATABASE_URL": target, "HOMEDEX_PORT": "0"} | program_with(tmp_path, FAILS)
    done = homedex(command, path=tmp_path, settings=settings)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (9, "", 1), done.stderr
    assert done.stderr.startswith("Migration failed: ")
    assert "keeps the schema it had" in done.stderr
    assert "nowhere" in done.stderr
    assert look(opened(target), schema_revision) == schema.head()
    assert "extra" not in look(opened(target), table_names)
    assert names(target) == before
    again = {"DATABASE_URL": target} | program_with(tmp_path, SUCCEEDS)
    assert f"to schema {NEXT}" in homedex("migrate", path=tmp_path, settings=again).stdout


@pytest.mark.slow
def test_a_migration_that_is_killed_leaves_all_as_it_was_and_can_be_repeated(target: str, tmp_path: Path) -> None:
    before = names(target)
    killed = homedex("migrate", path=tmp_path, settings={"DATABASE_URL": target} | program_with(tmp_path, DIES))
    assert killed.returncode == -signal.SIGKILL
    assert look(opened(target), schema_revision) == schema.head()
    again = {"DATABASE_URL": target} | program_with(tmp_path, SUCCEEDS)
    assert f"from schema {schema.head()} to schema {NEXT}" in homedex("migrate", path=tmp_path, settings=again).stdout
    assert names(target) == before


def migrating(variables: dict[str, str]) -> "subprocess.Popen[str]":
    pipe, command = subprocess.PIPE, [sys.executable, "-m", "homedex", "migrate"]
    return subprocess.Popen(command, env=variables, stdin=pipe, stdout=pipe, stderr=pipe, text=True)


@BOTH
def test_of_two_processes_one_migrates_and_one_says_that_it_waits_while_others_read(target: str, tmp_path: Path) -> None:
    newer = environment(tmp_path, **{"DATABASE_URL": target} | program_with(tmp_path, TAKES_LONG))
    with ThreadPoolExecutor(1) as reader, ExitStack() as stack:
        running = stack.enter_context(migrating(newer))
        stack.callback(running.kill)
        assert running.stdout is not None
        assert running.stdout.readline() == "halfway\n"
        waiting = stack.enter_context(migrating(newer))
        stack.callback(waiting.kill)
        read = reader.submit(names, target)
        if target.startswith("sqlite"):  # on PostgreSQL whoever reads a table that is being altered waits for the end of it
            assert len(read.result(timeout=20)) == 15
        assert waiting.stderr is not None
        assert select.select([waiting.stderr], [], [], 20)[0], "it did not say that it waits"
        said = waiting.stderr.readline()
        first, second = running.communicate("\n", timeout=30), waiting.communicate(timeout=30)
        assert len(read.result(timeout=20)) == 15
    assert said == f"{WAITING % shown(opened(target))}\n"
    assert (running.returncode, waiting.returncode, first[1], second[1]) == (0, 0, "", "")
    assert f"from schema {schema.head()} to schema {NEXT}" in first[0]
    assert f"is at schema {NEXT} already" in second[0]


@pytest.mark.sqlite
def test_an_older_registry_is_backed_up_and_that_verified_before_it_is_touched(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    released.load_file("0001", path)
    before = look(str(path), released_rows)
    broken = tmp_path / "backups"
    broken.write_text("no folder")
    refused = homedex("migrate", path=path)
    assert (refused.returncode, refused.stdout, len(refused.stderr.splitlines())) == (7, "", 1)
    assert look(str(path), schema_revision) == "0001"
    broken.unlink()
    assert homedex("migrate", path=path, settings={"HOMEDEX_BACKUP_DIR": str(tmp_path / "safe")}).returncode == 0
    listed = homedex("backup", "list", "--json", path=path, settings={"HOMEDEX_BACKUP_DIR": str(tmp_path / "safe")})
    (made,) = json.loads(listed.stdout)
    assert (made["reason"], made["schema_revision"], bool(made["verified_at"])) == ("upgrade", "0001", True)
    again = tmp_path / "again.db"
    with again.open("wb") as file:
        unpack(tmp_path / "safe" / made["name"], file)
    assert look(str(again), released_rows) == before


def test_an_older_registry_on_a_server_is_backed_up_as_it_is_before_it_is_touched(postgresql: Server, tmp_path: Path) -> None:
    newer = program_with(tmp_path, SUCCEEDS)
    places = {name: {"HOMEDEX_BACKUP_DIR": str(tmp_path / name)} for name in ("before", "safe")}
    with postgresql.database() as url:
        released.load_server(schema.head(), url)
        here = {"DATABASE_URL": url}
        wanted = homedex("backup", "create", "--json", path=tmp_path, settings=here | places["before"])
        broken = tmp_path / "safe"
        broken.write_text("no folder")
        refused = homedex("migrate", path=tmp_path, settings=here | newer | places["safe"])
        assert (refused.returncode, refused.stdout, len(refused.stderr.splitlines())) == (7, "", 1)
        assert look(url, schema_revision) == schema.head()
        broken.unlink()
        done = homedex("migrate", path=tmp_path, settings=here | newer | places["safe"])
        assert done.returncode == 0, done.stderr
        assert look(url, schema_revision) == NEXT
    (made,) = json.loads(homedex("backup", "list", "--json", path=tmp_path, settings=here | places["safe"]).stdout)
    said = (made["reason"], made["schema_revision"], made["engine"], bool(made["verified_at"]))
    assert said == ("upgrade", schema.head(), "postgresql", True)
    assert made["tables"] == json.loads(wanted.stdout)["tables"]
    again = tmp_path / "again.db"
    done = homedex("backup", "restore", made["name"], "--to", str(again), path=tmp_path, settings=places["safe"])
    assert done.returncode == 0, done.stderr
    found = homedex("devices", "--q", "Deckenlampe", path=again)
    assert "lamp" in found.stdout, "the search index is made where a backup is restored"


def released_rows(connection: Connection) -> list[Any]:
    return list(connection.exec_driver_sql("SELECT device_id, name, version FROM devices ORDER BY 1"))
