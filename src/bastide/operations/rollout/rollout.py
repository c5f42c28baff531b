"""A rollout: one release for the devices of a class, ring by ring, until it is stopped or ended.

It is proposed, approved by as many people as it asks for, runs, may be paused, and ends: stopped by the abort rule or because
the release was withdrawn, or ended by a person. While it runs, membership is dynamic: who joins the class gets the release, too.
Of several running rollouts of one name the one that was proposed last counts for a device.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, tzinfo
from enum import StrEnum
from typing import NewType

from bastide.core.error import Conflict, Refused
from bastide.core.ids import DeviceClass, DeviceId
from bastide.device.release.release import Release
from bastide.device.release.report import Attempt, Report, Update
from bastide.operations.rollout.abort import AbortRule, Cohort, Verdict, Watch, interval, observe
from bastide.operations.rollout.plan import Ramp, Rings, Window, is_open
from bastide.operations.rollout.preflight import Installed, Offer, hindrances

RolloutId = NewType("RolloutId", str)

MOST_APPROVALS, MOST_TRIES = 5, 5
LONGEST_ANSWER = timedelta(days=30)
COHORTS_EACH = 20
"""Cohorts of a rollout's time to answer: devices that began within one of them are judged together."""
RETRY_AFTER = timedelta(hours=1)
"""Before a second try; twice as long before each further one."""
_RINGS, _RAMP, _RULE = Rings((0.01, 0.1, 0.5, 1.0)), Ramp(5, timedelta(minutes=10), 1.2), AbortRule()
_AFRESH = Watch()


class Phase(StrEnum):
    """Where a rollout is."""

    PROPOSED = "proposed"
    RUNNING = "running"
    PAUSED = "paused"
    STOPPED = "stopped"
    """By the abort rule, or because the release was withdrawn. It does not run again."""
    ENDED = "ended"
    """By a person."""


@dataclass(frozen=True, slots=True)
class Target:
    """Whom a rollout is for; empty site and owner: any."""

    device_class: DeviceClass
    site: str = ""
    owner: str = ""

    def holds(self, device_class: str, site: str, owner: str) -> bool:
        return (
            device_class == self.device_class
            and (not self.site or site == self.site)
            and (not self.owner or owner == self.owner)
        )


@dataclass(frozen=True, slots=True)
class Terms:
    """How a rollout goes. ``answer_within``: how long a device may take; after it, silence is failure. ``repair``: the release
    repairs, so that devices whose updates are limited to repairs may take it. ``tries``: how often a device may begin."""

    rings: Rings = _RINGS
    ramp: Ramp = _RAMP
    windows: tuple[Window, ...] = ()
    zone: str = "UTC"
    rule: AbortRule = _RULE
    answer_within: timedelta = timedelta(hours=2)
    tries: int = 2
    approvals: int = 1
    repair: bool = False

    def __post_init__(self) -> None:
        if not timedelta(minutes=1) <= self.answer_within <= LONGEST_ANSWER:
            raise Refused("A device has from a minute to 30 days to answer.", code="rollout:terms")
        if not 1 <= self.tries <= MOST_TRIES or not 1 <= self.approvals <= MOST_APPROVALS:
            raise Refused("Give 1 to 5 tries, and 1 to 5 approvals.", code="rollout:terms")

    @property
    def cohort(self) -> timedelta:
        return self.answer_within / COHORTS_EACH

    def cohort_of(self, now: datetime, began: datetime) -> datetime:
        """The beginning of the cohort that a device joins now, counted from when the rollout began."""
        return began + (now - began) // self.cohort * self.cohort


