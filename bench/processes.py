"""The processes that are measured: real servers, each on the server's core, and commands with their time and memory."""

import contextlib
import http.client
import math
import os
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
SERVER, CLIENT = 0, 1
"""Which of these cores is for whom."""
POLL_S = 0.002


class BenchError(Exception):
    """A measurement that cannot be made or believed; the sentence says which server and why."""


def pinnable() -> bool:
    """Whether servers and client can have a core each."""
    return len(CORES) > 1


@contextlib.contextmanager
def pinned(*places: int) -> Iterator[None]:
    """Run the body, and every process it starts, on these cores. Without two cores to choose from, run it as it is.

    Where the body of one is inside another's, the inner one counts.
    """
    if not pinnable():
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {CORES[place] for place in places})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@dataclass(frozen=True)
class Server:
    """A server that answers, and where."""

    name: str
    port: int
    process: subprocess.Popen[bytes]
    started_s: float  # from its start to its first 200


@dataclass(frozen=True)
class Program:
    """How a server is started, and where it says that it is ready."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    ready_path: str
    cores: Sequence[int] = (SERVER,)


def homedex_environment(folder: Path) -> dict[str, str]:
    """The environment of a Homedex command on a database in `folder`: its defaults, whatever this shell has set."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("HOMEDEX_")}
    return inherited | {"DATABASE_URL": f"sqlite:///{folder / 'homedex.db'}"}


@contextlib.contextmanager
def running(program: Program, port: int, folder: Path) -> Iterator[Server]:
    """Start a server in `folder`, wait for its first 200, and stop it at the end.

    Raises:
        BenchError: it ended, or gave no 200 within 30 s; with the last line it wrote.
    """
    words = folder / f"{program.name.replace(' ', '-')}.log"
    with words.open("wb") as log, pinned(*program.cores):
        begun = time.perf_counter()
        process = subprocess.Popen(program.command, cwd=folder, env=program.environment, stdout=log, stderr=subprocess.STDOUT)
    try:
        _wait_until_ready(program, process, port, words)
        yield Server(program.name, port, process, time.perf_counter() - begun)
    finally:
        _stop(process)


def _wait_until_ready(program: Program, process: subprocess.Popen[bytes], port: int, words: Path) -> None:
    name, path = program.name, program.ready_path
    deadline = time.monotonic() + 30
    answer = "nothing"
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise BenchError(f"{name} ended with exit code {process.returncode} before it answered: {last_line(words)}")
        with contextlib.suppress(OSError, http.client.HTTPException):
            status, _ = ask(port, "GET", path)
            if status == 200:
                return
            answer = str(status)
        time.sleep(POLL_S)
    raise BenchError(f"{name} answered {answer} to GET {path} for 30 s; its last words: {last_line(words)}")


def ask(port: int, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
    """Status and body of one request on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def last_line(words: Path) -> str:
    """The last line a process wrote, or that it wrote none."""
    lines = words.read_text(errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "(it wrote nothing)")


def free_port() -> int:
    """A port of 127.0.0.1 that nothing listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@dataclass(frozen=True)
class Finished:
    """A command that ended with exit code 0."""

    seconds: float
    peak_mb: float


def timed(command: Sequence[str], folder: Path) -> Finished:
    """Run a command of Homedex to its end, on the server's core, with its time and its largest resident memory.

    Raises:
        BenchError: its exit code was not 0; with the last line it wrote.
    """
    words = folder / "command.log"
    begun = time.perf_counter()
    with words.open("wb") as log, pinned(SERVER):
        process = subprocess.Popen(command, cwd=folder, env=homedex_environment(folder), stdout=log, stderr=subprocess.STDOUT)
    peak_mb = ended(process)
    seconds = time.perf_counter() - begun
    if process.returncode:
        raise BenchError(f"`{' '.join(command[1:])}` ended with exit code {process.returncode}: {last_line(words)}")
    return Finished(seconds, peak_mb)


def ended(process: "subprocess.Popen[bytes]") -> float:
    """Wait until a process has ended; its largest resident memory, in MB (NaN where there is no /proc).

    It is looked at every 10 ms. What Linux tells of it afterwards (`ru_maxrss`) will not do: the memory of whoever
    started it counts there, too.
    """
    status, peak_kb = Path(f"/proc/{process.pid}/status"), 0
    try:
        while process.poll() is None:
            with contextlib.suppress(OSError):
                for line in status.read_text().splitlines():
                    if line.startswith("VmHWM:"):
                        peak_kb = int(line.split()[1])
            time.sleep(0.01)
    except BaseException:
        process.kill()
        process.wait()
        raise
    return peak_kb / 1024 or math.nan
