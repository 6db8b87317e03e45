"""Registries with everything in them, there and back between real SQLite files and a real PostgreSQL."""

import asyncio
import functools
import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from itertools import cycle
from pathlib import Path
from typing import Any, TypeVar

import pytest
from sqlalchemy import Column, Connection, Integer, MetaData, String, Table, func, insert, select

from homedex.errors import BadSource, Conflict, DatabaseTooNew, HomedexError, NotADatabase, StorageUnavailable
from homedex.ingest.exported import write_export
from homedex.registry import records, schema
from homedex.registry.changes import CHANGES, Stamp
from homedex.registry.devices import DEVICES
from homedex.registry.entities import ENTITIES
from homedex.registry.exports import whole
from homedex.registry.queries import Query
from homedex.registry.tables import Base
from homedex.storage import copy_text
from homedex.storage.database import Database
from homedex.storage.engine import create_engine
from homedex.storage.rows import run
from homedex.storage.sqlite import Options, open_connection
from homedex.storage.transfer import Proof
from homedex.storage.types import Flag, JsonText, UtcDateTime
from homedex.storage.urls import is_postgresql
from servers import Server

T = TypeVar("T")
Make = Callable[[str], str]

NOW = datetime(2026, 11, 22, 13, 52, 56, 700259, tzinfo=UTC)
TEXTS = (
    "",
    " ",
    "\\N",
    "\\",
    "\\\\t",
    "a\tb\nc\rd\be\vf\fg",
    "é e\u0301 🎉 \u202e\u2028",
    "'; -- \"",
    "x" * 5000,
    "Küche",
    "\x7f\x01",
)
TIMES = tuple(
    moment.replace(microsecond=micros)
    for moment in (NOW, datetime(2, 1, 1, tzinfo=UTC), datetime(9998, 12, 31, 23, 59, 59, tzinfo=UTC))
    for micros in (0, 1, 10, 700000, 999999)
)
NESTED = {"a": [1, 2.5, None, True, {"b": 'q " \\ \n \x00 é', "z": 1, "c": [[]]}]}
JSONS: tuple[Any, ...] = ({}, [], NESTED, ["", "\t"], {"n": 2**53, "m": 1e-7})
TABLES = {table.name: table for table in Base.metadata.sorted_tables}
PAIRS = [(one, other) for one in ("sqlite", "postgresql") for other in ("sqlite", "postgresql")]


@pytest.fixture
def make(tmp_path: Path, postgresql: Server) -> Iterator[Make]:
    """What makes a place for a registry: a path where nothing is yet, or an empty database."""
    with ExitStack() as stack:
        yield (
            lambda engine: (
                str(tmp_path / f"{time.monotonic_ns()}.db") if engine == "sqlite" else stack.enter_context(postgresql.database())
            )
        )


def do(target: str, function: Callable[[Connection], T], *, write: bool = False) -> T:
    """The result of a function on a registry that is there."""

    async def ask() -> T:
        database = Database.open(target)
        try:
            return await (database.write if write else database.read)(function)
        finally:
            await database.close()

    return asyncio.run(ask())


def transfer(source: str, target: str, tell: Callable[[str, int, int], None] = lambda *_: None) -> list[Proof]:
    return schema.transfer(source, target, tell)


def value_of(column: Any, number: int) -> Any:
    """Something odd for a column; where null is allowed, every third row has it."""
    if column.nullable and number % 3 == 0:
        return None
    odd = {UtcDateTime: TIMES, JsonText: JSONS, Flag: (True, False)}.get(type(column.type), TEXTS)
    return odd[(number + len(column.name)) % len(odd)]


def fill(connection: Connection, rows: int = 40) -> None:
    """Rows of every table, with everything in them that a column can hold."""
    for name, table in TABLES.items():
        made = []
        for number in range(1, rows + 1):
            row = {column.name: value_of(column, number) for column in table.columns if column.computed is None}
            row |= {key: f"{key} {number} {TEXTS[number % len(TEXTS)]}"[:200] for key in KEYS.get(name, ())}
            row |= {key: number * 3 for key in ("number", "seq", "version", "status") if key in row}
            row |= {key: value for key, value in FIXED[name](number).items() if key in row}
            made.append(row)
        connection.execute(insert(table), made)
    connection.execute(TABLES["changes"].delete().where(TABLES["changes"].c.seq > 90))


