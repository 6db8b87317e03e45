"""`homedex backup` as a person uses it, on a file and on a server."""

import asyncio
import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from homedex.registry import edits, schema
from homedex.registry.changes import Stamp
from homedex.registry.edits import Edit
from homedex.storage.database import Database
from servers import Server
from service import Service, homedex


@pytest.fixture
def home(registry_file: Path) -> Path:
    put(registry_file, "boiler")
    return registry_file


def put(path: Path, name: str) -> None:
    async def add() -> None:
        database = Database.open(str(path), application_id=schema.APPLICATION_ID)
        await database.write(edits.apply_one, "devices", Edit(name, {"name": name}, "put"), Stamp(datetime.now(UTC), "api"))
        await database.close()

    asyncio.run(add())


def devices(path: Path) -> list[str]:
    said = homedex("devices", "--fields", "device_id", path=path)
    return [json.loads(line)["device_id"] for line in said.stdout.splitlines()]


def test_a_backup_is_made_listed_verified_restored_and_pruned(home: Path, tmp_path: Path) -> None:
    assert "no backup" in homedex("backup", "list", path=home).stderr
    made = homedex("backup", path=home)
    assert made.returncode == 0, made.stderr
    assert "verified" in made.stdout
    file = Path(made.stdout.splitlines()[0])
    assert file.parent == tmp_path / "backups"
    assert "no new copy was made" in homedex("backup", "create", path=home).stdout
    put(home, "lamp")
    assert homedex("backup", "create", "--no-verify", path=home).returncode == 0
    listed = homedex("backup", "list", path=home).stdout.splitlines()
    assert [("never" in line, "command" in line) for line in listed[1:]] == [(True, True), (False, True)]
    assert homedex("backup", "verify", path=home).stdout.startswith("ok ")
    assert [one["sequence"] for one in json.loads(homedex("backup", "list", "--json", path=home).stdout)] == [3, 2]

    new = tmp_path / "new.db"
    assert homedex("backup", "restore", file.name, "--to", str(new), path=home).returncode == 0
    assert (devices(new), devices(home)) == (["boiler"], ["boiler", "lamp"])
    again = homedex("backup", "restore", str(file), "--to", f"sqlite:///{new}", path=home)
    assert (again.returncode, again.stdout) == (5, "")
    assert "there already" in again.stderr
    back = homedex("backup", "restore", file.name, path=home)
    assert "kept at" in back.stdout
    assert "error" not in homedex("doctor", path=home).stdout
    assert devices(home) == ["boiler"]

    pruned = homedex("backup", "prune", "--keep", "1", "--dry-run", path=home)
    assert pruned.stdout == f"would remove {file.name}\n1 backups are kept.\n"
    homedex("backup", "prune", "--keep", "1", path=home)
    assert len(homedex("backup", "list", path=home).stdout.splitlines()) == 2


def test_in_place_needs_the_service_to_be_stopped(home: Path) -> None:
    homedex("backup", path=home)
    with Service.start(home) as service:
        assert service.ask("PUT", "/api/v1/devices/lamp", {"name": "Lamp"})[0] == 201
        file = next((home.parent / "backups").glob("*.zst"))
        refused = homedex("backup", "restore", str(file), path=home)
        assert (refused.returncode, refused.stdout) == (6, "")
        assert "Stop the service" in refused.stderr
        assert service.ask("GET", "/api/v1/devices/lamp")[0] == 200
    assert homedex("backup", "restore", str(file), path=home).returncode == 0
    with Service.start(home) as service:
        assert service.ask("GET", "/api/v1/devices/lamp")[0] == 404


def test_what_is_wrong_is_one_line_and_an_exit_code(home: Path, tmp_path: Path) -> None:
    homedex("backup", path=home)
    file = next((tmp_path / "backups").glob("*.zst"))
    elsewhere = tmp_path / "elsewhere.zst"
    shutil.copy(file, elsewhere)
    assert homedex("backup", "verify", str(elsewhere), path=home).returncode == 0
    contents = bytearray(file.read_bytes())
    contents[-30] ^= 1
    file.write_bytes(contents)
    damaged = homedex("backup", "verify", "--all", path=home)
    assert damaged.returncode == 13
    assert damaged.stderr.splitlines()[0].startswith(f"DAMAGED {file}: ")
    assert "DAMAGED" in homedex("backup", "list", path=home).stdout
    for arguments, code, said in (
        (("restore", str(file)), 13, "damaged"),
        (("restore", "none"), 4, "no backup"),
        (("restore", str(tmp_path / "none")), 4, "no file"),
        (("restore", str(elsewhere), "--to", "mysql://x"), 2, "--to"),
        (("restore", str(home)), 13, "no backup"),
        (("verify", "none"), 4, "no backup"),
        (("prune", "--keep", "many"), 2, "7d 4w 12m"),
    ):
        answer = homedex("backup", *arguments, path=home)
        assert (answer.returncode, len(answer.stderr.splitlines())) == (code, 1), answer.stderr
        assert said in answer.stderr
    for name, value in (
        ("HOMEDEX_BACKUP_SCHEDULE", "sometimes"),
        ("HOMEDEX_BACKUP_KEEP", "all"),
        ("HOMEDEX_BACKUP_DIR", str(file)),
    ):
        answer = homedex("backup", path=home, settings={name: value})
        assert (answer.returncode, len(answer.stderr.splitlines())) in {(2, 1), (7, 1)}
        assert value in answer.stderr


