"""Every error as `application/problem+json` (RFC 9457), by one function, whoever raised it."""

import difflib
import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.routing import Route
from starlette.types import Scope

from homedex.errors import (
    BadRequest,
    HomedexError,
    Invalid,
    MalformedBody,
    MethodNotAllowed,
    Moved,
    NoSuchPage,
    NotAcceptable,
    TooLarge,
    UnknownParameter,
    UnsupportedMediaType,
)

MEDIA_TYPE = "application/problem+json"
MOST_ERRORS = 20
LONGEST_POINTER = 255

# What the framework says by a number alone. Its 400 is always about a body: a form or JSON that it could not read.
OF_STATUS: Mapping[int, type[HomedexError]] = {
    400: MalformedBody,
    404: NoSuchPage,
    405: MethodNotAllowed,
    406: NotAcceptable,
    413: TooLarge,
    415: UnsupportedMediaType,
    422: Invalid,
}


def install(app: FastAPI) -> None:
    """Answer every error of the app and of the framework with a problem document."""
    app.add_exception_handler(HomedexError, on_homedex_error)
    app.add_exception_handler(RequestValidationError, on_invalid_request)
    app.add_exception_handler(HTTPException, on_framework_error)
    app.add_exception_handler(Exception, on_bug)


def document(request: Request, error: HomedexError, headers: Mapping[str, str] | None = None) -> Response:
    """The answer to a request that ended in this error: `type` names its kind and leads to its page, `request_id` this request."""
    request.scope["state"]["problem"] = error  # for the line in the log
    body = {
        "type": f"/problems/{error.slug}",
        "title": error.title,
        "status": error.status,
        "detail": error.detail,
        "instance": path_of(request.scope),
        "request_id": request.state.request_id,
    }
    if error.retry_after_s is not None:
        headers = {**(headers or {}), "Retry-After": str(error.retry_after_s)}
    content = json.dumps({**body, **error.extensions}, ensure_ascii=False).encode("utf-8", "backslashreplace")
    return Response(content, error.status, headers, MEDIA_TYPE)


def path_of(scope: Scope) -> str:
    """The path of a request, letter by letter as in an address; `request.url` would ask the Host header for it."""
    return quote(scope["path"], safe="/:@!$&'()*+,;=~")


async def on_homedex_error(request: Request, error: Exception) -> Response:
    """An error of our own tree."""
    assert isinstance(error, HomedexError)  # noqa: S101  (Starlette's signature is wider than what it calls this for)
    headers = {}
    if isinstance(error, Moved):
        path = request.scope["route"].path.replace("{device_id}", quote(error.device_id, safe=":"))
        query = request.scope["query_string"].decode("latin-1")
        headers["Location"] = path + (f"?{query}" if query else "")
    return document(request, error, headers)


async def on_invalid_request(request: Request, error: Exception) -> Response:
    """Parameters or a body that break the schema; an unknown parameter is told the nearest one that exists."""
    assert isinstance(error, RequestValidationError)  # noqa: S101
    faults = error.errors()
    unknown = [fault["loc"][-1] for fault in faults if fault["type"] == "extra_forbidden" and fault["loc"][0] == "query"]
    if unknown:
        return document(request, UnknownParameter(_suggest(request, str(unknown[0]))))
    if faults[0]["type"] == "json_invalid":
        return document(request, MalformedBody(f"{faults[0]['msg']}."))
    return document(request, invalid(faults))


def invalid(faults: Sequence[Any]) -> Invalid:
    """What a model says is wrong, with a pointer to each place."""
    errors = [{"pointer": _pointer(fault["loc"])[:LONGEST_POINTER], "detail": fault["msg"]} for fault in faults[:MOST_ERRORS]]
    more = f" {len(faults) - 1} more{' in `errors`' if len(faults) <= MOST_ERRORS else ''}." if len(faults) > 1 else ""
    return Invalid(f"{errors[0]['pointer']}: {errors[0]['detail']}.{more}", errors)


def _pointer(place: tuple[str | int, ...]) -> str:
    """A JSON pointer for the body, the bare name for a parameter."""
    if place[0] != "body":
        return ".".join(str(part) for part in place[1:]) or str(place[0])
    return "#" + "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in place[1:])


def _suggest(request: Request, unknown: str) -> str:
    parameters = (request.scope["route"].openapi_extra or {}).get("parameters", [])
    known = sorted(parameter["name"] for parameter in parameters)
    near = difflib.get_close_matches(unknown, known, n=1)
    hint = f"Did you mean `{near[0]}`?" if near else f"This address takes {', '.join(known)}."
    return f"there is no parameter `{unknown}` here. {hint}"


async def on_framework_error(request: Request, error: Exception) -> Response:
    """What FastAPI and Starlette raise themselves, as the kind of ours that means the same."""
    assert isinstance(error, HTTPException)  # noqa: S101
    if error.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return await on_bug(request, error)
    kind = OF_STATUS.get(error.status_code, BadRequest)
    path, detail, headers = path_of(request.scope), str(error.detail), error.headers
    if kind is NoSuchPage:
        detail = f"nothing is at {path}. /docs lists what there is."
    elif kind is MethodNotAllowed:
        allowed = ", ".join(sorted(_methods(request)))
        detail, headers = f"{path} does not take {request.method}, but {allowed}.", {"Allow": allowed}
    return document(request, kind(detail), headers)


def _methods(request: Request) -> set[str]:
    """Every method that this path takes; the framework names those of the first route alone."""
    routes = (route for route in request.app.routes if isinstance(route, Route))
    return {method for route in routes if route.path_regex.match(request.scope["path"]) for method in route.methods or ()}


async def on_bug(request: Request, error: Exception) -> Response:
    """Anything else is our fault: nothing of it goes to the client, all of it to the log."""
    fault = HomedexError("something went wrong here, and was logged.")
    fault.__cause__ = error
    return document(request, fault)
