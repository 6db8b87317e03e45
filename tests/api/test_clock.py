"""A clock that is set back: versions, changes and cursors go by numbers, and lose and repeat nothing."""

from datetime import UTC, datetime, timedelta

import pytest
from fastapi.testclient import TestClient

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def set_clock(client: TestClient, time: datetime) -> None:
    client.app.state.clock = lambda: time  # type: ignore[attr-defined]


def put(client: TestClient, device_id: str, name: str) -> str:
    answer = client.put(f"/api/v1/devices/{device_id}", json={"name": name})
    assert answer.status_code in {200, 201}
    return answer.headers["etag"]


def walk(client: TestClient, path: str, noun: str) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    after: str | None = f"{path}{'&' if '?' in path else '?'}limit=2"
    while after is not None:
        page = client.get(after).json()
        rows += page[noun]
        cursor = page["next"]
        after = cursor and f"{path}{'&' if '?' in path else '?'}limit=2&cursor={cursor}"
    return rows


def test_what_is_written_after_the_clock_was_set_back_is_seen_by_who_asks_what_is_new(client: TestClient) -> None:
    set_clock(client, NOON)
    put(client, "a", "first")
    seen = client.get("/api/v1/changes").json()["changes"][-1]["seq"]
    set_clock(client, NOON - timedelta(days=400))
    put(client, "a", "second")
    put(client, "b", "new")
    new = client.get(f"/api/v1/changes?since={seen}").json()["changes"]
    assert [(change["key"], change["action"]) for change in new] == [("a", "update"), ("b", "create")]
    assert new[0]["seq"] == seen + 1


def test_an_entity_tag_from_before_the_clock_was_set_back_does_not_fit_any_more(client: TestClient) -> None:
    set_clock(client, NOON)
    before = put(client, "a", "first")
    set_clock(client, NOON - timedelta(days=1))
    after = put(client, "a", "second")
    assert before != after
    assert client.get("/api/v1/devices/a", headers={"if-none-match": before}).status_code == 200
    assert client.patch("/api/v1/devices/a", json={"name": "x"}, headers={"if-match": before}).status_code == 412
    device = client.get("/api/v1/devices/a").json()
    assert (device["version"], device["modified_at"] < device["created_at"]) == (2, True)


@pytest.mark.parametrize("sort", ["", "modified_at", "-modified_at", "-created_at,name"])
def test_a_walk_loses_and_repeats_nothing_although_times_run_backwards(client: TestClient, sort: str) -> None:
    for number in range(9):
        set_clock(client, NOON - timedelta(hours=number * (-1) ** number))
        put(client, f"d{number}", f"name {number}")
    rows = walk(client, f"/api/v1/devices?sort={sort}" if sort else "/api/v1/devices", "devices")
    assert sorted(str(row["device_id"]) for row in rows) == [f"d{number}" for number in range(9)]


def test_an_idempotency_key_from_the_future_still_gives_its_answer(client: TestClient) -> None:
    body, headers = {"devices": [{"device_id": "a", "name": "x"}]}, {"idempotency-key": "one"}
    set_clock(client, NOON)
    first = client.post("/api/v1/devices/bulk", json=body, headers=headers)
    set_clock(client, NOON - timedelta(days=3))
    assert client.post("/api/v1/devices/bulk", json=body, headers=headers).text == first.text
    assert len(client.get("/api/v1/changes?kind=device").json()["changes"]) == 1
