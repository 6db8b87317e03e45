"""The words of a text as FTS5's tokenizer `unicode61 remove_diacritics 2` takes them, for PostgreSQL, whose own parsers differ.

PostgreSQL's parser keeps host names, addresses and numbers such as 1e5 whole, and what it calls a letter depends on the server's
locale. Words made here are the same on every server, so that both engines find the same rows.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from operator import add

from sqlalchemy import Connection

from homedex.storage.copy_text import write_lines
from homedex.storage.rows import run, stream

WORD = re.compile(r"[^\W_]+")
ONE_SIGMA = {0x3C2: 0x3C3}
"""Greek has another small sigma at the end of a word."""

LONGEST_WORD = 500
"""Characters of a word that are kept: a lexeme of PostgreSQL has 2,046 bytes at most, and no text that is searched for more."""

LAST_PLACE = 16_383
"""PostgreSQL's last place of a word in a document; those beyond it stand there together."""

APART = 10
"""Places between names and facts, so that no phrase goes from one to the other."""

ROWS = 5_000
"""Documents written at once."""

SPACED = {number: chr(number).lower() if chr(number).isalnum() else " " for number in range(128)}
"""What becomes of each character of ASCII, so that words stand between spaces."""

PLACES, NAMED_PLACES = ([f":{place}{weight}" for place in range(1_024)] for weight in ("", "A"))
"""Spelled out once: with them, and `SPACED`, a document takes 9 us and not 24 (2026-11)."""

INSERT = """
    INSERT INTO {name} (rowid, document) SELECT * FROM unnest($1::bigint[], $2::text[]::tsvector[])
    ON CONFLICT (rowid) DO UPDATE SET document = excluded.document
"""


def words_of(text: str) -> list[str]:
    """The words of a text, in lower case and without diacritics."""
    if text.isascii():
        found = text.translate(SPACED).split()
    else:
        plain = "".join(one for one in unicodedata.normalize("NFD", text) if not unicodedata.combining(one))
        composed = unicodedata.normalize("NFC", plain)  # Korean syllables are put together again
        found = WORD.findall(composed.lower().translate(ONE_SIGMA))
    return found if len(text) <= LONGEST_WORD else [word[:LONGEST_WORD] for word in found]


def phrase(text: str, *, weight: str = "", begun: bool = False) -> str:
    """A tsquery of the words of a text one after another.

    Args:
        weight: "A" for names alone.
        begun: the last one may be the beginning of a word.
    """
    found = words_of(text)
    marks = [weight] * len(found)
    if begun and marks:
        marks[-1] = f"*{weight}"
    parts = [f"{word}:{mark}" if mark else word for word, mark in zip(found, marks, strict=True)]
    return f"({' <-> '.join(parts)})" if parts else "''"


def document(names: str, facts: str) -> str:
    """A tsvector: each word with its place, those of names with the weight A."""
    named, others = words_of(names), words_of(facts)
    first = len(named) + APART
    if first + len(others) <= len(PLACES):
        return " ".join([*map(add, named, NAMED_PLACES[1:]), *map(add, others, PLACES[first:])])
    parts = [f"{word}:{min(place, LAST_PLACE)}A" for place, word in enumerate(named, 1)]
    parts += [f"{word}:{min(place, LAST_PLACE)}" for place, word in enumerate(others, first)]
    return " ".join(parts)


def write_documents(connection: Connection, name: str, rows: Iterable[tuple[int, str, str]]) -> None:
    """Write the documents of (number, names, facts), in place of those that are there."""
    found = list(rows)
    if found:
        numbers, texts = [row[0] for row in found], [document(row[1], row[2]) for row in found]
        run(connection, INSERT.format(name=name), numbers, texts)


def copy_documents(connection: Connection, name: str, documents: str) -> None:
    """Write the documents of a SELECT of (number, names, facts), where there are none; the server writes while words are found."""
    columns = ("rowid", "document")
    before: Future[bytes] | None = None
    with ThreadPoolExecutor(1) as finder:
        for rows in stream(connection, documents, ROWS):
            found = finder.submit(_lines, rows)
            if before is not None:
                write_lines(connection, name, columns, before.result())
            before = found
        if before is not None:
            write_lines(connection, name, columns, before.result())


def _lines(rows: Sequence[tuple[int, str, str]]) -> bytes:
    return "".join([f"{number}\t{document(names, facts)}\n" for number, names, facts in rows]).encode()
