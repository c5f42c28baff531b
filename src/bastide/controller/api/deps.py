"""What the API is made with: ports and flows, no adapter. ``controller/wiring.py`` fills it in."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from bastide.core.audit import Record
from bastide.flows.govern_device import Governing
from bastide.flows.sign_in import Door
from bastide.ports.clock import Clock, Ids
from bastide.ports.platform.ledger import Ledger
from bastide.ports.platform.samples import Samples


class Live(Protocol):
    """Committed records as they come (``controller.live.LiveRecords``)."""

    def stream(self, beat: float = 15.0) -> AsyncIterator[Sequence[Record] | None]:
        """Each commit's records; an empty sequence where some were missed, None as a beat."""
        ...

    @property
    def open_streams(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Deps:
    """``governing`` holds stores, unit of work and enforcers; ``door`` what signing in needs."""

    governing: Governing
    ledger: Ledger
    samples: Samples
    live: Live
    door: Door
    clock: Clock
    ids: Ids
