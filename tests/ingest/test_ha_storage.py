import json
import runpy
import shutil
import sys
from codecs import BOM_UTF8
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homedex.errors import BadSource
from homedex.ingest.ha_json import read_json, stream_records
from homedex.ingest.ha_storage import read_storage
from homedex.ingest.observation import Observation, Rejection, Row

CAPTURES = Path(__file__).parents[1] / "data" / "ha_captures"
BENCH = Path(__file__).parents[2] / "bench"
ENTRIES = [{"entry_id": "e1", "domain": "mqtt", "title": "Broker", "data": {"password": "secret-1"}}]


def registry(version: int, minor: int, **data: Any) -> dict[str, Any]:
    return {"version": version, "minor_version": minor, "key": "any", "data": data}


def write_home(folder: Path, **files: Any) -> Path:
    """A .storage folder; each argument is a whole document, or a list of records in the newest format."""
    storage = folder / ".storage"
    storage.mkdir(exist_ok=True)
    lists = {
        "device_registry": ("devices", (3, 4)),
        "entity_registry": ("entities", (1, 24)),
        "area_registry": ("areas", (1, 9)),
        "config_entries": ("entries", (1, 5)),
    }
    contents: dict[str, Any] = {"device_registry": [], "entity_registry": [], "config_entries": ENTRIES, **files}
    for name, content in contents.items():
        document = content
        if isinstance(content, list):
            key, version = lists[name]
            document = registry(version[0], version[1], **{key: content})
        (storage / f"core.{name}").write_text(json.dumps(document))
    return folder


def read(folder: Path) -> Observation:
    return read_storage(folder, source_id="home")


def only_device(folder: Path, version: tuple[int, int] = (3, 4), **record: Any) -> Row:
    document = registry(*version, devices=[{"id": "d1", **record}])
    return read(write_home(folder, device_registry=document)).devices[0]


def only_entity(folder: Path, **record: Any) -> Row:
    return read(write_home(folder, entity_registry=[{"id": "x1", "entity_id": "light.x", **record}])).entities[0]


@pytest.mark.parametrize(("version", "devices", "entities"), [("2024.3", 52, 76), ("2025.4", 66, 166), ("2026.11", 80, 187)])
def test_each_captured_version_is_read_whole(version: str, devices: int, entities: int) -> None:
    observed = read(CAPTURES / f"storage-{version}")

    assert (len(observed.devices), len(observed.entities)) == (devices, entities)
    assert observed.rejections == []
    assert observed.partial == {"state_only", "name"}
    assert (observed.kind, observed.name) == ("home_assistant", "Home Assistant")
    assert all(row["integration"] for row in observed.devices)


def test_the_captured_integrations_are_the_domains_of_the_owning_entries() -> None:
    counts = Counter(row["integration"] for row in read(CAPTURES / "storage-2026.11").devices)

    assert counts["demo"] > 20
    assert counts["mqtt"] > 10
    assert counts["sun"] == 1


def test_child_devices_have_a_parent_and_leave_out_what_they_do_not_say() -> None:
    children = [row for row in read(CAPTURES / "storage-2026.11").devices if row.get("parent_device_id")]

    assert [row["name"] for row in children] == ["Outlet 1", "Outlet 2"]
    assert all("manufacturer" not in row and "connections" not in row for row in children)


def test_the_storage_folder_itself_or_the_folder_around_it_may_be_given(tmp_path: Path) -> None:
    write_home(tmp_path, device_registry=[{"id": "d1"}])

    assert read(tmp_path) == read(tmp_path / ".storage")


def test_an_entity_row_separates_the_persons_name_from_the_sources(tmp_path: Path) -> None:
    entity = {"platform": "mqtt", "unique_id": 17, "name": "Mine", "original_name": "Its", "labels": ["b", "a"], "icon": "mdi:a"}

    row = only_entity(tmp_path, **entity, original_device_class="motion", aliases_v2=[None], supported_features=0)

    assert (row["name"], row["name_by_user"], row["unique_id"], row["domain"]) == ("Its", "Mine", "17", "light")
    assert (row["device_class"], row["labels"], row["extra"]) == ("motion", ["a", "b"], {"icon": "mdi:a"})


def test_the_persons_device_class_wins(tmp_path: Path) -> None:
    assert only_entity(tmp_path, device_class="door", original_device_class="opening")["device_class"] == "door"


def test_an_entity_of_a_very_old_file_gets_an_id_of_its_source_and_name(tmp_path: Path) -> None:
    home = write_home(tmp_path, entity_registry=registry(1, 1, entities=[{"entity_id": "light.x", "platform": "hue"}]))

    assert read(home).entities[0]["id"] == "home/light.x"


