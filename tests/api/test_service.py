"""The service as a whole: health, docs, errors."""

import asyncio
import contextlib
import json
import re
import shutil
import sqlite3
from pathlib import Path
from typing import cast

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from pydantic import BaseModel
from sqlalchemy import Connection
from sqlalchemy import text as sql
from starlette.routing import Match

from homedex.api.app import BACKUP_ROUTES, PLAIN_ROUTES, ROUTES, create_app, openapi_document
from homedex.api.openapi import ALWAYS
from homedex.registry import inputs, schema, schemas
from homedex.storage.database import Database
from servers import write

pytestmark = pytest.mark.sqlite


def test_it_lives_without_asking_the_database(client: TestClient) -> None:
    asyncio.run(client.app.state.database.close())  # type: ignore[attr-defined]
    assert client.get("/livez").json() == {"status": "ok"}
    ready = client.get("/readyz")
    assert (ready.status_code, ready.json()["status"]) == (503, "not ready")


def test_it_is_ready_when_every_check_is_ok(client: TestClient) -> None:
    checks = {"read": "ok", "schema": "ok", "write": "ok", "disk": "ok"}
    ready = client.get("/readyz").json()
    assert (ready["status"], ready["checks"]) == ("ok", checks)


def test_it_says_how_large_the_log_is_that_a_reader_lets_grow(client: TestClient, registry_file: Path) -> None:
    log = Path(f"{registry_file}-wal")
    with contextlib.closing(sqlite3.connect(registry_file, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM devices").fetchone()
        for number in range(3):
            before = client.get("/readyz").json()["wal_bytes"]
            assert client.put("/api/v1/devices/a", json={"note": f"{number}"}).is_success
            assert client.get("/readyz").json()["wal_bytes"] == log.stat().st_size > before


def test_asking_whether_it_is_ready_changes_nothing(client: TestClient) -> None:
    before = client.app.state.database.revision  # type: ignore[attr-defined]
    assert client.get("/readyz").status_code == 200
    assert client.app.state.database.revision == before  # type: ignore[attr-defined]


def test_it_is_not_ready_while_another_process_holds_the_write_lock(registry_file: Path) -> None:
    holder = Database.open(str(registry_file), readers=1)
    database = Database.open(str(registry_file), application_id=schema.APPLICATION_ID, busy_timeout_s=0.05)

    async def hold_and_ask() -> None:
        entered, leave = asyncio.Event(), asyncio.Event()
        loop = asyncio.get_running_loop()

        def hold(_: Connection) -> None:
            loop.call_soon_threadsafe(entered.set)
            asyncio.run_coroutine_threadsafe(leave.wait(), loop).result(10)

        holding = asyncio.ensure_future(holder.write(hold))
        await entered.wait()
        with TestClient(create_app(database)) as client:
            answer = await asyncio.to_thread(client.get, "/readyz")
        leave.set()
        await holding
        await holder.close()
        assert (answer.status_code, "write lock" in answer.json()["checks"]["write"]) == (503, True)

    asyncio.run(hold_and_ask())


def test_a_schema_that_is_not_at_head_is_not_ready(client: TestClient) -> None:
    def go_back(connection: Connection) -> None:
        connection.execute(sql("UPDATE alembic_version SET version_num = '0000'"))

    write(client, go_back)
    assert client.get("/readyz").json()["checks"]["schema"].startswith("at 0000")


def test_an_empty_registry_says_how_to_fill_it_and_a_full_one_leads_to_the_docs(client: TestClient) -> None:
    assert "homedex import home-assistant" in client.get("/").text
    client.put("/api/v1/devices/a", json={})
    assert (client.get("/").status_code, client.get("/").headers["location"]) == (307, "/docs")


def test_the_docs_list_every_route_with_a_summary_and_its_errors(client: TestClient) -> None:
    assert client.get("/docs").status_code == 200
    paths = client.get("/openapi.json").json()["paths"]
    assert set(paths) == {route.path for route in (*ROUTES, *BACKUP_ROUTES, *PLAIN_ROUTES)}
    for route in (*ROUTES, *BACKUP_ROUTES):
        operation = paths[route.path][route.method.lower()]
        assert operation["summary"]
        assert {str(status) for status in (*route.answers, *route.faults, *ALWAYS)} <= set(operation["responses"])


@pytest.mark.parametrize(
    ("method", "path", "status", "kind"),
    [
        ("GET", "/nowhere", 404, "no-such-page"),
        ("GET", "/api/v1/device", 404, "no-such-page"),
        ("POST", "/api/v1/devices", 405, "method-not-allowed"),
        ("GET", "/api/v1/entities/light.none", 404, "not-found"),
        ("GET", "/api/v1/areas?limit=x", 422, "invalid"),
        ("GET", "/api/v1/sources?colour=red", 400, "unknown-parameter"),
    ],
)
def test_every_error_is_a_problem_document(client: TestClient, method: str, path: str, status: int, kind: str) -> None:
    answer = client.request(method, path)
    problem = answer.json()
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert problem.items() >= {"type": f"/problems/{kind}", "status": status, "instance": path.partition("?")[0]}.items()
    assert problem["title"]
    assert problem["detail"]


def test_head_answers_as_get_does_without_the_body(client: TestClient) -> None:
    for path in ("/livez", "/api/v1/devices"):
        assert client.head(path).status_code == 200


def test_a_wrong_method_is_told_all_right_ones(client: TestClient) -> None:
    assert client.post("/api/v1/devices/a").headers["allow"] == "DELETE, GET, HEAD, PATCH, PUT"


def test_the_document_names_the_media_type_of_problems(client: TestClient) -> None:
    responses = client.get("/openapi.json").json()["paths"]["/api/v1/devices/{device_id}"]["get"]["responses"]
    assert list(responses["404"]["content"]) == ["application/problem+json"]
    assert responses["404"]["content"]["application/problem+json"]["schema"] == {"$ref": "#/components/schemas/Problem"}


def test_every_example_in_the_document_is_what_its_model_says() -> None:
    bodies = {route.body for route in ROUTES if route.body is not None}
    models: set[type[BaseModel]] = {schemas.Problem, schemas.InvalidProblem, *bodies}
    models |= {model for route in ROUTES for model in route.answers.values() if isinstance(model, type)}
    for model in models - {inputs.DeviceRows, inputs.EntityRows}:
        for example in model.model_json_schema()["examples"]:
            assert model.model_validate(example).model_fields_set >= {name for name in example if name in model.model_fields}
            assert set(example) >= {name for name, field in model.model_fields.items() if field.is_required()}


def test_a_folder_that_is_taken_away_makes_the_service_not_ready(client: TestClient, registry_file: Path) -> None:
    registry_file.parent.rename(registry_file.parent.with_suffix(".away"))
    answer = client.get("/readyz")
    registry_file.parent.with_suffix(".away").rename(registry_file.parent)
    assert (answer.status_code, answer.json()["status"], answer.json()["checks"]["disk"]) == (
        503,
        "not ready",
        "No such file or directory",
    )


@pytest.mark.parametrize("how", ["removed", "replaced"])
def test_a_database_file_that_is_taken_away_is_never_written_to(client: TestClient, registry_file: Path, how: str) -> None:
    client.put("/api/v1/devices/a", json={})
    if how == "removed":
        registry_file.rename(registry_file.with_suffix(".away"))
    else:
        shutil.copy(registry_file, registry_file.with_suffix(".new"))
        registry_file.with_suffix(".new").rename(registry_file)
    answer = client.put("/api/v1/devices/b", json={})
    assert (answer.status_code, answer.json()["type"]) == (503, "/problems/storage-unavailable")
    assert "removed or replaced" in client.get("/readyz").json()["checks"]["write"]


def test_a_bug_tells_the_client_nothing_of_itself(client: TestClient) -> None:
    def break_it(connection: Connection) -> None:
        connection.execute(sql("DROP TABLE sightings"))

    write(client, break_it)
    answer = client.get("/api/v1/devices")
    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
    assert "sightings" not in answer.text
    assert "SELECT" not in answer.text


def test_a_commit_that_fails_is_never_answered_with_success(client: TestClient) -> None:
    def refuse_commits(connection: Connection) -> None:
        connection.execute(sql("CREATE TABLE p (id INTEGER PRIMARY KEY)"))
        connection.execute(sql("CREATE TABLE c (p INTEGER REFERENCES p(id) DEFERRABLE INITIALLY DEFERRED)"))
        connection.execute(sql("CREATE TRIGGER orphan AFTER INSERT ON devices BEGIN INSERT INTO c VALUES (1); END"))

    write(client, refuse_commits)
    answer = client.put("/api/v1/devices/a", json={})
    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
    assert client.get("/api/v1/devices/a").status_code == 404


def test_a_read_past_its_deadline_is_a_problem_with_retry_after(registry_file: Path) -> None:
    database = Database.open(str(registry_file), application_id=schema.APPLICATION_ID, read_deadline_s=0.000001)

    def slow(connection: Connection) -> None:
        endless = (
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) INSERT INTO areas SELECT 'm', i, i, NULL, '[]', '[]',"
        )
        ends = " '{}', '', NULL, NULL, '', '', 1 FROM n LIMIT 30000"
        source = "INSERT INTO sources VALUES ('m', 'manual', 'm', 'ok', NULL, NULL, '{}', '', '', 1)"
        connection.execute(sql(source))
        connection.execute(sql(endless + ends))

    asyncio.run(database.write(slow))
    with TestClient(create_app(database)) as client:
        answer = client.get("/api/v1/areas?limit=1000")
    assert (answer.status_code, answer.headers["retry-after"], answer.json()["type"]) == (503, "1", "/problems/query-timeout")


def test_the_contract_is_the_one_in_the_repository() -> None:
    kept = Path(__file__).parents[2] / "docs" / "openapi.json"
    assert json.loads(kept.read_text(encoding="utf-8")) == openapi_document(), (
        "homedex openapi > docs/openapi.json, and read the diff"
    )


def test_no_route_hides_another(client: TestClient) -> None:
    app = cast("FastAPI", client.app)
    for route in ROUTES:
        path = re.sub(r"\{\w+\}", "light.x", route.path)
        scope = {"type": "http", "path": path, "method": route.method, "root_path": "", "headers": []}
        found = next(one for one in app.routes if one.matches(scope)[0] is Match.FULL)
        assert getattr(found, "endpoint", None) is route.endpoint, route.path
