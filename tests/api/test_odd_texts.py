"""Texts that one engine does not take: the same refusal on both, or one that says why, and no fault of ours."""

import base64
import json

import pytest
from fastapi.testclient import TestClient

from homedex.registry.cursors import fingerprint
from homedex.registry.queries import Query

V1 = "/api/v1"


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize(
    "path", ["devices/%00", "devices/a%00b", "entities/light.%00", "areas/%00", "sources/%00", "devices/%00/changes"]
)
def test_no_address_has_a_nul(client: TestClient, method: str, path: str) -> None:
    answer = client.request(method, f"{V1}/{path}", json={"name": "x"} if method in {"PUT", "PATCH"} else None)
    assert (answer.status_code, answer.json()["type"]) == (404, "/problems/no-such-page")


def test_no_cursor_has_a_nul(client: TestClient) -> None:
    content = json.dumps([fingerprint("devices", Query(sort=(("name", False),))), "f", "a\0b", 1])
    cursor = base64.urlsafe_b64encode(content.encode()).decode().rstrip("=")
    answer = client.get(f"{V1}/devices?sort=name&cursor={cursor}")
    assert (answer.status_code, answer.json()["type"]) == (400, "/problems/bad-cursor")


def test_a_name_too_long_for_an_index_of_postgresql_is_refused_there_alone_and_nobody_elses(
    client: TestClient, registry: str
) -> None:
    """Its limit is one of bytes after compression, 2,704 of them: no rule of ours can say before what will fit."""
    longest = "".join(map(chr, range(0x1F000, 0x1F400)))
    rows = [{"device_id": "a", "name": "short"}, {"device_id": "b", "name": longest}]
    answers = [client.put(f"{V1}/devices/{row['device_id']}", json={"name": row["name"]}) for row in rows]
    bulk = client.post(f"{V1}/devices/bulk", json={"devices": [rows[0] | {"name": "other"}, rows[1]]})
    if registry.startswith("postgresql"):
        assert [answer.status_code for answer in (*answers, bulk)] == [201, 422, 422]
        assert "too long for an index" in answers[1].json()["detail"]
    else:
        assert [answer.status_code for answer in (*answers, bulk)] == [201, 201, 200]
    assert client.get(f"{V1}/devices/a?fields=name").json() == {"name": "short" if bulk.status_code == 422 else "other"}
