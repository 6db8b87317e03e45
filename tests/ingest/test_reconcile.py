from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homedex.errors import Conflict, PlanHeld
from homedex.ingest.observation import Observation, Rejection, Row
from homedex.ingest.reconcile import Have, KindPlan, Plan, check_guard, reconcile
from homedex.registry.records import Update

law = settings(max_examples=50, deadline=None)
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
KEYS = {"areas": "area_id", "devices": "device_id", "entities": "id"}


def observed(**given: Any) -> Observation:
    return Observation(source_id="home", kind="home_assistant", name="Home", **given)


def entity(key: str, entity_id: str = "", **columns: Any) -> Row:
    return {"id": key, "entity_id": entity_id or f"light.{key}", "platform": "mqtt", "device_id": None, **columns}


def devices(count: int) -> list[Row]:
    return [{"device_id": f"d{number}"} for number in range(count)]


def entities(count: int) -> list[Row]:
    return [entity(f"e{number}") for number in range(count)]


def applied(have: Have, plan: Plan) -> Have:
    """The rows after the plan was written, as the registry would write it."""
    source = dict(have.source or {}) | (plan.create_source or {}) | (plan.update_source.after if plan.update_source else {})
    areas, devices, entities = (apply_kind(getattr(have, kind), getattr(plan, kind), key) for kind, key in KEYS.items())
    return Have(source, areas, devices, entities, {**have.moved, **plan.moved}, have.foreign_devices)


def apply_kind(stored: Any, plan: KindPlan, key: str) -> dict[str, Row]:
    rows = {row_key: dict(row) for row_key, row in stored.items()}
    for row_key in plan.remove:
        assert rows[row_key]["removed_at"] is None
        rows[row_key]["removed_at"] = NOW
    for change in (*plan.update, *plan.restore):
        assert all(rows[change.key].get(column) == value for column, value in change.before.items())
        rows[change.key].update(change.after)
    for row in plan.create:
        assert row[key] not in rows
        rows[row[key]] = {"extra": {}, "platform": None, "name": None, "labels": None, **row, "removed_at": None}
    return rows


def settled(first: Observation) -> Have:
    return applied(Have(), reconcile(Have(), first))


VALUES = st.sampled_from([None, "a", "b", ["x"], ["x", "y"], 1, 2])
EXTRAS = st.dictionaries(st.sampled_from("pqr"), st.sampled_from([1, "one", [1]]), max_size=3)


def rows_of(kind: str) -> st.SearchStrategy[list[Row]]:
    key = KEYS[kind]
    columns = {"name": VALUES, "labels": VALUES, "extra": EXTRAS}
    needed: dict[str, st.SearchStrategy[Any]] = {key: st.sampled_from("abcdef")}
    if kind == "entities":
        needed |= {"entity_id": st.sampled_from(["l.1", "l.2", "l.3", "l.4"]), "platform": st.sampled_from([None, "mqtt"])}
    return st.lists(st.fixed_dictionaries(needed, optional=columns), max_size=4)


@st.composite
def observations(draw: st.DrawFn) -> Observation:
    keys = st.frozensets(st.sampled_from("pqr"))
    partial = st.frozensets(st.sampled_from(["state_only", "areas", "name"]))
    return observed(
        **{kind: draw(rows_of(kind)) for kind in KEYS},
        extra=draw(EXTRAS),
        moved=draw(st.dictionaries(st.sampled_from("abcxyz"), st.sampled_from("abcdef"), max_size=3)),
        rejections=[Rejection("entity", key, "broken") for key in draw(st.lists(st.sampled_from("abcdef"), max_size=2))],
        partial=draw(partial),
        extra_keys=draw(st.dictionaries(st.sampled_from(list(KEYS)), keys)),
    )


def replayed(history: list[Observation]) -> Have:
    have = Have()
    for one in history:
        have = applied(have, reconcile(have, one))
    return have


