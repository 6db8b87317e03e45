"""Alembic on SQLite: tables that are rebuilt, migrations that stop half way, and processes that start at one instant."""

import shutil
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from alembic import command
from alembic.config import Config
from bench.processes import REPOSITORY
from sqlalchemy import Connection, create_engine, inspect, text
from sqlalchemy.exc import SQLAlchemyError

from homedex.errors import HomedexError, MigrationFailed
from homedex.storage import upgrade
from proof import recipe
from proof.child import DATABASE
from proof.fault import Fault, Seen

CHILDREN = 100
PROCESSES, ROUNDS = 4, 3

TABLES = f"""
op.create_table(
    "devices", sa.Column("device_id", sa.Text, primary_key=True), sa.Column("name", sa.Text), sa.Column("readings", sa.Integer)
)
op.create_table(
    "entities",
    sa.Column("entity_id", sa.Text, primary_key=True),
    sa.Column("device_id", sa.Text, sa.ForeignKey("devices.device_id", ondelete="CASCADE", name="fk_device")),
)
op.execute("INSERT INTO devices VALUES ('lamp', 'Lamp', 0)")
for number in range({CHILDREN}):
    op.execute(f"INSERT INTO entities VALUES ('light.{{number}}', 'lamp')")
"""
REBUILD = """
with op.batch_alter_table("devices") as batch:
    batch.alter_column("name", nullable=False)
"""
AREAS = """
op.create_table("areas", sa.Column("area_id", sa.Text, primary_key=True))
"""
HALF_WAY = f"""
{AREAS}
op.execute("UPDATE devices SET nosuchcolumn = 1")
"""
HEAD = """
import sqlalchemy as sa
from alembic import op

revision = "{number:04}"
down_revision = {before!r}


def upgrade():
"""


def scripts(folder: Path, side: str, *bodies: str) -> Path:
    """A folder of migrations 0001, 0002, … for one side, written anew."""
    place = folder / "scripts"
    shutil.rmtree(place, ignore_errors=True)
    (place / "versions").mkdir(parents=True)
    shutil.copy(Path(__file__).parent / "envs" / f"{side}.py", place / "env.py")
    for number, body in enumerate(bodies, 1):
        head = HEAD.format(number=number, before=f"{number - 1:04}" if number > 1 else None)
        (place / "versions" / f"{number:04}_step.py").write_text(head + textwrap.indent(body, "    "))
    return place


def upgrade_as_the_recipe(path: Path, place: Path) -> None:
    config = Config()
    config.set_main_option("script_location", str(place))
    config.set_main_option("sqlalchemy.url", str(path))
    command.upgrade(config, "head")


def upgrade_as_ours(path: Path, place: Path) -> None:
    upgrade(str(path), place)


UPGRADES = {"recipe": upgrade_as_the_recipe, "ours": upgrade_as_ours}


@contextmanager
def looked_at(side: str, path: Path) -> Iterator[Connection]:
    """A connection of this side's own library."""
    engine = recipe.make_engine(str(path)) if side == "recipe" else create_engine(f"sqlite+apsw:///{path}")
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


# --- a table is rebuilt ---


def rebuilt_in_the_recipe(folder: Path) -> Seen:
    return _rebuilt("recipe", folder)


def rebuilt_in_ours(folder: Path) -> Seen:
    return _rebuilt("ours", folder)


def _rebuilt(side: str, folder: Path) -> Seen:
    path = folder / DATABASE
    UPGRADES[side](path, scripts(folder, side, TABLES))
    UPGRADES[side](path, scripts(folder, side, TABLES, REBUILD))
    with looked_at(side, path) as connection:
        left = connection.execute(text("SELECT count(*) FROM entities")).scalar_one()
    return Seen(left < CHILDREN, f"{left} of {CHILDREN} rows that point to the rebuilt table are left")


# --- a migration stops half way ---


def half_way_in_the_recipe(folder: Path) -> Seen:
    return _half_way("recipe", folder)


def half_way_in_ours(folder: Path) -> Seen:
    return _half_way("ours", folder)


def _half_way(side: str, folder: Path) -> Seen:
    path = folder / DATABASE
    UPGRADES[side](path, scripts(folder, side, TABLES))
    with suppress(SQLAlchemyError, MigrationFailed):
        UPGRADES[side](path, scripts(folder, side, TABLES, HALF_WAY))
    with looked_at(side, path) as connection:
        half = inspect(connection).has_table("areas")
        revision = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one()
    again = "succeeds"
    try:
        UPGRADES[side](path, scripts(folder, side, TABLES, AREAS))
    except (SQLAlchemyError, MigrationFailed) as error:
        again = f"fails: {getattr(error, 'orig', error)}"
    left = "its first half is left" if half else "nothing of it is left"
    return Seen(half or again != "succeeds", f"after a migration that fails {left}, at revision {revision}; mended, it {again}")


# --- processes start at one instant ---


def race_in_the_recipe(folder: Path) -> Seen:
    return _race("recipe", folder)


def race_in_ours(folder: Path) -> Seen:
    return _race("ours", folder)


def _race(side: str, folder: Path) -> Seen:
    """Have processes that are ready migrate one new file after the other, all at the same instant."""
    place = scripts(folder, side, TABLES, AREAS)
    failed, said = 0, set()
    asked = [sys.executable, "-m", "proof.migrations", side, str(place)]
    with ExitStack() as stack:
        started = [
            stack.enter_context(subprocess.Popen(asked, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
            for _ in range(PROCESSES)
        ]
        pipes = [(one.stdin, one.stdout) for one in started if one.stdin and one.stdout]
        for _, out in pipes:
            out.readline()  # it is ready
        for number in range(ROUNDS):
            at = time.time() + 0.05
            for into, _ in pipes:
                into.write(f"{at} {folder / f'{number}.db'}\n")
                into.flush()
            answers = [out.readline().strip() for _, out in pipes]
            failed += sum(answer != "done" for answer in answers)
            said |= {answer for answer in answers if answer != "done"}
        for into, _ in pipes:
            into.close()
    why = f" ({'; '.join(sorted(said)[:1])})" if said else ""
    return Seen(failed > 0, f"{failed} of {PROCESSES * ROUNDS} starts fail{why}")


def race(side: str, place: Path) -> None:
    """Migrate the files that are named on stdin, each at its instant."""
    print("ready", flush=True)
    for line in sys.stdin:
        at, path = line.split(maxsplit=1)
        while time.time() < float(at):
            pass
        try:
            UPGRADES[side](Path(path.strip()), place)
        except (SQLAlchemyError, HomedexError) as error:
            print(str(getattr(error, "orig", error)).splitlines()[0], flush=True)
        else:
            print("done", flush=True)


BATCH_ALTER = Fault(
    "batch-alter", "A batch ALTER deletes the rows that point to its table.", rebuilt_in_the_recipe, rebuilt_in_ours
)
HALF_MIGRATION = Fault("half-migration", "A migration that fails leaves half a schema.", half_way_in_the_recipe, half_way_in_ours)
START_RACE = Fault(
    "start-race", f"{PROCESSES} processes that start at once migrate against each other.", race_in_the_recipe, race_in_ours
)


if __name__ == "__main__":
    race(sys.argv[1], Path(sys.argv[2]))
