"""The unit of work over the database: it collects while the block runs and commits when it ends well."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bastide.adapters.sql.access import AccessReads, AccessWrites
from bastide.adapters.sql.admissions import AdmissionReads, AdmissionWrites
from bastide.adapters.sql.catalogue import CatalogueReads, CatalogueWrites
from bastide.adapters.sql.conversations import ConversationReads, ConversationWrites
from bastide.adapters.sql.credentials import CredentialReads, CredentialWrites
from bastide.adapters.sql.database import Database, Unit
from bastide.adapters.sql.decisions import DecisionReads, DecisionWrites, PlanReads, PlanWrites
from bastide.adapters.sql.devices import DeviceReads, DeviceWrites
from bastide.adapters.sql.evidence import EvidenceReads, EvidenceWrites, FindingReads, FindingWrites
from bastide.adapters.sql.inventory import InventoryReads, InventoryWrites
from bastide.adapters.sql.ledger import LedgerWrites
from bastide.adapters.sql.network import NetworkReads, NetworkWrites
from bastide.adapters.sql.policies import PolicyReads, PolicyWrites, WaiverReads, WaiverWrites
from bastide.adapters.sql.rollouts import RolloutReads, RolloutWrites
from bastide.adapters.sql.views import ViewReads, ViewWrites
from bastide.core.audit import Personal
from bastide.ports.clock import Clock, Ids


class SQLUnitOfWork:
    """Implements ports.platform.units.UnitOfWork. Each area's writes collect into the same unit."""

    def __init__(self, unit: Unit, actor: str | Personal, clock: Clock, ids: Ids) -> None:
        self.devices = DeviceWrites(unit)
        self.evidence = EvidenceWrites(unit)
        self.findings = FindingWrites(unit)
        self.plans = PlanWrites(unit)
        self.decisions = DecisionWrites(unit)
        self.policies = PolicyWrites(unit)
        self.waivers = WaiverWrites(unit)
        self.catalogue = CatalogueWrites(unit)
        self.inventory = InventoryWrites(unit)
        self.conversations = ConversationWrites(unit)
        self.views = ViewWrites(unit)
        self.network = NetworkWrites(unit)
        self.access = AccessWrites(unit)
        self.credentials = CredentialWrites(unit)
        self.admissions = AdmissionWrites(unit)
        self.rollouts = RolloutWrites(unit)
        self.ledger = LedgerWrites(unit, actor, clock, ids)


class SQLUnitsOfWork:
    """Implements ports.platform.units.UnitsOfWork."""

    def __init__(self, database: Database, clock: Clock, ids: Ids) -> None:
        self._database = database
        self._clock = clock
        self._ids = ids

    @asynccontextmanager
    async def __call__(self, actor: str | Personal) -> AsyncIterator[SQLUnitOfWork]:
        unit = Unit()
        yield SQLUnitOfWork(unit, actor, self._clock, self._ids)
        await self._database.write(unit)


class SQLStores:
    """Implements ports.platform.stores.Stores."""

    def __init__(self, database: Database) -> None:
        self.devices = DeviceReads(database)
        self.evidence = EvidenceReads(database)
        self.findings = FindingReads(database)
        self.plans = PlanReads(database)
        self.decisions = DecisionReads(database)
        self.policies = PolicyReads(database)
        self.waivers = WaiverReads(database)
        self.catalogue = CatalogueReads(database)
        self.inventory = InventoryReads(database)
        self.conversations = ConversationReads(database)
        self.views = ViewReads(database)
        self.network = NetworkReads(database)
        self.access = AccessReads(database)
        self.credentials = CredentialReads(database)
        self.admissions = AdmissionReads(database)
        self.rollouts = RolloutReads(database)