@law
@given(st.lists(observations(), max_size=2), observations())
def test_after_a_plan_is_applied_the_same_observation_plans_nothing(history: list[Observation], last: Observation) -> None:
    have = replayed([*history, last])

    again = reconcile(have, last)

    assert again.is_empty, again


@law
@given(st.lists(observations(), max_size=2), observations())
def test_applying_a_plan_gives_what_was_observed(history: list[Observation], last: Observation) -> None:
    before = replayed(history)
    plan = reconcile(before, last)
    after = applied(before, plan)
    unused = {(rejection.kind, rejection.id) for rejection in plan.rejections[len(last.rejections) :]}

    for kind, key in KEYS.items():
        first_of_each = {row[key]: row for row in reversed(getattr(last, kind))}
        for row_key, row in first_of_each.items():
            stored = getattr(after, kind).get(row_key)
            if stored is None or (kind == "entities" and stored["entity_id"] != row["entity_id"]):
                assert ("entity", row_key) in unused
            elif ("entity", row_key) not in unused or kind != "entities":
                said = {column: value for column, value in row.items() if column != "extra"}
                assert stored["removed_at"] is None
                assert said.items() <= stored.items()
                assert row.get("extra", {}).items() <= stored["extra"].items()


@law
@given(st.lists(observations(), max_size=2), observations())
def test_no_two_present_entities_share_an_entity_id(history: list[Observation], last: Observation) -> None:
    have = replayed([*history, last])

    present = [row["entity_id"] for row in have.entities.values() if row["removed_at"] is None]

    assert len(present) == len(set(present))


@law
@given(st.lists(observations(), max_size=2), observations())
def test_every_present_row_meets_one_fate_and_updates_differ_in_each_column(history: list[Observation], last: Observation) -> None:
    have = replayed(history)
    plan = reconcile(have, last)

    for kind in KEYS:
        part: KindPlan = getattr(plan, kind)
        present = [key for key, row in getattr(have, kind).items() if row["removed_at"] is None]
        touched = [change.key for change in (*part.update, *part.restore)] + part.remove
        assert len(touched) == len(set(touched))
        assert part.present == len(present) == len(part.update) + len(part.remove) + part.unchanged
        for change in (*part.update, *part.restore):
            assert change.before.keys() == change.after.keys() != set()
            assert all(change.before[column] != change.after[column] for column in change.after)


@law
@given(st.lists(observations(), min_size=1, max_size=2), st.randoms())
def test_the_order_of_records_does_not_matter_when_none_is_listed_twice(history: list[Observation], chance: Any) -> None:
    last = history[-1]
    once = {row["device_id"]: row for row in last.devices}
    shuffled = list(once.values())
    chance.shuffle(shuffled)
    have = replayed(history[:-1])

    plans = [reconcile(have, observed(devices=rows)) for rows in (list(once.values()), shuffled)]

    assert sorted(plans[0].devices.remove) == sorted(plans[1].devices.remove)
    assert plans[0].counts() == plans[1].counts()


def test_a_new_source_is_created_whole() -> None:
    plan = reconcile(Have(), observed(devices=devices(2), extra={"version": "2026.11.0"}))

    assert plan.create_source == {
        "source_id": "home",
        "kind": "home_assistant",
        "name": "Home",
        "extra": {"version": "2026.11.0"},
    }
    assert plan.counts()["devices"] == {"create": 2, "update": 0, "restore": 0, "remove": 0, "unchanged": 0}
    assert not plan.is_empty


def test_a_source_of_another_kind_is_not_taken_over() -> None:
    have = Have(source={"source_id": "home", "kind": "mqtt", "name": "Broker", "extra": {}})

    with pytest.raises(Conflict, match="'mqtt'"):
        reconcile(have, observed())


def test_the_two_ways_of_reading_a_home_keep_each_others_facts_about_it() -> None:
    have = settled(observed(extra={"version": "2026.11.0", "floors": []}))
    files = Observation("home", "home_assistant", "Home Assistant", extra={"floors": []}, partial=frozenset({"name"}))

    assert reconcile(have, files).is_empty
    assert reconcile(have, observed(extra={"floors": [1]})).update_source == Update(
        "home",
        {"extra": {"version": "2026.11.0", "floors": []}},
        {"extra": {"version": "2026.11.0", "floors": [1]}},
    )


