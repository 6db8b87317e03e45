"""Edits over HTTP: PUT, PATCH and DELETE of devices, entities and areas; conditional requests; fields that belong to people."""

from datetime import UTC, datetime
from typing import Any

import pytest
from fastapi.testclient import TestClient

from homedex.ingest.observation import Observation
from homedex.ingest.run import apply_sync
from servers import write

V1 = "/api/v1"
NOW = datetime(2026, 11, 22, tzinfo=UTC)
LAMP = {"device_id": "lamp", "name": "Lamp", "area_id": "hall", "labels": ["old"], "model": "A19"}
LIGHT = {"id": "e1", "entity_id": "light.lamp", "domain": "light", "device_id": "lamp", "name": "Light"}


def sync(client: TestClient, **lamp: Any) -> None:
    areas = [{"area_id": "hall", "name": "Hall"}]
    devices = [] if lamp.get("gone") else [LAMP | lamp]
    observed = Observation("home", "home_assistant", "Home", areas, devices, [LIGHT] if devices else [])
    write(client, apply_sync, observed, allow_removals=True, now=NOW)


@pytest.fixture
def home(client: TestClient) -> TestClient:
    sync(client)
    return client


def get(client: TestClient, path: str) -> Any:
    answer = client.get(f"{V1}/{path}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_patch_changes_what_it_names_and_null_clears(client: TestClient) -> None:
    client.put(f"{V1}/devices/a", json={"name": "A", "model": "m", "labels": ["x"], "extra": {"a": 1, "b": {"c": 2, "d": 3}}})
    patch = {"model": None, "labels": None, "note": "mine", "extra": {"a": None, "b": {"c": 4}, "e": 5}}
    answer = client.patch(f"{V1}/devices/a", json=patch, headers={"content-type": "application/merge-patch+json"})
    device = answer.json()
    assert (answer.status_code, device["version"]) == (200, 2)
    assert (device["name"], device["model"], device["labels"], device["note"]) == ("A", None, [], "mine")
    assert device["extra"] == {"b": {"c": 4, "d": 3}, "e": 5}


def test_a_patch_of_what_is_so_already_changes_nothing(client: TestClient) -> None:
    first = client.put(f"{V1}/devices/a", json={"name": "A"}).json()
    assert client.patch(f"{V1}/devices/a", json={"name": "A"}).json() == first


def test_what_belongs_to_people_may_be_set_on_any_device_and_survives_every_sync(home: TestClient) -> None:
    wanted = {"area_id": "attic", "labels": ["mine"], "name_by_user": "Reading lamp", "note": "bought 2024", "disabled_by": "user"}
    assert home.patch(f"{V1}/devices/lamp", json=wanted).status_code == 200
    sync(home, area_id="cellar", labels=["new"], model="A60")
    device = get(home, "devices/lamp")
    assert device.items() >= wanted.items()
    assert device["model"] == "A60"
    assert device["source_values"] == {"area_id": "cellar", "labels": ["new"], "name_by_user": None, "disabled_by": None}
    sync(home, gone=True)
    sync(home, area_id="cellar", labels=["new"], model="A60")
    assert get(home, "devices/lamp").items() >= wanted.items()


def test_null_is_a_choice_too(home: TestClient) -> None:
    home.patch(f"{V1}/devices/lamp", json={"area_id": None})
    sync(home, area_id="cellar")
    assert get(home, "devices/lamp")["area_id"] is None


def test_a_field_is_given_back_to_its_source(home: TestClient) -> None:
    home.patch(f"{V1}/devices/lamp", json={"area_id": "attic", "labels": []})
    sync(home, area_id="cellar")
    device = home.patch(f"{V1}/devices/lamp", json={"source_values": {"area_id": None}}).json()
    assert (device["area_id"], device["labels"], device["source_values"]) == ("cellar", [], {"labels": ["old"]})
    sync(home, area_id="hall")
    assert get(home, "devices/lamp")["area_id"] == "hall"
    assert home.patch(f"{V1}/devices/lamp", json={"source_values": None}).json()["source_values"] == {}


def test_what_is_set_while_its_field_is_given_back_stays_set(home: TestClient) -> None:
    home.patch(f"{V1}/devices/lamp", json={"area_id": "attic"})
    device = home.patch(f"{V1}/devices/lamp", json={"area_id": "cellar", "source_values": {"area_id": None}}).json()
    assert (device["area_id"], device["source_values"]) == ("cellar", {"area_id": "hall"})


@pytest.mark.parametrize("patch", [{"extra": None}, {"extra": {}}, {"identifiers": None}, {"model_id": None, "model": "A19"}])
def test_a_patch_that_changes_nothing_of_what_a_source_says_is_taken(home: TestClient, patch: dict[str, Any]) -> None:
    before = get(home, "devices/lamp")
    answer = home.patch(f"{V1}/devices/lamp", json=patch)
    assert (answer.status_code, answer.json()) == (200, before)


def test_an_edit_is_answered_with_its_own_record_even_where_another_is_named_like_its_id(home: TestClient) -> None:
    rows = [{"id": "light.a", "entity_id": "light.b"}, {"id": "x", "entity_id": "light.a"}]
    assert home.post(f"{V1}/entities/bulk", json={"entities": rows}).json()["counts"] == {"created": 2}
    assert home.patch(f"{V1}/entities/light.b", json={"note": "n"}).json()["id"] == "light.a"
    again = home.post(f"{V1}/entities/bulk", json={"entities": [{"id": "light.a", "entity_id": "light.c"}]})
    assert [row["id"] for row in again.json()["results"]] == ["light.a"]
    assert get(home, "entities/light.c")["note"] == "n"


def test_an_area_of_a_source_is_meant_where_ones_own_is_gone(home: TestClient) -> None:
    home.put(f"{V1}/areas/hall", json={"name": "mine"})
    home.delete(f"{V1}/areas/hall")
    answer = home.patch(f"{V1}/areas/hall", json={"name": "x"})
    assert (answer.status_code, answer.json()["source_id"]) == (409, "home")


@pytest.mark.parametrize("patch", [{"model": "B"}, {"name": "x", "note": "y"}, {"extra": {"a": 1}}])
def test_what_a_source_says_is_changed_there(home: TestClient, patch: dict[str, Any]) -> None:
    before = get(home, "devices/lamp")
    answer = home.patch(f"{V1}/devices/lamp", json=patch)
    assert (answer.status_code, answer.json()["type"], answer.json()["source_id"]) == (409, "/problems/conflict", "home")
    assert get(home, "devices/lamp") == before
    assert home.put(f"{V1}/devices/lamp", json={"name": "x"}).status_code == 409
    assert home.delete(f"{V1}/devices/lamp").status_code == 409


def test_an_entity_is_made_renamed_and_removed_by_hand(home: TestClient) -> None:
    made = home.put(f"{V1}/entities/sensor.one", json={"device_id": "lamp", "name": "One"})
    entity = made.json()
    assert (made.status_code, entity["domain"], entity["source_id"], len(entity["id"])) == (201, "sensor", "manual", 32)
    renamed = home.patch(f"{V1}/entities/sensor.one", json={"entity_id": "light.one"}).json()
    assert (renamed["id"], renamed["domain"], renamed["version"]) == (entity["id"], "light", 2)
    assert home.get(f"{V1}/entities/sensor.one").status_code == 404
    assert home.delete(f"{V1}/entities/light.one").status_code == 204
    assert home.get(f"{V1}/entities/{entity['id']}").status_code == 410
    assert [change["action"] for change in get(home, f"changes?key={entity['id']}")["changes"]] == ["create", "rename", "remove"]


def test_an_entity_id_has_one_holder(home: TestClient) -> None:
    home.put(f"{V1}/entities/sensor.one", json={})
    home.put(f"{V1}/entities/sensor.two", json={})
    answer = home.patch(f"{V1}/entities/sensor.two", json={"entity_id": "sensor.one"})
    assert (answer.status_code, "is taken" in answer.json()["detail"]) == (409, True)


def test_an_entity_that_comes_back_takes_its_entity_id_from_nobody(client: TestClient) -> None:
    made = {"entities": [{"id": "sensor.a", "entity_id": "sensor.b", "name": "first"}]}
    assert client.post(f"{V1}/entities/bulk", json=made).status_code == 200
    assert client.delete(f"{V1}/entities/sensor.a").status_code == 204
    holder = client.put(f"{V1}/entities/sensor.b", json={"name": "second"}).json()
    refused = client.put(f"{V1}/entities/sensor.a", json={"name": "again"})
    assert (refused.status_code, refused.json()["id"]) == (409, holder["id"])
    assert client.patch(f"{V1}/entities/{holder['id']}", json={"entity_id": "sensor.c"}).status_code == 200
    restored = client.put(f"{V1}/entities/sensor.a", json={"name": "again"})
    assert (restored.status_code, restored.json()["entity_id"]) == (201, "sensor.b")


def test_an_entity_belongs_to_a_device_that_is_there(client: TestClient) -> None:
    answer = client.put(f"{V1}/entities/sensor.one", json={"device_id": "nowhere"})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "#/device_id")


