"""What a gateway's rules cost, between network namespaces through the real kernel: 10, 1,000 and 10,000 devices of 100 profiles.

Forwarding (small and large packets of open flows) and new connections a second, beside connection tracking alone and, for
new connections, the same policy as one linear list of rules; the time to apply one device's change and to compile and load
all; and the time from a quarantine handed to the gateway's keeper to the last packet of an open flow that passes.

Each pair is measured right after each other in changing order, on a veth pair of its own. Needs root, nft, ip and cc.

    python bench/segmentation.py [--quick]
"""

import argparse
import json
import math
import os
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bastide.adapters.gateway.journal import ItemFile
from bastide.adapters.namespaces.namespace import Namespace
from bastide.core.ids import DeviceId
from bastide.core.plan import Circle, NetworkMode
from bastide.flows.on_gateway.keep_rules import Keeper
from bastide.network.profile.mud.read import read
from bastide.network.segmentation.fleet import Frame, Member, compile_fleet
from bastide.network.segmentation.holding import Holding
from bastide.wire.gateway import MemberForm
from bench._machine import facts
from tests.gateway.lan import There
from tests.gateway.plans import GATEWAY, PLAN_KEY, item, mud

PROFILES, HOSTS = 100, 5
SINK = "198.51.100.1"
SMALL, LARGE = 64, 1514
FORWARDED, OPENED, OPENED_LINEAR = 60_000, 30_000, 1_000
T = {9: 2.262, 11: 2.201, 14: 2.145, 19: 2.093}  # Student's t, 95 %, by degrees of freedom


def address(i: int) -> str:
    return f"10.60.{1 + i // 250}.{1 + i % 250}"


def mac(i: int) -> str:
    return "02:00:" + ":".join(f"{octet:02x}" for octet in i.to_bytes(4, "big"))


def profile(number: int) -> bytes:
    """One of a hundred kinds: five hosts, of which the sink is the last, each by TCP and UDP."""
    return mud(f"kind{number}", hosts=(*(f"203.0.113.{10 + h}" for h in range(HOSTS - 1)), SINK))


