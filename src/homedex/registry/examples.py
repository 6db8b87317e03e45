"""The examples of the OpenAPI document; a test holds them to their models."""

from typing import Any

LISTED = {
    "first_listed_at": "2026-11-22T13:52:56.700259Z",
    "last_listed_at": None,
    "removed_at": None,
    "created_at": "2026-03-01T09:00:00.000000Z",
    "modified_at": "2026-11-20T18:04:11.120000Z",
    "version": 3,
}
DEVICE: dict[str, Any] = {
    "device_id": "7b773bb7175ba5c13f03ab79ac927458",
    "source_id": "home-assistant",
    "display_name": "Kitchen ceiling",
    "name": "Hue ceiling light",
    "name_by_user": "Kitchen ceiling",
    "manufacturer": "Signify",
    "model": "Hue White and Color",
    "model_id": "LCA001",
    "area_id": "kitchen",
    "integration": "hue",
    "sw_version": "1.104.2",
    "hw_version": None,
    "serial_number": None,
    "entry_type": None,
    "configuration_url": None,
    "via_device_id": "20c3c6fcd60b1a087d93def1178fa587",
    "parent_device_id": None,
    "disabled_by": None,
    "labels": ["ceiling"],
    "identifiers": [["hue", "00:17:88:01:02:03:04:05-0b"]],
    "connections": [["mac", "00:17:88:01:02:03"]],
    "note": None,
    "extra": {"config_entry_id": "01M81RG2BT4P754SH8H54TXMW6"},
    "source_values": {},
    "disabled": False,
    "last_seen": None,
    "seen_by": None,
    "entity_count": 2,
    **LISTED,
}
ENTITY: dict[str, Any] = {
    "id": "b59ff3217e488754cc218c5f6a06663c",
    "source_id": "home-assistant",
    "display_name": "Ceiling",
    "entity_id": "light.kitchen",
    "device_id": "7b773bb7175ba5c13f03ab79ac927458",
    "domain": "light",
    "platform": "hue",
    "unique_id": "00:17:88:01:02:03:04:05-0b",
    "name": "Ceiling",
    "name_by_user": None,
    "area_id": None,
    "disabled_by": None,
    "hidden_by": None,
    "entity_category": None,
    "device_class": None,
    "labels": [],
    "note": None,
    "extra": {},
    "source_values": {},
    "disabled": False,
    **LISTED,
}
AREA: dict[str, Any] = {
    "area_id": "kitchen",
    "source_id": "home-assistant",
    "name": "Kitchen",
    "floor_id": "ground",
    "aliases": [],
    "labels": [],
    "extra": {},
    "device_count": 12,
    **LISTED,
}
SOURCE: dict[str, Any] = {
    "source_id": "home-assistant",
    "kind": "home_assistant",
    "name": "Home",
    "state": "ok",
    "last_sync_at": "2026-11-22T13:52:56.700259Z",
    "last_error": None,
    "extra": {"version": "2026.11.0"},
    "device_count": 80,
    "created_at": "2026-11-22T13:52:56.700259Z",
    "modified_at": "2026-11-22T13:52:56.700259Z",
    "version": 1,
}
CHANGE: dict[str, Any] = {
    "seq": 4711,
    "at": "2026-11-22T13:52:56.700259Z",
    "kind": "device",
    "source_id": "home-assistant",
    "key": "7b773bb7175ba5c13f03ab79ac927458",
    "action": "update",
    "before": {"sw_version": "1.104.2"},
    "after": {"sw_version": "1.108.7"},
    "actor": "sync",
    "run_id": "0f6a0cfc4bd9495c8c1b8f1f2f6a1d0e",
    "request_id": None,
}
DEVICE_IN: dict[str, Any] = {
    "name": "Boiler",
    "manufacturer": "Vaillant",
    "model": "ecoTEC plus",
    "area_id": "basement",
    "serial_number": "21-1402",
}
ENTITY_IN: dict[str, Any] = {"name": "Pressure", "device_id": "boiler", "device_class": "pressure"}
BULK: dict[str, Any] = {
    "dry_run": False,
    "counts": {"created": 1, "failed": 1},
    "results": [
        {"index": 0, "id": "boiler", "status": "created", "error": None},
        {
            "index": 1,
            "id": "7b773bb7175ba5c13f03ab79ac927458",
            "status": "failed",
            "error": {
                "type": "/problems/conflict",
                "title": "Conflict",
                "status": 409,
                "detail": "the device '7b773bb7175ba5c13f03ab79ac927458' belongs to the source 'home-assistant', and what it says "
                "(model) is changed there. Here a PATCH may set name_by_user, area_id, labels, disabled_by, note.",
            },
        },
    ],
}
PROBLEM: dict[str, Any] = {
    "type": "/problems/not-found",
    "title": "Not found",
    "status": 404,
    "detail": "no device has the id 'boiler'.",
    "instance": "/api/v1/devices/boiler",
    "request_id": "2b1f0c9d8e7a6b54",
}
