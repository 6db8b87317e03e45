"""Damage of a SQLite file: who meets it first says so, and nothing is written from then on until a new start."""

import apsw

from homedex.errors import NotADatabase
from homedex.storage.jobs import meaning
from homedex.storage.notice import Notice
from homedex.storage.sqlite import storage_error


class Damage:
    """What is known to be wrong with a file, shared by all who have it open, in forked processes, too; it stays while they do.

    What is whole is read on. Writing would spread the damage, and every write that is acknowledged would be one more to lose.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._notice = Notice()

    @property
    def found(self) -> str | None:
        """What is wrong and what to do; None: nothing is known to be."""
        return self._notice.get()

    def note(self) -> None:
        """Remember that the file is damaged."""
        self._notice.set(str(storage_error(apsw.SQLITE_CORRUPT, self.path).detail))  # type: ignore[union-attr]

    def meaning(self, error: BaseException, *, query_only: bool = False) -> BaseException:
        """What an error means to the caller (`jobs.meaning`); remembers it if it is damage."""
        found = meaning(error, self.path, query_only=query_only)
        if isinstance(found, NotADatabase):
            self.note()
        return found

    def check(self) -> None:
        """Raise NotADatabase if the file is damaged."""
        found = self.found
        if found is not None:
            raise NotADatabase(found)

    def spare(self, connection: apsw.Connection) -> None:
        """Have a connection that is about to close leave a damaged file as it is, and its log beside it."""
        if self.found is not None:
            connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
