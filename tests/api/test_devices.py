"""Devices over HTTP."""

import base64
from typing import Any

import pytest
from fastapi.testclient import TestClient

from homedex.api.deps import LARGEST_BODY_BYTES

DEVICES = "/api/v1/devices"
BOILER = {
    "name": "Boiler",
    "manufacturer": "Vaillant",
    "labels": ["heat"],
    "identifiers": [["serial", "21-1402"]],
    "extra": {"kW": 24.5},
}


def put(client: TestClient, device_id: str, **facts: Any) -> Any:
    answer = client.put(f"{DEVICES}/{device_id}", json=facts)
    assert answer.status_code in {200, 201}, answer.text
    return answer.json()


def ids(answer: Any) -> list[str]:
    return [device["device_id"] for device in answer.json()["devices"]]


def test_a_new_device_is_created_with_every_field(client: TestClient) -> None:
    answer = client.put(f"{DEVICES}/boiler", json=BOILER)
    device = answer.json()
    assert answer.status_code == 201
    assert device.items() >= BOILER.items()
    assert device | {"source_id": "manual", "display_name": "Boiler", "disabled": False, "entity_count": 0, "version": 1} == device
    assert device["created_at"] == device["modified_at"] == device["first_listed_at"]
    assert client.get(f"{DEVICES}/boiler").json() == device


def test_putting_the_same_again_writes_nothing(client: TestClient) -> None:
    first = put(client, "boiler", **BOILER)
    revision = client.app.state.database.revision  # type: ignore[attr-defined]
    answer = client.put(f"{DEVICES}/boiler", json=BOILER)
    assert (answer.status_code, answer.json()) == (200, first)
    assert client.app.state.database.revision == revision  # type: ignore[attr-defined]


def test_putting_replaces_the_whole(client: TestClient) -> None:
    first = put(client, "boiler", **BOILER)
    second = put(client, "boiler", name="Old boiler")
    assert (second["manufacturer"], second["labels"], second["extra"]) == (None, [], {})
    assert (second["version"], second["created_at"]) == (2, first["created_at"])
    assert second["modified_at"] > first["modified_at"]


def test_the_users_name_is_the_one_displayed(client: TestClient) -> None:
    assert put(client, "a", name="TRADFRI 60", name_by_user="Desk lamp")["display_name"] == "Desk lamp"


def test_a_sighting_is_kept_in_utc_and_never_goes_back(client: TestClient) -> None:
    put(client, "a", last_seen="2026-11-22T14:00:00+02:00")
    put(client, "a", last_seen="2026-11-22T11:00:00Z")
    device = put(client, "a", name="x")
    assert (device["last_seen"], device["seen_by"]) == ("2026-11-22T12:00:00.000000Z", "api")


def test_a_sighting_does_not_count_as_a_change(client: TestClient) -> None:
    put(client, "a")
    assert put(client, "a", last_seen="2026-11-22T11:00:00Z")["version"] == 1


def test_a_removed_device_is_gone_and_can_come_back(client: TestClient) -> None:
    put(client, "a", name="x")
    assert client.delete(f"{DEVICES}/a").status_code == 204
    gone = client.get(f"{DEVICES}/a")
    assert (gone.status_code, gone.json()["type"]) == (410, "/problems/gone")
    assert client.delete(f"{DEVICES}/a").status_code == 410
    assert ids(client.get(DEVICES)) == []
    back = client.put(f"{DEVICES}/a", json={"name": "y"})
    assert (back.status_code, back.json()["removed_at"], back.json()["version"]) == (201, None, 3)


def test_nothing_is_at_an_unknown_id(client: TestClient) -> None:
    for answer in (client.get(f"{DEVICES}/nix"), client.delete(f"{DEVICES}/nix"), client.get(f"{DEVICES}/nix/entities")):
        assert (answer.status_code, answer.json()["title"]) == (404, "Not found")


def test_pages_give_every_device_once_and_in_order(client: TestClient) -> None:
    names = sorted(f"d{number}" for number in range(7))
    for name in names:
        put(client, name)
    seen: list[str] = []
    query: dict[str, Any] = {"limit": 3}
    while True:
        page = client.get(DEVICES, params=query).json()
        assert page["total"] == 7
        seen.extend(device["device_id"] for device in page["devices"])
        if page["next"] is None:
            break
        query = {"limit": 3, "cursor": page["next"]}
    assert seen == names


