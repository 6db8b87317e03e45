"""docs/fastapi-on-sqlite.md, followed to the letter: its files in an empty folder, its commands, on both engines."""

import difflib
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import MetaData

from documents import blocks, write
from homedex.storage import BackupFolder, Shape, open_connection, restore_backup
from ports import free_port

REPOSITORY = Path(__file__).parents[2]
PAGE, EXAMPLE = REPOSITORY / "docs" / "fastapi-on-sqlite.md", REPOSITORY / "examples" / "own_models"
LAMP = {"name": "Lamp", "area": None, "entity_ids": ["light.lamp"]}


class App:
    """The application, served by `uvicorn main:app` in a process of its own."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder, self.port = folder, free_port()
        kept = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
        command = [sys.executable, "-m", "uvicorn", "main:app", "--port", str(self.port)]
        with (folder / "said.txt").open("ab") as said:
            self.process = subprocess.Popen(command, cwd=folder, env=kept | environment, stdout=said, stderr=said)

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        data = None if body is None else json.dumps(body).encode()
        headers = {"content-type": "application/json"}
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read() or b"null")


@contextmanager
def served(folder: Path, **environment: str) -> Iterator[App]:
    app = App(folder, **environment)
    try:
        for _ in range(400):
            try:
                app.ask("GET", "/devices/0")
                break
            except (urllib.error.URLError, ConnectionError):
                assert app.process.poll() is None, (folder / "said.txt").read_text()
                time.sleep(0.05)
        yield app
    finally:
        app.process.send_signal(signal.SIGTERM)
        app.process.wait(20)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder, and in it what the page has."""
    made = tmp_path / "own"
    made.mkdir()
    write(blocks(PAGE), made)
    return made


def two_sides(name: str) -> tuple[str, str]:
    """The file before and after the change that the page shows."""
    (found,) = [block.text for block in blocks(PAGE) if block.language == "diff" and f"+++ {name}\n" in block.text]
    lines = found.splitlines(keepends=True)[3:]
    return tuple("".join(line[1:] for line in lines if line[0] in f" {sign}") for sign in "-+")  # type: ignore[return-value]


def test_the_files_of_the_page_are_those_of_the_example() -> None:
    on_page = {block.filename: block.text for block in blocks(PAGE) if block.filename}
    files = [file for file in EXAMPLE.rglob("*") if file.suffix in {".py", ".ini", ".mako"}]
    of_example = {str(file.relative_to(EXAMPLE)): file.read_text() for file in files}
    assert on_page.items() >= of_example.items()
    assert on_page.keys() - of_example.keys() == {"migrations/versions/0002_times.py"}
    assert sum(len(text.splitlines()) for name, text in of_example.items() if name.endswith(".py")) < 120


@pytest.mark.parametrize("name", ["models.py", "main.py"])
def test_the_change_that_the_page_shows_leads_to_its_files(name: str) -> None:
    before, after = two_sides(name)
    assert after == (EXAMPLE / name).read_text()
    shown = difflib.unified_diff(before.splitlines(), after.splitlines(), f"recipe/{name}", name, lineterm="", n=10_000)
    assert "\n".join(shown) in PAGE.read_text()


