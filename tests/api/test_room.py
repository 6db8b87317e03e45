"""Large bodies share a room: in order, never more than there is, and nobody keeps it who does not send."""

import asyncio
import json
import random
from collections.abc import AsyncIterator

import pytest
from starlette.types import Message, Receive, Scope, Send

from homedex.api.requests import Requests
from homedex.api.room import Room, in_time
from homedex.errors import Busy, MalformedBody

pytestmark = pytest.mark.anyio


async def turns(count: int = 3) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def hold(room: Room, size: int, name: str, held: list[str], until: asyncio.Event) -> None:
    async with room.taken(size):
        held.append(name)
        try:
            await until.wait()
        finally:
            held.remove(name)


@pytest.mark.parametrize(
    ("last", "leaves", "left"),
    [(1, 0, ["b", "c"]), (4, 1, ["a", "c"])],
    ids=["one that goes makes room for the next and for whoever fits beside it", "one that gives up lets those behind it in"],
)
async def test_who_came_first_is_first_and_nobody_passes_by(last: int, leaves: int, left: list[str]) -> None:
    room, held, done = Room(10), list[str](), asyncio.Event()
    tasks = [asyncio.create_task(hold(room, size, name, held, done)) for name, size in (("a", 6), ("b", 5), ("c", last))]
    await turns()
    assert held == ["a"]  # there is room for c, but b was before it
    tasks[leaves].cancel()
    await turns()
    assert held == left
    done.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert room.free_bytes == 10


async def test_one_that_gives_up_in_the_turn_in_which_another_leaves_is_no_error() -> None:
    room, held, done = Room(10), list[str](), asyncio.Event()
    tasks = [asyncio.create_task(hold(room, 10, name, held, done)) for name in ("a", "b", "c")]
    await turns()
    tasks[0].cancel()
    tasks[1].cancel()
    await turns()
    assert held == ["c"]
    done.set()
    fates = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(fate) for fate in fates] == [asyncio.CancelledError, asyncio.CancelledError, type(None)]
    assert room.free_bytes == 10


async def test_one_that_is_cancelled_as_it_gets_its_room_gives_it_back() -> None:
    room, held, done = Room(10), list[str](), asyncio.Event()
    first, second = (asyncio.create_task(hold(room, 10, name, held, done)) for name in ("a", "b"))
    await turns()
    done.set()
    await asyncio.sleep(0)  # "a" has left, "b" has its room and does not know
    second.cancel()
    await asyncio.gather(first, second, return_exceptions=True)
    assert (held, room.free_bytes) == ([], 10)


async def test_whoever_comes_goes_and_gives_up_there_is_never_more_than_there_is_room_for() -> None:
    room, dice, inside, most = Room(100, wait_s=0.01), random.Random(3), 0, 0  # noqa: S311  (repeatable)

    async def one(size: int) -> str:
        nonlocal inside, most
        try:
            async with room.taken(size):
                inside += min(size, 100)
                most = max(most, inside)
                try:
                    await asyncio.sleep(dice.random() / 200)
                finally:
                    inside -= min(size, 100)
                return "done"
        except Busy:
            return "busy"

    tasks = [asyncio.create_task(one(dice.randrange(1, 150))) for _ in range(300)]
    for task in tasks[::7]:
        await asyncio.sleep(0.0005)
        task.cancel()
    fates = {str(one) for one in await asyncio.gather(*tasks, return_exceptions=True)}
    assert "done" in fates
    assert (0 < most <= 100, inside, room.free_bytes) == (True, 0, 100)


def scope(**headers: str) -> Scope:
    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return {"type": "http", "method": "POST", "path": "/", "headers": pairs}


async def answer(app: Requests, receive: Receive, **headers: str) -> tuple[int, dict[str, str], str]:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope(**headers), receive, send)
    given = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], given, json.loads(sent[1]["body"])["detail"]


async def never() -> Message:
    await asyncio.Event().wait()
    raise AssertionError


@pytest.mark.parametrize("head", [{"content_length": "200000"}, {"transfer_encoding": "chunked"}])
async def test_a_large_body_for_which_there_is_no_room_in_time_is_busy_and_a_small_one_is_let_in(head: dict[str, str]) -> None:
    entered = asyncio.Event()

    async def app(_: Scope, __: Receive, ___: Send) -> None:
        entered.set()
        await never()

    requests = Requests(app, room=Room(100_000, wait_s=0.05))
    first = asyncio.create_task(answer(requests, never, content_length="100000"))
    await entered.wait()
    status, headers, detail = await answer(requests, never, **head)
    assert (status, headers["retry-after"], "other large bodies" in detail) == (503, "1", True)
    entered.clear()
    small = asyncio.create_task(answer(requests, never, content_length="10"))
    await asyncio.wait_for(entered.wait(), 5)
    for task in (first, small):
        task.cancel()
    await asyncio.gather(first, small, return_exceptions=True)


async def test_a_body_that_does_not_come_gives_its_room_back() -> None:
    async def parts() -> AsyncIterator[Message]:
        yield {"type": "http.request", "body": b"{", "more_body": True}
        await never()

    receive = in_time(parts().__anext__, limit_s=0.05)
    assert (await receive())["body"] == b"{"
    with pytest.raises(MalformedBody, match=r"did not come within 0\.05 s"):
        await receive()


async def test_after_its_body_a_request_may_take_as_long_as_it_does() -> None:
    async def parts() -> AsyncIterator[Message]:
        yield {"type": "http.request", "body": b"{}", "more_body": False}
        await asyncio.sleep(0.1)
        yield {"type": "http.disconnect"}

    receive = in_time(parts().__anext__, limit_s=0.05)
    await receive()
    assert (await receive())["type"] == "http.disconnect"