def test_an_areas_name_is_found_with_its_devices(client: TestClient) -> None:
    client.put(f"{V1}/devices/a", json={"area_id": "den"})
    assert client.put(f"{V1}/areas/den", json={"name": "Höhle"}).status_code == 201
    assert get(client, "devices?q=hohle")["total"] == 1
    assert client.patch(f"{V1}/areas/den", json={"name": "Study"}).json()["version"] == 2
    assert (get(client, "devices?q=hohle")["total"], get(client, "devices?q=stud")["total"]) == (0, 1)
    assert client.delete(f"{V1}/areas/den").status_code == 204
    assert client.get(f"{V1}/areas/den").status_code == 410
    assert client.put(f"{V1}/areas/other", json={}).status_code == 422


def test_an_edit_of_what_has_changed_meanwhile_is_refused(client: TestClient) -> None:
    first = client.put(f"{V1}/devices/a", json={"name": "A"}).headers["etag"]
    second = client.patch(f"{V1}/devices/a", json={"name": "B"}, headers={"if-match": first})
    assert second.status_code == 200
    for method in ("put", "patch", "delete"):
        body: dict[str, Any] | None = None if method == "delete" else {}
        stale = client.request(method, f"{V1}/devices/a", headers={"if-match": first}, json=body)
        assert (stale.status_code, stale.json()["type"]) == (412, "/problems/precondition-failed")
    assert get(client, "devices/a")["name"] == "B"
    assert client.delete(f"{V1}/devices/a", headers={"if-match": second.headers["etag"]}).status_code == 204
    assert client.put(f"{V1}/devices/a", json={}, headers={"if-match": "*"}).status_code == 412


