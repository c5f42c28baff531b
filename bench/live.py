"""The packet rate that a live capture holds without a drop: Bastide's full scan, tshark with a few fields, dumpcap to nowhere.

    .venv/bin/python bench/live.py [--seconds 4] [--packets 400000]

A capture made from the shared ones is replayed (tcpreplay, preloaded) over a veth pair between two network namespaces, at rising
rates; the sender has one core and the listener the other. A rate is held where the listener's kernel counted no drop and every
packet that was sent arrived. Needs root.
"""

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bastide.adapters.capture.ring import LiveSocket
from bastide.adapters.namespaces.namespace import Namespace
from bastide.adapters.sandbox.parser import follow
from bench._captures import make
from bench._machine import facts

RATES = (50_000, 100_000, 200_000, 300_000, 400_000, 600_000, 800_000)
FIELDS = ["-n", "-T", "fields", "-e", "ip.src", "-e", "ip.dst", "-e", "_ws.col.Protocol", "-e", "frame.len"]


class Wire:
    """Two namespaces, a veth pair between them."""

    def __init__(self) -> None:
        self.sender, self.listener = Namespace("sender"), Namespace("listener")
        self.sender.command(["ip", "link", "add", "talks", "type", "veth", "peer", "name", "hears"])
        self.sender.command(["ip", "link", "set", "hears", "netns", str(self.listener.tid)])
        for site, end in ((self.sender, "talks"), (self.listener, "hears")):
            site.set(f"net.ipv6.conf.{end}.disable_ipv6", 1)  # no packets of its own
            site.command(["ip", "link", "set", end, "mtu", "9000", "up"])

    def replay(self, capture: Path, rate: int, packets: int) -> tuple[int, float]:
        """(packets sent, packets a second that were reached)."""
        core = str(max(os.sched_getaffinity(0)))
        said = self.sender.command(
            [
                "taskset",
                "-c",
                core,
                "tcpreplay",
                "-q",
                "-K",
                "-i",
                "talks",
                f"--pps={rate}",
                f"--limit={packets}",
                str(capture),
            ]
        )
        sent = re.search(r"Actual: (\d+) packets", said)
        reached = re.search(r"([\d.]+) pps", said)
        if sent is None or reached is None:
            raise RuntimeError(f"tcpreplay said nothing of its rate: {said}")
        return int(sent[1]), float(reached[1])

    def close(self) -> None:
        self.sender.close()
        self.listener.close()


def ours(wire: Wire, send: Callable[[], tuple[int, float]]) -> tuple[int, float, int]:
    """(packets sent, rate, packets that were not seen)."""
    live = wire.listener.run(lambda: LiveSocket("hears"))
    ready, stop, seen = threading.Event(), threading.Event(), [0]
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    ring = {
        "descriptor": live.descriptor,
        "blocks": live.geometry.blocks,
        "block_octets": live.geometry.block_octets,
        "link": 1,
    }

    def read() -> None:
        for line in follow(ring, 0.5, None, stop.is_set):
            ready.set()
            if "window" in line:
                seen[0] = line["report"]["packets"]

    reader = threading.Thread(target=read)
    reader.start()
    ready.wait(60)
    live.drops()
    began = seen[0]
    sent, rate = send()
    deadline = time.monotonic() + 5
    while seen[0] - began < sent and time.monotonic() < deadline:
        time.sleep(0.1)
    dropped = live.drops().dropped
    stop.set()
    reader.join()
    live.close()
    return sent, rate, max(dropped, sent - (seen[0] - began))


def peer(command: list[str]) -> Callable[[Wire, Callable[[], tuple[int, float]]], tuple[int, float, int]]:
    """A listener of Wireshark's, which tells at its end how many packets it dropped."""

    def run(wire: Wire, send: Callable[[], tuple[int, float]]) -> tuple[int, float, int]:
        core = str(min(os.sched_getaffinity(0)))
        with tempfile.TemporaryFile("w+") as words:
            process = wire.listener.run(
                lambda: subprocess.Popen(
                    ["taskset", "-c", core, *command], stdout=subprocess.DEVNULL, stderr=words, text=True
                )
            )
            time.sleep(2.5)
            sent, rate = send()
            time.sleep(2.0)
            process.send_signal(signal.SIGINT)
            process.wait(120)
            words.seek(0)
            said = words.read()
        counts = re.search(r"(\d+)/(\d+) \(", said)  # dumpcap: received/dropped
        if counts is not None:
            return sent, rate, max(int(counts[2]), sent - int(counts[1]))
        dropped = re.search(r"(\d+) packets? dropped", said)
        captured = re.search(r"(\d+) packets? captured", said)
        lost = int(dropped[1]) if dropped else 0
        return sent, rate, max(lost, sent - int(captured[1]) if captured else 0)

    return run


def highest(
    wire: Wire,
    listener: Callable[[Wire, Callable[[], tuple[int, float]]], tuple[int, float, int]],
    capture: Path,
    packets: int,
    seconds: float,
) -> tuple[float, str]:
    """The highest rate that was reached without a loss, and what ended the search."""
    best, why = 0.0, "the sender reaches no more"
    for rate in RATES:
        count = min(packets, int(rate * seconds))
        sent, reached, lost = listener(wire, lambda rate=rate, count=count: wire.replay(capture, rate, count))  # type: ignore[misc]
        if lost:
            sent, reached, lost = listener(wire, lambda rate=rate, count=count: wire.replay(capture, rate, count))  # type: ignore[misc]
        if lost:
            return best, f"at {reached:,.0f}/s it lost {lost:,} of {sent:,}"
        best = max(best, reached)
        if reached < rate * 0.9:
            break
    return best, why


def main() -> int:
    options = argparse.ArgumentParser()
    options.add_argument("--seconds", type=float, default=4.0)
    options.add_argument("--packets", type=int, default=1_000_000)
    options.add_argument("--quick", action="store_true")
    given = options.parse_args()
    if given.quick:
        given.seconds, given.packets = 1.5, 200_000
    for program in ("tcpreplay", "tshark", "dumpcap", "taskset"):
        if shutil.which(program) is None:
            print(f"{program} is not installed; `make peers` installs it.")
            return 1
    print(facts("numba", "numpy"))
    wire = Wire()
    results: dict[str, float] = {}
    try:
        with tempfile.TemporaryDirectory(prefix="bastide-bench-") as folder:
            capture = Path(folder) / "replay.pcap"
            made = make(capture, given.packets)
            print(
                f"input: {made:,} packets, {capture.stat().st_size / 1e6:,.0f} MB, replayed for {given.seconds:g} s at each rate"
            )
            for name, listener in (
                ("Bastide, full scan in the sandbox", ours),
                ("tshark -T fields", peer(["tshark", "-i", "hears", *FIELDS])),
                ("dumpcap, written to nowhere", peer(["dumpcap", "-q", "-i", "hears", "-w", "/dev/null"])),
            ):
                rate, why = highest(wire, listener, capture, made, given.seconds)
                results[name] = rate
                print(f"{name + ':':<40} {rate:>10,.0f} packets/s without a drop ({why})", flush=True)
    finally:
        wire.close()
    first = results["Bastide, full scan in the sandbox"]
    for name, rate in list(results.items())[1:]:
        print(f"  {first / rate:.1f} times {name}" if rate else f"  {name} held no rate")
    print(json.dumps({name: round(rate) for name, rate in results.items()}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
