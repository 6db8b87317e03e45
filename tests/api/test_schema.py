"""The service against its own document: schemathesis makes requests of it, right ones and wrong ones, and judges the answers.

This file is also where schemathesis, in a process of its own, finds what it cannot know of the registry: see `filter_case` on.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest
from sqlalchemy import Connection, insert

from homedex.api.app import PLAIN_ROUTES, ROUTES
from homedex.ingest.ha_storage import read_storage
from homedex.ingest.run import apply_sync
from homedex.registry import schema
from homedex.registry.changes import Stamp
from homedex.registry.edits import Edit, apply, remove_one
from homedex.registry.tables import DeviceId
from homedex.storage.database import Database
from service import Service

if TYPE_CHECKING:
    from schemathesis import Case, HookContext, Response
    from schemathesis.core.failures import Failure

CAPTURE = Path(__file__).parent.parent / "data" / "ha_captures" / "storage-2026.11"
NOW = datetime(2026, 11, 22, tzinfo=UTC)
OPERATIONS = len(ROUTES) + len(PLAIN_ROUTES)
LONGEST_ADDRESS = 60_000
DRAWN = int(os.environ.get("HOMEDEX_CASES_EACH", "20"))
"""Requests drawn for each operation, beside the 20,000 that are enumerated."""

SEED = os.environ.get("HOMEDEX_CASES_SEED", "1")
"""Another number draws other requests."""


# Of each kind of record: one of a source, some kept by hand, one that is gone, one that is known by another id now, and one that is
# not there (yet).
KNOWN = {
    "device_id": ("20c3c6fcd60b1a087d93def1178fa587", "boiler", "pump", "gone", "old-pump", "new"),
    "entity_id": ("light.bed_light", "sensor.boiler", "sensor.gone", "sensor.new"),
    "area_id": ("kitchen", "attic", "shed", "new"),
    "source_id": ("home", "manual", "other"),
}

# A well-formed request may be refused for what no document can say, only the registry and the clock.
BEYOND = re.compile("#/last_seen: lies in the future|#/device_id: no device|#/source_values: |sort: names .* twice")

# Every check is on. What is left out of them, and why:
CONFIG = f"""
hooks = {json.dumps(__file__)}

[generation]
allow-x00 = false  # the document does not say at each text that NUL is not taken; test_hostile sends it

[checks]
max_response_time = 30.0  # the one check that is off by itself; on the command line, `all` would undo what is left out below

[checks.positive_data_acceptance]  # a well-formed request may still be for a record that is gone, or has changed
expected-statuses = ["2xx", "3xx", "404", "409", "410", "412"]

[checks.negative_data_rejection]  # what is wrong twice is refused for either reason
expected-statuses = ["308", "400", "404", "405", "409", "410", "412", "415", "422"]

[[operations]]  # `bulk` is an id like any other, too: GET, PUT, PATCH and DELETE are answered there
include-path-regex = "/bulk$"
checks.unsupported_method.enabled = false
checks.allow_header_conformance.enabled = false

