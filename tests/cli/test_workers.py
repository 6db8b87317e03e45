"""Several processes that serve one registry at one address: balanced, replaced, stopped together, and as right as one."""

import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from homedex.storage.sqlite import open_connection
from service import Service, homedex, until

PAGE, KILLS = 4096, 30


@pytest.fixture
def service(registry_file: Path) -> Iterator[Service]:
    with Service.start(registry_file, HOMEDEX_WORKERS="2") as running:
        yield running


def workers_of(service: Service) -> set[int]:
    """The processes that a service has forked."""
    children = Path(f"/proc/{service.process.pid}/task/{service.process.pid}/children")
    return {int(number) for number in children.read_text().split()}


def who_answers(service: Service) -> str:
    """A mark of the process that answers on a connection of its own."""
    return service.exchange("GET", "/livez")[1]["x-request-id"][:8]


def alive(process_id: int) -> bool:
    try:
        state = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_connections_go_to_each_in_turn(service: Service) -> None:
    until(lambda: len({who_answers(service) for _ in range(2)}) == 2)
    assert sorted(Counter(who_answers(service) for _ in range(30)).values()) == [15, 15]


def test_what_one_has_written_all_say_at_once(service: Service) -> None:
    for number in range(100):
        assert service.ask("PUT", "/api/v1/devices/a", {"name": str(number)})[0] in {200, 201}
        said = [service.ask("GET", "/api/v1/devices")[1]["devices"][0]["name"] for _ in range(4)]
        assert said == [str(number)] * 4


