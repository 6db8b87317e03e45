"""A made-up home, always the same: 240 devices in 12 areas, 1,400 entities."""

import random
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection

from homedex.ingest.observation import Observation, Row
from homedex.ingest.run import sync
from homedex.registry.devices import record_sightings
from homedex.storage.database import Database

SOURCE = "demo"
BUILT = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
ENTITY_COUNT = 1400
DEVICES_PER_AREA = 20

AREAS = {
    "attic": "Attic",
    "basement": "Basement",
    "bathroom": "Bathroom",
    "bedroom": "Bedroom",
    "childrens_room": "Children's room",
    "garage": "Garage",
    "garden": "Garden",
    "hall": "Hall",
    "kitchen": "Kitchen",
    "living_room": "Living room",
    "office": "Office",
    "workshop": "Workshop",
}

PRODUCTS = (
    ("Ceiling light", "Signify", "Hue White and Color", "LCA001", "hue", ("light",)),
    ("Window contact", "Aqara", "Door and window sensor", "MCCGQ11LM", "mqtt", ("binary_sensor",)),
    ("Climate sensor", "Aqara", "Temperature and humidity sensor", "WSDCGQ11LM", "mqtt", ("sensor",)),
    ("Socket", "Shelly", "Plug S", "SHPLG-S", "shelly", ("switch", "sensor")),
    ("Thermostat", "Eve Systems", "Thermo", "20EBP1701", "matter", ("climate", "sensor")),
    ("Motion sensor", "IKEA of Sweden", "VALLHORN", "E2134", "zha", ("binary_sensor", "sensor")),
    ("Blind", "Somfy", "Sonesse 30", "1241752", "overkiz", ("cover",)),
    ("Speaker", "Sonos", "Era 100", "S39", "sonos", ("media_player",)),
    ("Smoke alarm", "Bosch", "Smoke detector II", "8750001213", "zha", ("binary_sensor",)),
    ("Energy meter", "Tasmota", "Nous A1T", None, "tasmota", ("sensor", "switch")),
)
"""What, manufacturer, model, model id, integration, domains of its entities."""


def made_up_home() -> Observation:
    """The home as one observation; the same every time."""
    dice = random.Random(2026)  # noqa: S311  (no secret: a fixed home)
    observed = Observation(source_id=SOURCE, kind="file", name="A made-up home")
    for area_id, name in AREAS.items():
        observed.areas.append({"area_id": area_id, "name": name, "created_at": BUILT, "modified_at": BUILT})
        observed.devices.extend(_device(dice, area_id, number) for number in range(1, DEVICES_PER_AREA + 1))
    shares = _shares(dice, len(observed.devices))
    for device, share in zip(observed.devices, shares, strict=True):
        observed.entities.extend(_entity(device, number) for number in range(share))
    return observed


def _device(dice: random.Random, area_id: str, number: int) -> Row:
    what, manufacturer, model, model_id, integration, _ = PRODUCTS[number % len(PRODUCTS)]
    serial, born = f"{dice.getrandbits(40):010x}", BUILT + timedelta(minutes=dice.randrange(200_000))
    return {
        "device_id": f"demo:{area_id.replace('_', '-')}-{number:02}",
        "name": f"{what} {number}",
        "name_by_user": f"{AREAS[area_id]} {what.lower()}" if number <= len(PRODUCTS) and number % 3 == 0 else None,
        "manufacturer": manufacturer,
        "model": model,
        "model_id": model_id,
        "area_id": area_id,
        "integration": integration,
        "sw_version": f"{dice.randrange(1, 4)}.{dice.randrange(20)}.{dice.randrange(10)}",
        "serial_number": serial.upper(),
        "disabled_by": "user" if dice.random() < 0.04 else None,  # noqa: PLR2004
        "identifiers": [[integration, serial]],
        "connections": [["mac", ":".join(f"{dice.randrange(256):02x}" for _ in range(6))]],
        "created_at": born,
        "modified_at": born,
    }


def _shares(dice: random.Random, count: int) -> list[int]:
    """How many entities each device has: at least two, ENTITY_COUNT in all."""
    shares = [2] * count
    for _ in range(ENTITY_COUNT - sum(shares)):
        shares[dice.randrange(count)] += 1
    return shares


def _entity(device: Row, number: int) -> Row:
    domains = next(product[5] for product in PRODUCTS if product[2] == device["model"])
    domain, diagnostic = (domains[number], None) if number < len(domains) else ("sensor", "diagnostic")
    slug = device["device_id"].removeprefix("demo:").replace("-", "_")
    return {
        "id": f"{device['device_id']}/{number}",
        "entity_id": f"{domain}.{slug}_{number}",
        "device_id": device["device_id"],
        "domain": domain,
        "platform": device["integration"],
        "unique_id": f"{device['serial_number']}-{number}",
        "name": f"{device['name']} {domain.replace('_', ' ')} {number}",
        "disabled_by": device["disabled_by"] and "device",
        "entity_category": diagnostic,
        "created_at": device["created_at"],
        "modified_at": device["modified_at"],
    }


async def fill(database: Database) -> None:
    """Write the home, with a last sighting for most devices."""
    home = made_up_home()
    await sync(database, home, allow_removals=False, dry_run=False, now=BUILT, actor="demo")
    await database.write(_sight, home)


def _sight(connection: Connection, home: Observation) -> None:
    dice = random.Random(7)  # noqa: S311
    seen = [device["device_id"] for device in home.devices if dice.random() < 0.9]  # noqa: PLR2004
    record_sightings(
        connection, [(device_id, BUILT + timedelta(seconds=dice.randrange(20_000_000))) for device_id in seen], seen_by=SOURCE
    )