def test_a_cursor_survives_the_device_it_points_at(client: TestClient) -> None:
    for name in "abcd":
        put(client, name)
    cursor = client.get(DEVICES, params={"limit": 2}).json()["next"]
    client.delete(f"{DEVICES}/c")
    assert ids(client.get(DEVICES, params={"limit": 2, "cursor": cursor})) == ["d"]


def test_a_cursor_belongs_to_its_filters(client: TestClient) -> None:
    for name in "abc":
        put(client, name, model="m")
    cursor = client.get(DEVICES, params={"limit": 1, "model": "m"}).json()["next"]
    assert ids(client.get(DEVICES, params={"limit": 1, "model": "m", "cursor": cursor})) == ["b"]
    other = client.get(DEVICES, params={"limit": 1, "cursor": cursor})
    assert (other.status_code, other.json()["type"]) == (400, "/problems/bad-cursor")


@pytest.mark.parametrize("cursor", ["", "x", "é", "bnVsbA", "W10", "eyJhIjoxfQ", "=" * 50, "WyJhIiwgMV0"])
def test_a_made_up_cursor_is_refused(client: TestClient, cursor: str) -> None:
    assert client.get(DEVICES, params={"cursor": cursor}).json()["type"] == "/problems/bad-cursor"


def test_filters_narrow_and_repeats_widen(client: TestClient) -> None:
    put(client, "a", manufacturer="Aqara", area_id="kitchen")
    put(client, "b", manufacturer="Aqara", area_id="hall", disabled_by="user")
    put(client, "c", manufacturer="Shelly", area_id="hall", model="Plug S", integration="shelly")

    def found(**query: Any) -> list[str]:
        return ids(client.get(DEVICES, params=query))

    assert found(manufacturer="Aqara") == ["a", "b"]
    assert found(manufacturer=["Aqara", "Shelly"], area_id="hall") == ["b", "c"]
    assert found(model="Plug S", integration="shelly", source_id="manual", device_id=["c", "a"]) == ["c"]
    assert found(disabled=True) == ["b"]
    assert found(disabled=False) == ["a", "c"]
    assert found(area_id="cellar") == []


@pytest.mark.parametrize("limit", [0, 1001, "many", -1])
def test_a_limit_out_of_range_is_invalid(client: TestClient, limit: int | str) -> None:
    answer = client.get(DEVICES, params={"limit": limit})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "limit")


def test_an_unknown_parameter_is_told_the_nearest(client: TestClient) -> None:
    answer = client.get(DEVICES, params={"manufactuer": "x"})
    assert (answer.status_code, "Did you mean `manufacturer`?" in answer.json()["detail"]) == (400, True)


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"name": 1}, "#/name"),
        ({"nme": "x"}, "#/nme"),
        ({"labels": "a"}, "#/labels"),
        ({"identifiers": [["one"]]}, "#/identifiers/0"),
        ({"name": "x" * 1025}, "#/name"),
        ({"name": "nul\x00"}, "#/name"),
        ({"last_seen": "2026-11-22T10:00:00"}, "#/last_seen"),
        ([], "#"),
    ],
)
def test_a_body_that_breaks_the_schema_is_told_where(client: TestClient, body: Any, pointer: str) -> None:
    answer = client.put(f"{DEVICES}/a", json=body)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer)
    assert client.get(f"{DEVICES}/a").status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b'{"name": "\\ud800"}',
        b"\xff",
        b'{"extra": {"a": "\\udfff"}}',
        b'{"extra": {"n": 1e999}}',
        b'{"extra": {"a": %s}}' % (b"[" * 900 + b"]" * 900),
        b"",
    ],
)
def test_a_body_that_is_no_json_is_refused(client: TestClient, body: bytes) -> None:
    answer = client.put(f"{DEVICES}/a", content=body, headers={"content-type": "application/json"})
    assert (answer.status_code in {400, 422}, answer.headers["content-type"]) == (True, "application/problem+json")
    assert client.get(f"{DEVICES}/a").status_code == 404


