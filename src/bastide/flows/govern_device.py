"""The loop, for one device: evidence → posture → risk → decision → plan → enforcement, every arrow in the ledger.

The decision and the intent to carry it out are one transaction, so a crash between them is impossible; a crash after it
leaves a plan that ``flows.catch_up`` finds unapplied and carries out. A point that cannot be reached is recorded as such
and tried again; it never keeps the others from taking hold.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bastide.core.decision import Decision
from bastide.core.device import Device
from bastide.core.error import BastideError, Conflict
from bastide.core.ids import DeviceId
from bastide.core.mode import mode_for
from bastide.core.plan import Outcome, Plan
from bastide.core.risk import Risk
from bastide.flows.plan_device import plan
from bastide.governance.policy.decide import decide
from bastide.governance.policy.posture import fold
from bastide.governance.risk.assess import assess
from bastide.ports.clock import Clock
from bastide.ports.network import Enforcer
from bastide.ports.platform.stores import Stores
from bastide.ports.platform.units import UnitsOfWork

ACTOR = "system:governor"
# Another writer may change the device between reading and writing it; each try starts from what is there then.
TRIES = 8


@dataclass(frozen=True, slots=True)
class Governing:
    """What the loop needs of the world."""

    stores: Stores
    unit_of_work: UnitsOfWork
    enforcers: Sequence[Enforcer]
    clock: Clock


@dataclass(frozen=True, slots=True)
class Governed:
    """What the loop did: ``plan`` and ``outcomes`` are empty where nothing had to change."""

    decision: Decision
    risk: Risk
    plan: Plan | None = None
    outcomes: tuple[Outcome, ...] = ()


async def govern_device(device_id: DeviceId, with_: Governing) -> Governed:
    """Decides again for one device and makes the decision hold. ``NotFound`` where there is no such device."""
    for attempt in range(1, TRIES + 1):
        try:
            governed = await _decide(device_id, with_)
        except Conflict:
            if attempt == TRIES:
                raise
            continue
        break
    if governed.plan is None:
        return governed
    outcomes = await enforce(governed.plan, with_)
    return Governed(governed.decision, governed.risk, governed.plan, outcomes)


async def _decide(device_id: DeviceId, with_: Governing) -> Governed:
    stores, now = with_.stores, with_.clock.now()
    device, policy, waivers, held, latest = await asyncio.gather(
        stores.devices.get(device_id),
        stores.policies.current(),
        stores.waivers.in_force(now),
        stores.plans.current(device_id),
        stores.decisions.latest(device_id),
    )
    profile, modes, evidence = await asyncio.gather(
        stores.catalogue.profile(device.profile), stores.network.modes(device), stores.evidence.about(device)
    )
    mode = mode_for(device, modes)

    posture = fold(device_id, evidence, at=now)
    risk = assess(device, posture, profile.impact)
    decision = decide(device, posture, policy, waivers, at=now)
    wanted = plan(device, decision, profile, mode, device.generation + 1, at=now)

    anew = decision.changed or not wanted.same_effect(held)
    generation = wanted.generation if anew else device.generation
    decided = decision.applied_to(device, generation)
    if not anew and decided.reconsider_at == device.reconsider_at and _said_before(decision, latest):
        return Governed(decision, risk)

    async with with_.unit_of_work(ACTOR) as work:  # state, decision and intent are one transaction
        work.devices.put(decided)
        work.decisions.put(decision)
        if decision.changed:
            work.ledger.record("decision:standing:changed", f"device:{device_id}", _said(decision, risk))
        if anew:
            work.plans.put(wanted)
            work.ledger.record("enforcement:plan:intended", f"device:{device_id}", wanted)
    return Governed(decision, risk, wanted if anew else None)


async def enforce(wanted: Plan, with_: Governing) -> tuple[Outcome, ...]:
    """Hands the plan to every point at once and records what each then holds, as soon as it does."""

    async def at(enforcer: Enforcer) -> Outcome:
        try:
            return await enforcer.apply(wanted)
        except BastideError as error:  # recorded, and tried again by flows.catch_up
            return Outcome(
                device=wanted.device,
                point=enforcer.point,
                generation=wanted.generation,
                applied_at=with_.clock.now(),
                holds="",
                error=error.sentence,
            )

    under_way = {asyncio.ensure_future(at(enforcer)) for enforcer in with_.enforcers}
    outcomes: list[Outcome] = []
    try:
        while under_way:
            done, under_way = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
            ended = [each.result() for each in done]
            async with with_.unit_of_work(ACTOR) as work:
                for outcome in ended:
                    work.plans.applied(outcome)
                    kind = "enforcement:plan:failed" if outcome.error else "enforcement:plan:applied"
                    work.ledger.record(kind, f"device:{wanted.device}", outcome)
            outcomes += ended
    finally:
        for each in under_way:
            each.cancel()
    return tuple(outcomes)


def _said_before(decision: Decision, latest: Decision | None) -> bool:
    """True where the last stored decision gave the same standing for the same reasons."""
    if latest is None or latest.standing is not decision.standing or latest.policy != decision.policy:
        return False
    return [(one.rule, one.evidence, one.waived_by) for one in latest.held] == [
        (one.rule, one.evidence, one.waived_by) for one in decision.held
    ]


def _said(decision: Decision, risk: Risk) -> Mapping[str, object]:
    return {
        "standing": decision.standing,
        "previous": decision.previous,
        "because": decision.because,
        "policy": decision.policy,
        "held": [
            {"rule": one.rule, "cap": one.cap, "evidence": list(one.evidence), "waived_by": one.waived_by}
            for one in decision.held
        ],
        "risk": round(risk.score, 4),
    }


async def explain_device(device: Device, with_: Governing) -> tuple[Decision, Risk]:
    """What would be decided for the device now, changing nothing."""
    now = with_.clock.now()
    profile = await with_.stores.catalogue.profile(device.profile)
    posture = fold(device.id, await with_.stores.evidence.about(device), at=now)
    policy, waivers = await with_.stores.policies.current(), await with_.stores.waivers.in_force(now)
    return decide(device, posture, policy, waivers, at=now), assess(device, posture, profile.impact)
