"""Home Assistant's records as rows: one translation for both ways of reading it, so that both give the same."""

import re
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from homedex.ingest.observation import Observation, Rejection, Row
from homedex.registry.tables import LONGEST_ID

KIND = "home_assistant"
STAND_IN_NAME = "Home Assistant"

AREA_TEXTS = ("name", "floor_id")
DEVICE_TEXTS = (
    "name",
    "name_by_user",
    "manufacturer",
    "model",
    "model_id",
    "area_id",
    "sw_version",
    "hw_version",
    "serial_number",
    "entry_type",
    "configuration_url",
    "via_device_id",
    "parent_device_id",
    "disabled_by",
)
ENTITY_TEXTS = ("platform", "unique_id", "area_id", "device_id", "disabled_by", "hidden_by", "entity_category")

AREA_KNOWN = frozenset({*AREA_TEXTS, "id", "area_id", "aliases", "labels", "created_at", "modified_at"})
DEVICE_KNOWN = frozenset(
    {*DEVICE_TEXTS, "id", "labels", "identifiers", "connections", "created_at", "modified_at", "hub_device_id"}
    # The owner has five spellings; `extra` keeps `config_entry_id`, and `config_entries` where they are many.
    | {"config_entry_id", "primary_config_entry", "config_entries", "config_entries_subentries"}
)
ENTITY_KNOWN = frozenset(
    {*ENTITY_TEXTS, "id", "entity_id", "name", "original_name", "device_class", "original_device_class", "labels"}
    | {"created_at", "modified_at", "aliases", "aliases_v2"}
    # Seeds from which Home Assistant makes an entity_id once; only the files have them, and they say nothing later.
    | {"suggested_object_id", "object_id_base"}
)

KEYS = {"areas": (AREA_TEXTS, AREA_KNOWN), "devices": (DEVICE_TEXTS, DEVICE_KNOWN), "entities": (ENTITY_TEXTS, ENTITY_KNOWN)}

MAC_SEPARATORS = str.maketrans("", "", ":-. ")
MAC_DIGITS = re.compile("[0-9a-f]{12}")


class _Shape:
    """What there is to do with all records that have the same keys: 60,000 records have a dozen shapes."""

    __slots__ = ("extra", "is_listed", "texts")

    def __init__(self, keys: tuple[str, ...], texts: tuple[str, ...], known: frozenset[str]) -> None:
        self.texts = [name for name in texts if name in keys]
        self.extra = [name for name in keys if name not in known]
        self.is_listed = False  # in the keys that this way of reading can see


RowOf = Callable[[dict[str, Any], _Shape], Row]


class _RecordError(ValueError):
    """A record that cannot become a row; the text says why."""


