"""A browser window that notes everything that a good page never does."""

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, Page, async_playwright

from tests.browser.tls import pin
from tests.peers import require

# No sandbox: tests may run as root in a container. The rest keeps Chromium from speaking to its maker.
ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync",
)  # fmt: skip
HERE = Path(__file__).resolve().parent
# Pictures are kept here, one of each name; git ignores the folder.
ARTEFACTS = Path(os.environ.get("BASTIDE_ARTEFACTS") or HERE.parents[1] / "artefacts")
# What the content policy refuses is said in the console, where it counts as a complaint.
_TELL_VIOLATIONS = """
addEventListener("securitypolicyviolation", (event) => console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`));
"""
DESKTOP = {"width": 1440, "height": 900}
PHONE = {"width": 390, "height": 844}


@dataclass(slots=True)
class Window:
    """A page, and what was wrong on it: ``complaints`` is empty at the end of a good visit."""

    page: Page
    origin: str
    complaints: list[str] = field(default_factory=list)

    async def go(self, path: str) -> None:
        await self.page.goto(self.origin + path)

    async def shot(self, name: str) -> None:
        """Keeps a picture as a build artefact."""
        await self.page.screenshot(path=ARTEFACTS / f"{name}.png", full_page=True)

    def expect(self, text: str) -> None:
        """Takes back the complaints that hold this text: what was provoked on purpose."""
        self.complaints = [each for each in self.complaints if text not in each]


@asynccontextmanager
async def open_browser(
    certificate: Path | None = None, home: Path | None = None, program: Path | None = None
) -> AsyncIterator[Browser]:
    """Chromium with an empty profile, which trusts the key of that certificate besides the public roots and what is in
    the stores of ``home``. ``program`` is what starts it in the place of Chromium, such as in a network namespace."""
    chromium = program or require("chromium")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=chromium,
            args=[*ARGUMENTS, *([f"--ignore-certificate-errors-spki-list={pin(certificate)}"] if certificate else [])],
            env={**os.environ, "HOME": str(home)} if home else None,
        )
        try:
            yield browser
        finally:
            await browser.close()


async def open_window(
    browser: Browser, origin: str, *, theme: str = "light", size: dict[str, int] | None = None
) -> Window:
    """A window of its own: no cookie is shared with another."""
    context = await browser.new_context(viewport=size or DESKTOP, color_scheme=theme, permissions=["clipboard-write"])  # type: ignore[arg-type]
    context.set_default_timeout(10_000)
    page = await context.new_page()
    window = Window(page, origin)
    page.on("console", lambda said: _console(window, said.type, said.text))
    page.on("pageerror", lambda error: window.complaints.append(f"script: {error}"))
    page.on("dialog", lambda dialog: window.complaints.append(f"dialog: {dialog.message}"))
    page.on("request", lambda request: _request(window, request.url))
    page.on("requestfailed", lambda request: _failed(window, request))
    page.on("response", lambda response: _response(window, response))
    await page.add_init_script(_TELL_VIOLATIONS)
    return window


def _console(window: Window, kind: str, text: str) -> None:
    if kind in ("error", "warning"):
        window.complaints.append(f"console: {text}")


def _request(window: Window, url: str) -> None:
    if not url.startswith((window.origin + "/", "data:", "blob:")):
        window.complaints.append(f"elsewhere: {url}")


def _failed(window: Window, request: Any) -> None:
    # Leaving a page ends its live stream and whatever it had asked for.
    if "ERR_ABORTED" not in (request.failure or ""):
        window.complaints.append(f"failed: {request.url} {request.failure}")


def _response(window: Window, response: Any) -> None:
    if response.status >= 400:
        window.complaints.append(f"status {response.status}: {response.url}")


async def contrast(page: Page) -> Sequence[str]:
    """Every piece of text that is shown with too little contrast (contrast.js)."""
    found: Sequence[str] = await page.evaluate((HERE / "contrast.js").read_text())
    return found


async def unnamed(page: Page) -> Sequence[str]:
    """What a screen reader could not name (names.js)."""
    found: Sequence[str] = await page.evaluate((HERE / "names.js").read_text())
    return found