def test_edits_by_all_lose_none(service: Service) -> None:
    """Each adds its label, if nobody has edited the device meanwhile."""
    service.ask("PUT", "/api/v1/devices/a", {"name": "x"})

    def add(worker: int) -> None:
        for number in range(10):
            while True:
                _, headers, device = service.exchange("GET", "/api/v1/devices/a")
                body = {"labels": [*device["labels"], f"{worker}-{number}"]}
                status, _, _ = service.exchange("PATCH", "/api/v1/devices/a", body, {"If-Match": headers["etag"]})
                if status == 200:
                    break
                assert status == 412

    threads = [threading.Thread(target=add, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(service.ask("GET", "/api/v1/devices/a")[1]["labels"]) == 40


def test_a_request_that_is_sent_again_is_carried_out_once_whoever_gets_it(service: Service) -> None:
    rows = {"devices": [{"device_id": "a", "name": "x"}]}
    answers = []

    def send() -> None:
        answers.append(service.ask("POST", "/api/v1/devices/bulk", rows, {"Idempotency-Key": "k"}))

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    done = [answer for status, answer in answers if status == 200]
    assert done
    assert {status for status, _ in answers} <= {200, 409}
    assert {json.dumps(answer) for answer in done} == {json.dumps(done[0])}
    assert service.ask("GET", "/api/v1/devices/a/changes")[1]["total"] == 1


def test_one_that_is_killed_is_replaced(service: Service) -> None:
    before = workers_of(service)
    victim = before.pop()
    with service.logged() as lines:
        os.kill(victim, signal.SIGKILL)
        until(lambda: len(workers_of(service) - {victim}) == 2)
        until(lambda: len({who_answers(service) for _ in range(2)}) == 2)
        assert workers_of(service) > before
    assert [line for line in lines if "ended with SIGKILL; another takes its place" in line]


def test_they_stop_together(service: Service) -> None:
    workers = workers_of(service)
    connection = http.client.HTTPConnection("127.0.0.1", service.port)
    connection.request("GET", "/livez")
    connection.getresponse().read()
    assert service.stop() == 0
    assert not any(map(alive, workers))
    assert "ERROR" not in service.log
    assert "Traceback" not in service.log
    assert not Path(f"{service.path}-wal").exists()
    connection.close()


@pytest.mark.parametrize("told", [signal.SIGINT, signal.SIGHUP])
def test_they_stop_when_a_terminal_tells_each_of_them(registry_file: Path, told: signal.Signals) -> None:
    with Service.start(registry_file, HOMEDEX_WORKERS="3") as service:
        workers = workers_of(service)
        for process_id in workers:
            os.kill(process_id, told)
        assert service.stop(told) == 0
        assert not any(map(alive, workers))
        assert "ERROR" not in service.log
        assert "Traceback" not in service.log


def test_they_do_not_outlive_the_process_that_keeps_them(service: Service) -> None:
    workers = workers_of(service)
    service.stop(signal.SIGKILL)
    until(lambda: not any(map(alive, workers)))


def test_what_is_to_be_done_once_is_done_by_one(service: Service) -> None:
    """Only the first looks through the file after the start; what it finds, all of them say."""
    rows = [{"device_id": f"d{number}", "name": f"Lamp {number}"} for number in range(400)]
    assert service.ask("POST", "/api/v1/devices/bulk", {"devices": rows})[0] == 200
    service.stop()
    with closing(open_connection(str(service.path))) as connection:
        pages = list(connection.execute("SELECT pageno FROM dbstat WHERE name = 'ix_devices_model' AND pagetype = 'leaf'"))
    with service.path.open("r+b") as file:
        file.seek((int(pages[0][0]) - 1) * PAGE)
        file.write(bytes(PAGE))
    with Service.start(service.path, HOMEDEX_WORKERS="3") as damaged, damaged.logged() as lines:
        until(lambda: all("damaged" in str(damaged.ask("GET", "/readyz")[1]["checks"]) for _ in range(3)))
        assert {damaged.ask("PUT", "/api/v1/devices/a", {"name": "x"})[0] for _ in range(6)} == {503}
        assert damaged.ask("GET", "/api/v1/devices/d7")[0] == 200
    assert len([line for line in lines if "is damaged" in line and "Freelist" not in line and "[-]" in line]) == 1


@pytest.mark.parametrize("said", ["0", "65", "many"])
def test_a_number_of_workers_that_makes_no_sense_is_refused(registry_file: Path, said: str) -> None:
    for refused in (
        homedex("serve", path=registry_file, settings={"HOMEDEX_WORKERS": said, "HOMEDEX_PORT": "0"}),
        homedex("serve", "--workers", said, path=registry_file, settings={"HOMEDEX_PORT": "0"}),
    ):
        assert refused.returncode == 2
        assert "Traceback" not in refused.stderr


def test_one_that_cannot_begin_ends_the_service_with_what_it_says(tmp_path: Path) -> None:
    program = """
import socket, sys
from homedex.cli.workers import Workers

def work(number, channel):
    if number == 1:
        print("no", file=sys.stderr)
        sys.exit(7)
    channel.recv(1)

Workers(3, socket.create_server(("127.0.0.1", 0)), work).run()
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False, cwd=tmp_path)
    assert (ended.returncode, ended.stderr) == (7, "no\n")


def test_one_that_ends_again_and_again_is_replaced_once_a_second_while_the_others_serve(tmp_path: Path) -> None:
    program = """
import socket, sys, time
from homedex.cli import workers

def work(number, channel):
    if number == 1:
        print("no", file=sys.stderr, flush=True)
        sys.exit(7)
    while True:
        said, files, _, _ = socket.recv_fds(channel, 1, 1)
        if not said:
            return
        with socket.socket(fileno=files[0]) as connection:
            connection.sendall(b"here")

workers.SHORT_S = 0
listening = socket.create_server(("127.0.0.1", 0))
print(listening.getsockname()[1], flush=True)
workers.Workers(2, listening, work).run()
"""
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        port = int(process.stdout.readline())
        ends = [process.stderr.readline() for _ in range(4)]
        for _ in range(20):
            with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
                assert connection.recv(4) == b"here"
        process.terminate()
        assert process.wait(20) == 0
    assert ends.count("no\n") == 2
    assert sum("ended with exit code 7; another takes its place" in line for line in ends) == 2


@pytest.mark.slow
def test_whatever_is_killed_what_was_acknowledged_is_there(registry_file: Path) -> None:
    acknowledged: list[str] = []
    stopped = threading.Event()

    def write(service: Service, worker: int) -> None:
        number = 0
        while not stopped.is_set():
            number += 1
            try:
                status, _ = service.ask("PUT", f"/api/v1/devices/{worker}-{number}", {"name": "x"})
            except (OSError, http.client.HTTPException):
                continue
            if status == 201:
                acknowledged.append(f"{worker}-{number}")

    dice = random.Random(7)  # noqa: S311  (the same each time)
    with Service.start(registry_file, HOMEDEX_WORKERS="3", HOMEDEX_QUEUE_LIMIT="100") as service, service.logged() as lines:
        threads = [threading.Thread(target=write, args=(service, worker)) for worker in range(6)]
        for thread in threads:
            thread.start()
        for number in range(1, KILLS + 1):
            time.sleep(dice.random() * 0.3)
            os.kill(dice.choice(sorted(workers_of(service))), signal.SIGKILL)
            until(lambda n=number: len([line for line in lines if "takes its place" in line]) >= n)  # type: ignore[misc]
            until(lambda: len(workers_of(service)) == 3)
        stopped.set()
        for thread in threads:
            thread.join()
    with closing(open_connection(str(registry_file))) as connection:
        kept = {row[0] for row in connection.execute("SELECT device_id FROM devices")}
        assert list(connection.execute("PRAGMA integrity_check")) == [("ok",)]
    assert acknowledged
    assert kept >= set(acknowledged)


def test_what_a_killed_worker_leaves_behind_ends_without_harm_in_process_1_of_a_container(tmp_path: Path) -> None:
    program = """
import ctypes, os, signal, socket, subprocess, time
from pathlib import Path
from homedex.cli.workers import Workers

PR_SET_CHILD_SUBREAPER = 36  # as process 1 is for all: whoever loses its parent is its child
ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

def work(number, channel):
    if number == 0 and not Path("left").exists():
        Path("left").write_text(str(subprocess.Popen(["sleep", "0.5"]).pid))
        os.kill(os.getpid(), signal.SIGKILL)
    if number == 0:
        left = Path("/proc", Path("left").read_text())
        while left.exists():  # until it has ended, and been heard of
            time.sleep(0.05)
        print("still here", flush=True)
    channel.recv(1)

Workers(2, socket.create_server(("127.0.0.1", 0)), work).run()
"""
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "still here\n"
        assert process.poll() is None
        process.terminate()
        assert process.wait(20) == 0
