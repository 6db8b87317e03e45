"""uvicorn and granian under the same applications, on one core: which of them serves Homedex faster, and how evenly."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

from bench.load import Load
from bench.processes import REPOSITORY, BenchError, Program, Server, free_port, homedex_environment, running
from bench.reads import PATH, bodies_of
from bench.report import Figure
from bench.servers import constant, uvicorn
from bench.sides import READERS, WRITERS, Side, a_page, compared, one_each, p99, rate, take_turns


def web_servers(folder: Path) -> list[Figure]:
    """Homedex from memory, its writes, and constant bytes, each under both, in turns.

    Raises:
        BenchError: granian is not installed, or a server does not answer as the other one does.
    """
    if find_spec("granian") is None:
        raise BenchError("granian is not installed: pip install -c constraints.txt '.[bench]'")
    with four(folder) as (ours, bare):
        print(f" GET, {READERS} connections")
        pages, ones = take_turns(ours, READERS, a_page), take_turns(ours, READERS, one_each)
        print(f" PUT, {WRITERS} connections")
        puts = take_turns(ours, WRITERS, lambda side: side.writes)
        print(f" constant bytes, {READERS} connections")
        least = take_turns(bare, READERS, one_each)
    return [
        *figures("GET 50 devices, repeated read", pages),
        *figures("GET one device, repeated read", ones),
        *figures("PUT of one device", puts),
        *figures("ASGI, one device of constant bytes", least),
    ]


def figures(what: str, rounds: list[list[Load]]) -> list[Figure]:
    """Granian's rate and p99 beside uvicorn's."""
    on_uvicorn, on_granian = rounds
    return [
        compared(f"{what}, under granian", "per s", on_granian, on_uvicorn, rate, beside="uvicorn"),
        compared(f"{what}, under granian, p99", "ms", on_granian, on_uvicorn, p99, beside="uvicorn", better="less"),
    ]


@contextlib.contextmanager
def four(folder: Path) -> Iterator[tuple[list[Side], list[Side]]]:
    """Homedex under uvicorn and granian, and the bare function under both: (two, two), all with the same devices."""
    with contextlib.ExitStack() as stack:
        ours, bare = [], []
        for name, command in (("uvicorn", uvicorn), ("granian", granian)):
            own = folder / name
            own.mkdir()
            ours.append(Side(stack.enter_context(homedex_under(own, name, command)), PATH))
            ours[-1].fill()
        bodies = bodies_of(ours[0])
        for name, command in (("uvicorn", uvicorn), ("granian", granian)):
            server = constant(folder / name, "bare", f"constant, {name}", bodies, command)
            bare.append(Side(stack.enter_context(server), PATH))
            if bodies_of(bare[-1]) != bodies:
                raise BenchError(f"{bare[-1].server.name} does not answer the bytes that Homedex does")
        yield ours, bare


def homedex_under(folder: Path, name: str, command: Callable[[str, int], list[str]]) -> contextlib.AbstractContextManager[Server]:
    port = free_port()
    environment = homedex_environment(folder) | {"PYTHONPATH": str(REPOSITORY)}
    return running(Program(f"Homedex, {name}", command("bench.under:app", port), environment, "/livez"), port, folder)


def granian(app: str, port: int) -> list[str]:
    """One worker, uvloop, and no access log, as with uvicorn."""
    command = [sys.executable, "-m", "granian", app, "--interface", "asgi", "--host", "127.0.0.1", "--port", str(port)]
    return [*command, "--workers", "1", "--loop", "uvloop", "--no-ws", "--no-access-log", "--log-level", "warning"]
