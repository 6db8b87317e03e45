"""What can be saved of a damaged SQLite file, written into a new one. The damaged one is only read.

Rows come from the leaves of each table's tree; from leaves that no tree leads to any more, where their values fit a table; and,
where a row is gone, what indexes have of it. An index that is whole says which rows there were, so what is lost can be counted.
"""

import fcntl
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import apsw

from homedex.errors import Busy, Conflict, NotADatabase, StorageUnavailable
from homedex.storage.migrate import head_revision, refuse_newer, run_alembic, upgrade
from homedex.storage.raw_pages import INDEX_LEAF, TABLE_LEAF, Nonsense, RawPages, Record
from homedex.storage.sqlite import Options, open_connection

Known = dict[str, Any]
Rebuild = Callable[[str, Known], Mapping[str, Any] | None]
"""(table, what is known of a row) -> its columns, as far as they are not null; None where that is too little."""

SHARED_LOCK = (510, 0x40000002)
"""(length, start) of the bytes on which every connection holds a lock (os_unix.c: SHARED_SIZE, SHARED_FIRST)."""
KINDS = {"TEXT": str, "INTEGER": int, "BLOB": bytes, "REAL": float}


class Column(NamedTuple):
    """A column as it is stored."""

    name: str
    kind: type
    required: bool
    is_rowid: bool
    computed: bool


class Index(NamedTuple):
    """An index: its columns, None for the rowid; and whether every row has an entry."""

    root: int
    columns: tuple[str | None, ...]
    of_all: bool


@dataclass
class Source:
    """A table as the damaged file has it; the root is 0 where it is not known."""

    name: str
    root: int
    columns: list[Column]
    indexes: list[Index]
    expected: set[int] = field(default_factory=set)
    counted: bool = False

    def fits(self, row: Record) -> bool:
        """Whether values can be a row of this table."""
        columns = self.columns
        return len(row) <= len(columns) and all(
            value is None if column.is_rowid else not column.required if value is None else _is(value, column.kind)
            for value, column in zip(row, columns, strict=False)
        )


class Saved(NamedTuple):
    """What became of a table's rows.

    Args:
        saved: as they were.
        rebuilt: from what indexes, or rows that point to them, still say.
        lost: known to have been there; `counted` says whether that is all.
    """

    table: str
    saved: int
    rebuilt: int
    lost: int
    counted: bool


@dataclass
class Salvage:
    """What was found and saved."""

    tables: list[Saved]
    bad_pages: int
    header_is_whole: bool
    log_bytes: int
    log_bytes_used: int


class Plan(NamedTuple):
    """What the new file is to be: see `transfer.Shape`; and how rows of which little is known are rebuilt."""

    scripts: Path
    application_id: int
    rebuild: Rebuild


def salvage(old: Path, new: Path, plan: Plan) -> Salvage:
    """Save what can be saved of one file, its log included, into another, which is made at the newest schema. Blocks.

    Raises:
        Conflict: the new file is there already.
        Busy: somebody has the old one open.
        NotADatabase: nothing in it is a table of the schema.
        DatabaseTooNew: its schema is of a newer program.
        StorageUnavailable, StorageFull: one of the two cannot be read or written.
    """
    if new.exists() or new.with_name(f"{new.name}-wal").exists():
        raise Conflict(f"{new} is there already. Name a file that is not; nothing was written.")
    try:
        with _nobody_else(old), RawPages(old) as pages:
            return Rescue(pages, str(old), str(new), plan).run()
    except OSError as error:
        raise StorageUnavailable(f"{error.filename or old}: {error.strerror}.") from error


@contextmanager
def _nobody_else(path: Path) -> Iterator[None]:
    """Hold off whoever would open the file meanwhile, as far as it may be locked by this user."""
    try:
        file = path.open("r+b")
    except PermissionError:
        yield
        return
    with file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, *SHARED_LOCK)
        except BlockingIOError:
            raise Busy(f"{path} is open in another process. Stop the service first; nothing was written.") from None
        yield


