"""The agent's updates: says what runs, takes what it is told, tries it, and confirms it or lets it be left again.

The order is what makes it safe to stop anywhere: what is begun is written down first; the boot chain alone decides what starts;
an image is confirmed only when the device's own check is well *and* the server can be reached from it, so an update that
breaks the network goes back by itself.
"""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from bastide.core.error import BastideError, Refused, Unavailable
from bastide.device.release.report import Attempt, Report, Told, Update
from bastide.flows.on_device.hold_certificate import pause
from bastide.flows.on_device.measure import Measured
from bastide.ports.clock import Clock

TRIAL_PATIENCE = timedelta(minutes=10)
"""How long an image on trial may fail to reach the server before it is left."""
_PIECE = 1 << 16


class Board(Protocol):
    """The board and what runs on it (agent.wiring)."""

    def measure(self) -> Measured: ...

    def report(self, measured: Measured, version: str) -> Report:
        """``version`` is empty for the factory's image."""
        ...

    def install(self, content: Iterable[bytes]) -> None: ...

    def confirm(self) -> None: ...

    def healthy(self) -> str:
        """Empty where the device's own check is well, else what is wrong."""
        ...

    def restart(self) -> None: ...


class Source(Protocol):
    """The server that is asked, and the repository that is fetched from."""

    def ask(self, report: Report) -> Told: ...

    def fetch(self, target: str) -> Path: ...


@dataclass(frozen=True, slots=True)
class Begun:
    """An update that was begun, as it is remembered over a restart. ``failed``: why it did not stay, once that is known."""

    rollout: str
    sha256: str
    version: str
    since: datetime
    installed: bool = False
    failed: str = ""


class Memory(Protocol):
    """What is remembered over restarts, each write whole or not at all."""

    def begun(self) -> Begun | None: ...

    def begin(self, begun: Begun | None) -> None: ...

    def version_of(self, sha256: str) -> str:
        """The version of an image that was taken; empty for another."""
        ...

    def names(self, sha256: str, version: str) -> None: ...


@dataclass(slots=True)
class Updater:
    """``step()`` does what is due and gives how long to wait; ``say`` takes what was done. ``longest`` bounds the wait."""

    board: Board
    source: Source
    memory: Memory
    clock: Clock
    chance: Callable[[], float]
    say: Callable[..., None]
    longest: timedelta = timedelta(hours=1)
    _failures: int = field(default=0)
    _settled: bool = field(default=False)

    def step(self) -> timedelta:
        try:
            waits = self._step()
        except BastideError as error:
            self._failures += 1
            rest = min(pause(self._failures, self.chance()), self.longest)
            self.say(act="update", outcome="later", what=error.sentence, again_in=f"{rest.total_seconds():.0f} s")
            return rest
        self._failures = 0
        return min(waits, self.longest)

    def _step(self) -> timedelta:
        measured, begun = self.board.measure(), self.memory.begun()
        if measured.waits:
            self.say(act="update", outcome="restarts", version=begun.version if begun else "")
            self.board.restart()
            return self.longest
        if measured.on_trial:
            if not self._try(measured, begun):
                return self.longest
            measured = self.board.measure()
        elif not self._settled:
            self.board.confirm()  # a cut may have come between a confirmation and the raise of its counter
        self._settled = True
        if begun is not None and begun.installed and not begun.failed and measured.sha256 != begun.sha256:
            begun = replace(begun, failed="It went back to the image before: the new one did not confirm itself.")
            self.memory.begin(begun)
            self.say(act="update", outcome="went back", version=begun.version)
        told = self.source.ask(self._report(measured, begun))
        if begun is not None and (begun.failed or measured.sha256 == begun.sha256):
            self.memory.begin(None)  # its end has been heard
        if told.update is not None:
            return self._take(told.update)
        return timedelta(seconds=told.again_in) * (0.9 + 0.2 * self.chance())

    def _report(self, measured: Measured, begun: Begun | None) -> Report:
        report = self.board.report(measured, self.memory.version_of(measured.sha256))
        if begun is not None and begun.failed:
            report = replace(report, attempt=Attempt(begun.rollout, begun.failed[:500]))
        return report

    def _try(self, measured: Measured, begun: Begun | None) -> bool:
        """Confirms the image on trial; False where it restarts out of it."""
        wrong = self.board.healthy()
        if not wrong:
            try:
                self.source.ask(self._report(measured, begun))
            except Unavailable as error:
                if begun is not None and self.clock.now() - begun.since < TRIAL_PATIENCE:
                    raise
                wrong = f"From it the server could not be reached: {error.sentence}"
        if wrong:
            self.say(act="update", outcome="not confirmed", what=wrong)
            self.board.restart()
            return False
        self.board.confirm()
        self.say(act="update", outcome="confirmed", version=begun.version if begun else "")
        return True

    def _take(self, update: Update) -> timedelta:
        """Fetches, checks and installs it, and restarts into it. What is refused is told at once."""
        begun = Begun(update.rollout, update.sha256, update.version, self.clock.now())
        self.memory.begin(begun)
        try:
            file = self.source.fetch(update.target)
            try:
                if _digest(file) != update.sha256:
                    raise Refused("The repository's file is not the one that the rollout names.", code="update:file")
                self.memory.names(update.sha256, update.version)
                self.board.install(_pieces(file))
            finally:
                file.unlink(missing_ok=True)
        except Refused as error:
            self.memory.begin(replace(begun, failed=error.sentence))
            self.say(act="update", outcome="refused", version=update.version, what=error.sentence)
            return timedelta(0)
        self.memory.begin(replace(begun, installed=True, since=self.clock.now()))
        self.say(act="update", outcome="installed", version=update.version)
        self.board.restart()
        return self.longest


def _pieces(file: Path) -> Iterable[bytes]:
    with file.open("rb") as opened:
        while piece := opened.read(_PIECE):
            yield piece


def _digest(file: Path) -> str:
    digest = hashlib.sha256()
    for piece in _pieces(file):
        digest.update(piece)
    return digest.hexdigest()
