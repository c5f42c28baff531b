"""Where plans take hold."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bastide.core.plan import Outcome, Plan, Point
from bastide.network.segmentation.proof.probes import Probe


class Enforcer(Protocol):
    """One enforcement point. It makes no choice of its own."""

    @property
    def point(self) -> Point: ...

    async def apply(self, plan: Plan) -> Outcome:
        """Makes the point hold the plan and says what it holds then, as measured. A plan older than the one held is
        refused (``Refused``, code ``plan:generation:stale``); a point out of reach is ``Unavailable``."""
        ...


class Capture(Protocol):
    """A capture by windows, so that its length does not matter."""

    @property
    def name(self) -> str: ...

    @property
    def size(self) -> int:
        """Octets in all."""
        ...

    def window(self, offset: int) -> NDArray[np.uint8]:
        """Octets from ``offset``: some MB, fewer only at the end. Read-only, valid until the next call."""
        ...


class Firewall(Protocol):
    """The packet filter of one gateway."""

    def load(self, ruleset: str) -> None:
        """Replaces Bastide's table in one step; ``Unavailable`` where the kernel refuses it, and the old one stays."""
        ...

    def dropped(self, table: str) -> int:
        """How many packets the table's rules dropped since it was loaded."""
        ...


class ProvingGround(Protocol):
    """A device, a gateway and its peers, made for probes and gone after ``close``."""

    def command(self, arguments: list[str], text: str) -> str:
        """Runs a program on the gateway with a text on its standard input."""
        ...

    async def send(self, probes: Sequence[Probe]) -> frozenset[int]:
        """Sends the probes as packets; the numbers of those that arrived where they were meant to."""
        ...

    def close(self) -> None: ...