def test_an_absent_column_is_left_and_a_none_clears_it() -> None:
    have = settled(observed(devices=[{"device_id": "d", "name": "Lamp", "model": "L1"}]))

    absent = reconcile(have, observed(devices=[{"device_id": "d", "name": "Lamp"}]))
    cleared = reconcile(have, observed(devices=[{"device_id": "d", "model": None}]))

    assert absent.is_empty
    assert cleared.devices.update == [Update("d", {"model": "L1"}, {"model": None})]


def test_a_tombstone_that_is_listed_again_is_restored_with_its_changes() -> None:
    have = settled(observed(devices=[{"device_id": "d", "name": "Lamp"}]))
    have = applied(have, reconcile(have, observed()))

    plan = reconcile(have, observed(devices=[{"device_id": "d", "name": "Light"}]))

    expected = Update("d", {"name": "Lamp", "removed_at": NOW}, {"name": "Light", "removed_at": None})
    assert plan.devices.restore == [expected]
    assert not plan.devices.create


def test_a_record_listed_twice_counts_once_and_is_reported() -> None:
    plan = reconcile(Have(), observed(devices=[{"device_id": "d", "name": "first"}, {"device_id": "d", "name": "second"}]))

    assert plan.devices.create == [{"device_id": "d", "name": "first"}]
    assert plan.rejections == [Rejection("device", "d", "It is listed twice; the first one counts.")]


def test_a_device_of_another_source_is_rejected_and_its_entities_keep_the_device_they_have() -> None:
    have = settled(observed(devices=devices(1), entities=[entity("e", device_id="d0")]))
    have = Have(source=have.source, entities=have.entities, foreign_devices={"d0": "cabin"})

    plan = reconcile(have, observed(devices=devices(2), entities=[entity("e", device_id="d0")]))

    assert [row["device_id"] for row in plan.devices.create] == ["d1"]
    assert plan.rejections[0].id == "d0"
    assert "'cabin'" in plan.rejections[0].reason
    assert plan.entities.is_empty


def test_an_entity_of_another_source_is_rejected_by_id_and_the_rest_goes_on() -> None:
    plan = reconcile(Have(foreign_entities={"e0": "cabin"}), observed(entities=entities(2)))

    assert [row["id"] for row in plan.entities.create] == ["e1"]
    assert [rejection.id for rejection in plan.rejections] == ["e0"]


def test_a_known_record_that_was_rejected_is_left_as_it_is() -> None:
    have = settled(observed(devices=devices(2), entities=entities(2)))

    broken = [Rejection("device", "d1", "Its name is a list."), Rejection("entity", "e1", "Its name is a list.")]
    plan = reconcile(have, observed(devices=devices(1), entities=entities(1), rejections=broken))

    assert plan.is_empty


def test_state_only_entities_stay_when_the_way_of_reading_cannot_see_them() -> None:
    have = settled(observed(entities=[entity("home/zone.home", "zone.home", platform=None), entity("e0")]))

    files = reconcile(have, observed(entities=[entity("e0")], partial=frozenset({"state_only"})))
    socket = reconcile(have, observed(entities=[entity("e0")]))

    assert files.is_empty
    assert socket.entities.remove == ["home/zone.home"]


def test_a_state_only_entity_goes_when_a_registered_one_takes_over_its_entity_id() -> None:
    have = settled(observed(entities=[entity("home/light.a", "light.a", platform=None)]))

    plan = reconcile(have, observed(entities=[entity("e0", "light.a")], partial=frozenset({"state_only"})))

    assert plan.entities.remove == ["home/light.a"]
    assert [row["id"] for row in plan.entities.create] == ["e0"]


def test_two_entities_with_one_entity_id_are_one_and_a_rejection() -> None:
    plan = reconcile(Have(), observed(entities=[entity("a", "light.x"), entity("b", "light.x")]))

    assert [row["id"] for row in plan.entities.create] == ["a"]
    assert [rejection.id for rejection in plan.rejections] == ["b"]


