"""Evidence: one observed fact, and how far whoever observed it is trusted.

Kinds are dotted from general to special (``broker.publish.denied``). The subject is a device, or a build, component,
profile or site from which devices inherit. ``count`` lets one record stand for many alike observations.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from bastide.core.ids import EvidenceId

Fact = str | int | float | bool | None


class Trust(StrEnum):
    """How far a source is trusted.

    ``authenticated``: the fact is bound to the device's key (broker, EST). ``operator``: a person said so, signed in.
    ``measured``: our own enforcement point measured it. ``reported``: the device says it of itself. ``passive``: seen on
    a wire where packets can be forged; it never takes a device's standing away alone.
    """

    AUTHENTICATED = "authenticated"
    OPERATOR = "operator"
    MEASURED = "measured"
    REPORTED = "reported"
    PASSIVE = "passive"


class SubjectKind(StrEnum):
    DEVICE = "device"
    BUILD = "build"
    COMPONENT = "component"
    PROFILE = "profile"
    SITE = "site"


@dataclass(frozen=True, slots=True)
class Subject:
    """What a fact is about."""

    kind: SubjectKind
    id: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.id}"


@dataclass(frozen=True, slots=True)
class Evidence:
    """One observed fact. ``fresh_for`` None means that it does not age."""

    id: EvidenceId
    kind: str
    subject: Subject
    source: str
    trust: Trust
    observed_at: datetime
    received_at: datetime
    fresh_for: timedelta | None = None
    count: int = 1
    body: Mapping[str, Fact] = field(default_factory=dict)

    def fresh_at(self, now: datetime) -> bool:
        """True while the fact may still be relied on."""
        return self.fresh_for is None or now < self.observed_at + self.fresh_for
