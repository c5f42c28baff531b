"""State in memory: units of work and stores over one set of tables.

A unit is all or nothing and meets the same conflicts as in the database. Committing gives way to other tasks first, so
that a flow which reads, waits and writes meets here the races that it will meet there.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from bastide.core.audit import Personal, Record
from bastide.core.error import Unavailable
from bastide.ports.clock import Clock, Ids
from bastide.ports.keys import Signer
from bastide.testing.ledger import MemoryLedger
from bastide.testing.reads import (
    MemoryCatalogue,
    MemoryConversations,
    MemoryDecisions,
    MemoryDevices,
    MemoryEvidence,
    MemoryFindings,
    MemoryInventory,
    MemoryNetwork,
    MemoryPlans,
    MemoryPolicies,
    MemoryViews,
    MemoryWaivers,
)
from bastide.testing.signer import MemorySigner
from bastide.testing.tables import Tables
from bastide.testing.writes import (
    CatalogueChanges,
    Change,
    ConversationChanges,
    DecisionChanges,
    DeviceChanges,
    EvidenceChanges,
    FindingChanges,
    InventoryChanges,
    LedgerChanges,
    NetworkChanges,
    PlanChanges,
    PolicyChanges,
    ViewChanges,
    WaiverChanges,
)

Committed = Callable[[Sequence[Record]], None]


class MemoryUnit:
    """What one unit of work collects until it is committed."""

    def __init__(self, actor: str | Personal, clock: Clock, ids: Ids) -> None:
        self.changes: list[Change] = []
        self.written: list[Record] = []
        self.devices = DeviceChanges(self.changes)
        self.evidence = EvidenceChanges(self.changes)
        self.findings = FindingChanges(self.changes)
        self.plans = PlanChanges(self.changes)
        self.decisions = DecisionChanges(self.changes)
        self.policies = PolicyChanges(self.changes)
        self.waivers = WaiverChanges(self.changes)
        self.catalogue = CatalogueChanges(self.changes)
        self.inventory = InventoryChanges(self.changes)
        self.conversations = ConversationChanges(self.changes)
        self.views = ViewChanges(self.changes)
        self.network = NetworkChanges(self.changes)
        self.ledger = LedgerChanges(self.changes, self.written, actor, clock, ids)


class MemoryState:
    """``units`` writes, the stores read, ``ledger`` is the ledger over the same records.

    ``disk_full()`` lets no unit commit until ``disk_freed()``: what a flow does then is part of what is tested.
    """

    def __init__(self, clock: Clock, ids: Ids, signer: Signer | None = None) -> None:
        self._clock = clock
        self._ids = ids
        self._tables = Tables()
        self._listeners: list[Committed] = []
        self._full = False
        self.devices = MemoryDevices(self._now)
        self.evidence = MemoryEvidence(self._now)
        self.findings = MemoryFindings(self._now)
        self.plans = MemoryPlans(self._now)
        self.decisions = MemoryDecisions(self._now)
        self.policies = MemoryPolicies(self._now)
        self.waivers = MemoryWaivers(self._now)
        self.catalogue = MemoryCatalogue(self._now)
        self.inventory = MemoryInventory(self._now)
        self.conversations = MemoryConversations(self._now)
        self.views = MemoryViews(self._now)
        self.network = MemoryNetwork(self._now)
        self.ledger = MemoryLedger(lambda: self._tables.records, signer or MemorySigner(clock))

    def units(self, actor: str | Personal) -> AbstractAsyncContextManager[MemoryUnit]:
        return self._unit(actor)

    def on_committed(self, listener: Committed) -> None:
        """Calls ``listener`` with the records of each committed unit that has any."""
        self._listeners.append(listener)

    def disk_full(self) -> None:
        self._full = True

    def disk_freed(self) -> None:
        self._full = False

    @asynccontextmanager
    async def _unit(self, actor: str | Personal) -> AsyncIterator[MemoryUnit]:
        unit = MemoryUnit(actor, self._clock, self._ids)
        yield unit
        await asyncio.sleep(0)
        if self._full:
            raise Unavailable("The disk that holds the state is full; free some space, nothing was written.")
        changed = self._tables.copy()
        for change in unit.changes:
            change(changed)
        self._tables = changed
        if unit.written:
            for listener in self._listeners:
                listener(tuple(unit.written))

    def _now(self) -> Tables:
        return self._tables
