"""Fixtures: a fresh registry for each test, on both engines, copied from one that was migrated once."""

import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from homedex.api.app import create_app
from homedex.registry import schema
from homedex.storage.database import Database
from servers import FAST, Server, started
from service import CACHE_MB

CAPTURES = Path(__file__).parent / "data" / "ha_captures"
ENGINES = ("sqlite", "postgresql")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "registry.db"
    schema.upgrade(str(path))
    return path


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Server]:
    """A server for all tests that kill none."""
    with started(*FAST) as server:
        yield server


@pytest.fixture
def registry_file(migrated: Path, tmp_path: Path) -> Path:
    """A migrated registry, with nothing in it and nobody at it."""
    return Path(shutil.copy(migrated, tmp_path / "registry.db"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each test of a registry, or of an empty database, runs on both engines, unless it is marked `sqlite`."""
    for name in {"registry", "empty"} & set(metafunc.fixturenames):
        engines = ENGINES[:1] if metafunc.definition.get_closest_marker("sqlite") else ENGINES
        metafunc.parametrize(name, engines, indirect=True, scope="function")


@pytest.fixture
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database without a schema: what `Database.open` and `Sessions.open` take."""
    if request.param == "sqlite":
        return str(tmp_path / "some.db")
    server: Server = request.getfixturevalue("postgresql")
    return server.bare()


@pytest.fixture
def registry(request: pytest.FixtureRequest) -> str:
    """The same on both engines: what `Database.open` takes."""
    if request.param == "sqlite":
        return str(request.getfixturevalue("registry_file"))
    server: Server = request.getfixturevalue("postgresql")
    return server.emptied("registry")


@pytest.fixture
async def database(registry: str) -> AsyncIterator[Database]:
    opened = Database.open(registry, application_id=schema.APPLICATION_ID)
    yield opened
    await opened.close()


@pytest.fixture
def client(registry: str) -> Iterator[TestClient]:
    opened = Database.open(registry, application_id=schema.APPLICATION_ID)
    app = create_app(opened, cache_bytes=int(CACHE_MB) * 1024 * 1024)
    with TestClient(app, raise_server_exceptions=False, follow_redirects=False) as test_client:
        yield test_client
