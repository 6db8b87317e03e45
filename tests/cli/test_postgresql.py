"""The commands on PostgreSQL: the same words as on a file, by the same code, in processes of their own."""

from pathlib import Path

import pytest

from homedex.registry import schema
from servers import Server
from service import Service, homedex

CAPTURE = Path(__file__).parent.parent / "data" / "ha_captures" / "storage-2026.11"
COMMANDS = (
    ("import", "home-assistant", str(CAPTURE), "--dry-run"),
    ("import", "home-assistant", str(CAPTURE)),
    ("import", "home-assistant", str(CAPTURE)),
    ("devices", "--manufacturer", "Signify", "--sort=-name", "--fields=device_id,name"),
    ("entities", "--q", "light kitch", "--fields=entity_id"),
    ("changes", "--kind=device", "--limit=3", "--fields=seq,key,action"),
    ("export", "{folder}"),
)


def said(target: str, folder: Path) -> list[tuple[int, str]]:
    """What each command prints, without where it prints of."""
    folder.mkdir()
    url = target if target.startswith("postgresql") else f"sqlite:///{target}"
    found = []
    for command in COMMANDS:
        arguments = [argument.format(folder=folder) for argument in command]
        done = homedex(*arguments, path=folder / "unused.db", settings={"DATABASE_URL": url})
        assert done.returncode == 0, done.stderr
        shown = [target.partition("?")[0], str(folder)]
        found.append((done.returncode, done.stdout.replace(shown[0], "HERE").replace(shown[1], "FOLDER")))
    return found


def test_every_command_says_the_same_on_both_engines(registry_file: Path, postgresql: Server, tmp_path: Path) -> None:
    with postgresql.database() as url:
        one, other = said(str(registry_file), tmp_path / "one"), said(url.replace("postgres:@", "postgres@"), tmp_path / "other")
    assert one == other
    assert "nothing changed" in one[2][1]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_service_on_postgresql_says_where_it_serves_from_and_doctor_finds_nothing_wrong(
    postgresql: Server, tmp_path: Path, workers: str
) -> None:
    with postgresql.database() as url:
        settings = {"DATABASE_URL": url.replace("postgres:@", "postgres:se%20cret@"), "HOMEDEX_WORKERS": workers}
        with Service.start(tmp_path / "unused.db", **settings) as service:
            assert service.ask("PUT", "/api/v1/devices/a", {"name": "x"})[0] == 201
            assert [service.ask("GET", "/api/v1/devices/a")[0] for _ in range(4)] == [200] * 4
            status, ready = service.ask("GET", "/readyz")
            assert (status, ready["checks"]) == (200, {"read": "ok", "schema": "ok", "write": "ok"})
            found = homedex("doctor", path=tmp_path / "unused.db", settings=settings)
            assert service.stop() == 0
    assert "se%20cret" not in service.log + found.stdout + found.stderr
    lines = [line.split(maxsplit=2) for line in found.stdout.splitlines()]
    assert ["ok", "schema", schema.head()] in lines
    assert ["ok", "holds", "1 devices, 0 entities, 0 areas"] in lines
    wrong = {what for level, what, _ in lines if level in {"warning", "error"}}
    assert wrong <= {"fsync", "full_page_writes"}, "which this server of tests has off"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgresql://", "names no database"),
        ("postgresql://me:secret@127.0.0.1:1/homedex", "does not answer"),
        ("mysql://me:secret@host/x", "does not serve"),
    ],
)
def test_a_url_that_leads_nowhere_is_one_line_without_its_password(url: str, words: str, tmp_path: Path) -> None:
    done = homedex("devices", path=tmp_path / "unused.db", settings={"DATABASE_URL": url})
    assert done.returncode in {2, 7}
    assert (done.stdout, len(done.stderr.splitlines()), words in done.stderr, "secret" in done.stderr) == ("", 1, True, False)