@dataclass(frozen=True, slots=True)
class Rollout:
    """``ring`` counts from 0; ``began`` is when it was approved, ``ring_began`` when this ring was. ``weighed`` is the cohort
    that the abort rule saw last. ``approved_by`` and ``proposed_by`` are people's ids. ``number`` counts changes."""

    id: RolloutId
    release: Release
    target: Target
    terms: Terms
    proposed_at: datetime
    proposed_by: str
    phase: Phase = Phase.PROPOSED
    because: str = ""
    approved_by: tuple[str, ...] = ()
    began: datetime | None = None
    ring: int = 0
    ring_began: datetime | None = None
    watch: Watch = _AFRESH
    weighed: datetime | None = None
    paused: datetime | None = None
    ended: datetime | None = None
    number: int = 0

    @property
    def last_ring(self) -> bool:
        return self.ring == len(self.terms.rings.shares) - 1

    @property
    def update(self) -> Update:
        """What a device is told."""
        one = self.release
        return Update(self.id, one.name, one.version, one.path, one.length, one.digest)


class PartState(StrEnum):
    """How it goes on one device."""

    BEGAN = "began"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Part:
    """One device's part in a rollout. ``before`` is the version that it ran. ``tries`` counts its beginnings."""

    rollout: RolloutId
    device: DeviceId
    ring: int
    began: datetime
    cohort: datetime
    deadline: datetime
    state: PartState = PartState.BEGAN
    before: str = ""
    answered: datetime | None = None
    because: str = ""
    tries: int = 1


def offer_of(release: Release) -> Offer:
    """What a release demands of a device, from its signed facts."""
    facts = release.facts
    requires = {str(name): str(version) for name, version in dict(facts.get("requires") or {}).items()}
    return Offer(
        release.version,
        int(facts.get("counter", 0)),
        frozenset(str(one) for one in facts.get("hardware", ())),
        release.length,
        key=None,
        after=requires.pop(release.name, None),
        requires=requires,
    )


def as_installed(device: str, report: Report) -> Installed:
    """A report as preflight judges it."""
    return Installed(
        device,
        report.hardware or None,
        report.version or None,
        report.counter,
        report.slot_octets,
        {},
        report.components,
    )


# What people do ---------------------------------------------------------------------------------------------------------


def approve(rollout: Rollout, person: str, now: datetime) -> Rollout:
    """One more approval; with the last that is needed it runs."""
    if rollout.phase is not Phase.PROPOSED:
        raise Conflict(f"The rollout is {rollout.phase}; only a proposed one is approved.")
    if person in rollout.approved_by:
        raise Conflict("You have approved it already; another person must.")
    approved = replace(rollout, approved_by=(*rollout.approved_by, person))
    if len(approved.approved_by) < rollout.terms.approvals:
        return approved
    return replace(approved, phase=Phase.RUNNING, began=now, ring_began=now)


def pause(rollout: Rollout, reason: str, now: datetime) -> Rollout:
    """Nobody begins any more; who began goes on."""
    if rollout.phase is not Phase.RUNNING:
        raise Conflict(f"The rollout is {rollout.phase}; only a running one is paused.")
    return replace(rollout, phase=Phase.PAUSED, because=reason, paused=now)


def resume(rollout: Rollout, now: datetime) -> Rollout:
    """The ramp of the ring goes on where it was."""
    if rollout.phase is not Phase.PAUSED or rollout.paused is None or rollout.ring_began is None:
        raise Conflict(f"The rollout is {rollout.phase}; only a paused one is resumed.")
    later = rollout.ring_began + (now - rollout.paused)
    return replace(rollout, phase=Phase.RUNNING, because="", ring_began=later, paused=None)


def end(rollout: Rollout, reason: str, now: datetime) -> Rollout:
    """For good; who has the release keeps it."""
    if rollout.phase in (Phase.STOPPED, Phase.ENDED):
        raise Conflict(f"The rollout is {rollout.phase} already.")
    return replace(rollout, phase=Phase.ENDED, because=reason, ended=now)


# What happens by itself -------------------------------------------------------------------------------------------------


def withdrawn(rollout: Rollout, now: datetime) -> Rollout:
    """Its release is not offered any more."""
    said = f"{rollout.release.name} {rollout.release.version} is not among the published releases any more."
    return replace(rollout, phase=Phase.STOPPED, because=said, ended=now)