[dictionaries]
"""
CONFIG += "\n".join(f"{name}.values = {json.dumps(values)}" for name, values in KNOWN.items())
CONFIG += "\n\n[parameters]\n"
CONFIG += "\n".join(f'"path.{name}" = {{ dictionary = "{name}", probability = 0.7 }}' for name in KNOWN)


@pytest.fixture
def home(registry_file: Path) -> Path:
    """A registry with a home in it, and a few records kept by hand."""

    async def fill() -> None:
        database = Database.open(str(registry_file), application_id=schema.APPLICATION_ID)
        await database.write(apply_sync, read_storage(CAPTURE, source_id="home"), allow_removals=False, now=NOW)
        await database.write(by_hand)
        await database.close()

    asyncio.run(fill())
    return registry_file


def by_hand(connection: Connection) -> None:
    stamp = Stamp(NOW, "test")
    apply(connection, "devices", [Edit(name, {"name": name.title()}, "put") for name in ("boiler", "pump", "gone")], stamp)
    apply(connection, "entities", [Edit(f"sensor.{name}", {"device_id": "boiler"}, "put") for name in ("boiler", "gone")], stamp)
    apply(connection, "areas", [Edit(name, {"name": name.title()}, "put") for name in ("attic", "shed")], stamp)
    for noun, key in (("devices", "gone"), ("entities", "sensor.gone"), ("areas", "shed")):
        remove_one(connection, noun, Edit(key), stamp)
    connection.execute(insert(DeviceId), {"old_id": "old-pump", "device_id": "pump", "reason": "test", "moved_at": NOW})


def filter_case(_: HookContext, case: Case[Any]) -> bool:
    """No address longer than 64 KiB: the HTTP parser refuses those itself, whatever the method, and the app never hears of it."""
    return len(urlencode(case.query, doseq=True)) < LONGEST_ADDRESS


turns, conditions = itertools.count(), itertools.count()


def map_case(_: HookContext, case: Case[Any]) -> Case[Any]:
    """Get further than to the first refusal: no made-up cursor where all else is right, and half the time an id that is there.

    Cursors are in test_hostile. Where ids are drawn, KNOWN is among what they are drawn from; where they are enumerated, only here.
    A made-up condition never holds: with one in each request, none of 600 enumerated edits was carried out.
    """
    if case.meta is None:
        return case
    if case.meta.generation.mode.is_positive:
        case.query.pop("cursor", None)
        if case.path_parameters and next(conditions) % 4:
            case.query.pop("source_id", None)
            for name in ("If-Match", "If-None-Match"):
                case.headers.pop(name, None)
    wrong = getattr(case.meta.phase.data, "parameter", None)
    for name in case.path_parameters if case.meta.phase.name.value == "coverage" else ():
        turn = next(turns)
        if turn % 2 and wrong != name:
            case.path_parameters[name] = KNOWN[name][turn // 2 % len(KNOWN[name])]
    return case


def filter_failure(_: HookContext, failure: Failure, case: Case[Any], response: Response) -> bool:
    """Whether it is one."""
    kind = type(failure).__name__
    if kind == "AcceptedNegativeData":  # in such a request a wrong row fails alone
        return case.query.get("mode") != "best_effort" or "failed" not in response.json()["counts"]
    if kind != "RejectedPositiveData":
        return True
    problem = response.json()
    if problem["type"] == "/problems/bulk-refused":
        rows = [row["error"] for row in problem["results"] if row["error"]]
        return not all(row["status"] in {308, 404, 409, 410} or is_beyond_a_document(row) for row in rows)
    return not is_beyond_a_document(problem)


def is_beyond_a_document(problem: dict[str, Any]) -> bool:
    said = [f"{error['pointer']}: {error['detail']}" for error in problem.get("errors", ())]
    return problem["type"] == "/problems/idempotency-key-reused" or (bool(said) and all(map(BEYOND.match, said)))


if __name__ == "_schemathesis_hooks":  # the name by which schemathesis loads this file
    import schemathesis

    for one in (filter_case, map_case, filter_failure):
        schemathesis.hook(one)


def judge(path: Path, folder: Path, *options: str) -> dict[str, Any]:
    """Run schemathesis to its end on a service of its own; its report."""
    folder.mkdir()
    config, report = folder / "schemathesis.toml", folder / "report.json"
    config.write_text(CONFIG)
    with Service.start(path) as service:
        assert service.process.stderr is not None
        log: list[str] = []
        reading = Thread(target=log.extend, args=(service.process.stderr,))  # a full pipe would stop the service
        reading.start()
        command = [
            sys.executable,
            "-m",
            "schemathesis.cli",
            "--config-file",
            str(config),
            "run",
            f"--seed={SEED}",
            "--continue-on-failure",
        ]
        command += ["--exclude-path-regex=/backups"]  # each is a process of half a second; test_backups validates its answers
        command += ["--report=json", f"--report-json-path={report}", *options, f"http://127.0.0.1:{service.port}/openapi.json"]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        service.process.terminate()
        reading.join()
        service.process.stderr.close()
        service.process.wait()
    said = "\n".join(line[:500] for line in (done.stdout + done.stderr).splitlines())
    assert done.returncode == 0, f"{said}\n\n{''.join(log[-100:])}"
    return dict(json.loads(report.read_text()))


def assert_flawless(*reports: dict[str, Any], cases: int) -> None:
    for report in reports:
        assert (report["complete"], report["failures"], report["errors"]) == (True, [], [])
        assert report["operations"]["tested"] == report["operations"]["selected"] == OPERATIONS
    assert made(*reports) >= cases


def assert_all_were_done(*reports: dict[str, Any]) -> None:
    """Requests that are refused, every one, show nothing of what an operation answers when it does something."""
    rates = [(name, phase) for report in reports for name, phases in report["valid_rates"].items() for phase in phases.values()]
    done = {name for name, phase in rates if phase["accepted"]}
    assert len(done) == OPERATIONS, {name for name, _ in rates} - done


def made(*reports: dict[str, Any]) -> int:
    return sum(report["test_cases"]["generated"] for report in reports)


def test_requests_drawn_from_the_document_are_answered_as_it_says(home: Path, tmp_path: Path) -> None:
    report = judge(home, tmp_path / "run", "--phases=examples,fuzzing", "--max-examples=4")
    assert_flawless(report, cases=200)


@pytest.mark.slow
def test_twenty_thousand_requests_are_answered_as_the_document_says(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All that can be enumerated on one service, what can be drawn on another, at the same time."""
    other = home.with_name("other.db")
    other.write_bytes(home.read_bytes())
    with ThreadPoolExecutor() as pool:
        enumerated = pool.submit(judge, home, tmp_path / "enumerated", "--phases=coverage")
        drawn = pool.submit(judge, other, tmp_path / "drawn", "--phases=examples,fuzzing,stateful", f"--max-examples={DRAWN}")
    reports = enumerated.result(), drawn.result()
    with capsys.disabled():
        sys.stdout.write(f"\n{made(reports[0])} requests enumerated + {made(reports[1])} drawn (seed {SEED}) = {made(*reports)}\n")
    assert_flawless(*reports, cases=20_000)
    assert_all_were_done(*reports)