class Way:
    """device ── gateway ── sink, for one kind of rules."""

    def __init__(self, name: str, program: str) -> None:
        self.name, self._program = name, program
        self.device, self.gateway, self.sink = (Namespace(f"{name}-{one}") for one in ("device", "gateway", "sink"))
        for inner, other in (("lan", self.device), ("wan", self.sink)):
            self.gateway.command(["ip", "link", "add", inner, "type", "veth", "peer", "name", "up0"])
            self.gateway.command(["ip", "link", "set", "up0", "netns", str(other.tid)])
            other.command(["ip", "link", "set", "up0", "name", "eth0"])
            other.command(["ip", "link", "set", "eth0", "up"])
            self.gateway.command(["ip", "link", "set", inner, "up"])
        for where in (self.device, self.gateway, self.sink):
            for one in ("all", "default"):
                where.set(f"net.ipv4.conf.{one}.rp_filter", 0)
        self.gateway.set("net.ipv4.ip_forward", 1)
        self.gateway.command(["ip", "addr", "add", "10.60.0.1/16", "dev", "lan"])
        self.gateway.command(["ip", "addr", "add", "10.61.0.1/30", "dev", "wan"])
        self.gateway.command(["ip", "route", "add", "default", "via", "10.61.0.2"])
        self.device.command(["ip", "addr", "add", "10.60.0.2/16", "dev", "eth0"])
        self.device.command(["ip", "route", "add", "local", "10.60.0.0/16", "dev", "lo"])
        self.device.command(
            ["nft", "-f", "-"],
            "table ip quiet { chain in { type filter hook input priority 0; ip protocol udp drop; }; }",
        )
        self.sink.command(["ip", "addr", "add", "10.61.0.2/30", "dev", "eth0"])
        self.sink.command(["ip", "addr", "add", f"{SINK}/32", "dev", "lo"])
        self.sink.command(["ip", "route", "add", "default", "via", "10.61.0.1"])
        self.kernel = There(self.gateway)
        shown = json.loads(self.gateway.command(["ip", "-j", "link", "show", "lan"]))
        self._mac = shown[0]["address"]
        self._heard = self.sink.run(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        self._heard.bind((SINK, 443))
        self._heard.settimeout(2)

    def close(self) -> None:
        self._heard.close()
        for where in (self.device, self.gateway, self.sink):
            where.close()

    def blast(self, devices: int, size: int, count: int, *, new: bool) -> int:
        words = [self._program, "eth0", self._mac, str(devices), SINK, str(size), str(count), "20000", str(int(new))]
        return int(self.device.command(words))

    def forget(self) -> None:
        self.gateway.run(lambda: __import__("bastide.adapters.namespaces.rig", fromlist=["x"])._forget_connections())

    def arrived(self) -> int:
        shown = json.loads(self.sink.command(["ip", "-j", "-s", "link", "show", "eth0"]))
        return int(shown[0]["stats64"]["rx"]["packets"])

    def forwarding(self, devices: int, size: int) -> float:
        """Packets a second of flows that are open."""
        self.forget()
        flows = min(devices, 64)
        self._drain()
        self.blast(devices, SMALL, flows, new=False)
        for _ in range(flows):
            _, back = self._heard.recvfrom(2048)
            self._heard.sendto(b"x", back)
        return self._rate(lambda: self.blast(devices, size, FORWARDED, new=False))

    def opening(self, devices: int, count: int) -> float:
        """Connections a second."""
        self.forget()
        return self._rate(lambda: self.blast(devices, SMALL, count, new=True))

    def _drain(self) -> None:
        self._heard.setblocking(False)
        try:
            while True:
                self._heard.recv(2048)
        except BlockingIOError:
            self._heard.settimeout(2)

    def _rate(self, run: Callable[[], int]) -> float:
        before = self.arrived()
        took = run()
        return (self.arrived() - before) / (took / 1e9)


def holding(devices: int) -> Holding:
    profiles = [read(profile(number)).file for number in range(PROFILES)]
    made = Holding(Frame(("lan",), {one.url: one for one in profiles}, there=True))
    now = datetime.now(UTC)
    for i in range(devices):
        # Straight into the state: what a change costs is measured apart.
        made.members[f"d{i}"] = Member(f"d{i}", (ip_address(address(i)),), mac(i), profile=profiles[i % PROFILES].url)
    made.put_frame(made.frame, now)
    return made


def linear(devices: int) -> str:
    """The same policy as a list: for each device what its profile permits."""
    hosts = (*(f"203.0.113.{10 + h}" for h in range(HOSTS - 1)), SINK)
    rules = [
        f"ether saddr {mac(i)} ip saddr {address(i)} ip daddr {host} {transport} dport 443 counter accept"
        for i in range(devices)
        for host in hosts
        for transport in ("tcp", "udp")
    ]
    body = "\n".join(rules)
    return f"""table inet bastide {{ chain judge {{ type filter hook prerouting priority 0; policy accept;
ct state established,related accept
{body}
iifname "lan" counter drop
}}; }}
"""


ALONE = """table inet bastide { chain judge { type filter hook prerouting priority 0; policy accept;
ct state established,related accept
}; }
"""


def compared(what: str, mine: Callable[[], float], peer: Callable[[], float], named: str, pairs: int) -> float:
    """The ratio of mine to the peer's with its 95 % interval, over pairs in changing order."""
    ratios, a, b = [], [], []
    mine(), peer()  # neighbours are known, caches are warm
    for number in range(pairs):
        if number % 2:
            x, y = mine(), peer()
        else:
            y, x = peer(), mine()
        a.append(x)
        b.append(y)
        ratios.append(x / y)
    mean = statistics.mean(ratios)
    half = T[pairs - 1] * statistics.stdev(ratios) / math.sqrt(pairs)
    print(
        f"  {what:<28}{statistics.median(a):>10,.0f} /s   {named} {statistics.median(b):>10,.0f} /s   "
        f"ratio {mean:.3f} (95 %: {mean - half:.3f} to {mean + half:.3f}, {pairs} pairs)"
    )
    return mean


def changes(devices: int, kernel: There, tries: int) -> None:
    """One device's change through the keeper: signature, disk, kernel."""
    with tempfile.TemporaryDirectory() as folder:
        keeper = Keeper(
            GATEWAY, PLAN_KEY, ("lan",), kernel, ItemFile(Path(folder) / "plan.log"), lambda: datetime.now(UTC)
        )
        keeper.start()
        for number in range(PROFILES):
            keeper.take(item(f"mud/kind{number}", 1, profile(number)))
        began = time.perf_counter()
        names = [DeviceId(f"d-{''.join(chr(97 + (i // 26**p) % 26) for p in range(20))}") for i in range(devices)]
        for i, name in enumerate(names):
            keeper.take(item(f"device/{name}", 1, form(i)))
        filled = time.perf_counter() - began
        took, forgot = [], []
        chance = random.Random(1)
        for number in range(tries):
            i = chance.randrange(devices)
            data = item(f"device/{names[i]}", number + 2, form(i, Circle.QUARANTINE if number % 2 else Circle.PROFILE))
            began = time.perf_counter()
            keeper.take(data)
            took.append(time.perf_counter() - began)
            keeper.settle()
            forgot.append(time.perf_counter() - began - took[-1])
        took.sort()
        forgot.sort()
        print(
            f"  one device's change: p50 {took[tries // 2] * 1e3:.1f} ms, p99 {took[int(tries * 0.99)] * 1e3:.1f} ms, "
            f"most {took[-1] * 1e3:.1f} ms of {tries} (signature, fsync, kernel); "
            f"connections forgotten p99 {forgot[int(tries * 0.99)] * 1e3:.1f} ms later"
        )
        print(f"  {devices:,} devices handed one by one: {filled:.1f} s")
        began = time.perf_counter()
        again = Keeper(
            GATEWAY, PLAN_KEY, ("lan",), kernel, ItemFile(Path(folder) / "plan.log"), lambda: datetime.now(UTC)
        )
        again.start()
        print(f"  from the disk to the kernel after a restart: {time.perf_counter() - began:.2f} s")


def form(i: int, circle: Circle = Circle.PROFILE) -> MemberForm:
    return MemberForm([address(i)], mac(i), circle, NetworkMode.ENFORCE, f"kind{i % PROFILES}")


def contained(path: Way, held: Holding, tries: int) -> None:
    """An open flow, a packet every 0.2 ms; the device is quarantined at some moment: when did the last packet pass?"""
    took = []
    now = datetime.now(UTC)
    for number in range(tries):
        path.forget()
        path._drain()
        i = number % min(64, len(held.members))
        name = f"d{i}"
        sender = path.device.run(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW))
        sender.bind(("eth0", 0))
        raw = packet(path._mac, i)
        sender.send(raw)
        _, back = path._heard.recvfrom(2048)
        path._heard.sendto(b"x", back)
        stop = threading.Event()

        def send(sender: socket.socket = sender, raw: bytes = raw, stop: threading.Event = stop) -> None:
            while not stop.is_set():
                sender.send(raw)
                time.sleep(0.0002)

        thread = threading.Thread(target=send)
        thread.start()
        time.sleep(0.01)
        decided = time.perf_counter()
        text = held.put(replace(held.members[name], circle=Circle.QUARANTINE), now)
        path.kernel.load(text)
        path.kernel.forget_connections([ip_address(address(i)).packed])
        last = decided
        path._heard.settimeout(0.05)
        try:
            while time.perf_counter() - decided < 1:
                path._heard.recv(2048)
                last = time.perf_counter()
        except TimeoutError:
            pass
        stop.set()
        thread.join()
        sender.close()
        path._heard.settimeout(2)
        took.append(last - decided)
        path.kernel.load(held.put(replace(held.members[name], circle=Circle.PROFILE), now))
    took.sort()
    print(
        f"  quarantine to the last packet of an open flow: p50 {took[tries // 2] * 1e3:.1f} ms, "
        f"p99 {took[int(tries * 0.99)] * 1e3:.1f} ms of {tries}"
    )


