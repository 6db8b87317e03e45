import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from homedex.errors import BadSource, HomedexError, SourceDenied, SourceUnreachable
from homedex.ingest.ha_storage import read_storage
from homedex.ingest.home_assistant_ws import read_home_assistant, websocket_url
from homedex.ingest.observation import Observation
from homedex.ingest.reconcile import Have, reconcile

pytestmark = pytest.mark.anyio

CAPTURES = Path(__file__).parents[1] / "data" / "ha_captures"
VERSIONS = ("2024.3", "2025.4", "2026.11")
TOKEN = "eyJ.the-secret.token"
UNKNOWN = {"success": False, "error": {"code": "unknown_command", "message": "Unknown command."}}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@dataclass
class FakeHome:
    """A Home Assistant's socket that answers from recorded payloads, as the real one frames them."""

    answers: dict[str, Any] = field(default_factory=dict)  # command -> result, or a whole answer with "success"
    states: list[str] = field(default_factory=lambda: ["RUNNING"])  # of get_config; the last one stays
    hang_up_at: str | None = None
    silent_at: str | None = None
    raw_at: dict[str, str] = field(default_factory=dict)
    hello: str = '{"type": "auth_required", "ha_version": "2026.11.0"}'
    status: int | None = None  # an HTTP answer instead of the upgrade
    commands: list[dict[str, Any]] = field(default_factory=list)

    async def talk(self, connection: ServerConnection) -> None:
        await connection.send(self.hello)
        if json.loads(await connection.recv())["access_token"] != TOKEN:
            await connection.send(json.dumps({"type": "auth_invalid", "message": "Invalid access token or password"}))
            return
        await connection.send(json.dumps({"type": "auth_ok", "ha_version": "2026.11.0"}))
        async for text in connection:
            await self.answer(connection, json.loads(text))

    async def answer(self, connection: ServerConnection, command: dict[str, Any]) -> None:
        self.commands.append(command)
        kind = command["type"]
        if kind == self.hang_up_at:
            connection.transport.abort()
        elif kind in self.raw_at:
            await connection.send(self.raw_at[kind])
        elif kind != self.silent_at:
            message = {"id": command["id"], "type": "result", **self.result(kind, command)}
            event = {"id": 99, "type": "event", "event": {}}
            coalesces = self.commands[0]["type"] == "supported_features"
            await connection.send(json.dumps([event, message] if coalesces else message))

    def result(self, kind: str, command: dict[str, Any]) -> dict[str, Any]:
        if kind == "get_config":
            state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
            result: Any = {"state": state, "version": "2026.11.0", "location_name": "Test Home", **self.answers.get(kind, {})}
        elif kind == "config/entity_registry/get_entries" and kind in self.answers:
            result = {entity_id: self.answers[kind].get(entity_id) for entity_id in command["entity_ids"]}
        elif kind == "supported_features":
            result = None
        else:
            result = self.answers.get(kind, UNKNOWN)
        return result if isinstance(result, dict) and "success" in result else {"success": True, "result": result}

    def refuse(self, connection: ServerConnection, _request: Request) -> Response | None:
        return None if self.status is None else connection.respond(self.status, "no\n")


@asynccontextmanager
async def served(home: FakeHome) -> AsyncIterator[str]:
    async with serve(home.talk, "127.0.0.1", 0, process_request=home.refuse) as server:
        yield f"http://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}/"


async def read(home: FakeHome, *, token: str = TOKEN, timeout_s: float = 5, progress: Any = None) -> Observation:
    async with served(home) as url:
        return await read_home_assistant(url, token, source_id="home", timeout_s=timeout_s, progress=progress)


async def failure_of(home: FakeHome, *, token: str = TOKEN, timeout_s: float = 5) -> HomedexError:
    with pytest.raises(HomedexError) as told:
        await read(home, token=token, timeout_s=timeout_s)
    assert token not in str(told.value)
    assert "\n" not in told.value.detail
    return told.value


