"""The registry as plain dicts: what README, ARCHITECTURE and docstrings promise of edits and syncs, in the fewest words.

Nothing of `homedex` is used here. Rows are as JSON has them: times are texts, all of one form, so that they compare as times do.
"""

import copy
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

Row = dict[str, Any]
Place = tuple[str, str, str]  # which table, which source's, its key

HOME, MANUAL = "home", "manual"
KEYS = {"sources": "source_id", "areas": "area_id", "devices": "device_id", "entities": "id"}
TEXTS = {
    "areas": ("name", "floor_id"),
    "devices": (
        *("name", "name_by_user", "manufacturer", "model", "model_id", "area_id", "integration", "sw_version", "hw_version"),
        *("serial_number", "entry_type", "configuration_url", "via_device_id", "parent_device_id", "disabled_by", "note"),
    ),
    "entities": (
        *("device_id", "platform", "unique_id", "name", "name_by_user", "area_id", "disabled_by", "hidden_by"),
        *("entity_category", "device_class", "note"),
    ),
}
LISTS = {"areas": ("aliases", "labels"), "devices": ("labels", "identifiers", "connections"), "entities": ("labels",)}
FACTS = {noun: dict.fromkeys(TEXTS[noun]) | {name: [] for name in LISTS[noun]} | {"extra": {}} for noun in TEXTS}
PEOPLES = ("name_by_user", "area_id", "labels", "disabled_by", "note")
LISTED = {"last_listed_at": None, "removed_at": None}
SIGHTING = {"last_seen": None, "seen_by": None}
BLANK: dict[str, Row] = {
    "sources": {"last_sync_at": None, "last_error": None, "extra": {}},
    "areas": FACTS["areas"] | LISTED,
    "devices": FACTS["devices"] | LISTED | {"source_values": {}},
    "entities": FACTS["entities"] | LISTED | {"source_values": {}},
}


