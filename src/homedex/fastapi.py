"""FastAPI with people's own models: dependencies whose work is committed before the answer is sent.

With FastAPI's usual scope, what comes after `yield` runs when the answer is gone: the client has its 201 when the commit fails,
and a slow client holds the transaction open. These have `scope="function"`.

Source: fastapi 0.118 to 0.165 answer 201 for a commit that fails in a dependency of request scope (measured 2026-11).
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Request, Response
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, NoResultFound
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.requests import HTTPConnection

from homedex.errors import Conflict, HomedexError, Invalid, NotFound
from homedex.storage import migrate
from homedex.storage.sessions import Sessions

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[Mapping[str, Any]]]


def sessions_lifespan(target: str, *, migrations: Path | None = None, **settings: Any) -> Lifespan:
    """A lifespan for `FastAPI(lifespan=…)` that opens `Sessions` for `ReadSession` and `WriteSession`, and closes them.

    In a lifespan of your own, yield `{"sessions": sessions}` instead.

    Args:
        target: the path of a SQLite file, or a `postgresql://…` URL.
        migrations: a folder of Alembic migrations; the schema is brought to the newest before the first request. None leaves it.
        settings: see `Sessions.open`.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[Mapping[str, Any]]:
        if migrations is not None:
            await asyncio.to_thread(migrate.upgrade, target, migrations)
        sessions = Sessions.open(target, **settings)
        try:
            yield {"sessions": sessions}
        finally:
            await sessions.close()

    return lifespan


async def read_session(request: HTTPConnection) -> AsyncIterator[AsyncSession]:
    """A session that reads, closed before the answer is sent; see `Sessions.read`."""
    async with sessions_of(request).read(place=_place(request)) as session:
        yield session


async def write_session(request: HTTPConnection) -> AsyncIterator[AsyncSession]:
    """A session that writes, committed before the answer is sent and rolled back if the route raises; see `Sessions.write`."""
    async with sessions_of(request).write(place=_place(request)) as session:
        yield session


ReadSession = Annotated[AsyncSession, Depends(read_session, scope="function")]
WriteSession = Annotated[AsyncSession, Depends(write_session, scope="function")]


def sessions_of(request: HTTPConnection) -> Sessions:
    """The Sessions that the lifespan has opened.

    Raises:
        RuntimeError: it has opened none.
    """
    sessions = getattr(request.state, "sessions", None)
    if not isinstance(sessions, Sessions):
        raise RuntimeError(  # noqa: TRY004  (not of a wrong type, but not there)
            "no sessions: make the app with FastAPI(lifespan=sessions_lifespan(…)), and start it with its lifespan"
        )
    return sessions


def _place(request: HTTPConnection) -> str:
    route = request.scope.get("route")
    return f"{request.scope.get('method', 'WEBSOCKET')} {getattr(route, 'path', request.scope['path'])}"


def answer_errors(app: FastAPI) -> None:
    """Have the app answer errors of the database as problem documents (RFC 9457). Without it they are 500.

    Those of `homedex.errors` have their status and `Retry-After`; a broken rule of the schema is 409, a value that no column takes
    422, and what `session.get_one` or `.one()` did not find 404. Call it before the app starts.
    """
    for kind in (HomedexError, DBAPIError, NoResultFound):
        app.add_exception_handler(kind, _answer)


def _is_of_data(error: DBAPIError) -> bool:
    """Whether it is a value's fault: class 22 of PostgreSQL, which SQLAlchemy does not always name DataError."""
    cause = getattr(error.orig, "__cause__", None)
    return isinstance(error, DataError) or str(getattr(cause, "sqlstate", "")).startswith("22")


async def _answer(request: HTTPConnection, error: Exception) -> Response:
    if not isinstance(request, Request):
        raise error  # a websocket, which takes no answers
    if isinstance(error, IntegrityError):
        error = Conflict("a rule of the schema does not allow it.")
    elif isinstance(error, DBAPIError) and _is_of_data(error):
        error = Invalid("a value is larger than its column takes, or of another kind.")
    elif isinstance(error, NoResultFound):
        error = NotFound("there is none with this id.")
    if not isinstance(error, HomedexError):
        raise error
    headers = {} if error.retry_after_s is None else {"Retry-After": str(error.retry_after_s)}
    body = {"type": "about:blank", "title": error.title, "status": error.status, "detail": error.detail, **error.extensions}
    return Response(json.dumps(body), error.status, headers, "application/problem+json")
