"""The pages of a SQLite file, read without SQLite: what is left of a damaged file, and of the log beside it.

Nothing here trusts anything: a page, a cell or a record that makes no sense raises Nonsense, and the reader goes on with the next.

Source: https://sqlite.org/fileformat2.html
"""

import mmap
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

MAGIC = b"SQLite format 3\0"
USUAL_PAGE_SIZE = 4096
INDEX_INTERIOR, TABLE_INTERIOR, INDEX_LEAF, TABLE_LEAF = 0x02, 0x05, 0x0A, 0x0D
INTEGER_BYTES = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}
WAL_HEADER, FRAME_HEADER = 32, 24
LITTLE, BIG = 0x377F0682, 0x377F0683
LARGEST_PAYLOAD = 64 * 1024 * 1024

Record = list[Any]


class Nonsense(Exception):
    """What stands there cannot be what it should be."""


def is_page_size(size: int) -> bool:
    """Whether SQLite has pages of this size."""
    return 512 <= size <= 65536 and size & (size - 1) == 0  # noqa: PLR2004  (the format's)


class RawPages:
    """The pages of a file as its last commit left them, numbered from 1.

    Args:
        path: the file. It is opened for reading alone; so is the log, whose whole transactions win over the file.
    """

    def __init__(self, path: Path) -> None:
        self._file = _mapped(path)
        self._log = _mapped(path.with_name(f"{path.name}-wal"))
        self.header_is_whole = self._file[:16] == MAGIC and is_page_size(_page_size(self._file))
        self.page_size = _page_size(self._file) if self.header_is_whole else self._likely_page_size()
        self._in_log, logged_count, self.log_bytes_used = _committed(self._log, self.page_size)
        self.log_bytes = len(self._log)
        stated = int.from_bytes(self._file[28:32]) if self.header_is_whole else 0
        there = -(-len(self._file) // self.page_size)
        self.count = logged_count or (stated if there <= stated <= 2 * there + 1000 else there)
        first = self._raw(1)
        self.usable = self.page_size - (first[20] if first[:16] == MAGIC and first[20] <= 64 else 0)  # noqa: PLR2004

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for opened in (self._file, self._log):
            if isinstance(opened, mmap.mmap):
                opened.close()

    def _likely_page_size(self) -> int:
        logged = int.from_bytes(self._log[8:12]) if len(self._log) > WAL_HEADER else 0
        return logged if is_page_size(logged) else USUAL_PAGE_SIZE

    def _raw(self, number: int) -> bytes:
        place = self._in_log.get(number)
        if place is not None:
            return bytes(self._log[place : place + self.page_size])
        start = (number - 1) * self.page_size
        return bytes(self._file[start : start + self.page_size]).ljust(self.page_size, b"\0")

    def kind(self, number: int) -> int:
        """The first byte of a page, which says what it is of."""
        if not 1 <= number <= self.count:
            raise Nonsense
        return self._raw(number)[100 if number == 1 else 0]

    def free(self) -> set[int]:
        """Pages that hold nothing any more but what was deleted; as far as the list of them is whole."""
        found: set[int] = set()
        trunk = int.from_bytes(self._raw(1)[32:36])
        while 1 < trunk <= self.count and trunk not in found:
            found.add(trunk)
            page = self._raw(trunk)
            after, count = struct.unpack_from(">II", page)
            if count > self.usable // 4 - 2:
                break
            found.update(leaf for leaf in struct.unpack_from(f">{count}I", page, 8) if 1 < leaf <= self.count)
            trunk = after
        return found

    def children(self, number: int) -> list[int]:
        """The pages below an interior page, in order."""
        page, start, cells = self._cells(number, {TABLE_INTERIOR, INDEX_INTERIOR}, 12)
        below = [int.from_bytes(page[cell : cell + 4]) for cell in cells]
        return [*below, int.from_bytes(page[start + 8 : start + 12])]

    def rows(self, number: int) -> Iterator[tuple[int, Record] | None]:
        """(rowid, values) of each row in a leaf of a table; None for one that cannot be read."""
        page, _, cells = self._cells(number, {TABLE_LEAF}, 8)
        for cell in cells:
            try:
                size, at = _varint(page, cell)
                rowid, at = _varint(page, at)
                yield rowid - (1 << 64) * (rowid >> 63), self._record(page, at, size, self.usable - 35)
            except (Nonsense, IndexError, ValueError, struct.error):
                yield None

    def entries(self, number: int) -> Iterator[Record | None]:
        """The entries that stand in a page of an index, each with its row's rowid at its end."""
        page, start, cells = self._cells(number, {INDEX_LEAF, INDEX_INTERIOR}, 0)
        interior = page[start] == INDEX_INTERIOR
        for cell in cells:
            try:
                size, at = _varint(page, cell + 4 * interior)
                yield self._record(page, at, size, (self.usable - 12) * 64 // 255 - 23)
            except (Nonsense, IndexError, ValueError, struct.error):
                yield None

    def _cells(self, number: int, kinds: set[int], header: int) -> tuple[bytes, int, tuple[int, ...]]:
        if not 1 <= number <= self.count:
            raise Nonsense
        page, start = self._raw(number), 100 if number == 1 else 0
        if page[start] not in kinds:
            raise Nonsense
        header = header or (12 if page[start] == INDEX_INTERIOR else 8)
        count = int.from_bytes(page[start + 3 : start + 5])
        first = start + header
        if first + 2 * count > self.usable:
            raise Nonsense
        return page, start, struct.unpack_from(f">{count}H", page, first)

    def _record(self, page: bytes, at: int, size: int, most: int) -> Record:
        if size > LARGEST_PAYLOAD:
            raise Nonsense
        local = size
        if size > most:
            least = (self.usable - 12) * 32 // 255 - 23
            local = least + (size - least) % (self.usable - 4)
            local = local if local <= most else least
        if at + local + 4 * (local < size) > self.usable:
            raise Nonsense
        payload = page[at : at + local]
        if local < size:
            payload += self._overflow(int.from_bytes(page[at + local : at + local + 4]), size - local)
        return _values(payload)

    def _overflow(self, number: int, size: int) -> bytes:
        pieces: list[bytes] = []
        while size > 0:
            if not 1 < number <= self.count:
                raise Nonsense
            page = self._raw(number)
            piece = page[4 : 4 + min(size, self.usable - 4)]
            pieces.append(piece)
            size -= len(piece)
            number = int.from_bytes(page[:4])
        return b"".join(pieces)


def _mapped(path: Path) -> mmap.mmap | bytes:
    with suppress(FileNotFoundError), path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if path.stat().st_size else b""
    return b""


def _page_size(file: mmap.mmap | bytes) -> int:
    size = int.from_bytes(file[16:18])
    return 65536 if size == 1 else size


def _committed(log: mmap.mmap | bytes, page_size: int) -> tuple[dict[int, int], int, int]:
    """(page -> where it stands in the log, pages after the last commit, bytes up to it): what whole transactions wrote."""
    pages: dict[int, int] = {}
    count = used = 0
    if len(log) < WAL_HEADER:
        return pages, count, used
    magic, _, size, _ = struct.unpack_from(">4I", log)
    if magic not in {LITTLE, BIG} or size != page_size:
        return pages, count, used
    order = ">" if magic == BIG else "<"
    salts = log[16:24]
    total = _checksum(log[:24], order, (0, 0))
    if total != struct.unpack_from(">2I", log, 24):
        return pages, count, used
    open_now: dict[int, int] = {}
    for at in range(WAL_HEADER, len(log) - FRAME_HEADER - page_size + 1, FRAME_HEADER + page_size):
        body = at + FRAME_HEADER
        total = _checksum(log[body : body + page_size], order, _checksum(log[at : at + 8], order, total))
        if log[at + 8 : at + 16] != salts or total != struct.unpack_from(">2I", log, at + 16):
            break
        number, after = struct.unpack_from(">2I", log, at)
        open_now[number] = body
        if after:
            pages.update(open_now)
            open_now.clear()
            count, used = after, body + page_size
    return pages, count, used


def _checksum(data: bytes, order: str, before: tuple[int, int]) -> tuple[int, int]:
    one, two = before
    numbers = iter(struct.unpack(f"{order}{len(data) // 4}I", data))
    for first, second in zip(numbers, numbers, strict=True):
        one = (one + first + two) & 0xFFFFFFFF
        two = (two + second + one) & 0xFFFFFFFF
    return one, two


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for place in range(at, at + 8):
        byte = data[place]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:  # noqa: PLR2004
            return value, place + 1
    return value << 8 | data[at + 8], at + 9


def _values(payload: bytes) -> Record:
    """The values of a record; raises Nonsense unless it fills the payload to its last byte."""
    header, at = _varint(payload, 0)
    if header > len(payload):
        raise Nonsense
    kinds = []
    while at < header:
        kind, at = _varint(payload, at)
        kinds.append(kind)
    if at != header:
        raise Nonsense
    values: Record = []
    for kind in kinds:
        size = INTEGER_BYTES.get(kind, 8 if kind == 7 else max(0, (kind - 12) // 2))  # noqa: PLR2004
        piece = payload[at : at + size]
        if len(piece) < size or kind in {10, 11}:
            raise Nonsense
        at += size
        values.append(_value(kind, piece))
    if at != len(payload):
        raise Nonsense
    return values


def _value(kind: int, piece: bytes) -> Any:
    if kind == 0:
        return None
    if kind in {8, 9}:
        return kind - 8
    if kind == 7:  # noqa: PLR2004
        return struct.unpack(">d", piece)[0]
    if kind < 7:  # noqa: PLR2004
        return int.from_bytes(piece, signed=True)
    return piece.decode() if kind % 2 else piece