class Refused(Exception):
    """With which status a request is refused. One that is wrong twice is refused for what is looked at first here."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def text(value: Any) -> str:
    """A value to compare by: to Python True is 1, to JSON it is not; the order of members means nothing."""
    return json.dumps(value, sort_keys=True)


def merged(target: Any, patch: Any) -> Any:
    """The example implementation of RFC 7396."""
    if not isinstance(patch, dict):
        return patch
    target = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            target.pop(name, None)
        else:
            target[name] = merged(target.get(name), value)
    return target


def born(noun: str, source_id: str, key: str, said: Row, at: str) -> Row:
    """A new row: what is not said of it is blank."""
    times = {"created_at": at, "modified_at": at} | ({} if noun == "sources" else {"first_listed_at": at})
    return copy.deepcopy(BLANK[noun]) | times | {"source_id": source_id, KEYS[noun]: key, "version": 1} | said


class PlainRegistry:
    """What is there, in the order in which it came, and which ids lead on to which."""

    def __init__(self) -> None:
        self.rows: dict[Place, Row] = {}
        self.moved: dict[str, str] = {}
        self.now, self.tomorrow = "", ""

    def of(self, noun: str, source_id: str | None = None) -> Iterator[Row]:
        return (row for place, row in self.rows.items() if place[0] == noun and source_id in {None, place[1]})

    def present(self, noun: str, source_id: str | None = None) -> list[Row]:
        return [row for row in self.of(noun, source_id) if row["removed_at"] is None]

    def named(self, noun: str, key: str, source_id: str | None = None, *, by_id: bool = False) -> list[Row]:
        """The rows that a name means. An entity goes by its entity_id while it is there, else by its id; or by that alone."""
        by_name = [row for row in self.present(noun) if row.get("entity_id") == key and not by_id]
        rows = by_name or [row for row in self.of(noun) if row[KEYS[noun]] == key]
        return [row for row in rows if source_id in {None, row["source_id"]}]

    def shown(self, noun: str) -> list[Row]:
        """The rows as a list shows them, in its order."""
        rows = list(self.of(noun))
        if noun in {"areas", "sources"}:
            rows.sort(key=lambda row: (row[KEYS[noun]], row["source_id"]))
        return [row | self.computed(noun, row) for row in rows]

    def computed(self, noun: str, row: Row) -> Row:
        if noun in {"areas", "sources"}:
            mine = self.present("devices", row["source_id"])
            return {"device_count": sum(noun == "sources" or device["area_id"] == row["area_id"] for device in mine)}
        name = row["name"] if row["name_by_user"] is None else row["name_by_user"]
        found = {"display_name": name, "disabled": row["disabled_by"] is not None}
        if noun == "devices":
            mine = [entity for entity in self.present("entities") if entity["device_id"] == row["device_id"]]
            found |= SIGHTING | row | found | {"entity_count": len(mine)}
        return found

    # Writing, by whomever.

    def create(self, noun: str, source_id: str, key: str, said: Row) -> None:
        if source_id == MANUAL and (place := ("sources", MANUAL, MANUAL)) not in self.rows:
            by_hand = {"kind": "manual", "name": "Added by hand", "state": "never"}
            self.rows[place] = born("sources", MANUAL, MANUAL, by_hand, self.now)
        self.rows[noun, source_id, key] = born(noun, source_id, key, said, self.now)

    def write(self, row: Row, said: Row) -> bool:
        """Write what is otherwise than it is, if anything is; a restored row has `removed_at` among it."""
        other = {name: value for name, value in said.items() if text(row[name]) != text(value)}
        if other:
            row.update({"modified_at": self.now} | other, version=row["version"] + 1)
        return bool(other)

    # What people and scripts ask for.

    def get(self, noun: str, key: str, source_id: str | None = None) -> Row:
        rows = self.named(noun, key, source_id)
        present = [row for row in rows if row["removed_at"] is None]
        if len(present) > 1:
            raise Refused(409)
        if not present:
            raise self._absent(key, rows)
        return present[0] | self.computed(noun, present[0])

    def remove(self, noun: str, key: str, conditions: Row, source_id: str | None = None) -> None:
        row = self._meant(noun, key, self.named(noun, key, source_id), "patch", conditions)
        if row is None or row["source_id"] != MANUAL:
            raise Refused(409)
        self.write(row, {"removed_at": self.now, "last_listed_at": self.now})

    def edit(  # noqa: PLR0913  (what a request asks)
        self, noun: str, key: str, said: Row, way: str, conditions: Row, source_id: str | None = None, new_id: str = ""
    ) -> tuple[str, Row]:
        """Make what is asked for so: (what became of it, the row). `new_id` is the id that the registry gives a new entity."""
        self._check_body(noun, said, way)
        row = self._meant(noun, key, self.named(noun, key, source_id, by_id="id" in said), way, conditions)
        facts = {name: FACTS[noun][name] if value is None else value for name, value in said.items() if name in FACTS[noun]}
        if way != "put" and "extra" in facts:
            facts["extra"] = {} if said["extra"] is None else merged(row["extra"] if row else {}, facts["extra"])
        if noun == "entities" and (name := said.get("entity_id", None if row else key)) is not None:
            facts |= {"entity_id": name, "domain": name.partition(".")[0]}
        if row is None:
            return self._create(noun, key, said, facts, source_id, new_id)
        if row["source_id"] == MANUAL:
            if said.get("source_values"):
                raise Refused(422)
            wanted = FACTS[noun] | facts if way == "put" else facts
        elif any(text(row[name]) != text(facts[name]) for name in facts if name not in PEOPLES):
            raise Refused(409)
        else:
            wanted = self._beside_source(row, said, {name: facts[name] for name in facts if name in PEOPLES})
        gone = row["removed_at"] is not None
        self._check_others(noun, row, wanted, gone=gone)
        seen = self._see(row, said)
        changed = self.write(row, wanted | LISTED if gone else wanted)
        row.update(seen)
        return "restored" if gone else "updated" if changed else "unchanged", row

    def bulk(self, noun: str, rows: Sequence[Row], ids: Sequence[str], *, atomic: bool) -> list[str | int]:
        """One edit after another; a row that is refused leaves its status."""
        before = copy.deepcopy(self.rows)
        fates: list[str | int] = []
        named_by = "device_id" if noun == "devices" else "entity_id"
        for row, new_id in zip(rows, ids, strict=True):
            key = row.get("id") or row[named_by]
            said = {name: value for name, value in row.items() if name != "source_id" and (noun, name) != ("devices", "device_id")}
            try:
                fates.append(self.edit(noun, key, said, "upsert", {}, row.get("source_id"), row.get("id") or new_id)[0])
            except Refused as refused:
                fates.append(refused.status)
        if atomic and any(isinstance(fate, int) for fate in fates):
            self.rows = before
        return fates

    def _check_body(self, noun: str, said: Row, way: str) -> None:
        known = {*FACTS[noun], *({"devices": ["last_seen"], "entities": ["id", "entity_id"]}.get(noun, [])), "source_values"}
        nameless = noun == "areas" and said.get("name", None if way == "put" else "") is None
        if not said.keys() <= known or nameless:
            raise Refused(422)

    def _meant(self, noun: str, key: str, rows: list[Row], way: str, conditions: Row) -> Row | None:
        """The row that may be edited, None for a new one."""
        if noun == "areas":  # two sources may have one, and it is people's own that they mean
            if way == "patch":
                rows = [row for row in rows if row["removed_at"] is None] or rows
            rows = [row for row in rows if row["source_id"] == MANUAL] or (rows[:1] if way == "patch" else [])
        if len(rows) > 1:
            raise Refused(409)
        row = rows[0] if rows else None
        there = row is not None and row["removed_at"] is None
        theirs = row is not None and row["source_id"] != MANUAL
        if (not there and (theirs or way == "patch")) or (row is None and key in self.moved):
            raise self._absent(key, rows)
        if there and "If-None-Match" in conditions:
            raise Refused(412)
        if "If-Match" in conditions and not (there and row and conditions["If-Match"] in {"*", row["version"]}):
            raise Refused(412)
        if theirs and (way == "put" or noun == "areas"):
            raise Refused(409)
        return row

    def _absent(self, key: str, rows: Sequence[Row]) -> Refused:
        return Refused(308 if key in self.moved else 410 if rows else 404)

    def _beside_source(self, row: Row, said: Row, facts: Row) -> Row:
        """What a person sets wins, what the source says is kept; what is taken out of `source_values` is the source's again."""
        theirs = dict(row["source_values"])
        given = said.get("source_values", {})
        released = dict.fromkeys(theirs) if given is None else given
        if any(value is not None and text(value) != text(theirs.get(name)) for name, value in released.items()):
            raise Refused(422)
        back = {
            name: theirs.pop(name) for name, value in released.items() if value is None and name in theirs.keys() - facts.keys()
        }
        kept = {name: row[name] for name in facts if name != "note"}
        return facts | back | {"source_values": kept | theirs}

    def _create(self, noun: str, key: str, said: Row, facts: Row, source_id: str | None, new_id: str) -> tuple[str, Row]:  # noqa: PLR0913  (what is known of it)
        if noun == "entities":
            if source_id not in {None, MANUAL}:
                raise Refused(404)
            if any(row["id"] == new_id for row in self.of("entities")):
                raise Refused(409)
            key = new_id
        row = FACTS[noun] | LISTED | {"entity_id": None} | {KEYS[noun]: key, "source_id": MANUAL}
        self._check_others(noun, row, facts, gone=True)
        self.create(noun, MANUAL, key, facts | self._see(row, said))
        return "created", self.rows[noun, MANUAL, key]

    def _check_others(self, noun: str, row: Row, wanted: Row, *, gone: bool) -> None:
        """What only the other rows can tell: a new device is there, and an entity_id has one holder in its source."""
        if noun != "entities":
            return
        device_id = wanted.get("device_id")
        if device_id not in {None, row["device_id"], *(device["device_id"] for device in self.present("devices"))}:
            raise Refused(422)
        name = wanted.get("entity_id", row["entity_id"])
        others = [other for other in self.present(noun, row["source_id"]) if other["entity_id"] == name and other is not row]
        if others and (gone or name != row["entity_id"]):
            raise Refused(409)

    def _see(self, row: Row, said: Row) -> Row:
        """When the device itself last reported; a later time is never taken back, and none lies in the future."""
        seen = said.get("last_seen")
        if seen is None:
            return {}
        if seen > self.tomorrow:
            raise Refused(422)
        return {"last_seen": seen, "seen_by": "api"} if seen > (row.get("last_seen") or "") else {}

    # What a source says.

    def sync(self, name: str, extra: Row, listed: Mapping[str, Sequence[Row]], moved: Mapping[str, str]) -> None:
        """The home's rows become what it lists; a sync that finds nothing new writes nothing, not even that it ran."""
        kinds = {noun: self._accepted(noun, rows) for noun, rows in listed.items()}
        foreign = {row["device_id"] for row in listed["devices"]} - kinds["devices"].keys()
        kinds["entities"] = {key: without_devices(row, foreign) for key, row in kinds["entities"].items()}
        changed = [self._list(noun, kinds[noun], listed[noun]) for noun in kinds]
        moves = {old: new for old, new in moved.items() if new in kinds["devices"] and old not in kinds["devices"]}
        moves = {old: new for old, new in moves.items() if self.moved.get(old) != new}
        self.moved |= moves
        for old, new in moves.items():
            changed.append(self._hand_on(old, new))
        home = self.rows.get(("sources", HOME, HOME))
        state = {"state": "ok", "last_sync_at": self.now, "last_error": None, "name": name}
        if home is None:
            said = {"kind": "home_assistant", **state, "extra": extra}
            self.rows["sources", HOME, HOME] = born("sources", HOME, HOME, said, self.now)
        elif any(changed) or moves or name != home["name"] or text(home["extra"] | extra) != text(home["extra"]):
            self.write(home, state | {"extra": home["extra"] | extra})

    def _hand_on(self, old: str, new: str) -> bool:
        """What people have set on a device goes on with the one that continues it, and when it was seen."""
        before, after = self.rows.get(("devices", HOME, old)), self.rows["devices", HOME, new]
        if before is None:
            return False
        kept = {name: before[name] for name in before["source_values"] if name not in after["source_values"]}
        if before["note"] is not None and after["note"] is None:
            kept["note"] = before["note"]
        if before.get("last_seen") and before["last_seen"] > (after.get("last_seen") or ""):
            after |= {"last_seen": before["last_seen"], "seen_by": before["seen_by"]}
        theirs = {name: after[name] for name in kept if name != "note"}
        return self.write(after, kept | ({"source_values": after["source_values"] | theirs} if theirs else {})) if kept else False

    def _accepted(self, noun: str, rows: Sequence[Row]) -> dict[str, Row]:
        """Without what another source has, and whoever comes second with an entity_id."""
        taken = {row[KEYS[noun]] for row in self.of(noun) if row["source_id"] != HOME and noun != "areas"}
        found: dict[str, Row] = {}
        for row in rows:
            names = {other["entity_id"] for other in found.values() if noun == "entities"}
            if row[KEYS[noun]] not in taken and row.get("entity_id") not in names:
                found[row[KEYS[noun]]] = row
        return found

    def _list(self, noun: str, accepted: Mapping[str, Row], listed: Sequence[Row]) -> bool:
        """Write what one table's rows are now. A listed row that cannot be used is left, unless its entity_id is another's now."""
        names = {row.get("entity_id") for row in accepted.values() if noun == "entities"}
        unusable = {row[KEYS[noun]] for row in listed}
        changed = False
        for row in self.present(noun, HOME):
            if row[KEYS[noun]] not in accepted and (row[KEYS[noun]] not in unusable or row.get("entity_id") in names):
                changed |= self.write(row, {"removed_at": self.now, "last_listed_at": self.now})
        for key, said in accepted.items():
            if (noun, HOME, key) in self.rows:
                changed |= self._say(self.rows[noun, HOME, key], said)
            else:
                self.create(noun, HOME, key, said)
                changed = True
        return changed

    def _say(self, row: Row, said: Row) -> bool:
        """Write what the source says of one row: into its columns, or beside those that a person has set."""
        theirs = row.get("source_values", {})
        wanted = {name: value for name, value in said.items() if name not in theirs} | LISTED
        hidden = theirs | {name: value for name, value in said.items() if name in theirs}
        if wanted.get("modified_at", row["modified_at"]) <= row["modified_at"]:
            wanted.pop("modified_at", None)  # a person has changed the row here since
        return self.write(row, wanted | ({"source_values": hidden} if theirs else {}))


