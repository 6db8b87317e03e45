"""What happens to a request before and after the app: its id, whether it is let in, and its line in the log."""

import asyncio
import logging
import re
from collections.abc import Container
from contextlib import AsyncExitStack
from http import HTTPStatus
from itertools import count
from secrets import token_hex
from time import perf_counter

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from homedex.api import logs, problems
from homedex.api.deps import LARGEST_BODY_BYTES
from homedex.api.room import SMALL_BODY_BYTES, Room, in_time
from homedex.errors import Busy, HomedexError, HostNotAllowed, NoSuchPage, TooLarge

log = logging.getLogger(__name__)

GIVEN_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
HOST = re.compile(rb"(\[[0-9a-fA-F:.]+\]|[^:\[\]]+)(?::[0-9]*)?")
STOPPED = "the service stopped before the answer was ready. Once it is back, look whether the request was carried out."


class Requests:
    """Around the whole app, the framework's own error handling included, so that no answer leaves without its request's id.

    Args:
        app: what answers.
        allowed_hosts: the names it may be asked by, in lower case and without a port; None means any. A web page can give its
            own name our address (DNS rebinding) and read everything from a browser on this machine; but it asks by that name.
        access_log: a line for every request, not only for those that failed by our fault.
        room: for the large bodies of all requests.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        allowed_hosts: Container[str] | None = None,
        access_log: bool = False,
        room: Room | None = None,
    ) -> None:
        self.app = app
        self.room = room or Room()
        self.allowed_hosts = allowed_hosts
        self.access_log = access_log
        # Random bytes for each request would be a system call for each: 120 us where those are slow (2026-11).
        self.process_id, self.numbers = token_hex(4), count()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; an error that nobody caught ends here, in the log, since its answer is sent."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, status, bug = perf_counter(), 0, None
        headers = dict(scope["headers"])
        given = headers.get(b"x-request-id", b"")
        request_id = given.decode() if GIVEN_ID.fullmatch(given) else f"{self.process_id}{next(self.numbers):08x}"
        scope.setdefault("state", {})["request_id"] = request_id
        logs.request_id.set(request_id)

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", request_id.encode())]
            await send(message)

        try:
            refusal = await self.let_in(headers, scope, receive, send_with_id)
            if refusal is not None:
                await problems.document(Request(scope), refusal)(scope, receive, send_with_id)
        except asyncio.CancelledError:  # the service stops and waits no longer; the server would answer in plain text
            if not status:
                await problems.document(Request(scope), HomedexError(STOPPED))(scope, receive, send_with_id)
            raise
        except Exception as error:  # noqa: BLE001  (logged below, once)
            bug = error
        finally:
            if bug or status >= HTTPStatus.INTERNAL_SERVER_ERROR or self.access_log:
                log_answer(scope, status, perf_counter() - began, bug)

    async def let_in(self, headers: dict[bytes, bytes], scope: Scope, receive: Receive, send: Send) -> HomedexError | None:
        """Hand a request to the app, one with a large body once there is room for it; why not, if it is refused."""
        refusal, size = self.refusal(scope["path"], headers), body_bytes(headers)
        if refusal is not None:
            return refusal
        if size <= SMALL_BODY_BYTES:
            await self.app(scope, receive, send)
            return None
        async with AsyncExitStack() as stack:
            try:
                await stack.enter_async_context(self.room.taken(size))
            except Busy as error:
                return error

            async def send_on(message: Message) -> None:
                await stack.aclose()  # the body is worked off: whoever is slow to take the answer holds no room for it
                await send(message)

            await self.app(scope, in_time(receive), send_on)
            return None

    def refusal(self, path: str, headers: dict[bytes, bytes]) -> HomedexError | None:
        """Why this request does not reach the app, judged by its head alone."""
        if "\0" in path:  # in no id; PostgreSQL refuses to hear of such a text
            return NoSuchPage("no address has a NUL (%00) in it.")
        length = headers.get(b"content-length", b"")
        if length.isdigit() and int(length) > LARGEST_BODY_BYTES:
            return TooLarge(f"the body has {int(length)} bytes, and may have {LARGEST_BODY_BYTES} at most.")
        if self.allowed_hosts is not None:
            host = headers.get(b"host", b"")
            name = HOST.fullmatch(host)
            if name is None or name[1].lower().decode("latin-1") not in self.allowed_hosts:
                said = repr(host[:255].decode("latin-1")) if host else "nothing"
                return HostNotAllowed(
                    f"this service does not go by the name of {said}. If it should, add the name to HOMEDEX_ALLOWED_HOSTS."
                )
        return None


def body_bytes(headers: dict[bytes, bytes]) -> int:
    """How large a body may become, by what its head says."""
    length = headers.get(b"content-length", b"")
    if length.isdigit():
        return int(length)
    return LARGEST_BODY_BYTES if b"transfer-encoding" in headers else 0


def log_answer(scope: Scope, status: int, duration_s: float, bug: Exception | None) -> None:
    """One line on how a request ended; with the trace behind it, where something of ours broke."""
    failed = bug is not None or status >= HTTPStatus.INTERNAL_SERVER_ERROR
    problem: HomedexError | None = scope["state"].get("problem")
    fields = {
        "method": scope["method"],
        "path": problems.path_of(scope),
        "status": status,
        "slug": problem.slug if problem else "-",
        "duration_ms": round(duration_s * 1000, 1),
    }
    message = "{method} {path} {status} {slug} {duration_ms} ms".format(**fields)
    if failed and problem:
        message += f": {problem.detail}"
    trace = bug or (problem.__cause__ if failed and problem else None)
    log.log(logging.ERROR if failed else logging.INFO, "%s", message, exc_info=trace, extra={"fields": fields})