def captured(version: str) -> FakeHome:
    def recorded(command: str) -> Any:
        answer = json.loads((CAPTURES / version / f"{command}.json").read_text())
        return answer["result"] if answer["success"] else {"success": False, "error": answer["error"]}

    lists = ("device", "entity", "area", "floor", "label", "category")
    answers = {f"config/{kind}_registry/list": recorded(f"config_{kind}_registry_list") for kind in lists}
    splits = recorded("config_device_registry_list_composite_splits")
    return FakeHome(
        {
            **answers,
            "config_entries/get": recorded("config_entries_get"),
            "get_states": recorded("get_states"),
            "config/device_registry/list_composite_splits": splits,
            "config/entity_registry/get_entries": full_entries(version),
        }
    )


def full_entries(version: str) -> dict[str, Any]:
    """The entries in full; the captures hold only some, so their missing keys are taken from the files."""
    more = ("aliases", "capabilities", "device_class", "original_device_class", "original_icon")
    listed = json.loads((CAPTURES / version / "config_entity_registry_list.json").read_text())["result"]
    stored = json.loads((CAPTURES / f"storage-{version}" / "core.entity_registry").read_text())["data"]["entities"]
    by_id = {record["id"]: {key: record.get(f"{key}_v2", record[key]) for key in more} for record in stored}
    return {record["entity_id"]: {**record, **by_id[record["id"]]} for record in listed}


def small_home(**answers: Any) -> FakeHome:
    lists: dict[str, Any] = {f"config/{kind}_registry/list": [] for kind in ("device", "entity", "area", "floor", "label")}
    named = {name.replace("__", "/"): answer for name, answer in answers.items()}
    return FakeHome({**lists, "config_entries/get": [], "get_states": [], **named})


def differences(sockets: Observation, files: Observation, table: str) -> list[set[str]]:
    """The columns, and keys of `extra`, that both ways have and that differ, of each row where any do; but for modified_at."""
    key = {"areas": "area_id", "devices": "device_id", "entities": "id"}[table]
    shared = sockets.extra_keys[table] & files.extra_keys[table]
    other_rows = {row[key]: row for row in getattr(files, table)}
    found = []
    for row in getattr(sockets, table):
        other = other_rows.get(row[key])
        if other is None:
            continue
        columns = (row.keys() & other.keys()) - {"extra", "modified_at"}
        extras = (row.get("extra", {}).keys() | other["extra"].keys()) & shared
        differing = {column for column in columns if row[column] != other[column]}
        differing |= {f"extra.{name}" for name in extras if row["extra"].get(name) != other["extra"].get(name)}
        found += [differing] if differing else []
    return found


@pytest.mark.parametrize(
    ("version", "devices", "registered", "state_only"), [("2024.3", 52, 76, 40), ("2025.4", 66, 166, 41), ("2026.11", 80, 187, 37)]
)
async def test_each_captured_version_is_read_whole(version: str, devices: int, registered: int, state_only: int) -> None:
    observed = await read(captured(version))

    with_platform = [row for row in observed.entities if row["platform"] is not None]
    assert (len(observed.devices), len(with_platform), len(observed.entities)) == (devices, registered, registered + state_only)
    assert observed.rejections == []
    assert (observed.name, observed.partial) == ("Test Home", frozenset())
    assert all(row["integration"] for row in observed.devices)


@pytest.mark.parametrize(
    ("version", "devices"),
    [("2024.3", []), ("2025.4", [{"name_by_user"}, {"name", "model", "manufacturer"}]), ("2026.11", [{"name_by_user"}])],
)
async def test_the_files_say_the_same_as_the_socket(version: str, devices: list[set[str]]) -> None:
    """But for what was changed between the two captures: an icon, a device's name, a broker's last word on a plug."""
    sockets = await read(captured(version))
    files = read_storage(CAPTURES / f"storage-{version}", source_id="home")

    assert differences(sockets, files, "areas") == []
    assert differences(sockets, files, "devices") == devices
    assert differences(sockets, files, "entities") == [{"extra.icon"}]


