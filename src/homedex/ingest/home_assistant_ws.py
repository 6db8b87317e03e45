"""Reads a running Home Assistant over its WebSocket; a token of a read-only user is enough."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from socket import gaierror
from typing import Any
from urllib.parse import SplitResult, urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidProxy, InvalidStatus, InvalidURI, ProxyError

from homedex.errors import BadSource, HomedexError, SourceDenied, SourceUnreachable
from homedex.ingest.ha_json import read_json
from homedex.ingest.home_assistant import STAND_IN_NAME, Translation, without_times
from homedex.ingest.observation import Observation, Row

CATEGORY_SCOPES = ("automation", "helpers", "scene", "script")
"""The scopes that Home Assistant's own pages offer; the API lists categories only by scope (2026.11)."""
PORTION = 1000
"""Entities asked for at once in full: their answer of 0.8 MB holds neither side up for long."""
HOW_TO_GET_ONE = "create a long-lived access token in Home Assistant under your profile, Security, and use that"


class _CommandError(Exception):
    """A command that Home Assistant answered with an error."""

    def __init__(self, command: str, code: str, message: str) -> None:
        super().__init__(f"{command}: {code}: {message}")
        self.command, self.code, self.message = command, code, message


async def read_home_assistant(
    url: str,
    token: str,
    *,
    source_id: str,
    progress: Callable[[str, int], None] | None = None,
    timeout_s: float = 60,
) -> Observation:
    """All areas, devices and entities that a running Home Assistant lists, state-only entities included.

    It waits until Home Assistant runs, because while it starts the lists are not whole. Lists are asked for at once;
    then, in portions, the entities in full, because the list lacks device class, aliases and capabilities.

    Args:
        url: `http(s)://host:8123`, or the WebSocket's own `ws(s)://host:8123/api/websocket`.
        token: a long-lived access token; it appears in no error.
        source_id: the source the records belong to.
        progress: called with what was read ("devices", "entities", …) and how many so far.
        timeout_s: the longest wait for the connection, for each answer, and for Home Assistant to finish starting.

    Raises:
        SourceUnreachable: no connection, it broke, no answer in time, or still starting; later may be better.
        SourceDenied: the token is not accepted or may not read this.
        BadSource: the address has no meaning, or it is not Home Assistant that answers.
    """
    address = websocket_url(url)
    if not token.strip():
        raise SourceDenied(f"No token was given for Home Assistant; {HOW_TO_GET_ONE}.")
    place = urlsplit(address).netloc.rpartition("@")[2]
    tell = progress or (lambda _what, _count: None)
    async with _connected(address, place, timeout_s) as socket:
        talk = _Talk(socket, place, timeout_s)
        await talk.authenticate(token.strip())
        config = await _running_config(talk, place, timeout_s)
        return await _observe(talk, config, source_id, tell)


def websocket_url(url: str) -> str:
    """The WebSocket address for what a person gives as Home Assistant's address.

    Raises:
        BadSource: it is no http, https, ws or wss address with a host.
    """
    try:
        parts = urlsplit(url.strip())
        _ = parts.port  # raises when it is no number from 0 to 65535
    except ValueError:
        parts = SplitResult("", "", "", "", "")
    schemes = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}
    if parts.scheme not in schemes or not parts.hostname:
        raise BadSource("Home Assistant's address has no meaning; give it as http://host:8123 or https://host.")
    path = parts.path.rstrip("/")
    if not path.endswith("/websocket"):
        path += "/api/websocket"
    return f"{schemes[parts.scheme]}://{parts.netloc}{path}"


@asynccontextmanager
async def _connected(address: str, place: str, timeout_s: float) -> AsyncIterator[ClientConnection]:
    """An open connection; whatever breaks it becomes one sentence.

    No compression: deflating 80 MB takes a Raspberry Pi longer than sending them. No pings of ours: a busy Home
    Assistant answers them late, and each answer has its own deadline.
    """
    try:
        async with connect(
            address, max_size=None, compression=None, open_timeout=timeout_s, ping_interval=None, close_timeout=2
        ) as socket:
            yield socket
    except TimeoutError:
        raise SourceUnreachable(
            f"Home Assistant at {place} did not answer within {timeout_s:g} s; see whether it runs, and try again."
        ) from None
    except (gaierror, UnicodeError):
        raise SourceUnreachable(f"The name in {place} is not known to this network; see the address.") from None
    except ssl.SSLError as error:
        reason = getattr(error, "verify_message", None) or error.reason or "no TLS"
        raise SourceUnreachable(
            f"No secure connection to {place} ({reason}); see its certificate, or use http:// inside your network."
        ) from None
    except (InvalidHandshake, InvalidProxy, InvalidURI, ImportError) as error:
        raise _failed_handshake(place, error) from None
    except ConnectionClosed:
        raise SourceUnreachable(f"Home Assistant at {place} hung up while it was read; try again.") from None
    except ConnectionResetError:
        raise SourceUnreachable(
            f"{place} reset the connection; see whether it is Home Assistant's port, and http:// or https:// is right."
        ) from None
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise SourceUnreachable(
            f"No connection to {place} ({reason}); see whether Home Assistant runs there and the port is right."
        ) from None