@pytest.mark.parametrize("device_id", ["a b", "ä", "x" * 256, "a;drop"])
def test_an_id_that_no_manual_device_may_have_is_refused(client: TestClient, device_id: str) -> None:
    assert client.put(f"{DEVICES}/{device_id}", json={}).status_code == 422


@pytest.mark.parametrize("device_id", ["z2m:0x00124b", "A.b_c-1", "x" * 255])
def test_an_id_of_the_allowed_letters_is_taken(client: TestClient, device_id: str) -> None:
    assert client.put(f"{DEVICES}/{device_id}", json={}).status_code == 201


def test_a_body_nested_beyond_reason_is_refused(client: TestClient) -> None:
    body = b'{"extra": {"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}}"
    answer = client.put(f"{DEVICES}/a", content=body, headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["type"]) == (400, "/problems/malformed-body")


@pytest.mark.parametrize("device_id", ["%2e", "%2e%2e"])
def test_an_id_of_dots_alone_is_refused(client: TestClient, device_id: str) -> None:
    assert client.put(f"{DEVICES}/{device_id}", json={}).status_code in {404, 405, 422}


@pytest.mark.parametrize("seen", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "2999-01-01T00:00:00Z", 0, "1", 1e300])
def test_a_sighting_that_cannot_be_is_refused(client: TestClient, seen: Any) -> None:
    answer = client.put(f"{DEVICES}/a", json={"last_seen": seen})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "#/last_seen")
    assert client.get(f"{DEVICES}/a").status_code == 404


def encoded(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).decode().rstrip("=")


@pytest.mark.parametrize("noun", ["devices", "entities", "areas", "sources"])
def test_a_cursor_of_another_list_or_of_an_attacker_is_refused(client: TestClient, noun: str) -> None:
    for name in "ab":
        put(client, name)
    others = client.get(f"{DEVICES}?limit=1").json()["next"] if noun != "devices" else encoded(b'["x","y"]')
    for cursor in (
        others,
        encoded(b"[" * 1100),
        encoded(b'["db877f2b436b","\\ud800","\\ud800"]'),
        encoded(b'["db877f2b436b","\\ud800"]'),
    ):
        answer = client.get(f"/api/v1/{noun}", params={"cursor": cursor})
        assert (answer.status_code, answer.json()["type"]) == (400, "/problems/bad-cursor")


def test_a_body_that_is_too_large_is_refused(client: TestClient) -> None:
    answer = client.put(
        f"{DEVICES}/a", content=b'{"name": "' + b"x" * LARGEST_BODY_BYTES, headers={"content-type": "application/json"}
    )
    assert (answer.status_code, answer.json()["type"]) == (413, "/problems/too-large")
    assert client.put(f"{DEVICES}/a", json={"extra": {"a": "x" * 70_000}}).status_code == 422


@pytest.mark.parametrize("kind", ["text/plain", "application/merge-patch+json", ""])
def test_a_body_of_another_type_is_refused(client: TestClient, kind: str) -> None:
    answer = client.put(f"{DEVICES}/a", content=b"{}", headers={"content-type": kind})
    assert (answer.status_code, answer.headers["content-type"]) == (415, "application/problem+json")


def test_the_first_instant_there_is_can_be_said_and_ordered_by(client: TestClient) -> None:
    moment = "0001-01-01T00:00:00.000000Z"
    put(client, "now", last_seen="2026-11-22T13:52:56Z")
    answer = client.put(f"{DEVICES}/zero", json={"last_seen": moment})
    assert answer.json()["last_seen"] == client.get(f"{DEVICES}/zero").json()["last_seen"] == moment
    listed = client.get(DEVICES, params={"sort": "last_seen", "fields": "device_id,last_seen"}).json()["devices"]
    assert [one["device_id"] for one in listed] == ["zero", "now"]


NUMBERS = ("devices?version", "devices?entity_count", "areas?device_count", "sources?version", "entities?version")


@pytest.mark.parametrize("question", NUMBERS)
@pytest.mark.parametrize("number", [3_000_000_000, 1 - 2**63, 2**63 - 1])
def test_a_number_may_be_larger_than_any_there_is(client: TestClient, question: str, number: int) -> None:
    put(client, "a")
    for suffix in ("", "__lt", "__gte"):
        assert client.get(f"/api/v1/{question}{suffix}={number}").status_code == 200
