"""Devices: finding them, what is known of each and why, and what a person may do to one.

A device outside the scope of whoever asks does not exist for them: 404, never 403.
"""

from datetime import timedelta
from typing import Annotated

from fastapi import Query

from bastide.controller.api.access import Asking, Using
from bastide.controller.api.deps import Deps
from bastide.controller.api.models import (
    ActIn,
    BreakGlassIn,
    DecisionOut,
    DeviceIn,
    DeviceOut,
    EnforcementOut,
    EvidenceOut,
    ExplanationOut,
    FieldsOut,
    FindingOut,
    GovernedOut,
    Limit,
    Moment,
    Name,
    OutcomeOut,
    Page,
    PlanOut,
    PointInTime,
    ReasonOut,
    RecordOut,
    ReleaseIn,
    RiskOut,
    SeriesOut,
    page,
)
from bastide.controller.api.records import shown
from bastide.controller.api.routes import Routes
from bastide.core.device import Device
from bastide.core.error import NotFound
from bastide.core.evidence import Subject, SubjectKind
from bastide.core.ids import DeviceClass, DeviceId, RuleId, SiteName
from bastide.core.standing import Standing
from bastide.flows.govern_device import Governed, explain_device
from bastide.flows.operator_acts import break_glass, quarantine, release, retire
from bastide.governance.access.principal import Principal
from bastide.governance.access.roles import Permission
from bastide.ports.platform.stores import DeviceFilter

routes = Routes("/devices", "devices")

_READ = Permission.FLEET_READ
_LONGEST_SERIES = timedelta(days=92)


async def within_scope(device: str, asking: Principal, deps: Deps) -> Device:
    """The device, where it is in the scope of whoever asks. ``NotFound`` with the same sentence otherwise."""
    try:
        found = await deps.governing.stores.devices.get(DeviceId(device))
    except NotFound:
        found = None
    if found is None or not asking.sees(found):
        raise NotFound(f"There is no device {device}. `bastide device list` shows those that there are.")
    return found


@routes.get("", needs=_READ)
async def list_devices(
    asking: Asking,
    deps: Using,
    text: Annotated[str, Query(max_length=100, description="In id, name, owner, class or site.")] = "",
    standing: Annotated[list[Standing], Query(max_length=6)] = [],  # noqa: B006 - FastAPI copies it
    device_class: Annotated[list[Name], Query(alias="class", max_length=20)] = [],  # noqa: B006
    site: Annotated[list[Name], Query(max_length=20)] = [],  # noqa: B006
    after: Annotated[str, Query(max_length=32, description="`next` of the page before.")] = "",
    limit: Limit = 100,
) -> Page[DeviceOut]:
    """The devices that whoever asks may see, ordered by id."""
    found = await deps.governing.stores.devices.list(
        DeviceFilter(
            text=text,
            standings=tuple(standing),
            classes=tuple(DeviceClass(one) for one in device_class),
            sites=tuple(SiteName(one) for one in site),
            scope=asking.scope,
            after=after,
            limit=limit,
        )
    )
    return page([DeviceOut.model_validate(device) for device in found], limit, found[-1].id if found else "")


@routes.get("/{device}", needs=_READ)
async def show_device(device: DeviceIn, asking: Asking, deps: Using) -> DeviceOut:
    """One device."""
    return DeviceOut.model_validate(await within_scope(device, asking, deps))


@routes.get("/{device}/timeline", needs=_READ)
async def show_timeline(device: DeviceIn, asking: Asking, deps: Using, limit: Limit = 100) -> Page[RecordOut]:
    """What happened to the device: its ledger records, newest first."""
    await within_scope(device, asking, deps)
    found = await deps.ledger.about(f"device:{device}", limit)
    return Page(items=[shown(record, asking) for record in found])


@routes.get("/{device}/evidence", needs=_READ)
async def show_evidence(device: DeviceIn, asking: Asking, deps: Using, limit: Limit = 100) -> Page[EvidenceOut]:
    """What is known of the device and of what it inherits from, newest first."""
    known = await within_scope(device, asking, deps)
    facts = await deps.governing.stores.evidence.about(known)
    return Page(items=[EvidenceOut.model_validate(fact) for fact in facts[:limit]])


@routes.get("/{device}/findings", needs=_READ)
async def show_findings(device: DeviceIn, asking: Asking, deps: Using, limit: Limit = 100) -> Page[FindingOut]:
    """Open findings on the device."""
    await within_scope(device, asking, deps)
    found = await deps.governing.stores.findings.open(Subject(SubjectKind.DEVICE, device), limit)
    return Page(items=[FindingOut.model_validate(finding) for finding in found])


@routes.get("/{device}/enforcement", needs=_READ)
async def show_enforcement(device: DeviceIn, asking: Asking, deps: Using) -> EnforcementOut:
    """The plan in force and what each enforcement point holds now."""
    known = await within_scope(device, asking, deps)
    plans = deps.governing.stores.plans
    wanted, outcomes = await plans.current(known.id), await plans.outcomes(known.id)
    return EnforcementOut(
        plan=PlanOut.model_validate(wanted) if wanted else None,
        outcomes=[OutcomeOut.model_validate(outcome) for outcome in outcomes],
    )


@routes.get("/{device}/decisions", needs=_READ)
async def show_decisions(device: DeviceIn, asking: Asking, deps: Using, limit: Limit = 50) -> Page[DecisionOut]:
    """What was decided for the device, newest first."""
    known = await within_scope(device, asking, deps)
    found = await deps.governing.stores.decisions.history(known.id, known.created_at, limit)
    return Page(items=[DecisionOut.model_validate(decision) for decision in found])


