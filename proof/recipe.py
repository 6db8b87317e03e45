"""FastAPI on SQLite the way it is most often copied, written out here in our own words. Nothing in it is mended."""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException
from fastapi.responses import StreamingResponse
from pydantic import BaseModel
from sqlalchemy import Connection, DateTime, Engine, create_engine, event, select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import Mapped, mapped_column

from proof.models import Base, Device

DATABASE_PATH = os.environ.get("DATABASE_PATH", "./app.db")


def make_engine(path: str) -> Engine:
    made = create_engine(f"sqlite:///{path}", connect_args={"check_same_thread": False})
    event.listen(made, "connect", set_sqlite_pragmas)
    return made


def set_sqlite_pragmas(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.execute("PRAGMA cache_size=-64000")
    cursor.execute("PRAGMA temp_store=MEMORY")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.execute("PRAGMA busy_timeout=30000")
    cursor.close()


engine = make_engine(DATABASE_PATH)
async_engine = create_async_engine(f"sqlite+aiosqlite:///{DATABASE_PATH}")
SessionLocal = async_sessionmaker(async_engine, expire_on_commit=False)


class Sighting(Base):
    """When a device was seen."""

    __tablename__ = "sightings"

    id: Mapped[int] = mapped_column(primary_key=True)
    seen_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    created_at: Mapped[datetime] = mapped_column(DateTime, default=datetime.utcnow)


async def get_db() -> AsyncIterator[AsyncSession]:
    async with SessionLocal() as session:
        try:
            yield session
            await session.commit()
        except Exception:
            await session.rollback()
            raise


Db = Annotated[AsyncSession, Depends(get_db)]


class DeviceIn(BaseModel):
    """What a client sends."""

    device_id: str
    name: str = ""


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    Base.metadata.create_all(engine)
    yield
    await async_engine.dispose()


app = FastAPI(lifespan=lifespan)


@app.post("/devices", status_code=201)
async def create_device(body: DeviceIn, db: Db) -> DeviceIn:
    db.add(Device(device_id=body.device_id, name=body.name))
    return body


@app.get("/devices")
async def list_devices(db: Db) -> list[str]:
    return list(await db.scalars(select(Device.name).order_by(Device.device_id)))


@app.post("/devices/{device_id}/export")
async def export_device(device_id: str, db: Db) -> StreamingResponse:
    device = await db.get(Device, device_id)
    if device is None:
        raise HTTPException(404, "Device not found")
    device.readings += 1
    await db.flush()

    async def lines() -> AsyncIterator[str]:
        for _ in range(1000):
            yield device.name + "\n"

    return StreamingResponse(lines())


async def count_up(device_id: str) -> None:
    async with SessionLocal() as session:
        device = await session.get_one(Device, device_id)
        device.readings += 1
        await session.commit()


def begin_for_real(engine: AsyncEngine) -> None:
    """What the documentation advises against lost updates ("Enabling Non-Legacy SQLite Transactional Modes")."""

    @event.listens_for(engine.sync_engine, "connect")
    def do_connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None

    @event.listens_for(engine.sync_engine, "begin")
    def do_begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN")


def backup(to: str) -> None:
    shutil.copy2(DATABASE_PATH, to)
    if os.path.exists(f"{DATABASE_PATH}-wal"):
        shutil.copy2(f"{DATABASE_PATH}-wal", f"{to}-wal")
