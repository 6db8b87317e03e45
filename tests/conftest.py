"""Fixtures: a fresh registry on a real file for each test, copied from one that was migrated once."""

import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from homedex.api.app import create_app
from homedex.registry import schema
from homedex.storage.database import Database

CAPTURES = Path(__file__).parent / "data" / "ha_captures"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "registry.db"
    schema.upgrade(str(path))
    return path


@pytest.fixture
def registry_file(migrated: Path, tmp_path: Path) -> Path:
    """A migrated registry, with nothing in it and nobody at it."""
    return Path(shutil.copy(migrated, tmp_path / "registry.db"))


@pytest.fixture
async def database(registry_file: Path) -> AsyncIterator[Database]:
    opened = Database.open(str(registry_file), application_id=schema.APPLICATION_ID)
    yield opened
    await opened.close()


@pytest.fixture
def client(registry_file: Path) -> Iterator[TestClient]:
    opened = Database.open(str(registry_file), application_id=schema.APPLICATION_ID)
    with TestClient(create_app(opened), raise_server_exceptions=False, follow_redirects=False) as test_client:
        yield test_client
