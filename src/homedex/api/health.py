"""Whether the service lives, whether it can serve, and where a visitor should go."""

import html
import shutil
from pathlib import Path
from typing import Any

from fastapi import Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse
from sqlalchemy import Connection, select, text
from starlette.concurrency import run_in_threadpool

from homedex.api.deps import database
from homedex.errors import HomedexError
from homedex.registry import schema
from homedex.registry.backups import Backups
from homedex.registry.checkup_place import LEAST_FREE_BYTES, is_read_only
from homedex.registry.tables import Device


def ways_to_fill(base: str, program: str = "homedex") -> list[tuple[str, str]]:
    """How an empty registry is filled: (whence, command). Said at `/` and at start."""
    body = '{"name": "Boiler"}'
    return [
        ("from a copy of Home Assistant's configuration folder", f"{program} import home-assistant /path/to/config"),
        (
            "from a running Home Assistant",
            f"{program} sync home-assistant --url http://homeassistant.local:8123 --token-file token.txt",
        ),
        ("by hand", f"curl -X PUT {base}/api/v1/devices/boiler -H 'content-type: application/json' -d '{body}'"),
        ("or look round a made-up home", f"{program} demo"),
    ]


async def livez() -> Response:
    """Say that the process answers, without asking the database."""
    return Response(b'{"status":"ok"}', media_type="application/json")


async def readyz(request: Request) -> Response:
    """Say whether requests can be served: the database reads, writes, has the right schema, and the disk has room."""
    db = database(request)
    checks: dict[str, str] = {}
    try:
        found = await db.read(_schema_revision)
        head = schema.head()
        checks["read"] = "ok"
        checks["schema"] = "ok" if found == head else f"at {found}, this program needs {head}: restart it to migrate"
        await db.write(_write_nothing)
        checks["write"] = "ok"
    except HomedexError as error:
        checks["write" if "read" in checks else "read"] = error.detail
    if db.folder is not None:
        checks["disk"] = await run_in_threadpool(_disk, db.folder)
    ready = all(result == "ok" for result in checks.values())
    body: dict[str, Any] = {"status": "ok" if ready else "not ready", "checks": checks}
    if (size := db.wal_bytes) is not None:
        body["wal_bytes"] = size
    if request.app.state.backups is not None:
        body["backups"] = await run_in_threadpool(_backups, request.app.state.backups)
    return JSONResponse(body, 200 if ready else 503)


def _backups(backups: Backups) -> dict[str, Any]:
    """How safe the registry is; a service without backups serves all the same, and says so."""
    try:
        return backups.state()
    except HomedexError as error:
        return {"made_at": None, "verified_at": None, "problem": None, "trouble": error.detail}


def _disk(folder: Path) -> str:
    """Say ok, or what is wrong with the folder of the database."""
    try:
        free_bytes = shutil.disk_usage(folder).free
    except OSError as error:
        return error.strerror or str(error)
    if is_read_only(folder):
        return "the file system takes no writes: look for the disk in the system's log"
    return "ok" if free_bytes >= LEAST_FREE_BYTES else f"{free_bytes} bytes free, {LEAST_FREE_BYTES} needed"


def _schema_revision(connection: Connection) -> str | None:
    return connection.scalars(text("SELECT version_num FROM alembic_version")).first()


def _write_nothing(connection: Connection) -> None:
    """Take the write lock and give it back: fails on a read-only file, and on one that another process holds.

    The lock alone says nothing of a file that may only be read: SQLite takes BEGIN IMMEDIATE for BEGIN there.
    """
    connection.execute(text("DELETE FROM alembic_version WHERE 1 = 0"))


async def index(request: Request) -> Response:
    """Lead to /docs, or say how to fill a registry that is empty."""
    if await database(request).read(has_devices):
        return RedirectResponse("/docs")
    ways = ways_to_fill(str(request.base_url).rstrip("/"))
    rows = "".join(f"<dt>{html.escape(whence)}</dt><dd><code>{html.escape(command)}</code></dd>" for whence, command in ways)
    return HTMLResponse(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'><title>Homedex</title>"
        "<style>body{font:1rem/1.5 system-ui;max-width:50rem;margin:3rem auto;padding:0 1rem}dt{margin-top:1rem}"
        "code{background:#8882;padding:.2em .4em;border-radius:.3em;overflow-wrap:anywhere}dd{margin:0}</style>"
        f"<h1>Homedex</h1><p>The registry is empty. Fill it:</p><dl>{rows}</dl>"
        "<p>Then ask: <a href=/docs>/docs</a> lists every question."
    )


def has_devices(connection: Connection) -> bool:
    """Whether there is any device at all."""
    return connection.execute(select(Device.device_id).where(Device.removed_at.is_(None)).limit(1)).first() is not None