def kept(number: int) -> dict[str, Any]:
    return {"source_id": f"source_id {number} {TEXTS[number % len(TEXTS)]}"[:200]}


def of_device(number: int) -> dict[str, Any]:
    return {"device_id": f"device_id {number} {TEXTS[number % len(TEXTS)]}"[:200]}


KEYS = {
    "sources": ("source_id",),
    "areas": ("area_id",),
    "devices": ("device_id",),
    "entities": ("id", "entity_id"),
    "device_ids": ("old_id",),
    "sync_runs": ("run_id",),
    "idempotency_keys": ("key",),
}
FIXED: dict[str, Callable[[int], dict[str, Any]]] = {
    "sources": lambda number: {"kind": ("mqtt", "manual")[number % 2], "state": ("ok", "error")[number % 2]},
    "areas": kept,
    "devices": kept,
    "device_ids": of_device,
    "entities": lambda number: kept(number) | (of_device(number) if number % 3 else {"device_id": None}),
    "sightings": lambda _: {},
    "sync_runs": kept,
    "changes": lambda number: {"kind": ("area", "device")[number % 2], "action": ("update", "move")[number % 2]},
    "idempotency_keys": lambda _: {},
}


def filled(target: str) -> str:
    schema.upgrade(target)
    do(target, fill, write=True)
    return target


def rows_of(target: str) -> dict[str, list[tuple[Any, ...]]]:
    """Every value of every row as Python has it, read by SQLAlchemy."""
    return do(
        target,
        lambda connection: {
            name: sorted((tuple(row) for row in connection.execute(select(table))), key=repr) for name, table in TABLES.items()
        },
    )


def exports_of(target: str, folder: Path) -> dict[str, bytes]:
    folder.mkdir()
    do(target, lambda connection: write_export(connection, folder))
    changes = do(target, lambda connection: "\n".join(whole(connection, CHANGES, Query())))
    return {file.name: file.read_bytes() for file in folder.iterdir()} | {"changes": changes.encode()}


def found(target: str, q: str) -> list[str]:
    """Which devices and entities a search finds, in their order."""

    def ask(connection: Connection) -> list[str]:
        lists = (DEVICES, ENTITIES)
        return [row for one in lists for row in whole(connection, one, one.questions.read([("q", q)], now=NOW, whole=True))]

    return do(target, ask)


def digest_of(path: str) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def is_empty(target: str) -> bool:
    """Whether there is nothing, or a registry with no row in any table."""
    if not is_postgresql(target) and not Path(target).exists():
        return True
    names = [*TABLES, "device_search", "entity_search"]
    counts = do(target, lambda connection: [next(run(connection, f"SELECT count(*) FROM {name}"))[0] for name in names])
    return set(counts) == {0}


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_a_registry_with_everything_in_it_is_the_same_there_and_back(one: str, other: str, make: Make, tmp_path: Path) -> None:
    source = filled(make(one))
    there, back = make(other), make(one)
    first, second = transfer(source, there), transfer(there, back)
    assert [proof.source for proof in first] == [proof.target for proof in first] == [proof.target for proof in second]
    assert {proof.table: proof.target.rows for proof in first} == dict.fromkeys(TABLES, 40) | {"changes": 30}
    assert rows_of(source) == rows_of(there) == rows_of(back)
    exports = [exports_of(target, tmp_path / name) for name, target in (("a", source), ("b", there), ("c", back))]
    assert exports[0] == exports[1] == exports[2]
    assert min(map(len, exports[0].values())) > 1000


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_search_answers_as_before(one: str, other: str, make: Make) -> None:
    source, there = filled(make(one)), make(other)
    do(
        source,
        lambda connection: records.create_rows(connection, "areas", SOURCE, [{"area_id": "k", "name": "Pantry"}], STAMP),
        write=True,
    )
    lamps = [{"device_id": f"lamp-{n}", "name": f"Lámp {n}", "area_id": "k", "manufacturer": "Aqara"} for n in range(30)]
    do(source, lambda connection: records.create_rows(connection, "devices", SOURCE, lamps, STAMP), write=True)
    parts = [{"id": f"e{n}", "entity_id": f"light.e{n}", "domain": "light", "device_id": f"lamp-{n}"} for n in range(30)]
    do(source, lambda connection: records.create_rows(connection, "entities", SOURCE, parts, STAMP), write=True)
    transfer(source, there)
    for q, count in (("lamp", 60), ("pantry", 60), ("light.e7", 2), ("aqa lam", 60), ("nothing like it", 0)):
        assert len(found(there, q)) == count
        assert found(there, q) == found(source, q)