@pytest.mark.parametrize("tag", ['"1-abc"', "*"])
def test_what_is_not_there_is_said_before_what_was_asked_of_its_version(client: TestClient, tag: str) -> None:
    """RFC 9110, 13.2.1: a condition is ignored where the answer without it were neither 2xx nor 412."""
    moved = Observation("twin", "zigbee2mqtt", "Twin", devices=[{"device_id": "now"}], moved={})
    write(client, apply_sync, moved, allow_removals=True, now=NOW)
    now = Observation("twin", "zigbee2mqtt", "Twin", devices=[{"device_id": "later"}], moved={"now": "later"})
    write(client, apply_sync, now, allow_removals=True, now=NOW)
    sync(client)
    sync(client, gone=True)
    assert client.put(f"{V1}/devices/gone", json={}).status_code == 201
    assert client.delete(f"{V1}/devices/gone").status_code == 204
    statuses = {"none": (404, 404, 412), "gone": (410, 410, 412), "lamp": (410, 410, 410), "now": (308, 308, 308)}
    for key, expected in statuses.items():
        asked: list[tuple[str, Any]] = [("PATCH", {"note": "x"}), ("DELETE", None), ("PUT", {})]
        answers = [client.request(method, f"{V1}/devices/{key}", json=body, headers={"if-match": tag}) for method, body in asked]
        assert tuple(answer.status_code for answer in answers) == expected, key


def test_a_sighting_is_no_edit_but_other_bytes(client: TestClient) -> None:
    tag = client.put(f"{V1}/devices/a", json={}).headers["etag"]
    assert client.get(f"{V1}/devices/a", headers={"if-none-match": tag}).status_code == 304
    client.patch(f"{V1}/devices/a", json={"last_seen": "2026-11-22T10:00:00Z"})
    assert client.get(f"{V1}/devices/a", headers={"if-none-match": tag}).status_code == 200
    assert client.patch(f"{V1}/devices/a", json={"name": "x"}, headers={"if-match": tag}).status_code == 200


