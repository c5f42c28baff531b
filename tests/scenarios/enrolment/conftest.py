"""A platform for each test module: starting one takes about a second."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.scenarios.enrolment.platform import Platform, platform


@pytest.fixture
async def town(tmp_path: Path) -> AsyncIterator[Platform]:
    async with platform(tmp_path / "data") as running:
        yield running
