"""A counter and an append-only log of it, in which every lost, half or doubled transaction shows."""

import random
from pathlib import Path

from sqlalchemy import Connection, text

from faulty import content
from homedex.storage.sqlite import open_connection


def create(connection: Connection) -> None:
    connection.execute(text("CREATE TABLE counter (n INTEGER NOT NULL) STRICT"))
    connection.execute(text("CREATE TABLE log (n INTEGER NOT NULL, part INTEGER NOT NULL, parts INTEGER NOT NULL, t TEXT) STRICT"))
    connection.execute(text("CREATE UNIQUE INDEX log_n ON log (n, part)"))
    connection.execute(text("INSERT INTO counter VALUES (0)"))


def append(connection: Connection, parts: int, size: int) -> int:
    """Count one on, and log it in several rows; the number that it got."""
    n: int = connection.execute(text("SELECT n FROM counter")).scalar_one() + 1
    connection.execute(text("UPDATE counter SET n = :n"), {"n": n})
    rows = [{"n": n, "part": part, "parts": parts, "t": chr(97 + n % 26) * size} for part in range(parts)]
    connection.execute(text("INSERT INTO log VALUES (:n, :part, :parts, :t)"), rows)
    return n


def some(dice: random.Random) -> tuple[int, int]:
    """Arguments of `append`: small transactions, and now and then one of many pages."""
    return (dice.randint(1, 4), dice.choice((10, 200, 3000))) if dice.random() < 0.95 else (30, 2000)


def counted(path: Path) -> int:
    """How many transactions a file holds; fails if it is damaged or holds a part of one."""
    connection = open_connection(str(path))
    try:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        ((n,),) = connection.execute("SELECT n FROM counter").fetchall()
        logged = connection.execute("SELECT n, count(*), max(parts) FROM log GROUP BY n ORDER BY n").fetchall()
        assert logged == [(number, parts, parts) for number, (_, _, parts) in enumerate(logged, 1)]
        assert len(logged) == n
        return int(str(n))
    finally:
        connection.close()


def counted_anew(path: Path, folder: Path) -> int:
    """What a process that starts now would find, had this one died: `counted` of a copy of the live file and its log."""
    live = {suffix: path.with_name(path.name + suffix) for suffix in ("", "-wal")}
    return counted_of({suffix: content(file) for suffix, file in live.items() if file.exists()}, folder)


def counted_of(files: dict[str, bytes], folder: Path) -> int:
    """`counted` of a file and its log, given by the ends of their names."""
    folder.mkdir(exist_ok=True)
    for suffix in ("", "-wal", "-shm"):
        copy = folder / f"copy.db{suffix}"
        copy.unlink(missing_ok=True)
        if suffix in files:
            copy.write_bytes(files[suffix])
    return counted(folder / "copy.db")
