"""The commands that ask: the same filters, sorts and formats as the API, and an export that comes back as it was."""

import asyncio
import csv
import io
import json
import shutil
import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Connection

from homedex.api.app import create_app, openapi_document
from homedex.ingest.exported import write_export
from homedex.registry import schema
from homedex.registry.changes import Stamp
from homedex.registry.pages import Listing
from homedex.registry.queries import Query
from homedex.registry.records import write_moves
from homedex.storage.sqlite import open_connection
from service import Service, homedex

CAPTURE = Path(__file__).parent.parent / "data" / "ha_captures" / "storage-2026.11"


@pytest.fixture(scope="module")
def home(migrated: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry with a home and some devices kept by hand."""
    path = Path(shutil.copy(migrated, tmp_path_factory.mktemp("home") / "registry.db"))
    assert homedex("import", "home-assistant", str(CAPTURE), path=path).returncode == 0
    with TestClient(create_app(schema.open_registry(str(path)))) as client:
        kept: dict[str, dict[str, Any]] = {"boiler": {"name": "=Boiler", "labels": ["ä"]}, "attic-fan": {"disabled_by": "user"}}
        for name, facts in kept.items():
            facts["last_seen"] = "2026-11-22T10:00:00Z"
            assert client.put(f"/api/v1/devices/{name}", json=facts).status_code == 201
        first = client.get("/api/v1/devices?limit=1").json()["devices"][0]["device_id"]
        assert client.patch(f"/api/v1/devices/{first}", json={"area_id": "loft", "note": "mine"}).status_code == 200
        assert client.delete("/api/v1/devices/attic-fan").status_code == 204
    return path


def lines(*arguments: str, path: Path) -> list[Any]:
    said = homedex(*arguments, path=path)
    assert said.returncode == 0, said.stderr
    return [json.loads(line) for line in said.stdout.splitlines()]


def test_a_question_on_the_command_line_is_the_apis(home: Path) -> None:
    words = ("--manufacturer__ic=TASMOTA", "--sort=-name,device_id", "--has-area", "false", "--fields", "device_id,name")
    query = "manufacturer__ic=TASMOTA&sort=-name,device_id&has_area=false&fields=device_id,name&limit=1000"
    with TestClient(create_app(schema.open_registry(str(home)))) as client:
        expected = client.get(f"/api/v1/devices?{query}").json()["devices"]
    assert expected
    assert lines("devices", *words, path=home) == expected


def test_options_may_be_written_with_hyphens_or_as_the_api_writes_them(home: Path) -> None:
    forms = (["--entity-count--gte=2"], ["--entity_count__gte", "2"], ["--entity-count--gte", "2"])
    found = [lines("devices", *form, path=home) for form in forms]
    assert found[0] == found[1] == found[2]
    assert 0 < len(found[0]) < 81


def test_searches_limits_and_tombstones_work_as_in_the_api(home: Path) -> None:
    assert [row["device_id"] for row in lines("devices", "--q", "boil", path=home)] == ["boiler"]
    assert len(lines("entities", "--limit", "3", "--sort", "entity_id", path=home)) == 3
    assert [row["device_id"] for row in lines("devices", "--removed", "true", path=home)] == ["attic-fan"]
    assert lines("devices", "--disabled", "--removed=any", path=home)[-1]["device_id"] == "attic-fan"
    assert all(not row["disabled"] for row in lines("entities", "--enabled", path=home))


def test_every_list_has_a_command_and_every_format(home: Path) -> None:
    for noun in ("devices", "entities", "areas", "sources", "changes"):
        rows = lines(noun, path=home)
        assert json.loads(homedex(noun, "--format", "json", path=home).stdout) == {noun: rows}
        table = list(csv.reader(io.StringIO(homedex(noun, "--format", "csv", path=home).stdout)))
        assert (len(table), table[0]) == (len(rows) + 1, list(rows[0]))
        assert f"{len(rows)} {noun}" in homedex(noun, "--format", "table", path=home).stdout


def test_csv_is_the_same_from_both_and_runs_no_formula(home: Path) -> None:
    with TestClient(create_app(schema.open_registry(str(home)))) as client:
        answer = client.get("/api/v1/devices.csv")
    assert answer.headers["content-type"].startswith("text/csv")
    assert answer.content.replace(b"\r\n", b"\n").decode() == homedex("devices", "--csv", path=home).stdout
    assert "'=Boiler" in answer.text


def test_changes_tell_what_happened(home: Path) -> None:
    found = lines("changes", "--kind", "device", "--key", "attic-fan", path=home)
    assert [(row["action"], row["actor"]) for row in found] == [("create", "api"), ("remove", "api")]
    last = lines("changes", "--sort=-seq", "--limit", "1", path=home)[0]
    assert lines("changes", f"--since={last['seq'] - 1}", path=home) == [last]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--colour", "red"], "there is no parameter `colour`"),
        (["--manufactuer", "x"], "Did you mean `manufacturer`?"),
        (["stray"], "'stray' is no option"),
        (["--area-id"], "--area-id has no value"),
        (["--sort", "colour"], "there is no 'colour' here"),
        (["--last-seen--lt", "yesterday"], "must be a time with its zone"),
        (["--cursor", "x"], "has no meaning here"),
    ],
)
def test_a_question_without_meaning_is_one_line_and_exit_code_2(home: Path, words: list[str], said: str) -> None:
    failed = homedex("devices", *words, path=home)
    assert (failed.returncode, failed.stdout, failed.stderr.count("\n")) == (2, "", 1)
    assert said in failed.stderr


async def lead_on(path: Path, moves: dict[str, dict[str, Any]]) -> None:
    now = datetime.now(UTC)
    rows = [
        {"old_id": old, "device_id": new["device_id"], "source_id": new["source_id"], "reason": "split", "moved_at": now}
        for old, new in moves.items()
    ]
    async with schema.open_registry(str(path)) as database:
        await database.write(write_moves, rows, Stamp(now, "command"))


def test_an_export_comes_back_byte_for_byte(home: Path, tmp_path: Path, migrated: Path) -> None:
    empty = Path(shutil.copy(migrated, tmp_path / "empty.db"))
    devices = lines("devices", path=home)[:2]
    asyncio.run(lead_on(home, {"before": devices[0], "before 'ä'": devices[1]}))
    assert homedex("export", str(tmp_path / "first"), path=home).returncode == 0
    said = homedex("import", "export", str(tmp_path / "first"), path=empty)
    assert (said.returncode, said.stderr) == (0, "")
    assert homedex("export", str(tmp_path / "second"), path=empty).returncode == 0
    for noun in ("sources", "areas", "devices", "entities", "device_ids"):
        first, second = ((tmp_path / turn / f"{noun}.ndjson").read_bytes() for turn in ("first", "second"))
        assert first == second
        assert first.count(b"\n") > 0
    again = homedex("import", "export", str(tmp_path / "first"), path=empty)
    assert "devices: 0 of 82 written" in again.stdout


def test_what_the_api_streams_can_be_sent_back_in_bulk(home: Path, tmp_path: Path, migrated: Path) -> None:
    facts = "device_id,name,labels,manufacturer,identifiers,extra,note,last_seen"
    url = f"/api/v1/devices.ndjson?source_id=manual&fields={facts}"
    with TestClient(create_app(schema.open_registry(str(home)))) as client:
        first = client.get(url).content
    empty = Path(shutil.copy(migrated, tmp_path / "empty.db"))
    with TestClient(create_app(schema.open_registry(str(empty)))) as client:
        sent = client.post("/api/v1/devices/bulk", content=first, headers={"content-type": "application/x-ndjson"})
        assert sent.json()["counts"] == {"created": 1}
        assert client.get(url).content == first


@pytest.mark.parametrize("spoil", ["missing", "broken", "wrong"])
def test_an_export_that_is_spoilt_brings_in_nothing(home: Path, tmp_path: Path, migrated: Path, spoil: str) -> None:
    assert homedex("export", str(tmp_path / "x"), path=home).returncode == 0
    file = tmp_path / "x" / "devices.ndjson"
    if spoil == "missing":
        file.unlink()
    else:
        file.write_text('{"device_id": 1}\n' if spoil == "wrong" else "{", encoding="utf-8")
    empty = Path(shutil.copy(migrated, tmp_path / "empty.db"))
    failed = homedex("import", "export", str(tmp_path / "x"), path=empty)
    assert (failed.returncode, failed.stderr.count("\n"), failed.stderr.startswith("Bad source: ")) == (3, 1, True)
    assert lines("sources", path=empty) == []


def test_old_changes_are_forgotten_where_that_is_set(home: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(home, tmp_path / "registry.db"))
    connection = open_connection(str(path))
    connection.execute("UPDATE changes SET at = '2020-01-01T00:00:00.000000Z' WHERE seq < 100")
    connection.close()
    with Service.start(path) as service:
        assert service.ask("GET", "/api/v1/changes?sort=seq&limit=1")[1]["changes"][0]["seq"] == 1
    with Service.start(path, HOMEDEX_KEEP_CHANGES_DAYS="7") as service:
        until = time.monotonic() + 20
        while service.ask("GET", "/api/v1/changes?sort=seq&limit=1")[1]["changes"][0]["seq"] != 100 and time.monotonic() < until:
            time.sleep(0.05)
        assert service.ask("GET", "/api/v1/changes?sort=seq&limit=1")[1]["changes"][0]["seq"] == 100


def test_the_document_is_printed(home: Path) -> None:
    assert json.loads(homedex("openapi", path=home).stdout) == openapi_document()


def test_help_names_the_filters(home: Path) -> None:
    assert "--manufacturer Aqara" in homedex("devices", "--help", path=home).stdout


@pytest.mark.parametrize("words", [b"GET /api/v1/devices?name=" + b"x" * 70_000 + b" HTTP/1.1\r\n\r\n", b"\x00\x01\r\n\r\n"])
def test_what_is_no_request_is_answered_as_every_other_error_is(home: Path, tmp_path: Path, words: bytes) -> None:
    with Service.start(Path(shutil.copy(home, tmp_path / "registry.db"))) as service:
        with socket.create_connection(("127.0.0.1", service.port), timeout=20) as connection:
            connection.sendall(words)
            said = b"".join(iter(lambda: connection.recv(65536), b""))
        assert service.ask("GET", "/livez")[0] == 200
    head, _, body = said.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"content-type: application/problem+json" in head
    assert json.loads(body)["type"] == "/problems/bad-request"


def test_an_export_that_is_broken_off_leaves_the_one_before_as_it_was(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken_off(_: Connection, listing: Listing, __: Query) -> Iterator[str]:
        yield "{}"
        if listing.noun == "entities":
            raise KeyboardInterrupt

    async def export() -> None:
        async with schema.open_registry(str(home)) as database:
            await database.read(write_export, tmp_path)

    asyncio.run(export())
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    monkeypatch.setattr("homedex.ingest.exported.whole", broken_off)
    with pytest.raises(KeyboardInterrupt):
        asyncio.run(export())
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before
