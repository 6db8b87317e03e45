"""The same service on the storage room."""

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, HTTPException
from fastapi.responses import StreamingResponse
from pydantic import BaseModel
from sqlalchemy import create_engine, select

from homedex.fastapi import ReadSession, WriteSession, answer_errors
from homedex.storage.sessions import Sessions
from proof.models import Base, Device

DATABASE_PATH = os.environ.get("DATABASE_PATH", "./app.db")


def make_tables(path: str) -> None:
    engine = create_engine(f"sqlite+apsw:///{path}")
    Base.metadata.create_all(engine)
    engine.dispose()


@asynccontextmanager
async def opened(path: str = DATABASE_PATH) -> AsyncIterator[Sessions]:
    make_tables(path)
    sessions = Sessions.open(path)
    try:
        yield sessions
    finally:
        await sessions.close()


class DeviceIn(BaseModel):
    """What a client sends."""

    device_id: str
    name: str = ""


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[Mapping[str, Any]]:
    async with opened() as sessions:
        yield {"sessions": sessions}


app = FastAPI(lifespan=lifespan)
answer_errors(app)


@app.post("/devices", status_code=201)
async def create_device(body: DeviceIn, session: WriteSession) -> DeviceIn:
    session.add(Device(device_id=body.device_id, name=body.name))
    return body


@app.get("/devices")
async def list_devices(session: ReadSession) -> list[str]:
    return list(await session.scalars(select(Device.name).order_by(Device.device_id)))


@app.post("/devices/{device_id}/export")
async def export_device(device_id: str, session: WriteSession) -> StreamingResponse:
    device = await session.get(Device, device_id)
    if device is None:
        raise HTTPException(404, "Device not found")
    device.readings += 1
    await session.flush()

    async def lines() -> AsyncIterator[str]:
        for _ in range(1000):
            yield device.name + "\n"

    return StreamingResponse(lines())


async def count_up(sessions: Sessions, device_id: str) -> None:
    async with sessions.write() as session:
        device = await session.get_one(Device, device_id)
        device.readings += 1
