"""What routes need: the database, the time, the caller's words checked, and a way to answer with JSON that SQL has made.

Queries and bodies are read here and not by FastAPI's signatures: for a list with eleven parameters those cost 190 us a request,
these 15 us (2026-11, fastapi 0.165). `app.py` puts the same models into the OpenAPI document.
"""

import gc
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from itertools import islice
from typing import Any, NoReturn, TypeVar
from urllib.parse import parse_qsl

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from pydantic_core import from_json
from starlette.requests import ClientDisconnect

from homedex.api.problems import MOST_ERRORS
from homedex.errors import Invalid, MalformedBody, NotAcceptable, TooLarge, UnknownParameter, UnsupportedMediaType
from homedex.registry.changes import Stamp
from homedex.storage.database import Database

Model = TypeVar("Model", bound=BaseModel)

LARGEST_BODY_BYTES = 16 * 1024 * 1024
JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"
NDJSON = "application/x-ndjson"
MOST_PARAMETERS = 1000


def database(request: Request) -> Database:
    """The database this app was made with."""
    return request.app.state.database  # type: ignore[no-any-return]


def clock(request: Request) -> datetime:
    """The time of this request: aware, UTC."""
    return request.app.state.clock()  # type: ignore[no-any-return]


def stamp(request: Request) -> Stamp:
    """When this request writes, and on whose behalf."""
    return Stamp(clock(request), "api", request_id=request.state.request_id)


def pairs_of(request: Request) -> list[tuple[str, str]]:
    """The query's names and values, as they came.

    Raises:
        Invalid: there are too many.
    """
    try:
        query = request.scope["query_string"].decode("latin-1")
        return parse_qsl(query, keep_blank_values=True, max_num_fields=MOST_PARAMETERS) if query else []
    except ValueError:
        raise Invalid(f"the query has more than {MOST_PARAMETERS} parameters.") from None


def options_of(request: Request, known: Mapping[str, tuple[str, ...] | None]) -> dict[str, str]:
    """The query parameters of an address that is no list, each at most once.

    Args:
        known: name -> the values there are, None for any text.
    Raises:
        UnknownParameter: there is no such parameter.
        Invalid: a value that does not exist.
    """
    given: dict[str, str] = {}
    for name, value in pairs_of(request):
        if name not in known:
            takes = f"takes {', '.join(known)}" if known else "takes none"
            raise UnknownParameter(f"there is no parameter `{name[:100]}` here; this address {takes}.")
        choices = known[name]
        if choices is not None and value not in choices:
            fault = f"must be {' or '.join(choices)}"
            raise Invalid(f"{name}: {fault}.", [{"pointer": name, "detail": fault}])
        if len(value) > 1024 or "\x00" in value:  # noqa: PLR2004  (as long as any text here)
            raise Invalid(f"{name}: takes 1024 characters at most, and no NUL.", [{"pointer": name, "detail": "is no usable text"}])
        given[name] = value
    return given


def check_accepts(request: Request, kind: str) -> None:
    """Return if the client takes answers of that media type.

    Raises:
        NotAcceptable: it takes others only.
    """
    accept = ", ".join(request.headers.getlist("accept")).lower()
    if "*/*" in accept or kind in accept or f"{kind.partition('/')[0]}/*" in accept or not accept.strip():
        return
    raise NotAcceptable(f"this address answers with {kind}, and the request takes {accept[:200]} only.")


async def body_of(request: Request, model: type[Model], *, kinds: tuple[str, ...] = (JSON,), ignored: Iterable[str] = ()) -> Model:
    """The JSON body as `model`.

    Args:
        kinds: the media types it may come as.
        ignored: members that a client may send back as it got them, and that have no effect.
    Raises:
        UnsupportedMediaType: it says that it is something else.
        MalformedBody: it is no JSON, or broke off.
        TooLarge: it has more than LARGEST_BODY_BYTES.
        RequestValidationError: it breaks a rule.
    """
    media_type(request, kinds)
    raw = await read_body(request)
    with without_collector():
        value = parse_json(raw)
    if isinstance(value, dict):
        value = {name: member for name, member in value.items() if name not in ignored}
    return validated(model, value)


