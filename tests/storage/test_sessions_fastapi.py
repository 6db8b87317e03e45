"""The dependencies of homedex.fastapi: an answer of success is a commit."""

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from fastapi import BackgroundTasks, FastAPI, HTTPException
from sqlalchemy import ForeignKey, func, select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from homedex.fastapi import ReadSession, WriteSession, answer_errors, sessions_lifespan
from homedex.storage.sessions import Sessions
from threads import until_sessions_end

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
async def no_thread_is_left() -> AsyncIterator[None]:
    yield
    await until_sessions_end()


class Base(DeclarativeBase):
    pass


class Room(Base):
    __tablename__ = "rooms"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    within: Mapped[int | None] = mapped_column(ForeignKey("rooms.id", deferrable=True, initially="DEFERRED"))


def app_on(target: str, **settings: Any) -> FastAPI:
    app = FastAPI(lifespan=sessions_lifespan(target, **settings))
    answer_errors(app)

    @app.post("/rooms", status_code=201)
    async def create(session: WriteSession, name: str, within: int | None = None) -> int:
        room = Room(name=name, within=within)
        session.add(room)
        await session.flush()
        return room.id

    @app.post("/rooms/refused", status_code=201)
    async def refuse(session: WriteSession) -> None:
        session.add(Room(name="refused"))
        await session.flush()
        raise HTTPException(418)

    @app.post("/rooms/slow", status_code=201)
    async def slow(session: WriteSession) -> None:
        session.add(Room(name="slow"))
        await session.flush()
        await asyncio.sleep(1)

    @app.post("/rooms/later", status_code=201)
    async def later(session: WriteSession, tasks: BackgroundTasks) -> None:
        session.add(Room(name="later"))
        tasks.add_task(asyncio.sleep, 3)

    @app.get("/rooms")
    async def count(session: ReadSession) -> int:
        return await session.scalar(select(func.count()).select_from(Room)) or 0

    @app.get("/rooms/{room_id}")
    async def get(session: ReadSession, room_id: int) -> str:
        return (await session.get_one(Room, room_id)).name

    return app


@pytest.fixture
async def client(empty: str) -> AsyncIterator[httpx.AsyncClient]:
    async with made(empty) as opened:
        yield opened


class made:  # noqa: N801  (a context manager, called as a function)
    """A client of the app on a database with its tables."""

    def __init__(self, target: str, **settings: Any) -> None:
        self.target, self.settings = target, settings

    async def __aenter__(self) -> httpx.AsyncClient:
        sessions = Sessions.open(self.target)
        async with sessions.write() as session:
            await session.run_sync(lambda sync: Base.metadata.create_all(sync.connection()))
        await sessions.close()
        app = app_on(self.target, **self.settings)
        self.lifespan = app.router.lifespan_context(app)
        state = await self.lifespan.__aenter__()

        async def with_state(scope: Any, receive: Any, send: Any) -> None:
            await app(scope | {"state": dict(state or {})}, receive, send)

        transport = httpx.ASGITransport(with_state, raise_app_exceptions=False)
        self.client = httpx.AsyncClient(transport=transport, base_url="http://test")
        return self.client

    async def __aexit__(self, *error: object) -> None:
        await self.client.aclose()
        await self.lifespan.__aexit__(None, None, None)


async def test_what_is_answered_is_committed(client: httpx.AsyncClient) -> None:
    assert (await client.post("/rooms?name=hall")).status_code == 201
    assert (await client.get("/rooms")).json() == 1


async def test_a_commit_that_fails_is_no_success(client: httpx.AsyncClient) -> None:
    answer = await client.post("/rooms?name=hall&within=404")  # a foreign key that COMMIT checks
    assert (answer.status_code, answer.headers["content-type"]) == (409, "application/problem+json")
    assert (await client.get("/rooms")).json() == 0


async def test_a_statement_that_fails_is_no_success(client: httpx.AsyncClient) -> None:
    assert (await client.post("/rooms?name=hall")).status_code == 201
    assert (await client.post("/rooms?name=hall")).status_code == 409
    assert (await client.get("/rooms")).json() == 1


async def test_what_is_not_there_is_404(client: httpx.AsyncClient) -> None:
    answer = await client.get("/rooms/1")
    assert (answer.status_code, answer.json()["title"]) == (404, "Not found")


async def test_a_route_that_raises_is_rolled_back(client: httpx.AsyncClient) -> None:
    assert (await client.post("/rooms/refused")).status_code == 418
    assert (await client.get("/rooms")).json() == 0


async def test_a_route_that_holds_its_turn_too_long_is_named(empty: str) -> None:
    async with made(empty, write_deadline_s=0.3) as client:
        answer = await client.post("/rooms/slow")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert "POST /rooms/slow" in answer.json()["detail"]
        assert (await client.get("/rooms")).json() == 0


async def test_it_is_committed_before_a_background_task_begins(empty: str) -> None:
    async with made(empty) as client:
        later = asyncio.create_task(client.post("/rooms/later"))  # answered by this transport when the task has ended
        for _ in range(100):
            await asyncio.sleep(0.01)
            if (await client.get("/rooms")).json() == 1:
                break
        assert not later.done()
        assert (await client.post("/rooms?name=hall")).status_code == 201  # nobody holds the turn
        assert not later.done()
        await later


async def test_without_its_lifespan_it_says_what_to_do() -> None:
    transport = httpx.ASGITransport(app_on("nowhere.db"))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        with pytest.raises(RuntimeError, match="sessions_lifespan"):
            await client.get("/rooms")


@pytest.mark.sqlite
async def test_the_lifespan_ends_every_thread(empty: str) -> None:
    async with made(empty) as client:
        await client.post("/rooms?name=hall")
        await client.get("/rooms")
        assert any(thread.name == "homedex-session" for thread in threading.enumerate())
    await until_sessions_end()


@pytest.mark.sqlite
async def test_it_migrates_first_where_it_is_told_to(empty: str, tmp_path: Path) -> None:
    scripts = tmp_path / "migrations"
    (scripts / "versions").mkdir(parents=True)
    (scripts / "env.py").write_text(
        "from alembic import context\n"
        "context.configure(connection=context.config.attributes['connection'], transactional_ddl=True)\n"
        "with context.begin_transaction():\n    context.run_migrations()\n"
    )
    (scripts / "versions" / "0001_start.py").write_text(
        "from alembic import op\nrevision, down_revision = '0001', None\n"
        "def upgrade():\n"
        "    op.execute('CREATE TABLE rooms (id INTEGER PRIMARY KEY, name TEXT, within INTEGER) STRICT')\n"
    )
    app = app_on(empty, migrations=scripts)
    async with app.router.lifespan_context(app):
        sessions = Sessions.open(empty)
        async with sessions.read() as session:
            assert await session.scalar(select(func.count()).select_from(Room)) == 0
        await sessions.close()
