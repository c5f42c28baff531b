"""The agent's loop: what is due, done, and said; what fails is tried again later."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Protocol

from bastide.core.error import BastideError, Refused, Unavailable
from bastide.flows.on_device.hold_certificate import Act, Life, next_act, pause
from bastide.ports.clock import Clock

# A clock may be set meanwhile, and a certificate may be put there by hand.
LOOK_AGAIN = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Means:
    """By what the device may enrol, the best first: its maker's certificate, a claim, asking."""

    shown: tuple[Path, Path] | None = None
    claim_file: Path | None = None
    label: str = ""


class HeldIdentity(Life, Protocol):
    @property
    def device(self) -> str: ...


class Identity(Protocol):
    """Where the identity is kept (adapters.est.folder)."""

    def held(self) -> HeldIdentity | None: ...


class Server(Protocol):
    """Enrols and renews what the identity is asking for. ``Unavailable`` may say after how many ``seconds`` to come back."""

    def enrol(self, means: Means) -> HeldIdentity: ...

    def renew(self, device: str) -> HeldIdentity: ...


@dataclass(slots=True)
class Agent:
    """``say`` takes what was done, as names and texts."""

    identity: Identity
    server: Server
    means: Means
    clock: Clock
    say: Callable[..., None]
    _failures: int = 0
    _chance: float = field(default_factory=random.random)  # spreads a fleet; nothing secret

    def run(self, wait: Callable[[float], bool]) -> None:
        """Until ``wait`` (seconds) gives true."""
        while not wait(self.step().total_seconds()):
            pass

    def once(self) -> bool:
        """Does what is due; true where the device is certified then, and nothing failed."""
        self.step()
        return self._failures == 0 and self.identity.held() is not None

    def step(self) -> timedelta:
        """Does what is due, and gives how long to wait."""
        now = self.clock.now()
        held = self.identity.held()
        due = next_act(held, now, self._chance)
        if due.act is Act.WAIT or (due.act is Act.RENEW and held is None):
            return min(due.at - now, LOOK_AGAIN)
        try:
            got = self.server.renew(held.device) if due.act is Act.RENEW and held else self.server.enrol(self.means)
        except BastideError as error:
            return self._failed(due.act, error)
        self._failures, self._chance = 0, random.random()  # noqa: S311
        self.say(act=due.act.value, device=got.device, until=got.ends.isoformat())
        return timedelta(0)

    def _failed(self, act: Act, error: BastideError) -> timedelta:
        self._failures += 1
        asked = getattr(error, "seconds", None) if isinstance(error, Unavailable) else None
        rest = pause(self._failures, random.random())  # noqa: S311
        if asked is not None and getattr(error, "waiting", False):
            rest = timedelta(seconds=asked)
        elif asked is not None:
            rest = max(rest, timedelta(seconds=asked))
        outcome = "refused" if isinstance(error, Refused) else "later"
        self.say(act=act.value, outcome=outcome, what=error.sentence, again_in=f"{rest.total_seconds():.0f} s")
        return rest
