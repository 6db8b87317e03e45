"""What clients of a running service are told, and what a slow one does to the others."""

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.processes import Program, ask, free_port, running
from bench.servers import uvicorn

from proof.fault import Fault, Seen

CREATED, OK = 201, 200
POSTS = 10


@contextmanager
def served(side: str, folder: Path) -> Iterator[int]:
    """A block in which the app of this side runs under uvicorn; its port."""
    port = free_port()
    with running(Program(side, uvicorn(f"proof.{side}:app", port), os.environ, "/devices"), port, folder):
        yield port


def create(port: int, device_id: str, name: str) -> int:
    """The status of one POST."""
    return ask(port, "POST", "/devices", json.dumps({"device_id": device_id, "name": name}).encode())[0]


def failed_commits_in_the_recipe(folder: Path) -> Seen:
    return _failed_commits("recipe", folder)


def failed_commits_in_ours(folder: Path) -> Seen:
    return _failed_commits("ours", folder)


def _failed_commits(side: str, folder: Path) -> Seen:
    """Send devices that all have one id: only the first can be stored."""
    with served(side, folder) as port:
        statuses = [create(port, "lamp", f"name {number}") for number in range(POSTS)]
        stored = len(json.loads(ask(port, "GET", "/devices")[1]))
    created = statuses.count(CREATED)
    others = sorted({status for status in statuses if status != CREATED})
    told = f", the others {' and '.join(map(str, others))}" if others else ""
    return Seen(created != 1 or stored != 1, f"of {POSTS} POSTs {created} got a 201{told}; stored: {stored}")


def slow_client_in_the_recipe(folder: Path) -> Seen:
    return _slow_client("recipe", folder)


def slow_client_in_ours(folder: Path) -> Seen:
    return _slow_client("ours", folder)


def _slow_client(side: str, folder: Path) -> Seen:
    """Have one client read the head of a long answer and no more, and another one ask for a write."""
    with served(side, folder) as port:
        for device_id in ("lamp", "fan"):
            create(port, device_id, "x" * 8000)
        with socket.create_connection(("127.0.0.1", port), timeout=10) as slow:
            slow.sendall(b"POST /devices/lamp/export HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n")
            head = int(slow.recv(100).split()[1])
            begun = time.monotonic()
            status, _ = ask(port, "POST", "/devices/fan/export")
            seconds = time.monotonic() - begun
    locked = "database is locked" in (folder / f"{side}.log").read_text()
    why = " (`database is locked`)" if locked else ""
    return Seen(
        head != OK or status != OK,
        f"while a client that has its {head} reads slowly, another's write is answered {status}{why} after {seconds:.1f} s",
    )


FAILED_COMMITS = Fault(
    "failed-commits", "A commit that fails is answered 201.", failed_commits_in_the_recipe, failed_commits_in_ours
)
SLOW_CLIENT = Fault("slow-client", "A slow client holds the write lock.", slow_client_in_the_recipe, slow_client_in_ours)