def _failed_handshake(place: str, error: Exception) -> HomedexError:
    if isinstance(error, InvalidStatus):
        return SourceUnreachable(_status_sentence(place, error.response.status_code))
    if isinstance(error, (ProxyError, InvalidProxy, ImportError)):  # ImportError: a SOCKS proxy wants a further package
        return SourceUnreachable(f"The proxy on the way to {place} does not work; name the host in NO_PROXY if it needs none.")
    if isinstance(error.__cause__, (EOFError, ConnectionError)):
        return SourceUnreachable(
            f"{place} hung up before it said a word; use https:// if Home Assistant has a certificate, else try again."
        )
    return BadSource(f"What answers at {place} speaks no WebSocket; give Home Assistant's own address.")


def _status_sentence(place: str, status: int) -> str:
    if status == 404:  # noqa: PLR2004
        return f"{place} answered HTTP 404: there is no Home Assistant under this address; give it as http://host:8123."
    if status in (401, 403):
        return (
            f"{place} answered HTTP {status}: a proxy before Home Assistant wants a login, or it banned this computer "
            "(ip_bans.yaml); use its own address, or lift the ban."
        )
    return f"{place} answered HTTP {status}; Home Assistant, or a proxy before it, does not work just now, so try again."


class _Talk:
    """Commands and their answers over one connection; several may be under way."""

    def __init__(self, socket: ClientConnection, place: str, timeout_s: float) -> None:
        self._socket = socket
        self._place = place
        self._timeout_s = timeout_s
        self._commands: list[str] = []
        self._answers: dict[int, dict[str, Any]] = {}

    async def authenticate(self, token: str) -> None:
        hello = (await self._receive())[0]
        if hello.get("type") != "auth_required":
            raise self._stranger()
        await self._socket.send(json.dumps({"type": "auth", "access_token": token}))
        verdict = (await self._receive())[0].get("type")
        if verdict == "auth_invalid":
            raise SourceDenied(f"Home Assistant at {self._place} does not accept the token; {HOW_TO_GET_ONE}.")
        if verdict != "auth_ok":
            raise self._stranger()
        await self.ask("supported_features", features={"coalesce_messages": 1})

    async def ask(self, command: str, **arguments: Any) -> int:
        """Send a command; its number, to fetch the answer with."""
        self._commands.append(command)
        number = len(self._commands)
        await self._socket.send(json.dumps({"id": number, "type": command, **arguments}))
        return number

    async def answer(self, number: int) -> Any:
        """The result of a command, whenever it comes.

        Raises:
            _CommandError: Home Assistant answered with an error.
        """
        async with asyncio.timeout(self._timeout_s):  # of the whole wait: a peer that says other things is no answer
            while number not in self._answers:
                for message in await self._receive():
                    if message.get("type") == "result" and isinstance(message.get("id"), int):
                        self._answers[message["id"]] = message
        message = self._answers.pop(number)
        if message.get("success"):
            return message.get("result")
        error = message.get("error")
        error = error if isinstance(error, dict) else {}
        raise _CommandError(self._commands[number - 1], str(error.get("code")), str(error.get("message")))

    async def needed(self, number: int, shape: type, *, unknown: Any = None) -> Any:
        """The result of a command that must work, of this shape; `unknown` where this version has no such command."""
        try:
            result = await self.answer(number)
        except _CommandError as error:
            if error.code == "unknown_command" and unknown is not None:
                return unknown
            raise self._refusal(error) from None
        if not isinstance(result, shape):
            raise self._stranger()
        return result

    async def _receive(self) -> list[dict[str, Any]]:
        async with asyncio.timeout(self._timeout_s):
            raw = await self._socket.recv(decode=False)
        try:
            frame = read_json(raw)
        except (ValueError, RecursionError):
            raise self._stranger() from None
        messages = frame if isinstance(frame, list) else [frame]
        if not messages or not all(isinstance(message, dict) for message in messages):
            raise self._stranger()
        return messages

    def _stranger(self) -> BadSource:
        return BadSource(f"What answers at {self._place} does not speak as Home Assistant does; see the address.")

    def _refusal(self, error: _CommandError) -> HomedexError:
        if error.code == "unauthorized":
            return SourceDenied(f"The token's user may not read {error.command} at {self._place}; use another user's.")
        if error.code == "unknown_command":
            return BadSource(f"Home Assistant at {self._place} is too old: it does not know {error.command}.")
        return SourceUnreachable(
            f"Home Assistant at {self._place} failed at {error.command} ({error.code}); see its log, and try again."
        )


