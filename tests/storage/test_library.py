"""The storage room as a stranger uses it: models, migrations and backups of a program that knows nothing of Homedex."""

import ast
import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from importlib import import_module
from pathlib import Path
from subprocess import PIPE, STDOUT

import pytest
from sqlalchemy import Boolean, Column, Connection, Enum, Float, MetaData, String, Table

import homedex.storage
from documents import blocks, write
from homedex.errors import BadSetting, BadSource, Busy, DatabaseTooNew, ForeignDatabase, StorageUnavailable
from homedex.storage import BackupFolder, Database, Options, Shape, create_backup, open_connection, restore_backup, upgrade
from homedex.storage.looking import look
from homedex.storage.migrate import known_revisions
from servers import Server
from strangers import strangers

PAGE = Path(__file__).parents[2] / "docs" / "storage.md"
BIN = Path(sys.executable).parent
SAY = "import json, sys; print(json.dumps([*sys.modules]))"
NAMES = ", ".join(homedex.storage.__all__)


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of the program that docs/storage.md shows, and the one that is worked in."""
    write(blocks(PAGE), tmp_path)
    (tmp_path / "data").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name in [name for name in sys.modules if name.split(".")[0] == "app"]:
        del sys.modules[name]


def models() -> MetaData:
    found: MetaData = import_module("app.models").Base.metadata
    return found


def alembic(*arguments: str) -> tuple[int, str]:
    """How the command `alembic` ended, and what it said."""
    done = subprocess.run([BIN / "alembic", *arguments], check=False, stdout=PIPE, stderr=STDOUT, text=True)
    return done.returncode, done.stdout


def loaded(code: str) -> list[str]:
    """The modules that a fresh process has after running some code."""
    done = subprocess.run([sys.executable, "-W", "error", "-c", f"{code}\n{SAY}"], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found: list[str] = json.loads(done.stdout.splitlines()[-1])
    return found


# --- the door ---


def test_the_three_lists_of_public_names_agree() -> None:
    tree = ast.parse(Path(homedex.storage.__file__).read_text())
    typed = next(node.body for node in tree.body if isinstance(node, ast.If))
    aliases = [(node.module, one) for node in typed if isinstance(node, ast.ImportFrom) for one in node.names]
    imports = {one.asname or one.name: f"{module}:{one.name}" for module, one in aliases}
    places = {
        name: "homedex.storage.{}:{}".format(*(*place.split(":"), name)[:2]) for name, place in homedex.storage._PLACES.items()
    }
    assert imports == places
    assert list(places) == homedex.storage.__all__ == dir(homedex.storage) == sorted(places)


def test_a_name_that_is_not_public_is_not_there() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = homedex.storage.Nothing


def test_the_door_alone_costs_nothing() -> None:
    assert [name for name in loaded("import homedex.storage") if name.split(".")[0] in {"sqlalchemy", "apsw"}] == []


def test_no_public_name_needs_the_service_nor_what_is_not_used_yet() -> None:
    assert strangers(loaded(f"from homedex.storage import {NAMES}"), ["alembic", "asyncpg", "mako"]) == []


USE = """
import asyncio
from pathlib import Path
from subprocess import PIPE, STDOUT
from app.models import Base, Device
from homedex.storage import *
from sqlalchemy import insert, select

def add(connection):
    connection.execute(insert(Device).values(device_id="lamp", name="Lamp"))
    return connection.scalars(json_array(select(json_row(Device.device_id).label("it")))).one()

async def work():
    async with Database.open(target_of("sqlite:///data/app.db")) as database:
        assert await database.write(add) == '[{"it":{"device_id":"lamp"}}]'

