"""Answers kept as long as nothing changes, and not sent to who has them: a plain ASGI layer outside the framework.

An answer is kept under what decides it: path, query, `Accept`, and the revision of the database before it was made. SQLite counts
everybody's commits, so what is kept is what the database would say now, whoever wrote: this process, another, or a shell.

Routes say which of their answers hang on the database alone (`depends_on_database_alone`). What hangs on the clock too, streams and
errors are not kept. Nothing here needs an `Age`: an answer is looked at before it is sent, so it is as new as one just made.
"""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass
from http import HTTPStatus
from typing import NamedTuple

from fastapi import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from homedex.api import problems
from homedex.api.conditions import has_tag
from homedex.errors import Busy, Invalid
from homedex.storage.database import Database

CACHED = "/api/v1/"
OVERHEAD_BYTES = 1000
"""What an answer takes beside its body: key, headers, and their objects."""

Headers = list[tuple[bytes, bytes]]


class Question(NamedTuple):
    """What decides an answer, at one revision. HEAD is answered as GET is: the server leaves the body out."""

    path: str
    query: bytes
    accept: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """A 200 in one piece."""

    headers: Headers
    body: bytes


def size_of(question: Question, answer: Answer) -> int:
    """About how much memory an answer takes that is kept, in bytes."""
    said = sum(len(name) + len(value) for name, value in answer.headers)
    return len(answer.body) + said + len(question.path) + len(question.query) + len(question.accept) + OVERHEAD_BYTES


@dataclass(frozen=True, slots=True)
class Asked:
    """A question that the app is answering, and the revision before it began."""

    revision: str
    answer: asyncio.Future[Answer | None]


class Cache:
    """In front of an app, keeps what it answers until the database changes, and answers 304 to who has it.

    Nobody gets less than was committed when they asked. A question is asked once at a time: who asks it meanwhile, and has seen
    no commit since it was asked, waits for that answer.

    Args:
        app: what answers.
        database: whose revision decides.
        limit_bytes: how much is kept; what was asked for longest ago goes first. 0: nothing, and every question goes to the app.
    """

    def __init__(self, app: ASGIApp, database: Database, limit_bytes: int) -> None:
        self.app, self.database, self.limit_bytes = app, database, limit_bytes
        self.kept_bytes = 0
        self._revision: str | None = None
        self._kept: OrderedDict[Question, Answer] = OrderedDict()
        self._asked: dict[Question, Asked] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with what is kept, else have the app answer."""
        if scope["type"] != "http" or scope["method"] not in {"GET", "HEAD"} or not scope["path"].startswith(CACHED):
            await self.app(scope, receive, send)
            return
        accept, known = _accept_and_known(scope["headers"])
        if known:
            try:
                send = _unless_known(known, send)
            except Invalid as error:
                await problems.document(Request(scope), error)(scope, receive, send)
                return
        revision = self._look() if self.limit_bytes else None
        if revision is None:
            await self.app(scope, receive, send)
            return
        question = Question(scope["path"], scope["query_string"], accept)
        answer = self._kept.get(question)
        if answer is not None:
            self._kept.move_to_end(question)
        else:
            asked = self._asked.get(question)
            if asked is None or asked.revision != revision:
                await self._ask(question, revision, scope, receive, send)
                return
            answer = await asyncio.shield(asked.answer)  # the others wait on, if this one gives up
            if answer is None:
                await self.app(scope, receive, send)
                return
        await send({"type": "http.response.start", "status": 200, "headers": answer.headers})
        await send({"type": "http.response.body", "body": answer.body})

    def _look(self) -> str | None:
        """The revision now, or None where there is none any more; what was kept at another is forgotten."""
        try:
            revision = self.database.revision
        except Busy:  # it is being closed
            return None
        if revision != self._revision:
            self._revision, self.kept_bytes = revision, 0
            self._kept.clear()
        return revision

    async def _ask(self, question: Question, revision: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Have the app answer, and give its answer to all who ask the same meanwhile."""
        asked = self._asked[question] = Asked(revision, asyncio.get_running_loop().create_future())
        head: Message = {}

        def settle(answer: Answer | None) -> None:
            if self._asked.get(question) is asked:
                del self._asked[question]
            if not asked.answer.done():
                asked.answer.set_result(answer)

        async def settle_and_send(message: Message) -> None:
            nonlocal head
            if message["type"] == "http.response.start":
                head = {"status": message["status"], "headers": message["headers"]}
            elif not asked.answer.done():
                answer = None
                if head["status"] == HTTPStatus.OK and not message.get("more_body") and scope["state"].get("cacheable"):
                    answer = Answer(head["headers"], message["body"])
                    self._keep(question, revision, answer)
                settle(answer)  # before it is sent: nobody waits for somebody else's slow client
            await send(message)

        try:
            await self.app(scope, receive, settle_and_send)
        finally:
            settle(None)

    def _keep(self, question: Question, revision: str, answer: Answer) -> None:
        """Keep an answer, unless something was committed while it was made: nobody knows whether it is from before."""
        size = size_of(question, answer)
        if size > self.limit_bytes // 4 or self._look() != revision or question in self._kept:
            return
        self._kept[question] = answer
        self.kept_bytes += size
        while self.kept_bytes > self.limit_bytes:
            self.kept_bytes -= size_of(*self._kept.popitem(last=False))


def depends_on_database_alone(request: Request) -> None:
    """Say that the answer to this request stays the same until the database changes."""
    request.scope["state"]["cacheable"] = True


def _accept_and_known(headers: Headers) -> tuple[bytes, str]:
    """What the client takes, and which answers it has (If-None-Match)."""
    accept = known = b""
    for name, value in headers:
        if name == b"accept":
            accept = accept + b"," + value if accept else value
        elif name == b"if-none-match":
            known = known + b"," + value if known else value
    return accept, known.decode("latin-1")


def _unless_known(known: str, send: Send) -> Send:
    """A way to send that makes 304 of an answer that the client has.

    Raises:
        Invalid: the client's word for what it has makes no sense.
    """
    has_tag(known, "")
    unchanged = False

    async def send_unless_known(message: Message) -> None:
        nonlocal unchanged
        if message["type"] == "http.response.start":
            headers = message["headers"]
            tag = next((value.decode("latin-1") for name, value in headers if name == b"etag"), None)
            unchanged = message["status"] == HTTPStatus.OK and tag is not None and has_tag(known, tag)
            if unchanged:
                kept = [(name, value) for name, value in headers if not name.startswith(b"content-")]
                message = {**message, "status": HTTPStatus.NOT_MODIFIED.value, "headers": kept}
        elif unchanged:
            if message.get("more_body"):
                return
            message = {"type": "http.response.body", "body": b""}
        await send(message)

    return send_unless_known
