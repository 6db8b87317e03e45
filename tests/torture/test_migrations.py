"""An upgrade that is killed, wherever it is, leaves the old schema or the new one, whole; the next start ends well."""

import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Self

import apsw
import pytest
from sqlalchemy import Connection

import released
from homedex.registry import schema
from homedex.storage.database import Database
from homedex.storage.looking import look, schema_revision
from homedex.storage.sqlite import open_connection
from servers import Server

pytestmark = pytest.mark.slow

DEVICES = 8_000
KILLS = 25
EVERY = 5

KILLED_AT_A_STEP = """
import os, signal, sys
from sqlalchemy import Engine, event
from homedex.registry import schema

steps = 0

def count(*_):
    global steps
    steps += 1
    if steps == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)

event.listen(Engine, "before_cursor_execute", count)
schema.upgrade(sys.argv[1])
"""
ON_A_FILE = """
import os, shutil, sys
from alembic import command, config, ddl, script  # once, and not in each child
from homedex.registry import schema, tables

for line in sys.stdin:
    path, delay = line.split()
    child = os.fork()
    if not child:
        sys.argv = ["", path, delay]
        exec(CODE)
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
KILLED_AFTER = """
import os, signal, sys, threading, time
from homedex.registry import schema

def end():
    time.sleep(float(sys.argv[2]))
    os.kill(os.getpid(), signal.SIGKILL)

threading.Thread(target=end, daemon=True).start()
schema.upgrade(sys.argv[1])
"""


UPGRADE = """
import sys
from alembic import command, config
from homedex.registry import schema, tables
print("begins", flush=True)
print(*schema.upgrade(sys.argv[1]))
"""


class Killer:
    """A process that starts upgrades which are killed; each child has everything imported already."""

    def __init__(self, code: str) -> None:
        program = [sys.executable, "-c", ON_A_FILE.replace("CODE", repr(code))]
        self.process = subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def upgrade(self, target: str, when: float) -> int:
        """The exit code of an upgrade that is killed at a step, or after some seconds, if it has not ended by then."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{target} {when}\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.communicate(timeout=30)


def whole(path: Path) -> tuple[list[Any], list[Any]]:
    """The schema's text, and how much there is of everything; after a look whether the file is sound."""
    connection = open_connection(str(path))
    assert connection.pragma("integrity_check") == "ok"
    assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    made: Any = connection.execute("SELECT name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%' ORDER BY 1").fetchall()
    tables = [name for name, sql in made if sql and sql.startswith("CREATE TABLE") and "_search" not in name]
    counts = [(name, connection.execute(f"SELECT count(*) FROM {name}").fetchall()) for name in tables]
    connection.close()
    return made, counts


def copied(template: Path, path: Path) -> Path:
    for left in path.parent.glob(f"{path.name}*"):
        left.unlink()
    return Path(shutil.copy(template, path))


def test_killed_at_every_step_a_file_is_old_or_new(tmp_path: Path) -> None:
    template, path = tmp_path / "template.db", tmp_path / "a.db"
    released.load_file("0001", template)
    old = whole(template)
    schema.upgrade(str(copied(template, path)))
    new, killed, step = whole(path), 0, 0
    with Killer(KILLED_AT_A_STEP) as killer:
        while killed == step:
            step += 1
            killed += killer.upgrade(str(copied(template, path)), step) == -signal.SIGKILL
            assert whole(path) == (old if killed == step else new)
            assert schema.upgrade(str(path))[1] == schema.head()
            assert whole(path) == new
    assert killed > 60


def grow(path: Path) -> None:
    """A registry of 0001 that takes long enough to upgrade to be killed in the middle of it."""
    released.load_file("0001", path)
    connection = apsw.Connection(str(path))
    names = [row[1] for row in connection.execute("PRAGMA table_xinfo(devices)") if row[6] == 0 and row[1] != "device_id"]
    numbers = f"WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < {DEVICES})"
    copies = f"SELECT 'copy-' || i, {', '.join(names)} FROM n, devices WHERE device_id = 'lamp'"
    connection.execute(f"{numbers} INSERT INTO devices (device_id, {', '.join(names)}) {copies}")
    names = [row[1] for row in connection.execute("PRAGMA table_xinfo(entities)") if row[6] == 0]
    changed = {"id": "'copy-' || i", "entity_id": "'light.' || i", "device_id": "'copy-' || i"}
    copies = f"SELECT {', '.join(changed.get(name, name) for name in names)} FROM n, entities WHERE id = 'light-1'"
    connection.execute(f"{numbers} INSERT INTO entities ({', '.join(names)}) {copies}")
    connection.pragma("wal_checkpoint", "truncate")
    connection.close()


def test_killed_at_any_moment_a_large_file_is_old_or_new(tmp_path: Path) -> None:
    template, path, dice = tmp_path / "template.db", tmp_path / "a.db", random.Random(26)  # noqa: S311  (repeatable)
    grow(template)
    old = whole(template)
    schema.upgrade(str(copied(template, path)))
    new = whole(path)
    found = []
    with Killer(KILLED_AFTER) as killer:
        longest = 0.2
        while killer.upgrade(str(copied(template, path)), longest):
            longest *= 1.3
        for _ in range(KILLS):
            killed = killer.upgrade(str(copied(template, path)), dice.uniform(0, longest)) == -signal.SIGKILL
            log = path.with_name("a.db-wal")
            in_log = log.exists() and log.stat().st_size > 0
            is_old = whole(path) == old
            assert is_old or whole(path) == new
            found.append((killed, is_old, in_log))
            assert schema.upgrade(str(path))[1] == schema.head()
            assert whole(path) == new
    assert sum(killed for killed, _, _ in found) > KILLS / 5  # how many, is the machine's speed's business
    assert any(is_old and in_log for _, is_old, in_log in found), "none was killed in the middle of its writing"


@pytest.mark.anyio
async def test_readers_of_another_process_go_on_while_a_file_is_upgraded(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    grow(path)
    database = Database.open(str(path), application_id=schema.APPLICATION_ID)
    upgrading = subprocess.Popen([sys.executable, "-c", UPGRADE, str(path)], stdout=subprocess.PIPE, text=True)  # noqa: ASYNC220
    assert upgrading.stdout is not None
    assert upgrading.stdout.readline() == "begins\n"
    found, longest_s = set(), 0.0
    while upgrading.poll() is None:
        began = time.monotonic()
        found.add(await database.read(counted))
        longest_s = max(longest_s, time.monotonic() - began)
    found.add(await database.read(counted))
    await database.close()
    assert upgrading.communicate()[0] == f"0001 {schema.head()}\n"
    assert found == {("0001", DEVICES + 15), (schema.head(), DEVICES + 15)}
    assert longest_s < 1


def counted(connection: Connection) -> tuple[str | None, int]:
    return schema_revision(connection), connection.exec_driver_sql("SELECT count(*) FROM devices").scalar_one()


def test_killed_at_a_step_a_server_is_old_or_new(postgresql: Server) -> None:
    killed, step = 0, 1
    with Killer(KILLED_AT_A_STEP) as killer, postgresql.database() as url:
        while killer.upgrade(url, step) == -signal.SIGKILL:
            killed, step = killed + 1, step + EVERY
            assert look(url, schema_revision) is None
            tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
            assert postgresql.execute(tables, name=url.partition("?")[0].rpartition("/")[2])[0][0] == 0
        assert look(url, schema_revision) == schema.head()
    assert killed > 10
