"""Each test asks a house of its own; the migrated database is made once and copied."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.controller.house import House, migrated_database, open_house


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return migrated_database(tmp_path_factory.mktemp("api") / "migrated.db")


@pytest.fixture
async def house(migrated: Path, tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(migrated, tmp_path) as opened:
        yield opened
