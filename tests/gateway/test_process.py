"""The gateway as its operator starts it, in a namespace beside a whole Bastide: plans arrive, hold, and outlive everything."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bastide.testing.fleet.est import Claim, Endpoint, enrol
from tests.gateway.lan import Lan
from tests.gateway.plans import mud
from tests.gateway.stand import OTHER, PLATFORM, REPAIR, WEB, Gateway, api, inside, join
from tests.gateway.stand import until as wait_until
from tests.processes.bastide import Bastide


@pytest.fixture
def lan() -> Iterator[Lan]:
    with Lan(2) as made:
        yield made


@pytest.mark.timeout(180)
def test_a_device_is_contained_by_its_gateway_whoever_dies(lan: Lan, tmp_path: Path) -> None:
    house = Bastide(tmp_path / "data", prefix=inside(lan.internet))
    gateway = Gateway(lan, tmp_path / "gateway")
    try:
        house.start("--host", PLATFORM)
        _scenario(house, gateway, lan, tmp_path)
    finally:
        gateway.kill()
        house.stop()


def _scenario(house: Bastide, gateway: Gateway, lan: Lan, tmp_path: Path) -> None:
    root = join(house, gateway, lan, tmp_path)
    (tmp_path / "home.json").write_text(json.dumps({"remediation": [f"{REPAIR}/32"]}))
    (tmp_path / "generic.json").write_bytes(mud("lamp", hosts=(WEB,)))
    api(house, lan.internet, "site", "put", "home", str(tmp_path / "home.json"))
    api(house, lan.internet, "profile", "reach", "generic", str(tmp_path / "generic.json"))
    assert "No plan is held" in gateway.command("load").stdout
    assert not lan.udp(lan.devices[0], lan.internet, WEB, expected=False)
    gateway.start()

    def until(holds: Callable[[], bool], what: str, seconds: float = 20.0) -> None:
        wait_until(holds, what, tmp_path / "gateway.log", seconds)

    endpoint = Endpoint(PLATFORM, house.ports["device_port"], root)
    lamp_claim = api(house, lan.internet, "claim", "create", "--class", "lamp", "--site", "home")
    claimed = Claim(lamp_claim["username"], lamp_claim["password"])
    lamp = lan.internet.run(lambda: enrol(endpoint, claimed, tmp_path / "lamp", "lamp")).device
    api(house, lan.internet, "inventory", "describe", lamp, "address=10.50.0.2")

    def gateway_holds(what: str) -> bool:
        held = api(house, lan.internet, "device", "explain", lamp)["outcomes"]
        return any(at["point"] == "network" and what in at["holds"] for at in held)

    one, internet = lan.devices[0], lan.internet
    until(lambda: lan.udp(one, internet, WEB, expected=False), "its profile's host is reached")
    assert not lan.udp(one, internet, OTHER, expected=False)

    # What the profile does not permit is let through for a while, kept denied, or added to the profile.
    why = ("--reason", "it fetches its clock there")
    let = api(house, internet, "segment", "allow", lamp, OTHER, "udp/443", "--for", "2h", *why)
    until(lambda: lan.udp(one, internet, OTHER), "what a person let through passes")
    api(house, internet, "segment", "undo", lamp, let["id"])
    until(lambda: not lan.udp(one, internet, OTHER, expected=False), "what was taken back passes no more")
    assert api(house, internet, "segment", "permit", lamp, OTHER, "udp/443", *why)["added"]
    until(lambda: lan.udp(one, internet, OTHER), "what was added to the profile passes")
    api(house, lan.internet, "profile", "reach", "generic", str(tmp_path / "generic.json"))
    until(lambda: not lan.udp(one, internet, OTHER, expected=False), "the profile is as it was")

    with lan.tcp(one, internet, WEB) as connection:
        assert connection.carries()
        api(house, internet, "device", "quarantine", lamp, "--reason", "it scans")
        until(lambda: not connection.carries(expected=False), "an open connection ends")
    until(lambda: gateway_holds("quarantine"), "what the gateway holds is told")
    assert lan.udp(one, internet, REPAIR)

    # The processes: who may do what.
    children = gateway.children()
    keeper, link = (Path(f"/proc/{children[name]}/status").read_text() for name in ("keeper", "link"))
    assert "CapEff:\t0000000000001000" in keeper  # CAP_NET_ADMIN
    assert "CapEff:\t0000000000000000" in link
    assert "Uid:\t0" not in link
    assert "NoNewPrivs:\t1" in keeper
    assert "NoNewPrivs:\t1" in link

    # Whoever dies, at any moment: never open.
    for name in ("keeper", "link"):
        os.kill(gateway.children()[name], signal.SIGKILL)
        assert not lan.udp(one, internet, WEB, expected=False)
        until(lambda: len(gateway.children()) == 2, "both are back")
        assert not lan.udp(one, internet, WEB, expected=False)
    gateway.kill()
    for name in ("controller", "broker"):
        os.kill(house.children()[name], signal.SIGKILL)
    assert not lan.udp(one, internet, WEB, expected=False)
    lan.gateway.command(["nft", "flush", "ruleset"])  # a reboot
    loaded = gateway.command("load")
    assert "things loaded" in loaded.stdout, loaded.stderr
    assert not lan.udp(one, internet, WEB, expected=False)
    assert lan.udp(one, internet, REPAIR)
    gateway.start()  # without any controller
    until(lambda: len(gateway.children()) == 2, "it runs alone")
    lan.gateway.command(["nft", "delete", "table", "inet", "bastide"])
    until(lambda: not lan.udp(one, internet, WEB, expected=False), "drift is repaired", 5)

    house.stop()
    house.start("--host", PLATFORM)
    api(house, internet, "device", "release", lamp, "--reason", "it was a false alarm")
    until(lambda: lan.udp(one, internet, WEB, expected=False), "released, it works again")
    until(lambda: gateway_holds("profile, enforce"), "and the gateway says so")
