"""The least a server can do: the bytes that Homedex has answered, from memory, by a bare ASGI function and by FastAPI routes.

`CONSTANT_BODIES` names a JSON file of path -> body; both apps answer the same bytes to the same request that Homedex did.
"""

import json
import os
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Response

LIST = "/api/v1/devices"
BODIES = {path: body.encode() for path, body in json.loads(Path(os.environ["CONSTANT_BODIES"]).read_text()).items()}

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

fastapi = FastAPI()


async def bare(scope: MutableMapping[str, Any], _receive: Any, send: Send) -> None:
    if scope["type"] != "http":
        return
    body = BODIES[scope["path"]]
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@fastapi.get(LIST)
async def list_devices() -> Response:
    return Response(BODIES[LIST], media_type="application/json")


@fastapi.get(LIST + "/{device_id}")
async def get_device(device_id: str) -> Response:
    return Response(BODIES[f"{LIST}/{device_id}"], media_type="application/json")
