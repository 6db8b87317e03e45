"""Answers that may be asked for again: a repeated request with the same key is not carried out twice.

The answer is kept in the transaction that did the work: either both are there, or neither.
"""

from datetime import datetime, timedelta

from sqlalchemy import Connection, bindparam, delete, insert, select

from homedex.errors import KeyReused
from homedex.registry.tables import IdempotencyKey, table_of

KEPT = timedelta(hours=24)

_table = table_of(IdempotencyKey)
_kept = select(_table.c.digest, _table.c.status, _table.c.body).where(
    _table.c.key == bindparam("key"), _table.c.kept_at > bindparam("since")
)


def find_answer(connection: Connection, key: str, digest: str, *, now: datetime) -> tuple[int, str] | None:
    """The answer given before, (status, body); None if there is none.

    Args:
        digest: of the request.
    Raises:
        KeyReused: it was given to another request.
    """
    kept = connection.execute(_kept, {"key": key, "since": now - KEPT}).one_or_none()
    if kept is None:
        return None
    if kept.digest != digest:
        raise KeyReused("this Idempotency-Key came with another request in the last 24 hours. Use a new key for a new request.")
    return kept.status, kept.body


def keep_answer(connection: Connection, key: str, digest: str, status: int, body: str, *, now: datetime) -> None:  # noqa: PLR0913  (a row)
    """Keep an answer, and forget those that are too old."""
    connection.execute(delete(_table).where((_table.c.kept_at <= now - KEPT) | (_table.c.key == key)))
    row = {"key": key, "digest": digest, "status": status, "body": body, "kept_at": now}
    connection.execute(insert(_table), row)
