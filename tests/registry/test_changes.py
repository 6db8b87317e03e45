"""Changes: each write appends one row for each record, with what is otherwise now and who did it."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from fastapi.testclient import TestClient

from homedex.ingest.observation import Observation, Row
from homedex.ingest.run import apply_sync
from homedex.registry import changes
from homedex.registry.sources import MANUAL
from servers import write

V1 = "/api/v1"
ID = {"X-Request-ID": "req-7"}


def sync(client: TestClient, **listed: Any) -> None:
    observed = Observation("home", "home_assistant", "Home", **listed)
    write(client, apply_sync, observed, allow_removals=True, now=datetime.now(UTC))


def put(client: TestClient, path: str, **facts: Any) -> Any:
    answer = client.put(f"{V1}/{path}", json=facts, headers=ID)
    assert answer.status_code in {200, 201}, answer.text
    return answer.json()


def history(client: TestClient, **query: Any) -> list[Row]:
    answer = client.get(f"{V1}/changes", params={"limit": 1000, **query})
    assert answer.status_code == 200, answer.text
    rows: list[Row] = answer.json()["changes"]
    return rows


def appended(client: TestClient, do: Callable[[], Any]) -> list[Row]:
    """The changes that something appended."""
    before = history(client)
    do()
    after = history(client)
    assert after[: len(before)] == before, "what is written stays written"
    return after[len(before) :]


def said(change: Row) -> tuple[Any, ...]:
    return tuple(change[name] for name in ("action", "kind", "source_id", "key", "before", "after"))


def who(change: Row) -> tuple[Any, ...]:
    return tuple(change[name] for name in ("actor", "request_id", "run_id"))


def device(action: str, before: Row | None, after: Row, *, key: str = "a", source_id: str = MANUAL) -> tuple[Any, ...]:
    return (action, "device", source_id, key, before, after)


# By the API.


def test_the_first_record_kept_by_hand_brings_its_source_along(client: TestClient) -> None:
    source, created = appended(client, lambda: put(client, "devices/a", name="x", labels=["l"], model=None, extra={}))
    assert said(source)[:4] == ("create", "source", MANUAL, MANUAL)
    assert said(created) == device("create", None, {"device_id": "a", "name": "x", "labels": ["l"]})
    assert who(source) == who(created) == ("api", "req-7", None)
    assert created["at"] == client.get(f"{V1}/devices/a").json()["created_at"]


def test_a_device_that_changes_appends_the_changed_fields_alone(client: TestClient) -> None:
    put(client, "devices/a", name="x", model="m", extra={"k": 1, "n": {"o": 2}})
    (change,) = appended(client, lambda: put(client, "devices/a", name="y", model="m", extra={"k": 1, "n": {"o": 2}}))
    assert (said(change), who(change)) == (device("update", {"name": "x"}, {"name": "y"}), ("api", "req-7", None))
    patch = partial(client.patch, f"{V1}/devices/a", headers=ID)
    (change,) = appended(client, lambda: patch(json={"model": None, "name": "y", "extra": {"n": {"p": 3}}}))
    was, now = {"k": 1, "n": {"o": 2}}, {"k": 1, "n": {"o": 2, "p": 3}}
    assert said(change) == device("update", {"model": "m", "extra": was}, {"model": None, "extra": now})


def test_a_device_that_is_removed_and_comes_back_appends_that(client: TestClient) -> None:
    put(client, "devices/a", name="x")
    (change,) = appended(client, lambda: client.delete(f"{V1}/devices/a", headers=ID))
    removed_at = change["at"]
    assert said(change) == device("remove", {"removed_at": None}, {"removed_at": removed_at})
    assert who(change) == ("api", "req-7", None)
    (change,) = appended(client, lambda: put(client, "devices/a", name="y"))
    assert said(change) == device("restore", {"name": "x", "removed_at": removed_at}, {"name": "y", "removed_at": None})


def test_an_entity_appends_under_its_id_and_a_new_entity_id_is_a_rename(client: TestClient) -> None:
    put(client, "devices/a")
    created: list[Row] = []
    (change,) = appended(client, lambda: created.append(put(client, "entities/light.x", device_id="a")))
    key = created[0]["id"]
    names = {"entity_id": "light.x", "domain": "light", "device_id": "a", "id": key}
    assert said(change) == ("create", "entity", MANUAL, key, None, names)
    (change,) = appended(client, lambda: client.patch(f"{V1}/entities/light.x", json={"entity_id": "light.y"}))
    assert said(change) == ("rename", "entity", MANUAL, key, {"entity_id": "light.x"}, {"entity_id": "light.y"})
    (change,) = appended(client, lambda: client.patch(f"{V1}/entities/light.y", json={"name": "n", "device_id": None}))
    assert said(change) == ("update", "entity", MANUAL, key, {"name": None, "device_id": "a"}, {"name": "n", "device_id": None})
    (change,) = appended(client, lambda: client.delete(f"{V1}/entities/light.y"))
    assert said(change)[:4] == ("remove", "entity", MANUAL, key)


def test_an_area_appends_what_happens_to_it(client: TestClient) -> None:
    put(client, "devices/a")
    (change,) = appended(client, lambda: put(client, "areas/k", name="Pantry"))
    assert said(change) == ("create", "area", MANUAL, "k", None, {"area_id": "k", "name": "Pantry"})
    (change,) = appended(client, lambda: client.patch(f"{V1}/areas/k", json={"floor_id": "f"}))
    assert said(change) == ("update", "area", MANUAL, "k", {"floor_id": None}, {"floor_id": "f"})
    (change,) = appended(client, lambda: client.delete(f"{V1}/areas/k"))
    assert said(change)[0] == "remove"
    (change,) = appended(client, lambda: put(client, "areas/k", name="Larder", floor_id="f"))
    assert (change["action"], change["after"]) == ("restore", {"name": "Larder", "removed_at": None})


def test_a_request_without_an_id_gets_one_and_it_is_kept(client: TestClient) -> None:
    answer = client.put(f"{V1}/devices/a", json={})
    assert [change["request_id"] for change in history(client)] == [answer.headers["x-request-id"]] * 2


def test_a_bulk_request_appends_one_row_for_each_record_it_changes(client: TestClient) -> None:
    put(client, "devices/a", name="x")
    put(client, "devices/b", name="same")
    put(client, "devices/c")
    client.delete(f"{V1}/devices/c")
    rows = [
        {"device_id": "a", "name": "y"},
        {"device_id": "b", "name": "same"},
        {"device_id": "c", "note": "n"},
        {"device_id": "d"},
    ]
    written = appended(client, lambda: client.post(f"{V1}/devices/bulk", json={"devices": rows}, headers=ID))
    by_key = {change["key"]: said(change) for change in written}
    assert len(written) == 3
    assert by_key["a"] == device("update", {"name": "x"}, {"name": "y"})
    assert by_key["c"][0] == "restore"
    assert by_key["d"] == device("create", None, {"device_id": "d"}, key="d")
    assert {who(change) for change in written} == {("api", "req-7", None)}


def test_a_record_that_a_batch_changes_twice_appends_each_change(client: TestClient) -> None:
    put(client, "devices/a", name="x")
    rows = [{"device_id": "a", "name": "y"}, {"device_id": "a", "note": "n"}, {"device_id": "a", "name": "z"}]
    written = appended(client, lambda: client.post(f"{V1}/devices/bulk", json={"devices": rows}))
    assert [(change["before"], change["after"]) for change in written] == [
        ({"name": "x"}, {"name": "y"}),
        ({"note": None}, {"note": "n"}),
        ({"name": "y"}, {"name": "z"}),
    ]
    assert client.get(f"{V1}/devices/a").json()["version"] == 4


def test_a_user_field_of_a_synced_device_appends_what_the_source_says_beside_it(client: TestClient) -> None:
    sync(client, devices=[{"device_id": "a", "area_id": "k"}])
    (change,) = appended(client, lambda: client.patch(f"{V1}/devices/a", json={"area_id": "mine"}, headers=ID))
    before, after = {"area_id": "k", "source_values": {}}, {"area_id": "mine", "source_values": {"area_id": "k"}}
    assert said(change) == device("update", before, after, source_id="home")
    written = appended(client, lambda: sync(client, devices=[{"device_id": "a", "area_id": "w"}]))
    hidden = [said(change) for change in written if change["kind"] == "device"]
    assert hidden == [
        device("update", {"source_values": {"area_id": "k"}}, {"source_values": {"area_id": "w"}}, source_id="home"),
    ]


# By a sync.


def light(key: str, name: str, **facts: Any) -> Row:
    return {"id": key, "entity_id": f"light.{name}", "domain": "light", "platform": "hue", **facts}


def test_a_sync_appends_one_row_for_each_record_under_its_run(client: TestClient) -> None:
    area, listed = {"area_id": "k", "name": "Pantry"}, {"device_id": "a", "name": "x"}
    written = appended(client, lambda: sync(client, areas=[area], devices=[listed], entities=[light("e", "x", device_id="a")]))
    assert [(change["action"], change["kind"], change["key"]) for change in written] == [
        ("create", "source", "home"),
        ("create", "area", "k"),
        ("create", "device", "a"),
        ("create", "entity", "e"),
    ]
    (run_id,) = {change["run_id"] for change in written}
    assert {who(change) for change in written} == {("sync", None, run_id)}
    assert written[2]["after"] == listed
    assert write(client, lambda connection: connection.exec_driver_sql("SELECT run_id FROM sync_runs").scalar()) == run_id


def test_a_sync_appends_updates_removals_returns_and_renames(client: TestClient) -> None:
    def of(kind: str, **kinds: list[Row]) -> list[tuple[Any, ...]]:
        return [said(change) for change in appended(client, lambda: sync(client, **kinds)) if change["kind"] == kind]

    sync(client, devices=[{"device_id": "a", "name": "x"}], entities=[light("e", "x"), light("f", "y")])
    assert of("device", devices=[{"device_id": "a", "name": "y"}], entities=[light("e", "x"), light("f", "y")]) == [
        device("update", {"name": "x"}, {"name": "y"}, source_id="home")
    ]
    (removed,) = of("device", entities=[light("e", "x"), light("f", "y")])
    assert removed[0] == "remove"
    (back,) = of("device", devices=[{"device_id": "a", "name": "z"}], entities=[light("e", "x"), light("f", "y")])
    gone = {"name": "y", "removed_at": removed[5]["removed_at"]}
    assert back == device("restore", gone, {"name": "z", "removed_at": None}, source_id="home")
    swapped = of("entity", devices=[{"device_id": "a", "name": "z"}], entities=[light("e", "y"), light("f", "x")])
    assert swapped == [
        ("rename", "entity", "home", "e", {"entity_id": "light.x"}, {"entity_id": "light.y"}),
        ("rename", "entity", "home", "f", {"entity_id": "light.y"}, {"entity_id": "light.x"}),
    ]


def test_a_device_that_lives_on_under_another_id_appends_a_move(client: TestClient) -> None:
    sync(client, devices=[{"device_id": "old"}])
    written = appended(client, lambda: sync(client, devices=[{"device_id": "a"}], moved={"old": "a"}))
    moves = [said(change) for change in written if change["action"] == "move"]
    assert moves == [device("move", {"device_id": "old"}, {"device_id": "a"}, key="old", source_id="home")]
    listed = {"devices": [{"device_id": "a"}, {"device_id": "b"}]}
    written = appended(client, lambda: sync(client, moved={"old": "b"}, **listed))
    moves = [said(change) for change in written if change["action"] == "move"]
    assert moves == [device("move", {"device_id": "a"}, {"device_id": "b"}, key="old", source_id="home")]
    assert appended(client, lambda: sync(client, moved={"old": "b"}, **listed)) == []


def test_a_new_row_says_its_times_where_its_source_has_said_them(client: TestClient) -> None:
    said_at = {"created_at": datetime(2026, 3, 1, 12, 30, 0, 5, tzinfo=UTC), "modified_at": datetime(2026, 3, 2, tzinfo=UTC)}
    times = {"created_at": "2026-03-01T12:30:00.000005Z", "modified_at": "2026-03-02T00:00:00.000000Z"}
    all_say = {"devices": [{"device_id": key} | said_at for key in ("a", "b")]}
    some_say = {"devices": [*all_say["devices"], {"device_id": "c"} | said_at, {"device_id": "d"}]}
    written = [*appended(client, lambda: sync(client, **all_say)), *appended(client, lambda: sync(client, **some_say))]
    wanted = {key: {"device_id": key} | times for key in "abc"} | {"d": {"device_id": "d"}}
    assert {change["key"]: change["after"] for change in written if change["kind"] == "device"} == wanted


def test_a_sync_that_finds_nothing_new_appends_nothing(client: TestClient) -> None:
    listed = {"devices": [{"device_id": "a", "name": "x", "extra": {"k": [1]}}], "areas": [{"area_id": "k", "name": "n"}]}
    sync(client, **listed)
    assert appended(client, lambda: sync(client, **listed)) == []


def test_a_sync_that_finds_nothing_new_appends_nothing_after_a_person_wrote_beside_it(client: TestClient) -> None:
    said_at = datetime(2026, 3, 1, tzinfo=UTC)
    listed = {"devices": [{"device_id": "a", "name": "x", "created_at": said_at, "modified_at": said_at}]}
    sync(client, **listed)
    client.patch(f"{V1}/devices/a", json={"note": "mine"})
    assert appended(client, lambda: sync(client, **listed)) == []


# What appends nothing.

FAILING: list[tuple[str, str, Any, dict[str, str]]] = [
    ("PUT", "devices/a", {"name": 1}, {}),
    ("PUT", "devices/a", {"last_seen": "2999-01-01T00:00:00Z", "name": "y"}, {}),
    ("PUT", "devices/a", {"name": "y"}, {"If-Match": '"99-x"'}),
    ("PUT", "devices/a", {"name": "y"}, {"If-None-Match": "*"}),
    ("PUT", "devices/h", {"name": "y"}, {}),
    ("PATCH", "devices/h", {"name": "y"}, {}),
    ("PATCH", "devices/nix", {"name": "y"}, {}),
    ("PATCH", "devices/a", {"source_values": {"name": "y"}}, {}),
    ("DELETE", "devices/h", None, {}),
    ("DELETE", "devices/nix", None, {}),
    ("PUT", "entities/light.new", {"device_id": "nix"}, {}),
    ("PATCH", "entities/light.a", {"entity_id": "light.b"}, {}),
    ("PUT", "areas/k", {"floor_id": "f"}, {}),
    ("POST", "devices/bulk", {"devices": [{"device_id": "new"}, {"device_id": "h", "name": "y"}]}, {}),
    ("POST", "devices/bulk", {"devices": [{"device_id": "new"}, {"device_id": ".."}]}, {}),
    (
        "POST",
        "entities/bulk?mode=best_effort",
        {"entities": [{"entity_id": "light.a", "device_id": "nix"}, {"entity_id": "x"}]},
        {},
    ),
]
IDLE: list[tuple[str, str, Any, dict[str, str]]] = [
    ("PUT", "devices/a", {"name": "x", "extra": {"k": 1}}, {}),
    ("PUT", "devices/a", {"name": "x", "extra": {"k": 1}, "last_seen": "2026-11-20T00:00:00Z"}, {}),
    ("PATCH", "devices/a", {"name": "x", "model": None, "labels": [], "extra": {"gone": None}}, {}),
    ("PATCH", "devices/a", {}, {}),
    ("PATCH", "entities/light.a", {"entity_id": "light.a"}, {}),
    ("POST", "devices/bulk", {"devices": [{"device_id": "a", "name": "x"}, {"device_id": "h"}]}, {}),
    ("POST", "devices/bulk?dry_run=true", {"devices": [{"device_id": "a", "name": "y"}, {"device_id": "new"}]}, {}),
    (
        "POST",
        "entities/bulk?dry_run=1&mode=best_effort",
        {"entities": [{"entity_id": "light.b", "name": "y"}, {"entity_id": "x"}]},
        {},
    ),
]


def ask(client: TestClient, method: str, path: str, body: Any, headers: dict[str, str]) -> int:
    return client.request(method, f"{V1}/{path}", json=body, headers=headers).status_code


@pytest.fixture
def filled(client: TestClient) -> TestClient:
    put(client, "devices/a", name="x", extra={"k": 1})
    put(client, "entities/light.a", device_id="a")
    put(client, "entities/light.b")
    sync(client, devices=[{"device_id": "h", "name": "x"}])
    return client


@pytest.mark.parametrize(("method", "path", "body", "headers"), FAILING)
def test_a_write_that_fails_appends_nothing(filled: TestClient, method: str, path: str, body: Any, headers: dict[str, str]) -> None:
    answered: list[int] = []
    assert appended(filled, lambda: answered.append(ask(filled, method, path, body, headers))) == []
    assert answered[0] >= 400 or "best_effort" in path


@pytest.mark.parametrize(("method", "path", "body", "headers"), IDLE)
def test_a_write_that_changes_nothing_appends_nothing(
    filled: TestClient, method: str, path: str, body: Any, headers: dict[str, str]
) -> None:
    before = filled.get(f"{V1}/devices/a").json()["version"]
    answered: list[int] = []
    assert appended(filled, lambda: answered.append(ask(filled, method, path, body, headers))) == []
    assert (answered[0], filled.get(f"{V1}/devices/a").json()["version"]) == (200, before)


def test_a_best_effort_appends_for_the_rows_that_could_be_taken_alone(filled: TestClient) -> None:
    rows = [
        {"device_id": "h", "name": "y"},
        {"device_id": "a", "name": "y"},
        {"device_id": "b", "last_seen": "2999-01-01T00:00:00Z"},
    ]
    written = appended(filled, lambda: filled.post(f"{V1}/devices/bulk?mode=best_effort", json={"devices": rows}))
    assert [said(change) for change in written] == [device("update", {"name": "x"}, {"name": "y"})]


@pytest.mark.parametrize(("was", "now"), [(1, True), (0, False), (True, 1)])
def test_a_truth_value_is_no_number(filled: TestClient, was: Any, now: Any) -> None:
    put(filled, "devices/a", extra={"k": {"l": [was]}})
    (change,) = appended(filled, lambda: put(filled, "devices/a", extra={"k": {"l": [now]}}))
    assert change["after"]["extra"]["k"]["l"][0] is now
    assert filled.get(f"{V1}/devices/a").json()["extra"]["k"]["l"][0] is now


@pytest.mark.parametrize(("was", "now"), [(1, True), (False, 0)])
def test_a_truth_value_is_no_number_to_a_sync_either(client: TestClient, was: Any, now: Any) -> None:
    sync(client, devices=[{"device_id": "a", "extra": {"k": [was]}}])
    written = appended(client, lambda: sync(client, devices=[{"device_id": "a", "extra": {"k": [now]}}]))
    assert [change["after"] for change in written if change["kind"] == "device"] == [{"extra": {"k": [now]}}]
    assert client.get(f"{V1}/devices/a").json()["extra"]["k"][0] is now


def test_a_truth_value_is_no_number_in_what_a_source_says_of_itself(client: TestClient) -> None:
    sync(client, extra={"v": 1})
    (change,) = appended(client, lambda: sync(client, extra={"v": True}))
    assert change["after"]["extra"] == {"v": True}
    assert appended(client, lambda: sync(client, extra={"v": True})) == []


# Reading them.


def numbers(rows: list[Row]) -> list[int]:
    return [row["seq"] for row in rows]


def test_changes_are_numbered_in_the_order_in_which_they_happened(filled: TestClient) -> None:
    rows = history(filled)
    assert numbers(rows) == list(range(1, len(rows) + 1))
    assert [row["at"] for row in rows] == sorted(row["at"] for row in rows)
    assert numbers(history(filled, sort="-seq")) == numbers(rows)[::-1]
    assert history(filled, sort="seq") == rows


def test_whoever_remembers_a_number_gets_what_came_since(filled: TestClient) -> None:
    newest = history(filled)[-1]["seq"]
    assert history(filled, since=newest) == []
    put(filled, "devices/a", name="y")
    (change,) = history(filled, since=newest)
    assert (change["seq"], change["after"]) == (newest + 1, {"name": "y", "extra": {}})
    assert numbers(history(filled, since=2)) == list(range(3, newest + 2))


@pytest.mark.parametrize("query", [{}, {"since": 2}, {"sort": "-seq"}, {"kind": "device"}, {"since": 1, "sort": "-seq"}])
def test_pages_of_changes_lose_none_while_more_are_appended(filled: TestClient, query: Row) -> None:
    wanted, seen = numbers(history(filled, **query)), []
    cursor: dict[str, str] = {}
    while True:
        page = filled.get(f"{V1}/changes", params={**query, "limit": 2, **cursor}).json()
        seen += numbers(page["changes"])
        if page["next"] is None:
            break
        cursor = {"cursor": page["next"]}
        if len(seen) < 5:
            put(filled, f"devices/new{len(seen)}")
    assert [number for number in seen if number in wanted] == wanted
    back = numbers(page["changes"])
    while page["prev"] is not None:
        page = filled.get(f"{V1}/changes", params={**query, "limit": 2, "cursor": page["prev"]}).json()
        back = numbers(page["changes"]) + back
    assert [number for number in back if number in wanted] == wanted


def test_filters_of_changes_narrow(filled: TestClient) -> None:
    rows = history(filled)
    for name in ("kind", "action", "key", "source_id", "actor", "seq", "at"):
        for value in {row[name] for row in rows}:
            assert history(filled, **{name: value}) == [row for row in rows if row[name] == value], (name, value)
    run_id = next(row["run_id"] for row in rows if row["run_id"])
    assert {row["actor"] for row in history(filled, run_id=run_id)} == {"sync"}
    assert {row["actor"] for row in history(filled, request_id="req-7")} == {"api"}
    assert history(filled, kind=["area", "entity"], action="create", actor="api") == [
        row for row in rows if row["kind"] == "entity"
    ]
    assert history(filled, before__empty="true") == [row for row in rows if not row["before"]]
    assert history(filled, before__empty="false") == [row for row in rows if row["before"]]
    assert history(filled, after__ic="LIGHT.B") == [row for row in rows if "light.b" in str(row["after"])]
    facets = filled.get(f"{V1}/changes", params={"facet": "actor", "actor": "sync"}).json()["facets"]
    assert sum(one["count"] for one in facets["actor"]) == len(rows)


def test_the_changes_of_one_device_are_its_own_and_stay_after_it_is_gone(client: TestClient) -> None:
    put(client, "devices/a", name="x")
    put(client, "devices/b")
    put(client, "entities/light.a", device_id="a")
    client.delete(f"{V1}/devices/a")
    rows = client.get(f"{V1}/devices/a/changes").json()["changes"]
    assert [(row["kind"], row["key"], row["action"]) for row in rows] == [("device", "a", "create"), ("device", "a", "remove")]
    only = client.get(f"{V1}/devices/a/changes", params={"action": "remove", "sort": "-seq"}).json()
    assert (only["total"], only["changes"]) == (1, rows[1:])


@pytest.mark.parametrize("query", ["key=b", "kind=entity", "kind=entity&key=b", "key=b&key=c"])
def test_no_filter_leads_from_one_device_to_the_changes_of_another(client: TestClient, query: str) -> None:
    for name in ("a", "b", "c"):
        put(client, f"devices/{name}")
    page = client.get(f"{V1}/devices/a/changes?{query}").json()
    assert (page["total"], page["changes"]) == (0, [])
    assert client.get(f"{V1}/devices/a/changes?key=a&key=b").json()["total"] == 1


def test_there_are_no_changes_of_an_unknown_device(client: TestClient) -> None:
    answer = client.get(f"{V1}/devices/nix/changes")
    assert (answer.status_code, answer.json()["type"]) == (404, "/problems/not-found")
    put(client, "entities/light.a")
    key = client.get(f"{V1}/entities/light.a").json()["id"]
    assert client.get(f"{V1}/devices/{key}/changes").status_code == 404


def test_the_changes_of_a_device_that_moved_say_where_it_went(client: TestClient) -> None:
    sync(client, devices=[{"device_id": "old"}])
    sync(client, devices=[{"device_id": "a"}], moved={"old": "a"})
    rows = client.get(f"{V1}/devices/old/changes").json()["changes"]
    assert [row["action"] for row in rows] == ["create", "remove", "move"]
    assert client.get(f"{V1}/devices/old").headers["location"] == f"{V1}/devices/a"


# Forgetting them.


def test_old_changes_are_forgotten_but_for_the_newest(filled: TestClient) -> None:
    before = history(filled)
    count = write(filled, changes.prune, keep=timedelta(days=1), now=datetime.now(UTC) + timedelta(days=2))
    assert (count, history(filled)) == (len(before) - 1, before[-1:])
    assert filled.get(f"{V1}/changes").json()["total"] == 1
    put(filled, "devices/a", name="later")
    assert numbers(history(filled)) == [before[-1]["seq"], before[-1]["seq"] + 1]


def test_what_is_young_is_not_forgotten(filled: TestClient) -> None:
    before = history(filled)
    assert write(filled, changes.prune, keep=timedelta(days=1), now=datetime.now(UTC)) == 0
    assert history(filled) == before


def test_a_device_is_known_after_its_changes_were_forgotten(filled: TestClient) -> None:
    write(filled, changes.prune, keep=timedelta(0), now=datetime.now(UTC) + timedelta(days=1))
    filled.delete(f"{V1}/devices/a")
    assert [row["action"] for row in filled.get(f"{V1}/devices/a/changes").json()["changes"]] == ["remove"]
    write(filled, changes.prune, keep=timedelta(0), now=datetime.now(UTC) + timedelta(days=1))
    assert filled.get(f"{V1}/devices/a/changes").json()["total"] == 1
