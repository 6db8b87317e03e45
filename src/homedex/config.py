"""Settings: every knob once, with its unit in the name. Environment variables only; nothing is read at import."""

import re
from collections.abc import Mapping
from typing import Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

PREFIX = "HOMEDEX_"


class Settings(BaseSettings):
    """What can be set from outside. Each is the environment variable `HOMEDEX_` and its name, except DATABASE_URL."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore")

    database_url: str = Field(
        default="sqlite:///./data/app.db", validation_alias="DATABASE_URL", description="where the registry is kept"
    )
    host: str = Field(default="127.0.0.1", description="address to listen on; only loopback, unless insecure_bind is set")
    port: int = Field(default=8000, ge=0, le=65535, description="port to listen on")
    insecure_bind: bool = Field(default=False, description="allow an address that others can reach: there is no log-in yet")
    workers: int = Field(default=1, ge=1, le=64, description="processes that serve; one does what is to be done once for all")
    synchronous: Literal["FULL", "NORMAL"] = Field(default="FULL", description="FULL: no acknowledged write is lost in a power cut")
    readers: int = Field(default=2, ge=1, le=64, description="threads that read")
    read_deadline_s: float = Field(default=10.0, gt=0, le=3600, description="longest read before 503 query-timeout")
    write_deadline_s: float = Field(default=60.0, gt=0, le=3600, description="longest single write before it is undone")
    busy_timeout_s: float = Field(default=30.0, ge=0, le=3600, description="how long to wait for another process's lock")
    pool_size: int = Field(default=8, ge=1, le=1000, description="connections that read from PostgreSQL; two more write and listen")
    write_retries: int = Field(
        default=3, ge=0, le=100, description="how often PostgreSQL is asked again after a deadlock or a lost connection"
    )
    replica_url: str | None = Field(
        default=None, description="a standby of the PostgreSQL server, to read from when it is up to date"
    )
    queue_limit: int = Field(
        default=2000, ge=1, le=1_000_000, description="requests that may wait for the database before 503 busy"
    )
    cache_mb: int = Field(
        default=32, ge=0, le=65536, description="answers that are kept until the registry changes, in MB of memory; 0: none"
    )
    keep_changes_days: int = Field(default=0, ge=0, le=36500, description="how long changes are kept; 0: for ever")
    backup_schedule: str = Field(
        default="daily", description="how often it is backed up: daily, hourly, weekly, 15m, 6h, 2d or off"
    )
    backup_dir: str | None = Field(default=None, description="where backups lie; by default `backups` beside the database")
    backup_keep: str = Field(default="7d 4w 12m", description="the newest backup of so many days, weeks, months is kept")
    allowed_hosts: str = Field(default="", description="further host names it may be asked by, with commas between; * for any")
    log_level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="least important line to log")
    log_format: Literal["text", "json"] = Field(default="text", description="how a line of the log looks")
    access_log: bool = Field(default=False, description="a line for every request, not only for those that failed by our fault")

    @field_validator("allowed_hosts")
    @classmethod
    def _names_alone(cls, names: str) -> str:
        for name in _split(names):
            if not re.fullmatch(r"\*|[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]", name):
                raise ValueError(f"{name!r} is no host name. Leave out scheme and port, and set an IPv6 address in brackets")
        return names

    def hosts(self) -> frozenset[str] | None:
        """The names the service may be asked by, in lower case; None means any."""
        further = _split(self.allowed_hosts.lower())
        if "*" in further or (self.insecure_bind and not further):
            return None
        own = f"[{self.host}]" if ":" in self.host else self.host
        return frozenset({"localhost", "127.0.0.1", "[::1]", own.lower(), *further})


def _split(names: str) -> list[str]:
    return [name.strip() for name in names.split(",") if name.strip()]


def unknown_settings(environment: Mapping[str, str]) -> list[str]:
    """The variables that look like settings of Homedex and are none, each with the nearest one that is."""
    from difflib import get_close_matches  # noqa: PLC0415  (2 ms, and few commands ask)

    known = [name.upper() for name in Settings.model_fields if name != "database_url"]
    given = sorted(name for name in environment if name.startswith(PREFIX))
    found = []
    for name in given:
        word = name.removeprefix(PREFIX).upper()
        near = get_close_matches(word, known, 1)
        if word not in known:
            found.append(f"{name} (did you mean {PREFIX}{near[0]}?)" if near else name)
    return found
