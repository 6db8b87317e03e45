"""Commands in processes of their own that need not import everything first: a warm process forks one for each.

It is a program: `python warm.py SOCKET`. Each connection to the socket is one command: a line of JSON in, its exit code out. What
runs it is a fresh process in every other way: arguments, environment, folder, standard streams; nothing outlives the command.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

IMPORTED = (
    *("homedex.cli", "homedex.cli.wire", "homedex.registry.search", "homedex.storage.backup", "rich.progress"),
    *("rich.table", "alembic.command", "asyncpg", "homedex.api.app", "homedex.ingest.run"),
)


class Warm:
    """The warm process, started with the first command and stopped with this one."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="homedex-warm-")
        self._address = f"{self._folder.name}/socket"
        code = [sys.executable, __file__, self._address]
        # Its standard input is a pipe from here: it ends when this process does.
        self._process = subprocess.Popen(code, stdin=subprocess.PIPE)
        until = time.monotonic() + 30
        while not Path(self._address).exists():
            if time.monotonic() > until or self._process.poll() is not None:
                raise AssertionError("the warm process did not start")
            time.sleep(0.01)

    def run(self, arguments: Sequence[str], environment: Mapping[str, str], timeout_s: float) -> "subprocess.CompletedProcess[str]":
        """Run `homedex` with these arguments to its end."""
        with (
            tempfile.TemporaryFile() as out,
            tempfile.TemporaryFile() as err,
            socket.socket(socket.AF_UNIX) as connection,
        ):
            connection.settimeout(timeout_s)
            connection.connect(self._address)
            asked = {"arguments": list(arguments), "environment": dict(environment), "cwd": os.getcwd()}  # noqa: PTH109
            socket.send_fds(connection, [b"0"], [out.fileno(), err.fileno()])
            connection.sendall(json.dumps(asked).encode())
            connection.shutdown(socket.SHUT_WR)
            answer = connection.makefile("r").readline()
            said = []
            for stream in (out, err):
                stream.seek(0)
                said.append(stream.read().decode().replace("\r\n", "\n"))  # as `subprocess` does with text
        if not answer:
            raise AssertionError(f"the process that should run {list(arguments)} ended without a word: {said[1]}")
        return subprocess.CompletedProcess(["homedex", *arguments], int(answer), *said)


def serve(address: str) -> None:
    """Fork for every connection, until standard input ends."""
    for name in IMPORTED:
        __import__(name)
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(f"{address}.new")
    listening.listen(16)
    os.rename(f"{address}.new", address)  # noqa: PTH104  (who waits for it finds it ready)
    listening.settimeout(0.5)
    while os.getppid() != 1:
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        with suppress(TimeoutError):
            connection, _ = listening.accept()
            if os.fork() == 0:
                listening.close()
                answer(connection)
            connection.close()


def answer(connection: socket.socket) -> None:
    """Run one command in a child, and say how it ended."""
    connection.settimeout(None)
    _, streams, _, _ = socket.recv_fds(connection, 1, 2)
    asked: Any = json.loads(connection.makefile("rb").read())
    child = os.fork()
    if child == 0:
        connection.close()
        with open(os.devnull) as nothing:  # noqa: PTH123
            os.dup2(nothing.fileno(), 0)
        for place, stream in enumerate(streams, 1):
            os.dup2(stream, place)
            os.close(stream)
        run(asked)
    _, status = os.waitpid(child, 0)
    with suppress(OSError):
        connection.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
    os._exit(0)


def run(asked: Any) -> None:
    """Be `python -m homedex`."""
    from homedex.__main__ import main

    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(asked["environment"])
    os.chdir(asked["cwd"])
    sys.argv = ["homedex", *asked["arguments"]]
    code: Any = 0
    try:
        main()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 0 if ended.code is None else 1
    except BaseException:  # noqa: BLE001  (as the interpreter does it)
        sys.excepthook(*sys.exc_info())
        code = 1
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


if __name__ == "__main__":
    serve(sys.argv[1])
