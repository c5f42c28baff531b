"""The fault run: processes are killed at random under load, and the clients' own log of acknowledgements is the truth.

What must hold afterwards: every acknowledged message is stored exactly once, each other one at most once; the ledger
verifies against the signer's journal; and a new enrolment, a publish and a quarantine work, without anybody having helped
but whoever starts the supervisor again, as an init system does.
"""

import asyncio
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from bastide.adapters.samples.reader import SampleStore
from bastide.core.ids import DeviceId
from bastide.demo.api import API
from bastide.testing.fleet.est import Endpoint, enrol
from bastide.testing.fleet.identity import Identity
from bastide.testing.fleet.mqtt import Session
from bastide.testing.mqtt_load import Load
from tests.processes.bastide import Bastide, until

VICTIMS = ("signer", "broker", "controller", "ingest", "supervisor")
CLASS = "fault-load"
PROFILE = f"""
name = "{CLASS}"
class = "{CLASS}"
title = "Numbers under load"
rate_per_second = 5000
burst = 50000
max_payload_bytes = 256

[[channel]]
topic = "devices/{{device}}/telemetry"
direction = "publish"
purpose = "Each number is sent once"
[[channel.field]]
name = "n"
type = "integer"
purpose = "Which message it is"
required = true

[[channel]]
topic = "devices/{{device}}/commands"
direction = "subscribe"
purpose = "So that it can be told"
"""
WHOLE_PATIENCE_S = 90.0
DRAIN_PATIENCE_S = 120.0


@dataclass(frozen=True, slots=True)
class Kill:
    """``at`` is seconds since the load began."""

    at: float
    victim: str
    pid: int


@dataclass(slots=True)
class Report:
    """What was measured. ``lost`` and ``doubled`` name messages as (device, number)."""

    seed: int
    kills: list[Kill] = field(default_factory=list)
    seconds: float = 0.0
    sent: int = 0
    acknowledged: int = 0
    stored: int = 0
    lost: list[tuple[str, int]] = field(default_factory=list)
    doubled: list[tuple[str, int]] = field(default_factory=list)
    steady_rate: float = 0.0
    longest_silence_s: float = 0.0
    verified: str = ""
    recovered: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        counted = Counter(kill.victim for kill in self.kills)
        return "\n".join(
            [
                f"seed {self.seed}: {len(self.kills)} kills in {self.seconds:.0f} s "
                f"({', '.join(f'{name} {counted[name]}' for name in VICTIMS)})",
                "instants: " + ", ".join(f"{kill.at:.2f} s {kill.victim}" for kill in self.kills),
                f"messages: {self.sent} sent ({self.sent / max(self.seconds, 1):.0f} a second), {self.acknowledged} acknowledged "
                f"({self.acknowledged / max(self.seconds, 1):.0f} a second over the whole run, "
                f"{self.steady_rate:.0f} a second while all were connected), {self.stored} stored",
                f"longest time without an acknowledgement: {self.longest_silence_s:.1f} s",
                f"acknowledged and not stored: {len(self.lost)} {self.lost[:5] or ''}",
                f"stored more than once: {len(self.doubled)} {self.doubled[:5] or ''}",
                f"ledger: {self.verified}",
                *(f"afterwards: {what}" for what in self.recovered),
            ]
        )


