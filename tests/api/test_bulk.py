"""Many records in one request: atomic or best effort, tried or done, and never done twice."""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Connection

from homedex.api.app import create_app
from homedex.registry import schema
from homedex.registry.changes import Stamp
from homedex.registry.edits import Edit, apply
from homedex.storage.database import Database
from servers import write

BULK = "/api/v1/devices/bulk"
ROWS = [{"device_id": "a", "name": "A"}, {"device_id": "b", "name": 1}, {"device_id": "c", "colour": "red"}, {"name": "no id"}]


def send(client: TestClient, rows: list[Any], query: str = "", **headers: str) -> Any:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.post(f"{BULK}{query}", json={"devices": rows}, headers=named)


def fates(answer: Any) -> list[tuple[str, str]]:
    return [(row["id"], row["status"]) for row in answer.json()["results"]]


def newest(client: TestClient) -> int:
    changes = client.get("/api/v1/changes?sort=-seq&limit=1").json()["changes"]
    return changes[0]["seq"] if changes else 0


def test_rows_are_made_changed_left_and_brought_back(client: TestClient) -> None:
    for name in "abc":
        client.put(f"/api/v1/devices/{name}", json={"name": name, "model": "m"})
    client.delete("/api/v1/devices/c")
    rows = [{"device_id": "a", "name": "A"}, {"device_id": "b", "name": "b"}, {"device_id": "c"}, {"device_id": "d", "model": None}]
    answer = send(client, rows)
    assert fates(answer) == [("a", "updated"), ("b", "unchanged"), ("c", "restored"), ("d", "created")]
    assert answer.json()["counts"] == {"created": 1, "restored": 1, "unchanged": 1, "updated": 1}
    device = client.get("/api/v1/devices/a").json()
    assert (device["name"], device["model"]) == ("A", "m")


def test_absent_is_left_alone_and_null_clears(client: TestClient) -> None:
    client.put("/api/v1/devices/a", json={"name": "A", "model": "m", "labels": ["x"], "extra": {"k": 1, "l": 2}})
    send(client, [{"device_id": "a", "model": None, "labels": None, "extra": {"k": None}}])
    device = client.get("/api/v1/devices/a").json()
    assert (device["name"], device["model"], device["labels"], device["extra"]) == ("A", None, [], {"l": 2})


def test_a_member_that_is_taken_out_is_not_there_in_a_new_record_either(client: TestClient) -> None:
    rows = [{"device_id": "a", "extra": {"k": None, "l": 1}}]
    assert [fates(send(client, rows)) for _ in range(2)] == [[("a", "created")], [("a", "unchanged")]]
    assert client.get("/api/v1/devices/a").json()["extra"] == {"l": 1}


def test_one_bad_row_fails_nobody_else_in_best_effort(client: TestClient) -> None:
    answer = send(client, ROWS, "?mode=best_effort")
    assert (answer.status_code, fates(answer)) == (200, [("a", "created"), ("b", "failed"), ("c", "failed"), ("", "failed")])
    assert [row["error"] and row["error"]["errors"][0]["pointer"] for row in answer.json()["results"]] == [
        None,
        "#/name",
        "#/colour",
        "#/device_id",
    ]
    assert client.get("/api/v1/devices").json()["total"] == 1


def test_one_bad_row_fails_all_of_an_atomic_request(client: TestClient) -> None:
    before = newest(client)
    answer = send(client, ROWS)
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/bulk-refused")
    assert [row["status"] for row in answer.json()["results"]] == ["created", "failed", "failed", "failed"]
    assert (client.get("/api/v1/devices").json()["total"], newest(client)) == (0, before)


def test_later_rows_of_a_device_find_what_earlier_ones_left(client: TestClient) -> None:
    answer = send(client, [{"device_id": "a", "name": "1"}, {"device_id": "a", "model": "m"}, {"device_id": "a", "name": "1"}])
    assert fates(answer) == [("a", "created"), ("a", "updated"), ("a", "unchanged")]
    assert client.get("/api/v1/devices/a").json()["version"] == 2


def test_a_dry_run_answers_as_the_run_does_and_writes_nothing(client: TestClient) -> None:
    client.put("/api/v1/devices/b", json={"name": "B"})
    rows = [{"device_id": "b", "name": "x"}, *ROWS[:2]]
    before, revision = newest(client), client.app.state.database.revision  # type: ignore[attr-defined]
    tried = send(client, rows, "?mode=best_effort&dry_run=true").json()
    assert (newest(client), client.app.state.database.revision) == (before, revision)  # type: ignore[attr-defined]
    assert tried | {"dry_run": False} == send(client, rows, "?mode=best_effort").json()


