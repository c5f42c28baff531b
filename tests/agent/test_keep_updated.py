"""The agent's updates: real boot code and updater over simulated flash, a server that judges by the real rules, and the power cut
at every write and every question in turn."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bastide.agent.keep_updated import Begun, Updater
from bastide.core.error import Unavailable
from bastide.core.ids import DeviceClass, DeviceId
from bastide.device.boot.image import make_image
from bastide.device.release.release import Release
from bastide.device.release.report import Report, Told, read_report, read_told, report_octets, told_octets
from bastide.flows.on_device.measure import Measured, measure
from bastide.flows.on_device.update import Board, _write, confirm, install, start
from bastide.operations.rollout.rollout import (
    Part,
    PartState,
    Phase,
    Rollout,
    RolloutId,
    Target,
    Terms,
    approve,
    begin,
    outcome,
)
from bastide.testing import FakeClock
from bastide.testing.flash import Flash, Fuses, Mode, Power, PowerCut

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OLD, NEW = make_image(b"old " * 300, 1, KEY), make_image(b"new " * 350, 2, KEY)
BLOCK, PAGE = 1024, 256
DEVICE = DeviceId("d-" + "a" * 20)


@dataclass
class Server:
    """The controller's side by its own rules; what it knows outlasts every cut. ``away``: it does not answer."""

    power: Power
    clock: FakeClock
    offered: bytes
    reports: list[Report] = field(default_factory=list)
    part: Part | None = None
    away: Callable[[], bool] = lambda: False

    def __post_init__(self) -> None:
        facts = {"counter": 2, "hardware": ["rev-b"]}
        release = Release("lamp", "2.0", "lamp/2.0/x", len(self.offered), sha256(self.offered).hexdigest(), facts)
        proposed = Rollout(
            RolloutId("u-" + "a" * 20), release, Target(DeviceClass("lamp")), Terms(), self.clock.now(), "p"
        )
        self.rollout = approve(proposed, "p", self.clock.now())
        assert self.rollout.phase is Phase.RUNNING

    def ask(self, report: Report) -> Told:
        if self.away():
            raise Unavailable("nobody answers")
        lost = self.power.spend()
        told = self._answer(read_report(report_octets(report)))
        if lost:
            self.power.cut()  # it was heard, and its answer was not
        return read_told(told_octets(told))

    def _answer(self, report: Report) -> Told:
        self.reports.append(report)
        if self.part is None:
            self.part = begin(self.rollout, DEVICE, report.version, None, self.clock.now())
        if self.part.state is PartState.BEGAN and (found := outcome(self.rollout, report)) is not None:
            self.part = replace(self.part, state=found.state, because=found.because)
        at_it = self.part.state is PartState.BEGAN
        return Told(self.rollout.update if at_it else None, "", 60)


