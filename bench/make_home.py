"""Writes a large home: a .storage folder as Home Assistant 2026.11 writes it, the same for the same seed.

    python bench/make_home.py DIR --devices 10000 --entities 50000 [--areas 40] [--seed 1]

One device in fifty is a child of another, one in a hundred was split from a composite. Nothing in it is a real home's.
"""

import argparse
import json
import random
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

Record = dict[str, Any]

START = datetime(2026, 1, 1, tzinfo=UTC)
ROOMS = ("Kitchen", "Living room", "Bedroom", "Bathroom", "Hall", "Office", "Garage", "Garden", "Attic", "Cellar")
INTEGRATIONS = ("mqtt", "zha", "hue", "esphome", "tasmota", "shelly", "unifi", "zwave_js", "matter", "sonos", "netatmo")
MAKERS = {
    "IKEA": ("TRADFRI bulb E27", "STYRBAR remote", "VINDSTYRKA"),
    "Signify Netherlands B.V.": ("Hue white lamp", "Hue motion sensor", "Hue dimmer switch"),
    "Aqara": ("Door sensor P2", "Temperature sensor T1", "Wall switch H1"),
    "Shelly": ("Plus 1PM", "Pro 4PM", "Flood"),
    "Espressif": ("esp32dev", "esp32-c3-devkitm-1"),
    "Ubiquiti": ("U6 Lite", "USW Flex Mini"),
    "Sonoff": ("S31", "ZBMINI-L2"),
}
SENSED = (  # domain, device class, unit, category, name
    ("sensor", "temperature", "°C", None, "Temperature"),
    ("sensor", "humidity", "%", None, "Humidity"),
    ("sensor", "battery", "%", "diagnostic", "Battery"),
    ("sensor", "signal_strength", "dBm", "diagnostic", "Signal strength"),
    ("binary_sensor", "motion", None, None, "Motion"),
    ("switch", "outlet", None, None, "Outlet"),
    ("light", None, None, None, "Light"),
    ("button", "identify", None, "config", "Identify"),
    ("update", "firmware", None, "config", "Firmware"),
)


def hex_id(chance: random.Random) -> str:
    return f"{chance.getrandbits(128):032x}"


def when(chance: random.Random) -> str:
    return (START + timedelta(seconds=chance.randrange(25_000_000), microseconds=chance.randrange(1_000_000))).isoformat()


def make_areas(count: int, chance: random.Random) -> list[Record]:
    names = [ROOMS[n % len(ROOMS)] + (f" {n // len(ROOMS) + 1}" if n >= len(ROOMS) else "") for n in range(count)]
    return [
        {
            "aliases": [],
            "floor_id": f"floor_{number % 3}",
            "humidity_entity_id": None,
            "icon": None,
            "id": name.lower().replace(" ", "_"),
            "labels": [],
            "name": name,
            "picture": None,
            "temperature_entity_id": None,
            "created_at": when(chance),
            "modified_at": when(chance),
        }
        for number, name in enumerate(names)
    ]


def make_device(number: int, entry: Record, area_id: str | None, chance: random.Random) -> Record:
    maker = chance.choice(list(MAKERS))
    mac = ":".join(f"{chance.randrange(256):02x}" for _ in range(6))
    composite = hex_id(chance) if number % 100 == 0 else None
    return {
        "area_id": area_id,
        "config_entry_id": entry["entry_id"],
        "config_subentry_id": None,
        "configuration_url": f"http://192.0.2.{number % 254 + 1}" if number % 4 == 0 else None,
        "connections": [["mac", mac]] if number % 2 else [],
        "created_at": when(chance),
        "disabled_by": "user" if number % 70 == 0 else None,
        "entry_type": "service" if number % 40 == 0 else None,
        "hw_version": f"rev{number % 5}" if number % 3 == 0 else None,
        "id": hex_id(chance),
        "identifiers": [[entry["domain"], f"{chance.getrandbits(64):016x}"]],
        "labels": ["critical"] if number % 50 == 0 else [],
        "composite_device_id": composite,
        "composite_primary_config_entry": entry["entry_id"] if composite else None,
        "split_at": "2026-08-05T08:00:00+00:00" if composite else None,
        "manufacturer": maker,
        "model": chance.choice(MAKERS[maker]),
        "model_id": f"M{chance.randrange(1000):04d}",
        "modified_at": when(chance),
        "name_by_user": f"My device {number}" if number % 10 == 0 else None,
        "name": f"Device {number}",
        "has_composite_identifiers": False,
        "primary_config_entry": entry["entry_id"],
        "serial_number": f"{chance.getrandbits(40):010X}" if number % 3 else None,
        "sw_version": f"{chance.randrange(1, 9)}.{chance.randrange(20)}.{chance.randrange(10)}",
        "via_device_id": None,
    }


def make_child(number: int, parent: Record, chance: random.Random) -> Record:
    return {
        "area_id": None,
        "config_entry_id": parent["config_entry_id"],
        "config_subentry_id": None,
        "created_at": when(chance),
        "disabled_by": None,
        "id": hex_id(chance),
        "identifiers": [[*parent["identifiers"][0][:1], f"{parent['identifiers'][0][1]}_o{number}"]],
        "labels": [],
        "modified_at": when(chance),
        "name_by_user": None,
        "name": f"Outlet {number}",
        "parent_device_id": parent["id"],
    }


