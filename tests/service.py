"""A real `homedex serve` in a process of its own, for the tests that need one."""

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Self

from warm import Warm

NOTHING: Mapping[str, str] = {}
WORKERS, CACHE_MB = os.environ.get("TEST_WORKERS", "1"), os.environ.get("TEST_CACHE_MB", "32")
"""With how many processes a service is, and what it keeps: `make test-variants` runs the tests with others."""


@cache
def warm() -> Warm:
    """The one warm process of this process."""
    return Warm()


def environment(path: Path, **settings: str) -> dict[str, str]:
    """The environment of a command that works on the registry at `path`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HOMEDEX_", "DATABASE_URL"))}
    own = {"DATABASE_URL": f"sqlite:///{path}", "COLUMNS": "200", "HOMEDEX_BACKUP_SCHEDULE": "off"}
    if settings.get("DATABASE_URL", "").startswith("postgresql"):  # whose backups would lie in ./data of whoever runs the tests
        own["HOMEDEX_BACKUP_DIR"] = str((path if path.is_dir() else path.parent) / "backups")
    return kept | own | {"HOMEDEX_WORKERS": WORKERS, "HOMEDEX_CACHE_MB": CACHE_MB} | settings


def homedex(
    *arguments: str,
    path: Path,
    prefix: Sequence[str] = (),
    before_start: Callable[[], None] | None = None,
    settings: Mapping[str, str] = NOTHING,
) -> "subprocess.CompletedProcess[str]":
    """Run one command to its end; `prefix` is a command that runs it, `before_start` runs in its process first.

    With neither, the process is forked from one that has imported everything: a tenth of the time.
    """
    if not prefix and before_start is None and "PYTHONPATH" not in settings:  # which says which code is to be run
        return warm().run(arguments, environment(path, **settings), 60)
    command = [*prefix, sys.executable, "-m", "homedex", *arguments]
    return subprocess.run(
        command,
        env=environment(path, **settings),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        preexec_fn=before_start,
    )


def until(holds: Callable[[], object], limit_s: float = 20) -> None:
    """Return once something holds."""
    end = time.monotonic() + limit_s
    while not holds():
        assert time.monotonic() < end, f"it did not come to be so within {limit_s} s"
        time.sleep(0.02)


@dataclass
class Service:
    """`homedex serve` on a free port of loopback; leave the `with` block and it is stopped by SIGTERM."""

    path: Path
    process: "subprocess.Popen[str]"
    port: int
    log: str = ""

    @classmethod
    def start(cls, path: Path, *, prefix: Sequence[str] = (), **settings: str) -> Self:
        """Start it and wait until it says where it listens; `prefix` is a command that runs it."""
        variables = environment(path, HOMEDEX_PORT="0", **settings)
        command = [*prefix, sys.executable, "-m", "homedex", "serve"]
        process = subprocess.Popen(command, env=variables, stderr=subprocess.PIPE, text=True)
        assert process.stderr is not None
        said = process.stderr.readline()
        if "http://127.0.0.1:" not in said:
            process.kill()
            raise AssertionError(said + process.stderr.read())
        service = cls(path, process, int(said.partition("http://127.0.0.1:")[2].split()[0]))
        service.wait()
        return service

    def wait(self) -> None:
        """Return once it answers."""
        until = time.monotonic() + 20
        while time.monotonic() < until:
            try:
                if self.ask("GET", "/livez")[0] == 200:
                    return
            except OSError:
                time.sleep(0.01)
        raise AssertionError("the service did not answer within 20 s")

    def ask(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] = NOTHING) -> tuple[int, Any]:
        """(status, JSON) of one request on a connection of its own."""
        status, _, answer = self.exchange(method, path, body, headers)
        return status, answer

    def exchange(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] = NOTHING
    ) -> tuple[int, Mapping[str, str], Any]:
        """(status, headers, JSON) of one request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            kind = {"content-type": "application/json"}
            connection.request(method, path, None if body is None else json.dumps(body), kind | dict(headers))
            answer = connection.getresponse()
            text = answer.read()
            return answer.status, dict(answer.getheaders()), json.loads(text) if text else None
        finally:
            connection.close()

    @contextmanager
    def logged(self) -> Iterator[list[str]]:
        """The lines that it says, read as they come (a full pipe would stop it); it is stopped at the end of the block."""
        lines: list[str] = []
        assert self.process.stderr is not None
        reading = threading.Thread(target=lines.extend, args=(self.process.stderr,))
        reading.start()
        try:
            yield lines
        finally:
            self.process.terminate()
            self.process.wait(20)
            reading.join()
            self.process.stderr.close()

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal; the exit code. `log` then holds what it said since it began to listen."""
        self.process.send_signal(number)
        code = self.process.wait(20)
        assert self.process.stderr is not None
        self.log = self.process.stderr.read()
        self.process.stderr.close()
        return code

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.stop()