SOURCE, STAMP = kept(1)["source_id"], Stamp(NOW, "import")


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_numbers_go_on_after_those_that_were_given_out(one: str, other: str, make: Make) -> None:
    source, there = filled(make(one)), make(other)
    add = functools.partial(records.create_rows, noun="devices", source_id=SOURCE, stamp=STAMP)
    do(source, lambda connection: add(connection, rows=[{"device_id": "before"}]), write=True)
    last = do(source, lambda connection: connection.scalar(select(func.max(TABLES["changes"].c.seq))))
    do(source, lambda connection: connection.execute(TABLES["changes"].delete().where(TABLES["changes"].c.seq < last)), write=True)
    transfer(source, there)
    do(there, lambda connection: add(connection, rows=[{"device_id": "after"}]), write=True)
    seqs = do(there, lambda connection: list(connection.scalars(select(TABLES["changes"].c.seq))))
    numbers = do(there, lambda connection: list(connection.scalars(select(TABLES["devices"].c.number).order_by("number"))))
    assert sorted(seqs) == [last, last + 1]
    assert numbers[-1] > numbers[-2]
    assert found(there, "after")


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_the_target_has_the_schema_of_any_other_registry_to_the_last_index(one: str, other: str, make: Make) -> None:
    plain, there = make(other), make(other)
    schema.upgrade(plain)
    transfer(filled(make(one)), there)
    assert schema_of(there) == schema_of(plain)


def schema_of(target: str) -> list[tuple[Any, ...]]:
    parts = {
        "sqlite": "SELECT name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite_stat%' ORDER BY 1",
        "postgresql": """SELECT indexname::text, indexdef FROM pg_indexes WHERE schemaname = 'public' UNION ALL
            SELECT conname::text, pg_get_constraintdef(oid) FROM pg_constraint ORDER BY 1, 2""",
    }
    return do(target, lambda connection: list(run(connection, parts[connection.dialect.name])))


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_a_target_that_is_not_empty_is_refused_and_left_as_it_is(engine: str, make: Make) -> None:
    source, target = filled(make("sqlite")), filled(make(engine))
    before = rows_of(target)
    with pytest.raises(Conflict, match="is not empty: it has rows in"):
        transfer(source, target)
    assert rows_of(target) == before


def test_a_target_of_an_older_schema_is_not_even_migrated_when_it_has_rows(make: Make) -> None:
    source, target = filled(make("sqlite")), make("sqlite")
    connection = open_connection(target)
    connection.execute("CREATE TABLE alembic_version (version_num TEXT); INSERT INTO alembic_version VALUES ('0001')")
    connection.execute("CREATE TABLE sources (source_id TEXT); INSERT INTO sources VALUES ('mine')")
    connection.close()
    before = digest_of(target)
    with pytest.raises(Conflict, match="it has rows in sources"):
        transfer(source, target)
    assert digest_of(target) == before


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_an_empty_registry_that_is_there_already_is_a_target_like_any_other(engine: str, make: Make) -> None:
    source, target = filled(make("sqlite")), make(engine)
    schema.upgrade(target)
    transfer(source, target)
    assert rows_of(target) == rows_of(source)


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_a_registry_is_not_copied_onto_itself(engine: str, make: Make) -> None:
    source = filled(make(engine))
    same = source if is_postgresql(source) else str(Path(source).parent / "." / ".." / Path(source).parent.name / Path(source).name)
    with pytest.raises(Conflict, match="are the same database"):
        transfer(source, same)
    link = Path(f"{source}.link") if engine == "sqlite" else None
    if link is not None:
        link.symlink_to(source)
        with pytest.raises(Conflict, match="are the same database"):
            transfer(source, str(link))


WRITES = (
    "UPDATE devices SET name = 'other' WHERE number = 3",
    "DELETE FROM sightings WHERE number = 6",
    "DELETE FROM idempotency_keys",
    "INSERT INTO device_ids SELECT 'late', device_id, 'x', moved_at FROM device_ids WHERE old_id LIKE 'old_id 2 %'",
)


