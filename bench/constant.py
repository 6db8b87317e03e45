"""A bare ASGI function that answers constant bytes: the most that uvicorn can do, and a check of the load client."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

BODY = b'{"device_id":"bench-000000"}'
HEADERS = [(b"content-type", b"application/json"), (b"content-length", str(len(BODY)).encode())]

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


async def app(scope: MutableMapping[str, Any], _receive: Any, send: Send) -> None:
    if scope["type"] != "http":
        return
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": BODY})