async def test_children_leave_out_what_they_do_not_say() -> None:
    children = [row for row in (await read(captured("2026.11"))).devices if row["parent_device_id"]]

    assert [row["name"] for row in children] == ["Outlet 1", "Outlet 2"]
    assert all("manufacturer" not in row and "connections" not in row for row in children)


async def test_entities_with_a_state_alone_are_listed_under_the_sources_id() -> None:
    state = {"entity_id": "zone.home", "state": "0", "attributes": {"friendly_name": "Home", "device_class": None}}

    observed = await read(small_home(get_states=[state, {"entity_id": "broken"}, 5]))

    assert observed.entities == [
        {
            "id": "home/zone.home",
            "entity_id": "zone.home",
            "domain": "zone",
            "platform": None,
            "device_id": None,
            "name": "Home",
            "device_class": None,
        }
    ]
    assert [rejection.id for rejection in observed.rejections] == ["home/broken", "#3"]


async def test_reading_the_files_after_the_socket_removes_nothing_and_keeps_what_only_the_socket_says() -> None:
    sockets = await read(captured("2026.11"))
    entities = {row["id"]: {"extra": {}, **row, "removed_at": None} for row in sockets.entities}
    devices = {row["device_id"]: {**row, "removed_at": None} for row in sockets.devices}
    files = read_storage(CAPTURES / "storage-2026.11", source_id="home")

    plan = reconcile(Have(devices=devices, entities=entities), files)

    parts = [row["extra"].get("next_name_part") for row in entities.values()]
    after = {**{key: row["extra"] for key, row in entities.items()}, **{u.key: u.after["extra"] for u in plan.entities.update}}
    assert plan.devices.remove == plan.entities.remove == []
    assert [extra.get("next_name_part") for extra in after.values()] == parts
    assert "device" in parts


async def test_the_device_class_and_aliases_come_from_the_entry_in_full() -> None:
    listed = [{"id": "x1", "entity_id": "light.x", "platform": "mqtt"}, {"id": "x2", "entity_id": "light.y", "platform": "mqtt"}]
    full = {"light.x": {**listed[0], "device_class": None, "original_device_class": "motion", "aliases": [None, "Lamp"]}}
    home = small_home(config__entity_registry__list=listed)
    home.answers |= {"config/entity_registry/list": listed, "config/entity_registry/get_entries": full}

    first, second = (await read(home)).entities

    assert (first["device_class"], first["extra"]) == ("motion", {"aliases": [None, "Lamp"]})
    assert "device_class" not in second  # removed between the two answers, or a Home Assistant that cannot say


async def test_thousands_of_entities_are_asked_for_in_portions_and_reported_on_the_way() -> None:
    listed = [{"id": f"x{n}", "entity_id": f"light.n{n}", "platform": "mqtt"} for n in range(2500)]
    home = small_home()
    home.answers |= {"config/entity_registry/list": listed, "config/entity_registry/get_entries": {}}
    told: list[tuple[str, int]] = []

    observed = await read(home, progress=lambda what, count: told.append((what, count)))

    asked = [len(command["entity_ids"]) for command in home.commands if "entity_ids" in command]
    assert (len(observed.entities), asked) == (2500, [1000, 1000, 500])
    assert told == [("areas", 0), ("devices", 0), *(("entities", count) for count in (1000, 2000, 2500, 2500))]


async def test_a_message_of_20_mb_is_read() -> None:
    long_name = "n" * 20_000_000

    observed = await read(small_home(config__device_registry__list=[{"id": "d1", "name": long_name}]))

    assert observed.devices[0]["name"] == long_name


