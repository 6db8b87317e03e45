"""Routes of backups. Who restores one is handed the database: putting it in the present one's place is a command."""

import asyncio
import logging
import os
from typing import Annotated, BinaryIO

from fastapi import Path, Request, Response
from fastapi.responses import FileResponse, JSONResponse
from starlette.concurrency import run_in_threadpool
from starlette.types import Message, Receive, Scope, Send

from homedex.api.deps import JSON, check_accepts, options_of
from homedex.errors import NotFound
from homedex.registry.backups import Backups

log = logging.getLogger(__name__)

ZSTD, SQLITE = "application/zstd", "application/vnd.sqlite3"
PIECE = 1 << 18
IDLE_S = 60.0
"""How long a client may take no byte of a database, before it is let go: the database lies on the disk until then."""

FLAG = ("true", "false")
Name = Annotated[str, Path(max_length=255, description="such as homedex-2026-11-22T13-52-56Z.db.zst")]


def backups(request: Request) -> Backups:
    """The backups this app was made with."""
    found: Backups | None = request.app.state.backups
    if found is None:
        raise NotFound("this service keeps no backups.")
    return found


async def list_backups(request: Request) -> Response:
    """List backups, newest first."""
    check_accepts(request, JSON)
    options_of(request, {})
    own = backups(request)
    found = await run_in_threadpool(own.folder.all)
    every_s = None if own.every is None else own.every.total_seconds()
    return JSONResponse({"backups": [one.as_dict() for one in found], "every_s": every_s, "trouble": own.trouble})


async def create_backup(request: Request) -> Response:
    """Make a backup, verified before it counts; of what has not changed there is one already."""
    check_accepts(request, JSON)
    options_of(request, {})
    made = await backups(request).create("request")
    return JSONResponse(made, 201 if made["new"] else 200)


async def prune_backups(request: Request) -> Response:
    """Remove the backups that are not to be kept."""
    check_accepts(request, JSON)
    dry_run = options_of(request, {"dry_run": FLAG}).get("dry_run") == "true"
    ours = backups(request)
    removed = await run_in_threadpool(ours.folder.prune, ours.keep, dry_run=dry_run)
    return JSONResponse({"dry_run": dry_run, "removed": removed})


async def get_backup(request: Request, name: Name) -> Response:
    """Get what one backup holds."""
    check_accepts(request, JSON)
    options_of(request, {})
    found = await run_in_threadpool(backups(request).folder.get, name)
    return JSONResponse(found.as_dict())


async def download_backup(request: Request, name: Name) -> Response:
    """The file of one backup: `zstd -d` makes a SQLite database of it."""
    check_accepts(request, ZSTD)
    options_of(request, {})
    found = await run_in_threadpool(backups(request).folder.get, name)
    return FileResponse(found.path, media_type=ZSTD, filename=found.name)


async def verify_backup(request: Request, name: Name) -> Response:
    """Restore one backup to a scratch place and check all of it."""
    check_accepts(request, JSON)
    options_of(request, {})
    return JSONResponse(await backups(request).verify(name))


async def restore_backup(request: Request, name: Name) -> Response:
    """Restore one backup, check all of it, and get the database, at the newest schema. The registry stays as it is."""
    check_accepts(request, SQLITE)
    options_of(request, {})
    return Handed(await backups(request).restore(name), name.partition(".")[0] + ".db")


class Handed(Response):
    """A file that has no name any more, piece by piece; it is closed, and so gone, whatever becomes of the client."""

    def __init__(self, file: BinaryIO, filename: str) -> None:
        self.file = file
        size = os.fstat(file.fileno()).st_size
        said = {"content-length": str(size), "content-disposition": f'attachment; filename="{filename}"'}
        super().__init__(None, headers=said, media_type=SQLITE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002  (ASGI)
        """Send it."""

        async def say(message: Message) -> None:
            async with asyncio.timeout(IDLE_S):
                await send(message)

        with self.file:
            try:
                await say({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
                more = True
                while more:
                    piece = await run_in_threadpool(self.file.read, PIECE)
                    more = len(piece) == PIECE
                    await say({"type": "http.response.body", "body": piece, "more_body": more})
            except TimeoutError:  # the server closes the connection of an answer that has no end
                log.warning("a client took no byte of a restored database for %g s, and was let go", IDLE_S)


async def remove_backup(request: Request, name: Name) -> Response:
    """Remove one backup."""
    options_of(request, {})
    await run_in_threadpool(backups(request).remove, name)
    return Response(status_code=204)
