"""Many records in one request: all or as many as can be, each with its result, and safe to send again."""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from sqlalchemy import Connection

from homedex.api.deps import (
    JSON,
    NDJSON,
    check_accepts,
    database,
    json_response,
    media_type,
    options_of,
    parse_json,
    read_body,
    stamp,
    validated,
    without_collector,
)
from homedex.api.problems import MOST_ERRORS, invalid
from homedex.errors import HomedexError, Invalid, KeyInUse
from homedex.registry.changes import Stamp
from homedex.registry.edits import DryRun, Edit, Outcome, apply_bulk, results_of
from homedex.registry.idempotency import find_answer, keep_answer
from homedex.registry.inputs import READ_ONLY, DeviceRow, EntityRow, Stated

MOST_ROWS = 10_000
KEY = re.compile(r"[\x21-\x7e]{1,255}")
NDJSON_KINDS = (NDJSON, "application/jsonl")
MODELS: dict[str, type[Stated]] = {"devices": DeviceRow, "entities": EntityRow}
KEYS = {"devices": ("device_id",), "entities": ("id", "entity_id", "source_id")}
OPTIONS = {"mode": ("atomic", "best_effort"), "dry_run": ("true", "false", "1", "0")}


async def edit_devices(request: Request) -> Response:
    """Make or change up to 10,000 devices."""
    return await _edit(request, "devices")


async def edit_entities(request: Request) -> Response:
    """Make or change up to 10,000 entities."""
    return await _edit(request, "entities")


async def _edit(request: Request, noun: str) -> Response:
    check_accepts(request, JSON)
    options = options_of(request, OPTIONS)
    atomic, dry_run = options.get("mode", "atomic") == "atomic", options.get("dry_run") in {"true", "1"}
    kind = media_type(request, (JSON, *NDJSON_KINDS))
    key = _key(request)
    raw = await read_body(request)
    with without_collector():
        edits = read_rows(noun, raw, lines=kind != JSON)
    digest = hashlib.blake2s(b"\n".join((request.scope["path"].encode(), request.scope["query_string"], raw))).hexdigest()
    with _under_way(request, key), without_collector():
        try:
            body = await database(request).write(
                _edit_once, noun, edits, stamp(request), atomic=atomic, dry_run=dry_run, key=key, digest=digest
            )
        except DryRun as tried:
            body = answer(tried.outcomes, dry_run=True)
    return json_response(body.encode())


def _edit_once(  # noqa: PLR0913  (what a request asks)
    connection: Connection,
    noun: str,
    edits: Sequence[Edit],
    when: Stamp,
    *,
    atomic: bool,
    dry_run: bool,
    key: str | None,
    digest: str,
) -> str:
    """The answer, made now or kept from before."""
    if key is not None:
        known = find_answer(connection, key, digest, now=when.at)
        if known is not None:
            return known[1]
    body = answer(apply_bulk(connection, noun, edits, when, atomic=atomic, dry_run=dry_run), dry_run=False)
    if key is not None:
        keep_answer(connection, key, digest, 200, body, now=when.at)
    return body


def answer(outcomes: Sequence[Outcome], *, dry_run: bool) -> str:
    """What became of each row, and how many met which fate."""
    counts = Counter(outcome.status for outcome in outcomes)
    found = {"dry_run": dry_run, "counts": dict(sorted(counts.items())), "results": results_of(outcomes)}
    return json.dumps(found, ensure_ascii=False, separators=(",", ":"))


def _key(request: Request) -> str | None:
    key = request.headers.get("idempotency-key")
    if key is not None and KEY.fullmatch(key) is None:
        raise Invalid("Idempotency-Key: must be 1 to 255 visible ASCII characters, such as a UUID.")
    return key


@contextmanager
def _under_way(request: Request, key: str | None) -> Iterator[None]:
    """Refuse a second request with a key whose first has no answer yet. Other processes wait for the write lock and find it."""
    keys: set[str] = request.app.state.keys_in_use
    if key is None:
        yield
        return
    if key in keys:
        raise KeyInUse("the first request with this Idempotency-Key is still under way. Ask again in a moment.")
    keys.add(key)
    try:
        yield
    finally:
        keys.discard(key)


def read_rows(noun: str, raw: bytes, *, lines: bool) -> list[Edit]:
    """The rows of a body; one that breaks a rule carries its error, and fails alone.

    Raises:
        MalformedBody, Invalid: the body as a whole cannot be used.
    """
    rows = _of_lines(raw) if lines else _of_object(noun, parse_json(raw))
    if len(rows) > MOST_ROWS:
        raise Invalid(f"{len(rows)} rows are too many: a request takes {MOST_ROWS}. Send them in several.")
    ignored = READ_ONLY[noun].difference(KEYS[noun])
    model = MODELS[noun]
    return [row if isinstance(row, Edit) else _edit_of(noun, model, ignored, row, place) for place, row in enumerate(rows)]


def _of_object(noun: str, body: Any) -> list[Any]:
    rows = body.get(noun) if isinstance(body, dict) else None
    if not isinstance(rows, list):
        raise Invalid(
            f'the body must be an object with the rows in `{noun}`: {{"{noun}": [...]}}.',
            [{"pointer": f"#/{noun}", "detail": "must be a list"}],
        )
    others = sorted(body.keys() - {noun, "next", "prev", "total", "facets"})[:MOST_ERRORS]
    if others:
        raise Invalid(
            f"#/{others[0]}: is not known here.", [{"pointer": f"#/{name}", "detail": "is not known here"} for name in others]
        )
    return rows


def _of_lines(raw: bytes) -> list[Any]:
    rows: list[Any] = []
    for line in raw.splitlines():
        if line.strip():
            try:
                rows.append(parse_json(line))
            except HomedexError as error:
                rows.append(Edit("", error=error))
        if len(rows) > MOST_ROWS:
            raise Invalid(f"there are more than {MOST_ROWS} rows. Send them in several requests.")
    return rows


def _edit_of(noun: str, model: type[Stated], ignored: frozenset[str], row: Any, place: int) -> Edit:
    if not isinstance(row, dict):
        return Edit("", error=Invalid(f"row {place} is no object."))
    try:
        values = validated(
            model, row if ignored.isdisjoint(row) else {name: row[name] for name in row if name not in ignored}
        ).stated()
    except RequestValidationError as error:
        key = next((row[name] for name in KEYS[noun] if isinstance(row.get(name), str)), "")
        return Edit(key[:255].encode(errors="replace").decode(), error=invalid(error.errors()))
    if noun == "devices":
        return Edit(values.pop("device_id"), values, "upsert")
    source_id = values.pop("source_id", None)
    return Edit(values.get("id") or values["entity_id"], values, "upsert", source_id=source_id or None)