class FaultRun:
    """``say`` prints what happens while it happens."""

    def __init__(
        self,
        bastide: Bastide,
        home: Path,
        *,
        seed: int,
        rate: float = 3000.0,
        devices: int = 20,
        say: Callable[[str], None] = print,
    ) -> None:
        self._bastide = bastide
        self._home = home
        self._random = Random(seed)
        self._rate = rate
        self._count = devices
        self._say = say
        self.report = Report(seed)

    def run(self, kills: int, mean_pause_s: float) -> Report:
        """Kills at random, with exponentially distributed pauses."""

        def kill_some(load: Load, began: float) -> None:
            for _ in range(kills):
                time.sleep(0.2 + self._random.expovariate(1 / mean_pause_s))
                self._kill(began)

        return self.under_load(kill_some)

    def under_load(self, fault: Callable[[Load, float], None]) -> Report:
        """Runs a fault under load (it is handed the load and when that began), then compares, verifies, and tries anew."""
        identities = self.enrol(self._count, "load")
        load = Load(identities, "127.0.0.1", self._bastide.ports["mqtt_port"], self._rate)
        stop = threading.Event()
        thread = threading.Thread(target=lambda: asyncio.run(_until(stop, load, self.report)), daemon=True)
        thread.start()
        began = time.monotonic()
        try:
            self._whole(load)
            fault(load, began)
            self._whole(load)
            time.sleep(2)
        finally:
            stop.set()
            thread.join(30)
        self.report.seconds = time.monotonic() - began
        self.report.sent, self.report.acknowledged = load.sent, load.acknowledged
        self._compare(load)
        self._verify_ledger()
        self._works_again(identities[0])
        return self.report

    def _kill(self, began: float) -> None:
        """Kills one of those that are there, with no regard for what it does."""
        victims = self._bastide.children() | {"supervisor": self._bastide.pid}
        name = self._random.choice([each for each in VICTIMS if each in victims])
        kill = Kill(time.monotonic() - began, name, victims[name])
        try:
            os.kill(kill.pid, signal.SIGKILL)
        except ProcessLookupError:
            return
        self.report.kills.append(kill)
        self._say(f"{kill.at:7.2f} s  kill -9 {name} ({kill.pid})")
        if name == "supervisor":
            self._bastide.reap()
            took = self._bastide.start(patience_s=WHOLE_PATIENCE_S)
            self._say(f"{time.monotonic() - began:7.2f} s  started again, ready after {took:.1f} s")

    def _whole(self, load: Load) -> None:
        """Waits until all children are there and every device is connected."""
        wanted = set(VICTIMS) - {"supervisor"}

        def whole() -> bool:
            return wanted <= set(self._bastide.children()) and load.connected == self._count

        if not until(whole, WHOLE_PATIENCE_S, 0.1):
            missing = sorted(wanted - set(self._bastide.children()))
            raise AssertionError(
                f"not whole after {WHOLE_PATIENCE_S:.0f} s: missing {missing}, {load.connected} of {self._count} connected\n"
                + self._bastide.logs()
            )

    def _compare(self, load: Load) -> None:
        """Waits until ingest is through, then compares what is stored with what was acknowledged."""
        wanted = load.acknowledged
        store = SampleStore(self._bastide.data / "samples")
        try:
            stored: dict[tuple[str, int], int] = {}

            def drained() -> bool:
                nonlocal stored
                stored = _stored(store)
                return len(stored) >= wanted and not _missing(load, stored)

            until(drained, DRAIN_PATIENCE_S, 1.0)
        finally:
            store.close()
        self.report.stored = sum(stored.values())
        self.report.lost = _missing(load, stored)
        self.report.doubled = sorted(message for message, count in stored.items() if count > 1)

    def _verify_ledger(self) -> None:
        ended = self._bastide.run("audit", "verify", timeout_s=300)
        said = (ended.stdout + ended.stderr).strip().splitlines()
        self.report.verified = f"audit verify: status {ended.returncode}, {said[-1] if said else 'no word'}"
        if ended.returncode != 0:
            self._say(ended.stdout + ended.stderr)

    def _works_again(self, earlier: Identity) -> None:
        """A new device enrols and publishes; an earlier one is quarantined and cut off."""
        (fresh,) = self.enrol(1, "fresh")
        self.report.recovered.append("a new device enrolled")
        ports = self._bastide.ports
        sessions = [Session(each, "127.0.0.1", ports["mqtt_port"]) for each in (fresh, earlier)]
        try:
            for session in sessions:
                session.start()
                assert session.connected.wait(30), f"{session.device} cannot connect\n{self._bastide.logs()}"
            sessions[0].publish(sessions[0].topic("telemetry"), {"n": 1})
            assert until(lambda: sessions[0].acknowledged >= 1, 10), "its message was not acknowledged"
            store = SampleStore(self._bastide.data / "samples")
            try:
                assert until(lambda: (fresh.device, 1) in _stored(store), 30, 0.5), "its message was not stored"
            finally:
                store.close()
            self.report.recovered.append("its message was stored")
            began = time.monotonic()
            asyncio.run(self._quarantine(earlier.device))
            assert sessions[1].lost.wait(15), "the quarantined device is still connected"
            took = (sessions[1].lost_at or 0) - began
            self.report.recovered.append(
                f"a quarantined device lost its connection {took * 1000:.0f} ms after the order"
            )
        finally:
            for session in sessions:
                session.stop()

    def enrol(self, count: int, name: str) -> list[Identity]:
        """New devices of the class of this run."""
        endpoint = Endpoint("127.0.0.1", self._bastide.ports["device_port"], self._bastide.data / "trust" / "root.pem")

        async def all_of_them() -> list[Identity]:
            places = asyncio.Semaphore(4)
            async with self._api() as api:
                await api.put_profile(PROFILE, "tests", "main")

                async def one(number: int) -> Identity:
                    async with places:
                        claim = await api.claim(CLASS, f"{name}-{number}", "tests", "main")
                        return await asyncio.to_thread(
                            enrol, endpoint, claim, self._home / f"{name}-{number}", f"{name}-{number}"
                        )

                return await asyncio.gather(*(one(number) for number in range(count)))

        return asyncio.run(all_of_them())

    async def _quarantine(self, device: DeviceId) -> None:
        async with self._api() as api:
            await api.quarantine(device, "the fault run tries whether it works")

    def _api(self) -> API:
        data = self._bastide.data
        token = (data / "operator.token").read_text().strip()
        return API(f"https://127.0.0.1:{self._bastide.ports['console_port']}", data / "trust" / "root.pem", token)


async def _until(stop: threading.Event, load: Load, report: Report) -> None:
    """Runs the load on a loop of its own, and watches how it goes."""
    running = asyncio.create_task(load.run())
    before, since, quiet, rates = 0, time.monotonic(), 0.0, []
    last = since
    while not stop.is_set():
        await asyncio.sleep(0.1)
        now, acknowledged = time.monotonic(), load.acknowledged
        quiet = 0.0 if acknowledged > before else quiet + now - last
        report.longest_silence_s = max(report.longest_silence_s, quiet)
        if load.connected == len(load.logs):
            rates.append((acknowledged - before) / (now - last))
        before, last = acknowledged, now
    report.steady_rate = sum(rates) / len(rates) if rates else 0.0
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


def _stored(store: SampleStore) -> dict[tuple[str, int], int]:
    """How often each number of each device is stored."""
    query = "SELECT device, number::BIGINT, count(*) FROM {files} WHERE field = 'n' GROUP BY ALL"
    return {(device, number): count for device, number, count in store._answer(query, {}, None, None)}


def _missing(load: Load, stored: dict[tuple[str, int], int]) -> list[tuple[str, int]]:
    return sorted(
        (device, number)
        for device, log in load.logs.items()
        for number in log.acknowledged
        if (device, number) not in stored
    )
