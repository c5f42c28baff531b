"""Decision: which standing a device gets, and why. Policy and waivers are the data that decide.

Every decision names the rules that held, the evidence behind each, the hash of the policy that was asked, and when it
must be made again.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from bastide.core.device import Device
from bastide.core.evidence import Subject
from bastide.core.ids import DeviceClass, DeviceId, EvidenceId, OwnerName, RuleId, WaiverId
from bastide.core.standing import Standing


class Release(StrEnum):
    """How a standing that a rule took is regained: by itself when the hold ends, or only by a person."""

    AUTOMATIC = "automatic"
    PERSON = "person"


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule as data: *when* enough evidence of a kind came within a window, standing is *at most* ``cap``.

    ``kind`` also covers kinds below it. ``hold`` keeps the cap for that long after the last evidence (hysteresis).
    ``classes`` empty means every device class.
    """

    id: RuleId
    kind: str
    at_least: int
    within: timedelta
    cap: Standing
    hold: timedelta
    release: Release
    because: str
    classes: tuple[DeviceClass, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules in force. ``digest`` is the SHA-256 of their canonical form, in hex."""

    rules: tuple[Rule, ...]
    digest: str


@dataclass(frozen=True, slots=True)
class Waiver:
    """An exception to a rule: for whom, by whom, why, and until when. Nothing is switched off for ever."""

    id: WaiverId
    rule: RuleId
    subject: Subject | None
    owner: OwnerName
    reason: str
    starts_at: datetime
    ends_at: datetime

    def covers(self, device: Device, now: datetime) -> bool:
        """True where the exception is in force for this device; no subject means all devices."""
        in_force = self.starts_at <= now < self.ends_at
        return in_force and (self.subject is None or self.subject.id in (device.id, device.profile, device.site))


@dataclass(frozen=True, slots=True)
class Held:
    """A rule that held: what it allows at most, until when, the evidence, and the waiver that set it aside, if any."""

    rule: RuleId
    cap: Standing
    because: str
    evidence: tuple[EvidenceId, ...]
    until: datetime | None
    waived_by: WaiverId | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided. ``reconsider_at`` is the earliest moment at which time alone could change the answer."""

    device: DeviceId
    standing: Standing
    previous: Standing
    because: str
    held: tuple[Held, ...]
    policy: str
    at: datetime
    reconsider_at: datetime | None

    @property
    def changed(self) -> bool:
        return self.standing is not self.previous

    @property
    def on_break_glass(self) -> bool:
        """True where a person set rules aside that hold: without that act the standing would be lower."""
        return any(one.waived_by is None and one.cap.rank < self.standing.rank for one in self.held)

    def applied_to(self, device: Device, generation: int) -> Device:
        """The device with this decision's standing and times, and the generation of the plan that carries it out."""
        return replace(
            device,
            standing=self.standing,
            decided_at=self.at,
            reconsider_at=self.reconsider_at,
            generation=generation,
        )
