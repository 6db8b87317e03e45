"""A real home over HTTP: what Home Assistant 2026.11 wrote down."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Connection, insert

from homedex.ingest.ha_storage import read_storage
from homedex.ingest.run import apply_sync
from homedex.registry.changes import Stamp
from homedex.registry.records import create_rows
from homedex.registry.sources import create_source
from homedex.registry.tables import DeviceId
from servers import write

CAPTURE = Path(__file__).parent.parent / "data" / "ha_captures" / "storage-2026.11"
NOW = datetime(2026, 11, 22, tzinfo=UTC)


def bring_in(client: TestClient, source_id: str) -> None:
    observed = read_storage(CAPTURE, source_id=source_id)
    write(client, apply_sync, observed, allow_removals=False, now=NOW)


@pytest.fixture
def home(client: TestClient) -> TestClient:
    bring_in(client, "home")
    return client


def total(client: TestClient, path: str) -> int:
    answer = client.get(f"/api/v1/{path}")
    assert answer.status_code == 200, answer.text
    return int(answer.json()["total"])


def test_everything_is_there(home: TestClient) -> None:
    assert [total(home, noun) for noun in ("devices", "entities", "areas", "sources")] == [80, 187, 3, 1]


def test_a_device_counts_its_entities_and_lists_them(home: TestClient) -> None:
    devices = home.get("/api/v1/devices?limit=1000").json()["devices"]
    alone = [entity for entity in home.get("/api/v1/entities?limit=1000").json()["entities"] if entity["device_id"] is None]
    assert sum(device["entity_count"] for device in devices) == 187 - len(alone) == 177
    for device in devices[:10]:
        assert total(home, f"devices/{device['device_id']}/entities") == device["entity_count"]


def test_devices_are_found_by_what_their_entities_are(home: TestClient) -> None:
    with_lights = home.get("/api/v1/devices?domain=light&limit=1000").json()["devices"]
    lights = home.get("/api/v1/entities?domain=light&limit=1000").json()["entities"]
    assert {device["device_id"] for device in with_lights} == {light["device_id"] for light in lights if light["device_id"]}
    assert with_lights


def test_entities_stand_where_their_device_stands(home: TestClient) -> None:
    in_garden = home.get("/api/v1/entities?area_id=garden&limit=1000").json()["entities"]
    devices = {device["device_id"] for device in home.get("/api/v1/devices?area_id=garden").json()["devices"]}
    assert in_garden
    assert all(entity["area_id"] == "garden" or entity["device_id"] in devices for entity in in_garden)


def test_filters_of_entities_count_what_there_is(home: TestClient) -> None:
    everything = home.get("/api/v1/entities?limit=1000").json()["entities"]
    for name in ("domain", "platform"):
        for value in {entity[name] for entity in everything}:
            assert total(home, f"entities?{name}={value}") == sum(entity[name] == value for entity in everything)
    assert total(home, "entities?disabled=true") == sum(entity["disabled"] for entity in everything)
    assert total(home, "entities?manufacturer=Tasmota") > 0


def test_an_entity_is_found_by_its_entity_id_and_by_its_registry_id(home: TestClient) -> None:
    first = home.get("/api/v1/entities?limit=1").json()["entities"][0]
    assert home.get(f"/api/v1/entities/{first['entity_id']}").json() == first
    assert home.get(f"/api/v1/entities/{first['id']}").json() == first


def test_an_entity_id_that_two_sources_have_must_be_asked_for_with_its_source(home: TestClient) -> None:
    entity = home.get("/api/v1/entities?limit=1").json()["entities"][0]
    twin = entity | {"id": "x", "source_id": "other"}

    def add_twin(connection: Connection) -> None:
        stamp = Stamp(NOW, "test")
        create_source(connection, {"source_id": "other", "kind": "home_assistant", "name": "Other", "state": "ok"}, stamp)
        row = {"id": "x", "entity_id": entity["entity_id"], "domain": entity["domain"]}
        create_rows(connection, "entities", "other", [row], stamp)

    write(home, add_twin)
    both = home.get(f"/api/v1/entities/{entity['entity_id']}")
    assert (both.status_code, both.json()["sources"]) == (409, ["home", "other"])
    assert home.get(f"/api/v1/entities/{entity['entity_id']}?source_id=other").json()["id"] == twin["id"]
    assert home.get(f"/api/v1/entities/{entity['entity_id']}?source_id=third").status_code == 404


def test_a_source_keeps_its_devices_to_itself(home: TestClient) -> None:
    device_id = home.get("/api/v1/devices?limit=1").json()["devices"][0]["device_id"]
    for answer in (home.put(f"/api/v1/devices/{device_id}", json={}), home.delete(f"/api/v1/devices/{device_id}")):
        assert (answer.status_code, answer.json()["source_id"]) == (409, "home")


@pytest.mark.parametrize("old_id", ["d504", "z2m:0x00124b", "api", "de", "devices", "a b", "ü"])
def test_an_old_id_leads_to_the_device_with_the_query_kept(home: TestClient, old_id: str) -> None:
    device_id = home.get("/api/v1/devices?limit=1").json()["devices"][0]["device_id"]

    def remember(connection: Connection) -> None:
        connection.execute(insert(DeviceId), {"old_id": old_id, "device_id": device_id, "reason": "test", "moved_at": NOW})

    write(home, remember)
    answer = home.get(f"/api/v1/devices/{old_id}")
    assert (answer.status_code, answer.headers["location"]) == (308, f"/api/v1/devices/{device_id}")
    assert (
        home.get(f"/api/v1/devices/{old_id}/entities?limit=1").headers["location"]
        == f"/api/v1/devices/{device_id}/entities?limit=1"
    )


def test_an_old_id_cannot_be_taken_by_hand(home: TestClient) -> None:
    device_id = home.get("/api/v1/devices?limit=1").json()["devices"][0]["device_id"]

    def remember(connection: Connection) -> None:
        connection.execute(insert(DeviceId), {"old_id": "d504", "device_id": device_id, "reason": "test", "moved_at": NOW})

    write(home, remember)
    assert home.put("/api/v1/devices/d504", json={}).status_code == 308


def test_the_same_home_under_two_names_is_told_record_by_record(home: TestClient) -> None:
    observed = read_storage(CAPTURE, source_id="again")
    plan = write(home, apply_sync, observed, allow_removals=False, now=NOW)
    assert (len(plan.devices.create), len(plan.entities.create)) == (0, 0)
    assert len([rejection for rejection in plan.rejections if rejection.kind == "device"]) == 80
    assert total(home, "devices?source_id=again") == 0
