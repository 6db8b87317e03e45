"""Every test that SQLAlchemy has for a dialect; two classes are changed, for the reasons beside them."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Connection
from sqlalchemy.testing import config, suite
from sqlalchemy.testing.suite import *  # noqa: F403

# It declares foreign keys to columns that are not unique. SQLite refuses those where foreign keys are enforced, as here.
del UnicodeSchemaTest  # noqa: F821

del IntegerTest  # noqa: F821


class IntegersTest(suite.IntegerTest):
    """A test makes its table on a second connection while the first has begun, and a transaction of ours has the lock."""

    @pytest.fixture
    def connection(self) -> Iterator[Connection]:
        """Begins at its first statement, so after the table is there."""
        with config.db.connect() as connection:  # type: ignore[attr-defined]
            yield connection
