"""Edits: what people and scripts want otherwise, one record or ten thousand, by the same rules.

A record of the source `manual` may be edited whole. Of a record that another source keeps, the fields that belong to people
(`records.USER_FIELDS`) may be set: the value set here wins, what the source says is kept in `source_values`, and a patch that
takes a member out of `source_values` lets the source speak again.
"""

import hashlib
import itertools
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import timedelta
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from sqlalchemy import Connection, func, select

from homedex.errors import BulkRefused, Conflict, Gone, HomedexError, Invalid, Moved, NotFound, PreconditionFailed
from homedex.registry import areas, devices, entities
from homedex.registry.changes import Stamp
from homedex.registry.lookup import find, find_values
from homedex.registry.plain import KEY_PLACE, MERGED, is_plain, new_row, settled
from homedex.registry.records import NOUNS, USER_FIELDS, Row, Update, create_rows, remove_rows, update_rows
from homedex.registry.sources import MANUAL, ensure_manual_source
from homedex.registry.tables import DeviceId, table_of
from homedex.storage.types import differences, same, to_text

Status = Literal["created", "updated", "restored", "unchanged", "failed"]

CLOCK_SKEW = timedelta(days=1)
"""How far ahead of ours a device's clock may be."""

FACTS = {"devices": devices.FACTS, "entities": entities.FACTS, "areas": areas.FACTS}


class Edit(NamedTuple):
    """What one record shall be. A tuple, because a frozen dataclass takes four times as long to make: 1.3 us (2026-11).

    Args:
        key: its id; an entity's entity_id or id.
        values: columns and what they shall be; None clears. A device may have `last_seen` among them.
        way: "put" replaces the whole, "patch" changes a record that is there, "upsert" makes it if it is not, and "said" is what
            the record says already (`plain.find_said`): nothing is done.
        versions: the record must have one of these; empty: it must be there; None: nothing is asked.
        only_new: the record must not be there.
        source_id: whose record, where several sources have one.
        error: why it cannot be done, where that is known before.
    """

    key: str
    values: Mapping[str, Any] = MappingProxyType({})
    way: Literal["put", "patch", "upsert", "said"] = "patch"
    versions: frozenset[int] | None = None
    only_new: bool = False
    source_id: str | None = None
    error: HomedexError | None = None


class Outcome(NamedTuple):
    """What became of one edit: `key` is the record's own (an entity's id)."""

    key: str
    status: Status
    error: HomedexError | None = None


class DryRun(Exception):
    """Carries the outcomes of a transaction that must not be kept."""

    def __init__(self, outcomes: list[Outcome]) -> None:
        super().__init__("dry run")
        self.outcomes = outcomes


def apply_bulk(  # noqa: PLR0913  (what a bulk request asks)
    connection: Connection, noun: str, edits: Sequence[Edit], stamp: Stamp, *, atomic: bool, dry_run: bool
) -> list[Outcome]:
    """Do many edits, one after another as far as anybody can tell.

    Returns: what became of each.
    Raises:
        BulkRefused: `atomic`, and some could not be done; `results` says which. Nothing was written.
        DryRun: with the outcomes that the same call would have otherwise. Nothing was written.
    """
    outcomes = apply(connection, noun, edits, stamp)
    failed = [(index, outcome) for index, outcome in enumerate(outcomes) if outcome.error is not None]
    if atomic and failed:
        index, first = failed[0]
        more = f" {len(failed) - 1} more in `results`." if len(failed) > 1 else ""
        detail = f"row {index}: {first.error.detail if first.error else ''}{more} Nothing was written."
        raise BulkRefused(detail, results=[result_of(index, outcome) for index, outcome in enumerate(outcomes)])
    if dry_run:
        raise DryRun(outcomes)
    return outcomes


def result_of(index: int, outcome: Outcome) -> dict[str, Any]:
    """An outcome as it crosses the wire."""
    error = None if outcome.error is None else problem_of(outcome.error)
    return {"index": index, "id": outcome.key, "status": outcome.status, "error": error}


def problem_of(error: HomedexError) -> dict[str, Any]:
    """The members of a problem document that do not depend on a request."""
    own = {"type": f"/problems/{error.slug}", "title": error.title, "status": error.status, "detail": error.detail}
    return {**own, **error.extensions}