@routes.get("/{device}/explanation", needs=_READ)
async def explain(device: DeviceIn, asking: Asking, deps: Using) -> ExplanationOut:
    """Why the device stands as it does: the whole chain from evidence to what holds now at each point."""
    known = await within_scope(device, asking, deps)
    stores = deps.governing.stores
    decision = await stores.decisions.latest(known.id)
    held = decision.held if decision else ()
    facts = await stores.evidence.get([id for one in held for id in one.evidence]) if held else ()
    by_id = {fact.id: EvidenceOut.model_validate(fact) for fact in facts}
    _, risk = await explain_device(known, deps.governing)
    wanted = await stores.plans.current(known.id)
    return ExplanationOut(
        device=DeviceOut.model_validate(known),
        decision=DecisionOut.model_validate(decision) if decision else None,
        reasons=[
            ReasonOut(
                rule=one.rule,
                cap=one.cap,
                because=one.because,
                until=one.until,
                waived_by=one.waived_by,
                evidence=[by_id[id] for id in one.evidence if id in by_id],
            )
            for one in held
        ],
        risk=RiskOut.model_validate(risk),
        plan=PlanOut.model_validate(wanted) if wanted else None,
        outcomes=[OutcomeOut.model_validate(outcome) for outcome in await stores.plans.outcomes(known.id)],
        findings=[
            FindingOut.model_validate(finding)
            for finding in await stores.findings.open(Subject(SubjectKind.DEVICE, device), 50)
        ],
        records=[shown(record, asking) for record in await deps.ledger.about(f"device:{device}", 20)],
    )


@routes.get("/{device}/samples", needs=_READ)
async def list_fields(device: DeviceIn, asking: Asking, deps: Using) -> FieldsOut:
    """The fields that the device reported in the last 30 days."""
    known = await within_scope(device, asking, deps)
    fields = await deps.samples.fields(known.id, deps.clock.now() - timedelta(days=30))
    return FieldsOut(device=known.id, fields=sorted(fields))


@routes.get("/{device}/samples/{field}", needs=_READ)
async def show_series(
    device: DeviceIn,
    field: str,
    asking: Asking,
    deps: Using,
    since: Annotated[Moment | None, Query(description="Without it a day before `until`.")] = None,
    until: Annotated[Moment | None, Query(description="Without it now.")] = None,
    points: Annotated[int, Query(ge=1, le=2000)] = 200,
) -> SeriesOut:
    """A numeric field over time, as means of at most ``points`` equal spans of at most 92 days in all."""
    known = await within_scope(device, asking, deps)
    end = until or deps.clock.now()
    begin = max(since or end - timedelta(days=1), end - _LONGEST_SERIES)
    found = await deps.samples.series(known.id, field[:200], begin, end, points) if begin < end else ()
    return SeriesOut(
        device=known.id,
        field=field,
        since=begin,
        until=end,
        points=[PointInTime(at=at, value=value) for at, value in found],
    )


@routes.post("/{device}/quarantine", needs=Permission.DEVICE_ACT)
async def quarantine_device(device: DeviceIn, act: ActIn, asking: Asking, deps: Using) -> GovernedOut:
    """Cuts the device off until a person releases it."""
    known = await within_scope(device, asking, deps)
    return await _governed(await quarantine(known.id, act.reason, asking.actor, deps.governing, deps.ids), deps)


@routes.post("/{device}/release", needs=Permission.DEVICE_ACT)
async def release_device(device: DeviceIn, act: ReleaseIn, asking: Asking, deps: Using) -> GovernedOut:
    """Lets go of what rules hold against the device; new evidence counts from now on."""
    known = await within_scope(device, asking, deps)
    rule = RuleId(act.rule) if act.rule else None
    return await _governed(await release(known.id, act.reason, asking.actor, deps.governing, deps.ids, rule), deps)


@routes.post("/{device}/break-glass", needs=Permission.DEVICE_BREAK_GLASS)
async def break_glass_on_device(device: DeviceIn, act: BreakGlassIn, asking: Asking, deps: Using) -> GovernedOut:
    """Sets every rule aside for this device for a while. It is recorded before it takes hold."""
    known = await within_scope(device, asking, deps)
    span = timedelta(minutes=act.minutes)
    governed = await break_glass(known.id, act.standing, act.reason, span, asking.actor, deps.governing, deps.ids)
    return await _governed(governed, deps)


@routes.post("/{device}/retirement", needs=Permission.DEVICE_ACT)
async def retire_device(device: DeviceIn, act: ActIn, asking: Asking, deps: Using) -> GovernedOut:
    """Takes everything away from the device for ever. There is no way back."""
    known = await within_scope(device, asking, deps)
    return await _governed(await retire(known.id, act.reason, asking.actor, deps.governing), deps)


async def _governed(governed: Governed, deps: Deps) -> GovernedOut:
    """What was decided and what holds now. The governor hears of the act too and may have been first: then the plan is
    its, and a point may still be about to take it."""
    plans, id = deps.governing.stores.plans, governed.decision.device
    wanted = governed.plan or await plans.current(id)
    outcomes = governed.outcomes or await plans.outcomes(id)
    return GovernedOut(
        decision=DecisionOut.model_validate(governed.decision),
        plan=PlanOut.model_validate(wanted) if wanted else None,
        outcomes=[OutcomeOut.model_validate(outcome) for outcome in outcomes],
    )
