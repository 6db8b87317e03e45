"""A backup is one file: what it is in front, then the database, compressed.

The front is a frame that every Zstandard decoder skips, with the manifest as JSON in it. So `zstd -d` makes a SQLite database of a
backup without Homedex, and `head -c 2000` shows what it holds.

Source: RFC 8878, section 3.1.2 "Skippable Frames".
"""

import hashlib
import json
import os
import struct
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from homedex.errors import BadBackup
from homedex.storage.beside import Beside
from homedex.storage.digests import Contents

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

SKIPPED = 0x184D2A5D
"""The magic number of the frame in front: one of the sixteen that decoders skip."""

FRONT = struct.Struct("<II")
BLOCK = 4096
PIECE = 1 << 20
LEVEL = 1
"""Level 3 takes half as long again and saves 2 % of the size of a registry (measured 2026-11)."""

FLUSHED_BYTES = 4 << 20
"""How much goes to the disk at once: 230 MB at the end kept every COMMIT of the service waiting for 114 ms (measured 2026-11)."""

FORMAT = 1
NO_HASH = "0" * 64
KINDS = {"program": str, "application_id": int, "engine": str, "reason": str, "sequence": int, "database_bytes": int, "sha256": str}
Tell = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup holds.

    Args:
        program: who made it, name and version.
        schema_revision: what its tables are at; None where it has none.
        application_id: of the database, see `sqlite.Options`.
        engine: "sqlite" or "postgresql": where it was made from; what it holds is a SQLite file either way.
        made_at: the moment whose state it holds, aware UTC.
        reason: why it was made: "command", "schedule", "request" or "upgrade".
        sequence: the number of the last change in it; 0 where the database numbers none.
        tables: what each holds.
        database_bytes: size of the database file in it, in bytes.
        sha256: of that file.
    """

    program: str
    schema_revision: str | None
    application_id: int
    engine: str
    made_at: datetime
    reason: str
    sequence: int
    tables: dict[str, Contents] = field(default_factory=dict)
    database_bytes: int = 0
    sha256: str = NO_HASH
    format: int = FORMAT

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        tables = {name: contents._asdict() for name, contents in self.tables.items()}
        return {"format": self.format} | asdict(self) | {"made_at": written(self.made_at), "tables": tables}


def written(at: datetime) -> str:
    """A time as RFC 3339 in UTC."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def pack(database: BinaryIO, backup: BinaryIO, room: int, tell: Tell = lambda *_: None) -> tuple[int, str]:
    """Write a database, compressed, leaving `room` bytes in front of it for a manifest.

    Returns: the database's size in bytes and its SHA-256.
    """
    size, done = os.fstat(database.fileno()).st_size, 0
    options = {int(zstd.CompressionParameter.checksum_flag): 1, int(zstd.CompressionParameter.compression_level): LEVEL}
    compressor = zstd.ZstdCompressor(options=options)
    compressor.set_pledged_input_size(size)
    backup.seek(room)
    unflushed = 0

    def write(piece: bytes) -> None:
        nonlocal unflushed
        backup.write(piece)
        unflushed += len(piece)
        if unflushed >= FLUSHED_BYTES:
            backup.flush()
            os.fdatasync(backup.fileno())
            unflushed = 0

    sha256 = hashlib.sha256()
    with Beside(sha256.update) as hashing, Beside(write) as writing:
        while piece := database.read(PIECE):
            hashing.give(piece)
            writing.give(compressor.compress(piece))
            done += len(piece)
            tell(done, size)
        writing.give(compressor.flush())
        writing.finish()
        hashing.finish()
    return done, sha256.hexdigest()


def room_for(tables: int) -> int:
    """Bytes that a manifest of so many tables takes at most, whole blocks."""
    return -(-(1000 + 200 * tables) // BLOCK) * BLOCK


def write_manifest(backup: BinaryIO, manifest: Manifest, room: int) -> None:
    """Fill the room in front."""
    text = json.dumps(manifest.as_dict(), indent=1, ensure_ascii=False).encode()
    if len(text) > room - FRONT.size - 1:
        raise ValueError(f"a manifest of {len(text)} bytes does not fit in {room}")
    backup.seek(0)
    backup.write(FRONT.pack(SKIPPED, room - FRONT.size) + text.ljust(room - FRONT.size - 1) + b"\n")


def read_manifest(path: Path) -> Manifest:
    """What a backup says of itself.

    Raises:
        BadBackup: it is none, or of a later format.
    """
    with path.open("rb") as backup:
        return _front(backup, path)[0]


def _front(backup: BinaryIO, path: Path) -> tuple[Manifest, int]:
    try:
        magic, size = FRONT.unpack(backup.read(FRONT.size))
        if magic != SKIPPED or size > 1 << 24:
            raise ValueError  # noqa: TRY301  (one sentence for all that it is not)
        said = json.loads(backup.read(size))
        if said["format"] != FORMAT:
            raise BadBackup(
                f"{path} is a backup of format {said['format']}, and this program knows {FORMAT}. "
                "Use the newer version that wrote it."
            )
        tables = {name: Contents(**contents) for name, contents in said.pop("tables").items()}
        made_at = datetime.fromisoformat(said.pop("made_at")).astimezone(UTC)
        if not all(isinstance(said[name], kind) for name, kind in KINDS.items()):
            raise TypeError  # noqa: TRY301  (as above)
        return Manifest(**said, made_at=made_at, tables=tables), FRONT.size + size
    except (ValueError, TypeError, KeyError, AttributeError, struct.error):
        raise BadBackup(f"{path} is no backup of this format, or its beginning is damaged.") from None


def unpack(path: Path, database: BinaryIO, tell: Tell = lambda *_: None) -> Manifest:
    """Write the database that a backup holds; returns what the backup says of it, which the bytes written agree with.

    Raises:
        BadBackup: it is damaged, or none.
    """
    sha256 = hashlib.sha256()
    with path.open("rb") as backup, Beside(sha256.update) as hashing, Beside(database.write) as writing:
        manifest, room = _front(backup, path)
        backup.seek(room)
        done = 0
        try:
            for piece in _decompressed(backup):
                hashing.give(piece)
                writing.give(piece)
                done += len(piece)
                tell(done, manifest.database_bytes)
                if done > manifest.database_bytes:
                    break
        except (zstd.ZstdError, EOFError) as error:
            raise BadBackup(f"{path} is damaged after {done:,} of {manifest.database_bytes:,} bytes: {error}") from error
        writing.finish()
        hashing.finish()
    if (done, sha256.hexdigest()) != (manifest.database_bytes, manifest.sha256):
        raise BadBackup(f"{path} is damaged: what it holds is not what it says (size or SHA-256 differ).")
    return manifest


def _decompressed(backup: BinaryIO) -> Iterator[bytes]:
    decompressor = zstd.ZstdDecompressor()
    while not decompressor.eof:
        if not decompressor.needs_input:
            yield decompressor.decompress(b"", PIECE)
        elif piece := backup.read(PIECE):
            yield decompressor.decompress(piece, PIECE)
        else:
            raise EOFError("it ends too early")
    if decompressor.unused_data or backup.read(1):
        raise EOFError("there is something after its end")
