"""The decision: the lowest cap of the rules that hold, and why.

A rule holds where, in some window of its length, enough evidence came (``at_least``, counting ``Evidence.count``), and its
hold has not ended since the fact that completed the last such window. Facts before a person's release no longer count.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from bastide.core.decision import Decision, Held, Policy, Release, Rule, Waiver
from bastide.core.device import Device
from bastide.core.evidence import Evidence, Trust
from bastide.core.ids import RuleId
from bastide.core.posture import Posture
from bastide.core.standing import Stage, Standing

ENROLLED = "identity.enrolled"
RELEASED = "operator.release"
BREAK_GLASS = "operator.break-glass"


def decide(device: Device, posture: Posture, policy: Policy, waivers: Sequence[Waiver], at: datetime) -> Decision:
    """Which standing the device gets at ``at``. Depends on nothing but its arguments, in any order of evidence."""
    base, why = _base(device, posture)
    held = tuple(
        found
        for rule in policy.rules
        if not rule.classes or device.device_class in rule.classes
        if (found := _held(rule, device, posture, waivers, at)) is not None
    )
    standing, because = base, why
    for one in held:
        if one.waived_by is None and one.cap.rank < standing.rank:
            standing, because = one.cap, one.because
    glass = _break_glass(posture, at)
    if glass is not None and base is not Standing.RETIRED:
        standing = Standing(str(glass.body["standing"]))
        because = f"Break-glass, by {glass.source}: {glass.body.get('reason', 'no reason given')}"
    return Decision(
        device=device.id,
        standing=standing,
        previous=device.standing,
        because=because,
        held=held,
        policy=policy.digest,
        at=at,
        reconsider_at=_reconsider_at(held, waivers, device, glass, at),
    )


def _base(device: Device, posture: Posture) -> tuple[Standing, str]:
    if device.stage is Stage.RETIRED:
        return Standing.RETIRED, "It was retired."
    if posture.part(ENROLLED).evidence:
        return Standing.TRUSTED, "It proved its identity, and no rule holds against it."
    if device.stage is Stage.EXPECTED or device.standing is Standing.PENDING:
        return Standing.PENDING, "It is expected, and has not proved its identity yet."
    return Standing.UNKNOWN, "It was seen, and never proved its identity."


def _held(rule: Rule, device: Device, posture: Posture, waivers: Sequence[Waiver], at: datetime) -> Held | None:
    released = _released_at(rule.id, posture)
    facts = sorted(
        (
            fact
            for part in posture.matching(rule.kind)
            for fact in part.evidence
            if fact.trust is not Trust.PASSIVE and (released is None or fact.observed_at > released)
        ),
        key=lambda fact: (fact.observed_at, fact.id),
    )
    window = _last_full_window(facts, rule)
    if not window:
        return None
    until = None if rule.release is Release.PERSON else window[-1].observed_at + rule.hold
    if until is not None and until <= at:
        return None
    waiver = next((waiver for waiver in waivers if waiver.rule == rule.id and waiver.covers(device, at)), None)
    return Held(
        rule=rule.id,
        cap=rule.cap,
        because=rule.because,
        evidence=tuple(fact.id for fact in window),
        until=until,
        waived_by=None if waiver is None else waiver.id,
    )


def _released_at(rule: RuleId, posture: Posture) -> datetime | None:
    """When a person last released this rule; a release that names no rule releases all."""
    times = (
        fact.observed_at
        for fact in posture.part(RELEASED).evidence
        if fact.trust is Trust.OPERATOR and fact.body.get("rule") in (None, "", rule)
    )
    return max(times, default=None)


def _last_full_window(facts: Sequence[Evidence], rule: Rule) -> Sequence[Evidence]:
    """The facts of the latest window of the rule's length that holds enough; empty where none does.

    ``facts`` oldest first; each window ends at one of them.
    """
    start, inside, found = 0, 0, (0, 0)
    for end, fact in enumerate(facts):
        inside += fact.count
        while facts[start].observed_at <= fact.observed_at - rule.within:
            inside -= facts[start].count
            start += 1
        if inside >= rule.at_least:
            found = (start, end + 1)
    return facts[slice(*found)]


def _break_glass(posture: Posture, at: datetime) -> Evidence | None:
    """The newest break-glass act that has not ended; only a person's counts."""
    part = posture.part(BREAK_GLASS)
    return next((fact for fact in part.evidence if fact.trust is Trust.OPERATOR and fact.fresh_at(at)), None)


def _reconsider_at(
    held: Iterable[Held], waivers: Iterable[Waiver], device: Device, glass: Evidence | None, at: datetime
) -> datetime | None:
    """The earliest moment at which time alone could change the answer."""
    moments = [one.until for one in held if one.until is not None]
    moments += [waiver.ends_at for waiver in waivers if waiver.covers(device, at)]
    moments += [waiver.starts_at for waiver in waivers if waiver.starts_at > at]
    if glass is not None and glass.fresh_for is not None:
        moments.append(glass.observed_at + glass.fresh_for)
    # Never in the past, or the timer would ask again at once.
    return max(min(moments), at + timedelta(milliseconds=1)) if moments else None