def test_macs_of_every_spelling_become_one(tmp_path: Path) -> None:
    spellings = ["AA:BB:CC:DD:EE:0F", "aa-bb-cc-dd-ee-0f", "aabb.ccdd.ee0f", "AABBCCDDEE0F"]

    row = only_device(tmp_path, connections=[["zigbee", "00:AB"], *(["mac", mac] for mac in spellings), ["mac", "eth0"]])

    assert row["connections"] == [["mac", "aa:bb:cc:dd:ee:0f"], ["mac", "eth0"], ["zigbee", "00:AB"]]


def test_identifiers_may_have_three_parts_and_numbers(tmp_path: Path) -> None:
    row = only_device(tmp_path, identifiers=[["zha", 7], ["bond", "hub", "3"]])

    assert row["identifiers"] == [["bond", "hub", "3"], ["zha", 7]]
    assert row["integration"] == "bond"


def test_numbers_in_text_columns_become_text(tmp_path: Path) -> None:
    assert only_device(tmp_path, hw_version=2)["hw_version"] == "2"


@pytest.mark.parametrize(
    ("owner", "config_entry_id"),
    [
        ({"config_entry_id": "e1", "primary_config_entry": "e2"}, "e1"),
        ({"primary_config_entry": "e1", "config_entries": ["e0", "e1"]}, "e1"),
        ({"config_entries": ["e9", "e1"]}, "e1"),
    ],
)
def test_the_integration_is_that_of_the_owning_config_entry(tmp_path: Path, owner: Row, config_entry_id: str) -> None:
    row = only_device(tmp_path, (1, 9), identifiers=[["other", "1"]], **owner)

    assert row["integration"] == "mqtt"
    assert row["extra"]["config_entry_id"] == config_entry_id


def test_several_owners_are_all_kept(tmp_path: Path) -> None:
    assert only_device(tmp_path, (1, 9), config_entries=["e2", "e1"])["extra"]["config_entries"] == ["e1", "e2"]


@pytest.mark.parametrize("written", ["1970-01-01T00:00:00+00:00", 0, None, "soon", 1e300])
def test_an_unknown_time_is_left_out(tmp_path: Path, written: Any) -> None:
    assert "created_at" not in only_device(tmp_path, created_at=written)


@pytest.mark.parametrize("written", ["2026-11-22T13:52:56.724129+00:00", "2026-11-22T14:52:56.724129+01:00", 1795355576.724129])
def test_times_are_read_from_either_form_to_the_microsecond(tmp_path: Path, written: Any) -> None:
    assert only_device(tmp_path, created_at=written)["created_at"] == datetime(2026, 11, 22, 13, 52, 56, 724129, UTC)


@pytest.mark.parametrize("hub", ["d1", "gone"])
def test_a_hub_that_is_itself_or_not_listed_is_left_out_silently(tmp_path: Path, hub: str) -> None:
    home = write_home(tmp_path, device_registry=[{"id": "d1", "via_device_id": hub}])

    observed = read(home)

    assert observed.devices[0]["via_device_id"] is None
    assert observed.rejections == []


def test_a_hub_of_the_oldest_files_is_found(tmp_path: Path) -> None:
    document = registry(1, 1, devices=[{"id": "d1"}, {"id": "d2", "hub_device_id": "d1"}])

    assert read(write_home(tmp_path, device_registry=document)).devices[1]["via_device_id"] == "d1"


def test_an_entity_of_an_unlisted_device_is_kept_and_reported(tmp_path: Path) -> None:
    observed = read(write_home(tmp_path, entity_registry=[{"id": "x1", "entity_id": "light.x", "device_id": "gone"}]))

    assert observed.entities[0]["device_id"] is None
    assert observed.rejections == [Rejection("entity", "x1", "Its device 'gone' is not listed; the entity was kept without it.")]


def test_an_entity_of_a_rejected_device_keeps_the_device_it_has(tmp_path: Path) -> None:
    entities = [{"id": "x1", "entity_id": "light.x", "device_id": "d1"}]

    observed = read(write_home(tmp_path, device_registry=[{"id": "d1", "name": []}], entity_registry=entities))

    assert "device_id" not in observed.entities[0]
    assert [(rejection.kind, rejection.id) for rejection in observed.rejections] == [("device", "d1"), ("entity", "x1")]


