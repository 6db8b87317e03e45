"""Orders that are kept of slow questions: they serve every page of the question, and none that they do not know."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from homedex.registry import orders, records
from homedex.registry.changes import Stamp
from homedex.registry.devices import DEVICES
from homedex.registry.records import Update

from .test_paging import START, Home, Pairs, Row, go, home_of

ASKED: Pairs = [("manufacturer", "A"), ("sort", "name"), ("limit", "2")]


@pytest.fixture
def home(migrated: Path) -> Iterator[Home]:
    """Eight devices of one maker, named a to h."""
    with home_of(migrated, way="whole") as found:
        for name in "abcdefgh":
            found.add("devices", {"source_id": "lab", "at": START, "device_id": f"d{name}", "name": name, "manufacturer": "A"})
        yield found


def kept(home: Home) -> list[list[int] | None]:
    """The orders that the reader keeps."""
    found: list[orders.Asked] = home.reader.info.get("orders", [])
    return [None if one.numbers is None else list(one.numbers) for one in found]


def ask_twice(home: Home, pairs: Pairs) -> Row:
    """The second page that is asked for is the first that something is learnt from."""
    home.page(DEVICES, pairs)
    return home.page(DEVICES, pairs)


def names(page: Row) -> str:
    return "".join(row["name"] for row in page["devices"])


def rename(home: Home, device_id: str, before: str, after: str) -> None:
    update = Update(device_id, {"name": before}, {"name": after})
    home.write(records.update_rows, "devices", "lab", [update], Stamp(START, "api"))


def test_one_order_serves_all_pages_forth_and_back(home: Home) -> None:
    page = ask_twice(home, ASKED)
    assert kept(home) == [[1, 2, 3, 4, 5, 6, 7, 8]]
    found = [names(page)]
    while page["next"] is not None:
        page = home.page(DEVICES, [*ASKED, ("cursor", page["next"])])
        found.append(names(page))
    while page["prev"] is not None:
        page = home.page(DEVICES, [*ASKED, ("cursor", page["prev"])])
        found.append(names(page))
    assert found == ["ab", "cd", "ef", "gh", "ef", "cd", "ab"]
    assert len(kept(home)) == 1


@pytest.mark.parametrize("to", ["aa", "cc", "z"])
def test_a_cursor_stays_where_it_was_when_its_row_moves(home: Home, to: str) -> None:
    cursor = ("cursor", ask_twice(home, ASKED)["next"])
    rename(home, "dc", "c", to)
    ask_twice(home, ASKED)
    assert len(kept(home)) == 2
    by_order = home.page(DEVICES, [*ASKED, cursor])
    with pytest.MonkeyPatch.context() as patch:
        go(patch, "order")
        home.reader.info.clear()
        assert by_order == home.page(DEVICES, [*ASKED, cursor])


def test_no_more_than_so_many_orders_are_kept(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orders, "KEPT", 2)
    for sort in ("name", "-name", "device_id", "model"):
        ask_twice(home, [("manufacturer", "A"), ("sort", sort)])
    assert kept(home) == [[1, 2, 3, 4, 5, 6, 7, 8]] * 2
    assert names(home.page(DEVICES, ASKED)) == "ab"


def test_nothing_is_learnt_of_what_is_quick(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orders, "SLOW_S", 10.0)
    assert names(ask_twice(home, ASKED)) == "ab"
    assert kept(home) == []


def test_an_order_is_made_once_the_pages_took_as_long_as_it_takes(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orders, "SORTED_S", 0.0005)
    asked = 0
    while not kept(home):
        home.page(DEVICES, ASKED)
        asked += 1
        assert asked < 1000
    assert asked > 2
