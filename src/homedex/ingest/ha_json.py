"""Reads the JSON texts of Home Assistant, the large ones too."""

import gc
import json
import re
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

SURROGATE_OR_NUL = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")
BLANK = re.compile(r"[ \t\r\n]*")
DECODER = json.JSONDecoder(parse_constant=lambda _: None)


def read_json(raw: bytes) -> Any:
    """What a JSON text says, free of what databases cannot store: NUL, lone surrogates, NaN and Infinity.

    Raises:
        ValueError: it is no JSON (a `json.JSONDecodeError` with line and column), or no UTF-8.
        RecursionError: it is nested deeper than Python goes.
    """
    with collector_paused():
        document = DECODER.decode(raw.decode("utf-8-sig"))
    return _storable(document) if SURROGATE_OR_NUL.search(raw) else document


def stream_records(raw: bytes, key: str) -> Generator[Any, None, Any]:
    """The records of a registry file's list `key` one by one, so that they never exist all at once.

    50,000 entities weigh 85 MB as a tree, and their file 46 MB. The list is expected where Home Assistant writes it,
    first in `data`; if it is elsewhere, no record is yielded and the document is whole.

    Returns:
        The document, with an empty list as `key` when its records were yielded.

    Raises:
        ValueError: as `read_json`.
        RecursionError: as `read_json`.
    """
    text = raw.decode("utf-8-sig")
    head = re.match(rf'\s*\{{[^\[\]{{}}]*"data"\s*:\s*\{{\s*"{key}"\s*:\s*\[', text)
    if head is None:
        return read_json(raw)
    is_storable = not SURROGATE_OR_NUL.search(raw)
    del raw  # the text is as long again
    at = _after_blank(text, head.end())
    is_open = not text.startswith("]", at)
    while is_open:
        record, end = DECODER.raw_decode(text, at)
        yield record if is_storable else _storable(record)
        at = _after_blank(text, end)
        is_open = text.startswith(",", at)
        if is_open:
            at = _after_blank(text, at + 1)
        elif not text.startswith("]", at):
            raise json.JSONDecodeError("Expecting ',' delimiter", text, at)
    try:
        return DECODER.decode(text[: head.end()] + text[at:])
    except json.JSONDecodeError as error:
        raise json.JSONDecodeError(error.msg, text, error.pos - head.end() + at) from None


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
