"""The Watch: is anything wrong, what changed, what first, can I prove it. The first screen answers without a click."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from bastide.controller.console.views.charts import Line, Segment, line, standing_bar
from bastide.controller.console.views.reader import Reader
from bastide.controller.console.views.words import Said, counted, in_words, lasting, together
from bastide.core.audit import Checkpoint, Record
from bastide.core.decision import Decision
from bastide.core.device import Device
from bastide.core.finding import Finding, Severity
from bastide.core.ids import DeviceId
from bastide.core.mode import Over, Setting
from bastide.core.plan import Plan
from bastide.core.standing import Standing
from bastide.flows.enforce_reach import ACTOR as PROBATION
from bastide.ports.platform.ledger import Ledger
from bastide.ports.platform.stores import DeviceFilter, Stores

DAY = timedelta(hours=24)
# What is read for the last day. A busier day is shown from where these many end, and the page says since when.
DECISIONS = 2000
ENFORCED = 400
YOUNG = 300
CHANGES = 80
NEEDS = 20
FEED = 10

_CONSEQUENCE = {Standing.QUARANTINED: 3, Standing.PENDING: 2, Standing.UNKNOWN: 1, Standing.RESTRICTED: 1}
# What a person would call a change: standings that moved, and what people did. Sessions, claims and evidence are no news,
# nor is what a script or the first run set up.
_BY_ITSELF = ("decision:standing:changed", "operator:", "network:mode:returned", "identity:renewals:")
_NEWS = (
    *_BY_ITSELF,
    "network:",
    "policy:",
    "profile:",
    "access:person",
    "access:token",
    "access:passkey",
)
# A fleet that is younger than a day is drawn from when it began, at least this wide.
_NARROWEST = timedelta(minutes=10)
_BEFORE_SERVICE = (Standing.PENDING, Standing.UNKNOWN)
_RECOMMENDED = {
    Standing.QUARANTINED: "Look at the evidence",
    Standing.PENDING: "Admit or refuse it",
    Standing.UNKNOWN: "Find out what it is",
    Standing.RESTRICTED: "See what it may still do",
}


@dataclass(frozen=True, slots=True)
class Need:
    """One thing that waits for a person: a device, why, since when, and the one act that we would take first."""

    device: Device
    because: str
    since: datetime | None
    act: str
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class OwnWork:
    """What the loop did by itself: decisions made, standings changed and given back, and how long enforcing took."""

    decided: int
    lowered: int
    restored: int
    enforced: int
    median: str
    slowest: str


@dataclass(frozen=True, slots=True)
class Watch:
    headline: str
    detail: str
    needs: tuple[Need, ...]
    needs_in_all: int
    counts: Mapping[Standing, int]
    total: int
    bar: tuple[Segment, ...]
    changed: tuple[Said, ...]
    own: OwnWork
    trend: Line | None
    trend_since: datetime
    checkpoint: Checkpoint | None
    newest: str


async def watch(stores: Stores, ledger: Ledger, reader: Reader, now: datetime) -> Watch:
    """Reads the first screen as somebody may see it."""
    scope = reader.scope
    counts = await stores.devices.count_by_standing(scope)
    total = sum(counts.values())
    waiting = await stores.devices.list(DeviceFilter(standings=tuple(_CONSEQUENCE), scope=scope, limit=NEEDS * 4))
    findings = [
        finding
        for finding in await stores.findings.open(None, 200)
        if finding.severity.rank >= Severity.MEDIUM.rank and await reader.sees(finding.subject.id)
    ]
    gravest = sorted(waiting, key=lambda device: -_CONSEQUENCE[device.standing])[:NEEDS]
    needs = [await _need(stores, reader, device, findings) for device in gravest]
    about = {device.id for device in waiting}
    for finding in findings:
        device = await reader.device(finding.subject.id)
        if device is not None and device.id not in about:
            about.add(device.id)
            needs.append(await _need(stores, reader, device, findings))
    history = await stores.decisions.history(None, now - DAY, DECISIONS)
    decisions = [each for each in history if await reader.sees(each.device)]
    for id in _on_break_glass(decisions):
        device = await reader.device(id)
        if device is not None and device.id not in about:
            about.add(device.id)
            needs.append(await _need(stores, reader, device, findings))
    for setting in await stores.network.modes():
        device = await reader.device(setting.name) if _went_back(setting) else None
        if device is not None and device.id not in about:
            about.add(device.id)
            needs.append(Need(device, setting.reason, setting.at, "See what it misses", ()))
    needs.sort(key=_order)
    enforced = await reader.visible(await ledger.recent(ENFORCED, "enforcement:plan"))
    newest = await reader.visible(await ledger.recent(20))
    young = list(dict.fromkeys(each.device for each in decisions if each.previous in _BEFORE_SERVICE))[:YOUNG]
    births = {id: found.created_at for id in young if (found := await reader.device(id))}
    births |= {device.id: device.created_at for device in waiting}
    since = max(now - DAY, decisions[-1].at) if len(history) == DECISIONS else now - DAY
    if total and len(births) >= total:
        since = min(max(since, min(births.values())), now - _NARROWEST)
    work = open_work(decisions, counts, births, since, now)
    in_all = max(len(needs), sum(counts.get(standing, 0) for standing in _CONSEQUENCE))
    return Watch(
        headline=_headline(in_all, counts, total),
        detail=_detail(
            counts, total, [each for each in await stores.plans.unapplied(50) if await reader.sees(each.device)]
        ),
        needs=tuple(needs[:NEEDS]),
        needs_in_all=in_all,
        counts=counts,
        total=total,
        bar=standing_bar(counts),
        changed=await changes(ledger, reader),
        own=own_work(decisions, [each for each in enforced if each.at > now - DAY]),
        trend=line(work, since, now, width=328, height=96, steps=True, floor_at=0.0),
        trend_since=since,
        checkpoint=await ledger.checkpoint(),
        newest=newest[0].id if newest else "",
    )


async def changes(ledger: Ledger, reader: Reader) -> tuple[Said, ...]:
    """The newest things that a person would call a change."""
    found: list[Record] = []
    for kind in _NEWS:
        batch = await reader.visible(await ledger.recent(CHANGES, kind))
        found += [each for each in batch if kind in _BY_ITSELF or str(each.actor).startswith("person:")]
    found.sort(key=lambda record: record.at, reverse=True)
    return together(await reader.lines(found[:CHANGES]))[:FEED]


def open_work(
    decisions: Sequence[Decision],
    counts: Mapping[Standing, int],
    births: Mapping[DeviceId, datetime],
    since: datetime,
    now: datetime,
) -> list[tuple[datetime, float]]:
    """How many devices were not trusted over time: the count of now, taken back decision by decision.

    ``births`` are when devices became known: before that, one is not open work.
    """
    changes = [(each.at, _open(each.standing) - _open(each.previous)) for each in decisions]
    first: dict[DeviceId, Decision] = {}
    for each in sorted(decisions, key=lambda decision: decision.at, reverse=True):
        first[each.device] = each
    # A device without a decision has stood where it stands since it became known.
    changes += [(at, _open(first[id].previous) if id in first else 1) for id, at in births.items()]
    level = sum(counts.get(standing, 0) for standing in _CONSEQUENCE)
    points = [(now, float(level))]
    for at, by in sorted(changes, reverse=True):
        if by and at >= since:
            points.append((at, float(level)))
            level = max(level - by, 0)
    points.append((since, float(level)))
    return points[::-1]


def _on_break_glass(decisions: Sequence[Decision]) -> list[DeviceId]:
    """The devices that run with more than the rules allow, by a person's act. It ends within a day, so a day's decisions tell.

    ``decisions`` newest first: only the newest on each device holds.
    """
    newest: dict[DeviceId, Decision] = {}
    for each in decisions:
        newest.setdefault(each.device, each)
    return [id for id, decision in newest.items() if decision.on_break_glass]


def _went_back(setting: Setting) -> bool:
    """A device that missed too much of its profile's and is not held to it until a person looks."""
    return setting.over is Over.DEVICE and setting.by == PROBATION


