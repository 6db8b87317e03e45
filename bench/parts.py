"""Where the time of a request goes: its parts, each alone, in this process and with no HTTP."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.processes import SERVER, pinned
from bench.report import Figure
from bench.sides import device, device_id
from sqlalchemy import Connection

from homedex.api.items import edit_and_get, edits_and_gets
from homedex.api.requests import Requests
from homedex.registry import schema
from homedex.registry.changes import Stamp
from homedex.registry.cursors import Segment
from homedex.registry.devices import DEVICES, get_device
from homedex.registry.edits import Edit
from homedex.registry.inputs import DeviceIn
from homedex.storage import ending
from homedex.storage.database import Database
from homedex.storage.engine import create_engine
from homedex.storage.rows import driver
from homedex.storage.sqlite import Options

DEVICES_THERE = 1000
WAITING = 30
ROUNDS, TIMES = 5, 300
STAMP = Stamp(datetime.now(UTC), "api", request_id="bench")


def parts(folder: Path) -> list[Figure]:
    """Microseconds of each part of a list, of one device, of a repeated answer and of an edit."""
    path = folder / "homedex.db"
    schema.upgrade(str(path))
    engine = create_engine(str(path), Options(application_id=schema.APPLICATION_ID))
    with pinned(SERVER), engine.connect() as connection:
        write(connection, edits("first"), alone=True)
        figures = [*of_reads(connection), *of_edits(connection)]
    engine.dispose()
    with pinned(SERVER):
        return [*figures, *asyncio.run(of_repeated(path))]


def of_reads(connection: Connection) -> list[Figure]:
    query = DEVICES.questions.read([("limit", "50")], now=STAMP.at)
    statement = DEVICES.page_of(DEVICES.shape(query), Segment(), back=False, way="order")
    return [
        figure("a list of 50: its statement", lambda: statement.all(connection, {"limit": 51})),
        figure("a list of 50: the whole page", lambda: DEVICES.page(connection, query)),
        figure("one device: the whole of it", lambda: get_device(connection, device_id(7))),
    ]


def of_edits(connection: Connection) -> list[Figure]:
    """Each with its share of the COMMIT and of the search index, of which there is one for all that wait together."""
    figures = []
    for how in ("one by one", "at once"):
        rounds = []
        for number in range(ROUNDS):
            wanted = edits(f"{how} {number}")
            begun = time.perf_counter()
            write(connection, wanted, alone=how == "one by one")
            rounds.append((time.perf_counter() - begun) / DEVICES_THERE * 1e6)
        figures.append(Figure(f"each of {WAITING} edits that wait, done {how}", "us", rounds, better="less"))
    return figures


def edits(note: str) -> list[Edit]:
    """One of each device, which changes it."""
    return [Edit(device_id(n), DeviceIn.model_validate(device(n, note)).stated(), "put") for n in range(DEVICES_THERE)]


def write(connection: Connection, wanted: Sequence[Edit], *, alone: bool) -> None:
    """As the writer does it, so many in a transaction."""
    for place in range(0, len(wanted), WAITING):
        calls = [("devices", edit, STAMP) for edit in wanted[place : place + WAITING]]
        with connection.begin():
            ending.begin(connection)
            for group in [[call] for call in calls] if alone else [calls]:
                driver(connection).execute("SAVEPOINT job")
                edits_and_gets(connection, group) if len(group) > 1 else edit_and_get(connection, *group[0])
                driver(connection).execute("RELEASE job")
            ending.finish(connection)


async def of_repeated(path: Path) -> list[Figure]:
    database = Database.open(str(path), application_id=schema.APPLICATION_ID)
    scope = {"type": "http", "method": "GET", "path": "/", "headers": [(b"host", b"127.0.0.1"), (b"accept", b"*/*")]}

    async def nothing(*_: Any) -> None:
        pass

    framed = Requests(nothing, allowed_hosts=frozenset({"127.0.0.1"}))

    async def ask() -> None:
        for _ in range(TIMES):
            await framed(dict(scope), nothing, nothing)  # type: ignore[arg-type]

    try:
        return [
            figure("a repeated answer: has anything been committed?", lambda: database.revision),
            Figure("any answer: its id, the host, the log", "us", [await timed(ask) for _ in range(ROUNDS)], better="less"),
        ]
    finally:
        await database.close()


async def timed(run: Callable[[], Awaitable[None]]) -> float:
    begun = time.perf_counter()
    await run()
    return (time.perf_counter() - begun) / TIMES * 1e6


def figure(what: str, run: Callable[[], Any]) -> Figure:
    """Microseconds of one call."""
    rounds = []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        for _ in range(TIMES):
            run()
        rounds.append((time.perf_counter() - begun) / TIMES * 1e6)
    return Figure(what, "us", rounds, better="less")
