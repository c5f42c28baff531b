"""The tables that the in-memory state is made of. A unit of work changes a copy, which then takes the place of the old."""

from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Self

from bastide.core.audit import Record
from bastide.core.conversation import Conversation
from bastide.core.decision import Decision, Policy, Waiver
from bastide.core.device import Device
from bastide.core.evidence import Evidence, Subject
from bastide.core.finding import Finding
from bastide.core.ids import DeviceClass, DeviceId, EvidenceId, ProfileName, SiteName, WaiverId
from bastide.core.mode import Over, Setting
from bastide.core.plan import Outcome, Plan, Point
from bastide.core.profile import Profile
from bastide.core.proposal import Proposal
from bastide.core.ruling import Ruling
from bastide.ports.platform.catalogue import ClassEntry
from bastide.ports.platform.network import Reach, SiteNetwork
from bastide.ports.platform.views import SavedView


@dataclass(slots=True)
class Tables:
    """One value per row; rows are frozen, so copying the containers copies the state."""

    devices: dict[DeviceId, Device] = field(default_factory=dict)
    evidence: dict[EvidenceId, Evidence] = field(default_factory=dict)
    findings: dict[tuple[str, Subject], Finding] = field(default_factory=dict)
    plans: dict[DeviceId, Plan] = field(default_factory=dict)
    outcomes: dict[tuple[DeviceId, Point], Outcome] = field(default_factory=dict)
    decisions: list[Decision] = field(default_factory=list)
    policies: list[tuple[Policy, str, datetime]] = field(default_factory=list)
    waivers: dict[WaiverId, Waiver] = field(default_factory=dict)
    profiles: dict[ProfileName, tuple[Profile, str]] = field(default_factory=dict)
    classes: dict[DeviceClass, ClassEntry] = field(default_factory=dict)
    keys: dict[str, DeviceId] = field(default_factory=dict)
    conversations: list[Conversation] = field(default_factory=list)
    windows: set[tuple[str, str]] = field(default_factory=set)
    views: dict[tuple[str, str], SavedView] = field(default_factory=dict)
    sites: dict[SiteName, SiteNetwork] = field(default_factory=dict)
    reaches: dict[ProfileName, Reach] = field(default_factory=dict)
    rulings: dict[str, Ruling] = field(default_factory=dict)
    modes: dict[tuple[Over, str], Setting] = field(default_factory=dict)
    proposals: dict[str, Proposal] = field(default_factory=dict)
    records: list[Record] = field(default_factory=list)

    def copy(self) -> Self:
        return type(self)(**{each.name: getattr(self, each.name).copy() for each in fields(self)})
