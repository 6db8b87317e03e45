"""Bounds that move with the clock: totals and pages are right wherever the bound was the last time, and whatever is written."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Connection

from homedex.api.app import create_app
from homedex.registry import devices, plans, schema
from homedex.registry.devices import DEVICES
from homedex.registry.queries import Query
from homedex.registry.statements import Statements
from homedex.storage.database import Database

from .test_paging import START, Asked, Home, Pairs, Seen, home_of

MOVING: list[tuple[list[str], Pairs]] = [
    (["last_seen__lt"], []),
    (["last_seen__gte"], [("manufacturer", "A")]),
    (["seen_before"], []),
    (["seen_after"], []),
    (["created_at__gte"], []),
    (["created_at__lt"], [("sort", "-name")]),
    (["modified_at__lt"], [("removed", "any")]),
    (["created_at__gte", "last_seen__lt"], []),
    (["first_listed_at__gte"], []),
]


@pytest.fixture
def home(migrated: Path) -> Iterator[Home]:
    """Twenty devices that came, and were seen, a second apart, every fifth one gone."""
    with home_of(migrated) as found:
        for number in range(20):
            at = START + timedelta(seconds=number)
            row = {"source_id": "lab", "at": at, "device_id": f"d{number:02}", "manufacturer": "AB"[number % 2], "last_seen": at}
            found.add("devices", row | {"gone": number % 5 == 0})
        yield found


@pytest.mark.parametrize(("names", "others"), MOVING)
@pytest.mark.parametrize("seed", range(3))
def test_a_bound_that_moves_finds_what_plain_python_finds(home: Home, names: list[str], others: Pairs, seed: int) -> None:
    dice = Random(seed)  # noqa: S311  (made-up bounds)
    sort = [("name", True)] if ("sort", "-name") in others else []
    removed = dict(others).get("removed", "false")
    plain = [one for one in others if one[0] not in {"sort", "removed"}]
    for step in range(12):
        seconds = [dice.choice([-3700, -5, 0, 1, 2, 2.5, 7, 11, 12, 30]) for _ in names]
        said = [(name, at_second(one)) for name, one in zip(names, seconds, strict=True)]
        asked = Asked("devices", sort, [*said, *plain], removed, "")
        page = home.page(DEVICES, asked.pairs)
        assert [row["device_id"] for row in page["devices"]] == [row["device_id"] for row in asked.sorted(Seen(home))], asked
        assert page["total"] == len(page["devices"])
        if step % 4 == 3:
            home.write(devices.record_sightings, [(f"d{step:02}", START + timedelta(seconds=step + 20))], seen_by="lab")


def at_second(seconds: float) -> str:
    return (START + timedelta(seconds=seconds)).isoformat()


def test_nothing_is_counted_anew_while_no_row_lies_between(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[Query] = []
    count = plans.count

    def noted(connection: Connection, listed: Statements, query: Query) -> int:
        counted.append(query)
        return count(connection, listed, query)

    monkeypatch.setattr(plans, "count", noted)
    for tenth in range(1, 6):
        assert home.page(DEVICES, [("last_seen__gte", at_second(7 + tenth / 10))])["total"] == 10
    assert len(counted) == 5, "once the total, then what lies between"
    assert home.page(DEVICES, [("last_seen__gte", at_second(9.5))])["total"] == 8
    assert len(counted) == 6, "the total is counted on"


def test_a_walk_with_a_relative_bound_goes_on_relative_to_the_time_of_its_first_page(registry_file: Path) -> None:
    clock = iter(datetime(2026, 11, 22, 12, tzinfo=UTC) + timedelta(seconds=number) for number in range(100))
    database = Database.open(str(registry_file), application_id=schema.APPLICATION_ID)
    with TestClient(create_app(database, clock=lambda: next(clock))) as client:
        for number in range(6):
            client.put(f"/api/v1/devices/d{number}", json={"last_seen": f"2026-11-22T11:00:0{number}Z"})
        address, seen = "/api/v1/devices?last_seen__lt=-1h&sort=last_seen&limit=2", []
        first = client.get(address).json()
        while True:
            seen += [device["device_id"] for device in first["devices"]]
            if first["next"] is None:
                break
            answer = client.get(f"{address}&cursor={first['next']}")
            assert answer.status_code == 200, answer.text
            first = answer.json()
        assert seen == [f"d{number}" for number in range(6)]
        assert client.get(f"{address}&cursor=9{first['prev']}").status_code == 400