class Rescue:
    """One salvage."""

    def __init__(self, pages: RawPages, old: str, new: str, plan: Plan) -> None:
        self.pages, self.old, self.new, self.plan = pages, old, new, plan
        self.visited: set[int] = set()
        self.bad: set[int] = set()
        self.dropped = Counter[str]()

    def run(self) -> Salvage:
        """Make the new file."""
        entries = self._schema_entries()
        roots = {str(entry[1]): int(entry[3]) for entry in entries if isinstance(entry[3], int)}
        revision = self._revision(roots.get("alembic_version", 0))
        run_alembic(
            self.new,
            self.plan.scripts,
            lambda command, config: command.upgrade(config, revision),
            application_id=self.plan.application_id,
        )
        connection = open_connection(self.new, Options(foreign_keys=False, application_id=self.plan.application_id))
        try:
            with connection:
                saved = self._fill(connection, entries, roots)
        finally:
            connection.close()
        upgrade(self.new, self.plan.scripts, application_id=self.plan.application_id)
        pages = self.pages
        return Salvage(saved, len(self.bad), pages.header_is_whole, pages.log_bytes, pages.log_bytes_used)

    def _schema_entries(self) -> list[Record]:
        """What is left of sqlite_schema: (type, name, table, root, SQL)."""
        found = [row for _, row in self._rows_below(1, self.visited) if _is_schema(row)]
        if self.bad:  # the rest of it may be anywhere
            free = self.pages.free()
            for number in range(2, self.pages.count + 1):
                if number not in free and number not in self.visited and self._kind(number) == TABLE_LEAF:
                    rows = [row[1] for row in self.pages.rows(number) if row is not None] if self._is_readable(number) else []
                    if rows and all(map(_is_schema, rows)):
                        self.visited.add(number)
                        found += rows
        return found

    def _revision(self, root: int) -> str:
        """The schema that the rows are of: the one that the file says, else the newest."""
        said = next((row[0] for _, row in self._rows_below(root, set()) if row and isinstance(row[0], str)), None) if root else None
        refuse_newer(self.old, said, self.plan.scripts)
        return said or head_revision(self.plan.scripts)

    def _fill(self, connection: apsw.Connection, entries: list[Record], roots: dict[str, int]) -> list[Saved]:
        old = apsw.Connection(":memory:")
        for entry in sorted(entries, key=lambda entry: entry[0] != "table"):
            _try(old, entry[4])
        names = [
            row[1]
            for row in connection.execute("PRAGMA table_list")
            if row[2] == "table" and not row[1].startswith("sqlite_") and row[1] != "alembic_version"
        ]
        sources = [_source(name, old if old.table_exists("main", name) else connection, roots) for name in names]
        old.close()
        for source in sources:
            self._expect(source)
        for source in sources:
            if source.root:
                self._insert(connection, source, self._rows_below(source.root, self.visited))
        if self.bad or not all(source.root for source in sources):
            self._insert_strays(connection, sources)
        saved = {source.name: _count(connection, source.name) for source in sources}
        if not any(saved.values()) and not any(source.root for source in sources):
            raise NotADatabase("no table of a registry could be found in the file.")
        for source in sources:
            self._rebuild(connection, source)
        self._mend_references(connection)
        _keep_numbers(connection, sources)
        return [_saved(connection, source, saved[source.name] - self.dropped[source.name]) for source in sources]

    def _expect(self, source: Source) -> None:
        """Learn from its indexes which rows a table had."""
        for index in source.indexes:
            if index.of_all:
                before = len(self.bad)
                rowids = {entry[-1] for entry in self._entries_below(index) if isinstance(entry[-1], int)}
                if len(self.bad) == before:
                    source.expected, source.counted = rowids, True
                    return
                source.expected |= rowids

    def _insert(self, connection: apsw.Connection, source: Source, rows: Iterator[tuple[int, Record]]) -> None:
        stored = [place for place, column in enumerate(source.columns) if not column.computed and not column.is_rowid]
        names = ", ".join(["rowid", *(source.columns[place].name for place in stored)])
        marks = ", ".join("?" * (len(stored) + 1))
        values = (
            (rowid, *(row[place] if place < len(row) else None for place in stored)) for rowid, row in rows if source.fits(row)
        )
        connection.executemany(f"INSERT OR IGNORE INTO {source.name} ({names}) VALUES ({marks})", values)  # noqa: S608  (our schema)

    def _insert_strays(self, connection: apsw.Connection, sources: list[Source]) -> None:
        """Leaves to which no tree leads, and that were not freed: to the table whose rows theirs can be."""
        free = self.pages.free()
        for number in range(2, self.pages.count + 1):
            if number in self.visited or number in free or self._kind(number) != TABLE_LEAF or not self._is_readable(number):
                continue
            rows = [row for row in self.pages.rows(number) if row is not None]
            for source in sources:
                if rows and all(source.fits(row) for _, row in rows):
                    there = (row for row in rows if not source.counted or row[0] in source.expected)  # else it was deleted
                    self._insert(connection, source, there)
                    break

    def _rebuild(self, connection: apsw.Connection, source: Source) -> None:
        there = {row[0] for row in connection.execute(f"SELECT rowid FROM {source.name}")}  # noqa: S608
        known: dict[int, Known] = {rowid: {} for rowid in source.expected - there}
        if not known:
            return
        for index in source.indexes:
            for entry in self._entries_below(index):
                if entry[-1] in known:
                    names = zip(index.columns, entry, strict=False)
                    known[entry[-1]] |= {name: value for name, value in names if name is not None}
        rowid_name = next((column.name for column in source.columns if column.is_rowid), "rowid")
        for rowid, values in sorted(known.items()):
            self._insert_rebuilt(connection, source.name, {**values, rowid_name: rowid})

    def _insert_rebuilt(self, connection: apsw.Connection, table: str, known: Known) -> bool:
        row = self.plan.rebuild(table, known)
        if row is None:
            return False
        columns = [column.name for column in _columns(connection, table) if not column.computed and column.name in row]
        names, marks = ", ".join(columns), ", ".join("?" * len(columns))
        connection.execute(
            f"INSERT OR IGNORE INTO {table} ({names}) VALUES ({marks})",  # noqa: S608
            [row[name] for name in columns],
        )
        return connection.changes() == 1

    def _mend_references(self, connection: apsw.Connection) -> None:
        """Rebuild what rows point to and is gone; what cannot be rebuilt takes them along."""
        while broken := connection.execute("PRAGMA foreign_key_check").fetchall():
            for table, rowid, parent, number in broken:
                links = [row for row in connection.execute(f"PRAGMA foreign_key_list({table})") if row[0] == number]
                row = next(connection.execute(f"SELECT * FROM {table} WHERE rowid = ?", (rowid,)), None)  # noqa: S608
                if row is None:
                    continue
                child = dict(zip([column.name for column in _columns(connection, str(table))], row, strict=True))
                key = {str(link[4]): child[str(link[3])] for link in links}
                shared = {"source_id": child["source_id"]} if child.get("source_id") else {}
                if not self._insert_rebuilt(connection, str(parent), shared | key) and _is_missing(connection, str(parent), key):
                    connection.execute(f"DELETE FROM {table} WHERE rowid = ?", (rowid,))  # noqa: S608
                    self.dropped[str(table)] += 1

    def _rows_below(self, root: int, visited: set[int]) -> Iterator[tuple[int, Record]]:
        for number in self._leaves(root, TABLE_LEAF, visited):
            for row in self.pages.rows(number):
                if row is None:
                    self.bad.add(number)
                else:
                    yield row

    def _entries_below(self, index: Index) -> Iterator[Record]:
        for number in self._leaves(index.root, INDEX_LEAF, set(), interior=True):
            for entry in self.pages.entries(number):
                if entry is None or len(entry) != len(index.columns):
                    self.bad.add(number)
                else:
                    yield entry

    def _leaves(self, root: int, kind: int, visited: set[int], *, interior: bool = False) -> Iterator[int]:
        """The leaves of a tree, in order; with `interior` every page of it."""
        waiting = [root]
        while waiting:
            number = waiting.pop()
            if number in visited:
                continue
            visited.add(number)
            try:
                if self.pages.kind(number) == kind:
                    if self._is_readable(number):
                        yield number
                    continue
                below = self.pages.children(number)
                if kind == TABLE_LEAF or interior:
                    waiting += reversed(below)
                if interior:
                    yield number
            except (Nonsense, IndexError):
                self.bad.add(number)

    def _is_readable(self, number: int) -> bool:
        try:
            for _ in self.pages.rows(number) if self.pages.kind(number) == TABLE_LEAF else self.pages.entries(number):
                break
        except Nonsense:
            self.bad.add(number)
            return False
        return True

    def _kind(self, number: int) -> int:
        try:
            return self.pages.kind(number)
        except Nonsense:
            return 0


