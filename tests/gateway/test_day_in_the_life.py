"""A day in the life: an unknown network is watched, a profile is learned, looked at and enforced; an intrusion finds nothing to
talk to; a false block is repaired from the console in two clicks. With real packets, processes and a real browser."""

import asyncio
import contextlib
import select
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bastide.adapters.namespaces.namespace import Namespace
from bastide.testing.fleet.est import Claim, Endpoint, enrol
from tests.browser.browsing import open_browser, open_window
from tests.gateway.lan import HOSTS, Lan
from tests.gateway.plans import mud
from tests.gateway.stand import OTHER, PLATFORM, WEB, Gateway, api, inside, join, settings_of, until
from tests.peers import require
from tests.processes.bastide import COMMAND, Bastide

MOVED = HOSTS[2]
HARDWARE = "00:17:88:00:00:0a"


@pytest.fixture
def lan() -> Iterator[Lan]:
    with Lan(2) as made:
        yield made


def asks(source: Namespace, target: Namespace, to: str, port: int = 443, *, patience: float = 0.3) -> bool:
    """A question by UDP, and whether its answer comes back."""
    server = target.run(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    client = source.run(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    with server, client:
        server.bind((to, port))
        with contextlib.suppress(OSError):
            client.sendto(b"question", (to, port))
        if not select.select([server], [], [], patience)[0]:
            return False
        _, caller = server.recvfrom(100)
        server.sendto(b"answer", caller)
        return bool(select.select([client], [], [], patience)[0])


def console_program(folder: Path, where: Namespace) -> Path:
    """Chromium as it is started by whoever sits in that network."""
    program = folder / "chromium-there"
    program.write_text(f'#!/bin/sh\nexec {" ".join(inside(where))} {require("chromium")} "$@"\n')
    program.chmod(0o755)
    return program


@pytest.mark.timeout(300)
def test_a_day_in_the_life(lan: Lan, tmp_path: Path) -> None:
    house = Bastide(tmp_path / "data", prefix=inside(lan.internet))
    gateway = Gateway(lan, tmp_path / "gateway")
    watch: subprocess.Popen[bytes] | None = None
    device, internet = lan.devices[0], lan.internet
    device.command(["ip", "link", "set", "eth0", "address", HARDWARE])
    try:
        house.start("--host", PLATFORM)
        log = tmp_path / "watch.log"
        with log.open("wb") as said:
            words = [*inside(lan.gateway), str(COMMAND), "watch", "lan0", "--site", "home", "--every", "2s"]
            spool = ["--spool", str(tmp_path / "spool")]
            told = settings_of(house)
            watch = subprocess.Popen([*words, *spool], env=told, stdout=said, stderr=said)
        _day(house, gateway, lan, device, internet, tmp_path, log)
    finally:
        if watch is not None:
            watch.terminate()
            watch.wait(30)
        gateway.kill()
        house.stop()


def _day(
    house: Bastide, gateway: Gateway, lan: Lan, device: Namespace, internet: Namespace, folder: Path, log: Path
) -> None:
    def ask(*words: str) -> Any:
        return api(house, internet, *words)

    likely = folder / "likely.json"
    likely.write_bytes(mud("lamp", hosts=(WEB,)))

    def heard(flows: int) -> bool:
        return bool(ask("segment", "simulate", "--of", "generic", "--profile", str(likely))["flows_kept"] >= flows)

    # An unknown network: the thing is seen by its hardware, and nobody is in its way yet.
    until(lambda: b"Listening on" in log.read_bytes(), "it listens", log, 120)
    assert asks(device, internet, WEB)
    until(lambda: len(ask("inventory", "search", HARDWARE)) == 1, "it is found", log)
    seen = ask("inventory", "search", HARDWARE)[0]["row"]["id"]

    # It gets an identity; what was seen and what enrolled are one thing.
    root = join(house, gateway, lan, folder)
    claim = ask("claim", "create", "--class", "lamp", "--site", "home")
    endpoint = Endpoint(PLATFORM, house.ports["device_port"], root)
    claimed = Claim(claim["username"], claim["password"])
    lamp = internet.run(lambda: enrol(endpoint, claimed, folder / "lamp", "lamp")).device
    ask("inventory", "merge", lamp, seen, "--reason", "it is the lamp that enrolled")

    # Learn from what it does, read it in words, approve it.
    lesson = ask("profile", "lesson", "generic", "--for", "1h")
    for _ in range(3):
        assert asks(device, internet, WEB)
    until(lambda: heard(3), "what it does is heard", log)
    proposal = ask("profile", "end", lesson["id"])
    assert proposal["more"] == [f"the device may send UDP port 443 (IPv4) to {WEB}"]
    ask("profile", "approve", lesson["id"], "--reason", "it is what the lamp does")

    # Look before the leap: nothing that worked would be cut. Then enforce it.
    expected = ask("segment", "simulate", "--of", "generic")
    assert (expected["heard"], expected["flows_cut_that_were_answered"]) == (1, 0)
    gateway.start()
    ask("segment", "enforce", "--profile", "generic", "--reason", "nothing that worked would be cut")
    gate = folder / "gateway.log"
    until(lambda: not asks(device, internet, OTHER), "it is held to its profile", gate)
    until(lambda: asks(device, internet, WEB), "what it does goes on", gate)

    # An intrusion finds nothing to talk to, and each try is told with what it would have needed.
    for peer in (OTHER, MOVED):
        assert not asks(device, internet, peer, 23)
        assert not asks(device, lan.devices[1], "10.50.1.2", 23)
    until(lambda: {OTHER, MOVED} <= _denied(house, internet, lamp), "the tries are evidence", gate)
    assert asks(device, internet, WEB)
    modes = ask("segment", "modes")
    assert [one["mode"] for one in modes] == ["enforce"], modes  # it was never answered there: nothing is missed

    # Its maker moves to another host: a false block, repaired in two clicks.
    assert not asks(device, internet, MOVED)
    until(lambda: MOVED in _denied(house, internet, lamp, 443), "the block is told", gate)
    link = ask("sign-in", "link")["address"]
    origin = f"https://{PLATFORM}:{house.ports['console_port']}"
    certificate = house.data / "tls" / "console.pem"
    asyncio.run(_two_clicks(console_program(folder, internet), certificate, origin, link, lamp))
    until(lambda: asks(device, internet, MOVED), "what was added passes", gate)
    assert not asks(device, internet, MOVED, 23)


def _denied(house: Bastide, where: Namespace, device: str, port: int = 23) -> set[str]:
    """The peers that the device was denied on that port, as the gateway told it."""
    shown = api(house, where, "segment", "show", device)
    return {one["peer"] for one in shown["unpermitted"] if one["tried"] and one["port"] == port}


async def _two_clicks(program: Path, certificate: Path, origin: str, link: str, device: str) -> None:
    """What the person at the console does."""
    async with open_browser(certificate, program=program) as browser:
        window = await open_window(browser, origin)
        page = window.page
        await page.goto(link)
        await page.get_by_role("button", name="Sign in with this link").click()
        await page.wait_for_url("**/welcome*")
        await window.go(f"/devices/{device}")
        row = page.locator("table.flows tr", has_text="udp/443").filter(has_text=MOVED)
        acts = row.locator("xpath=following-sibling::tr[1]")
        await acts.get_by_role("button", name="Add to the profile").click()
        await page.get_by_role("button", name="Add it").click()
        await page.locator("dialog#act").wait_for(state="hidden")
        await row.wait_for(state="detached")
