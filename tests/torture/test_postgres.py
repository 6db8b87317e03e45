"""What must hold when services share one PostgreSQL, crowd each other, and processes are killed."""

import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from homedex.registry import schema
from homedex.storage.migrate import WAITING
from homedex.storage.urls import shown
from servers import Server, started
from service import Service, environment

pytestmark = pytest.mark.slow

DEVICES = "/api/v1/devices"
CLIENTS, COUNTERS, TURNS, BULK = 64, 8, 12, 50
KILLS = 8

HOLDER = """
import asyncio, sys, time
from sqlalchemy import text
from homedex.storage.database import Database

def hold(connection):
    connection.execute(text("SELECT 1"))
    print("held", flush=True)
    time.sleep(60)

asyncio.run(Database.open(sys.argv[1], write_deadline_s=2.0).write(hold))
"""
UPGRADE = """
import sys, time
from homedex.registry import schema
while time.time() < float(sys.argv[2]): pass
print(*schema.upgrade(sys.argv[1]))
"""


@pytest.fixture
def server() -> Iterator[Server]:
    """As careful as an operator's: nothing is lost when it is killed."""
    with started() as made:
        yield made


def served(url: str, stack: ExitStack, **settings: str) -> Service:
    service = Service.start(Path("nowhere"), DATABASE_URL=url, **settings)
    stack.enter_context(service.logged())
    return service


class Told:
    """What the services answered."""

    def __init__(self) -> None:
        self.statuses, self.odd = Counter[int](), list[object]()

    def ask(self, service: Service, method: str, path: str, body: object = None, **headers: str) -> tuple[int, str]:
        status, found, answer = service.exchange(method, path, body, {"if-match": headers["tag"]} if headers else {})
        self.statuses[status] += 1
        if status >= 500:
            self.odd.append(answer)
        return status, found.get("etag", "") if status != 200 or method != "GET" else f"{found['etag']} {answer['note']}"


def count_up(services: list[Service], told: Told, number: int) -> None:
    """Raise counters, each kept in the note of a device, as often as agreed; who is late reads again."""
    for turn in range(TURNS):
        path = f"{DEVICES}/counter-{(number + turn) % COUNTERS}"
        while True:
            _, found = told.ask(services[(number + turn) % 2], "GET", path)
            tag, _, note = found.rpartition(" ")
            status, _ = told.ask(services[number % 2], "PATCH", path, {"note": str(int(note) + 1)}, tag=tag)
            if status == 200:
                break
            assert status == 412


