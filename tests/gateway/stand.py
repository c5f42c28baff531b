"""A whole Bastide in an internet, and a gateway's processes in front of the devices: what the scenarios play with."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bastide.adapters.namespaces.namespace import Namespace
from tests.gateway.lan import HOSTS, Lan
from tests.processes.bastide import COMMAND, Bastide, environment

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


def settings_of(house: Bastide) -> dict[str, str]:
    """The environment of a command that speaks to that Bastide from wherever it can be reached."""
    told = {
        "BASTIDE_URL": f"https://{PLATFORM}:{house.ports['console_port']}",
        "BASTIDE_TOKEN": (house.data / "operator.token").read_text().strip(),
        "BASTIDE_TRUST": str(house.data / "trust" / "root.pem"),
    }
    return environment(house.data, house.ports, **told)


def api(house: Bastide, where: Namespace, *words: str) -> Any:
    command = [*inside(where), str(COMMAND), *words, "--json"]
    done = subprocess.run(command, env=settings_of(house), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def until(holds: Callable[[], bool], what: str, log: Path, seconds: float = 20.0) -> None:
    """Waits for what happens by itself; fails with the end of the log where it does not."""
    end = time.monotonic() + seconds
    while not holds():
        said = log.read_text()[-3000:] if log.exists() else ""
        assert time.monotonic() < end, f"{what}\n{said}"
        time.sleep(0.05)


def join(house: Bastide, gateway: Gateway, lan: Lan, folder: Path) -> Path:
    """The gateway gets its identity at the site ``home``; gives the root that it and devices trust."""
    claim = api(house, lan.internet, "claim", "create", "--class", "gateway", "--site", "home")
    root = folder / "root.pem"
    root.write_bytes((house.data / "trust" / "root.pem").read_bytes())
    server = f"https://{PLATFORM}:{house.ports['device_port']}"
    joined = gateway.command("join", server, str(root), claim["username"], text=claim["password"] + "\n")
    assert joined.returncode == 0, joined.stderr
    gateway.settings["BASTIDE_GATEWAY_NATS"] = f"tls://{PLATFORM}:{house.ports['nats_port']}"
    return root