@pytest.mark.parametrize(
    ("record", "known_as", "reason"),
    [
        ("text", "#2", "no object"),
        ({"name": "x"}, "#2", "no id"),
        ({"id": 5}, "#2", "the value 5"),
        ({"id": "x" * 256}, "x" * 256, "256 characters"),
        ({"id": "d2", "name": ["a"]}, "d2", "name is a list"),
        ({"id": "d2", "labels": "a"}, "d2", "labels"),
        ({"id": "d2", "identifiers": ["a"]}, "d2", "identifiers"),
        ({"id": "d2", "connections": [["mac"]]}, "d2", "connections"),
    ],
)
def test_one_bad_device_is_rejected_and_the_rest_goes_on(tmp_path: Path, record: Any, known_as: str, reason: str) -> None:
    observed = read(write_home(tmp_path, device_registry=[{"id": "d1"}, record, {"id": "d3"}]))

    assert [row["device_id"] for row in observed.devices] == ["d1", "d3"]
    assert [rejection.id for rejection in observed.rejections] == [known_as]
    assert reason in observed.rejections[0].reason


@pytest.mark.parametrize("entity_id", ["nodot", ".x", "light.", 5, None])
def test_one_bad_entity_is_rejected_and_the_rest_goes_on(tmp_path: Path, entity_id: Any) -> None:
    entities = [{"id": "x1", "entity_id": entity_id}, {"id": "x2", "entity_id": "light.y"}]

    observed = read(write_home(tmp_path, entity_registry=entities))

    assert [row["id"] for row in observed.entities] == ["x2"]
    assert [rejection.id for rejection in observed.rejections] == ["x1"]


def test_an_area_without_a_name_is_rejected(tmp_path: Path) -> None:
    observed = read(write_home(tmp_path, area_registry=[{"id": "hall"}, {"id": "attic", "name": "Attic", "aliases": ["b", "a"]}]))

    assert observed.areas == [{"area_id": "attic", "name": "Attic", "aliases": ["a", "b"], "extra": {}}]
    assert observed.rejections == [Rejection("area", "hall", "It has no name.")]


def test_areas_are_left_alone_when_their_file_is_missing(tmp_path: Path) -> None:
    assert "areas" in read(write_home(tmp_path)).partial
    assert "areas" not in read(write_home(tmp_path, area_registry=[])).partial


def test_the_part_of_the_primary_entry_continues_a_split_composite(tmp_path: Path) -> None:
    split = {"composite_device_id": "old", "composite_primary_config_entry": "e2"}
    orphan = {"id": "d3", "config_entry_id": "e1", "composite_device_id": "older", "composite_primary_config_entry": "e9"}
    parts = [{"id": "d1", "config_entry_id": "e1", **split}, {"id": "d2", "config_entry_id": "e2", **split}, orphan]

    assert read(write_home(tmp_path, device_registry=parts)).moved == {"old": "d2", "older": "d3"}


def test_a_split_part_that_was_rejected_is_not_moved_to(tmp_path: Path) -> None:
    part = {"id": "d1", "name": [], "composite_device_id": "old", "composite_primary_config_entry": "e1"}

    observed = read(write_home(tmp_path, device_registry=[part]))

    assert observed.moved == {}
    assert [rejection.kind for rejection in observed.rejections] == ["device", "id"]


def test_secrets_of_config_entries_are_kept_nowhere(tmp_path: Path) -> None:
    observed = read(write_home(tmp_path, device_registry=[{"id": "d1", "config_entry_id": "e1"}]))

    assert "secret-1" not in repr(observed)


def test_only_registry_files_are_opened(tmp_path: Path) -> None:
    opened: list[str] = []
    home = write_home(tmp_path, area_registry=[])
    (home / ".storage" / "auth").write_text("{}")
    is_listening = True
    sys.addaudithook(lambda event, of: opened.append(str(of[0])) if is_listening and event == "open" else None)

    read(home)
    is_listening = False

    names = {Path(path).name for path in opened if ".storage" in path}
    assert names == {"core.config_entries", "core.area_registry", "core.device_registry", "core.entity_registry"}


def test_floors_labels_and_categories_become_facts_of_the_source(tmp_path: Path) -> None:
    floors = registry(1, 3, floors=[{"floor_id": "b", "level": 0, "created_at": "x"}, {"floor_id": "a", "level": 1}])
    categories = registry(1, 2, categories={"scene": [{"category_id": "c", "name": "C"}], "script": []})

    extra = read(write_home(tmp_path, floor_registry=floors, category_registry=categories)).extra

    assert extra is not None
    assert extra["floors"] == [{"floor_id": "a", "level": 1}, {"floor_id": "b", "level": 0}]
    assert extra["categories"] == {"scene": [{"category_id": "c", "name": "C"}]}
    assert extra["storage_versions"]["core.device_registry"] == "3.4"