assert upgrade("data/app.db", "migrations") == ("0001", "0001")
asyncio.run(work())
folder, shape = BackupFolder("backups"), Shape(Base.metadata, "migrations")
made = create_backup("data/app.db", folder, shape)
restore_backup(verify_backup(made.backup, folder).path, "data/copy.db", shape)
folder.prune(Keep.parse("3"))
open_connection("data/copy.db", Options(read_only=True)).close()
"""


def test_a_program_whose_schema_is_the_newest_never_imports_alembic(program: Path) -> None:
    upgrade("data/app.db", "migrations")
    assert strangers(loaded(USE), ["alembic", "asyncpg", "mako"]) == []
    assert (program / "data/copy.db").exists()


# --- migrations ---


def test_a_program_begins_with_alembic_init_and_grows(program: Path) -> None:
    shutil.rmtree(program / "migrations")
    assert alembic("init", "migrations")[0] == 0
    write([one for one in blocks(PAGE) if one.filename in {"migrations/env.py", "alembic.ini"}], program)
    assert alembic("revision", "--autogenerate", "-m", "start")[0] == 0
    first = upgrade("data/app.db", Path("migrations"))
    assert alembic("check") == (0, "No new upgrade operations detected.\n")
    with closing(open_connection("data/app.db")) as connection:
        connection.execute("INSERT INTO devices (device_id, name) VALUES ('lamp', 'Lamp')")
        connection.execute("INSERT INTO entities VALUES ('light.lamp', 'lamp', 'light', 0, '{}')")
    source = program / "app" / "models.py"
    column = "number: Mapped[int | None] = mapped_column(unique=True)"  # a constraint: SQLite has to rebuild the table
    source.write_text(source.read_text().replace("name: Mapped[str]", f"name: Mapped[str]\n    {column}"))
    assert "New upgrade operations detected" in alembic("check")[1]
    assert alembic("revision", "--autogenerate", "-m", "models")[0] == 0
    assert upgrade("data/app.db", "migrations")[0] == first[1]
    assert alembic("check")[0] == 0
    assert alembic("current") == (0, f"{known_revisions('migrations')[-1]} (head)\n")
    with closing(open_connection("data/app.db")) as connection:  # the table was rebuilt, and took nothing with it
        assert connection.execute("SELECT device_id FROM entities").fetchall() == [("lamp",)]


def test_the_command_says_what_is_wrong_in_one_line(program: Path) -> None:
    migration = (program / "migrations/versions/0001_start.py").read_text()
    ini = (program / "alembic.ini").read_text()
    (program / "alembic.ini").write_text(ini.replace("sqlite:", "mysql:"))
    assert alembic("current")[1].startswith("FAILED: Bad setting: sqlalchemy.url names mysql")
    (program / "alembic.ini").write_text(ini)
    assert alembic("upgrade", "head", "--sql")[1].startswith("FAILED: Bad setting: --sql")
    (program / "migrations/versions/0001_start.py").write_text(migration.replace('"entities",', '"devices",'))
    code, said = alembic("upgrade", "head")
    assert said.startswith("FAILED: Migration failed: data/app.db keeps the schema it had.")
    assert (code, said.count("\n")) == (255, 1)


def test_the_command_marks_the_file_and_leaves_those_of_others_alone(program: Path) -> None:
    env = program / "migrations/env.py"
    env.write_text(env.read_text().replace("metadata)", "metadata, url='sqlite:///data/other.db', application_id=77)"))
    assert alembic("upgrade", "head") == (0, "")
    with closing(open_connection("data/other.db")) as connection:
        assert connection.pragma("application_id") == 77
        connection.pragma("application_id", 78)
    assert "belongs to another program" in alembic("current")[1]


def migrations(folder: Path, **files: str) -> Path:
    (folder / "versions").mkdir(parents=True)
    for name, text in files.items():
        (folder / "versions" / f"{name}.py").write_text(text)
    return folder


def test_revisions_follow_one_another_whatever_their_names(tmp_path: Path) -> None:
    found = migrations(
        tmp_path / "scripts",
        zz="revision = 'f0'\ndown_revision = None",
        aa='revision: str = "9c"\ndown_revision: Union[str, Sequence[str], None] = "f0"  # a remark',
        bb="revision, down_revision = 'a1', 'f0'",
        mm="revision = '33'\ndown_revision = ('9c', 'a1')",
        env="import nothing",
    )
    known = known_revisions(found)
    assert (known[0], set(known[1:3]), known[3]) == ("f0", {"9c", "a1"}, "33")


@pytest.mark.parametrize(
    ("files", "complaint"),
    [
        ({}, "has no migrations"),
        ({"a": "revision = '1'\ndown_revision = None", "b": "revision = '2'\ndown_revision = None"}, "2 newest migrations: 1, 2"),
        ({"a": "revision = '1'\ndown_revision = '0'"}, "has no migration 0"),
        ({"a": "revision = '1'\ndown_revision = '2'", "b": "revision = '2'\ndown_revision = '1'"}, "in a circle"),
        ({"a": "revision = make()\ndown_revision = None"}, "does not say"),
        ({"a": "down_revision = None"}, "does not say"),
    ],
)
def test_a_folder_that_is_no_line_of_migrations_is_refused(tmp_path: Path, files: dict[str, str], complaint: str) -> None:
    with pytest.raises(BadSetting, match=complaint):
        upgrade(str(tmp_path / "app.db"), migrations(tmp_path / "scripts", **files))
    assert not (tmp_path / "app.db").exists()


def test_a_database_of_a_newer_program_is_left_alone(program: Path) -> None:
    upgrade("data/app.db", "migrations")
    file = program / "migrations/versions/0001_start.py"
    file.write_text(file.read_text().replace('revision = "0001"', 'revision = "5e1f"'))
    with pytest.raises(DatabaseTooNew, match="schema 0001"):
        upgrade("data/app.db", "migrations")


# --- databases and backups ---


def test_a_database_is_closed_at_the_end_of_its_block(program: Path) -> None:
    async def work() -> Database:
        async with Database.open("data/app.db") as database:
            await database.write(lambda connection: connection.exec_driver_sql("CREATE TABLE t (x)"))
        with pytest.raises(Busy, match="stopping"):
            await database.read(lambda _: None)
        return database

    asyncio.run(work())
    assert os.listdir(program / "data") == ["app.db"]  # noqa: PTH208  (names are what is wanted)


def test_a_url_where_a_path_is_wanted_is_said_to_be_one(program: Path) -> None:
    with pytest.raises(StorageUnavailable, match=r"is a URL.*target_of"):
        Database.open("sqlite:///data/app.db")
    assert os.listdir(program / "data") == []  # noqa: PTH208


@pytest.mark.usefixtures("program")
def test_a_program_with_a_number_of_its_own_backs_up_its_own_files_alone() -> None:
    folder = BackupFolder("backups")
    ours, others = Shape(models(), "migrations", 77), Shape(models(), "migrations", 78)
    upgrade("data/app.db", "migrations", application_id=77)
    made = create_backup("data/app.db", folder, ours).backup
    with pytest.raises(ForeignDatabase, match="belongs to another program"):
        create_backup("data/app.db", folder, others)
    with pytest.raises(Exception, match="backup of another program"):
        restore_backup(made.path, "data/copy.db", others)
    restore_backup(made.path, "data/copy.db", Shape(models(), "migrations"))  # 0 asks nothing
    with closing(open_connection("data/copy.db", Options(application_id=77))) as connection:
        assert connection.table_exists("main", "devices")


@pytest.mark.parametrize("program_name", ["My App", "", "-x", "7", "../x"])
def test_a_name_that_backups_would_not_be_found_by_is_refused(program_name: str) -> None:
    with pytest.raises(BadSetting, match="cannot begin with"):
        BackupFolder("backups", program_name)


# --- on PostgreSQL ---

MODES = {("off", False), ("eco", True), ("auto", True)}
"""In no order of their letters: PostgreSQL sorts an enum by how it was declared."""

MIGRATION = """
import sqlalchemy as sa
from alembic import op

