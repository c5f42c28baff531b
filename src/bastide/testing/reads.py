"""Reading the in-memory state (``ports.platform.stores``). Each read sees one moment."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from bastide.core.conversation import Conversation
from bastide.core.decision import Decision, Policy, Waiver
from bastide.core.device import Device
from bastide.core.error import NotFound
from bastide.core.evidence import Evidence, Subject, SubjectKind
from bastide.core.finding import Finding
from bastide.core.ids import DeviceClass, DeviceId, EvidenceId, ProfileName, SiteName
from bastide.core.mode import Setting
from bastide.core.plan import Outcome, Plan, Point
from bastide.core.profile import Profile
from bastide.core.proposal import Proposal
from bastide.core.ruling import Ruling
from bastide.core.standing import Standing
from bastide.ports.platform.catalogue import ClassEntry
from bastide.ports.platform.conversations import Hour, Wanted
from bastide.ports.platform.network import Reach, SiteNetwork
from bastide.ports.platform.stores import EVERYTHING, DeviceFilter, Scope
from bastide.ports.platform.views import SavedView
from bastide.testing.tables import Tables

OF_A_KIND = 32

Now = Callable[[], Tables]


@dataclass(frozen=True, slots=True)
class MemoryDevices:
    tables: Now

    async def get(self, device: DeviceId) -> Device:
        found = self.tables().devices.get(device)
        if found is None:
            raise NotFound(f"There is no device {device}; `bastide device list` shows those that there are.")
        return found

    async def list(self, wanted: DeviceFilter) -> Sequence[Device]:
        rows = [device for id_, device in sorted(self.tables().devices.items()) if id_ > wanted.after]
        return [device for device in rows if _wanted(device, wanted)][: wanted.limit]

    async def count_by_standing(self, scope: Scope = EVERYTHING) -> dict[Standing, int]:
        counts: dict[Standing, int] = {}
        for device in self.tables().devices.values():
            if scope.covers(device):
                counts[device.standing] = counts.get(device.standing, 0) + 1
        return counts

    async def due(self, now: datetime, limit: int) -> Sequence[DeviceId]:
        waiting = [
            (device.reconsider_at, device.id)
            for device in self.tables().devices.values()
            if device.reconsider_at is not None and device.reconsider_at <= now
        ]
        return [device for _, device in sorted(waiting)][:limit]


def _wanted(device: Device, wanted: DeviceFilter) -> bool:
    text = wanted.text.casefold()
    named = (device.id, device.name, device.owner, device.device_class, device.site)
    kept = " ".join((*_kept(device), *(f"{each.name} {each.value} {each.source}" for each in device.attributes)))
    return (
        all(word in kept.lower() for word in wanted.holding)
        and (not text or any(text in each.casefold() for each in named))
        and (not wanted.standings or device.standing in wanted.standings)
        and (not wanted.classes or device.device_class in wanted.classes)
        and (not wanted.profiles or device.profile in wanted.profiles)
        and (not wanted.sites or device.site in wanted.sites)
        and wanted.scope.covers(device)
    )


def _kept(device: Device) -> tuple[str, ...]:
    return (
        device.id, device.name, device.device_class, device.owner, device.site, device.zone, device.profile,
        device.standing.value, device.stage.value,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class MemoryEvidence:
    tables: Now

    async def about(self, device: Device) -> Sequence[Evidence]:
        subjects = {
            Subject(SubjectKind.DEVICE, device.id),
            Subject(SubjectKind.PROFILE, device.profile),
            Subject(SubjectKind.SITE, device.site),
        }
        of_kind: dict[str, int] = {}
        kept = []
        for fact in _newest_first(self.tables().evidence.values()):
            if fact.subject in subjects and of_kind.get(fact.kind, 0) < OF_A_KIND:
                of_kind[fact.kind] = of_kind.get(fact.kind, 0) + 1
                kept.append(fact)
        return kept

    async def get(self, ids: Sequence[EvidenceId]) -> Sequence[Evidence]:
        stored = self.tables().evidence
        return _newest_first(stored[each] for each in set(ids) if each in stored)

    async def recent(self, subject: Subject, limit: int) -> Sequence[Evidence]:
        return [fact for fact in _newest_first(self.tables().evidence.values()) if fact.subject == subject][:limit]


def _newest_first(facts: Iterable[Evidence]) -> list[Evidence]:
    return sorted(sorted(facts, key=lambda fact: fact.id), key=lambda fact: fact.observed_at, reverse=True)


@dataclass(frozen=True, slots=True)
class MemoryFindings:
    tables: Now

    async def open(self, subject: Subject | None, limit: int) -> Sequence[Finding]:
        found = [each for each in self.tables().findings.values() if subject in (None, each.subject)]
        return sorted(found, key=lambda each: each.found_at, reverse=True)[:limit]


@dataclass(frozen=True, slots=True)
class MemoryPlans:
    tables: Now

    async def current(self, device: DeviceId) -> Plan | None:
        return self.tables().plans.get(device)

    async def outcomes(self, device: DeviceId) -> Sequence[Outcome]:
        outcomes = self.tables().outcomes
        return [outcomes[device, point] for point in sorted(Point) if (device, point) in outcomes]

    async def unapplied(self, limit: int) -> Sequence[Plan]:
        tables = self.tables()
        return [plan for plan in tables.plans.values() if not _holds_everywhere(tables, plan)][:limit]


def _holds_everywhere(tables: Tables, plan: Plan) -> bool:
    outcomes = [tables.outcomes.get((plan.device, point)) for point in Point]
    return all(each is not None and each.generation == plan.generation and not each.error for each in outcomes)


@dataclass(frozen=True, slots=True)
class MemoryDecisions:
    tables: Now

    async def latest(self, device: DeviceId) -> Decision | None:
        return next((each for each in reversed(self.tables().decisions) if each.device == device), None)

    async def history(self, device: DeviceId | None, since: datetime, limit: int) -> Sequence[Decision]:
        newest = reversed(self.tables().decisions)
        return [each for each in newest if each.at >= since and device in (None, each.device)][:limit]


@dataclass(frozen=True, slots=True)
class MemoryPolicies:
    tables: Now

    async def current(self) -> Policy:
        return self._latest()[0]

    async def document(self) -> str:
        return self._latest()[1]

    def _latest(self) -> tuple[Policy, str, datetime]:
        policies = self.tables().policies
        if not policies:
            raise NotFound("No policy is in force yet. Starting the controller puts the built-in one in force.")
        return policies[-1]


@dataclass(frozen=True, slots=True)
class MemoryWaivers:
    tables: Now

    async def in_force(self, now: datetime) -> Sequence[Waiver]:
        waivers = sorted(self.tables().waivers.values(), key=lambda each: each.id)
        return [each for each in waivers if each.starts_at <= now < each.ends_at]


@dataclass(frozen=True, slots=True)
class MemoryCatalogue:
    tables: Now

    async def profile(self, name: ProfileName) -> Profile:
        return self._entry(name)[0]

    async def document(self, name: ProfileName) -> str:
        return self._entry(name)[1]

    async def profiles(self) -> Sequence[Profile]:
        return [profile for _, (profile, _) in sorted(self.tables().profiles.items())]

    async def device_class(self, name: DeviceClass) -> ClassEntry:
        entry = self.tables().classes.get(name)
        if entry is None:
            raise NotFound(f"There is no device class {name!r}. `bastide class list` shows those that there are.")
        return entry

    async def classes(self) -> Sequence[ClassEntry]:
        return [entry for _, entry in sorted(self.tables().classes.items())]

    def _entry(self, name: ProfileName) -> tuple[Profile, str]:
        entry = self.tables().profiles.get(name)
        if entry is None:
            raise NotFound(f"There is no profile {name!r}. `bastide profile list` shows those that there are.")
        return entry


@dataclass(frozen=True, slots=True)
class MemoryInventory:
    tables: Now

    async def bound(self, keys: Sequence[str]) -> Mapping[str, DeviceId]:
        kept = self.tables().keys
        return {key: kept[key] for key in keys if key in kept}

    async def keys_of(self, device: DeviceId) -> Sequence[str]:
        return sorted(key for key, kept in self.tables().keys.items() if kept == device)


@dataclass(frozen=True, slots=True)
class MemoryConversations:
    tables: Now

    async def list(self, wanted: Wanted) -> Sequence[Conversation]:
        merged: dict[tuple[object, ...], Conversation] = {}
        for one in self.tables().conversations:
            if one.last_seen < wanted.since or one.first_seen >= wanted.until:
                continue
            if wanted.devices and one.device not in wanted.devices:
                continue
            key = (one.device, one.peer, one.transport, one.port, one.protocol, one.opened_by_device)
            known = merged.get(key)
            merged[key] = one if known is None else _added(known, one)
        busiest = sorted(merged.items(), key=lambda item: (-item[1].bytes_sent - item[1].bytes_received, item[0]))
        return [one for _, one in busiest[: wanted.limit]]

    async def by_hour(self, wanted: Wanted) -> Sequence[Hour]:
        flows: dict[datetime, int] = {}
        sizes: dict[datetime, int] = {}
        for one in self.tables().conversations:
            hour = one.first_seen.replace(minute=0, second=0, microsecond=0)
            if wanted.since <= hour < wanted.until and (not wanted.devices or one.device in wanted.devices):
                flows[hour] = flows.get(hour, 0) + one.flows
                sizes[hour] = sizes.get(hour, 0) + one.bytes_sent + one.bytes_received
        return [Hour(hour, flows[hour], sizes[hour]) for hour in sorted(flows)][: wanted.limit]


def _added(known: Conversation, more: Conversation) -> Conversation:
    return replace(
        known,
        peer_name=more.peer_name or known.peer_name,
        flows=known.flows + more.flows,
        packets_sent=known.packets_sent + more.packets_sent,
        packets_received=known.packets_received + more.packets_received,
        bytes_sent=known.bytes_sent + more.bytes_sent,
        bytes_received=known.bytes_received + more.bytes_received,
        first_seen=min(known.first_seen, more.first_seen),
        last_seen=max(known.last_seen, more.last_seen),
    )


@dataclass(frozen=True, slots=True)
class MemoryViews:
    tables: Now

    async def of(self, person: str) -> Sequence[SavedView]:
        seen = [one for one in self.tables().views.values() if one.shared or one.person == person]
        return sorted(seen, key=lambda one: (one.person != person, one.name, one.person))


@dataclass(frozen=True, slots=True)
class MemoryNetwork:
    tables: Now

    async def site(self, site: SiteName) -> SiteNetwork | None:
        return self.tables().sites.get(site)

    async def sites(self) -> Sequence[SiteNetwork]:
        return [one for _, one in sorted(self.tables().sites.items())]

    async def reach(self, profile: ProfileName) -> Reach | None:
        return self.tables().reaches.get(profile)

    async def reaches(self) -> Sequence[Reach]:
        return [one for _, one in sorted(self.tables().reaches.items())]

    async def rulings(self, now: datetime, device: DeviceId | None = None, limit: int = 1000) -> Sequence[Ruling]:
        held = [one for one in self.tables().rulings.values() if one.holds(now) and device in (None, one.device)]
        return sorted(held, key=lambda one: (-one.at.timestamp(), one.id))[:limit]

    async def allowances(self, now: datetime, device: DeviceId | None = None, limit: int = 10_000) -> Sequence[Ruling]:
        lasting = [
            one
            for one in self.tables().rulings.values()
            if one.until is not None and one.until > now and device in (None, one.device)
        ]
        return sorted(lasting, key=lambda one: (-one.at.timestamp(), one.id))[:limit]

    async def modes(self, device: Device | None = None) -> Sequence[Setting]:
        kept = sorted(self.tables().modes.items())
        return [one for _, one in kept if one.ended_at is None and (device is None or one.concerns(device))]

    async def proposals(self, profile: ProfileName | None = None, limit: int = 200) -> Sequence[Proposal]:
        kept = [one for one in self.tables().proposals.values() if profile in (None, one.profile)]
        return sorted(kept, key=lambda one: (-one.at.timestamp(), one.id))[:limit]

    async def proposal(self, id: str) -> Proposal | None:
        return self.tables().proposals.get(id)