def weigh(rollout: Rollout, cohorts: Sequence[tuple[datetime, Cohort]], now: datetime) -> Rollout:
    """After the next cohorts in their order, up to the first that has not answered; stopped where the abort rule says so.

    A cohort that may still grow is not weighed.
    """
    watch, weighed = rollout.watch, rollout.weighed
    for at, cohort in cohorts:
        settled = cohort.settled(now) if now >= at + rollout.terms.cohort else None
        if settled is None:
            break
        watch, weighed = observe(rollout.terms.rule, watch, *settled), at
        if watch.verdict is not Verdict.GO_ON:
            break  # what follows belongs to the next test
    if watch.verdict is Verdict.ABORT:
        rate = rollout.terms.rule.tolerable
        said = f"More devices failed in ring {rollout.ring + 1} than a tolerable rate of {rate:.0%} explains."
        return replace(rollout, phase=Phase.STOPPED, because=said, ended=now, watch=watch, weighed=weighed)
    return replace(rollout, watch=watch, weighed=weighed)


def next_ring(rollout: Rollout, now: datetime) -> Rollout:
    """The next ring begins, and with it a new test."""
    return replace(rollout, ring=rollout.ring + 1, ring_began=now, watch=_AFRESH)


# One device ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a device's part ended."""

    state: PartState
    because: str = ""


def outcome(rollout: Rollout, report: Report) -> Outcome | None:
    """What a report says of the device's part; None while it is at it.

    Success is measured: the image that runs is the release's, octet for octet, and it confirmed itself.
    """
    if report.sha256 == rollout.release.digest and not report.on_trial:
        return Outcome(PartState.SUCCEEDED)
    attempt: Attempt | None = report.attempt
    if attempt is not None and attempt.rollout == rollout.id:
        return Outcome(PartState.FAILED, attempt.because or "It said no reason.")
    return None


def why_not_now(
    rollout: Rollout, installed: Installed, part: Part | None, begun: int, now: datetime, zone: tzinfo
) -> str | None:
    """Why the device does not begin now; None where it may. ``begun`` is how many of this ring have, ``zone`` the time zone of
    the terms."""
    if part is not None:
        if part.state is not PartState.FAILED:
            return f"It has {part.state} already."
        if part.tries >= rollout.terms.tries:
            return f"It failed {part.tries} times: {part.because}"
        weighed = rollout.weighed is not None and part.cohort <= rollout.weighed
        if not weighed or part.answered is None or now < part.answered + RETRY_AFTER * 2 ** (part.tries - 1):
            return "It failed, and tries again later."  # and its failure has counted before it does
    hindered = hindrances(installed, offer_of(rollout.release), now)
    if hindered:
        return f"It cannot take {rollout.release.version}: {', '.join(hindered)}."
    ring = rollout.terms.rings.ring(rollout.id, installed.device)
    if ring > rollout.ring:
        return f"It is in ring {ring + 1}, and ring {rollout.ring + 1} has its turn."
    if not is_open(rollout.terms.windows, now, zone):
        return "The maintenance window is closed."
    assert rollout.ring_began is not None
    if begun >= rollout.terms.ramp.allowed(now - rollout.ring_began, begun + 1):
        return "As many as may have begun; it waits for its turn."
    return None


def begin(rollout: Rollout, device: DeviceId, before: str, part: Part | None, now: datetime) -> Part:
    """The device's part as it begins. A further try stays in the cohort of the first, which is weighed once."""
    assert rollout.began is not None
    return Part(
        rollout.id,
        device,
        rollout.terms.rings.ring(rollout.id, device),
        now,
        part.cohort if part else rollout.terms.cohort_of(now, rollout.began),
        now + rollout.terms.answer_within,
        before=before,
        tries=part.tries + 1 if part else 1,
    )


@dataclass(frozen=True, slots=True)
class RingCount:
    """What became of those of a ring that began."""

    ring: int
    began: int
    succeeded: int
    failed: int

    @property
    def open(self) -> int:
        return self.began - self.succeeded - self.failed

    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval of the rate of failure among those that answered."""
        return interval(self.failed, self.succeeded + self.failed)