revision = "5e1f"
down_revision = None


def upgrade():
    op.create_table(
        "modes",
        sa.Column("mode", sa.Enum("off", "eco", "auto", name="mode"), primary_key=True),
        sa.Column("on", sa.Boolean(), nullable=False),
    )
"""


def of_modes(folder: Path) -> MetaData:
    """The metadata of what these migrations make, which are written into the folder."""
    (folder / "migrations/versions/0001_start.py").write_text(MIGRATION)
    metadata = MetaData()
    Table("modes", metadata, Column("mode", Enum("off", "eco", "auto", name="mode"), primary_key=True), Column("on", Boolean))
    return metadata


async def filled(target: str, modes: Table) -> None:
    async with Database.open(target) as database:
        await database.write(lambda connection: connection.execute(modes.insert(), [{"mode": one, "on": on} for one, on in MODES]))


def rows_of_modes(connection: Connection) -> set[tuple[str, bool]]:
    return {(mode, bool(on)) for mode, on in connection.exec_driver_sql('SELECT mode, "on" FROM modes')}


def test_the_same_program_runs_on_postgresql(program: Path, postgresql: Server) -> None:
    metadata = of_modes(program)
    shape, folder = Shape(metadata, "migrations"), BackupFolder("backups")
    with postgresql.database() as target, postgresql.database() as empty:
        assert upgrade(target, "migrations") == (None, "5e1f")
        assert upgrade(target, "migrations") == ("5e1f", "5e1f")  # no number, and no sign of another program
        asyncio.run(filled(target, metadata.tables["modes"]))
        made = create_backup(target, folder, shape).backup
        restore_backup(made.path, "data/copy.db", shape)
        assert restore_backup(made.path, empty, shape).schema == "5e1f"
        assert look(empty, rows_of_modes) == look("data/copy.db", rows_of_modes) == MODES


def test_the_command_works_on_postgresql(program: Path, postgresql: Server) -> None:
    ini = program / "alembic.ini"
    with postgresql.database() as target:
        ini.write_text(ini.read_text().replace("sqlite:///data/app.db", target.replace("%", "%%")))
        assert "Target database is not up to date" in alembic("check")[1]
        assert alembic("upgrade", "head") == (0, "")
        assert alembic("check") == (0, "No new upgrade operations detected.\n")


def test_a_type_that_the_engines_write_differently_is_not_copied(program: Path, postgresql: Server) -> None:
    metadata = MetaData()
    Table("prices", metadata, Column("id", String, primary_key=True), Column("price", Float))
    with postgresql.database() as target, pytest.raises(BadSource, match=r"prices\.price is Float"):
        create_backup(target, BackupFolder("backups"), Shape(metadata, "migrations"))
    assert list((program / "backups").glob("*.zst")) == []
