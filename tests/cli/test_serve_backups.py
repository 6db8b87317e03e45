"""The schedule of backups inside a real `homedex serve`."""

from pathlib import Path

from service import Service, until


def test_serve_backs_up_by_itself_what_is_new_and_says_so(tmp_path: Path) -> None:
    with Service.start(tmp_path / "app.db", HOMEDEX_BACKUP_SCHEDULE="1m") as service:
        assert service.ask("PUT", "/api/v1/devices/boiler", {"name": "Boiler"})[0] == 201
        until(lambda: list((tmp_path / "backups").glob("homedex-*.db.zst")), 40)
        until(lambda: service.ask("GET", "/readyz")[1]["backups"]["verified_at"])
        (backup,) = service.ask("GET", "/api/v1/backups")[1]["backups"]
        assert (backup["reason"], backup["problem"], backup["tables"]["devices"]["rows"]) == ("schedule", None, 1)
        assert backup["verified_at"] is not None
