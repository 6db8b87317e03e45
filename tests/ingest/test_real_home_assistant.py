import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import connect

from homedex.errors import SourceDenied, SourceUnreachable
from homedex.ingest.ha_storage import read_storage
from homedex.ingest.home_assistant_ws import read_home_assistant
from homedex.ingest.observation import Observation, Row
from homedex.ingest.reconcile import Have, Plan, reconcile

pytestmark = [pytest.mark.anyio, pytest.mark.home_assistant]

SCRIPTS = Path(__file__).parents[3] / "shared" / "ha"
INSTALLED = Path(tempfile.gettempdir()) / "homedex-home-assistant"
FLUSH_S = 60


@dataclass(frozen=True)
class Home:
    pid: int
    base: str
    token: str
    config: Path

    @property
    def readonly_token(self) -> str:
        return (self.config / "token-readonly").read_text().strip()

    def change(self, *commands: dict[str, Any]) -> None:
        """Do what a person does on Home Assistant's own pages."""
        with connect(self.base.replace("http", "ws") + "/api/websocket", max_size=None) as talk:
            talk.recv()
            talk.send(json.dumps({"type": "auth", "access_token": self.token}))
            talk.recv()
            for number, command in enumerate(commands, 1):
                talk.send(json.dumps({"id": number, **command}))
                answer = json.loads(talk.recv())
                assert answer["success"], answer

    def stop(self) -> None:
        """Stop it, which flushes its files, and wait until it is gone."""
        if not self.is_running():
            return
        os.kill(self.pid, signal.SIGTERM)  # once: a second one makes it leave without writing its files
        for _ in range(FLUSH_S * 10):
            if not self.is_running():
                return
            time.sleep(0.1)
        raise TimeoutError(f"Home Assistant {self.pid} did not stop")

    def is_running(self) -> bool:
        state = Path(f"/proc/{self.pid}/stat")
        return state.exists() and state.read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def installed() -> Path:
    """The folder with a real Home Assistant; made once (20-60 s, 700 MB) and kept for the next run."""
    if not SCRIPTS.is_dir():
        pytest.skip(f"no scripts for a real Home Assistant at {SCRIPTS}")
    done = subprocess.run([str(SCRIPTS / "install.sh"), INSTALLED], capture_output=True, text=True, check=False, timeout=600)
    if done.returncode == 3:
        pytest.skip(f"a real Home Assistant needs a Python 3.13: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    return INSTALLED


@pytest.fixture
def home(installed: Path) -> Iterator[Home]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(SCRIPTS / "start.sh"), str(installed), str(port)]
    told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=180).stdout
    facts = dict(pair.split("=", 1) for pair in told.split())
    running = Home(int(facts["PID"]), facts["BASE"], facts["TOKEN"], Path(facts["CONFIG"]))
    yield running
    running.stop()
    shutil.rmtree(running.config)


def differences(sockets: Observation, files: Observation, table: str, key: str) -> list[tuple[str, str, Any, Any]]:
    """(row, column, socket's value, files' value) wherever both ways have a column, or a key of `extra`, and they differ."""
    shared = sockets.extra_keys[table] & files.extra_keys[table]
    other_rows = {row[key]: row for row in getattr(files, table)}
    found = []
    for row in getattr(sockets, table):
        if row.get("platform", "") is None:
            continue
        other = other_rows.pop(row[key])
        extra, other_extra = row["extra"], other["extra"]
        found += [(row[key], c, row[c], other[c]) for c in row.keys() & other.keys() if c != "extra" and row[c] != other[c]]
        found += [(row[key], f"extra.{k}", extra.get(k), other_extra.get(k)) for k in shared if extra.get(k) != other_extra.get(k)]
    assert not other_rows
    return found


async def test_the_socket_and_the_files_of_a_real_home_say_the_same(home: Home) -> None:
    before = await read_home_assistant(home.base, home.readonly_token, source_id="home")
    home.change(*commands_of_a_person(before))

    sockets = await read_home_assistant(home.base, home.readonly_token, source_id="home")
    home.stop()
    files = read_storage(home.config, source_id="home")

    assert len(sockets.devices) == len(files.devices) > 50
    assert len(files.entities) > 60
    for table, key in (("areas", "area_id"), ("devices", "device_id"), ("entities", "id")):
        assert differences(sockets, files, table, key) == []
    assert sockets.rejections == files.rejections == []
    assert {row["name_by_user"] for row in files.devices + files.entities} == {None, "Mine", "My name"}
    facts, other_facts = sockets.extra or {}, files.extra or {}
    assert [len(facts[name]) for name in ("floors", "labels", "categories")] == [1, 1, 1]
    assert all(facts[name] == other_facts[name] for name in ("floors", "labels", "categories"))


async def test_reading_a_real_home_by_turns_both_ways_settles(home: Home) -> None:
    sockets = await read_home_assistant(home.base, home.readonly_token, source_id="home")
    home.stop()
    files = read_storage(home.config, source_id="home")
    have = settled(sockets, reconcile(Have(), sockets))

    first = reconcile(have, files)
    have = settled(sockets, first, have)

    assert not first.entities.remove
    assert all(change.after.keys() == {"extra"} for change in first.devices.update + first.entities.update)
    assert reconcile(have, files).is_empty
    assert reconcile(have, sockets).is_empty


async def test_a_real_home_denies_a_wrong_token_and_is_unreachable_when_stopped(home: Home) -> None:
    with pytest.raises(SourceDenied):
        await read_home_assistant(home.base, "wrong", source_id="home")
    home.stop()

    with pytest.raises(SourceUnreachable):
        await read_home_assistant(home.base, home.readonly_token, source_id="home")


def commands_of_a_person(observed: Observation) -> list[dict[str, Any]]:
    """A floor, a label, an area, a category, a named device, a named and a disabled entity."""
    demo = [row["entity_id"] for row in observed.entities if row["platform"] == "demo"]
    device_id = observed.devices[0]["device_id"]
    area = {"name": "Hall", "floor_id": "ground_floor", "labels": ["critical"], "aliases": ["lobby", "entrance"]}
    return [
        {"type": "config/floor_registry/create", "name": "Ground floor", "level": 0, "aliases": ["downstairs", "below"]},
        {"type": "config/label_registry/create", "name": "Critical", "color": "red"},
        {"type": "config/category_registry/create", "scope": "scene", "name": "Evening"},
        {"type": "config/area_registry/create", **area},
        {"type": "config/device_registry/update", "device_id": device_id, "name_by_user": "Mine", "labels": ["critical"]},
        {"type": "config/entity_registry/update", "entity_id": demo[0], "name": "My name", "aliases": ["b", "a"]},
        {"type": "config/entity_registry/update", "entity_id": demo[1], "disabled_by": "user", "area_id": "hall"},
    ]


def settled(observed: Observation, plan: Plan, before: Have | None = None) -> Have:
    """What is stored once the plan was written."""
    tables: dict[str, dict[str, Row]] = {}
    for table, key in (("areas", "area_id"), ("devices", "device_id"), ("entities", "id")):
        rows = {row_key: dict(row) for row_key, row in getattr(before, table).items()} if before else {}
        rows |= {row[key]: {"extra": {}, **row, "removed_at": None} for row in getattr(plan, table).create}
        for change in getattr(plan, table).update:
            rows[change.key] |= change.after
        tables[table] = rows
    extra = {**(observed.extra or {}), **(plan.update_source.after["extra"] if plan.update_source else {})}
    source = {"source_id": "home", "kind": observed.kind, "name": observed.name, "extra": extra}
    return Have(source, tables["areas"], tables["devices"], tables["entities"])
