"""The processes that are measured: real servers, each on the server's core, and commands with their time and memory."""

import contextlib
import http.client
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
SERVER, CLIENT = 0, 1
"""Which of this machine's cores is for whom."""
POLL_S = 0.002


class BenchError(Exception):
    """A measurement that cannot be made or believed; the sentence says which server and why."""


def pinnable() -> bool:
    """Whether servers and client can have a core each."""
    return hasattr(os, "sched_getaffinity") and len(os.sched_getaffinity(0)) > 1


@contextlib.contextmanager
def pinned(core: int) -> Iterator[None]:
    """Run the body, and every process it starts, on one core. Without two cores to choose from, run it as it is."""
    if not pinnable():
        yield
        return
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[core]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, set(cores))


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


Start = Callable[[Path], AbstractContextManager[Server]]


def recipe(folder: Path, url: str | None = None) -> AbstractContextManager[Server]:
    """The baseline on a database in `folder`, or on a PostgreSQL server."""
    port = free_port()
    environment = os.environ | {"RECIPE_DATABASE": url or f"sqlite+aiosqlite:///{folder / 'recipe.db'}"}
    name = "the recipe" if url is None else "the recipe on PostgreSQL"
    program = Program(name, uvicorn("bench.recipe.app:app", port), environment, "/devices?limit=1")
    return running(program, port, folder)


def homedex(folder: Path, url: str | None = None) -> AbstractContextManager[Server]:
    """Homedex as it is shipped, on a database in `folder`, or on a PostgreSQL server."""
    port = free_port()
    environment = homedex_environment(folder) | {"HOMEDEX_HOST": "127.0.0.1", "HOMEDEX_PORT": str(port)}
    if url is not None:
        environment["DATABASE_URL"] = url
    name = "Homedex" if url is None else "Homedex on PostgreSQL"
    program = Program(name, [sys.executable, "-m", "homedex", "serve"], environment, "/livez")
    return running(program, port, folder)


def constant(folder: Path) -> AbstractContextManager[Server]:
    """A bare ASGI function under the same uvicorn, to show what the load client and the HTTP server can do at most."""
    port = free_port()
    program = Program("the constant server", uvicorn("bench.constant:app", port), os.environ, "/")
    return running(program, port, folder)


def uvicorn(app: str, port: int) -> list[str]:
    """One worker, and no access log (a favour: it is on by default)."""
    command = [sys.executable, "-m", "uvicorn", app, "--app-dir", str(REPOSITORY), "--port", str(port)]
    return [*command, "--no-access-log", "--log-level", "warning"]


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
    with words.open("wb") as log, pinned(SERVER):
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
    try:
        _, status, usage = os.wait4(process.pid, 0)
    except BaseException:
        process.kill()
        process.wait()
        raise
    seconds = time.perf_counter() - begun
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise BenchError(f"`{' '.join(command[1:])}` ended with exit code {process.returncode}: {last_line(words)}")
    return Finished(seconds, usage.ru_maxrss / (1024 * 1024 if sys.platform == "darwin" else 1024))


def peak_memory_mb(server: Server) -> float:
    """The largest resident memory a running server has had.

    Raises:
        BenchError: this system has no /proc.
    """
    path = Path(f"/proc/{server.process.pid}/status")
    if not path.exists():
        raise BenchError("memory can be measured only where there is /proc (Linux)")
    line = next(line for line in path.read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024
