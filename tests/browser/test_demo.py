"""The whole thing as a person sees it: `bastide up`, the link that it printed, and the demo's story in an open window."""

import asyncio
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Error as PlaywrightError
from playwright.async_api import expect

from tests.browser.browsing import contrast, open_browser, open_window
from tests.browser.conftest import PASSWORD
from tests.peers import require
from tests.processes.bastide import COMMAND, Bastide, environment

pytestmark = pytest.mark.asyncio(loop_scope="module")

# The fleet enrols, connects, and one device begins to misuse its topics: all of it on two busy cores.
PATIENCE_MS = 100_000


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bastide(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bastide]:
    opened = Bastide(tmp_path_factory.mktemp("b") / "data")
    await asyncio.to_thread(opened.start)
    yield opened
    await asyncio.to_thread(opened.stop)


@pytest.mark.timeout(240)
async def test_the_demo_is_watched_from_the_first_link_to_the_quarantine(bastide: Bastide) -> None:
    link = (bastide.data / "sign-in.link").read_text().strip()
    origin = link.partition("/sign-in")[0]
    async with open_browser(bastide.data / "tls" / "console.pem") as browser:
        window = await open_window(browser, origin)
        page = window.page
        page.set_default_timeout(30_000)
        await page.goto(link)
        await page.get_by_role("button", name="Sign in with this link").click()
        await page.get_by_label("New password").fill(PASSWORD)
        await page.get_by_label("Once more").fill(PASSWORD)
        await page.get_by_role("button", name="Keep this password").click()
        await page.get_by_role("link", name="Go to the Watch").click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("No device is known yet.")
        await page.wait_for_selector("[data-link=up]")
        await window.shot("demo-1-empty")

        story = asyncio.create_task(
            asyncio.to_thread(
                bastide.run, "demo", "--once", "--devices", "10", "--misuse-after", "4s", "--telnet-after", "6s",
                timeout_s=110,
            )
        )  # fmt: skip
        await expect(page.locator("#headline")).to_have_text("One device is in quarantine.", timeout=PATIENCE_MS)
        await expect(page.locator(".needs .standing.quarantined")).to_be_visible()
        assert await contrast(page) == []
        await window.shot("demo-2-quarantine")

        await page.locator("li", has=page.locator(".standing.quarantined")).get_by_role("link").first.click()
        await expect(page.locator(".verdict.quarantined")).to_be_visible()
        await expect(page.locator("details.reason[open] .facts").first).to_contain_text("where it may not")
        await expect(page.locator(".points .held")).to_have_count(3)
        await expect(page.locator(".points .absent")).to_have_count(1)  # no gateway has joined
        await window.shot("demo-3-device")

        await page.get_by_role("link", name="Open the record and check it").first.click()
        await page.get_by_role("button", name="Verify in this browser").click()
        await page.wait_for_selector("[data-verdict=held]")
        await window.shot("demo-4-proof")
        told = await story
        assert told.returncode == 0, told.stderr
        assert window.complaints == []


async def test_chromium_trusts_the_console_while_its_root_is_installed(bastide: Bastide, tmp_path: Path) -> None:
    require("certutil")
    (tmp_path / ".pki" / "nssdb").mkdir(parents=True)

    async def opens() -> bool:
        async with open_browser(home=tmp_path) as browser:
            page = await browser.new_page()
            try:
                await page.goto(f"https://localhost:{bastide.ports['console_port']}/sign-in")
            except PlaywrightError as error:
                if "ERR_CERT_AUTHORITY_INVALID" in str(error):
                    return False
                raise
            return await page.title() == "Sign in · Bastide"

    def trust(act: str) -> None:
        told = environment(bastide.data, HOME=str(tmp_path))
        subprocess.run([COMMAND, "trust", act, "--no-system"], env=told, check=True, capture_output=True, timeout=60)

    assert not await opens()
    await asyncio.to_thread(trust, "install")
    assert await opens()
    await asyncio.to_thread(trust, "remove")
    assert not await opens()
