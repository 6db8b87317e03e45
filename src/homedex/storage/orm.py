"""The ORM inside `Database.read` and `Database.write`: one hop for all that a function does with its objects."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from sqlalchemy import Connection
from sqlalchemy.orm import Session

from homedex.storage.engine import MAY_WRITE


@contextmanager
def session_on(connection: Connection) -> Iterator[Session]:
    """An ORM session on the connection of a query function. What it did is sent to the database at the end of the block.

    It commits nothing: `Database.write` does. Where the connection may write, the block is a savepoint, so that an error or
    `session.rollback()` undoes what the block did and no more. Objects can be used after the block, but for what was not loaded.

    Raises:
        sqlalchemy.exc.IntegrityError: also at the end of the block, if what was added breaks a rule of the schema.
    """
    may_write = connection.get_execution_options().get(MAY_WRITE, True)
    mode: Literal["create_savepoint", "rollback_only"] = "create_savepoint" if may_write else "rollback_only"
    with Session(connection, expire_on_commit=False, join_transaction_mode=mode) as session:
        yield session
        if may_write:
            session.commit()
        else:
            session.flush()  # which refuses, where commit would cost as much as the read