class Translation:
    """The rows of one reading of a Home Assistant, fed with its records in any number of portions.

    Order matters: devices before entities, entities before states, because what is listed later may point to what was
    listed before.

    A value that says nothing (null, false, 0, "", [], {}) is left out of `extra`: each such key means the same as no
    key, and half of all bytes would be nulls. Left out as noise are `suggested_object_id` and `object_id_base` (see
    ENTITY_KNOWN), `config_entries_subentries` (`config_subentry_id` since 2026.8), and `aliases` that hold only null
    ("the computed name", the default since 2026.4).

    Args:
        source_id: the source the rows belong to.
        config_entries: the config entries' records; only `entry_id` and `domain` are read, `data` may hold secrets.
    """

    def __init__(self, source_id: str, config_entries: Iterable[Any]) -> None:
        self.areas: list[Row] = []
        self.devices: list[Row] = []
        self.entities: list[Row] = []
        self.moved: dict[str, str] = {}
        self.rejections: list[Rejection] = []
        self._source_id = source_id
        self._domains = _domains(config_entries)
        self._device_ids: set[str] = set()
        self._rejected_device_ids: set[str] = set()
        self._entity_ids: set[str] = set()
        self._keys = {"areas": set[str](), "devices": {"config_entry_id", "config_entries"}, "entities": set[str]()}
        self._shapes: dict[str, dict[tuple[str, ...], _Shape]] = {table: {} for table in self._keys}

    def add_areas(self, records: Iterable[Any]) -> None:
        """Translate area records; the id is `area_id` (WebSocket) or `id` (files)."""
        self.areas.extend(self._translated("area", "areas", records, _area_row))

    def add_devices(self, records: Iterable[Any]) -> None:
        """Translate all device records, children included; hubs and parents that are not among them become None."""
        self.devices.extend(self._translated("device", "devices", records, self._device_row))
        self._device_ids.update(row["device_id"] for row in self.devices)
        self._rejected_device_ids.update(rejection.id for rejection in self.rejections if rejection.kind == "device")
        known = self._device_ids | self._rejected_device_ids
        for row in self.devices:
            for column in ("via_device_id", "parent_device_id"):
                other = row.get(column)
                if other is not None and (other not in known or other == row["device_id"]):
                    row[column] = None  # files before 3.3 let it dangle or point to itself; nobody can mend it, so no rejection

    def add_entities(self, records: Iterable[Any]) -> None:
        """Translate registry entries of entities."""
        rows = self._translated("entity", "entities", records, self._entity_row)
        for row in rows:
            self._settle_device(row)
            self._entity_ids.add(row["entity_id"])
            self.entities.append(row)

    def add_states(self, states: Iterable[Any]) -> None:
        """Add the entities that have a state but no registry entry, such as zones and YAML without unique_id."""
        for number, state in enumerate(states, 1):
            entity_id = state.get("entity_id") if isinstance(state, dict) else None
            if isinstance(entity_id, str) and entity_id in self._entity_ids:
                continue
            try:
                self.entities.append(self._state_row(state))
            except _RecordError as error:
                state_id = f"{self._source_id}/{entity_id}" if isinstance(entity_id, str) else f"#{number}"
                self.rejections.append(Rejection("entity", state_id, str(error)))

    def add_moved(self, pairs: Iterable[tuple[str, Any]]) -> None:
        """Note which device continues an old id; a target that is not listed is reported and not used."""
        for old, new in pairs:
            if isinstance(new, str) and new in self._device_ids:
                self.moved[old] = new
            else:
                self.rejections.append(Rejection("id", old, f"It is said to live on as {new!r}, which is not listed."))

    def observation(self, name: str, extra: Row, *, partial: frozenset[str] = frozenset()) -> Observation:
        """What was read, in the neutral shape.

        Args:
            name: the home's name, or STAND_IN_NAME with "name" in `partial`.
            extra: what is known of the source itself.
            partial: see `Observation.partial`.
        """
        return Observation(
            source_id=self._source_id,
            kind=KIND,
            name=name,
            areas=self.areas,
            devices=self.devices,
            entities=self.entities,
            extra=extra,
            moved=self.moved,
            rejections=self.rejections,
            partial=partial,
            extra_keys={table: frozenset(keys) for table, keys in self._keys.items()},
        )

    def _translated(self, kind: str, table: str, records: Iterable[Any], row_of: RowOf) -> Iterator[Row]:
        keys, shapes = self._keys[table], self._shapes[table]
        for number, record in enumerate(records, 1):
            try:
                if not isinstance(record, dict):
                    raise _RecordError(f"It is no object but {_named(record)}.")  # noqa: TRY301  (one way out for all faults)
                names = tuple(record)
                shape = shapes.get(names)
                if shape is None:
                    shape = shapes[names] = _Shape(names, *KEYS[table])
                row = row_of(record, shape)
            except _RecordError as error:
                self.rejections.append(Rejection(kind, self._rejected_id(kind, record, number), str(error)))
            else:
                if not shape.is_listed:
                    keys.update(names)
                    shape.is_listed = True
                yield row

    def _rejected_id(self, kind: str, record: Any, number: int) -> str:
        """The id that the record would have: the row that is there under it stays as it is."""
        entity_id = record.get("entity_id") if kind == "entity" and isinstance(record, dict) else None
        if isinstance(entity_id, str) and entity_id:
            self._entity_ids.add(entity_id)  # its state makes no other entity of it
            if not record.get("id"):
                return f"{self._source_id}/{entity_id}"
        return _id_of(record, number)

    def _device_row(self, record: dict[str, Any], shape: _Shape) -> Row:
        row = {"device_id": _id(record, "id"), **_texts(record, shape)}
        if "hub_device_id" in record:  # via_device_id before file version 1.2
            row["via_device_id"] = _text("hub_device_id", record["hub_device_id"])
        if "labels" in record:
            row["labels"] = _strings(record, "labels")
        if "identifiers" in record:
            row["identifiers"] = _identifiers(record["identifiers"])
        if "connections" in record:
            row["connections"] = _connections(record["connections"])
        extra, owner = _extra(record, shape), _owner(record)
        if owner is not None:
            extra["config_entry_id"] = owner
        if len(owners := _owners(record)) > 1:
            extra["config_entries"] = owners
        if self._domains or owner is None:  # without the config entries nothing is known of who owns it
            row["integration"] = self._domains.get(owner or "") or _first_domain(row.get("identifiers"))
        row["extra"] = extra
        _put_times(row, record)
        return row

    def _entity_row(self, record: dict[str, Any], shape: _Shape) -> Row:
        entity_id, domain = _entity_id(record)
        row = {
            "id": _id(record, "id") if record.get("id") is not None else f"{self._source_id}/{entity_id}",
            "entity_id": entity_id,
            "domain": domain,
            **_texts(record, shape),
        }
        for column, key in (("name", "original_name"), ("name_by_user", "name")):
            if key in record:
                row[column] = _text(key, record[key])
        if "device_class" in record or "original_device_class" in record:
            chosen = record.get("device_class") or record.get("original_device_class")
            row["device_class"] = _text("device_class", chosen)
        if "labels" in record:
            row["labels"] = _strings(record, "labels")
        row["extra"] = extra = _extra(record, shape)
        aliases = record.get("aliases_v2", record.get("aliases"))
        if aliases and aliases != [None]:
            extra["aliases"] = aliases
        _put_times(row, record)
        return row

    def _settle_device(self, row: Row) -> None:
        device_id = row.get("device_id")
        if device_id is None or device_id in self._device_ids:
            return
        if device_id in self._rejected_device_ids:
            del row["device_id"]  # nothing is known of that device this time, so the entity keeps the one it has
            reason = f"Its device {device_id!r} was rejected; the entity was kept without it."
        else:
            row["device_id"] = None
            reason = f"Its device {device_id!r} is not listed; the entity was kept without it."
        self.rejections.append(Rejection("entity", row["id"], reason))

    def _state_row(self, state: Any) -> Row:
        if not isinstance(state, dict):
            raise _RecordError(f"It is no object but {_named(state)}.")
        entity_id, domain = _entity_id(state)
        attributes = state.get("attributes") or {}
        if not isinstance(attributes, dict):
            raise _RecordError(f"Its attributes are {_named(attributes)}.")
        return {
            "id": f"{self._source_id}/{entity_id}",
            "entity_id": entity_id,
            "domain": domain,
            "platform": None,
            "device_id": None,
            "name": _text("friendly_name", attributes.get("friendly_name")),
            "device_class": _text("device_class", attributes.get("device_class")),
        }


