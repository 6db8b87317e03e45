"""Backups over HTTP, of a real service."""

import asyncio
import sqlite3
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from fastapi.testclient import TestClient

from homedex.api import backups as backups_api
from homedex.api.app import BACKUP_ROUTES, Route, create_app, openapi_document
from homedex.registry import schema
from homedex.registry.backups import Backups
from homedex.storage.database import Database

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

pytestmark = pytest.mark.sqlite

DOCUMENT = openapi_document()
NOWHERE = "homedex-2020-01-01T00-00-00Z.db.zst"


@pytest.fixture
def backups(registry_file: Path) -> Backups:
    return Backups(str(registry_file), None)


@pytest.fixture
def client(registry_file: Path, backups: Backups) -> Iterator[TestClient]:
    opened = Database.open(str(registry_file), application_id=schema.APPLICATION_ID)
    app = create_app(opened, backups=backups)
    with TestClient(app, raise_server_exceptions=False, follow_redirects=False) as test_client:
        yield test_client


def valid(method: str, path: str, answer: Any) -> Any:
    said = DOCUMENT["paths"][path][method]["responses"][str(answer.status_code)]
    (content,) = said["content"].values()
    jsonschema_rs.validate(content["schema"] | {"components": DOCUMENT["components"]}, answer.json())
    return answer.json()


def made(client: TestClient) -> Any:
    answer = client.post("/api/v1/backups")
    assert answer.status_code == 201, answer.text
    return valid("post", "/api/v1/backups", answer)


def test_a_backup_is_made_listed_looked_at_verified_downloaded_and_removed(client: TestClient, tmp_path: Path) -> None:
    client.put("/api/v1/devices/boiler", json={"name": "Boiler"})
    first = made(client)
    assert (first["reason"], first["sequence"], first["new"]) == ("request", 2, True)
    again = client.post("/api/v1/backups")
    assert again.status_code == 200
    first = valid("post", "/api/v1/backups", again) | {"new": True}  # verified once more, before it stands for a new one
    assert again.json()["new"] is False
    client.put("/api/v1/devices/lamp", json={"name": "Lamp"})
    second = made(client)
    listed = valid("get", "/api/v1/backups", client.get("/api/v1/backups"))
    assert [one["name"] for one in listed["backups"]] == [second["name"], first["name"]]
    one = client.get(f"/api/v1/backups/{first['name']}")
    assert valid("get", "/api/v1/backups/{name}", one) | {"new": True} == first
    verified = valid("post", "/api/v1/backups/{name}/verify", client.post(f"/api/v1/backups/{first['name']}/verify"))
    assert verified["verified_at"] > first["verified_at"]

    download = client.get(f"/api/v1/backups/{first['name']}/file")
    assert download.headers["content-type"] == "application/zstd"
    assert int(download.headers["content-length"]) == len(download.content) == first["size_bytes"]
    assert first["name"] in download.headers["content-disposition"]
    plain = tmp_path / "plain.db"
    plain.write_bytes(zstd.decompress(download.content))
    connection = sqlite3.connect(plain)
    assert connection.execute("SELECT device_id FROM devices").fetchall() == [("boiler",)]
    connection.close()

    assert client.delete(f"/api/v1/backups/{first['name']}").status_code == 204
    assert client.get(f"/api/v1/backups/{first['name']}").status_code == 404


def test_a_restored_backup_is_handed_out_as_a_database(client: TestClient, backups: Backups, tmp_path: Path) -> None:
    client.put("/api/v1/devices/boiler", json={"name": "Boiler"})
    backup = made(client)
    client.put("/api/v1/devices/lamp", json={"name": "Lamp"})
    answer = client.post(f"/api/v1/backups/{backup['name']}/restore")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/vnd.sqlite3")
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert f'filename="{backup["name"].removesuffix(".zst")}"' in answer.headers["content-disposition"]
    (tmp_path / "new.db").write_bytes(answer.content)
    with TestClient(create_app(Database.open(str(tmp_path / "new.db"), application_id=schema.APPLICATION_ID))) as other:
        assert [one["device_id"] for one in other.get("/api/v1/devices").json()["devices"]] == ["boiler"]
    assert client.get("/api/v1/devices").json()["total"] == 2
    assert not list(backups.folder.path.glob(".*unfinished*"))