def without_devices(row: Row, unusable: set[str]) -> Row:
    """What is said of a device that is not the source's own is not said."""
    return {name: value for name, value in row.items() if name != "device_id" or value not in unusable}


def replayed(changes: Iterable[Row], rows: dict[Place, Row] | None = None) -> tuple[dict[Place, Row], dict[str, str]]:
    """The rows that these changes leave, and which ids lead on; each must fit to what the ones before it left.

    Args:
        rows: what there was before, to be changed; nothing without it.
    """
    rows = {} if rows is None else rows
    moved: dict[str, str] = {}
    nouns = {"source": "sources", "area": "areas", "device": "devices", "entity": "entities"}
    for change in changes:
        noun, key, at, before, after = nouns[change["kind"]], change["key"], change["at"], change["before"], change["after"]
        place = (noun, change["source_id"], key)
        if change["action"] == "move":
            assert before == {"device_id": moved.get(key, key)}
            moved[key] = after["device_id"]
        elif change["action"] == "create":
            assert (place in rows, before) == (False, None)
            rows[place] = born(noun, change["source_id"], key, after, at)
        else:
            row = rows[place]
            assert {name: text(row[name]) for name in after} == {name: text(value) for name, value in before.items()}
            assert all(text(before[name]) != text(after[name]) for name in after)
            assert change["action"] == action_of(after)
            ended = {"remove": {"last_listed_at": at}, "restore": {"last_listed_at": None}}.get(change["action"], {})
            row.update({"modified_at": at} | ended | after, version=row["version"] + 1)
    return rows, moved


def action_of(after: Row) -> str:
    if "removed_at" in after:
        return "restore" if after["removed_at"] is None else "remove"
    return "rename" if "entity_id" in after else "update"