def without_times(records: Iterable[Any], key: str) -> list[Row]:
    """Floors, labels or categories for the source's `extra`, by `key`, and without times, whose form differs."""
    plain = [
        {name: value for name, value in record.items() if name not in ("created_at", "modified_at")}
        for record in records
        if isinstance(record, dict)
    ]
    return sorted(plain, key=lambda record: str(record.get(key)))


def _area_row(record: dict[str, Any], shape: _Shape) -> Row:
    row = {"area_id": _id(record, "area_id" if "area_id" in record else "id"), **_texts(record, shape)}
    if row.get("name") is None:
        raise _RecordError("It has no name.")
    for column in ("aliases", "labels"):
        if column in record:
            row[column] = _strings(record, column)
    row["extra"] = _extra(record, shape)
    _put_times(row, record)
    return row


def _domains(config_entries: Iterable[Any]) -> dict[str, str]:
    pairs = ((entry.get("entry_id"), entry.get("domain")) for entry in config_entries if isinstance(entry, dict))
    return {entry_id: domain for entry_id, domain in pairs if isinstance(entry_id, str) and isinstance(domain, str)}


def _owners(record: dict[str, Any]) -> list[str]:
    entries = record.get("config_entries")
    return sorted({entry for entry in entries if isinstance(entry, str)}) if isinstance(entries, list) else []


