"""What `homedex doctor` finds: each thing that can be wrong is made wrong, and found, beside all that is well."""

import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import apsw
import pytest

import released
from homedex.registry import checkup_place, schema
from homedex.registry.checkup import examine
from homedex.registry.findings import Finding, worst
from homedex.storage.sqlite import open_connection
from servers import Server


@pytest.fixture
def path(tmp_path: Path) -> Path:
    released.load_file(schema.head(), tmp_path / "app.db")
    return tmp_path / "app.db"


def wrong(target: Any) -> dict[str, str]:
    """What is not ok, and how bad it is; each with advice."""
    found = [finding for finding in examine(str(target)) if finding.level != "ok"]
    assert all(finding.advice for finding in found)
    return {finding.what: finding.level for finding in found}


def one(target: Any, what: str) -> Finding:
    return next(finding for finding in examine(str(target)) if finding.what == what)


def run(path: Path, *statements: str) -> None:
    """As a program would that knows no rules of ours."""
    connection = apsw.Connection(str(path))
    for statement in statements:
        connection.execute(statement).fetchall()
    connection.close()


def test_a_healthy_file_is_all_well_and_stays_as_it_is(path: Path) -> None:
    before = (path.read_bytes(), path.stat().st_mtime_ns)
    assert wrong(path) == {}
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before
    assert list(path.parent.iterdir()) == [path]
    assert one(path, "holds").found == "13 devices, 10 entities, 2 areas"


def test_what_is_in_the_log_of_a_file_in_use_is_seen(path: Path) -> None:
    connection = open_connection(str(path))
    connection.execute("UPDATE devices SET removed_at = NULL WHERE device_id = 'd01'")
    assert wrong(path) == {"search of devices": "error"}
    assert path.with_name("app.db-wal").stat().st_size > 0
    connection.close()


NEWEST = "'2999-01-01T00:00:00.000000Z'"


@pytest.mark.parametrize(
    ("statements", "what", "level", "said"),
    [
        (["UPDATE alembic_version SET version_num = '0001'"], "schema", "error", "homedex migrate"),
        (["UPDATE alembic_version SET version_num = '9999'"], "schema", "error", "newer version"),
        (["UPDATE entities SET device_id = 'nowhere' WHERE id = 'e03'"], "references", "error", "1 broken"),
        (["DELETE FROM device_search WHERE rowid = 1"], "search of devices", "error", "1 missing, 0 too many"),
        (["UPDATE entities SET removed_at = created_at WHERE id = 'e03'"], "search of entities", "error", "0 missing, 1 too many"),
        (["UPDATE device_search_data SET block = X'00' WHERE id > 100"], "integrity", "error", "device_search"),
        (["UPDATE sqlite_sequence SET seq = 46 WHERE name = 'changes'"], "numbers of changes", "error", "up to 47 of 46"),
        ([f"UPDATE devices SET modified_at = {NEWEST} WHERE number = 1"], "clock", "warning", "devices.modified_at is 2999"),
        ([f"UPDATE changes SET at = {NEWEST} WHERE seq = 47"], "clock", "warning", "changes.at is 2999"),
        (["PRAGMA application_id = 42"], "application_id", "error", "another program's"),
        (["PRAGMA journal_mode = delete"], "journal_mode", "error", "not wal"),
    ],
)
def test_what_is_wrong_in_a_file_is_found_and_nothing_else(
    path: Path, statements: list[str], what: str, level: str, said: str
) -> None:
    run(path, *statements)
    assert wrong(path) == {what: level}
    found = one(path, what)
    assert said in f"{found.found} {found.advice}"


def test_an_old_schema_is_an_error_and_the_rest_is_looked_at(tmp_path: Path) -> None:
    released.load_file("0001", tmp_path / "old.db")
    assert wrong(tmp_path / "old.db") == {"schema": "error"}
    assert "homedex migrate" in one(tmp_path / "old.db", "schema").advice
    assert one(tmp_path / "old.db", "holds").found.startswith("13 devices")


MANY = "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 10001) INSERT INTO changes (at, kind, source_id,"
MANY += " key, action, after, actor) SELECT '2026-01-01T00:00:00.000000Z', 'device', 'home', 'lamp', 'update', '{}', 'api' FROM n"
EMPTY = ["CREATE TABLE x (y)", "INSERT INTO x VALUES (zeroblob(20000000))", "DROP TABLE x"]


@pytest.mark.parametrize(("statements", "what"), [([MANY], "statistics"), (EMPTY, "free pages")])
def test_the_advice_of_a_warning_helps(path: Path, statements: list[str], what: str) -> None:
    run(path, *statements)
    assert wrong(path) == {what: "warning"}
    command = shlex.split(one(path, what).advice.rpartition("python ")[2])
    subprocess.run([sys.executable, *command], check=True, capture_output=True, timeout=30)
    assert wrong(path) == {}


def test_a_log_over_its_limit_is_written_back_unless_a_reader_holds_on_to_it(path: Path) -> None:
    reader, writer = open_connection(str(path)), open_connection(str(path))
    writer.execute("PRAGMA wal_autocheckpoint = 0; CREATE TABLE x (y)").fetchall()
    reader.execute("BEGIN; SELECT count(*) FROM devices").fetchall()
    writer.execute("INSERT INTO x VALUES (zeroblob(70000000))")
    assert "cannot be written back" in one(path, "write-ahead log").found
    reader.execute("ROLLBACK")
    found = one(path, "write-ahead log")
    assert ("written back now" in found.found, found.level) == (True, "warning")
    reader.close()
    writer.close()