async def test_composite_splits_lead_to_the_primary_part() -> None:
    splits = {"old": {"split_ids": ["d1", "d2"], "primary_id": "d2"}, "older": {"split_ids": [], "primary_id": "gone"}, "odd": 5}
    home = small_home(config__device_registry__list=[{"id": "d1"}, {"id": "d2"}])
    home.answers["config/device_registry/list_composite_splits"] = splits

    observed = await read(home)

    assert observed.moved == {"old": "d2"}
    assert [(rejection.kind, rejection.id) for rejection in observed.rejections] == [("id", "older")]


async def test_floors_labels_categories_and_version_become_facts_of_the_source() -> None:
    category = {"category_id": "c", "name": "C", "created_at": 1.5}
    home = small_home(config__floor_registry__list=[{"floor_id": "f", "level": 0, "modified_at": 1.5}])
    home.answers["config/category_registry/list"] = [category]

    extra = (await read(home)).extra

    assert extra is not None
    assert (extra["version"], extra["floors"]) == ("2026.11.0", [{"floor_id": "f", "level": 0}])
    assert extra["categories"]["scene"] == [{"category_id": "c", "name": "C"}]


async def test_commands_that_an_old_version_does_not_know_are_done_without() -> None:
    home = small_home()
    for kind in ("floor", "label"):
        del home.answers[f"config/{kind}_registry/list"]

    observed = await read(home)

    assert observed.extra == {"version": "2026.11.0", "floors": [], "labels": [], "categories": {}}


async def test_a_starting_home_assistant_is_waited_for() -> None:
    home = small_home()
    home.states = ["NOT_RUNNING", "STARTING", "RUNNING"]

    await read(home, timeout_s=2)

    assert [command["type"] for command in home.commands].count("get_config") == 3


async def test_a_home_assistant_that_never_finishes_starting_is_unreachable() -> None:
    home = small_home()
    home.states = ["STARTING"]

    failure = await failure_of(home, timeout_s=0.3)

    assert isinstance(failure, SourceUnreachable)
    assert "still starting (STARTING)" in failure.detail


@pytest.mark.parametrize("token", ["wrong", "", "  "])
async def test_a_token_that_is_not_accepted_is_told_with_how_to_get_one(token: str) -> None:
    with pytest.raises(SourceDenied, match="long-lived access token"):
        await read(small_home(), token=token)


@pytest.mark.parametrize("command", ["supported_features", "config/device_registry/list", "get_states"])
async def test_a_connection_that_drops_while_reading_is_unreachable(command: str) -> None:
    home = small_home()
    home.hang_up_at = command

    failure = await failure_of(home)

    assert isinstance(failure, SourceUnreachable)
    assert "hung up" in failure.detail


@pytest.mark.parametrize("command", ["get_config", "get_states"])
async def test_an_answer_that_does_not_come_is_unreachable_in_time(command: str) -> None:
    home = small_home()
    home.silent_at = command

    failure = await failure_of(home, timeout_s=0.2)

    assert isinstance(failure, SourceUnreachable)
    assert "within 0.2 s" in failure.detail


@pytest.mark.parametrize(
    ("code", "error", "word"),
    [
        ("unauthorized", SourceDenied, "may not read get_states"),
        ("unknown_command", BadSource, "too old"),
        ("unknown_error", SourceUnreachable, "failed at get_states"),
    ],
)
async def test_a_refused_list_is_told_by_its_reason(code: str, error: type[HomedexError], word: str) -> None:
    failure = await failure_of(small_home(get_states={"success": False, "error": {"code": code, "message": "No."}}))

    assert isinstance(failure, error)
    assert word in failure.detail


@pytest.mark.parametrize("hello", ["no json", "[]", "5", '{"type": "welcome"}', "[" * 100_000, '["x"]'])
async def test_a_socket_of_another_program_is_no_home_assistant(hello: str) -> None:
    home = small_home()
    home.hello = hello

    assert isinstance(await failure_of(home), BadSource)


