"""The unit of work: changes of state and the records of them, applied together or not at all.

    async with unit_of_work(actor) as work:
        work.devices.put(device)
        work.ledger.record("enforcement:plan:intended", ...)

Inside the block nothing is written: the methods only collect, so they are plain functions and cannot block. On leaving,
the whole unit becomes one durable transaction (many units may share one fsync). It lets out ``Conflict`` where a
precondition of one of its changes does not hold (then nothing of the unit was written) and ``Unavailable`` where the
store cannot write now (disk full, connection lost). Leaving the block by an exception writes nothing.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any, Protocol

from bastide.core.audit import Personal, Recorded
from bastide.core.decision import Decision, Policy, Waiver
from bastide.core.device import Device
from bastide.core.evidence import Evidence
from bastide.core.finding import Finding
from bastide.core.ids import DeviceId, RecordId
from bastide.core.plan import Outcome, Plan
from bastide.ports.platform.catalogue import CatalogueWrites
from bastide.ports.platform.conversations import ConversationWrites
from bastide.ports.platform.inventory import InventoryWrites
from bastide.ports.platform.network import NetworkWrites
from bastide.ports.platform.views import ViewWrites


class DeviceWrites(Protocol):
    def add(self, device: Device) -> None:
        """Conflict where the id exists."""
        ...

    def put(self, device: Device) -> None:
        """Conflict unless the stored version is ``device.version``; the stored one becomes one higher. ``last_seen`` never
        goes back, whatever the value says."""
        ...

    def seen(self, last_seen: Mapping[DeviceId, datetime]) -> None:
        """Moves ``last_seen`` forward, without a new version."""
        ...


class EvidenceWrites(Protocol):
    def add(self, facts: Sequence[Evidence]) -> None:
        """Adding the same id again changes nothing, so a redelivered fact is stored once."""
        ...


class FindingWrites(Protocol):
    def put(self, finding: Finding) -> None:
        """One open finding per code and subject: putting it again refreshes it."""
        ...


class PlanWrites(Protocol):
    def put(self, plan: Plan) -> None: ...

    def applied(self, outcome: Outcome) -> None: ...


class DecisionWrites(Protocol):
    def put(self, decision: Decision) -> None: ...


class PolicyWrites(Protocol):
    def put(self, policy: Policy, document: str, at: datetime) -> None: ...


class WaiverWrites(Protocol):
    def put(self, waiver: Waiver) -> None: ...


class LedgerWrites(Protocol):
    def record(
        self,
        kind: str,
        subject: str,
        body: Mapping[str, Recorded] | Any,
        *,
        actor: str | Personal | None = None,
    ) -> RecordId:
        """Appends a record. ``body`` is a mapping or one of the core's dataclasses; ``actor`` is the unit's unless given."""
        ...


class UnitOfWork(Protocol):
    @property
    def devices(self) -> DeviceWrites: ...
    @property
    def evidence(self) -> EvidenceWrites: ...
    @property
    def findings(self) -> FindingWrites: ...
    @property
    def plans(self) -> PlanWrites: ...
    @property
    def decisions(self) -> DecisionWrites: ...
    @property
    def policies(self) -> PolicyWrites: ...
    @property
    def waivers(self) -> WaiverWrites: ...
    @property
    def catalogue(self) -> CatalogueWrites: ...
    @property
    def inventory(self) -> InventoryWrites: ...
    @property
    def conversations(self) -> ConversationWrites: ...
    @property
    def views(self) -> ViewWrites: ...
    @property
    def network(self) -> NetworkWrites: ...
    @property
    def ledger(self) -> LedgerWrites: ...


class UnitsOfWork(Protocol):
    def __call__(self, actor: str | Personal) -> AbstractAsyncContextManager[UnitOfWork]:
        """A new unit in the name of ``actor`` (``system:governor``, ``token:…``, ``device:d-…``)."""
        ...