def lost_pages(path: Path) -> None:
    """The first pages of some tables are lost."""
    connection = apsw.Connection(str(path))
    lost = ("entities", "areas", "sqlite_sequence", "entity_search_docsize")
    roots: Any = connection.execute(f"SELECT rootpage FROM sqlite_schema WHERE name IN {lost}").fetchall()
    connection.close()
    content = bytearray(path.read_bytes())
    for (root,) in roots:
        content[(root - 1) * 4096 : root * 4096] = bytes(4096)
    path.write_bytes(content)


def of_another_kind(path: Path) -> None:
    path.write_text("dear diary\n" * 1000)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: 5 * 4096])


def gone(path: Path) -> None:
    path.unlink()


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    ("damage", "what", "said"),
    [
        (lost_pages, "integrity", "restore a backup"),
        (cut, "database", "is damaged"),
        (of_another_kind, "database", "is not a SQLite database"),
        (gone, "file", "No such file"),
        (folder, "file", "is no file"),
    ],
)
def test_a_file_that_cannot_be_used_is_a_finding_and_the_others_go_on(
    path: Path, damage: Callable[[Path], None], what: str, said: str
) -> None:
    damage(path)
    assert wrong(path)[what] == "error"
    findings = examine(str(path))
    sentences = [finding.found for finding in findings if finding.level == "error"]
    assert len(set(sentences)) == len(sentences)
    found = {finding.what: finding for finding in findings}
    assert said in f"{found[what].found} {found[what].advice}"
    assert found["SQLite"].level == "ok"
    if damage is lost_pages:
        assert (found["schema"].level, found["search of devices"].level, found["free pages"].level) == ("ok", "ok", "ok")


@pytest.fixture
def reachable() -> Iterator[Path]:
    """A file in a folder that every user can come to."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        released.load_file(schema.head(), Path(folder) / "app.db")
        yield Path(folder) / "app.db"


@pytest.mark.parametrize(("mode", "level"), [(0o600, None), (0o640, None), (0o644, "warning"), (0o646, "error")])
def test_who_else_may_read_or_change_the_file_is_said(reachable: Path, mode: int, level: str | None) -> None:
    reachable.chmod(mode)
    assert wrong(reachable) == ({"rights": level} if level else {})
    reachable.parent.chmod(0o750)
    assert wrong(reachable) == {}


MOUNTS = """\
server:/export /srv nfs4 rw 0 0
/dev/sdb1 /srv/local xfs rw 0 0
user@host: /home/me/my\\040share fuse.sshfs rw 0 0
/dev/sda1 / ext4 rw 0 0
"""


@pytest.mark.parametrize(
    ("file", "kind"),
    [("/var/app.db", "ext4"), ("/srv/app.db", "nfs4"), ("/srv/local/app.db", "xfs"), ("/home/me/my share/app.db", "fuse.sshfs")],
)
def test_the_file_system_is_that_of_the_innermost_mount(
    file: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mounts").write_text(MOUNTS)
    monkeypatch.setattr(checkup_place, "MOUNTS", tmp_path / "mounts")
    found = checkup_place.file_system(Path(file))
    assert (found.found, found.level) == (kind, "warning" if kind in {"nfs4", "fuse.sshfs"} else "ok")


def test_the_worst_finding_counts() -> None:
    warning, error = Finding("a", "b", "warning", "c"), Finding("a", "b", "error", "c")
    assert [worst(some) for some in ([], [warning], [warning, error, Finding("a", "b")])] == ["ok", "warning", "error"]


# --- on a server -----------------------------------------------------------------------------------------------------------------

UNSAFE = {"fsync": "error", "full_page_writes": "error"}
"""Which the server of these tests is set to, for speed."""


@pytest.mark.parametrize(
    ("statement", "what", "level", "said"),
    [
        ("SELECT 1", None, "ok", ""),
        ("DELETE FROM alembic_version", "schema", "error", "homedex migrate"),
        ("DELETE FROM device_search WHERE rowid = 1", "search of devices", "error", "1 missing"),
        ("UPDATE entities SET removed_at = now() WHERE id = 'e03'", "search of entities", "error", "1 too many"),
        (f"UPDATE areas SET modified_at = {NEWEST}", "clock", "warning", "areas.modified_at is 2999"),
        ("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'ix_devices_name'::regclass", "indexes", "error", "REINDEX"),
        (
            "INSERT INTO changes SELECT i, now(), 'area', 'h', 'l', 'update', NULL, '{}', 'api' FROM generate_series(48, 11000) i",
            "statistics",
            "warning",
            "missing of changes",
        ),
    ],
)
def test_what_is_wrong_on_a_server_is_found_and_nothing_else(
    postgresql: Server, statement: str, what: str | None, level: str, said: str
) -> None:
    with postgresql.database() as url:
        released.load_server(schema.head(), url)
        postgresql.execute(statement, name=urlsplit(url).path.removeprefix("/"))
        assert wrong(url) == UNSAFE | ({what: level} if what else {})
        found = one(url, what or "holds")
        assert said in f"{found.found} {found.advice}"


def test_a_server_that_cannot_be_reached_is_a_finding(tmp_path: Path) -> None:
    assert wrong("postgresql://me:secret@127.0.0.1:1/homedex") == {"database": "error"}
    assert "secret" not in str(examine("postgresql://me:secret@127.0.0.1:1/homedex"))
    assert list(tmp_path.iterdir()) == []