@pytest.mark.parametrize("statement", [WRITES[0], *(pytest.param(one, marks=pytest.mark.slow) for one in WRITES[1:])])
@pytest.mark.parametrize(("one", "other", "moment"), [("sqlite", "postgresql", "changes"), ("postgresql", "sqlite", "proof")])
def test_a_source_that_is_written_meanwhile_is_noticed_up_to_the_end(
    one: str, other: str, make: Make, statement: str, moment: str
) -> None:
    source, there = filled(make(one)), make(other)
    written: list[str] = []

    def write(what: str, _done: int, _total: int) -> None:
        if what == moment and not written:
            written.append(what)
            in_thread(lambda: do(source, lambda connection: list(run(connection, statement)), write=True))

    with pytest.raises(Conflict, match="was written while it was copied"):
        transfer(source, there, write)
    assert written
    assert is_empty(there)
    transfer(source, there)
    assert rows_of(there) == rows_of(source)


def in_thread(function: Callable[[], object]) -> None:
    thread = threading.Thread(target=function)
    thread.start()
    thread.join()


def test_no_byte_of_a_sqlite_source_is_changed_not_even_what_its_log_holds_is_written_back(make: Make) -> None:
    source = filled(make("sqlite"))
    holder = open_connection(source)
    holder.execute("UPDATE devices SET name = 'in the log'")
    before = {end: digest_of(source + end) for end in ("", "-wal")}
    transfer(source, there := make("postgresql"))
    assert {end: digest_of(source + end) for end in ("", "-wal")} == before
    assert set(do(there, lambda connection: connection.scalars(select(TABLES["devices"].c.name)).all())) == {"in the log"}
    holder.close()


def test_a_copy_in_another_journal_mode_is_a_source_too_and_stays_in_it(make: Make, tmp_path: Path) -> None:
    connection = open_connection(filled(make("sqlite")))
    connection.execute("VACUUM INTO ?", [copied := str(tmp_path / "copied.db")])
    connection.close()
    before = digest_of(copied)
    transfer(copied, there := make("postgresql"))
    assert digest_of(copied) == before
    assert rows_of(there) == rows_of(copied)


def test_a_source_that_cannot_be_copied_is_said_so_and_nothing_is_made(make: Make, tmp_path: Path) -> None:
    target = make("sqlite")
    text, empty, old, new = (tmp_path / name for name in ("text.db", "empty.db", "old.db", "new.db"))
    text.write_bytes(b"not a database, but long enough to be looked at" * 50)
    empty.touch()
    for path, revision in ((old, "0001"), (new, "9999")):
        connection = open_connection(str(path))
        connection.execute("CREATE TABLE alembic_version (version_num TEXT)")
        connection.execute("INSERT INTO alembic_version VALUES (?)", [revision])
        connection.close()
    refusals: tuple[tuple[Path, type[HomedexError], str], ...] = (
        (tmp_path / "missing.db", BadSource, "there is no file"),
        (tmp_path, BadSource, "there is no file"),
        (text, NotADatabase, "is not a SQLite database"),
        (empty, BadSource, "has not the tables"),
        (old, BadSource, "has schema 0001, and only"),
        (new, DatabaseTooNew, "has schema 9999"),
    )
    for path, kind, said in refusals:
        with pytest.raises(kind, match=said):
            transfer(str(path), target)
        assert not Path(target).exists()
    assert not (tmp_path / "missing.db").exists()


def test_a_postgresql_without_a_registry_is_no_source(make: Make) -> None:
    with pytest.raises(BadSource, match="has not the tables"):
        transfer(make("postgresql"), make("sqlite"))


def test_a_damaged_source_is_noticed_and_the_target_stays_empty(make: Make) -> None:
    source, target = filled(make("sqlite")), make("sqlite")
    damaged = bytearray(Path(source).read_bytes())
    for start in range(4096 * 5, len(damaged), 4096):
        damaged[start : start + 100] = b"\xee" * 100
    Path(source).write_bytes(damaged)
    with pytest.raises(NotADatabase, match="is damaged"):
        transfer(source, target)
    assert is_empty(target)


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_rows_that_point_nowhere_are_refused_with_their_table(engine: str, make: Make) -> None:
    source, target = filled(make("sqlite")), make(engine)
    connection = open_connection(source)
    connection.execute("PRAGMA foreign_keys = OFF; UPDATE entities SET device_id = 'nowhere' WHERE number = 6")
    connection.close()
    with pytest.raises(BadSource, match=r"(?i)rows that the target does not take: .*foreign key"):
        transfer(source, target)
    assert is_empty(target)


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_a_text_that_is_no_utf_8_is_refused(engine: str, make: Make) -> None:
    source, there = filled(make("sqlite")), make(engine)
    with closing(open_connection(source)) as connection:
        connection.execute("UPDATE devices SET note = CAST(x'61ff62' AS TEXT) WHERE number = 3")
    with pytest.raises(BadSource, match="has rows that the target does not take"):
        transfer(source, there)
    assert is_empty(there)


