"""A device's page: who it is, its standing with the chain of reasons, what it may do and what holds, what it measured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from bastide.controller.console.views import words
from bastide.controller.console.views.charts import Cell, Line, Stretch, heat_strip, line, standing_strip
from bastide.controller.console.views.reader import Reader
from bastide.controller.console.views.words import Said
from bastide.core.audit import Record
from bastide.core.decision import Decision, Held
from bastide.core.device import Attribute, Device
from bastide.core.evidence import Evidence, Subject, SubjectKind
from bastide.core.finding import Finding
from bastide.core.ids import DeviceId, EvidenceId
from bastide.core.plan import Outcome, Plan, Point
from bastide.operations.inventory.attributes import EVIDENCE, best, conflicts, weight
from bastide.ports.platform.ledger import Ledger
from bastide.ports.platform.samples import Samples
from bastide.ports.platform.stores import Stores

RANGES: Mapping[str, timedelta] = {
    "15m": timedelta(minutes=15),
    "1h": timedelta(hours=1),
    "6h": timedelta(hours=6),
    "24h": timedelta(hours=24),
    "7d": timedelta(days=7),
}
POINTS = 240
# More charts than this on one page are read by nobody; the rest is counted and named.
CHARTS = 12
TIMELINE = 40
DAY_RECORDS = 2000
WEEK = timedelta(days=7)
HISTORY = 500


@dataclass(frozen=True, slots=True)
class Shown:
    """A fact, who said it in words, and the ledger record that holds it, where there is one."""

    fact: Evidence
    source: str
    record: str


@dataclass(frozen=True, slots=True)
class Reason:
    """A rule that held, with its evidence; ``binding`` where it alone keeps the standing this low."""

    held: Held
    evidence: tuple[Shown, ...]
    binding: bool


@dataclass(frozen=True, slots=True)
class AtPoint:
    """What one enforcement point must hold, what it holds as measured there, and how the two compare."""

    point: Point
    title: str
    wanted: str
    topics: tuple[tuple[str, str], ...]
    outcome: Outcome | None
    state: str
    sentence: str
    took: str


@dataclass(frozen=True, slots=True)
class Known:
    """What is known under one name: the statement shown first, the other values, and whether sources contradict each other."""

    name: str
    first: Attribute
    others: tuple[Attribute, ...]
    in_conflict: bool


@dataclass(frozen=True, slots=True)
class Charted:
    field: str
    chart: Line


@dataclass(frozen=True, slots=True)
class DevicePage:
    device: Device
    decision: Decision | None
    decided_record: str
    reasons: tuple[Reason, ...]
    plan: Plan | None
    plan_record: str
    points: tuple[AtPoint, ...]
    findings: tuple[Finding, ...]
    because: str
    other_evidence: tuple[Shown, ...]
    timeline: tuple[Said, ...]
    more_timeline: bool
    day: tuple[Cell, ...]
    strip: tuple[Stretch, ...]
    strip_since: datetime
    charts: tuple[Charted, ...]
    uncharted: int
    messages: int
    range: str
    known: tuple[Known, ...]
    keys: tuple[str, ...]


async def device_page(
    stores: Stores, ledger: Ledger, samples: Samples, device: DeviceId, reader: Reader, now: datetime, span: str
) -> DevicePage | None:
    """None where there is no such device or the reader may not see it; the page does not say which."""
    found = await reader.device(device)
    if found is None:
        return None
    decision = await stores.decisions.latest(device)
    plan = await stores.plans.current(device)
    records = await ledger.about(f"device:{device}", DAY_RECORDS)
    recorded = _recorded(records)
    posture = await stores.evidence.about(found)
    reasons = await _reasons(stores, found, decision, recorded, reader)
    cited = {shown.fact.id for reason in reasons for shown in reason.evidence}
    span = span if span in RANGES else _span(now - found.created_at)
    # A device that is younger than the span is drawn from when it became known.
    since = max(now - RANGES[span], found.created_at)
    fields = await samples.fields(device, since)
    charts = [await _chart(samples, device, name, since, now) for name in fields[: CHARTS * 2]]
    drawn = [chart for chart in charts if chart is not None]
    week = max(now - WEEK, found.created_at)
    history = await stores.decisions.history(device, week, HISTORY)
    return DevicePage(
        device=found,
        decision=decision,
        decided_record=next((each.id for each in records if _is_decision(each)), ""),
        reasons=reasons,
        plan=plan,
        plan_record=next((each.id for each in records if each.kind == "enforcement:plan:intended"), ""),
        points=_points(plan, await stores.plans.outcomes(device), now),
        findings=tuple(await stores.findings.open(Subject(SubjectKind.DEVICE, device), 50)),
        because=await reader.text(decision.because) if decision else "",
        other_evidence=tuple([await _shown(fact, recorded, reader) for fact in posture if fact.id not in cited][:20]),
        timeline=words.gathered(await reader.lines(records[:TIMELINE])),
        more_timeline=len(records) > TIMELINE,
        day=heat_strip([each.at for each in records], now),
        strip=standing_strip(history, found.standing, week, now),
        strip_since=week,
        charts=tuple(drawn[:CHARTS]),
        uncharted=len(drawn[CHARTS:]) + len(fields[CHARTS * 2 :]),
        messages=await samples.count(device, since),
        known=known_of(found.attributes, now),
        keys=tuple(await stores.inventory.keys_of(device)),
        range=span,
    )


def _span(age: timedelta) -> str:
    """What is shown first: an hour, or less of a device that is not that old."""
    return "15m" if age < timedelta(minutes=30) else "1h"


async def _chart(samples: Samples, device: DeviceId, field: str, since: datetime, now: datetime) -> Charted | None:
    drawn = line(await samples.series(device, field, since, now, POINTS), since, now)
    return Charted(field, drawn) if drawn else None


def _recorded(records: Sequence[Record]) -> dict[str, str]:
    """The record that holds each piece of evidence, by the evidence's id."""
    return {
        str(record.body["evidence"]): record.id
        for record in reversed(records)
        if record.kind.startswith(("evidence:", "operator:")) and "evidence" in record.body
    }