def apply_one(connection: Connection, noun: str, edit: Edit, stamp: Stamp) -> Outcome:
    """Do one edit; raises why it cannot be done."""
    outcome = apply(connection, noun, [edit], stamp)[0]
    if outcome.error is not None:
        raise outcome.error
    return outcome


def apply(connection: Connection, noun: str, edits: Sequence[Edit], stamp: Stamp) -> list[Outcome]:
    """Do edits in order; one that cannot be done fails alone.

    They go in waves: an edit of a record that the wave has touched begins the next one, so that it finds what it left.
    """
    told = [edit for edit in edits if edit.way != "said"]
    if len(told) < len(edits):
        done = iter(apply(connection, noun, told, stamp))
        return [Outcome(edit.key, "unchanged") if edit.way == "said" else next(done) for edit in edits]
    if noun != "entities" and len({edit.key for edit in edits}) == len(edits):
        return _do(connection, noun, edits, stamp)
    outcomes: list[Outcome] = []
    wave: list[Edit] = []
    touched: set[str] = set()
    for edit in edits:
        names = {edit.key, str(edit.values.get("entity_id", edit.key))}
        if not touched.isdisjoint(names):
            outcomes += _do(connection, noun, wave, stamp)
            wave, touched = [], set()
        wave.append(edit)
        touched |= names
    return outcomes + _do(connection, noun, wave, stamp)


def _do(connection: Connection, noun: str, edits: Sequence[Edit], stamp: Stamp) -> list[Outcome]:
    """Do edits of different names; a wave ends early where two turn out to be of one record, and the next begins small."""
    outcomes: list[Outcome] = []
    most = len(edits)
    while len(outcomes) < len(edits):
        done = _Wave(connection, noun, stamp).do(edits[len(outcomes) : len(outcomes) + most])
        outcomes += done
        most = 2 * len(done)
    return outcomes