def test_a_text_that_postgresql_cannot_keep_is_refused(make: Make) -> None:
    source, target = filled(make("sqlite")), make("postgresql")
    connection = open_connection(source)
    connection.execute("UPDATE devices SET note = 'a' || char(0) || 'b' WHERE number = 6")
    connection.close()
    with pytest.raises(BadSource, match="rows that the target does not take"):
        transfer(source, target)
    assert is_empty(target)
    transfer(source, there := make("sqlite"))
    assert rows_of(there) == rows_of(source)


@pytest.mark.parametrize("moment", [*(pytest.param(one, marks=pytest.mark.slow) for one in ("devices", "search index")), "proof"])
@pytest.mark.parametrize("side", ["source", "target"])
def test_a_server_that_hangs_up_leaves_the_target_empty(side: str, moment: str, make: Make, postgresql: Server) -> None:
    source, target = filled(make("postgresql")), make("postgresql")
    name = (source if side == "source" else target).partition("?")[0].rpartition("/")[2]
    hung_up: list[str] = []

    def hang_up(what: str, _done: int, _total: int) -> None:
        if what == moment and not hung_up:
            hung_up.append(what)
            end = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
            in_thread(lambda: postgresql.execute(end))

    with pytest.raises(StorageUnavailable, match="hung up"):
        transfer(source, target, hang_up)
    assert hung_up
    assert is_empty(target)
    transfer(source, target)
    assert rows_of(source) == rows_of(target)


def test_a_digest_that_differs_keeps_nothing(make: Make, postgresql: Server) -> None:
    source, target = filled(make("sqlite")), make("postgresql")
    schema.upgrade(target)
    name = target.partition("?")[0].rpartition("/")[2]
    postgresql.execute(
        "CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.note := 'spoilt'; RETURN NEW; END $$",
        "CREATE TRIGGER spoil BEFORE INSERT ON devices FOR EACH ROW WHEN (NEW.number = 60) EXECUTE FUNCTION spoil()",
        name=name,
    )
    with pytest.raises(Conflict, match="devices did not arrive as it was"):
        transfer(source, target)
    assert is_empty(target)


def test_lines_are_what_rows_were(tmp_path: Path) -> None:
    """Of rows of any width, most of which need no escapes, some of which consist of them."""
    texts = cycle([*TEXTS, None, "", "plain", "\\N", *map(chr, range(1, 40))])
    engine = create_engine(str(tmp_path / "texts.db"), Options())
    for width, length, plain in ((1, 50, 0), (3, 5_000, 400), (8, 300, 7)):
        columns = [Column(f"c{place}", String) for place in range(width)]
        table = Table(
            f"texts_{width}", MetaData(), Column("n", Integer, primary_key=True), Column("of", String, primary_key=True), *columns
        )
        rows = [(n, f"{n}\t", *("plain" if plain and n % plain else next(texts) for _ in range(width))) for n in range(length)]
        pieces: list[bytes] = []
        again = table.to_metadata(MetaData(), name=f"again_{width}")
        with engine.begin() as connection:
            table.create(connection)
            again.create(connection)
            connection.execute(table.insert(), [dict(zip(table.c.keys(), row, strict=True)) for row in rows])
            copy_text.read_lines(connection, table, pieces.append)
            for piece in pieces:
                copy_text.write_lines(connection, again.name, again.c.keys(), piece)
            assert [tuple(row) for row in connection.execute(again.select().order_by("n"))] == rows
    engine.dispose()


@pytest.mark.parametrize("cut", [7, 1_000_003, 4 << 20])
def test_whole_lines_come_out_of_pieces_of_any_length(cut: int) -> None:
    lines = b"".join(b"%d\tx\n" % number for number in range(400_000))
    given: list[bytes] = []

    async def cut_up() -> None:
        cutter = copy_text.Cutter(given.append)
        for start in range(0, len(lines), cut):
            await cutter.add(lines[start : start + cut])
        cutter.end()

    asyncio.run(cut_up())
    assert b"".join(given) == lines
    assert all(one.endswith(b"\n") for one in given)