def test_a_folder_without_registry_is_told_with_what_is_expected(tmp_path: Path) -> None:
    with pytest.raises(BadSource, match=r"no core.device_registry in it.*configuration.yaml") as told:
        read(tmp_path)
    assert str(tmp_path) in told.value.detail
    with pytest.raises(BadSource, match="no such folder"):
        read(tmp_path / "nowhere")


def test_a_missing_entity_registry_is_no_reason_to_remove_all_entities(tmp_path: Path) -> None:
    (write_home(tmp_path) / ".storage" / "core.entity_registry").unlink()

    with pytest.raises(BadSource, match="entity_registry is missing"):
        read(tmp_path)


@pytest.mark.parametrize("name", ["core.device_registry", "core.entity_registry"])
@pytest.mark.parametrize("version", [(2, 1), (4, 0), (0, 1)])
def test_an_unknown_major_version_is_refused_by_name(tmp_path: Path, name: str, version: tuple[int, int]) -> None:
    write_home(tmp_path)
    document = registry(*version, devices=[], entities=[])
    (tmp_path / ".storage" / name).write_text(json.dumps(document))

    with pytest.raises(BadSource, match=rf"{name} has version {version[0]}\.{version[1]}, and only 1\.x"):
        read(tmp_path)


def test_a_higher_minor_version_is_read(tmp_path: Path) -> None:
    home = write_home(tmp_path, device_registry=registry(3, 99, devices=[{"id": "d1", "colour": "red"}]))

    assert read(home).devices[0]["extra"] == {"colour": "red"}


@pytest.mark.parametrize("name", ["core.device_registry", "core.entity_registry"])
@pytest.mark.parametrize("share", [0, 0.2, 0.5, 0.9, 0.999])
def test_a_half_written_file_is_told_with_the_place(tmp_path: Path, name: str, share: float) -> None:
    shutil.copytree(CAPTURES / "storage-2026.11", tmp_path / ".storage", copy_function=shutil.copyfile)
    path = tmp_path / ".storage" / name
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)].rstrip(b"\n } "))

    with pytest.raises(BadSource, match=rf"{name} is no whole JSON \(line \d+, column \d+"):
        read(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        b"[]",
        b"null",
        b"{}",
        b'{"version": 1}',
        b'{"version": 1, "data": []}',
        b'{"version": "1", "data": {}}',
        b'{"version": 1, "data": {"devices": {}, "entities": 5}}',
        b"\xff\xfe\x00",
        b"[" * 100_000,
    ],
)
@pytest.mark.parametrize("name", ["core.device_registry", "core.entity_registry"])
def test_a_file_of_another_shape_is_told_in_a_sentence(tmp_path: Path, name: str, content: bytes) -> None:
    write_home(tmp_path)
    (tmp_path / ".storage" / name).write_bytes(content)

    with pytest.raises(BadSource, match=name) as told:
        read(tmp_path)
    assert "\n" not in told.value.detail


@pytest.mark.parametrize("name", ["device_registry", "entity_registry"])
def test_what_databases_cannot_store_is_taken_out(tmp_path: Path, name: str) -> None:
    record = (
        '{"id": "i1", "entity_id": "light.x", "serial_number": "a\\u0000b\\ud800", "original_name": "a\\u0000b\\ud800", "n": NaN}'
    )
    key = {"device_registry": "devices", "entity_registry": "entities"}[name]
    write_home(tmp_path)
    (tmp_path / ".storage" / f"core.{name}").write_text(f'{{"version": 1, "data": {{"{key}": [{record}]}}}}')

    observed = read(tmp_path)

    row = (observed.devices + observed.entities)[0]
    assert row.get("serial_number", row.get("name")) == "ab?"
    assert row["extra"].get("n") is None


@pytest.fixture(params=[1, 100, 256 * 1024])
def block_bytes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """How much is parsed at once: every record alone, some, or more than the file has."""
    monkeypatch.setattr("homedex.ingest.ha_json.BLOCK_BYTES", request.param)
    return int(request.param)


@pytest.mark.usefixtures("block_bytes")
@pytest.mark.parametrize("name", ["device_registry", "entity_registry"])
def test_streaming_yields_what_reading_whole_gives(name: str) -> None:
    raw = (CAPTURES / "storage-2026.11" / f"core.{name}").read_bytes()
    key = {"device_registry": "devices", "entity_registry": "entities"}[name]
    document = read_json(raw)

    streamed = list(stream_records(raw, key))

    assert streamed == document["data"][key]


