"""Reads the registry files of a Home Assistant, its `.storage` folder, without a running Home Assistant."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from homedex.errors import BadSource
from homedex.ingest.ha_json import collector_paused, read_json, stream_records
from homedex.ingest.home_assistant import STAND_IN_NAME, Translation, without_times
from homedex.ingest.observation import Observation

KNOWN_VERSIONS = {
    "core.device_registry": (1, 3),
    "core.entity_registry": (1,),
    "core.area_registry": (1,),
    "core.floor_registry": (1,),
    "core.label_registry": (1,),
    "core.category_registry": (1,),
    "core.config_entries": (1,),
}
"""The only files that are ever opened, and the major versions known of each. Others hold credentials.

A minor version only adds keys, and unknown keys are kept, so any is accepted.

Source:
    Home Assistant 2024.3.3 to 2026.11.0; devices went from 1.12 to 3.2 with 2026.8, there is no 2.
"""


def read_storage(folder: Path, *, source_id: str) -> Observation:
    """All areas, devices and entities in the registry files of a Home Assistant.

    The files lag behind a running Home Assistant by 10 s (180 s while it starts) and are flushed when it stops. What is
    in `deleted_devices` and `deleted_entities` is not read. State-only entities are in no file, so `partial` says so.
    Of the config entries only `entry_id` and `domain` are used; the secrets in their `data` are dropped unseen.

    Args:
        folder: Home Assistant's configuration folder, or the `.storage` folder in it, or a copy of either.
        source_id: the source the records belong to.

    Raises:
        BadSource: the folder or a registry file is missing, unreadable, broken or of an unknown version.
    """
    storage = _storage_folder(folder)
    versions: dict[str, str] = {}
    with collector_paused():  # 10,000 devices and 50,000 entities in 0.8 s of CPU instead of 1.9
        translation = Translation(source_id, _read_list(storage, "core.config_entries", "entries", versions))
        translation.add_areas(_read_list(storage, "core.area_registry", "areas", versions))
        _add_devices(translation, storage, versions)
        translation.add_entities(_entities(storage, versions))
    partial = {"state_only", "name"} | (set() if "core.area_registry" in versions else {"areas"})
    extra: dict[str, Any] = {"storage_versions": versions}
    for name, key, id_key in (("core.floor_registry", "floors", "floor_id"), ("core.label_registry", "labels", "label_id")):
        found = without_times(_read_list(storage, name, key, versions), id_key)
        if name in versions:  # of what is in no file nothing is said
            extra[key] = found
    categories = _read(storage, "core.category_registry", versions)
    if categories is not None:
        extra["categories"] = _categories(categories)
    return translation.observation(STAND_IN_NAME, extra, partial=frozenset(partial))


def _storage_folder(folder: Path) -> Path:
    for candidate in (folder, folder / ".storage"):
        if os.path.isfile(candidate / "core.device_registry"):  # noqa: PTH113  (pathlib raises for a name that is too long)
            return candidate
    there = os.path.isdir(folder)  # noqa: PTH112
    what = "There is no core.device_registry in it or in its .storage" if there else "There is no such folder"
    raise BadSource(
        f"{folder}: {what}. Give Home Assistant's configuration folder (the one with configuration.yaml), "
        "or its .storage folder with at least core.device_registry and core.entity_registry."
    )


def _read_list(storage: Path, name: str, key: str, versions: dict[str, str]) -> list[Any]:
    data = _read(storage, name, versions)
    return [] if data is None else _records(storage / name, key, data.get(key))


def _read(storage: Path, name: str, versions: dict[str, str]) -> dict[str, Any] | None:
    """The `data` of one file, None when there is no such file; notes its version."""
    path = storage / name
    if not os.path.lexists(path):
        return None
    with _faults_told(path):
        if not path.is_file() and path.exists():
            raise BadSource(f"{path} is no file; copy the whole .storage folder and import again.")
        document = read_json(path.read_bytes())
    return _data(path, document, versions)


def _entities(storage: Path, versions: dict[str, str]) -> Iterator[Any]:
    path = storage / "core.entity_registry"
    with _faults_told(path):
        document = yield from stream_records(path.read_bytes(), "entities")
    yield from _records(path, "entities", _data(path, document, versions).get("entities"))


@contextmanager
def _faults_told(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise BadSource(f"{path} is missing; copy the whole .storage folder and import again.") from None
    except OSError as error:
        raise BadSource(f"{path} cannot be read ({error.strerror}); see that Homedex may read the folder.") from error
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}: {error.msg}"
        raise BadSource(f"{path} is no whole JSON ({where}); it was copied half-written, so copy it again.") from None
    except (ValueError, RecursionError) as error:
        raise BadSource(f"{path} is no JSON that can be read ({type(error).__name__}); copy it again.") from None


def _data(path: Path, document: Any, versions: dict[str, str]) -> dict[str, Any]:
    data = document.get("data") if isinstance(document, dict) else None
    version = document.get("version") if isinstance(document, dict) else None
    if not isinstance(data, dict) or not isinstance(version, int):
        raise BadSource(f'{path} is no Home Assistant registry: it lacks "version" or "data"; copy it again.')
    known = KNOWN_VERSIONS[path.name]
    minor = document.get("minor_version", 1)
    if version not in known:
        raise BadSource(
            f"{path} has version {version}.{minor}, and only {' and '.join(f'{major}.x' for major in known)} "
            "can be read; see whether there is a newer Homedex, or read Home Assistant over its WebSocket."
        )
    versions[path.name] = f"{version}.{minor}"
    return data


def _records(path: Path, key: str, records: Any) -> list[Any]:
    if not isinstance(records, list):
        raise BadSource(f'{path} is no Home Assistant registry: its "{key}" is no list; copy it again.')
    return records


def _add_devices(translation: Translation, storage: Path, versions: dict[str, str]) -> None:
    path = storage / "core.device_registry"
    data = _read(storage, path.name, versions) or {}
    devices = _records(path, "devices", data.get("devices"))
    children = _records(path, "child_devices", data.get("child_devices", []))
    if "child_devices" in data:
        for device in devices:
            if isinstance(device, dict):
                device.setdefault("parent_device_id", None)  # it is no child, as the WebSocket says outright
    translation.add_devices([*devices, *children])
    translation.add_moved(_composites(devices))


def _composites(devices: list[Any]) -> Iterator[tuple[str, Any]]:
    """Each composite that 2026.8 split, and the part that continues it: that of its primary entry, else the first."""
    parts: dict[str, dict[str, Any]] = {}
    for device in devices:
        composite = device.get("composite_device_id") if isinstance(device, dict) else None
        if isinstance(composite, str):
            is_primary = device.get("config_entry_id") == device.get("composite_primary_config_entry")
            parts[composite] = device if is_primary else parts.get(composite, device)
    for composite, device in parts.items():
        yield composite, device.get("id")


def _categories(data: dict[str, Any]) -> dict[str, Any]:
    scopes = data.get("categories", {})
    lists = scopes.items() if isinstance(scopes, dict) else ()
    return {scope: without_times(items, "category_id") for scope, items in lists if items and isinstance(items, list)}