def test_a_database_that_is_handed_out_is_gone_whatever_becomes_of_the_client(
    client: TestClient, backups: Backups, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    name = made(client)["name"]
    files = [asyncio.run(backups.restore(name)) for _ in range(2)]
    busy = client.post(f"/api/v1/backups/{name}/restore")
    assert (busy.status_code, busy.json()["type"]) == (503, "/problems/busy")
    monkeypatch.setattr(backups_api, "IDLE_S", 0.05)

    async def send(_: Any) -> None:
        await asyncio.sleep(60)

    async def leave(_: Any) -> None:
        raise OSError("the client has gone")

    asyncio.run(backups_api.Handed(files[0], "a.db")({"type": "http"}, None, send))  # type: ignore[arg-type]
    assert "took no byte" in caplog.text
    with pytest.raises(OSError, match="has gone"):
        asyncio.run(backups_api.Handed(files[1], "a.db")({"type": "http"}, None, leave))  # type: ignore[arg-type]
    assert all(file.closed for file in files)
    assert client.post(f"/api/v1/backups/{name}/restore").status_code == 200


def test_readyz_says_how_safe_the_registry_is(client: TestClient, backups: Backups) -> None:
    none = client.get("/readyz")
    assert valid("get", "/readyz", none)["backups"] == {"made_at": None, "verified_at": None, "problem": None, "trouble": None}
    backups.trouble_said.set("Storage full: no room")
    backup = made(client)
    said = client.get("/readyz").json()
    assert said["status"] == "ok"
    assert said["backups"] == {
        "made_at": backup["made_at"],
        "verified_at": backup["verified_at"],
        "problem": None,
        "trouble": "Storage full: no room",
    }
    backups.folder.path.joinpath(backup["name"]).write_text("no backup any more")
    assert client.get("/readyz").json()["backups"]["made_at"] is None


def test_a_damaged_backup_is_a_problem_that_says_so(client: TestClient, backups: Backups) -> None:
    backup = made(client)
    path = backups.folder.path / backup["name"]
    contents = bytearray(path.read_bytes())
    contents[-30] ^= 1
    path.write_bytes(contents)
    answer = client.post(f"/api/v1/backups/{backup['name']}/verify")
    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/bad-backup")
    assert "damaged" in valid("post", "/api/v1/backups/{name}/verify", answer)["detail"]
    answer = client.post(f"/api/v1/backups/{backup['name']}/restore")
    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/bad-backup")
    assert "damaged" in valid("post", "/api/v1/backups/{name}/restore", answer)["detail"]
    assert client.get("/problems/bad-backup").status_code == 200
    assert valid("get", "/api/v1/backups/{name}", client.get(f"/api/v1/backups/{backup['name']}"))["problem"]
    path.write_text("nothing of ours")
    unreadable = valid("get", "/api/v1/backups/{name}", client.get(f"/api/v1/backups/{backup['name']}"))
    assert (unreadable["made_at"], unreadable["tables"]) == (None, None)


def test_pruning_says_what_it_removes(client: TestClient) -> None:
    for name in ("a", "b"):
        client.put(f"/api/v1/devices/{name}", json={"name": name})
        made(client)
    tried = client.post("/api/v1/backups/prune?dry_run=true")
    assert len(valid("post", "/api/v1/backups/prune", tried)["removed"]) == 1
    assert len(client.get("/api/v1/backups").json()["backups"]) == 2
    assert client.post("/api/v1/backups/prune").json() == tried.json() | {"dry_run": False}
    assert len(client.get("/api/v1/backups").json()["backups"]) == 1


def test_another_process_at_work_is_busy(client: TestClient, backups: Backups) -> None:
    name = made(client)["name"]
    client.put("/api/v1/devices/a", json={"name": "a"})
    with backups.folder.locked():
        for method, path in (
            ("post", "/api/v1/backups"),
            ("post", "/api/v1/backups/prune"),
            ("post", f"/api/v1/backups/{name}/verify"),
            ("post", f"/api/v1/backups/{name}/restore"),
            ("delete", f"/api/v1/backups/{name}"),
        ):
            answer = client.request(method, path)
            assert (answer.status_code, answer.json()["type"]) == (503, "/problems/busy"), path
            assert answer.headers["retry-after"]


@pytest.mark.parametrize("route", BACKUP_ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_every_route_refuses_what_has_no_meaning(client: TestClient, route: Route) -> None:
    path = route.path.format(name=NOWHERE)
    template = DOCUMENT["paths"][route.path][route.method.lower()]["responses"]
    answers = [client.request(route.method, f"{path}?colour=red")]
    if "{" in route.path:
        answers += [
            client.request(route.method, path),
            client.request(route.method, route.path.format(name="x" * 300)),
            client.request(route.method, route.path.format(name="..%2F..%2Fregistry.db")),
        ]
    if any(route.answers.values()):
        answers.append(client.request(route.method, path, headers={"accept": "image/png"}))
    for answer in answers:
        assert answer.headers["content-type"] == "application/problem+json"
        assert str(answer.status_code) in template or answer.status_code == 404, answer.text
    assert answers[0].status_code == 400
    assert {answer.status_code for answer in answers[1:]} <= {404, 406, 422}


def test_a_service_without_backups_says_so(registry_file: Path) -> None:
    opened = Database.open(str(registry_file), application_id=schema.APPLICATION_ID)
    with TestClient(create_app(opened)) as client:
        assert client.get("/api/v1/backups").status_code == 404
        assert "backups" not in client.get("/readyz").json()


def test_what_is_made_is_made_now(client: TestClient) -> None:
    before = datetime.now(UTC)
    assert before <= datetime.fromisoformat(made(client)["made_at"]) <= datetime.now(UTC)


def test_of_many_requests_at_once_one_makes_a_backup(client: TestClient) -> None:
    with ThreadPoolExecutor(8) as many:
        answers = list(many.map(lambda _: client.post("/api/v1/backups").status_code, range(8)))
    assert sorted(answers) == [201, *[503] * 7]
