"""A town for each test, and one browser for all: each window has its own cookies."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from bastide.controller.serving import Leaf
from bastide.flows.manage_people import new_link
from tests.browser.browsing import Window, open_browser, open_window
from tests.browser.seed import Town, open_town, write_town
from tests.browser.tls import write_leaf
from tests.processes.bastide import free_ports

PASSWORD = "violet harbour counts nine lamps"


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A day of a town's life, written once."""
    path = tmp_path_factory.mktemp("town") / "written.db"
    asyncio.run(write_town(path))
    return path


@pytest.fixture(scope="session")
def leaf(tmp_path_factory: pytest.TempPathFactory) -> Leaf:
    return Leaf(*write_leaf(tmp_path_factory.mktemp("tls")))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser(leaf: Leaf) -> AsyncIterator[Browser]:
    async with open_browser(leaf.certificate) as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="module")
async def town(written: Path, leaf: Leaf, tmp_path: Path) -> AsyncIterator[Town]:
    async with open_town(tmp_path, leaf, free_ports(1)[0], written=written) as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="module")
async def window(town: Town, browser: Browser) -> AsyncIterator[Window]:
    """Signed in as the operator."""
    opened = await open_window(browser, town.origin)
    await sign_in(town, opened)
    yield opened
    await opened.page.context.close()


async def sign_in(town: Town, window: Window) -> None:
    """By a new one-time link, past the offers."""
    person = (await town.deps.door.reads.people(1))[0]
    link = await new_link(town.deps.door, "system:test", person)
    await window.go(f"/sign-in/link/{link}")
    await window.page.get_by_role("button", name="Sign in with this link").click()
    await window.page.get_by_role("link", name="Not now").click()
    await window.page.wait_for_selector("#watch")
