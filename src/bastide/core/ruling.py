"""Ruling: what a person said of one flow that a device's profile does not permit: let through until a moment, or kept denied."""

from dataclasses import dataclass
from datetime import datetime

from bastide.core.ids import DeviceId


@dataclass(frozen=True, slots=True)
class Ruling:
    """``peer`` is an IP address, ``port`` the one that is called, ``opened_by_device`` who calls.

    ``until`` is when an allowance ends by itself; None means that the flow stays denied and nobody need look at it again.
    ``ended_at`` is when a person took the ruling back.
    """

    id: str
    device: DeviceId
    peer: str
    transport: str
    port: int
    opened_by_device: bool
    until: datetime | None
    reason: str
    by: str
    at: datetime
    ended_at: datetime | None = None

    @property
    def key(self) -> tuple[str, str, int, bool]:
        """By which the flow that it is about is known again: peer, transport, port, who calls."""
        return self.peer, self.transport, self.port, self.opened_by_device

    @property
    def allows(self) -> bool:
        return self.until is not None

    def holds(self, now: datetime) -> bool:
        """Whether it counts at that moment."""
        return self.ended_at is None and (self.until is None or now < self.until)