def _open(standing: Standing) -> int:
    return int(standing in _CONSEQUENCE)


def own_work(decisions: Sequence[Decision], records: Sequence[Record]) -> OwnWork:
    """Counts what the loop did, and measures from each plan's intent to its being held."""
    moved = [each for each in decisions if each.changed]
    intended: dict[tuple[str, object], datetime] = {}
    took: list[timedelta] = []
    for record in reversed(records):
        key = (record.subject, record.body.get("generation"))
        if record.kind == "enforcement:plan:intended":
            intended[key] = record.at
        elif record.kind == "enforcement:plan:applied" and key in intended:
            took.append(record.at - intended[key])
    took.sort()
    return OwnWork(
        decided=len(decisions),
        lowered=sum(each.standing.rank < each.previous.rank for each in moved),
        restored=sum(each.standing.rank > each.previous.rank for each in moved),
        enforced=len(took),
        median=lasting(took[len(took) // 2]) if took else "",
        slowest=lasting(took[-1]) if took else "",
    )


async def _need(stores: Stores, reader: Reader, device: Device, findings: Sequence[Finding]) -> Need:
    decision = await stores.decisions.latest(device.id)
    own = tuple(finding for finding in findings if finding.subject.id == device.id)
    because = await reader.text(decision.because) if decision else ""
    since = decision.at if decision else device.created_at
    glass = decision is not None and decision.on_break_glass
    if device.standing is Standing.TRUSTED and own and not glass:
        because, since = own[0].title, own[0].found_at
    return Need(
        device=device,
        because=because or "Nobody has decided on it yet.",
        since=since,
        act=_RECOMMENDED.get(device.standing) or ("See whether it may end" if glass else "Look at the finding"),
        findings=own,
    )


def _order(need: Need) -> tuple[int, int, float]:
    worst = max((finding.severity.rank for finding in need.findings), default=0)
    age = need.since.timestamp() if need.since else 0.0
    return (-_CONSEQUENCE.get(need.device.standing, 0), -worst, -age)


def _headline(waiting: int, counts: Mapping[Standing, int], total: int) -> str:
    if not total:
        return "No device is known yet."
    if not waiting:
        return "Nothing needs you."
    quarantined = counts.get(Standing.QUARANTINED, 0)
    if quarantined:
        return f"{in_words(quarantined)} {'device is' if quarantined == 1 else 'devices are'} in quarantine."
    return f"{in_words(waiting)} {'device needs' if waiting == 1 else 'devices need'} a look."


def _detail(counts: Mapping[Standing, int], total: int, unapplied: Sequence[Plan]) -> str:
    if not total:
        return ""
    trusted = counts.get(Standing.TRUSTED, 0)
    rest = "".join(f", {counts[each]} {each}" for each in sorted(_CONSEQUENCE) if counts.get(each, 0))
    standing = f"{trusted} of {counted(total, 'device')} {'is' if trusted == 1 else 'are'} trusted{rest}."
    if trusted == total:
        standing = f"All {counted(total, 'device')} are trusted." if total > 1 else "The one device is trusted."
    if unapplied:
        late = counted(len(unapplied), "plan is", "plans are")
        return f"{standing} {late} not held yet at every enforcement point; the loop keeps trying."
    return f"{standing} Every plan is held at every enforcement point."