@pytest.mark.parametrize("raw", ["<html>", "[]", '[{"type": "result"}, 5]'])
async def test_a_broken_answer_is_no_home_assistant(raw: str) -> None:
    home = small_home()
    home.raw_at["get_states"] = raw

    assert isinstance(await failure_of(home), BadSource)


async def test_an_answer_of_another_shape_is_no_home_assistant() -> None:
    assert isinstance(await failure_of(small_home(get_states={"a": 1})), BadSource)


@pytest.mark.parametrize(("status", "word"), [(404, "http://host:8123"), (403, "ban"), (502, "try again"), (200, "HTTP 200")])
async def test_an_http_answer_instead_of_the_upgrade_is_told(status: int, word: str) -> None:
    home = small_home()
    home.status = status

    failure = await failure_of(home)

    assert isinstance(failure, SourceUnreachable)
    assert word in failure.detail


async def test_a_refused_connection_is_unreachable() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]

    with pytest.raises(SourceUnreachable, match=rf"No connection to 127.0.0.1:{port} \(.*port is right"):
        await read_home_assistant(f"http://127.0.0.1:{port}", TOKEN, source_id="home")


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a..b"])
async def test_an_unknown_name_is_unreachable(host: str) -> None:
    with pytest.raises(SourceUnreachable, match=r"The name in .* is not known"):
        await read_home_assistant(f"http://{host}:8123", TOKEN, source_id="home")


async def test_a_server_without_tls_is_told_so() -> None:
    async with served(small_home()) as url:
        with pytest.raises(SourceUnreachable, match="https:// is right"):
            await read_home_assistant(url.replace("http", "https"), TOKEN, source_id="home", timeout_s=5)


@pytest.mark.parametrize(
    ("greeting", "error"),
    [(b"220 mail ready\r\n", BadSource), (b"", SourceUnreachable), (b"HTTP/1.1 301 Moved\r\n\r\n", SourceUnreachable)],
)
async def test_a_port_of_another_protocol_is_told(greeting: bytes, error: type[HomedexError]) -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(greeting)
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(error):
            await read_home_assistant(f"http://127.0.0.1:{port}", TOKEN, source_id="home", timeout_s=5)


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ("http://ha.local:8123", "ws://ha.local:8123/api/websocket"),
        (" http://ha.local:8123/ ", "ws://ha.local:8123/api/websocket"),
        ("https://ha.example", "wss://ha.example/api/websocket"),
        ("HTTP://[::1]:8123", "ws://[::1]:8123/api/websocket"),
        ("ws://supervisor/core/websocket", "ws://supervisor/core/websocket"),
        ("wss://ha.example/api/websocket", "wss://ha.example/api/websocket"),
    ],
)
def test_the_address_may_be_given_as_people_write_it(given: str, address: str) -> None:
    assert websocket_url(given) == address


@pytest.mark.parametrize(
    "given", ["", "ha.local:8123", "ftp://ha.local", "http://", "http://ha:port", "http://ha:99999", "http://[::1"]
)
def test_an_address_without_meaning_is_refused(given: str) -> None:
    with pytest.raises(BadSource, match="http://host:8123"):
        websocket_url(given)


async def test_a_state_makes_no_other_entity_of_one_whose_record_was_rejected() -> None:
    record = {"id": "e1", "entity_id": "light.kitchen", "platform": "hue", "unique_id": ["no", "text"]}
    states: list[Any] = [{"entity_id": entity_id, "attributes": {}} for entity_id in ("light.kitchen", "zone.home")]
    answers: dict[str, Any] = {"config_entries/get": [], "config/area_registry/list": [], "config/device_registry/list": []}
    observed = await read(FakeHome(answers | {"config/entity_registry/list": [record], "get_states": states}))
    assert [row["entity_id"] for row in observed.entities] == ["zone.home"]
    assert [rejection.id for rejection in observed.rejections] == ["e1"]