def test_a_registry_on_a_server_is_backed_up_and_restored_to_a_file_and_back(
    home: Path, postgresql: Server, tmp_path: Path
) -> None:
    folder = {"HOMEDEX_BACKUP_DIR": str(tmp_path / "of-server")}
    with postgresql.database() as url, postgresql.database() as other:
        file_url = f"sqlite:///{home}"
        assert homedex("transfer", file_url, url, path=home).returncode == 0
        made = homedex("backup", "create", path=home, settings=folder | {"DATABASE_URL": url})
        assert made.returncode == 0, made.stderr
        file = made.stdout.splitlines()[0]
        assert "no new copy" in homedex("backup", "create", path=home, settings=folder | {"DATABASE_URL": url}).stdout
        to_file = homedex("backup", "restore", file, "--to", str(tmp_path / "new.db"), path=home)
        assert to_file.returncode == 0, to_file.stderr
        assert devices(tmp_path / "new.db") == ["boiler"]
        homedex("backup", path=home)
        from_file = next((tmp_path / "backups").glob("*.zst"))
        to_server = homedex("backup", "restore", str(from_file), "--to", other, path=home)
        assert to_server.returncode == 0, to_server.stderr
        full = homedex("backup", "restore", str(from_file), "--to", other, path=home)
        assert (full.returncode, full.stdout) == (5, "")
        in_place = homedex("backup", "restore", str(from_file), path=home, settings={"DATABASE_URL": other})
        assert (in_place.returncode, in_place.stderr) == (0, "")
        create = ("backup", "create", "--json")
        places = {"a": other, "b": url, "c": file_url, "d": f"sqlite:///{tmp_path / 'new.db'}"}
        sums = [
            homedex(*create, path=home, settings={"DATABASE_URL": one, "HOMEDEX_BACKUP_DIR": str(tmp_path / name)})
            for name, one in places.items()
        ]
    tables = [json.loads(one.stdout)["tables"] for one in sums]
    assert tables[1:] == tables[:1] * 3


def test_registries_in_one_folder_have_backups_of_their_own(home: Path, migrated: Path) -> None:
    other = Path(shutil.copy(migrated, home.with_name("Other one.db")))
    for path in (home, other):
        assert homedex("backup", path=path).returncode == 0
    one, another = (json.loads(homedex("backup", "list", "--json", path=path).stdout) for path in (home, other))
    assert len(one) == len(another) == 1
    assert one[0]["name"] != another[0]["name"]
    assert {file.name for file in (home.parent / "backups").glob("*.zst")} == {one[0]["name"], another[0]["name"]}
    assert homedex("backup", "prune", "--keep", "1", path=other).stdout == "1 backups are kept.\n"
    assert json.loads(homedex("backup", "list", "--json", path=home).stdout) == one


def test_where_there_is_no_registry_no_folder_is_made(tmp_path: Path) -> None:
    missing = tmp_path / "typo" / "app.db"
    assert homedex("backup", path=missing).returncode == 7
    assert homedex("backup", "prune", path=missing).returncode == 0
    assert not missing.parent.exists()


def test_a_setting_of_backups_without_meaning_is_named(home: Path) -> None:
    refused = homedex("backup", "list", path=home, settings={"HOMEDEX_BACKUP_KEEP": "x"})
    assert (refused.returncode, refused.stderr.startswith("Bad setting: HOMEDEX_BACKUP_KEEP='x'")) == (2, True)


def test_where_nothing_was_a_restore_keeps_nothing_aside(home: Path) -> None:
    assert homedex("backup", path=home).returncode == 0
    (name,) = (one["name"] for one in json.loads(homedex("backup", "list", "--json", path=home).stdout))
    for file in home.parent.glob(f"{home.name}*"):
        file.unlink()
    back = homedex("backup", "restore", name, path=home)
    assert (back.returncode, back.stderr, "kept at" in back.stdout) == (0, "", False)
    assert [file.name for file in home.parent.iterdir() if "before-restore" in file.name] == []
