"""The ORM inside `Database.read` and `Database.write`: one hop for all that a function does with its objects."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import sqlalchemy
from sqlalchemy import Connection, event
from sqlalchemy.orm import Session

from homedex.storage.engine import MAY_WRITE


class _Session(Session):
    """Has the event of its class: listening to each session anew took a tenth of a read (2026-11)."""


@event.listens_for(_Session, "before_attach")
def _refuse_detached(_: Session, instance: object) -> None:
    if sqlalchemy.inspect(instance, raiseerr=True).detached:
        raise RuntimeError("an object of another session was added: make or load it inside the function, or merge() it")


@contextmanager
def session_on(connection: Connection) -> Iterator[Session]:
    """An ORM session on the connection of a query function. What it did is sent to the database at the end of the block.

    It commits nothing: `Database.write` does. Where the connection may write, the block is a savepoint, so that an error or
    `session.rollback()` undoes what the block did and no more. Objects can be used after the block, but for what was not loaded.

    A write function may run twice, and by then an object that it added is no new one any more: make objects inside the function, or
    `session.merge()` those that were made outside.

    Raises:
        RuntimeError: an object that belonged to another session was added.
        sqlalchemy.exc.IntegrityError: also at the end of the block, if what was added breaks a rule of the schema.
    """
    may_write = connection.get_execution_options().get(MAY_WRITE, True)
    mode: Literal["create_savepoint", "rollback_only"] = "create_savepoint" if may_write else "rollback_only"
    with _Session(connection, expire_on_commit=False, join_transaction_mode=mode) as session:
        yield session
        if may_write:
            session.commit()
        else:
            session.flush()  # which refuses, where commit would cost as much as the read
