import datetime as dt
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import (
    Column,
    Engine,
    Integer,
    MetaData,
    Table,
    Text,
    create_engine,
    event,
    exc,
    insert,
    inspect,
    pool,
    select,
    text,
    update,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from homedex.storage import apsw_dbapi as dbapi
from homedex.storage.apsw_dialect import ApswDialect
from homedex.storage.sqlite import Options

SCHEMA = """
CREATE TABLE areas (area_id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT
CREATE TABLE devices (device_id INTEGER PRIMARY KEY, level INTEGER CHECK (level < 10), area_id REFERENCES areas ON DELETE CASCADE)
CREATE TABLE log (line TEXT)
CREATE TRIGGER logged AFTER INSERT ON areas BEGIN INSERT INTO log VALUES ('one'); INSERT INTO log VALUES ('two'); END
"""
UNCACHED = f"/* {'too long for the statement cache ' * 1000} */ DROP TABLE log"
NOW = dt.datetime(2026, 11, 22, 13, 52, 56, 700259)  # noqa: DTZ001  (SQLAlchemy's plain DateTime is naive)


class Base(DeclarativeBase):
    pass


class Note(Base):
    __tablename__ = "notes"
    note_id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    body: Mapped[bytes]
    written_at: Mapped[dt.datetime | None]
    level: Mapped[int | None]


counters = Table("counters", MetaData(), Column("name", Text, primary_key=True), Column("n", Integer, nullable=False))


@pytest.fixture
def file(tmp_path: Path) -> str:
    return str(tmp_path / "test.db")


@pytest.fixture
def connection(file: str) -> Iterator[dbapi.Connection]:
    opened = dbapi.connect(file)
    for statement in SCHEMA.strip().splitlines():
        opened.execute(statement)
    yield opened
    opened.close()


@pytest.fixture
def second(connection: dbapi.Connection, file: str) -> Iterator[dbapi.Connection]:
    assert connection
    opened = dbapi.connect(file, options=Options(busy_timeout_s=0))
    yield opened
    opened.close()


@pytest.fixture
def engine(file: str) -> Iterator[Engine]:
    made = create_engine(f"sqlite+apsw:///{file}")
    Base.metadata.create_all(made)
    counters.metadata.create_all(made)
    with made.begin() as connection:
        connection.execute(insert(counters).values(name="a", n=0))
    yield made
    made.dispose()


def names(connection: dbapi.Connection) -> list[str]:
    return [name for (name,) in connection.execute("SELECT name FROM areas ORDER BY name")]


# The module and its cursors


def test_the_module_says_what_pep_249_asks() -> None:
    assert (dbapi.apilevel, dbapi.threadsafety, dbapi.paramstyle) == ("2.0", 1, "qmark")
    assert issubclass(dbapi.IntegrityError, dbapi.DatabaseError)
    assert issubclass(dbapi.DatabaseError, dbapi.Error)
    assert not issubclass(dbapi.InterfaceError, dbapi.DatabaseError)


def test_constructors_give_what_can_be_bound(connection: dbapi.Connection) -> None:
    values = (dbapi.Date(2026, 11, 2), dbapi.Time(3, 4, 5), dbapi.Timestamp(2026, 11, 2, 3, 4, 5), dbapi.Binary(b"\0x"))

    row = connection.execute("SELECT ?, ?, ?, ?", values).fetchone()

    assert row == ("2026-11-02", "03:04:05", "2026-11-02 03:04:05", b"\0x")


def test_rows_can_be_fetched_one_by_one_in_parts_and_all(connection: dbapi.Connection) -> None:
    cursor = connection.execute("SELECT value FROM json_each('[1, 2, 3, 4, 5, 6, 7, 8]')")
    cursor.arraysize = 2

    assert cursor.fetchone() == (1,)
    assert cursor.fetchmany() == [(2,), (3,)]
    assert cursor.fetchmany(3) == [(4,), (5,), (6,)]
    assert next(cursor) == (7,)
    assert cursor.fetchall() == [(8,)]
    assert (cursor.fetchone(), cursor.fetchmany(), cursor.fetchall(), list(cursor)) == (None, [], [], [])


@pytest.mark.parametrize("where", ["", " WHERE 0"])
@pytest.mark.parametrize("statement", ["SELECT name, 1 AS one FROM areas", "WITH a AS (SELECT 1) SELECT name, 1 one FROM areas"])
def test_columns_are_known_with_rows_and_without(connection: dbapi.Connection, statement: str, where: str) -> None:
    connection.execute("INSERT INTO areas(name) VALUES ('Attic')")

    cursor = connection.execute(statement + where)

    assert cursor.description
    assert [column[0] for column in cursor.description] == ["name", "one"]
    assert all(len(column) == 7 for column in cursor.description)
    assert cursor.rowcount == -1


@pytest.mark.parametrize("kept", ["", " WHERE 0"])
def test_columns_are_the_new_ones_after_another_connection_altered_the_table(
    connection: dbapi.Connection, second: dbapi.Connection, kept: str
) -> None:
    connection.execute("SELECT * FROM log" + kept).fetchall()
    second.execute("INSERT INTO log VALUES ('x')")
    second.execute("ALTER TABLE log ADD COLUMN added DEFAULT 5")

    cursor = connection.execute("SELECT * FROM log" + kept)

    assert cursor.description
    assert [column[0] for column in cursor.description] == ["line", "added"]
    assert cursor.fetchall() == ([] if kept else [("x", 5)])


@pytest.mark.parametrize(
    "statement",
    ["INSERT INTO log VALUES ('x')", "DELETE FROM log WHERE 0", "CREATE TABLE t (a)", UNCACHED, "BEGIN", ""],
)
def test_statements_without_columns_have_no_description_and_nothing_to_fetch(connection: dbapi.Connection, statement: str) -> None:
    cursor = connection.execute(statement)

    assert cursor.description is None
    for fetch in (cursor.fetchone, cursor.fetchmany, cursor.fetchall):
        with pytest.raises(dbapi.ProgrammingError, match="no rows to fetch"):
            fetch()


def test_rowcount_and_lastrowid_tell_what_the_statement_changed(connection: dbapi.Connection) -> None:
    cursor = connection.cursor()

    assert (cursor.rowcount, cursor.lastrowid) == (-1, None)
    cursor.execute("INSERT INTO areas VALUES (7, 'a'), (8, 'b')")
    assert (cursor.rowcount, cursor.lastrowid) == (2, 8)
    cursor.execute("UPDATE areas SET name = name || '!'")
    assert cursor.rowcount == 2
    cursor.execute("UPDATE areas SET name = 'x' WHERE 0")
    assert cursor.rowcount == 0
    cursor.execute("CREATE TABLE t (a)")
    assert cursor.rowcount <= 0
    cursor.execute("WITH gone AS (SELECT 7 AS id) DELETE FROM areas WHERE area_id IN (SELECT id FROM gone)")
    assert cursor.rowcount == 1


def test_rowcount_leaves_out_what_foreign_keys_and_triggers_changed(connection: dbapi.Connection) -> None:
    cursor = connection.execute("INSERT INTO areas VALUES (1, 'a')")
    assert cursor.rowcount == 1
    connection.execute("INSERT INTO devices(area_id) VALUES (1), (1), (1)")

    cursor.execute("DELETE FROM areas")

    assert cursor.rowcount == 1
    assert connection.execute("SELECT count(*) FROM devices").fetchone() == (0,)


def test_executemany_runs_each_row_and_counts_without_triggers(connection: dbapi.Connection) -> None:
    cursor = connection.cursor()

    cursor.executemany("INSERT INTO areas(name) VALUES (?)", ((f"area {n}",) for n in range(100)))
    assert cursor.rowcount == 100
    cursor.executemany("UPDATE areas SET name = name WHERE name = :name", [{"name": "area 5"}, {"name": "none"}])
    assert cursor.rowcount == 1
    cursor.executemany("INSERT INTO areas(name) VALUES (?)", [])
    assert cursor.rowcount == 0
    cursor.executemany("INSERT INTO areas(name) VALUES (?) RETURNING area_id", [("y",), ("z",)])
    assert (cursor.rowcount, cursor.description) == (2, None)
    assert len(names(connection)) == 102


def test_executemany_stops_at_the_bad_row_and_the_transaction_undoes_the_others(connection: dbapi.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    cursor = connection.cursor()

    with pytest.raises(dbapi.IntegrityError):
        cursor.executemany("INSERT INTO areas(name) VALUES (?)", [("a",), ("a",)])
    connection.rollback()

    assert cursor.execute("SELECT count(*) FROM areas").fetchone() == (0,)


def test_parameters_go_by_position_and_by_name(connection: dbapi.Connection) -> None:
    assert connection.execute("SELECT ?, ?", [1, "ü"]).fetchone() == (1, "ü")
    assert connection.execute("SELECT :a || :b", {"a": "x", "b": "y"}).fetchone() == ("xy",)


def test_returning_rows_do_not_hold_up_the_commit(connection: dbapi.Connection, second: dbapi.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    cursor = connection.execute("INSERT INTO areas(name) VALUES ('a'), ('b'), ('c') RETURNING area_id, name")

    assert cursor.fetchone() == (1, "a")
    connection.commit()

    assert names(second) == ["a", "b", "c"]
    assert cursor.fetchall() == [(2, "b"), (3, "c")]
    assert cursor.rowcount == 3


def test_returning_nothing_still_has_columns(connection: dbapi.Connection) -> None:
    cursor = connection.execute("UPDATE areas SET name = 'x' WHERE 0 RETURNING name")

    assert cursor.description
    assert (cursor.fetchall(), cursor.rowcount) == ([], 0)


@pytest.mark.parametrize("head", ["", "; ", "-- first;\n"])
@pytest.mark.parametrize("between", ["", f"{99 * '-'}\n", "/* a */"])
def test_a_second_statement_is_refused_before_the_first_has_run(connection: dbapi.Connection, head: str, between: str) -> None:
    for run in (connection.execute, lambda sql: connection.cursor().executemany(sql, [()])):
        with pytest.raises(dbapi.ProgrammingError, match="one statement"):
            run(f"{head}INSERT INTO areas(name) VALUES ('a;b'); {between} DROP TABLE areas /* b */")

    assert names(connection) == []


@pytest.mark.parametrize("tail", ["", ";", " ; \n", "; -- done; really", "; /* done; */ ;", "; /* open", "; " + 99 * "-"])
@pytest.mark.parametrize("head", ["", "; ", "-- first;\n", "/* ; */ ; "])
def test_semicolons_in_text_and_around_it_are_no_second_statement(connection: dbapi.Connection, head: str, tail: str) -> None:
    connection.execute(head + "INSERT INTO areas(name) VALUES ('a;b')" + tail)

    assert names(connection) == ["a;b"]


def test_closed_cursors_and_connections_refuse_work(connection: dbapi.Connection) -> None:
    cursor = connection.execute("INSERT INTO areas(name) VALUES ('a'), ('b') RETURNING name")
    cursor.close()
    cursor.close()
    for use in (cursor.fetchone, cursor.fetchall, lambda: cursor.execute("SELECT 1")):
        with pytest.raises(dbapi.ProgrammingError):
            use()

    connection.close()
    connection.close()
    for use in (connection.cursor, connection.commit, connection.rollback):
        with pytest.raises(dbapi.ProgrammingError):
            use()


def test_an_unread_result_holds_no_lock_once_its_cursor_is_gone(connection: dbapi.Connection) -> None:
    connection.cursor().executemany("INSERT INTO log VALUES (?)", [(n,) for n in range(100)])
    cursor = connection.execute("SELECT line FROM log")
    cursor.setinputsizes([])
    cursor.setoutputsize(1)
    assert connection.driver.txn_state("main") == 1

    cursor.close()

    assert connection.driver.txn_state("main") == 0


# Transactions


def test_nothing_begins_by_itself_and_ending_nothing_does_nothing(connection: dbapi.Connection) -> None:
    connection.execute("INSERT INTO areas(name) VALUES ('a')")

    assert not connection.in_transaction
    connection.rollback()
    connection.commit()
    assert names(connection) == ["a"]


def test_rollback_undoes_and_close_rolls_back(connection: dbapi.Connection, second: dbapi.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("INSERT INTO areas(name) VALUES ('a')")
    assert connection.in_transaction
    connection.rollback()
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("INSERT INTO areas(name) VALUES ('b')")
    connection.close()

    assert names(second) == []


# Errors


def error_of(connection: dbapi.Connection, sql: str, parameters: Any = ()) -> tuple[str, str]:
    with pytest.raises(dbapi.Error) as caught:
        connection.execute(sql, parameters).fetchall()
    return type(caught.value).__name__, caught.value.sqlite_errorname


@pytest.mark.parametrize(
    ("statement", "name"),
    [
        ("INSERT INTO areas VALUES (1, 'Attic')", "SQLITE_CONSTRAINT_PRIMARYKEY"),
        ("INSERT INTO areas VALUES (2, 'Attic')", "SQLITE_CONSTRAINT_UNIQUE"),
        ("INSERT INTO areas VALUES (2, NULL)", "SQLITE_CONSTRAINT_NOTNULL"),
        ("INSERT INTO areas VALUES (2, x'00')", "SQLITE_CONSTRAINT_DATATYPE"),
        ("INSERT INTO devices VALUES (1, 11, NULL)", "SQLITE_CONSTRAINT_CHECK"),
        ("INSERT INTO devices VALUES (1, 1, 99)", "SQLITE_CONSTRAINT_FOREIGNKEY"),
        ("INSERT INTO areas VALUES ('no number', 'Hall')", "SQLITE_MISMATCH"),
    ],
)
def test_a_broken_constraint_is_an_integrity_error_with_its_kind(connection: dbapi.Connection, statement: str, name: str) -> None:
    connection.execute("INSERT INTO areas VALUES (1, 'Attic')")

    assert error_of(connection, statement) == ("IntegrityError", name)


def test_a_lock_that_another_connection_holds_is_busy(connection: dbapi.Connection, second: dbapi.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")

    assert error_of(second, "BEGIN IMMEDIATE") == ("OperationalError", "SQLITE_BUSY")


def test_writing_on_an_outdated_snapshot_is_busy_snapshot(connection: dbapi.Connection, second: dbapi.Connection) -> None:
    second.execute("BEGIN")
    names(second)
    connection.execute("INSERT INTO areas(name) VALUES ('a')")

    assert error_of(second, "INSERT INTO areas(name) VALUES ('b')") == ("OperationalError", "SQLITE_BUSY_SNAPSHOT")


ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT "


@pytest.mark.parametrize("columns", ["max(i) FROM n", "i FROM n WHERE i IN (1, 10000000000)"], ids=["execute", "fetch"])
def test_an_interrupted_query_says_so(connection: dbapi.Connection, columns: str) -> None:
    threading.Timer(0.05, connection.driver.interrupt).start()

    assert error_of(connection, ENDLESS + columns) == ("OperationalError", "SQLITE_INTERRUPT")


def test_a_reader_cannot_write(connection: dbapi.Connection, file: str) -> None:
    assert connection
    reader = dbapi.connect(file, options=Options(query_only=True))

    assert error_of(reader, "DELETE FROM areas") == ("OperationalError", "SQLITE_READONLY")
    assert reader.begin == "BEGIN"
    reader.close()


@pytest.mark.parametrize(
    ("statement", "parameters", "expected"),
    [
        ("SELEC 1", (), ("OperationalError", "SQLITE_ERROR")),
        ("SELECT * FROM nowhere", (), ("OperationalError", "SQLITE_ERROR")),
        ('SELECT "typo" FROM areas', (), ("OperationalError", "SQLITE_ERROR")),
        ("SELECT ?", ({1},), ("ProgrammingError", "")),
        ("SELECT ?", (1, 2), ("ProgrammingError", "")),
        ("SELECT ?", (), ("ProgrammingError", "")),
        ("SELECT :a", {"b": 1}, ("ProgrammingError", "")),
        ("SELECT 1\0", (), ("ProgrammingError", "")),
        ("SELECT ?", (1 << 63,), ("DataError", "")),
        ("SELECT ?", ("\ud800",), ("DataError", "")),
        ("SELECT randomblob(1 << 31)", (), ("DataError", "SQLITE_TOOBIG")),
    ],
)
def test_wrong_statements_and_parameters_have_their_class(
    connection: dbapi.Connection, statement: str, parameters: Any, expected: tuple[str, str]
) -> None:
    assert error_of(connection, statement, parameters) == expected


def test_a_deferred_foreign_key_fails_the_commit_and_can_be_rolled_back(connection: dbapi.Connection) -> None:
    connection.execute("PRAGMA defer_foreign_keys = 1")
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("PRAGMA defer_foreign_keys = 1")
    connection.execute("INSERT INTO devices VALUES (1, 1, 99)")

    with pytest.raises(dbapi.IntegrityError) as caught:
        connection.commit()
    assert caught.value.sqlite_errorname == "SQLITE_CONSTRAINT_FOREIGNKEY"
    connection.rollback()
    assert not connection.in_transaction


# The dialect


def test_every_feature_of_the_library_is_on(engine: Engine) -> None:
    with engine.connect():
        dialect = engine.dialect
    assert dialect.server_version_info is not None
    assert dialect.server_version_info >= (3, 54)
    assert (dialect.insert_returning, dialect.supports_statement_cache, dialect.driver) == (True, True, "apsw")


def test_a_file_gets_a_queue_of_connections_and_memory_one_for_each_thread(engine: Engine) -> None:
    assert isinstance(engine.pool, pool.QueuePool)
    for url in ("sqlite+apsw://", "sqlite+apsw:///:memory:"):
        in_memory = create_engine(url)
        assert isinstance(in_memory.pool, pool.SingletonThreadPool)
        in_memory.dispose()


def test_options_come_from_the_url_and_from_connect_args(file: str) -> None:
    url = f"sqlite+apsw:///{file}?synchronous=normal&query_only=1&busy_timeout_s=5&cache_kib=100&foreign_keys=no"
    [path], arguments = ApswDialect().create_connect_args(create_engine(url).url)

    assert path == file
    assert arguments["options"] == Options(
        synchronous="NORMAL", query_only=True, busy_timeout_s=5, cache_kib=100, foreign_keys=False
    )
    reader = create_engine(f"sqlite+apsw:///{file}", connect_args={"options": Options(query_only=True)})
    with reader.connect() as connection:
        assert connection.execute(text("PRAGMA query_only")).scalar() == 1
    reader.dispose()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("sqlite+apsw:///x.db?timeout=5", "no option timeout .*busy_timeout_s"),
        ("sqlite+apsw:///x.db?synchronous=OFF", "synchronous=OFF .*FULL or NORMAL"),
        ("sqlite+apsw:///x.db?cache_kib=much", "cache_kib=much .*whole number"),
        ("sqlite+apsw:///x.db?query_only=perhaps", "query_only=perhaps .*1 or 0"),
        ("sqlite+apsw://host/x.db", "no host"),
    ],
)
def test_a_url_that_means_nothing_is_refused(url: str, message: str) -> None:
    with pytest.raises(exc.ArgumentError, match=message):
        create_engine(url)


def test_a_transaction_begins_with_the_write_lock_and_a_reader_without(engine: Engine, file: str) -> None:
    reader = create_engine(f"sqlite+apsw:///{file}?query_only=1")
    with engine.connect() as writing, reader.connect() as reading:
        writing.execute(select(counters))
        reading.execute(select(counters)).all()
        assert (driver(writing).txn_state("main"), driver(reading).txn_state("main")) == (2, 1)
    reader.dispose()


def driver(connection: Any) -> Any:
    return connection.connection.dbapi_connection.driver


def test_a_begin_that_meets_a_lock_can_be_tried_again(engine: Engine, file: str) -> None:
    impatient = create_engine(f"sqlite+apsw:///{file}?busy_timeout_s=0")
    with impatient.connect() as second:
        with engine.begin() as first:
            first.execute(update(counters).values(n=1))
            with pytest.raises(exc.OperationalError) as caught:
                second.execute(select(counters))
        assert isinstance(caught.value.orig, dbapi.OperationalError)
        assert caught.value.orig.sqlite_errorname == "SQLITE_BUSY"
        assert second.execute(select(counters.c.n)).scalar() == 1
    impatient.dispose()


def test_no_update_is_lost_between_threads_that_read_and_then_write(engine: Engine) -> None:
    def increment(_: int) -> None:
        with engine.begin() as connection:
            n = connection.execute(select(counters.c.n)).scalar_one()
            connection.execute(update(counters).values(n=n + 1))

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(increment, range(200)))

    with engine.connect() as connection:
        assert connection.execute(select(counters.c.n)).scalar() == 200


def test_savepoints_undo_only_their_own_work(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(insert(counters).values(name="kept", n=1))
        savepoint = connection.begin_nested()
        connection.execute(insert(counters).values(name="undone", n=1))
        with pytest.raises(exc.IntegrityError):
            connection.execute(insert(counters).values(name="a", n=1))
        savepoint.rollback()
        connection.execute(insert(counters).values(name="after", n=1))

    with engine.connect() as connection:
        assert connection.execute(select(counters.c.name).order_by("name")).scalars().all() == ["a", "after", "kept"]


def test_autocommit_commits_each_statement_and_ends_with_the_connection(engine: Engine) -> None:
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(update(counters).values(n=5))
        assert not driver(connection).in_transaction
        assert connection.get_isolation_level() == "AUTOCOMMIT"
        connection.rollback()

    with engine.connect() as connection:
        assert connection.execute(select(counters.c.n)).scalar() == 5
        assert driver(connection).in_transaction


def test_a_session_keeps_text_bytes_times_and_nulls(engine: Engine) -> None:
    with Session(engine) as session, session.begin():
        session.add_all(
            [
                Note(title="Küche 🏠", body=b"\0\xff", written_at=NOW, level=-(1 << 63)),
                Note(title="", body=b"", written_at=None, level=None),
            ]
        )

    with Session(engine) as session:
        notes = session.scalars(select(Note).order_by(Note.note_id)).all()
        kept = [(note.title, note.body, note.written_at, note.level) for note in notes]
    assert kept == [("Küche 🏠", b"\0\xff", NOW, -(1 << 63)), ("", b"", None, None)]


def test_many_inserts_return_their_keys_in_order(engine: Engine) -> None:
    notes = [{"title": f"n{n}", "body": b""} for n in range(3000)]
    with engine.begin() as connection:
        returned = connection.execute(insert(Note).returning(Note.title, sort_by_parameter_order=True), notes)
        assert returned.scalars().all() == [note["title"] for note in notes]
        assert connection.execute(update(Note).values(level=1)).rowcount == 3000


def test_regexp_and_floor_work_and_pass_null_on(engine: Engine) -> None:
    with engine.connect() as connection:
        row = connection.execute(text("SELECT 'zigbee' REGEXP '^z.*e$', 'x' REGEXP 'y', NULL REGEXP 'y', floor(-1.5)")).one()

    assert tuple(row) == (1, 0, None, -2)


def test_a_failing_migration_leaves_nothing(engine: Engine) -> None:
    def migrate(context: MigrationContext) -> None:
        operations = Operations(context)
        with context.begin_transaction():
            operations.create_table("made", Column("a", Integer))
            operations.add_column("counters", Column("added", Integer))
            operations.execute("INSERT INTO nowhere VALUES (1)")

    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"transactional_ddl": True})
        with pytest.raises(exc.OperationalError, match="nowhere"):
            migrate(context)

    assert not inspect(engine).has_table("made")
    assert [column["name"] for column in inspect(engine).get_columns("counters")] == ["name", "n"]


def test_a_connection_closed_underneath_is_replaced(engine: Engine) -> None:
    with engine.connect() as connection:
        driver(connection).close()
        with pytest.raises(exc.DBAPIError) as caught:
            connection.execute(select(counters))
        assert caught.value.connection_invalidated

    with engine.connect() as connection:
        assert connection.execute(select(counters.c.n)).scalar() == 0


def test_a_connection_may_be_used_by_one_thread_after_another(engine: Engine) -> None:
    opened = []
    event.listen(engine, "connect", lambda *_: opened.append(1))
    engine.dispose()

    for _ in range(5):
        with ThreadPoolExecutor(1) as thread:
            assert thread.submit(lambda: inspect(engine).has_table("counters")).result()
    assert len(opened) == 1