def _is(value: Any, kind: type) -> bool:
    """Whether a value is of a column's type; zeros in a text are what is left of a page that was blanked."""
    return isinstance(value, kind) and not (isinstance(value, str) and "\0" in value)


def _is_schema(row: Record) -> bool:
    return len(row) == 5 and row[0] in {"table", "index", "view", "trigger"} and isinstance(row[1], str)  # noqa: PLR2004


def _try(connection: apsw.Connection, sql: Any) -> None:
    if isinstance(sql, str):
        try:
            connection.execute(sql)
        except apsw.Error:  # a shadow table of a search index, or something damaged: the new schema stands in
            return


def _columns(connection: apsw.Connection, table: str) -> list[Column]:
    rows = connection.execute(f"PRAGMA table_xinfo({table})").fetchall()
    return [
        Column(str(name), KINDS.get(str(kind), object), bool(required), bool(key) and kind == "INTEGER" and keys == 1, hidden == 3)  # noqa: PLR2004
        for keys in [sum(bool(row[5]) for row in rows)]
        for _, name, kind, required, _, key, hidden in rows
        if hidden != 2  # noqa: PLR2004  (computed anew at each read, and not stored)
    ]


def _source(name: str, connection: apsw.Connection, roots: dict[str, int]) -> Source:
    indexes = []
    for _, index, _, _, partial in connection.execute(f"PRAGMA index_list({name})").fetchall():
        columns = tuple(row[2] for row in connection.execute(f"PRAGMA index_xinfo({index})"))
        if index in roots:
            indexes.append(Index(roots[str(index)], columns, not partial))
    return Source(name, roots.get(name, 0), _columns(connection, name), indexes)


