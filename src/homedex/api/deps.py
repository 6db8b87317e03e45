"""What every route needs: the database, and a way to answer with JSON that SQL has made."""

from datetime import datetime

from fastapi import Request, Response

from homedex.storage.database import Database


def database(request: Request) -> Database:
    """The database this app was made with. A plain call: FastAPI's dependency injection costs 20 us a request."""
    return request.app.state.database  # type: ignore[no-any-return]


def clock(request: Request) -> datetime:
    """The time of this request: aware, UTC."""
    return request.app.state.clock()  # type: ignore[no-any-return]


def json_response(body: bytes, status: int = 200) -> Response:
    """JSON text as it is."""
    return Response(body, status, media_type="application/json")