async def _running_config(talk: _Talk, place: str, timeout_s: float) -> dict[str, Any]:
    """The configuration once Home Assistant runs: while it starts, devices and entities are still missing."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout_s
    while True:
        config: dict[str, Any] = await talk.needed(await talk.ask("get_config"), dict)
        state = config.get("state", "RUNNING")
        if state == "RUNNING":
            return config
        if loop.time() >= deadline:
            raise SourceUnreachable(f"Home Assistant at {place} is still starting ({state}); try again when it runs.")
        await asyncio.sleep(min(1, timeout_s / 10))


async def _observe(talk: _Talk, config: dict[str, Any], source_id: str, tell: Callable[[str, int], None]) -> Observation:
    # Devices and entities side by side, so that hardly anything can change between the two.
    devices, entities = await talk.ask("config/device_registry/list"), await talk.ask("config/entity_registry/list")
    areas, entries = await talk.ask("config/area_registry/list"), await talk.ask("config_entries/get")
    splits = await talk.ask("config/device_registry/list_composite_splits")
    floors, labels = await talk.ask("config/floor_registry/list"), await talk.ask("config/label_registry/list")
    scopes = {scope: await talk.ask("config/category_registry/list", scope=scope) for scope in CATEGORY_SCOPES}

    translation = Translation(source_id, await talk.needed(entries, list))
    translation.add_areas(await talk.needed(areas, list))
    tell("areas", len(translation.areas))
    await asyncio.to_thread(translation.add_devices, await talk.needed(devices, list))
    tell("devices", len(translation.devices))
    translation.add_moved(_primary_parts(await talk.needed(splits, dict, unknown={})))
    categories = {
        scope: without_times(await talk.needed(number, list, unknown=[]), "category_id") for scope, number in scopes.items()
    }
    extra: Row = {
        "version": config.get("version"),
        "floors": without_times(await talk.needed(floors, list, unknown=[]), "floor_id"),
        "labels": without_times(await talk.needed(labels, list, unknown=[]), "label_id"),
        "categories": {scope: items for scope, items in categories.items() if items},
    }
    await _add_entities(talk, translation, await talk.needed(entities, list), tell)
    await asyncio.to_thread(translation.add_states, await talk.needed(await talk.ask("get_states"), list))
    tell("entities", len(translation.entities))
    name = config.get("location_name")
    return translation.observation(name if isinstance(name, str) and name else STAND_IN_NAME, extra)


async def _add_entities(talk: _Talk, translation: Translation, records: list[Any], tell: Callable[[str, int], None]) -> None:
    """Translate the listed entities, each completed by what only `get_entries` tells of it."""
    while records:
        portion = records[-PORTION:]
        del records[-PORTION:]
        full = await _full_entries(talk, portion)
        translation.add_entities(_completed(portion, full))
        tell("entities", len(translation.entities))


async def _full_entries(talk: _Talk, records: list[Any]) -> Mapping[Any, Any]:
    """entity_id -> the entry in full; {} where Home Assistant cannot say, because the list alone is enough to go on."""
    entity_ids = [record.get("entity_id") for record in records if isinstance(record, dict)]
    try:
        full = await talk.answer(await talk.ask("config/entity_registry/get_entries", entity_ids=entity_ids))
    except _CommandError:
        return {}
    return full if isinstance(full, dict) else {}


def _completed(records: Iterable[Any], full: Mapping[Any, Any]) -> list[Any]:
    def one(record: Any) -> Any:
        more = full.get(str(record.get("entity_id"))) if isinstance(record, dict) else None
        return {**record, **more} if isinstance(more, dict) else record

    return [one(record) for record in records]


def _primary_parts(splits: dict[str, Any]) -> Iterable[tuple[str, Any]]:
    return [(old, split.get("primary_id")) for old, split in splits.items() if isinstance(split, dict)]
