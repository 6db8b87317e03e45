"""Every test that SQLAlchemy has for a dialect; three classes are changed, for the reasons beside them."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.testing import config, suite
from sqlalchemy.testing.suite import *  # noqa: F403

# It declares foreign keys to columns that are not unique. SQLite refuses those where foreign keys are enforced, as here.
del UnicodeSchemaTest  # noqa: F821

del IntegerTest  # noqa: F821


class IntegersTest(suite.IntegerTest):
    """A test makes its table on a second connection while the first has begun, and a transaction of ours has the lock."""

    @config.fixture()  # type: ignore[untyped-decorator]
    def connection(self) -> Iterator[Connection]:
        """Begins at its first statement, so after the table is there."""
        with config.db.connect() as connection:  # type: ignore[attr-defined]
            yield connection


del ServerSideCursorsTest  # noqa: F821


class ServerSideCursorTest(suite.ServerSideCursorsTest):
    """It knows how to tell a cursor of each driver of SQLAlchemy's own."""

    def _is_server_side(self, cursor: Any) -> bool:
        return getattr(cursor, "server_side", False)
