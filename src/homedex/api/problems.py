"""Every error as `application/problem+json` (RFC 9457), by one function, whoever raised it."""

import difflib
import json
import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.routing import Route

from homedex.errors import HomedexError, Invalid, Moved, UnknownParameter

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"


def install(app: FastAPI) -> None:
    """Answer every error of the app and of the framework with a problem document."""
    app.add_exception_handler(HomedexError, on_homedex_error)
    app.add_exception_handler(RequestValidationError, on_invalid_request)
    app.add_exception_handler(HTTPException, on_framework_error)
    app.add_exception_handler(Exception, on_bug)


def document(  # noqa: PLR0913  (the members of RFC 9457)
    request: Request, status: int, slug: str, title: str, detail: str, headers: Mapping[str, str] | None = None, **extensions: Any
) -> Response:
    """A problem document; `type` names its kind, `instance` this request."""
    body = {"type": f"/problems/{slug}", "title": title, "status": status, "detail": detail, "instance": request.url.path}
    content = json.dumps(body | extensions, ensure_ascii=False).encode("utf-8", "backslashreplace")
    return Response(content, status, headers, MEDIA_TYPE)


async def on_homedex_error(request: Request, error: Exception) -> Response:
    """An error of our own tree."""
    assert isinstance(error, HomedexError)  # noqa: S101  (Starlette's signature is wider than what it calls this for)
    headers = {}
    if error.retry_after_s is not None:
        headers["Retry-After"] = str(error.retry_after_s)
    if isinstance(error, Moved):
        path = request.scope["route"].path.replace("{device_id}", quote(error.device_id, safe=":"))
        headers["Location"] = path + (f"?{request.url.query}" if request.url.query else "")
    if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        log.error("%s %s: %s", request.method, request.url.path, error, exc_info=error.__cause__)
    return document(request, error.status, error.slug, error.title, error.detail, headers, **error.extensions)


async def on_invalid_request(request: Request, error: Exception) -> Response:
    """Parameters or a body that break the schema; an unknown parameter is told the nearest one that exists."""
    assert isinstance(error, RequestValidationError)  # noqa: S101
    faults = error.errors()
    unknown = [fault["loc"][-1] for fault in faults if fault["type"] == "extra_forbidden" and fault["loc"][0] == "query"]
    if unknown:
        return await on_homedex_error(request, UnknownParameter(_suggest(request, str(unknown[0]))))
    errors = [{"pointer": _pointer(fault["loc"]), "detail": fault["msg"]} for fault in faults]
    detail = f"{errors[0]['pointer']}: {errors[0]['detail']}." + (
        f" {len(errors) - 1} more in `errors`." if len(errors) > 1 else ""
    )
    return await on_homedex_error(request, Invalid(detail, errors))


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
    """What FastAPI and Starlette raise themselves: 404 for a path, 405 for a method, 400 for a body."""
    assert isinstance(error, HTTPException)  # noqa: S101
    status = HTTPStatus(error.status_code)
    slug = status.phrase.lower().replace(" ", "-")
    detail = str(error.detail)
    if status == HTTPStatus.NOT_FOUND:
        slug, detail = "no-such-page", f"nothing is at {request.url.path}. /docs lists what there is."
    elif status == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = ", ".join(sorted(_methods(request)))
        detail = f"{request.url.path} does not take {request.method}, but {allowed}."
        return document(request, status, slug, status.phrase, detail, {"Allow": allowed})
    return document(request, status, slug, status.phrase, detail, error.headers)


def _methods(request: Request) -> set[str]:
    """Every method that this path takes; the framework names those of the first route alone."""
    routes = (route for route in request.app.routes if isinstance(route, Route))
    return {method for route in routes if route.path_regex.match(request.url.path) for method in route.methods or ()}


async def on_bug(request: Request, error: Exception) -> Response:  # noqa: ARG001  (Starlette logs it, with its trace, once)
    """Anything else is our fault: nothing of it goes to the client."""
    detail = "something went wrong here, and was logged."
    return document(request, 500, HomedexError.slug, HomedexError.title, detail)
