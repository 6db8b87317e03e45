"""Backups under full write load, beside the recipe's, and processes that are killed while they make, check or restore them."""

import json
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from operator import add
from pathlib import Path
from typing import Any

import apsw
import pytest

from homedex.registry import schema
from homedex.storage import backup as making
from homedex.storage.backup_file import unpack
from homedex.storage.backup_folder import BackupFolder
from homedex.storage.checks import open_copy
from homedex.storage.sqlite import open_connection
from plain_registry import KEYS, LISTS, Place, Row, replayed
from proof.child import seen_by
from proof.files import copies_in_the_recipe
from service import Service

pytestmark = pytest.mark.slow

BACKUPS, ROUNDS, COPIES, KILLS = 200, 20, 2, 300
WRITERS, MANY = 16, 2_000
JSON = {"extra", "source_values", *(name for names in LISTS.values() for name in names)}
CORRUPT, STALE, RIGHT = "corrupt", "stale", "right"

LOADER = f"""
import http.client, json, random, sys, threading
port, stopped = int(sys.argv[1]), threading.Event()

def answered(connection, method, path, body):
    connection.request(method, "/api/v1/" + path, body and json.dumps(body), {{"content-type": "application/json"}})
    answer = connection.getresponse()
    text = answer.read()
    assert answer.status in {{200, 201, 204, 404, 410}}, (answer.status, text)

def write(number):
    dice, connection = random.Random(number), http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    while not stopped.is_set():
        some = dice.randrange(40)
        noun, key, kind = dice.choice((
            ("devices", f"w{{number}}-{{some}}", "area_id"),
            ("entities", f"light.w{{number}}_{{some}}", "area_id"),
            ("areas", f"w{{number}}-{{some % 5}}", "floor_id"),
        ))
        body = {{"name": f"name {{dice.random()}}", kind: f"w{{number}}-{{some % 7}}", "labels": ["ü"] * dice.randrange(3)}}
        body |= {{}} if noun == "areas" else {{"note": "x" * dice.randrange(900)}}
        method = "DELETE" if dice.random() < 0.05 else "PUT"
        answered(connection, method, f"{{noun}}/{{key}}", body if method == "PUT" else None)

def write_many():
    dice, connection = random.Random(0), http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    while not stopped.is_set():
        rows = [{{"device_id": f"many-{{dice.randrange({MANY})}}", "note": "y" * dice.randrange(900)}} for _ in range(100)]
        answered(connection, "POST", "devices/bulk", {{"devices": rows}})

threads = [threading.Thread(target=write_many), *(threading.Thread(target=write, args=(number,)) for number in range({WRITERS}))]
for thread in threads:
    thread.start()
sys.stdin.read()
stopped.set()
"""


