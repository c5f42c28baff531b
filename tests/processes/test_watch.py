"""``bastide watch`` beside a running Bastide, in a network namespace of the test's own."""

import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bastide.adapters.capture.ring import LiveSocket, compile_filter
from bastide.adapters.namespaces.namespace import Namespace
from bastide.core.error import NotFound, Unreadable
from tests.domain.network.traffic import build
from tests.domain.network.traffic.test_findings import basic, session
from tests.peers import require, require_root
from tests.processes.bastide import COMMAND, Bastide, environment, until

pytestmark = pytest.mark.timeout(400)  # the first one compiles the kernel
# A made-up address is not known again; this one has a maker.
CAMERA = "00:17:88:00:00:0a"
FRAMES = [
    frame.replace(bytes.fromhex(build.CAMERA.replace(":", "")), bytes.fromhex(CAMERA.replace(":", "")))
    for frame in [*session(basic("admin", "admin"), b"HTTP/1.1 200 OK\r\n\r\n", 80), build.DNS_FRAME]
]


@pytest.fixture
def wire() -> Iterator[Namespace]:
    require_root("a network namespace")
    require("ip")
    require("nsenter")
    site = Namespace("site")
    try:
        site.command(["ip", "link", "add", "talks", "type", "veth", "peer", "name", "hears"])
        for end in ("talks", "hears"):
            site.command(["ip", "link", "set", end, "up"])
        yield site
    finally:
        site.close()


def send(wire: Namespace, frames: list[bytes]) -> None:
    def run() -> None:
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as talks:
            talks.bind(("talks", 0))
            for frame in frames:
                talks.send(frame)

    wire.run(run)


class Watch:
    """One run of the command."""

    def __init__(self, bastide: Bastide, wire: Namespace, spool: Path) -> None:
        self.lines: list[dict[str, Any]] = []
        self.said = spool.parent / "watch.out"
        with self.said.open("w") as out:
            self.process = wire.run(
                lambda: subprocess.Popen(
                    [COMMAND, "watch", "hears", "--every", "1s", "--spool", spool, "--json"],
                    env=environment(bastide.data, bastide.ports),
                    stdout=out,
                    stderr=subprocess.STDOUT,
                    stdin=subprocess.DEVNULL,
                )
            )

    def told(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.said.read_text().splitlines() if line.startswith("{")]

    def heard(self) -> int:
        return sum(line["packets"] for line in self.told())

    def end(self, how: signal.Signals) -> int:
        self.process.send_signal(how)
        return self.process.wait(30)


def asked(bastide: Bastide, *arguments: str) -> Any:
    done = bastide.run(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def conversations(bastide: Bastide) -> list[tuple[str, int, int]]:
    """What the API tells of whom devices spoke to: (protocol, port, packets)."""
    script = (
        "import json,sys; from bastide.cli.client import connect\n"
        "with connect() as api: print(json.dumps(api.get('/conversations', limit=100)['items']))"
    )
    done = subprocess.run(
        [*bastide._prefix, COMMAND.with_name("python"), "-c", script],
        env=environment(bastide.data, bastide.ports),
        capture_output=True,
        text=True,
        check=True,
    )
    items = json.loads(done.stdout)
    return sorted((one["protocol"], one["port"], one["packets_sent"] + one["packets_received"]) for one in items)


def test_what_was_seen_is_neither_lost_nor_doubled_by_kill_9_of_either_side(wire: Namespace, tmp_path: Path) -> None:
    bastide = Bastide(tmp_path / "data", prefix=("nsenter", f"--net=/proc/{os.getpid()}/task/{wire.tid}/ns/net"))
    spool = tmp_path / "spool"
    bastide.start()
    watches: list[Watch] = []

    def watch() -> Watch:
        watches.append(Watch(bastide, wire, spool))
        return watches[-1]

    try:
        first = watch()
        assert until(lambda: bool(first.told()), 120), first.said.read_text()
        send(wire, FRAMES)
        assert until(lambda: first.heard() >= len(FRAMES), 20), first.said.read_text()
        assert until(lambda: not list((spool / "hears").glob("*.json")), 20)
        before, spoken = asked(bastide, "inventory", "search"), conversations(bastide)
        assert CAMERA in json.dumps(before)
        assert {protocol for protocol, _, _ in spoken} == {"http", "dns"}

        assert first.end(signal.SIGKILL) == -signal.SIGKILL
        bastide.stop()
        second = watch()
        assert until(lambda: bool(second.told()), 120), second.said.read_text()
        send(wire, FRAMES)
        assert until(lambda: second.heard() >= len(FRAMES), 20)
        assert second.end(signal.SIGKILL) == -signal.SIGKILL
        waiting = sorted((spool / "hears").glob("*.json"))
        assert waiting, "windows wait on disk while Bastide is away"

        bastide.start()
        third = watch()
        assert until(lambda: bool(third.told()) and not list((spool / "hears").glob("*.json")), 120)
        # The same windows once more, as if the answer had been lost with the crash.
        assert third.end(signal.SIGTERM) == 0
        after = asked(bastide, "inventory", "search")
        assert [one["device"]["id"] for one in after] == [one["device"]["id"] for one in before]
        doubled = [(protocol, port, 2 * packets) for protocol, port, packets in spoken]
        assert conversations(bastide) == sorted(doubled)
    finally:
        for each in watches:
            each.process.kill()
            each.process.wait()
        bastide.stop()


def test_the_kernels_filter_lets_through_what_its_words_say(wire: Namespace) -> None:
    live = wire.run(lambda: LiveSocket("hears", "udp port 53", blocks=2))
    try:
        send(wire, FRAMES)
        assert live.drops().packets == 1
        assert live.drops().packets == 0
    finally:
        live.close()


def test_an_interface_or_filter_that_is_none_is_named(wire: Namespace) -> None:
    with pytest.raises(NotFound, match=r"there are .*hears"):
        wire.run(lambda: LiveSocket("nowhere"))
    with pytest.raises(Unreadable, match="no capture filter"):
        compile_filter("nonsense words", 1)


def test_what_comes_while_nobody_reads_is_dropped_and_counted(wire: Namespace) -> None:
    live = wire.run(lambda: LiveSocket("hears", blocks=2))
    try:
        frame = bytes(12) + b"\x08\x00" + bytes(1400)
        send(wire, [frame] * 4_000)
        drops = live.drops()
        assert drops.packets >= 4_000
        assert drops.dropped > 0
    finally:
        live.close()