def test_entities_are_made_by_name_and_changed_by_id(client: TestClient) -> None:
    client.put("/api/v1/devices/d", json={})
    rows = [{"entity_id": "light.one", "device_id": "d"}, {"entity_id": "light.two", "device_id": "none"}]
    first = client.post("/api/v1/entities/bulk?mode=best_effort", json={"entities": rows}).json()["results"]
    assert [row["status"] for row in first] == ["created", "failed"]
    again = [{"id": first[0]["id"], "entity_id": "light.uno"}]
    assert client.post("/api/v1/entities/bulk", json={"entities": again}).json()["counts"] == {"updated": 1}
    assert client.get("/api/v1/entities/light.uno").json()["id"] == first[0]["id"]


def test_lines_are_rows_too(client: TestClient) -> None:
    body = b'{"device_id": "a"}\n\n{"device_id": \n{"device_id": "b"}\r\n[]\n{"device_id": "c", "name": "1", "name": "2"}'
    answer = client.post(f"{BULK}?mode=best_effort", content=body, headers={"content-type": "application/x-ndjson"})
    assert [row["status"] for row in answer.json()["results"]] == ["created", "failed", "created", "failed", "failed"]


@pytest.mark.parametrize("body", [[], {}, {"devices": {}}, {"devices": [], "more": 1}, {"entities": []}, 3])
def test_a_body_of_another_shape_is_invalid(client: TestClient, body: Any) -> None:
    assert client.post(BULK, json=body).status_code == 422


def test_too_many_rows_are_refused(client: TestClient) -> None:
    assert send(client, [{"device_id": f"d{n}"} for n in range(10_001)]).status_code == 422
    assert send(client, [{"device_id": f"d{n}"} for n in range(10_000)]).json()["counts"] == {"created": 10_000}
    before = newest(client)
    assert send(client, [{"device_id": f"d{n}"} for n in range(10_000)]).json()["counts"] == {"unchanged": 10_000}
    assert newest(client) == before


MANY = [{"device_id": f"d{number:03}", "name": "n", "labels": ["x"]} for number in range(300)]


@contextmanager
def lock_held(path: Path, then: Callable[[Connection], object]) -> Iterator[threading.Event]:
    """Another that has the file open and writes until the event is set; at last it does `then`."""
    held, let_go = threading.Event(), threading.Event()

    def write_slowly(connection: Connection) -> None:
        held.set()
        if not let_go.wait(20):
            raise TimeoutError("somebody waits for the write lock")
        then(connection)

    async def work() -> None:
        async with Database.open(str(path), application_id=schema.APPLICATION_ID) as other:
            await other.write(write_slowly)

    thread = threading.Thread(target=lambda: asyncio.run(work()))
    thread.start()
    try:
        assert held.wait(20)
        yield let_go
    finally:
        let_go.set()
        thread.join(20)


@pytest.mark.sqlite
@pytest.mark.parametrize("query", ["", "?mode=best_effort", "?dry_run=true"])
def test_what_says_nothing_new_waits_for_nobody_who_writes(client: TestClient, registry: str, query: str) -> None:
    send(client, MANY)
    with lock_held(Path(registry), lambda _: None):
        answer = send(client, MANY, query)
    assert (answer.json()["counts"], answer.json()["dry_run"]) == ({"unchanged": 300}, "dry" in query)
    assert fates(answer) == [(row["device_id"], "unchanged") for row in MANY]


@pytest.mark.sqlite
@pytest.mark.parametrize("headers", [{}, {"idempotency_key": "k"}])
def test_what_is_written_after_it_was_looked_at_is_seen(client: TestClient, registry: str, headers: dict[str, str]) -> None:
    """The rows say nothing new when they come, and something new when they have the write lock."""
    send(client, MANY)
    stamp = Stamp(datetime(2026, 11, 22, tzinfo=UTC), "command")
    rename = [Edit("d007", {"name": "other"}, "upsert")]
    rows = [*MANY, {"device_id": "new"}]
    answers: list[Any] = []
    with lock_held(Path(registry), lambda connection: apply(connection, "devices", rename, stamp)) as let_go:
        asking = threading.Thread(target=lambda: answers.append(send(client, rows, **headers)))
        asking.start()
        time.sleep(0.5)  # it has been looked at by then, and waits
        let_go.set()
    asking.join(20)
    assert answers[0].json()["counts"] == {"created": 1, "unchanged": 299, "updated": 1}
    assert client.get("/api/v1/devices/d007").json()["name"] == "n"


def test_an_answer_that_nothing_is_new_is_remembered_too(client: TestClient) -> None:
    send(client, MANY)
    first = send(client, MANY, idempotency_key="k")
    client.patch("/api/v1/devices/d007", json={"name": "other"})
    assert send(client, MANY, idempotency_key="k").content == first.content
    assert client.get("/api/v1/devices/d007").json()["name"] == "other"


def test_half_a_million_unknown_names_are_gone_through_once(client: TestClient) -> None:
    """Rows that say nothing new stand where a sample is taken; the others have a hundred names each of their own."""
    rows: list[Any] = [{"device_id": f"d{number}"} for number in range(5000)]
    send(client, rows)
    rows = [row if number % 78 == 0 else row | {f"{number}_{place}": 1 for place in range(100)} for number, row in enumerate(rows)]
    answer = send(client, rows, "?mode=best_effort")
    assert answer.json()["counts"] == {"failed": 4935, "unchanged": 65}