def make_devices(
    count: int, entries: list[Record], areas: list[Record], chance: random.Random
) -> tuple[list[Record], list[Record]]:
    children_count = count // 50
    devices: list[Record] = []
    for number in range(count - children_count):
        area_id = chance.choice(areas)["id"] if areas and chance.random() < 0.9 else None
        devices.append(make_device(number, chance.choice(entries), area_id, chance))
        if number > 20 and number % 5 == 0:
            devices[-1]["via_device_id"] = devices[number % 20]["id"]
    return devices, [make_child(number, chance.choice(devices), chance) for number in range(children_count)]


def make_entities(count: int, devices: list[Record], domains: dict[str, str], chance: random.Random) -> Iterator[Record]:
    for number in range(count):
        device = devices[number % len(devices)] if devices else {"id": None, "config_entry_id": None}
        domain, device_class, unit, category, name = SENSED[number // max(1, len(devices)) % len(SENSED)]
        yield {
            "aliases": [],
            "aliases_v2": [None],
            "area_id": None,
            "categories": {},
            "capabilities": {"state_class": "measurement"} if domain == "sensor" else None,
            "compat_name": None,
            "config_entry_id": device["config_entry_id"],
            "config_subentry_id": None,
            "created_at": when(chance),
            "device_class": None,
            "device_id": device["id"],
            "disabled_by": "integration" if number % 20 == 0 else None,
            "entity_category": category,
            "entity_id": f"{domain}.thing_{number}_{name.lower().replace(' ', '_')}",
            "hidden_by": None,
            "icon": "mdi:star" if number % 30 == 0 else None,
            "id": hex_id(chance),
            "has_entity_name": True,
            "labels": [],
            "modified_at": when(chance),
            "name": f"Renamed {number}" if number % 25 == 0 else None,
            "object_id_base": None,
            "options": {"conversation": {"should_expose": domain != "sensor"}},
            "original_device_class": device_class,
            "original_icon": None,
            "original_name": name,
            "platform": domains.get(str(device["config_entry_id"]), "template"),
            "suggested_object_id": None,
            "supported_features": 44 if domain == "light" else 0,
            "translation_key": device_class,
            "unique_id": f"{chance.getrandbits(64):016x}-{number}",
            "previous_unique_id": None,
            "unit_of_measurement": unit,
        }


def write_registry(folder: Path, name: str, version: tuple[int, int], data: Mapping[str, Iterable[Record]]) -> None:
    """Each record on a line of its own, as Home Assistant writes them."""
    with (folder / name).open("w", encoding="utf-8") as file:
        file.write(f'{{\n  "version": {version[0]},\n  "minor_version": {version[1]},\n  "key": "{name}",\n  "data": {{')
        for position, (key, records) in enumerate(data.items()):
            file.write(f'{"," if position else ""}\n    "{key}": [')
            for number, record in enumerate(records):
                text = json.dumps(record, ensure_ascii=False, separators=(",", ":"))
                file.write(f"{',' if number else ''}\n      {text}")
            file.write("\n    ]")
        file.write("\n  }\n}")


def make_home(folder: Path, *, devices: int, entities: int, areas: int = 40, seed: int = 1) -> Path:
    """Write the registry files into `folder`/.storage; returns that folder."""
    chance = random.Random(seed)
    storage = folder / ".storage"
    storage.mkdir(parents=True, exist_ok=True)
    entries: list[Record] = [
        {"entry_id": f"01JGFJ{number:020d}", "domain": domain, "title": domain, "data": {"password": "not to be read"}}
        for number, domain in enumerate(INTEGRATIONS)
    ]
    domains = {entry["entry_id"]: entry["domain"] for entry in entries}
    rooms = make_areas(areas, chance)
    things, children = make_devices(devices, entries, rooms, chance)
    floors: list[Record] = [
        {"aliases": [], "floor_id": f"floor_{n}", "icon": None, "level": n, "name": f"Floor {n}"} for n in range(3)
    ]
    label = {"color": "red", "description": None, "icon": None, "label_id": "critical", "name": "Critical"}
    write_registry(storage, "core.config_entries", (1, 5), {"entries": entries})
    write_registry(storage, "core.area_registry", (1, 9), {"areas": rooms})
    write_registry(storage, "core.floor_registry", (1, 3), {"floors": floors})
    write_registry(storage, "core.label_registry", (1, 2), {"labels": [label]})
    registry = {"devices": things, "child_devices": children, "deleted_devices": []}
    write_registry(storage, "core.device_registry", (3, 4), registry)
    all_entities = make_entities(entities, [*things, *children], domains, chance)
    write_registry(storage, "core.entity_registry", (1, 24), {"entities": all_entities, "deleted_entities": []})
    return storage


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="the configuration folder; .storage is made in it")
    parser.add_argument("--devices", type=int, default=10_000)
    parser.add_argument("--entities", type=int, default=50_000)
    parser.add_argument("--areas", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    told = parser.parse_args()
    storage = make_home(told.folder, devices=told.devices, entities=told.entities, areas=told.areas, seed=told.seed)
    print(f"{told.devices} devices and {told.entities} entities in {storage}")


if __name__ == "__main__":
    main()
