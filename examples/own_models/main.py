import asyncio
import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from fastapi import FastAPI
from pydantic import BaseModel
from sqlalchemy import select

from homedex.fastapi import ReadSession, WriteSession, answer_errors, sessions_lifespan
from homedex.storage import BackupFolder, Shape, create_backup, target_of
from models import Base, Device, Entity

HERE = Path(__file__).parent
TARGET = target_of(os.environ.get("DATABASE_URL", f"sqlite:///{HERE}/app.db"))
SHAPE = Shape(Base.metadata, HERE / "migrations", program="own models 1.0")

app = FastAPI(lifespan=sessions_lifespan(TARGET, migrations=HERE / "migrations"))
answer_errors(app)


class NewDevice(BaseModel):
    name: str
    area: str | None = None
    entity_ids: list[str] = []


class DeviceOut(NewDevice, from_attributes=True):
    id: int
    updated_at: datetime


@app.get("/devices", response_model=list[DeviceOut])
async def list_devices(session: ReadSession, after: int = 0, limit: int = 50) -> Sequence[Device]:
    return (await session.scalars(select(Device).where(Device.id > after).order_by(Device.id).limit(limit))).all()


@app.get("/devices/{device_id}", response_model=DeviceOut)
async def get_device(session: ReadSession, device_id: int) -> Device:
    return await session.get_one(Device, device_id)


@app.post("/devices", response_model=DeviceOut, status_code=201)
async def create_device(session: WriteSession, new: NewDevice) -> Device:
    device = Device(name=new.name, area=new.area, entities=[Entity(entity_id=one) for one in new.entity_ids])
    session.add(device)
    await session.flush()
    return device


@app.patch("/devices/{device_id}", response_model=DeviceOut)
async def move_device(session: WriteSession, device_id: int, area: str | None = None) -> Device:
    device = await session.get_one(Device, device_id)
    device.area = area
    await session.flush()
    return device


@app.post("/backups", status_code=201)
async def back_up() -> str:
    return (await asyncio.to_thread(create_backup, TARGET, BackupFolder(HERE / "backups"), SHAPE)).backup.name