def send_many(services: list[Service], told: Told, number: int) -> None:
    for turn in range(TURNS // 2):
        rows = [{"device_id": f"bulk-{number}-{turn}-{row}", "name": "many"} for row in range(BULK)]
        assert told.ask(services[turn % 2], "POST", f"{DEVICES}/bulk", {"devices": rows})[0] == 200


def test_two_services_and_64_clients_lose_nothing(server: Server) -> None:
    url, told = server.emptied("registry"), Told()
    with ExitStack() as stack:
        services = [served(url, stack) for _ in range(2)]
        for number in range(COUNTERS):
            services[0].ask("PUT", f"{DEVICES}/counter-{number}", {"name": "counter", "note": "0"})
        workers = [count_up] * (CLIENTS - 8) + [send_many] * 8
        threads = [threading.Thread(target=work, args=(services, told, number)) for number, work in enumerate(workers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    notes = server.execute("SELECT sum(note::int) FROM devices WHERE device_id LIKE 'counter-%'", name="registry")
    bulk = server.execute("SELECT count(*) FROM devices WHERE device_id LIKE 'bulk-%'", name="registry")
    changes = server.execute("SELECT count(*), count(DISTINCT seq) FROM changes", name="registry")[0]
    assert told.odd == []
    assert (notes[0][0], bulk[0][0]) == ((CLIENTS - 8) * TURNS, 8 * (TURNS // 2) * BULK)
    assert changes[0] == changes[1] == 1 + COUNTERS + notes[0][0] + bulk[0][0]  # and the source of what is kept by hand


def write_on(service: Service, name: str, acknowledged: dict[str, str], stop: threading.Event) -> None:
    turn = 0
    while not stop.is_set():
        turn += 1
        status, headers, _ = service.exchange("PUT", f"{DEVICES}/{name}-{turn}", {"name": str(turn)})
        if status == 201:
            acknowledged[f"{name}-{turn}"] = str(turn)
        else:
            assert (status, bool(headers["retry-after"])) == (503, True)
            time.sleep(0.05)


def test_every_acknowledged_write_survives_the_death_of_the_server(server: Server) -> None:
    url, dice = server.emptied("registry"), random.Random(50)  # noqa: S311  (repeatable)
    acknowledged: dict[str, str] = {}
    with ExitStack() as stack:
        service = served(url, stack)
        for kill in range(KILLS):
            before, stop = len(acknowledged), threading.Event()
            args = [(service, f"k{kill}-w{number}", acknowledged, stop) for number in range(6)]
            writers = [threading.Thread(target=write_on, args=one) for one in args]
            for writer in writers:
                writer.start()
            time.sleep(dice.uniform(0.2, 0.8))
            server.kill()
            killed_at = len(acknowledged)
            server.start()
            until = time.monotonic() + 20
            while len(acknowledged) < killed_at + 10 and time.monotonic() < until:
                time.sleep(0.02)
            stop.set()
            for writer in writers:
                writer.join()
            stored = dict(server.execute("SELECT device_id, name FROM devices", name="registry"))
            assert acknowledged.items() <= stored.items()
            assert killed_at > before
            assert len(acknowledged) >= killed_at + 10, "it did not come back"


def test_four_processes_that_start_at_one_instant_migrate_once(server: Server) -> None:
    for round_ in range(4):
        server.execute(f"CREATE DATABASE race_{round_}")
        start = str(time.time() + 3.0)
        command = [sys.executable, "-c", UPGRADE, server.url(f"race_{round_}"), start]
        racing = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(4)]
        told = [process.communicate(timeout=60) for process in racing]
        assert [said.split()[-1] for said, _ in told] == [schema.head()] * 4
        assert {complaint for _, complaint in told} <= {"", f"{WAITING % shown(server.url(f'race_{round_}'))}\n"}


def test_four_services_that_start_at_one_instant_all_serve(server: Server) -> None:
    server.execute("CREATE DATABASE registry")
    variables = environment(Path("nowhere"), DATABASE_URL=server.url("registry"), HOMEDEX_PORT="0")
    command = [sys.executable, "-m", "homedex", "serve"]
    racing = [subprocess.Popen(command, env=variables, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    with ExitStack() as stack:
        for process in racing:
            assert process.stderr is not None
            said = process.stderr.readline()
            if "waiting" in said:  # for another one, on a machine that has much to do
                said = process.stderr.readline()
            assert "http://127.0.0.1:" in said, said + process.stderr.read()
            service = Service(Path("nowhere"), process, int(said.partition("http://127.0.0.1:")[2].split()[0]))
            stack.enter_context(service.logged())
            service.wait()
            assert service.ask("PUT", f"{DEVICES}/d{process.pid}", {"name": "here"})[0] == 201
            assert service.ask("GET", "/readyz")[0] == 200
    assert server.execute("SELECT count(*) FROM devices", name="registry")[0][0] == 4


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_process_that_is_killed_or_stands_still_with_the_lock_gives_it_to_the_others(server: Server, number: int) -> None:
    url = server.emptied("registry")
    with ExitStack() as stack:
        service = served(url, stack, HOMEDEX_BUSY_TIMEOUT_S="10")
        holding = subprocess.Popen([sys.executable, "-c", HOLDER, url], stdout=subprocess.PIPE, text=True)
        assert holding.stdout is not None
        assert holding.stdout.readline() == "held\n"
        holding.send_signal(number)
        began = time.monotonic()
        assert service.ask("PUT", f"{DEVICES}/a", {"name": "a"})[0] == 201
        waited = time.monotonic() - began
        holding.kill()
        holding.communicate()
    assert waited < (1 if number == signal.SIGKILL else 4)