def packet(gateway: str, i: int) -> bytes:
    head = bytearray.fromhex("450000200000000040110000")
    head += ip_address(address(i)).packed + ip_address(SINK).packed
    total = sum(int.from_bytes(head[at : at + 2], "big") for at in range(0, 20, 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    head[10:12] = (~total & 0xFFFF).to_bytes(2, "big")
    ports = (21000).to_bytes(2, "big") + (443).to_bytes(2, "big") + (12).to_bytes(2, "big") + bytes(2)
    return bytes.fromhex((gateway + mac(i)).replace(":", "")) + b"\x08\x00" + bytes(head) + ports + b"ping"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="10 devices, for a look")
    parser.add_argument("--pairs", type=int, default=12, choices=[one + 1 for one in T])
    options = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("bench/segmentation.py makes namespaces and loads rules in them: run it as root")
    print(facts())
    nft = subprocess.run(["nft", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    print(f"{nft}; {PROFILES} profiles of {HOSTS * 2} entries; UDP through veth; peer: connection tracking alone")
    with tempfile.TemporaryDirectory() as folder:
        program = f"{folder}/blast"
        subprocess.run(["cc", "-O2", "-o", program, str(Path(__file__).with_name("_blast.c"))], check=True)
        for devices in (10,) if options.quick else (10, 1_000, 10_000):
            print(f"{devices:,} devices")
            mine, alone, listed = (Way(one, program) for one in ("bastide", "alone", "list"))
            try:
                measured(devices, mine, alone, listed, options.pairs)
            finally:
                for one in (mine, alone, listed):
                    one.close()


def measured(devices: int, mine: Way, alone: Way, listed: Way, pairs: int) -> None:
    held = holding(devices)
    began = time.perf_counter()
    text = held.whole(datetime.now(UTC))
    compiled = time.perf_counter()
    mine.kernel.load(text)
    loaded = time.perf_counter()
    print(f"  all of them: compiled in {compiled - began:.2f} s, loaded in {loaded - compiled:.2f} s, one transaction")
    assert compile_fleet(held.frame, held.members.values()) == held.ruleset()
    alone.kernel.load(ALONE)
    began = time.perf_counter()
    listed.kernel.load(linear(devices))
    print(f"  the linear list has {devices * HOSTS * 2:,} rules, loaded in {time.perf_counter() - began:.2f} s")
    for what, size in (("small packets", SMALL), ("large packets", LARGE)):
        compared(
            f"{what} ({size} octets)",
            lambda size=size: mine.forwarding(devices, size),  # type: ignore[misc]
            lambda size=size: alone.forwarding(devices, size),  # type: ignore[misc]
            "alone",
            pairs,
        )
    opened = min(OPENED, devices * 3000)
    compared(
        "new connections", lambda: mine.opening(devices, opened), lambda: alone.opening(devices, opened), "alone", pairs
    )
    few = min(OPENED_LINEAR, opened)
    compared(
        "new connections", lambda: mine.opening(devices, few), lambda: listed.opening(devices, few), "list ", pairs
    )
    contained(mine, held, 100)
    mine.kernel.load("flush ruleset")
    changes(devices, mine.kernel, 200)


if __name__ == "__main__":
    main()
