"""Reading state. Each read is one consistent snapshot; lists are bounded and paged by the caller's ``limit``."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from bastide.core.decision import Decision, Policy, Waiver
from bastide.core.device import Device
from bastide.core.evidence import Evidence, Subject
from bastide.core.finding import Finding
from bastide.core.ids import DeviceClass, DeviceId, EvidenceId, ProfileName, SiteName
from bastide.core.plan import Outcome, Plan
from bastide.core.standing import Standing
from bastide.governance.access.scope import EVERYTHING as EVERYTHING
from bastide.governance.access.scope import Scope as Scope
from bastide.ports.platform.catalogue import CatalogueReads
from bastide.ports.platform.conversations import ConversationReads
from bastide.ports.platform.inventory import InventoryReads
from bastide.ports.platform.network import NetworkReads
from bastide.ports.platform.views import ViewReads


@dataclass(frozen=True, slots=True)
class DeviceFilter:
    """``text`` matches id, name, owner and class as one types; ``after`` is the id that the last page ended with.

    ``holding`` are lower-case ASCII words that must each occur somewhere in what is kept of a device, its attributes with
    their names and sources included: a first sieve for a search that looks closer (operations/inventory/search).
    """

    text: str = ""
    holding: tuple[str, ...] = ()
    standings: tuple[Standing, ...] = ()
    classes: tuple[DeviceClass, ...] = ()
    profiles: tuple[ProfileName, ...] = ()
    sites: tuple[SiteName, ...] = ()
    scope: Scope = field(default=EVERYTHING)
    after: str = ""
    limit: int = 100


class DeviceReads(Protocol):
    async def get(self, device: DeviceId) -> Device:
        """``NotFound`` where there is none."""
        ...

    async def list(self, wanted: DeviceFilter) -> Sequence[Device]:
        """Ordered by id."""
        ...

    async def count_by_standing(self, scope: Scope = EVERYTHING) -> dict[Standing, int]: ...

    async def due(self, now: datetime, limit: int) -> Sequence[DeviceId]:
        """The devices whose ``reconsider_at`` has passed, oldest first."""
        ...


class EvidenceReads(Protocol):
    async def about(self, device: Device) -> Sequence[Evidence]:
        """What is known of the device and of what it inherits from (profile, site), newest first, at most 32 of a kind."""
        ...

    async def get(self, ids: Sequence[EvidenceId]) -> Sequence[Evidence]: ...

    async def recent(self, subject: Subject, limit: int) -> Sequence[Evidence]: ...


class FindingReads(Protocol):
    async def open(self, subject: Subject | None, limit: int) -> Sequence[Finding]: ...


class PlanReads(Protocol):
    async def current(self, device: DeviceId) -> Plan | None: ...

    async def outcomes(self, device: DeviceId) -> Sequence[Outcome]:
        """What each point holds now, one per point."""
        ...

    async def unapplied(self, limit: int) -> Sequence[Plan]:
        """Plans that a point does not hold yet: what a restarted controller carries out first."""
        ...


class DecisionReads(Protocol):
    async def latest(self, device: DeviceId) -> Decision | None: ...

    async def history(self, device: DeviceId | None, since: datetime, limit: int) -> Sequence[Decision]: ...


class PolicyReads(Protocol):
    async def current(self) -> Policy: ...

    async def document(self) -> str:
        """The text that the policy in force was read from."""
        ...


class WaiverReads(Protocol):
    async def in_force(self, now: datetime) -> Sequence[Waiver]: ...


class Stores(Protocol):
    @property
    def devices(self) -> DeviceReads: ...
    @property
    def evidence(self) -> EvidenceReads: ...
    @property
    def findings(self) -> FindingReads: ...
    @property
    def plans(self) -> PlanReads: ...
    @property
    def decisions(self) -> DecisionReads: ...
    @property
    def policies(self) -> PolicyReads: ...
    @property
    def waivers(self) -> WaiverReads: ...
    @property
    def catalogue(self) -> CatalogueReads: ...
    @property
    def inventory(self) -> InventoryReads: ...
    @property
    def conversations(self) -> ConversationReads: ...
    @property
    def views(self) -> ViewReads: ...
    @property
    def network(self) -> NetworkReads: ...