@given(
    records=st.lists(st.dictionaries(st.text("a},\n]", max_size=3), st.recursive(st.text('},\n"é'), st.lists)), max_size=8),
    indent=st.sampled_from([None, 0, 1]),
    block_bytes=st.integers(0, 40),
    byte_order_mark=st.sampled_from([b"", BOM_UTF8]),
)
def test_streaming_yields_what_reading_whole_gives_however_it_is_written(
    records: list[Any], indent: int | None, block_bytes: int, byte_order_mark: bytes
) -> None:
    lines = ",\n".join(json.dumps(record, indent=indent) for record in records)
    raw = byte_order_mark + b'{"version": 1, "data": {"entities": [%b], "deleted": []}}' % lines.encode()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("homedex.ingest.ha_json.BLOCK_BYTES", block_bytes)
        assert list(stream_records(raw, "entities")) == records


@pytest.mark.usefixtures("block_bytes")
def test_streaming_tells_the_same_place_of_a_fault_as_reading_whole() -> None:
    whole = '{\n "version": 1,\n "data": {\n  "entities": [\n {"a": 1},\n {"b": ["é"]},\n {"c": 3}\n ], "deleted": [\n3]}}'

    for broken in [whole[:cut] for cut in range(len(whole))] + [whole + "x"]:
        with pytest.raises(json.JSONDecodeError) as expected:
            json.loads(broken)
        with pytest.raises(json.JSONDecodeError) as told:
            list(stream_records(broken.encode(), "entities"))
        assert (told.value.lineno, told.value.colno) == (expected.value.lineno, expected.value.colno), broken


@pytest.mark.usefixtures("block_bytes")
def test_streaming_tells_where_a_comma_is_too_many() -> None:
    with pytest.raises(json.JSONDecodeError) as told:
        list(stream_records(b'{"version": 1, "data": {\n"entities": [\n{"b": [2]},\n]}}', "entities"))
    assert told.value.lineno in {3, 4}  # at the comma or after it: Python 3.13 changed its mind


def test_a_registry_with_its_keys_in_another_order_is_read_too(tmp_path: Path) -> None:
    data = {"deleted_entities": [{"id": "x0"}], "entities": [{"id": "x1", "entity_id": "light.x"}]}

    observed = read(write_home(tmp_path, entity_registry={"data": data, "key": "any", "version": 1}))

    assert [row["id"] for row in observed.entities] == ["x1"]


def test_the_generated_home_is_of_the_size_asked_for_and_the_same_for_the_same_seed(tmp_path: Path) -> None:
    make_home = runpy.run_path(str(BENCH / "make_home.py"))["make_home"]

    for folder in (tmp_path / "a", tmp_path / "b"):
        make_home(folder, devices=200, entities=900)
    first, second = read(tmp_path / "a"), read(tmp_path / "b")

    assert (len(first.devices), len(first.entities), first.rejections) == (200, 900, [])
    assert first == second


def test_a_rejected_entity_without_an_id_is_known_by_what_it_would_have(tmp_path: Path) -> None:
    observed = read(write_home(tmp_path, entity_registry=[{"entity_id": "light.x", "unique_id": []}]))
    assert [rejection.id for rejection in observed.rejections] == ["home/light.x"]


def test_what_is_in_no_file_is_not_said(tmp_path: Path) -> None:
    device = {"id": "d1", "config_entry_id": "e1", "identifiers": [["mqtt", "x"]]}
    folder = write_home(tmp_path, device_registry=[device])
    assert read(folder).devices[0]["integration"] == "mqtt"
    (folder / ".storage" / "core.config_entries").unlink()
    observed = read(folder)
    assert "integration" not in observed.devices[0]
    assert observed.extra is not None
    assert observed.extra.keys() == {"storage_versions"}


@pytest.mark.parametrize("number", ["1e400", "-1E+999", "1" + "0" * 400 + ".0", "1" * 250 + "e99"])
def test_a_number_beyond_the_largest_there_is_says_nothing(number: str) -> None:
    text = f'[{{"id": "d{{}}", "n": {number}, "m": 1e300}}]'
    assert read_json(text.encode()) == [{"id": "d{}", "n": None, "m": 1e300}]
    raw = f'{{"version": 1, "data": {{"entities": [\n{{"id": "x1", "entity_id": "light.x", "n": {number}}},\n{{"id": "x2"}}\n]}}}}'
    assert next(iter(stream_records(raw.encode(), "entities")))["n"] is None
