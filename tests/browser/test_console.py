"""What a person does in the console, done in Chromium."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Route, expect

from bastide.adapters.sql.units import SQLStores
from bastide.controller.console.views.ledger import proof_document
from bastide.controller.serving import Leaf
from bastide.core.ids import RecordId
from bastide.core.standing import Standing
from bastide.operations.rollout.rollout import Phase
from tests.browser.browsing import DESKTOP, PHONE, Window, contrast, open_window, unnamed
from tests.browser.conftest import PASSWORD, sign_in
from tests.browser.seed import Town, open_town
from tests.processes.bastide import free_ports

pytestmark = pytest.mark.asyncio(loop_scope="module")

CAMERA = "Loading dock camera"
METER = "Main meter"
# Pages whose pictures are kept in both themes.
KEPT = ("watch", "devices", "device", "network", "zones", "profile", "policy", "releases", "rollout", "rollout-new")


async def test_a_link_lets_in_once_a_password_afterwards(town: Town, browser: Browser) -> None:
    window = await open_window(browser, town.origin)
    page = window.page
    await window.go("/devices?standing=quarantined")
    assert page.url.startswith(f"{town.origin}/sign-in?then=")
    await page.goto(town.link)
    await window.shot("link")
    await page.get_by_role("button", name="Sign in with this link").click()
    await page.wait_for_url("**/welcome")
    await page.get_by_label("New password").fill("password1234")
    await page.get_by_label("Once more").fill("password1234")
    await page.get_by_role("button", name="Keep this password").click()
    assert "guessers try first" in await page.get_by_role("alert").inner_text()
    window.expect("422")
    await page.get_by_label("New password").fill(PASSWORD)
    await page.get_by_label("Once more").fill(PASSWORD)
    await page.get_by_role("button", name="Keep this password").click()
    await page.wait_for_url("**/welcome/passkey")
    await page.get_by_role("link", name="Go to the Watch").click()
    await page.get_by_role("button", name="Sign out").click()
    await page.wait_for_url("**/sign-in")
    await window.shot("sign-in")
    await page.goto(town.link)
    await page.get_by_role("button", name="Sign in with this link").click()
    assert await page.get_by_role("heading", name="This link does not open anything").is_visible()
    window.expect("422")
    await window.go("/devices?standing=quarantined")
    await page.get_by_label("Name").fill("operator")
    await page.get_by_label("Password").fill("not this one at all")
    await page.get_by_role("button", name="Sign in", exact=True).click()
    assert "do not belong together" in await page.get_by_role("alert").inner_text()
    window.expect("422")
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Sign in", exact=True).click()
    await page.wait_for_url("**/devices?standing=quarantined")
    assert await page.get_by_role("link", name=CAMERA).is_visible()
    assert window.complaints == []


async def test_a_quarantine_is_seen_as_it_happens_and_nothing_that_is_read_moves(town: Town, window: Window) -> None:
    page = window.page
    assert await page.inner_text("#headline") == "One device is in quarantine."
    await page.wait_for_selector("[data-link=up]")
    await page.evaluate("scrollTo(0, 300)")
    await page.evaluate("window.sentinel = document.querySelector('#changed-title')")
    before = await page.evaluate("sentinel.getBoundingClientRect().top")
    await town.misuse("Front door camera")
    await expect(page.locator("#headline")).to_have_text("Two devices are in quarantine.")
    await expect(page.locator(".rooms .count")).to_have_text("2")
    assert await page.evaluate("sentinel.isConnected"), "the page was replaced instead of brought up to date"
    moved = await page.evaluate("sentinel.getBoundingClientRect().top") - before
    grown = await page.evaluate("document.querySelector('.needs li').getBoundingClientRect().height")
    assert abs(moved) <= grown + 2, "what was read jumped"
    await page.get_by_role("link", name="Front door camera").first.click()
    await page.wait_for_selector(".verdict.quarantined")
    await window.shot("quarantine-as-it-happens")
    assert window.complaints == []


async def test_an_open_device_page_follows_the_device_and_keeps_what_was_opened(town: Town, window: Window) -> None:
    page = window.page
    await window.go(f"/devices/{town.devices[METER]}")
    await page.locator("#topics-broker summary").click()
    assert await page.locator("#topics-broker").get_attribute("open") is not None
    await page.wait_for_selector("[data-link=up]")
    await town.misuse(METER)
    await page.wait_for_selector(".verdict.quarantined")
    assert await page.locator("#rule-topic-misuse").count() == 1
    assert "Main meter is quarantined: it is off the network and may only be repaired." in await page.inner_text(
        ".verdict"
    )
    assert window.complaints == []


async def test_an_act_shows_what_it_will_do_and_wants_a_reason(town: Town, window: Window) -> None:
    page, id = window.page, town.devices[METER]
    await window.go(f"/devices/{id}")
    await page.get_by_role("button", name="Quarantine").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_role("heading", name="Quarantine Main meter?").wait_for()
    shown = await dialog.inner_text()
    assert "May not connect" in shown
    assert "Suspended, may not be renewed" in shown
    await window.shot("act")
    assert (await town.governing.stores.devices.get(id)).standing is Standing.TRUSTED
    await dialog.get_by_label("Reason").fill("   ")
    await dialog.get_by_role("button", name="Quarantine it").click()
    await dialog.get_by_text("Say why").wait_for()
    await dialog.get_by_label("Reason").fill("The seal is broken <b>here</b>")
    await dialog.get_by_role("button", name="Quarantine it").click()
    await page.wait_for_selector(".verdict.quarantined")
    await expect(dialog).to_have_count(0)
    assert "The seal is broken <b>here</b>" in await page.inner_text("#device")
    await page.get_by_role("button", name="Break glass").click()
    # A person is slower than the page: the choice counts once the dialog has settled (htmx takes its marks off then).
    await page.wait_for_selector("#act[open]:not(.htmx-settling):not(:has(.htmx-settling, .htmx-added))")
    await dialog.get_by_label("Standing until it ends").select_option("restricted")
    await expect(page.locator("#act-change ins").first).to_have_text("restricted")
    await dialog.get_by_label("Reason").fill("The hall cannot be metered otherwise")
    await dialog.get_by_role("button", name="Break glass").click()
    await page.wait_for_selector(".verdict.restricted")
    window.expect("422")  # the browser says so when it likes, perhaps after the page has shown why
    assert window.complaints == []


async def test_the_browser_checks_a_record_and_is_not_fooled(town: Town, window: Window) -> None:
    page = window.page
    await window.go(f"/devices/{town.devices[CAMERA]}")
    await page.get_by_role("link", name="Record of this decision").click()
    await page.get_by_role("button", name="Verify in this browser").click()
    await page.wait_for_selector("[data-verdict=held]")
    assert await page.locator(".proof-steps [data-state=held]").count() == 4
    await window.shot("record-verified")

    record = RecordId(page.url.rpartition("/")[2])
    proof = proof_document(await town.deps.ledger.prove(record), await page.evaluate(_KEY))
    head, _, signature = str(proof["note"]).rpartition(" ")
    forged = {
        "path": {**proof, "leaf": _flipped(proof["leaf"])},
        "note": {**proof, "note": proof["note"].replace("bastide", "bastion", 1)},
        "signature": {**proof, "note": f"{head} {_flipped(signature.strip(), 40)}\n"},
    }
    for step, document in forged.items():
        await page.route("**/proof", _answering(document))
        await page.get_by_role("button", name="Verify in this browser").click()
        await expect(page.locator(f"[data-step={step}]")).to_have_attribute("data-state", "failed")
        assert await page.locator("[data-proof]").get_attribute("data-verdict") == "failed"
        await page.unroute("**/proof")
    assert window.complaints == []


async def test_the_first_page_is_light_and_wholly_ours(town: Town, browser: Browser) -> None:
    window = await open_window(browser, town.origin)
    await sign_in(town, window)
    # Sizes are what a browser without compression would load; over the wire it is a third of that.
    sizes = await window.page.evaluate(_SIZES)
    assert 0 < sum(sizes.values()) < 100_000, sizes
    inline = await window.page.evaluate(
        "document.querySelectorAll('script:not([src]), style, [style], [onclick], [onload], [onerror]').length"
    )
    assert inline == 0
    answer = await window.page.goto(town.origin + "/")
    assert answer is not None
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert window.complaints == []


async def test_everything_is_reached_by_keyboard(town: Town, window: Window) -> None:
    page = window.page
    await page.keyboard.press("Tab")
    assert await page.evaluate("document.activeElement.className") == "skip"
    await page.keyboard.press("Escape")
    await page.keyboard.press("Control+k")
    await page.keyboard.type("north")
    await page.wait_for_selector("#palette li[data-found][aria-selected=true]")
    await page.keyboard.press("Enter")
    await page.wait_for_url(f"**/devices/{town.devices['North gate']}")
    await page.keyboard.press("/")
    await page.keyboard.type("devices")
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/devices")
    await page.keyboard.press("f")
    await page.keyboard.type("pump")
    await expect(page.locator("#rows tr")).to_have_count(2)
    assert "text=pump" in page.url
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("j")
    await page.keyboard.press("k")
    await page.keyboard.press("j")
    focused = await page.evaluate("document.activeElement.dataset.device")
    await page.keyboard.press("Enter")
    await page.wait_for_url(f"**/devices/{focused}")
    await page.locator("button", has_text="Quarantine").focus()
    await page.keyboard.press("Enter")
    await page.wait_for_selector("#act[open]")
    assert await page.evaluate("document.activeElement.name") == "reason"
    await page.keyboard.press("Escape")
    assert await page.locator("#act[open]").count() == 0
    assert window.complaints == []


async def test_a_search_is_grouped_and_kept_as_a_view(town: Town, window: Window) -> None:
    await window.go("/devices")
    page = window.page
    await page.locator("#find").fill("-standing:trusted")
    await expect(page.locator("tr[data-device]")).to_have_count(3)
    assert "text=-standing" in page.url
    await page.get_by_text("Save this view").click()
    await page.get_by_label("Name of the view").fill("To look at")
    await page.get_by_role("button", name="Save", exact=True).click()
    kept = page.get_by_role("link", name="To look at")
    await kept.wait_for()
    assert await kept.get_attribute("aria-current") == "true"
    await page.get_by_label("Group by").select_option("class")
    await page.locator("table.groups tr[data-href]").first.wait_for()
    assert await page.locator("table.groups tbody tr").count() == 3
    await window.shot("devices-grouped")
    await page.locator("table.groups tr[data-href]", has_text="printer").click()
    await expect(page.locator("tr[data-device]")).to_have_count(1)
    assert await page.locator("#find").input_value() == "-standing:trusted class:=printer"
    assert window.complaints == []


async def test_the_map_opens_groups_and_its_slider_narrows_the_time(town: Town, window: Window) -> None:
    page = window.page
    await window.go("/network")
    await page.locator("a[data-node='l-door-camera']").hover()
    lit = page.locator(".ribbons path.lit")
    assert await lit.count() == await page.locator(".ribbons path[data-start='l-door-camera']").count() > 0
    await page.locator("a[data-node='l-door-camera']").click()
    await expect(page.locator("svg.map a[href^='/devices/d-']")).to_have_count(5)
    until = page.get_by_label("Until")
    end = int(await until.get_attribute("max") or 0)
    before = await page.locator(".hours figcaption b").last.inner_text()
    await until.focus()
    for _ in range(6):
        await page.keyboard.press("ArrowLeft")
    await page.wait_for_url(f"**until={end - 6}**")
    assert await page.locator(".hours figcaption b").last.inner_text() < before
    await expect(page.locator("rect.hour.out")).to_have_count(6)
    await page.get_by_role("link", name="Class door-camera").click()
    await page.get_by_label("Protocol").select_option("telnet")
    await expect(page.locator(".ribbons path")).to_have_count(1)
    assert await page.locator(".ribbons path.clear").count() == 1
    assert window.complaints == []


async def test_a_false_block_is_repaired_in_two_clicks(town: Town, window: Window) -> None:
    page = window.page
    await window.go(f"/devices/{town.devices['Car park camera']}")
    flows = page.locator("table.flows")
    await expect(flows.get_by_text("198.51.100.9", exact=True)).to_have_count(1)
    await window.shot("flows")
    await page.get_by_role("button", name="Add to the profile").first.click()
    await page.get_by_role("button", name="Add it").click()
    await expect(flows.get_by_text("198.51.100.9", exact=True)).to_have_count(0)
    await expect(page.get_by_text("The device may open TCP port 443 (IPv4) to 198.51.100.9")).to_have_count(1)
    # The other one is not missed: nobody is asked again, until somebody takes that back.
    await page.get_by_role("button", name="Keep denied").click()
    await page.get_by_role("button", name="Keep it denied").click()
    await expect(flows.get_by_text("Stays denied")).to_have_count(1)
    await page.get_by_role("button", name="Take back").click()
    await page.get_by_role("button", name="Take it back").click()
    await expect(flows.get_by_text("Stays denied")).to_have_count(0)
    assert window.complaints == []


async def test_what_was_learned_is_read_in_words_and_approved(town: Town, window: Window) -> None:
    page = window.page
    await window.go("/network/profiles")
    await page.get_by_role("link", name="1 proposal").first.click()
    await expect(page.locator("ul.changes li.more")).to_have_count(2)
    await page.get_by_role("button", name="Approve").click()
    await page.get_by_label("Reason").fill("It is what meters do")
    await page.get_by_role("button", name="Approve it").click()
    await expect(page.get_by_text("Nothing that worked would be cut", exact=False)).to_have_count(1)
    assert window.complaints == []


async def test_enforcing_what_would_cut_too_much_is_refused_with_the_reason(town: Town, window: Window) -> None:
    page = window.page
    await window.go("/network/profiles/gate-controller")
    await page.get_by_role("button", name="Enforce").click()
    await page.get_by_label("Reason").fill("A week was quiet")
    await page.get_by_role("button", name="Enforce it").click()
    await expect(page.get_by_role("alert")).to_contain_text("Enforcing would cut")
    window.expect("422")
    window.expect("mode/enforce")
    await page.get_by_label("Do it anyway").check()
    await page.get_by_role("button", name="Enforce it").click()
    await expect(page.get_by_text("What it cuts")).to_have_count(1)
    assert window.complaints == []


async def test_a_page_that_nobody_touches_signs_out_by_itself(town: Town, browser: Browser) -> None:
    window = await open_window(browser, town.origin)
    page = window.page
    await page.clock.install()
    await sign_in(town, window)
    await page.clock.fast_forward("01:58:00")
    await page.keyboard.press("Shift")
    await page.clock.fast_forward("01:58:00")
    assert page.url == f"{town.origin}/"
    await page.clock.fast_forward("00:03:00")
    await page.wait_for_url("**/sign-in")
    await window.go("/")
    assert "/sign-in?then=" in page.url
    await page.context.close()


async def test_signing_out_closes_the_live_stream_whose_end_would_leave_the_page_too(
    town: Town, browser: Browser
) -> None:
    window = await open_window(browser, town.origin)
    page = window.page
    await page.add_init_script(
        "window.streams = []; const Stream = EventSource;"
        "window.EventSource = class extends Stream { constructor(from) { super(from); window.streams.push(this); } };"
    )
    await sign_in(town, window)
    await page.wait_for_selector("body[data-link=up]")
    state = await page.evaluate(
        """() => {
          addEventListener("submit", (event) => event.preventDefault(), { once: true });
          document.querySelector("form[action='/sign-out']").requestSubmit();
          return window.streams.map((each) => each.readyState);
        }"""
    )
    assert state == [2]
    await page.context.close()


async def test_a_passkey_is_registered_and_lets_in(town: Town, window: Window, browser: Browser) -> None:
    page = window.page
    devtools = await page.context.new_cdp_session(page)
    await devtools.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    await devtools.send("WebAuthn.addVirtualAuthenticator", {"options": options})
    await window.go("/settings/account")
    await page.get_by_label("Name of this device").fill("Test laptop")
    await page.get_by_role("button", name="Add a passkey").click()
    await page.get_by_role("cell", name="Test laptop", exact=True).wait_for()
    await page.get_by_role("button", name="Sign out").click()
    await page.wait_for_url("**/sign-in")
    await page.get_by_role("button", name="Sign in with a passkey").click()
    await page.wait_for_selector("#headline")
    await window.go("/settings/account")
    assert await page.get_by_role("cell", name="Passkey", exact=True).is_visible()
    await page.get_by_role("button", name="Remove Test laptop").click()
    await page.get_by_role("cell", name="Test laptop", exact=True).wait_for(state="detached")
    assert window.complaints == []


async def a_rollout(town: Town) -> str:
    """The address of the one that runs."""
    stores = town.deps.governing.stores
    assert isinstance(stores, SQLStores)
    running = await stores.rollouts.list((Phase.RUNNING,), 1)
    return f"/releases/rollouts/{running[0].id}"


async def test_every_page_has_contrast_and_names_in_dark_and_light_and_on_a_phone(town: Town, browser: Browser) -> None:
    camera = town.devices[CAMERA]
    pages = {
        "watch": "/",
        "devices": "/devices",
        "device": f"/devices/{camera}",
        "network": "/network",
        "zones": "/network/zones",
        "profiles": "/network/profiles",
        "profile": "/network/profiles/gate-controller",
        "releases": "/releases",
        "rollout": await a_rollout(town),
        "rollout-new": "/releases/new?name=door-camera&version=2.6.0&class=door-camera",
        "ledger": "/ledger",
        "enrol": "/enrol",
        "people": "/settings/people",
        "classes": "/settings/classes",
        "policy": "/settings/policy",
        "keys": "/settings/keys",
        "account": "/settings/account",
        "tokens": "/settings/tokens",
        "waivers": "/settings/waivers",
    }
    wrong = []
    for theme in ("light", "dark"):
        window = await open_window(browser, town.origin, theme=theme)
        await sign_in(town, window)
        for name, path in pages.items():
            await window.go(path)
            wrong += [f"{theme} {name}: {each}" for each in (*await contrast(window.page), *await unnamed(window.page))]
            if name in KEPT:
                await window.shot(f"{name}-{theme}")
        wrong += window.complaints
        if theme == "light":
            await window.page.set_viewport_size(PHONE)  # type: ignore[arg-type]
            for name in (
                "watch",
                "devices",
                "device",
                "network",
                "zones",
                "profiles",
                "profile",
                "releases",
                "rollout",
                "ledger",
            ):
                await window.go(pages[name])
                wide = await window.page.evaluate("document.documentElement.scrollWidth")
                if wide > PHONE["width"]:
                    wrong.append(f"phone {name}: {wide} px wide")
                await window.shot(f"{name}-phone")
            await window.go("/settings")
            assert await window.page.get_by_role("button", name="Sign out").is_visible()
            await window.page.set_viewport_size(DESKTOP)  # type: ignore[arg-type]
            await window.page.get_by_role("button", name="Dark or light").click()
            await window.go("/")
            assert await window.page.get_attribute("html", "data-theme") == "dark"
            assert await contrast(window.page) == []
        await window.page.context.close()
    assert wrong == []


async def test_an_empty_town_teaches_how_to_begin(leaf: Leaf, browser: Browser, tmp_path: Path) -> None:
    async with open_town(tmp_path, leaf, free_ports(1)[0]) as town:
        window = await open_window(browser, town.origin)
        await sign_in(town, window)
        assert await window.page.get_by_role("heading", name="No device is known yet.").is_visible()
        assert await unnamed(window.page) == []
        await window.shot("empty")
        await window.go("/devices")
        await window.page.get_by_role("link", name="Make the first claim").click()
        assert await window.page.get_by_role("heading", name="Make a claim").is_visible()
        assert window.complaints == []
        await window.page.context.close()


async def test_a_claim_is_made_and_its_commands_can_be_copied(town: Town, window: Window) -> None:
    page = window.page
    await window.go("/enrol")
    await page.get_by_label("Class").fill("door-camera")
    await page.get_by_label("Name").fill("Back door camera")
    await page.get_by_role("button", name="Make the claim").click()
    await page.get_by_role("heading", name="The claim is made").wait_for()
    (claim,) = await town.governing.stores.credentials.claims(5)  # type: ignore[attr-defined]
    shown = await page.inner_text("main")
    assert f"-u {claim.id}:" in shown
    assert f"--userpass {claim.id}:" in shown
    await page.get_by_role("button", name="Copy the password").click()
    await page.get_by_text("Copied.").wait_for()
    await window.shot("claim")
    await page.get_by_role("button", name="Revoke the claim").click()
    await page.get_by_text("Revoked").wait_for()
    assert window.complaints == []


_SIZES = """async () => Object.fromEntries(await Promise.all(
    [...document.scripts].map(async (each) => [each.src, (await (await fetch(each.src)).arrayBuffer()).byteLength])))"""
_KEY = """async () => (await (await fetch(document.querySelector("[data-proof]").dataset.proof)).json()).key"""


def _answering(document: dict[str, Any]) -> Callable[[Route], Awaitable[None]]:
    async def answer(route: Route) -> None:
        await route.fulfill(json=document)

    return answer


def _flipped(base64: str, at: int = 8) -> str:
    return base64[:at] + ("A" if base64[at] != "A" else "B") + base64[at + 1 :]