@contextmanager
def written(service: Service) -> Iterator[None]:
    """A block in which a process of its own writes as much as the service takes."""
    command = [sys.executable, "-c", LOADER, str(service.port)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as loader:
        try:
            yield
        finally:
            assert loader.communicate("", timeout=60)[1] == ""


def test_two_hundred_backups_under_full_load_are_each_the_state_at_their_change_and_the_recipes_are_not(tmp_path: Path) -> None:
    recipes_bad, entries = Counter[str](), 0
    for number in range(ROUNDS):  # each in a fresh registry: under full load one grows by a megabyte a second
        (tmp_path / str(number)).mkdir()
        bad, last = back_up_under_load(tmp_path / str(number))
        recipes_bad, entries = recipes_bad + bad, entries + last
    recipe = seen_by(copies_in_the_recipe, tmp_path / "recipe")
    assert recipe.shown, recipe.text
    corrupt, stale = recipes_bad[CORRUPT], recipes_bad[STALE]
    copies = f"of {BACKUPS * COPIES} copies of it by the recipe {corrupt} corrupt and {stale} without changes they should have"
    print(f"{BACKUPS} backups right, {entries:,} changes; {copies}; of its own database: {recipe.text}")  # noqa: T201


def back_up_under_load(place: Path) -> tuple[Counter[str], int]:
    """What the recipe's copies were, how many of each, and the last change there was."""
    path, folder = place / "registry.db", BackupFolder(place / "backups", "homedex")
    recipes_bad, moment = Counter[str](), datetime.now(UTC)
    with Service.start(path) as service, written(service):
        time.sleep(0.5)
        for number in range(BACKUPS // ROUNDS):
            clock = partial(add, moment, timedelta(seconds=number))
            made, new = making.create(str(path), folder, schema.shape(), clock=clock, reason="command", verified=False)
            assert new
            assert made.manifest is not None
            copies = [recipes_copy(path, place / "copied.db", at_least=made.manifest.sequence) for _ in range(COPIES)]
            recipes_bad.update(copies)
    backups = [making.verify(one, folder, at=moment) for one in reversed(folder.all())]
    assert len(backups) == BACKUPS // ROUNDS
    with closing(open_connection(str(path))) as connection:
        entries = changes_in(connection)
        rows: dict[Place, Row] = {}
        seen = 0
        for backup in backups:
            assert backup.manifest is not None
            assert backup.verified_at == moment
            due = []
            while seen < backup.manifest.sequence:
                due.append(next(entries))
                seen = due[-1]["seq"]
            assert due
            replayed(due, rows)
            there = rows_in(backup.path, place / "unpacked.db")
            assert there.keys() == rows.keys(), f"the backup that ends with change {seen}"
            for one, row in rows.items():
                assert there[one] == {name: row[name] for name in there[one]}, f"the backup that ends with change {seen}"
    return recipes_bad, seen


def rows_in(backup: Path, to: Path) -> dict[Place, Row]:
    """All that is in a backup of what changes tell of."""
    with to.open("wb") as file:
        unpack(backup, file)
    found: dict[Place, Row] = {}
    with closing(open_copy(to)) as connection:
        for noun, key in KEYS.items():
            texts = {str(column) for (column,) in connection.execute("SELECT name FROM pragma_table_info(?)", (noun,))} - {"number"}
            columns = sorted(texts)
            for values in connection.execute(f"SELECT {', '.join(columns)} FROM {noun}"):
                row = {name: json.loads(str(value)) if name in JSON else value for name, value in zip(columns, values, strict=True)}
                found[noun, str(row["source_id"]), str(row[key])] = row
    return found


def changes_in(connection: apsw.Connection) -> Iterator[Any]:
    names = ("seq", "kind", "source_id", "key", "at", "action", "before", "after")
    for row in connection.execute(f"SELECT {', '.join(names)} FROM changes ORDER BY seq"):
        entry = dict(zip(names, row, strict=True))
        yield entry | {name: json.loads(str(entry[name])) for name in ("before", "after") if entry[name]}


def recipes_copy(path: Path, to: Path, *, at_least: int) -> str:
    """What the recipe's backup does: copy the database, then its log, while it is written. What came of it."""
    for suffix in ("", "-wal"):
        shutil.copy2(f"{path}{suffix}", f"{to}{suffix}")
    try:
        with closing(apsw.Connection(str(to))) as connection:
            if connection.execute("PRAGMA integrity_check").fetchall() != [("ok",)]:
                return CORRUPT
            return RIGHT if next(connection.execute("SELECT max(seq) FROM changes"))[0] >= at_least else STALE
    except apsw.Error:
        return CORRUPT
    finally:
        for left in to.parent.glob(f"{to.name}*"):
            left.unlink()


# --- killed ---

KILLER = """
import json, os, random, signal, sys, time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from homedex.registry import schema
from homedex.storage import backup, restore
from homedex.storage.backup_folder import BackupFolder, Keep
from homedex.storage.sqlite import open_connection

home, folder = Path(sys.argv[1]), BackupFolder(Path(sys.argv[2]), "homedex")
kills, dice = int(sys.argv[3]), random.Random(5)
START = datetime.now(UTC)

def write(turn):
    connection = open_connection(str(home))
    connection.execute("UPDATE sources SET last_error = ?", (f"turn {turn}",))
    connection.close()

def create(turn):
    backup.create(str(home), folder, schema.shape(), clock=lambda: START + timedelta(seconds=turn), reason="command")

def verify(turn):
    backup.verify(folder.all()[0], folder, at=datetime.now(UTC))

def put_back(turn):
    restore.restore(folder.all()[0].path, str(home), schema.shape(), at=START + timedelta(seconds=turn), replace=True)

def prune(turn):
    with folder.locked():
        for one in folder.superfluous(Keep(2, {}), now=START + timedelta(days=1)):
            folder.remove(one.name)

def run(work, turn, die_after):
    child = os.fork()
    if child == 0:
        try:
            work(turn)
        except BaseException as error:
            print(f"{work.__name__}: {error!r}", file=sys.stderr)
            os._exit(1)
        os._exit(0)
    if die_after is not None:
        time.sleep(die_after)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)

def stored():
    connection = open_connection(str(home))
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    (row,) = connection.execute("SELECT last_error, (SELECT count(*) FROM areas) FROM sources").fetchall()
    connection.close()
    return row

# A child has no thread but one, and SQLite is not open across the fork: all is opened in children.
import threading
run(write, 0, None); run(create, 0, None)
took = {}
for work in (create, verify, put_back, prune):
    run(write, 0, None)
    began = time.monotonic(); assert run(work, 1, None) == 0; took[work] = time.monotonic() - began
counts = {"killed": 0, "done": 0}
import multiprocessing
for turn in range(2, kills + 2):
    work = (create, create, verify, put_back, put_back, prune)[turn % 6]
    assert run(write, turn, None) == 0
    ended = run(work, turn, dice.uniform(0, took[work] * 1.1))
    counts["killed" if ended == -signal.SIGKILL else "done"] += 1
    assert ended in (0, -signal.SIGKILL), (work.__name__, ended)
    reading, writing = os.pipe()
    def look(_):
        os.write(writing, json.dumps(stored()).encode())
    assert run(look, turn, None) == 0
    said = json.loads(os.read(reading, 1000)); os.close(reading); os.close(writing)
    # The database is the old one, or the one of the backup: never another, never half.
    assert said[1] == 3 and (said[0] == f"turn {turn}" or work is put_back), (work.__name__, said)
    listed = folder.all()
    assert listed and all(one.manifest and not one.problem for one in listed), listed
assert run(create, kills + 9, None) == 0
for one in folder.all():
    def check(_, one=one):
        backup.verify(one, folder, at=datetime.now(UTC))
    assert run(check, 0, None) == 0
left = [p.name for p in (*folder.path.iterdir(), *home.parent.iterdir()) if ".unfinished-" in p.name]
assert not left, left
print(json.dumps(counts))
"""


def test_a_process_that_is_killed_leaves_whole_backups_and_a_whole_database(tmp_path: Path) -> None:
    home = tmp_path / "registry.db"
    schema.upgrade(str(home))
    at = "'2026-11-22T13:52:56.700259Z'"
    with closing(open_connection(str(home))) as connection:
        connection.execute(f"INSERT INTO sources VALUES ('h', 'manual', 'H', 'ok', NULL, NULL, '{{}}', {at}, {at}, 1)")
        for name in ("a", "b", "c"):
            connection.execute(
                f"INSERT INTO areas VALUES ('h', '{name}', '{name}', NULL, '[]', '[]', '{{}}', {at}, NULL, NULL, {at}, {at}, 1)"
            )
    command = [sys.executable, "-c", KILLER, str(home), str(tmp_path / "backups"), str(KILLS)]
    said = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert said.returncode == 0, said.stderr
    counts = json.loads(said.stdout)
    assert counts["killed"] > KILLS / 2, counts
    assert counts["done"] > 0, counts
