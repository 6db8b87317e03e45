"""The models of both sides, as people write them."""

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """The metadata of both sides."""


class Device(Base):
    """A device."""

    __tablename__ = "devices"

    device_id: Mapped[str] = mapped_column(String(255), primary_key=True)
    name: Mapped[str] = mapped_column(String(8000), default="")
    readings: Mapped[int] = mapped_column(default=0, index=True)


class Entity(Base):
    """What a device measures or does."""

    __tablename__ = "entities"

    entity_id: Mapped[str] = mapped_column(String(255), primary_key=True)
    device_id: Mapped[str] = mapped_column(ForeignKey("devices.device_id", ondelete="CASCADE", name="fk_device"))
