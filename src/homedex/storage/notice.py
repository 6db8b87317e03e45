"""A short text that a process shares with those that are forked from it: what one of them has found, all of them say."""

import mmap
import struct

SIZE = 4096
LENGTH = struct.Struct("<H")


class Notice:
    """A text or nothing, in memory that stays shared after a fork. Who reads while another replaces it may get nothing."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, SIZE)

    def get(self) -> str | None:
        """The text, None where there is none."""
        (length,) = LENGTH.unpack_from(self._memory)
        if not length:
            return None
        return self._memory[LENGTH.size : LENGTH.size + length].decode(errors="replace")

    def set(self, text: str | None) -> None:
        """Replace it; of a longer text than 4,094 bytes the beginning."""
        said = b"" if text is None else text.encode()[: SIZE - LENGTH.size]
        LENGTH.pack_into(self._memory, 0, 0)
        self._memory[LENGTH.size : LENGTH.size + len(said)] = said
        LENGTH.pack_into(self._memory, 0, len(said))