@dataclass
class Device:
    """Implements the agent's Board, Source and Memory over flash and a disk; ``kept`` is what the disk holds."""

    power: Power
    server: Server
    folder: Path
    healthy_: bool = True
    booted: bool = False
    kept: dict[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        blocks = max(len(OLD), len(NEW)) // BLOCK + 1
        self.images, self.states = Flash(self.power, 2 * blocks, BLOCK, PAGE), Flash(self.power, 2, BLOCK, PAGE)
        self.fuses = Fuses(self.power, 1)
        self.board = Board(self.images, self.states, self.fuses, KEY.public_key())
        cut_at, self.power.cut_at = self.power.cut_at, None
        _write(self.board, 0, [OLD])
        self.images.flush()
        self.power.writes, self.power.cut_at = 0, cut_at

    # Board

    def measure(self) -> Measured:
        return measure(self.board)

    def report(self, measured: Measured, version: str) -> Report:
        return Report(
            "rev-b", version or "1.0", self.fuses.value, self.board.slot_bytes, measured.sha256, measured.on_trial
        )

    def install(self, content: Iterable[bytes]) -> None:
        install(self.board, content)

    def confirm(self) -> None:
        confirm(self.board)

    def healthy(self) -> str:
        return "" if self.healthy_ or not self.measure().on_trial else "the lamp stays dark"

    def restart(self) -> None:
        self.booted = False

    # Source

    def ask(self, report: Report) -> Told:
        return self.server.ask(report)

    def fetch(self, target: str) -> Path:
        assert target == self.server.rollout.release.path
        file = self.folder / "fetched"
        file.write_bytes(self.server.offered)
        return file

    # Memory

    def begun(self) -> Begun | None:
        held = self.kept.get("begun")
        return held if isinstance(held, Begun) else None

    def begin(self, begun: Begun | None) -> None:
        self._keep("begun", begun)

    def version_of(self, sha256: str) -> str:
        return str(self.kept.get(sha256, ""))

    def names(self, sha256: str, version: str) -> None:
        self._keep(sha256, version)

    def _keep(self, name: str, value: object) -> None:
        """Whole or not at all, as a file that is replaced."""
        cut = self.power.spend()
        if not cut or self.power.mode is Mode.KEPT:
            self.kept[name] = value
        if cut:
            self.power.cut()


def live(device: Device, clock: FakeClock, steps: int = 40) -> None:
    """The device lives on until the update has ended: boots where it must, and lets its agent do what is due."""
    for _ in range(steps):
        part = device.server.part
        if device.booted and part is not None and part.state is not PartState.BEGAN and device.begun() is None:
            return
        updater = Updater(device, device, device, clock, lambda: 0.5, lambda **_: None)
        try:
            if not device.booted:
                assert start(device.board).slot is not None
                device.booted = True
            for _ in range(3):
                if device.booted:
                    clock.advance(updater.step())
        except PowerCut:
            device.power.restore()
            device.booted = False


def world(
    folder: Path, power: Power, offered: bytes = NEW, *, healthy: bool = True
) -> tuple[Device, Server, FakeClock]:
    clock = FakeClock()
    server = Server(power, clock, offered)
    return Device(power, server, folder, healthy), server, clock


def cuts(folder: Path, *, healthy: bool) -> Iterator[tuple[int, Mode]]:
    """Every write and every question of an update that is not cut, in each mode."""
    device, _, clock = world(folder, power := Power(), healthy=healthy)
    live(device, clock)
    for number in range(power.writes):
        yield from ((number, mode) for mode in (Mode.LOST, Mode.KEPT, Mode.TORN))


@pytest.mark.parametrize("healthy", [True, False], ids=["well", "sick"])
def test_the_power_goes_at_every_write_and_every_question(tmp_path: Path, healthy: bool) -> None:
    count = 0
    for number, mode in cuts(tmp_path, healthy=healthy):
        device, server, clock = world(tmp_path, Power(7, number, mode), healthy=healthy)
        live(device, clock)
        end, part, at = device.measure(), server.part, f"cut {number} {mode}"
        assert part is not None, at
        assert not end.on_trial, at
        if healthy:
            assert (end.sha256, device.fuses.value) == (sha256(NEW).hexdigest(), 2), at
            assert part.state is PartState.SUCCEEDED, at
            assert server.reports[-1].version == "2.0", at
        else:
            assert (end.sha256, device.fuses.value) == (sha256(OLD).hexdigest(), 1), at
            assert part.state is PartState.FAILED, at
            assert "went back" in part.because, at
        count += 1
    assert count > 60


def test_an_update_that_breaks_the_network_goes_back(tmp_path: Path) -> None:
    device, server, clock = world(tmp_path, Power())
    server.away = lambda: device.measure().on_trial
    live(device, clock)
    assert device.measure().sha256 == sha256(OLD).hexdigest()
    assert device.fuses.value == 1
    assert server.part is not None
    assert server.part.state is PartState.FAILED


def test_an_image_that_is_not_the_named_one_is_refused_and_told(tmp_path: Path) -> None:
    device, server, clock = world(tmp_path, Power())
    server.offered = OLD
    live(device, clock)
    assert server.part is not None
    assert server.part.state is PartState.FAILED
    assert "not the one that the rollout names" in server.part.because
    assert device.measure() == Measured(0, sha256(OLD).hexdigest(), on_trial=False, waits=False)


def test_an_image_for_another_key_is_refused_by_the_boot_chain_and_told(tmp_path: Path) -> None:
    other = make_image(b"other", 2, Ed25519PrivateKey.from_private_bytes(bytes(32)))
    device, server, clock = world(tmp_path, Power(), other)
    live(device, clock)
    assert server.part is not None
    assert "no image that this device may start" in server.part.because
    assert device.fuses.value == 1
