"""The baseline: FastAPI on SQLite, or PostgreSQL, the way it is most often copied, written out here in our own words.

Nothing in it is slower than what people run, and nothing is mended. The pragmas are set on the sync engine, so the
async engine that serves runs without them; the dependency commits after `yield`, which since FastAPI 0.118 is after the
answer was sent; the pool is SQLAlchemy's default of 5 + 10 connections; times are naive. `pool_pre_ping`, which many copies
have, is left out: it would be one more round trip to PostgreSQL for each request.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Response, status
from pydantic import BaseModel, ConfigDict
from sqlalchemy import JSON, DateTime, ForeignKey, String, create_engine, event, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

DATABASE = os.environ.get("RECIPE_DATABASE", "sqlite+aiosqlite:///./recipe.db")
SQLITE = "sqlite+aiosqlite://"

engine = create_engine(
    DATABASE.replace(SQLITE, "sqlite://") if DATABASE.startswith(SQLITE) else "sqlite://", connect_args={"check_same_thread": False}
)
async_engine = create_async_engine(DATABASE)
SessionLocal = async_sessionmaker(async_engine, expire_on_commit=False)


@event.listens_for(engine, "connect")
def set_sqlite_pragmas(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.execute("PRAGMA cache_size=-64000")
    cursor.execute("PRAGMA temp_store=MEMORY")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.execute("PRAGMA busy_timeout=30000")
    cursor.close()


class Base(DeclarativeBase):
    """The recipe's metadata."""


class Device(Base):
    """A device."""

    __tablename__ = "devices"

    device_id: Mapped[str] = mapped_column(String(255), primary_key=True)
    name: Mapped[str | None] = mapped_column(String(255))
    name_by_user: Mapped[str | None] = mapped_column(String(255))
    manufacturer: Mapped[str | None] = mapped_column(String(255), index=True)
    model: Mapped[str | None] = mapped_column(String(255))
    model_id: Mapped[str | None] = mapped_column(String(255))
    area_id: Mapped[str | None] = mapped_column(String(255), index=True)
    integration: Mapped[str | None] = mapped_column(String(255), index=True)
    sw_version: Mapped[str | None] = mapped_column(String(255))
    hw_version: Mapped[str | None] = mapped_column(String(255))
    serial_number: Mapped[str | None] = mapped_column(String(255))
    entry_type: Mapped[str | None] = mapped_column(String(255))
    configuration_url: Mapped[str | None] = mapped_column(String(1024))
    via_device_id: Mapped[str | None] = mapped_column(String(255))
    parent_device_id: Mapped[str | None] = mapped_column(String(255))
    disabled_by: Mapped[str | None] = mapped_column(String(255))
    labels: Mapped[list[Any]] = mapped_column(JSON, default=list)
    identifiers: Mapped[list[Any]] = mapped_column(JSON, default=list)
    connections: Mapped[list[Any]] = mapped_column(JSON, default=list)
    last_seen: Mapped[datetime | None] = mapped_column(DateTime)
    created_at: Mapped[datetime] = mapped_column(DateTime, default=datetime.utcnow)
    updated_at: Mapped[datetime] = mapped_column(DateTime, default=datetime.utcnow, onupdate=datetime.utcnow)

    entities: Mapped[list["Entity"]] = relationship(back_populates="device", cascade="all, delete-orphan")


class Entity(Base):
    """What a device measures or does."""

    __tablename__ = "entities"

    entity_id: Mapped[str] = mapped_column(String(255), primary_key=True)
    device_id: Mapped[str] = mapped_column(ForeignKey("devices.device_id"), index=True)
    domain: Mapped[str] = mapped_column(String(64))
    platform: Mapped[str | None] = mapped_column(String(64))
    name: Mapped[str | None] = mapped_column(String(255))
    disabled: Mapped[bool] = mapped_column(default=False)

    device: Mapped[Device] = relationship(back_populates="entities")


class DeviceIn(BaseModel):
    """What a client sends."""

    name: str | None = None
    name_by_user: str | None = None
    manufacturer: str | None = None
    model: str | None = None
    model_id: str | None = None
    area_id: str | None = None
    integration: str | None = None
    sw_version: str | None = None
    hw_version: str | None = None
    serial_number: str | None = None
    entry_type: str | None = None
    configuration_url: str | None = None
    via_device_id: str | None = None
    parent_device_id: str | None = None
    disabled_by: str | None = None
    labels: list[str] = []
    identifiers: list[list[str]] = []
    connections: list[list[str]] = []


class DeviceOut(DeviceIn):
    """What a client gets."""

    model_config = ConfigDict(from_attributes=True)

    device_id: str
    last_seen: datetime | None
    created_at: datetime
    updated_at: datetime


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    if DATABASE.startswith(SQLITE):
        Base.metadata.create_all(engine)
    else:
        async with async_engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
    yield
    await async_engine.dispose()


app = FastAPI(lifespan=lifespan)


async def get_db() -> AsyncIterator[AsyncSession]:
    async with SessionLocal() as session:
        try:
            yield session
            await session.commit()
        except Exception:
            await session.rollback()
            raise


Db = Annotated[AsyncSession, Depends(get_db)]


@app.get("/devices", response_model=list[DeviceOut])
async def list_devices(db: Db, skip: int = 0, limit: int = 50) -> Any:
    found = await db.execute(select(Device).order_by(Device.device_id).offset(skip).limit(limit))
    return found.scalars().all()


@app.get("/devices/{device_id}", response_model=DeviceOut)
async def get_device(device_id: str, db: Db) -> Any:
    device = await db.get(Device, device_id)
    if device is None:
        raise HTTPException(status.HTTP_404_NOT_FOUND, "Device not found")
    return device


@app.put("/devices/{device_id}", response_model=DeviceOut)
async def put_device(device_id: str, body: DeviceIn, db: Db, response: Response) -> Any:
    device = await db.get(Device, device_id)
    if device is None:
        device = Device(device_id=device_id)
        db.add(device)
        response.status_code = status.HTTP_201_CREATED
    for field, value in body.model_dump().items():
        setattr(device, field, value)
    await db.flush()
    return device