def test_a_new_record_can_be_asked_for_and_nothing_else(client: TestClient) -> None:
    only_new = {"if-none-match": "*"}
    assert client.put(f"{V1}/devices/a", json={"name": "1"}, headers=only_new).status_code == 201
    assert client.put(f"{V1}/devices/a", json={"name": "2"}, headers=only_new).status_code == 412
    client.delete(f"{V1}/devices/a")
    assert client.put(f"{V1}/devices/a", json={"name": "3"}, headers=only_new).status_code == 201


@pytest.mark.parametrize("header", ["3", '"1', "x, y"])
def test_a_tag_that_is_none_is_invalid(client: TestClient, header: str) -> None:
    client.put(f"{V1}/devices/a", json={})
    assert client.patch(f"{V1}/devices/a", json={}, headers={"if-match": header}).status_code == 422


def test_a_record_can_be_sent_back_as_it_came(client: TestClient) -> None:
    client.put(f"{V1}/devices/a", json={"name": "A", "labels": ["x"], "last_seen": "2026-11-22T10:00:00Z"})
    device = get(client, "devices/a?expand=entities,area")
    answer = client.put(f"{V1}/devices/a", json=device | {"name": "B"})
    assert (answer.status_code, answer.json()["name"], answer.json()["version"]) == (200, "B", 2)


def test_views_show_the_members_asked_for(home: TestClient) -> None:
    device = get(home, "devices/lamp?fields=name,area_id&expand=area,entities")
    assert list(device) == ["name", "area_id", "area", "entities"]
    assert device["area"] == {"area_id": "hall", "name": "Hall", "floor_id": None}
    assert [entity["entity_id"] for entity in device["entities"]] == ["light.lamp"]
    assert get(home, "entities/light.lamp?fields=id&expand=device")["device"]["name"] == "Lamp"
    assert get(home, "areas/hall?fields=name") == {"name": "Hall"}
    assert get(home, "sources/home?fields=kind") == {"kind": "home_assistant"}


def test_an_area_that_two_sources_have_is_changed_there(client: TestClient) -> None:
    for source_id in ("one", "two"):
        observed = Observation(source_id, "home_assistant", source_id, [{"area_id": "k", "name": "K"}])
        write(client, apply_sync, observed, allow_removals=True, now=NOW)
    for answer in (client.patch(f"{V1}/areas/k", json={"name": "L"}), client.delete(f"{V1}/areas/k")):
        assert answer.status_code == 409
        assert answer.json()["detail"] == "the area 'k' belongs to several sources, and is changed there."


def test_what_belongs_to_people_goes_on_with_the_device_that_continues_another(home: TestClient) -> None:
    wanted = {"area_id": "attic", "labels": ["mine"], "note": "bought 2024"}
    assert home.patch(f"{V1}/devices/lamp", json=wanted | {"last_seen": "2026-11-20T00:00:00Z"}).status_code == 200
    parts = [LAMP | {"device_id": "part", "labels": ["new"]}, LAMP | {"device_id": "other"}]
    observed = Observation("home", "home_assistant", "Home", [], parts, [], moved={"lamp": "part"})
    write(home, apply_sync, observed, allow_removals=True, now=NOW)
    write(home, apply_sync, observed, allow_removals=True, now=NOW)
    part = get(home, "devices/part")
    assert home.get(f"{V1}/devices/lamp", follow_redirects=True).json() == part
    assert part.items() >= wanted.items()
    assert part["source_values"] == {"area_id": "hall", "labels": ["new"]}
    assert (part["last_seen"], part["version"]) == ("2026-11-20T00:00:00.000000Z", 2)
    assert get(home, "devices/other")["note"] is None


def test_a_removed_entity_is_gone_by_its_entity_id_too(client: TestClient) -> None:
    assert client.get(f"{V1}/entities/light.a").status_code == 404
    client.put(f"{V1}/entities/light.a", json={})
    client.delete(f"{V1}/entities/light.a")
    assert client.get(f"{V1}/entities/light.a").status_code == 410
    client.put(f"{V1}/entities/light.a", json={})
    assert client.get(f"{V1}/entities/light.a").status_code == 200