class _Wave:
    """Edits of different records: looked up together, decided one by one, written together."""

    def __init__(self, connection: Connection, noun: str, stamp: Stamp) -> None:
        self.connection, self.noun, self.stamp = connection, noun, stamp
        self.kind = NOUNS[noun]
        self.facts = dict.fromkeys(FACTS[noun])
        self.blank = {name: self.kind.blank[name] for name in self.facts}
        self.settled: set[str] = set()
        self.new: list[Row] = []
        self.updates: dict[tuple[str, str], list[Update]] = {}
        self.sightings: list[tuple[str, Any]] = []
        self.changed: set[str] = set()

    def do(self, edits: Sequence[Edit]) -> list[Outcome]:
        """What became of each edit, up to the first that needs to know what an earlier one has written; all is written then."""
        self._look_up(edits)
        outcomes = [self._decide(edit) for edit in itertools.takewhile(self._is_known, edits)]
        if self.new:
            ensure_manual_source(self.connection, self.stamp.of(str(self.new[0][self.kind.key])))
            create_rows(self.connection, self.noun, MANUAL, self.new, self.stamp)
        for (source_id, action), updates in self.updates.items():
            update_rows(self.connection, self.noun, source_id, updates, self.stamp, action=action)
        devices.record_sightings(self.connection, self.sightings, seen_by=self.stamp.actor)
        return outcomes

    def _look_up(self, edits: Sequence[Edit]) -> None:
        keys = [edit.key for edit in edits]
        columns = ("version", "source_id", "removed_at", *self._needed(edits))
        self.stored: dict[str, list[Row]] = {}
        self.holders: dict[tuple[str, str], str] = {}
        self.devices: set[str] = set()
        self.by_id: dict[str, Row] = {}
        self.taken: set[str] = set()
        self.moved: dict[str, str] = {}
        if self.noun == "entities":
            self._look_up_entities(edits, keys, columns)
            return
        found = find_values(self.connection, self.kind.table, self.kind.key, keys, columns)
        if self.noun == "devices":
            self.settled = settled({edit.key: edit.values for edit in edits if is_plain(edit)}, columns, found)
        for values in found:
            if values[KEY_PLACE] not in self.settled:
                self.stored.setdefault(values[KEY_PLACE], []).append(dict(zip(columns, values, strict=True)))
        if self.noun == "devices":
            unknown = [key for key in keys if key not in self.stored and key not in self.settled]
            moved = find(self.connection, table_of(DeviceId), "old_id", unknown, ["old_id", "device_id"])
            self.moved = {row["old_id"]: row["device_id"] for row in moved}

    def _look_up_entities(self, edits: Sequence[Edit], keys: Sequence[str], columns: Sequence[str]) -> None:
        names = {*keys, *(edit.values["entity_id"] for edit in edits if edit.values.get("entity_id"))}
        self._look_up_holders(names, columns)
        for row in find(self.connection, self.kind.table, "id", keys, columns):
            self.by_id[row["id"]] = row
            self.taken.add(row["id"])
            if row["id"] not in self.stored:
                self.stored[row["id"]] = [row]
        self._look_up_holders({row["entity_id"] for row in self.by_id.values() if row["removed_at"] is not None} - names, columns)
        wanted = sorted({edit.values["device_id"] for edit in edits if edit.values.get("device_id")})
        found = find(self.connection, NOUNS["devices"].table, "device_id", wanted, ["device_id", "removed_at"])
        self.devices = {row["device_id"] for row in found if row["removed_at"] is None}

    def _look_up_holders(self, entity_ids: Collection[str], columns: Sequence[str]) -> None:
        for row in find(self.connection, self.kind.table, "entity_id", sorted(entity_ids), columns, present=True):
            self.stored.setdefault(row["entity_id"], []).append(row)
            self.holders[row["source_id"], row["entity_id"]] = row["id"]

    def _needed(self, edits: Sequence[Edit]) -> list[str]:
        """The columns that the edits depend on: all, where one replaces the whole."""
        facts: Iterable[str] = self.facts
        if all(edit.way != "put" for edit in edits):
            named = {"entity_id", "domain"}.union(*(edit.values for edit in edits))
            if "source_values" in named:
                named.update(USER_FIELDS)
            facts = [name for name in self.facts if name in named]
        more = [] if self.noun == "areas" else ["source_values"]
        return [self.kind.key, *facts, *more]

    def _is_known(self, edit: Edit) -> bool:
        """Whether what was looked up for this edit is still so: an earlier one may have renamed or changed the same record."""
        if self.noun != "entities":
            return edit.key not in self.changed
        if not self.changed:
            return True
        names = {edit.key, str(edit.values.get("entity_id", edit.key))}
        if edit.key in self.by_id:
            names.add(self.by_id[edit.key]["entity_id"])  # under which a tombstone comes back
        rows = (row for name in names for row in self.stored.get(name, ()))
        return edit.key not in self.changed and all(row[self.kind.key] not in self.changed for row in rows)

    def _decide(self, edit: Edit) -> Outcome:
        key = edit.key
        if key in self.settled:
            return Outcome(key, "unchanged")
        if self.noun == "devices" and key not in self.stored and key not in self.moved:
            row = new_row(edit, self.kind.key, self.facts, MERGED)
            if row is not None:
                self.new.append(row)
                return Outcome(key, "created")
        try:
            if edit.error is not None:
                raise edit.error
            return self._decided(edit)
        except HomedexError as error:
            return Outcome(edit.key, "failed", error)

    def _decided(self, edit: Edit) -> Outcome:
        stored = self._stored(edit)
        self._check(edit, stored)
        if stored is None:
            return self._create(edit)
        if edit.way == "upsert" and stored["removed_at"] is None and "extra" not in edit.values and says(stored, edit.values):
            return Outcome(stored[self.kind.key], "unchanged")
        wanted = self._wanted(edit, stored)
        after = differences(stored, wanted)
        action = "update"
        if stored["removed_at"] is not None:
            after, action = after | {"removed_at": None}, "restore"
        key = str(stored[self.kind.key])
        self._check_values(edit, stored["source_id"], key, after, restored=action == "restore")
        self._see(edit, key)
        if not after:
            return Outcome(key, "unchanged")
        before = {name: stored[name] for name in after}
        self.updates.setdefault((stored["source_id"], action), []).append(Update(key, before, after))
        self.changed.add(key)
        return Outcome(key, "restored" if action == "restore" else "updated")

    def _stored(self, edit: Edit) -> Row | None:
        """The record that is meant."""
        found = self.stored.get(edit.key, [])
        if edit.values.get("id"):  # which another may have for its entity_id
            found = [self.by_id[edit.key]] if edit.key in self.by_id else []
        rows = [row for row in found if edit.source_id in {None, row["source_id"]}]
        if self.noun == "areas" and edit.way != "patch":
            rows = [row for row in rows if row["source_id"] == MANUAL]
        if len(rows) > 1:
            present = [row for row in rows if row["removed_at"] is None] or rows
            own = [row for row in present if row["source_id"] == MANUAL and self.noun == "areas"] or present
            if len(own) != 1:
                sources = sorted(row["source_id"] for row in rows)
                if self.noun == "areas":
                    raise Conflict(f"the area {edit.key!r} belongs to several sources, and is changed there.", sources=sources)
                raise Conflict(f"{edit.key!r} is in several sources. Say which by source_id.", sources=sources)
            return own[0]
        return rows[0] if rows else None

    def _check(self, edit: Edit, stored: Row | None) -> None:
        """Whether the edit may be done at all.

        What is not there and cannot be made comes before what the edit asks of versions (RFC 9110, 13.2.1).
        """
        there = stored is not None and stored["removed_at"] is None
        if not there:
            self._check_absent(edit, stored)
        if edit.only_new and there:
            raise PreconditionFailed(
                f"{edit.key!r} is there already, and `If-None-Match: *` asks for a new one. Nothing was changed."
            )
        if edit.versions is not None and (not there or (stored and edit.versions and stored["version"] not in edit.versions)):
            now = f"is at version {stored['version']} now" if there and stored else "is not there"
            raise PreconditionFailed(f"{edit.key!r} {now}, which `If-Match` does not allow. Get it again, and repeat your change.")
        if stored is not None and stored["source_id"] != MANUAL:
            self._check_foreign(edit, stored)

    def _check_absent(self, edit: Edit, stored: Row | None) -> None:
        """Return if the edit makes what is not there."""
        if stored is None and edit.way != "patch":
            if edit.key in self.moved:
                raise Moved(edit.key, self.moved[edit.key])
        elif stored is None or stored["source_id"] != MANUAL or edit.way == "patch":
            raise self._absent(edit.key, stored)

    def _absent(self, key: str, stored: Row | None) -> HomedexError:
        if self.noun == "devices":
            return devices.absent(self.connection, key, None if stored is None else stored["removed_at"])
        if stored is not None:
            return Gone(f"the {self.kind.kind} {key!r} was removed.", removed_at=to_text(stored["removed_at"]))
        return NotFound(f"no {self.kind.kind} has the id {key!r}.")

    def _check_foreign(self, edit: Edit, stored: Row) -> None:
        given = {} if edit.way == "put" else self._given(edit, stored)
        facts = sorted(name for name, value in given.items() if name not in USER_FIELDS and not same(stored[name], value))
        if edit.way == "put" or facts or self.noun == "areas":
            what = f"what it says ({', '.join(facts)})" if facts else "it as a whole"
            raise Conflict(
                f"the {self.kind.kind} {edit.key!r} belongs to the source {stored['source_id']!r}, and {what} is changed there."
                + ("" if self.noun == "areas" else f" Here a PATCH may set {', '.join(USER_FIELDS)}."),
                source_id=stored["source_id"],
            )

    def _given(self, edit: Edit, stored: Row) -> Row:
        """What the edit says of columns, as they shall be: null clears, and objects merge unless the whole is replaced."""
        values: Row = {}
        for name, value in edit.values.items():
            if value is None and name in self.facts:
                values[name] = self.kind.blank[name]
            elif name in self.facts:
                values[name] = merged(stored[name], value) if name in MERGED and edit.way != "put" else value
        return values

    def _wanted(self, edit: Edit, stored: Row) -> Row:
        """The columns as they shall be."""
        values = self._given(edit, stored)
        if edit.way == "put":
            kept = {"entity_id": stored["entity_id"], "domain": stored["domain"]} if self.noun == "entities" else {}
            return self.blank | kept | values
        if "entity_id" in values:
            values["domain"] = values["entity_id"].partition(".")[0]
        if stored["source_id"] == MANUAL:
            if edit.values.get("source_values"):
                raise _wrong("source_values", "has no meaning for what is kept by hand")
            return values
        return self._beside_source(edit, stored, {name: values[name] for name in values if name in USER_FIELDS})

    def _beside_source(self, edit: Edit, stored: Row, values: Row) -> Row:
        """A person's fields, and what the source says of them."""
        theirs = dict(stored["source_values"])
        if "source_values" in edit.values:
            given = edit.values["source_values"]
            released = list(theirs) if given is None else list(given)
            if given is not None and any(value is not None and theirs.get(name) != value for name, value in given.items()):
                raise _wrong("source_values", "is what the source says; a member can only be taken out, by null")
            for name in released:
                if name in theirs and name not in values and (given is None or given[name] is None):  # what is set too stays set
                    values[name] = theirs.pop(name)
        released_now = set(stored["source_values"]) - set(theirs)
        for name in values:
            if name not in {"note", *released_now}:
                theirs.setdefault(name, stored[name])
        return values | {"source_values": theirs}

    def _create(self, edit: Edit) -> Outcome:
        key = edit.key
        row: Row = {self.kind.key: key, **self._given(edit, self.blank)}
        if self.noun == "entities":
            row["entity_id"] = edit.values.get("entity_id") or edit.key
            row["domain"] = row["entity_id"].partition(".")[0]
            key = edit.values.get("id") or self._new_id(row["entity_id"])
            if edit.source_id not in {None, MANUAL}:
                raise NotFound(f"no entity has the id {edit.key!r} in the source {edit.source_id!r}.")
            if key in self.taken:
                raise Conflict(f"the id {key!r} is taken.", id=key)
            self.taken.add(key)
        if self.noun == "areas" and not row.get("name"):
            raise _wrong("name", "must be given for a new area")
        row[self.kind.key] = key
        self._check_values(edit, MANUAL, key, row, restored=True)
        self._see(edit, key)
        self.new.append(row)
        return Outcome(key, "created")

    def _new_id(self, entity_id: str) -> str:
        """An id like a registry's, the same for a dry run and the run itself."""
        newest = self.connection.scalar(select(func.max(self.kind.table.c.number))) or 0
        return hashlib.blake2s(f"{MANUAL}:{newest}:{len(self.new)}:{entity_id}".encode(), digest_size=16).hexdigest()

    def _check_values(self, edit: Edit, source_id: str, key: str, after: Row, *, restored: bool) -> None:
        """What only the other rows can tell."""
        if self.noun == "entities":
            device_id = after.get("device_id")
            if device_id is not None and device_id not in self.devices:
                raise _wrong("device_id", f"no device has the id {device_id!r}")
            entity_id = after.get("entity_id")
            if restored and entity_id is None:
                entity_id = (self.by_id.get(key) or self.stored[edit.key][0])["entity_id"]
            if entity_id is not None:
                holder = self.holders.setdefault((source_id, entity_id), key)
                if holder != key:
                    raise Conflict(f"the entity_id {entity_id!r} is taken by {holder!r}. Rename that one first.", id=holder)

    def _see(self, edit: Edit, key: str) -> None:
        last_seen = edit.values.get("last_seen")
        if last_seen is None:
            return
        if last_seen > self.stamp.at + CLOCK_SKEW:
            raise _wrong("last_seen", "lies in the future; it could never be corrected, because a sighting is not taken back")
        self.sightings.append((key, last_seen))