def _is_decision(record: Record) -> bool:
    return "standing" in record.body and "previous" in record.body


async def _reasons(
    stores: Stores, device: Device, decision: Decision | None, recorded: Mapping[str, str], reader: Reader
) -> tuple[Reason, ...]:
    if decision is None:
        return ()
    ids: list[EvidenceId] = [each for held in decision.held for each in held.evidence]
    facts = {fact.id: fact for fact in await stores.evidence.get(ids)}
    reasons = [
        Reason(
            held=held,
            evidence=tuple([await _shown(facts[each], recorded, reader) for each in held.evidence if each in facts]),
            binding=held.waived_by is None and held.cap is device.standing,
        )
        for held in decision.held
    ]
    return tuple(sorted(reasons, key=lambda reason: (not reason.binding, reason.held.cap.rank)))


async def _shown(fact: Evidence, recorded: Mapping[str, str], reader: Reader) -> Shown:
    return Shown(fact, await reader.actor(fact.source), recorded.get(fact.id, ""))


def known_of(attributes: Sequence[Attribute], now: datetime) -> tuple[Known, ...]:
    """Statements by name, each value once, the surest first; what contradicts itself before the rest."""
    contested = {each.name for each in conflicts(attributes, now)}
    found = []
    for name in dict.fromkeys(each.name for each in attributes):
        if name == EVIDENCE:
            continue
        first = best(attributes, name, now)
        assert first is not None
        values = {each.value.casefold(): each for each in attributes if each.name == name}
        values.pop(first.value.casefold(), None)
        others = tuple(sorted(values.values(), key=lambda each: (-weight(each, now), each.value)))
        found.append(Known(name, first, others, name in contested))
    return tuple(sorted(found, key=lambda each: (not each.in_conflict, _FIRST.get(each.name, 9), each.name)))


_FIRST = {
    name: place for place, name in enumerate(("type", "vendor", "model", "firmware", "serial", "location", "address"))
}


def _points(plan: Plan | None, outcomes: Sequence[Outcome], now: datetime) -> tuple[AtPoint, ...]:
    if plan is None:
        return ()
    held = {outcome.point: outcome for outcome in outcomes}
    wanted = {
        Point.BROKER: words.grant(plan.broker),
        Point.CREDENTIAL: words.credential(plan.credential),
        Point.UPDATE: words.update(plan.update),
        Point.NETWORK: words.network(plan.network),
    }
    topics = (
        *(("publish", topic) for topic in plan.broker.publish),
        *(("subscribe", topic) for topic in plan.broker.subscribe),
    )
    return tuple(
        _at_point(point, plan, wanted[point], topics if point is Point.BROKER else (), held.get(point), now)
        for point in Point
    )


def _at_point(
    point: Point,
    plan: Plan,
    wanted: str,
    topics: tuple[tuple[str, str], ...],
    outcome: Outcome | None,
    now: datetime,
) -> AtPoint:
    took = ""
    if outcome is None:
        state, sentence = (
            "lagging",
            f"Has not answered yet, {words.lasting(now - plan.made_at)} after the plan was made.",
        )
    elif outcome.error:
        state, sentence = "failed", outcome.error
    elif outcome.generation < plan.generation:
        state, sentence = "lagging", f"Still holds plan {outcome.generation}; plan {plan.generation} is on its way."
    elif outcome.holds.startswith("nothing:"):
        state, sentence = "absent", f"Nobody holds it to this:{outcome.holds.removeprefix('nothing:')}."
    else:
        state, sentence = "held", f"Holds plan {outcome.generation}."
        took = words.lasting(max(outcome.applied_at - plan.made_at, timedelta(0)))
    return AtPoint(point, words.POINT[point], wanted, topics, outcome, state, sentence, took)


def verdict(page: DevicePage) -> str:
    """The standing in one sentence, with the name of the thing."""
    name = page.device.name or page.device.id
    return f"{name} is {page.device.standing}: it {words.MEANING[page.device.standing]}."


def explained(page: DevicePage) -> dict[str, Any]:
    """The chain as plain values, for the copy button and for tests."""
    return {
        "device": page.device.id,
        "standing": page.device.standing.value,
        "because": page.decision.because if page.decision else "",
        "policy": page.decision.policy if page.decision else "",
        "rules": [reason.held.rule for reason in page.reasons],
        "points": {at.point.value: at.state for at in page.points},
    }
