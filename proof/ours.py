"""The same service on the storage room."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import StreamingResponse
from proof.models import Base, Device
from pydantic import BaseModel
from sqlalchemy import Connection, insert, select, update

from homedex.storage.database import Database
from homedex.storage.engine import create_engine
from homedex.storage.sqlite import Options

DATABASE_PATH = os.environ.get("DATABASE_PATH", "./app.db")


def make_tables(path: str) -> None:
    engine = create_engine(path, Options())
    Base.metadata.create_all(engine)
    engine.dispose()


class DeviceIn(BaseModel):
    """What a client sends."""

    device_id: str
    name: str = ""


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    make_tables(DATABASE_PATH)
    app.state.db = Database.open(DATABASE_PATH)
    yield
    await app.state.db.close()


app = FastAPI(lifespan=lifespan)


def add_device(connection: Connection, device: DeviceIn) -> None:
    connection.execute(insert(Device).values(device_id=device.device_id, name=device.name))


def names(connection: Connection) -> list[str]:
    return list(connection.scalars(select(Device.name).order_by(Device.device_id)))


def counted_up(connection: Connection, device_id: str) -> str | None:
    """The device's name, with one reading more."""
    found = connection.execute(select(Device.name, Device.readings).where(Device.device_id == device_id)).first()
    if found is None:
        return None
    connection.execute(update(Device).where(Device.device_id == device_id).values(readings=found.readings + 1))
    return str(found.name)


@app.post("/devices", status_code=201)
async def create_device(body: DeviceIn, request: Request) -> DeviceIn:
    await request.app.state.db.write(add_device, body)
    return body


@app.get("/devices")
async def list_devices(request: Request) -> Any:
    return await request.app.state.db.read(names)


@app.post("/devices/{device_id}/export")
async def export_device(device_id: str, request: Request) -> StreamingResponse:
    name = await request.app.state.db.write(counted_up, device_id)
    if name is None:
        raise HTTPException(404, "Device not found")

    async def lines() -> AsyncIterator[str]:
        for _ in range(1000):
            yield name + "\n"

    return StreamingResponse(lines())