def remove_one(connection: Connection, noun: str, edit: Edit, stamp: Stamp) -> None:
    """Turn a record that is kept by hand into a tombstone.

    Raises:
        Conflict: it belongs to a source: remove it there.
        PreconditionFailed: it has another version than `edit.versions` allows.
        NotFound, Gone, Moved: see `devices.get_device`.
    """
    wave = _Wave(connection, noun, stamp)
    wave._look_up([edit])  # noqa: SLF001  (its own room)
    stored = wave._stored(edit)  # noqa: SLF001
    wave._check(edit, stored)  # noqa: SLF001
    if stored is None or stored["removed_at"] is not None:
        raise wave._absent(edit.key, stored)  # noqa: SLF001
    if stored["source_id"] != MANUAL:
        raise Conflict(
            f"the {wave.kind.kind} {edit.key!r} belongs to the source {stored['source_id']!r}, "
            "whose next sync would bring it back. "
            "Remove it there.",
            source_id=stored["source_id"],
        )
    remove_rows(connection, noun, MANUAL, [stored[wave.kind.key]], stamp)


def says(stored: Row, values: Mapping[str, Any]) -> bool:
    """Whether a record of ours says all of this already, for most rows of most bulk requests do."""
    return stored["source_id"] == MANUAL and values.items() <= stored.items()


def merged(target: Any, patch: Any) -> Any:
    """A JSON merge patch (RFC 7396) applied: null takes a member out, objects merge, anything else replaces."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result


def _wrong(name: str, detail: str) -> Invalid:
    return Invalid(f"#/{name}: {detail}.", [{"pointer": f"#/{name}", "detail": detail}])
