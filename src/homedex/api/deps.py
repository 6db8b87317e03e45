"""What routes need: the database, the time, the caller's words checked, and a way to answer with JSON that SQL has made.

The query and the body are read here and not by FastAPI's signatures: for a list with eleven parameters those cost 190 us a
request, these 15 us (2026-11, fastapi 0.165). `app.py` puts the same models into the OpenAPI document.
"""

from datetime import datetime
from typing import TypeVar

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from homedex.errors import TooLarge
from homedex.registry.schemas import lists_of
from homedex.storage.database import Database

Model = TypeVar("Model", bound=BaseModel)

LARGEST_BODY_BYTES = 1024 * 1024


def database(request: Request) -> Database:
    """The database this app was made with."""
    return request.app.state.database  # type: ignore[no-any-return]


def clock(request: Request) -> datetime:
    """The time of this request: aware, UTC."""
    return request.app.state.clock()  # type: ignore[no-any-return]


def query_of(request: Request, model: type[Model]) -> Model:
    """The query parameters as `model`; a field that is a list takes every value of its name, any other the last.

    Raises:
        RequestValidationError: a parameter is unknown or breaks a rule.
    """
    parameters = QueryParams(request.scope["query_string"])
    lists = lists_of(model)
    given = {name: parameters.getlist(name) if name in lists else value for name, value in parameters.items()}
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise refused("query", error) from None


async def body_of(request: Request, model: type[Model]) -> Model:
    """The JSON body as `model`.

    Raises:
        HTTPException: 415, it says that it is something else than JSON; 400, it broke off.
        TooLarge: it has more than LARGEST_BODY_BYTES.
        RequestValidationError: it is no JSON, or breaks a rule.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise HTTPException(415, f"the body must be sent as application/json, and came as {kind or 'nothing in particular'}.")
    try:
        return model.model_validate_json(await _read(request))
    except ValidationError as error:
        raise refused("body", error) from None


async def _read(request: Request) -> bytes:
    """The body, never more of it than is allowed."""
    chunks, size = [], 0
    try:
        async for chunk in request.stream():
            chunks.append(chunk)
            size += len(chunk)
            if size > LARGEST_BODY_BYTES:
                raise TooLarge(f"the body may have {LARGEST_BODY_BYTES} bytes at most.")
    except ClientDisconnect:
        raise HTTPException(400, "the body broke off.") from None
    return b"".join(chunks)


def refused(where: str, error: ValidationError) -> RequestValidationError:
    """The same complaint as FastAPI's own validation makes."""
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    return RequestValidationError([fault | {"loc": (where, *fault["loc"])} for fault in faults])


def json_response(body: bytes, status: int = 200) -> Response:
    """JSON text as it is."""
    return Response(body, status, media_type="application/json")