def media_type(request: Request, kinds: tuple[str, ...]) -> str:
    """What the body says it is; raises UnsupportedMediaType if that is none of `kinds`."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in kinds:
        raise UnsupportedMediaType(
            f"the body must be sent as {' or '.join(kinds)}, and came as {kind[:100] or 'nothing in particular'}."
        )
    coding = request.headers.get("content-encoding", "identity").strip().lower()
    if coding not in {"", "identity"}:
        raise UnsupportedMediaType(f"the body must be sent as it is, without a content coding, and came as {coding[:100]}.")
    return kind


def validated(model: type[Model], value: Any) -> Model:
    """A value as `model`; raises RequestValidationError."""
    check_members(model, value)
    try:
        found = model.model_validate(value)
    except ValidationError as error:
        raise refused("body", error) from None
    return found


def check_members(model: type[BaseModel], value: Any) -> None:
    """Refuse an object with more members than there are, before the model complains of each of a million."""
    if isinstance(value, dict) and len(value) > len(model.model_fields):
        unknown = islice((name for name in value if name not in model.model_fields), MOST_ERRORS)
        faults = [{"type": "extra_forbidden", "loc": ("body", name), "msg": "Extra inputs are not permitted"} for name in unknown]
        raise RequestValidationError(faults)


def parse_json(raw: bytes) -> Any:
    """JSON, read strictly: no member twice, no NaN, no NUL, no half of a character.

    Raises:
        MalformedBody: it is none.
    """
    quick = quick_json(raw)
    if isinstance(quick, dict) and count_names(raw) == len(quick):  # an object without others in it, as most bodies are
        return quick
    try:
        value = _strict.decode(raw.decode())
    except UnicodeDecodeError:
        raise MalformedBody("the body is not UTF-8.") from None
    except RecursionError:
        raise MalformedBody("the body is nested too deep.") from None
    except ValueError as error:
        raise MalformedBody(f"the body is no JSON: {str(error)[:200]}.") from None
    if ESCAPED.search(raw) is not None:
        _check_texts(value)
    return value


def quick_json(raw: bytes) -> Any:
    """JSON by pydantic's parser, in a third of the time; None where it or its texts need to be looked at.

    It lets members pass that stand twice; where `count_names` finds as many as there are members, none does.
    """
    if ESCAPED.search(raw) is not None:
        return None
    try:
        return from_json(raw, allow_inf_nan=False)
    except ValueError:
        return None


def count_names(raw: bytes) -> int:
    """At least as many as there are members in all objects of a JSON text, those that stand twice counted twice.

    Without white space the name of each ends in `":`. So may a piece of a text: then it is more.
    """
    return raw.translate(None, b" \t\r\n").count(b'":')


ESCAPED = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"the member {twice[:100]!r} stands twice in one object")
    return members


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


_strict = json.JSONDecoder(object_pairs_hook=_members, parse_constant=_no_constant)
"""`json.loads` would make one for each body."""


def _check_texts(value: Any) -> None:
    """Refuse texts that end early for C programs, or that no file can hold."""
    pending: list[tuple[Any, Any]] = [((), value)]  # (its name, (its parent's, …)): a text for each place could fill the memory
    while pending:
        place, item = pending.pop()
        if isinstance(item, dict):
            pending.extend((place, name) for name in item)
            pending.extend(((name, place), inner) for name, inner in item.items())
        elif isinstance(item, list):
            pending.extend(((index, place), inner) for index, inner in enumerate(item))
        elif isinstance(item, str):
            fault = (
                "holds a NUL character"
                if "\x00" in item
                else None
                if _is_whole(item)
                else "holds half a character (a lone surrogate)"
            )
            if fault is not None:
                pointer = _spelled(place)
                raise Invalid(f"{pointer}: {fault}.", [{"pointer": pointer, "detail": fault}])


def _spelled(place: Any) -> str:
    names: list[str] = []
    while place:
        name, place = place
        names.append(str(name)[:100])
    return "/".join(["#", *reversed(names)]).encode(errors="replace").decode()


def _is_whole(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


async def read_body(request: Request) -> bytes:
    """The body, never more of it than is allowed; raises TooLarge, MalformedBody."""
    chunks, size = [], 0
    try:
        async for chunk in request.stream():
            chunks.append(chunk)
            size += len(chunk)
            if size > LARGEST_BODY_BYTES:
                raise TooLarge(f"the body may have {LARGEST_BODY_BYTES} bytes at most.")
    except ClientDisconnect:
        raise MalformedBody("the body broke off.") from None
    return b"".join(chunks)


def refused(where: str, error: ValidationError) -> RequestValidationError:
    """The same complaint as FastAPI's own validation makes."""
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    return RequestValidationError([fault | {"loc": (where, *fault["loc"])} for fault in faults])


def json_response(body: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """JSON text as it is."""
    return Response(body, status, headers, media_type=JSON)


@contextmanager
def without_collector() -> Iterator[None]:
    """Let Python's collector rest: it took half the time of 10,000 rows, half a million objects without a cycle (2026-11)."""
    global _resting  # noqa: PLW0603  (the collector is one for the process)
    _resting += 1
    gc.disable()
    try:
        yield
    finally:
        _resting -= 1
        if not _resting:
            gc.enable()


_resting = 0