def test_it_lists_gets_creates_and_updates(folder: Path, empty: str) -> None:
    url = empty if empty.startswith("postgresql") else f"sqlite:///{folder}/app.db"
    with served(folder, DATABASE_URL=url) as app:
        status, lamp = app.ask("POST", "/devices", LAMP)
        assert (status, lamp) == (201, LAMP | {"id": lamp["id"], "updated_at": lamp["updated_at"]})
        assert re.fullmatch(r"\d{4}-.*(Z|\+00:00)", lamp["updated_at"])
        assert app.ask("GET", "/devices") == (200, [lamp])
        assert app.ask("GET", f"/devices/{lamp['id']}") == (200, lamp)
        status, moved = app.ask("PATCH", f"/devices/{lamp['id']}?area=hall")
        assert (status, moved["area"]) == (200, "hall")
        assert moved["updated_at"] > lamp["updated_at"]
        assert app.ask("GET", "/devices/404")[0] == 404
        assert app.ask("GET", f"/devices/{10**20}")[0] == 422
        assert app.ask("POST", "/devices", LAMP)[0] == 409
        assert app.ask("POST", "/devices", {"name": "Switch", "entity_ids": ["light.lamp"]})[0] == 409  # nor half of it
        assert [one["name"] for one in app.ask("GET", "/devices")[1]] == ["Lamp"]
        assert app.ask("POST", "/backups")[0] == 201
    with served(folder, DATABASE_URL=url) as app:
        assert app.ask("GET", "/devices") == (200, [moved])


@pytest.mark.sqlite
def test_its_backup_is_what_it_was(folder: Path, tmp_path: Path) -> None:
    with served(folder) as app:
        app.ask("POST", "/devices", LAMP)
        status, name = app.ask("POST", "/backups")
    assert status == 201
    backup = BackupFolder(folder / "backups").get(name)
    restored = restore_backup(backup.path, str(tmp_path / "copy.db"), Shape(MetaData(), folder / "migrations"))
    assert restored.schema == "0002"
    connection = open_connection(str(tmp_path / "copy.db"))
    assert connection.execute("SELECT name FROM devices").fetchall() == [("Lamp",)]
    connection.close()


@pytest.mark.sqlite
def test_models_and_migrations_agree_and_a_change_of_the_models_is_one_command(folder: Path) -> None:
    def alembic(*words: str) -> None:
        subprocess.run([sys.executable, "-m", "alembic", *words], cwd=folder, check=True, capture_output=True, timeout=60)

    alembic("upgrade", "head")
    alembic("check")
    models = (folder / "models.py").read_text()
    (folder / "models.py").write_text(models.replace("    area:", "    seen_at: Mapped[datetime | None]\n    area:"))
    alembic("revision", "--autogenerate", "-m", "what_changed", "--rev-id", "0003")
    assert 'sa.Column("seen_at"' in (folder / "migrations" / "versions" / "0003_what_changed.py").read_text().replace("'", '"')
    alembic("upgrade", "head")
    alembic("check")


@pytest.mark.sqlite
@pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow")
def test_the_recipes_application_with_its_rows_becomes_ours(folder: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe"
    recipe.mkdir()
    for name in ("models.py", "main.py"):
        (recipe / name).write_text(two_sides(name)[0])
    with served(recipe) as app:
        status, lamp = app.ask("POST", "/devices", LAMP)
        assert status == 201
        assert app.ask("POST", "/backups")[0] == 201
    for file in recipe.glob("app.db*"):
        (folder / file.name).write_bytes(file.read_bytes())
    subprocess.run([sys.executable, "-m", "alembic", "stamp", "0001"], cwd=folder, check=True, capture_output=True, timeout=60)
    with served(folder) as app:
        (found,) = app.ask("GET", "/devices")[1]
        assert found == lamp | {"updated_at": f"{lamp['updated_at']}Z"}
        assert app.ask("PATCH", "/devices/1?area=hall")[0] == 200


@pytest.mark.sqlite
def test_rows_of_the_recipe_that_point_nowhere_are_named_and_nothing_is_changed(folder: Path) -> None:
    with served(folder):
        pass
    connection = sqlite3.connect(folder / "app.db")  # which enforces no foreign keys
    connection.execute("INSERT INTO entities VALUES ('light.lost', 404)")
    connection.execute("UPDATE alembic_version SET version_num = '0001'")
    connection.commit()
    connection.close()
    app = App(folder)
    app.process.wait(20)
    assert app.process.returncode != 0
    assert "would leave rows that point nowhere (entities row 1 -> devices)" in (folder / "said.txt").read_text()