def _owner(record: dict[str, Any]) -> str | None:
    for key in ("config_entry_id", "primary_config_entry"):
        if isinstance(owner := record.get(key), str):
            return owner
    # Home Assistant keeps a set, whose order changes with each start; entry ids are ULIDs, so the least is the oldest.
    return next(iter(_owners(record)), None)


def _first_domain(identifiers: list[list[Any]] | None) -> str | None:
    first = identifiers[0] if identifiers else []
    return str(first[0]) if first else None


def _id(record: dict[str, Any], key: str) -> str:
    value = record.get(key)
    if not isinstance(value, str) or not value:
        raise _RecordError(f"Its {key} is {_named(value)}." if key in record else f"It has no {key}.")
    if len(value) > LONGEST_ID:
        raise _RecordError(f"Its {key} has {len(value)} characters; the longest allowed has {LONGEST_ID}.")
    return value


def _entity_id(record: dict[str, Any]) -> tuple[str, str]:
    entity_id = _id(record, "entity_id")
    domain, _, name = entity_id.partition(".")
    if not domain or not name:
        raise _RecordError(f"Its entity_id {entity_id!r} is not of the form domain.name.")
    return entity_id, domain


def _id_of(record: Any, number: int) -> str:
    ids = (record.get(key) for key in ("id", "area_id", "entity_id")) if isinstance(record, dict) else ()
    return next((value for value in ids if isinstance(value, str) and value), f"#{number}")


def _texts(record: dict[str, Any], shape: _Shape) -> Row:
    row = {column: record[column] for column in shape.texts}
    for column, value in row.items():
        if value is not None and type(value) is not str:
            row[column] = _text(column, value)
    return row


def _text(key: str, value: Any) -> str | None:
    """Text columns hold text: Zigbee2MQTT sends hw_version as a number, and old files have numbers as unique_id."""
    if value is None or type(value) is str:
        return value
    if isinstance(value, (list, dict)):
        raise _RecordError(f"Its {key} is {_named(value)}.")
    return str(value)


def _strings(record: dict[str, Any], key: str) -> list[str]:
    values = record[key] or []
    if not isinstance(values, list) or not all(type(value) is str for value in values):
        raise _RecordError(f"Its {key} is no list of texts.")
    return sorted(set(values)) if len(values) > 1 else values  # a set there: its order changes with each start


def _identifiers(values: Any) -> list[list[Any]]:
    values = values or []
    if not isinstance(values, list) or not all(isinstance(value, list) for value in values):
        raise _RecordError("Its identifiers are no list of lists.")
    return sorted(values, key=lambda parts: [str(part) for part in parts]) if len(values) > 1 else values


def _connections(values: Any) -> list[list[str]]:
    values = values or []
    if not isinstance(values, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in values):  # noqa: PLR2004
        raise _RecordError("Its connections are no list of pairs.")
    pairs = {(str(kind), _mac(str(value)) if kind == "mac" else str(value)) for kind, value in values}
    return [list(pair) for pair in sorted(pairs)]


def _mac(value: str) -> str:
    """aa:bb:cc:dd:ee:ff from any spelling, as Home Assistant's own files have it since 1.11; other text as it is."""
    digits = value.translate(MAC_SEPARATORS).lower()
    if not MAC_DIGITS.fullmatch(digits):
        return value
    return ":".join(digits[at : at + 2] for at in range(0, 12, 2))


def _extra(record: dict[str, Any], shape: _Shape) -> dict[str, Any]:
    return {key: value for key in shape.extra if (value := record[key])}


def _put_times(row: Row, record: dict[str, Any]) -> None:
    for column in ("created_at", "modified_at"):
        moment = _instant(record.get(column))
        if moment is not None:
            row[column] = moment


def _instant(value: Any) -> datetime | None:
    """The UTC instant of float seconds (WebSocket) or ISO text (files); None where unknown, written as 1970."""
    try:
        if isinstance(value, str):
            moment = datetime.fromisoformat(value)
            if moment.tzinfo is not UTC:
                moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
        elif isinstance(value, (int, float)):
            moment = datetime.fromtimestamp(value, UTC)
        else:
            return None
    except (ValueError, OverflowError, OSError):
        return None
    return moment if moment.year > 1970 else None  # noqa: PLR2004


def _named(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: f"the text {str(value)[:40]!r}", type(None): "null"}
    return names.get(type(value), f"the value {str(value)[:40]}")
