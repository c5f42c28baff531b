"""What a unit of work collects, and what each change needs to hold when it is applied (``ports.platform.units``)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from bastide.core.audit import Personal, Record, Recorded
from bastide.core.conversation import Conversation
from bastide.core.decision import Decision, Policy, Waiver
from bastide.core.device import Device
from bastide.core.error import Conflict
from bastide.core.evidence import Evidence
from bastide.core.finding import Finding
from bastide.core.ids import DeviceId, RecordId
from bastide.core.mode import Setting
from bastide.core.plan import Outcome, Plan
from bastide.core.profile import Profile
from bastide.core.proposal import Proposal
from bastide.core.ruling import Ruling
from bastide.governance.audit.record import plain, presentable
from bastide.ports.clock import Clock, Ids
from bastide.ports.platform.catalogue import ClassEntry
from bastide.ports.platform.network import Reach, SiteNetwork
from bastide.ports.platform.views import SavedView
from bastide.testing.tables import Tables

Change = Callable[[Tables], None]


@dataclass(frozen=True, slots=True)
class DeviceChanges:
    changes: list[Change]

    def add(self, device: Device) -> None:
        def change(tables: Tables) -> None:
            if device.id in tables.devices:
                raise Conflict(f"There is a device {device.id} already; read it, and put the change that you want.")
            tables.devices[device.id] = device

        self.changes.append(change)

    def put(self, device: Device) -> None:
        def change(tables: Tables) -> None:
            stored = tables.devices.get(device.id)
            if stored is None or stored.version != device.version:
                found = "it is not there" if stored is None else f"version {stored.version} is stored"
                raise Conflict(
                    f"Device {device.id} was read as version {device.version} and {found}; read it again and decide again."
                )
            last_seen = max(filter(None, (stored.last_seen, device.last_seen)), default=None)
            tables.devices[device.id] = replace(device, version=device.version + 1, last_seen=last_seen)

        self.changes.append(change)

    def seen(self, last_seen: Mapping[DeviceId, datetime]) -> None:
        seen = dict(last_seen)

        def change(tables: Tables) -> None:
            for id_, at in seen.items():
                device = tables.devices.get(id_)
                if device is not None and (device.last_seen is None or device.last_seen < at):
                    tables.devices[id_] = replace(device, last_seen=at)

        self.changes.append(change)


@dataclass(frozen=True, slots=True)
class EvidenceChanges:
    changes: list[Change]

    def add(self, facts: Sequence[Evidence]) -> None:
        def change(tables: Tables) -> None:
            for fact in facts:
                tables.evidence.setdefault(fact.id, fact)

        self.changes.append(change)


@dataclass(frozen=True, slots=True)
class FindingChanges:
    changes: list[Change]

    def put(self, finding: Finding) -> None:
        self.changes.append(lambda tables: tables.findings.update({(finding.code, finding.subject): finding}))


@dataclass(frozen=True, slots=True)
class PlanChanges:
    changes: list[Change]

    def put(self, plan: Plan) -> None:
        self.changes.append(lambda tables: tables.plans.update({plan.device: plan}))

    def applied(self, outcome: Outcome) -> None:
        def change(tables: Tables) -> None:
            held = tables.outcomes.get((outcome.device, outcome.point))
            # An outcome that arrives late must not hide what a newer plan did.
            if held is None or held.generation <= outcome.generation:
                tables.outcomes[outcome.device, outcome.point] = outcome

        self.changes.append(change)


@dataclass(frozen=True, slots=True)
class DecisionChanges:
    changes: list[Change]

    def put(self, decision: Decision) -> None:
        self.changes.append(lambda tables: tables.decisions.append(decision))


@dataclass(frozen=True, slots=True)
class PolicyChanges:
    changes: list[Change]

    def put(self, policy: Policy, document: str, at: datetime) -> None:
        self.changes.append(lambda tables: tables.policies.append((policy, document, at)))


@dataclass(frozen=True, slots=True)
class WaiverChanges:
    changes: list[Change]

    def put(self, waiver: Waiver) -> None:
        self.changes.append(lambda tables: tables.waivers.update({waiver.id: waiver}))


@dataclass(frozen=True, slots=True)
class CatalogueChanges:
    changes: list[Change]

    def put_profile(self, profile: Profile, document: str, at: datetime) -> None:
        self.changes.append(lambda tables: tables.profiles.update({profile.name: (profile, document)}))

    def put_class(self, entry: ClassEntry) -> None:
        self.changes.append(lambda tables: tables.classes.update({entry.name: entry}))


@dataclass(frozen=True, slots=True)
class InventoryChanges:
    changes: list[Change]

    def bind(self, key: str, device: DeviceId, at: datetime) -> None:
        self.changes.append(lambda tables: tables.keys.update({key: device}))


@dataclass(frozen=True, slots=True)
class ConversationChanges:
    changes: list[Change]

    def add(self, source: str, window: str, at: datetime, seen: Sequence[Conversation]) -> None:
        def change(tables: Tables) -> None:
            if (source, window) not in tables.windows:
                tables.windows.add((source, window))
                tables.conversations.extend(seen)

        self.changes.append(change)

    def reassign(self, device: DeviceId, to: DeviceId) -> None:
        def change(tables: Tables) -> None:
            moved = [replace(one, device=to) if one.device == device else one for one in tables.conversations]
            tables.conversations[:] = moved

        self.changes.append(change)


@dataclass(frozen=True, slots=True)
class ViewChanges:
    changes: list[Change]

    def put(self, view: SavedView) -> None:
        self.changes.append(lambda tables: tables.views.update({(view.person, view.name): view}))

    def remove(self, person: str, name: str) -> None:
        def change(tables: Tables) -> None:
            tables.views.pop((person, name), None)

        self.changes.append(change)


@dataclass(frozen=True, slots=True)
class NetworkChanges:
    changes: list[Change]

    def put_site(self, site: SiteNetwork) -> None:
        self.changes.append(lambda tables: tables.sites.update({site.site: site}))

    def put_reach(self, reach: Reach) -> None:
        self.changes.append(lambda tables: tables.reaches.update({reach.profile: reach}))

    def put_ruling(self, ruling: Ruling) -> None:
        self.changes.append(lambda tables: tables.rulings.update({ruling.id: ruling}))

    def put_mode(self, setting: Setting) -> None:
        self.changes.append(lambda tables: tables.modes.update({(setting.over, setting.name): setting}))

    def put_proposal(self, proposal: Proposal) -> None:
        self.changes.append(lambda tables: tables.proposals.update({proposal.id: proposal}))


@dataclass(frozen=True, slots=True)
class LedgerChanges:
    changes: list[Change]
    written: list[Record]
    actor: str | Personal
    clock: Clock
    ids: Ids

    def record(
        self,
        kind: str,
        subject: str,
        body: Mapping[str, Recorded] | Any,
        *,
        actor: str | Personal | None = None,
    ) -> RecordId:
        record = Record(
            id=RecordId(self.ids.mint("r")),
            kind=presentable(kind),
            subject=presentable(subject),
            actor=self.actor if actor is None else actor,
            at=self.clock.now(),
            body=plain(body),
        )
        self.written.append(record)
        self.changes.append(lambda tables: tables.records.append(record))
        return record.id
