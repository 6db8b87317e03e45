"""An ORM session inside a query function."""

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import Connection, func, select
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from homedex.storage.database import Database
from homedex.storage.orm import session_on

pytestmark = pytest.mark.anyio


class Base(DeclarativeBase):
    pass


class Thing(Base):
    __tablename__ = "things"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)


def add(connection: Connection, *names: str) -> list[Thing]:
    with session_on(connection) as session:
        things = [Thing(name=name) for name in names]
        session.add_all(things)
    return things


def get(connection: Connection, thing_id: int) -> Thing | None:
    with session_on(connection) as session:
        return session.get(Thing, thing_id)


def count(connection: Connection) -> int:
    return connection.scalar(select(func.count()).select_from(Thing)) or 0


@pytest.fixture
async def db(empty: str) -> AsyncIterator[Database]:
    opened = Database.open(empty)
    await opened.write(Base.metadata.create_all)
    yield opened
    await opened.close()


async def test_objects_are_written_and_read_in_one_hop_each(db: Database) -> None:
    things = await db.write(add, "lamp", "switch")
    found = await db.read(get, things[1].id)
    assert found is not None
    assert (found.name, found.id) == ("switch", things[1].id)


async def test_what_breaks_a_rule_is_an_error_and_touches_nobody_else(db: Database) -> None:
    await db.write(add, "lamp")
    with pytest.raises(IntegrityError):
        await db.write(add, "door", "lamp")
    assert await db.read(count) == 1


async def test_an_object_of_another_session_is_refused(db: Database) -> None:
    (thing,) = await db.write(add, "lamp")

    def again(connection: Connection, *, merged: bool) -> None:
        with session_on(connection) as session:
            thing.name = "door"
            if merged:
                session.merge(thing)
            else:
                session.add(thing)  # run twice, it would send nothing the second time

    with pytest.raises(RuntimeError, match="inside the function"):
        await db.write(again, merged=False)
    await db.write(again, merged=True)
    assert await db.read(lambda connection: connection.scalar(select(Thing.name))) == "door"


async def test_commit_in_it_is_no_commit(db: Database) -> None:
    def commit_and_fail(connection: Connection) -> None:
        with session_on(connection) as session:
            session.add(Thing(name="lamp"))
            session.commit()
        raise LookupError

    with pytest.raises(LookupError):
        await db.write(commit_and_fail)
    assert await db.read(count) == 0


async def test_rollback_in_it_undoes_the_block_alone(db: Database) -> None:
    def roll_back(connection: Connection) -> None:
        add(connection, "lamp")
        with session_on(connection) as session:
            session.add(Thing(name="switch"))
            session.flush()
            session.rollback()
        with pytest.raises(IntegrityError), session_on(connection) as session:
            session.add_all([Thing(name="door"), Thing(name="lamp")])
        add(connection, "window")

    await db.write(roll_back)
    assert await db.read(lambda connection: connection.scalars(select(Thing.name).order_by(Thing.id)).all()) == ["lamp", "window"]


async def test_where_it_may_only_read_it_writes_nothing(db: Database) -> None:
    with pytest.raises(DBAPIError):
        await db.read(add, "lamp")
    assert await db.read(count) == 0
