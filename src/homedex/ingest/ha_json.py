"""Reads the JSON texts of Home Assistant, the large ones too."""

import gc
import json
import re
from codecs import BOM_UTF8
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from math import isfinite
from typing import Any

from pydantic_core import from_json

SURROGATE_OR_NUL = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")
BLANK = re.compile(r"[ \t\r\n]*")
HUGE = re.compile(rb"[0-9][eE]\+?[0-9]{3}|[0-9]{200}")
"""What may be a number beyond the largest there is, which parsers take for Infinity."""


def _float(said: str) -> float | None:
    number = float(said)
    return number if isfinite(number) else None


DECODER = json.JSONDecoder(parse_constant=lambda _: None, parse_float=_float)
BLOCK_BYTES = 256 * 1024
RECORD_END = b"},\n"
"""Where a block of records may end: no text in JSON has a line break in it, so up to here it is whole records, or no JSON."""


def read_json(raw: bytes) -> Any:
    """What a JSON text says, free of what databases cannot store: NUL, lone surrogates, NaN and Infinity.

    Raises:
        ValueError: it is no JSON (a `json.JSONDecodeError` with line and column), or no UTF-8.
        RecursionError: it is nested deeper than Python goes.
    """
    with collector_paused():
        if not SURROGATE_OR_NUL.search(raw):
            if HUGE.search(raw):
                return DECODER.decode(raw.decode("utf-8-sig"))
            with suppress(ValueError):  # NaN, too deep for it, or broken: the slower parser knows
                return from_json(raw.removeprefix(BOM_UTF8), allow_inf_nan=False)
            return DECODER.decode(raw.decode("utf-8-sig"))
        return _storable(DECODER.decode(raw.decode("utf-8-sig")))


def stream_records(raw: bytes, key: str) -> Generator[Any, None, Any]:
    """The records of a registry file's list `key` one by one, so that they never exist all at once.

    50,000 entities weigh 85 MB as a tree, and their file 46 MB. The list is expected where Home Assistant writes it,
    first in `data`; if it is elsewhere, no record is yielded and the document is whole. Home Assistant writes a record per
    line: blocks of lines are parsed at once, and only the rest, or what is written in another way, record by record.

    Returns:
        The document, with an empty list as `key` when its records were yielded.

    Raises:
        ValueError: as `read_json`.
        RecursionError: as `read_json`.
    """
    head = re.match(rb'(?:\xef\xbb\xbf)?(\s*\{[^\[\]{}]*"data"\s*:\s*\{\s*"%b"\s*:\s*\[)' % key.encode(), raw)
    if head is None:
        return read_json(raw)
    is_storable = not SURROGATE_OR_NUL.search(raw)
    at = (yield from _in_blocks(raw, head.end())) if is_storable and not HUGE.search(raw) else head.end()
    try:
        rest = raw[at:].decode()
        end = yield from _one_by_one(rest, is_storable=is_storable, is_owed=at > head.end())
        return DECODER.decode(head[1].decode() + rest[end:])
    except ValueError:
        read_json(raw)  # it is no JSON whole, too, and then the fault has its line
        raise


def _in_blocks(raw: bytes, at: int) -> Generator[Any, None, int]:
    """Records from `at` as long as blocks of lines are whole records and the comma after them; returns where they end."""
    while (end := raw.find(RECORD_END, at + BLOCK_BYTES)) >= 0:
        try:
            records = from_json(b"[%b}]" % raw[at:end], allow_inf_nan=False)
        except ValueError:
            break  # it is written in another way, or says NaN, or is broken: what reads record by record knows
        yield from records
        at = end + len(RECORD_END)
    return at


def _one_by_one(text: str, *, is_storable: bool, is_owed: bool) -> Generator[Any, None, int]:
    """Records of a list whose text is here from the inside; returns where its bracket is. A comma before owes a record."""
    at = _after_blank(text, 0)
    is_open = is_owed or not text.startswith("]", at)
    while is_open:
        record, end = DECODER.raw_decode(text, at)
        yield record if is_storable else _storable(record)
        at = _after_blank(text, end)
        is_open = text.startswith(",", at)
        if is_open:
            at = _after_blank(text, at + 1)
        elif not text.startswith("]", at):
            raise json.JSONDecodeError("Expecting ',' delimiter", text, at)
    return at


def _after_blank(text: str, at: int) -> int:
    blank = BLANK.match(text, at)
    return blank.end() if blank else at


@contextmanager
def collector_paused() -> Iterator[None]:
    """Build many objects that all stay, without Python's cycle collector walking them again and again meanwhile.

    It concerns the whole process, so keep it short; cycles made meanwhile are collected afterwards.

    Source:
        Python 3.11, an entity registry of 46 MB: json.loads in 1.9 s with the collector, 0.43 s without (2026-11).
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _storable(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("\0", "").encode("utf-8", "replace").decode()
    if isinstance(value, list):
        return [_storable(item) for item in value]
    if isinstance(value, dict):
        return {_storable(key): _storable(item) for key, item in value.items()}
    return value