def test_a_known_entity_that_claims_the_entity_id_of_another_is_left_as_it_is() -> None:
    have = settled(observed(entities=entities(2)))

    plan = reconcile(have, observed(entities=[entity("e0"), entity("e1", "light.e0")]))
    swapped = reconcile(have, observed(entities=[entity("e0", "light.e1"), entity("e1", "light.e1")]))

    assert plan.entities.is_empty
    assert swapped.entities.remove == ["e1"]


def test_extra_keys_that_a_way_of_reading_cannot_see_stay() -> None:
    have = settled(observed(devices=[{"device_id": "d", "extra": {"unit": "W", "icon": "mdi:a"}}]))
    seen = {"devices": frozenset({"icon"})}

    same = reconcile(have, observed(devices=[{"device_id": "d", "extra": {"icon": "mdi:a"}}], extra_keys=seen))
    gone = reconcile(have, observed(devices=[{"device_id": "d", "extra": {}}], extra_keys=seen))
    whole = reconcile(have, observed(devices=[{"device_id": "d", "extra": {}}]))

    assert same.is_empty
    assert gone.devices.update[0].after == {"extra": {"unit": "W"}}
    assert whole.devices.update[0].after == {"extra": {}}


def test_moves_are_planned_once_and_only_to_devices_that_are_listed() -> None:
    moved = {"old": "d0", "older": "nowhere", "d1": "d0"}
    have = settled(observed(devices=devices(2)))

    plan = reconcile(have, observed(devices=devices(2), moved=moved))
    again = reconcile(applied(have, plan), observed(devices=devices(2), moved={"old": "d0"}))

    assert plan.moved == {"old": "d0"}
    assert [rejection.id for rejection in plan.rejections] == ["older", "d1"]
    assert again.is_empty


@pytest.mark.parametrize(
    ("present", "left", "is_held"),
    [(5, 0, False), (6, 0, True), (60, 54, False), (60, 53, True), (1000, 899, True), (1000, 900, False)],
)
def test_the_guard_holds_a_plan_that_removes_too_many_devices(present: int, left: int, is_held: bool) -> None:
    plan = reconcile(settled(observed(devices=devices(present))), observed(devices=devices(left)))

    if is_held:
        with pytest.raises(PlanHeld, match=f"{present - left} of {present} devices"):
            check_guard(plan, allow_removals=False)
    check_guard(plan, allow_removals=is_held)


@pytest.mark.parametrize(("present", "left", "is_held"), [(50, 0, False), (51, 0, True), (600, 540, False), (600, 539, True)])
def test_the_guard_holds_a_plan_that_removes_too_many_entities(present: int, left: int, is_held: bool) -> None:
    plan = reconcile(settled(observed(entities=entities(present))), observed(entities=entities(left)))

    if is_held:
        with pytest.raises(PlanHeld, match="entities"):
            check_guard(plan, allow_removals=False)
    else:
        check_guard(plan, allow_removals=False)


def test_devices_that_live_on_under_a_new_id_do_not_count_as_removed() -> None:
    new = [{"device_id": f"n{number}"} for number in range(20)]
    moved = {f"d{number}": f"n{number}" for number in range(20)}

    plan = reconcile(settled(observed(devices=devices(20))), observed(devices=new, moved=moved))

    assert len(plan.devices.remove) == 20
    check_guard(plan, allow_removals=False)


def test_a_source_that_a_repair_has_rebuilt_is_of_the_kind_that_lists_it() -> None:
    rebuilt = {"source_id": "home", "kind": "file", "name": "home", "state": "never", "extra": {}}
    plan = reconcile(Have(source=rebuilt), observed())
    assert plan.update_source is not None
    assert plan.update_source.after["kind"] == "home_assistant"
    with pytest.raises(Conflict):
        reconcile(Have(source=rebuilt | {"state": "ok"}), observed())
