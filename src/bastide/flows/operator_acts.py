"""What a person does to a device. Each act takes a reason, is evidence like all else, and the loop decides on it."""

from dataclasses import replace
from datetime import datetime, timedelta

from bastide.core.audit import Personal
from bastide.core.decision import Waiver
from bastide.core.error import Conflict, Refused
from bastide.core.evidence import Evidence, Fact, Subject, SubjectKind, Trust
from bastide.core.ids import DeviceId, EvidenceId, OwnerName, RuleId, WaiverId
from bastide.core.standing import Stage, Standing
from bastide.flows.govern_device import TRIES, Governed, Governing, govern_device
from bastide.ports.clock import Ids

MAX_BREAK_GLASS = timedelta(hours=24)
MAX_WAIVER = timedelta(days=366)
MAX_REASON = 500


async def quarantine(device: DeviceId, reason: str, actor: str, with_: Governing, ids: Ids) -> Governed:
    """Cuts the device off until a person releases it."""
    return await _act("operator.quarantine", "operator:device:quarantined", device, reason, actor, with_, ids)


async def release(
    device: DeviceId, reason: str, actor: str, with_: Governing, ids: Ids, rule: RuleId | None = None
) -> Governed:
    """Lets go of what rules hold against the device (all of them, or one); new evidence counts from now on."""
    body: dict[str, Fact] = {} if rule is None else {"rule": rule}
    return await _act("operator.release", "operator:device:released", device, reason, actor, with_, ids, body)


async def break_glass(
    device: DeviceId, standing: Standing, reason: str, span: timedelta, actor: str, with_: Governing, ids: Ids
) -> Governed:
    """Sets every rule aside for this device until the span ends. Recorded before it takes hold."""
    if not timedelta(0) < span <= MAX_BREAK_GLASS:
        raise Refused(
            "Break-glass ends by itself after at most 24 h; name a shorter time.", code="operator:break-glass:span"
        )
    if standing not in (Standing.TRUSTED, Standing.RESTRICTED, Standing.QUARANTINED):
        raise Refused("Break-glass gives trusted, restricted or quarantined.", code="operator:break-glass:standing")
    return await _act(
        "operator.break-glass", "operator:device:break-glass", device, reason, actor, with_, ids,
        {"standing": standing.value}, span,
    )  # fmt: skip


async def retire(device: DeviceId, reason: str, actor: str, with_: Governing) -> Governed:
    """Takes everything away from the device for ever: certificates revoked, broker and network closed, no updates. It does not
    come back; the thing may only enrol as a new device. ``Refused`` where it is retired already."""
    for attempt in range(TRIES):
        held = await with_.stores.devices.get(device)
        if held.stage is Stage.RETIRED:
            raise Refused(f"{device} is retired already.", code="operator:retire:again")
        try:
            async with with_.unit_of_work(actor) as work:
                work.devices.put(replace(held, stage=Stage.RETIRED))
                said = {"reason": Personal(checked_reason(reason)), "stage": held.stage.value}
                work.ledger.record("operator:device:retired", f"device:{device}", said)
        except Conflict:
            if attempt == TRIES - 1:
                raise
            continue
        break
    return await govern_device(device, with_)


async def waive(
    rule: RuleId,
    subject: Subject | None,
    owner: OwnerName,
    reason: str,
    ends_at: datetime,
    actor: str,
    with_: Governing,
    ids: Ids,
) -> Waiver:
    """An exception to one rule, with an owner, a reason and an end. The governor decides again for whom it concerns."""
    now = with_.clock.now()
    policy = await with_.stores.policies.current()
    if rule not in {one.id for one in policy.rules}:
        raise Refused(f"The policy in force has no rule {rule!r}.", code="waiver:rule")
    if not now < ends_at <= now + MAX_WAIVER:
        raise Refused("An exception ends within a year; nothing is switched off for ever.", code="waiver:end")
    waiver = Waiver(WaiverId(ids.mint("w")), rule, subject, owner, checked_reason(reason), now, ends_at)
    async with with_.unit_of_work(actor) as work:
        work.waivers.put(waiver)
        work.ledger.record(
            "policy:waiver:granted",
            "policy" if subject is None else str(subject),
            {
                "waiver": waiver.id,
                "rule": rule,
                "owner": owner,
                "reason": waiver.reason,
                "ends_at": ends_at.isoformat(),
            },
        )
    return waiver


async def end_waiver(waiver: Waiver, reason: str, actor: str, with_: Governing) -> None:
    """Ends an exception now."""
    now = with_.clock.now()
    ended = Waiver(waiver.id, waiver.rule, waiver.subject, waiver.owner, waiver.reason, waiver.starts_at, now)
    async with with_.unit_of_work(actor) as work:
        work.waivers.put(ended)
        subject = "policy" if waiver.subject is None else str(waiver.subject)
        work.ledger.record("policy:waiver:ended", subject, {"waiver": waiver.id, "reason": checked_reason(reason)})


async def _act(
    kind: str,
    record: str,
    device: DeviceId,
    reason: str,
    actor: str,
    with_: Governing,
    ids: Ids,
    body: dict[str, Fact] | None = None,
    fresh_for: timedelta | None = None,
) -> Governed:
    await with_.stores.devices.get(device)  # NotFound before anything is written
    now = with_.clock.now()
    fact = Evidence(
        id=EvidenceId(ids.mint("e")),
        kind=kind,
        subject=Subject(SubjectKind.DEVICE, device),
        source=actor,
        trust=Trust.OPERATOR,
        observed_at=now,
        received_at=now,
        fresh_for=fresh_for,
        body={"reason": checked_reason(reason), **(body or {})},
    )
    async with with_.unit_of_work(actor) as work:
        work.evidence.add([fact])
        work.ledger.record(
            record,
            f"device:{device}",
            {"evidence": fact.id, "reason": Personal(checked_reason(reason)), **(body or {})},
        )
    return await govern_device(device, with_)


def checked_reason(reason: str) -> str:
    """The reason without what stands around it; ``Refused`` where it is none, or too long."""
    text = reason.strip()
    if not text or len(text) > MAX_REASON:
        raise Refused(f"Say why, in 1 to {MAX_REASON} characters.", code="operator:reason")
    return text