def test_many_rows_that_say_little_new_are_told_as_they_stand(client: TestClient) -> None:
    send(client, MANY)
    rows: list[Any] = [*MANY[:290], {"device_id": "d295", "name": "other"}, {"device_id": "d296", "name": 1}, {"device_id": "new"}]
    answer = send(client, [7, *rows], "?mode=best_effort")
    assert answer.json()["counts"] == {"created": 1, "failed": 2, "unchanged": 290, "updated": 1}
    answer = send(client, [*rows, MANY[295]], "?mode=best_effort")  # one of them twice
    assert answer.json()["counts"] == {"failed": 1, "unchanged": 292, "updated": 1}
    assert client.get("/api/v1/devices/d295").json()["name"] == "n"
    refused = send(client, rows)
    assert (refused.status_code, refused.json()["results"][291]["status"]) == (422, "failed")
    assert refused.json()["results"][291]["error"]["errors"][0]["pointer"] == "#/name"


def test_the_same_request_is_not_carried_out_twice(client: TestClient) -> None:
    first = send(client, [{"device_id": "a", "name": "1"}], idempotency_key="k")
    client.patch("/api/v1/devices/a", json={"name": "2"})
    again = send(client, [{"device_id": "a", "name": "1"}], idempotency_key="k")
    assert again.content == first.content
    assert client.get("/api/v1/devices/a").json()["name"] == "2"
    other = send(client, [{"device_id": "a", "name": "3"}], idempotency_key="k")
    assert (other.status_code, other.json()["type"]) == (422, "/problems/idempotency-key-reused")


def test_an_answer_is_remembered_for_a_day(registry_file: Path) -> None:
    now = datetime(2026, 11, 22, tzinfo=UTC)
    database = Database.open(str(registry_file), application_id=schema.APPLICATION_ID)
    with TestClient(create_app(database, clock=lambda: now)) as client:
        send(client, [{"device_id": "a"}], idempotency_key="k")
        now += timedelta(hours=23, minutes=59)
        assert send(client, [{"device_id": "a"}], idempotency_key="k").json()["counts"] == {"created": 1}
        now += timedelta(minutes=2)
        assert send(client, [{"device_id": "a"}], idempotency_key="k").json()["counts"] == {"unchanged": 1}


def test_a_refused_request_is_not_remembered(client: TestClient) -> None:
    assert send(client, ROWS, idempotency_key="k").status_code == 422
    assert send(client, ROWS[:1], idempotency_key="k").status_code == 200


def test_a_key_whose_request_is_under_way_is_refused(client: TestClient) -> None:
    hold, held = threading.Event(), threading.Event()

    def wait(_: Connection) -> None:
        held.set()
        hold.wait(20)

    database: Database = client.app.state.database  # type: ignore[attr-defined]
    blocker = threading.Thread(target=lambda: asyncio.run(database.write(wait)))
    blocker.start()
    held.wait(20)
    answers: list[Any] = []
    first = threading.Thread(target=lambda: answers.append(send(client, [{"device_id": "a"}], idempotency_key="k")))
    first.start()
    until = time.monotonic() + 20
    while not client.app.state.keys_in_use and time.monotonic() < until:  # type: ignore[attr-defined]
        first.join(0.01)
    second = send(client, [{"device_id": "a"}], idempotency_key="k")
    hold.set()
    first.join(20)
    blocker.join(20)
    assert (second.status_code, second.json()["type"]) == (409, "/problems/idempotency-key-in-use")
    assert answers[0].json()["counts"] == {"created": 1}


@pytest.mark.parametrize("key", ["", "a b", "x" * 256])
def test_a_key_must_be_one(client: TestClient, key: str) -> None:
    answer = client.post(
        BULK, content=json.dumps({"devices": []}), headers={"content-type": "application/json", "idempotency-key": key}
    )
    assert answer.status_code == 422


def test_a_synced_device_takes_what_belongs_to_people_alone(client: TestClient) -> None:
    from homedex.ingest.observation import Observation
    from homedex.ingest.run import apply_sync

    observed = Observation("home", "home_assistant", "Home", devices=[{"device_id": "lamp", "name": "Lamp"}])
    now = datetime(2026, 11, 22, tzinfo=UTC)
    write(client, apply_sync, observed, allow_removals=True, now=now)
    rows = [{"device_id": "lamp", "note": "n"}, {"device_id": "lamp", "name": "other"}, {"device_id": "lamp", "name": "Lamp"}]
    answer = send(client, rows, "?mode=best_effort")
    assert [row["status"] for row in answer.json()["results"]] == ["updated", "failed", "unchanged"]
    assert answer.json()["results"][1]["error"]["type"] == "/problems/conflict"