def _count(connection: apsw.Connection, table: str) -> int:
    return int(next(connection.execute(f"SELECT count(*) FROM {table}"))[0])  # noqa: S608


def _is_missing(connection: apsw.Connection, table: str, known: Known) -> bool:
    """Whether no row has these values; another one may have been rebuilt for it already."""
    where = " AND ".join(f"{name} = ?" for name in known)
    return next(connection.execute(f"SELECT 1 FROM {table} WHERE {where}", list(known.values())), None) is None  # noqa: S608


def _keep_numbers(connection: apsw.Connection, sources: list[Source]) -> None:
    """Let no number be given out again that a lost row had."""
    for source in sources:
        (schema,) = next(connection.execute("SELECT sql FROM sqlite_schema WHERE name = ?", (source.name,)))
        if source.expected and "AUTOINCREMENT" in schema.upper():
            (given,) = next(connection.execute("SELECT max(seq) FROM sqlite_sequence WHERE name = ?", (source.name,)))
            connection.execute("DELETE FROM sqlite_sequence WHERE name = ?", (source.name,))
            seq = max([given or 0, *source.expected])
            connection.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (source.name, seq))


def _saved(connection: apsw.Connection, source: Source, saved: int) -> Saved:
    there = _count(connection, source.name)  # what was rebuilt for who points to it has another rowid than the one that is missed
    return Saved(source.name, saved, max(0, there - saved), max(0, len(source.expected) - there), source.counted)
