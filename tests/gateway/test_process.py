"""The gateway as its operator starts it, in a namespace beside a whole Bastide: plans arrive, hold, and outlive everything."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bastide.adapters.namespaces.namespace import Namespace
from bastide.testing.fleet.est import Claim, Endpoint, enrol
from tests.gateway.lan import HOSTS, Lan
from tests.gateway.plans import mud
from tests.processes.bastide import Bastide, environment

WEB, OTHER, REPAIR = HOSTS[0], HOSTS[1], HOSTS[3]
PLATFORM = "203.0.113.2"


def inside(where: Namespace) -> tuple[str, ...]:
    return ("nsenter", "-t", str(os.getpid()), f"--net=/proc/{os.getpid()}/task/{where.tid}/ns/net")


class Gateway:
    """The gateway's processes in a namespace."""

    def __init__(self, lan: Lan, data: Path) -> None:
        self._lan, self.data = lan, data
        self.process: subprocess.Popen[bytes] | None = None
        self.settings = {
            "BASTIDE_GATEWAY_DATA": str(data),
            "BASTIDE_GATEWAY_PORTS": "lan0,lan1",
            "BASTIDE_GATEWAY_CHECK_SECONDS": "0.2",
        }

    def command(self, *arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
        words = [*inside(self._lan.gateway), sys.executable, "-m", "bastide.gateway", *arguments]
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("BASTIDE_")}
        return subprocess.run(
            words, env=inherited | self.settings, input=text, capture_output=True, text=True, timeout=60, check=False
        )

    def start(self) -> None:
        words = [*inside(self._lan.gateway), sys.executable, "-m", "bastide.gateway"]
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("BASTIDE_")}
        log = open(self.data.parent / "gateway.log", "ab")  # noqa: SIM115
        with log:
            self.process = subprocess.Popen(words, env=inherited | self.settings, stdout=log, stderr=log)

    def children(self) -> dict[str, int]:
        assert self.process is not None
        found: dict[str, int] = {}
        for pid in Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split():
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            found[words[-2].decode()] = int(pid)
        return found

    def kill(self) -> None:
        if self.process is not None:
            for pid in self.children().values():
                os.kill(pid, signal.SIGKILL)
            self.process.kill()
            self.process.wait()


def api(house: Bastide, where: Namespace, *words: str) -> Any:
    told = {
        "BASTIDE_URL": f"https://{PLATFORM}:{house.ports['console_port']}",
        "BASTIDE_TOKEN": (house.data / "operator.token").read_text().strip(),
        "BASTIDE_TRUST": str(house.data / "trust" / "root.pem"),
    }
    command = [*inside(where), str(Path(sys.executable).with_name("bastide")), *words, "--json"]
    settings = environment(house.data, house.ports, **told)
    done = subprocess.run(command, env=settings, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


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
    claim = api(house, lan.internet, "claim", "create", "--class", "gateway", "--site", "home")
    root = tmp_path / "root.pem"
    root.write_bytes((house.data / "trust" / "root.pem").read_bytes())
    server = f"https://{PLATFORM}:{house.ports['device_port']}"
    joined = gateway.command("join", server, str(root), claim["username"], text=claim["password"] + "\n")
    assert joined.returncode == 0, joined.stderr
    gateway.settings["BASTIDE_GATEWAY_NATS"] = f"tls://{PLATFORM}:{house.ports['nats_port']}"

    (tmp_path / "home.json").write_text(json.dumps({"remediation": [f"{REPAIR}/32"]}))
    (tmp_path / "generic.json").write_bytes(mud("lamp", hosts=(WEB,)))
    api(house, lan.internet, "site", "put", "home", str(tmp_path / "home.json"))
    api(house, lan.internet, "profile", "reach", "generic", str(tmp_path / "generic.json"))
    assert "No plan is held" in gateway.command("load").stdout
    assert not lan.udp(lan.devices[0], lan.internet, WEB, expected=False)
    gateway.start()

    def until(holds: Callable[[], bool], what: str, seconds: float = 20.0) -> None:
        end = time.monotonic() + seconds
        while not holds():
            log = (tmp_path / "gateway.log").read_text()[-3000:]
            assert time.monotonic() < end, f"{what}\n{log}"
            time.sleep(0.05)

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
