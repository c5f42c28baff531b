"""One house for the tests of a module; each test enrols devices of its own."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.broker.house import House, opened
from tests.peers import require


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    require("mosquitto_pub")
    async with opened(tmp_path_factory.mktemp("house")) as house:
        yield house
