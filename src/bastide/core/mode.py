"""Mode: whether what a profile denies is dropped or only logged, as people set it for a device, a profile or a zone.

The narrowest counts: a device's own, then its profile's, then its zone's. Nothing set means that it is enforced. Enforcing
begins on probation: while that lasts, a device that loses more than ``limit`` of what it was answered goes back to observe
by itself.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from bastide.core.device import Device
from bastide.core.plan import NetworkMode


class Over(StrEnum):
    """What a mode is set for. The order is that in which they count."""

    DEVICE = "device"
    PROFILE = "profile"
    ZONE = "zone"


@dataclass(frozen=True, slots=True)
class Setting:
    """``limit`` is a share, 0 to 1. ``probation_ends`` is None where nobody looks: always so for observe.

    ``ended_at`` is when it was taken back."""

    over: Over
    name: str
    mode: NetworkMode
    reason: str
    by: str
    at: datetime
    limit: float = 0.05
    probation_ends: datetime | None = None
    ended_at: datetime | None = None

    def concerns(self, device: Device) -> bool:
        return self.name == subject_of(self.over, device)

    def on_probation(self, now: datetime) -> bool:
        return self.ended_at is None and self.probation_ends is not None and now < self.probation_ends


def subject_of(over: Over, device: Device) -> str:
    """The name under which a mode is found for the device."""
    return {Over.DEVICE: device.id, Over.PROFILE: device.profile, Over.ZONE: device.zone}[over]


def setting_for(device: Device, settings: Iterable[Setting]) -> Setting | None:
    """The one that counts for the device; None where nothing is set."""
    mine = {one.over: one for one in settings if one.ended_at is None and one.concerns(device)}
    return next((mine[over] for over in Over if over in mine), None)


def mode_for(device: Device, settings: Iterable[Setting]) -> NetworkMode:
    found = setting_for(device, settings)
    return found.mode if found else NetworkMode.ENFORCE
