from datetime import UTC, datetime

from sqlalchemy import ForeignKey, MetaData
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from homedex.storage import UtcDateTime


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention={"fk": "fk_%(column_0_label)s", "uq": "uq_%(column_0_label)s"})
    type_annotation_map = {datetime: UtcDateTime()}


class Device(Base):
    __tablename__ = "devices"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    area: Mapped[str | None]
    updated_at: Mapped[datetime] = mapped_column(default=lambda: datetime.now(UTC), onupdate=lambda: datetime.now(UTC))
    entities: Mapped[list["Entity"]] = relationship(lazy="selectin", cascade="all, delete-orphan")

    @property
    def entity_ids(self) -> list[str]:
        return [entity.entity_id for entity in self.entities]


class Entity(Base):
    __tablename__ = "entities"

    entity_id: Mapped[str] = mapped_column(primary_key=True)
    device_id: Mapped[int] = mapped_column(ForeignKey("devices.id", ondelete="CASCADE"))
