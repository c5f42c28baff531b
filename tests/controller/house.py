"""A house to ask: the real app over a real SQLite, with two devices in two sites and a person of each role.

Signer, samples and enforcement points are those in memory. Everything else is what runs in production: the database, the
ledger with its sequencer, argon2id (with parameters that a test can wait for).
"""

import asyncio
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import httpx
from fastapi import FastAPI
from sqlalchemy import create_engine

from bastide.adapters.clock import SystemEntropy
from bastide.adapters.passwords import Argon2Passwords
from bastide.adapters.sql.database import Database
from bastide.adapters.sql.ledger_export import SQLBundles
from bastide.adapters.sql.ledger_reads import LedgerReads
from bastide.adapters.sql.ledger_tree import SQLLedgerTree
from bastide.adapters.sql.migrate import migrate
from bastide.adapters.sql.units import SQLStores, SQLUnitsOfWork
from bastide.controller.api.access import CSRF_HEADER
from bastide.controller.api.admissions import admission_routes
from bastide.controller.api.app import PREFIX, create_app
from bastide.controller.api.authorities import authority_routes
from bastide.controller.api.claims import claims_routes
from bastide.controller.api.credentials import credential_routes
from bastide.controller.api.deps import Deps
from bastide.controller.api.fetching import fetch_routes
from bastide.controller.api.ledger import export_routes
from bastide.controller.api.rollouts import rollout_routes
from bastide.controller.console.install import install
from bastide.controller.console.views.enrolling import Enrolment
from bastide.controller.live import LiveRecords
from bastide.core.audit import Record
from bastide.core.device import Device
from bastide.core.evidence import Evidence, Subject, SubjectKind, Trust
from bastide.core.ids import DeviceClass, DeviceId, EvidenceId, OwnerName, ProfileName, SiteName, ZoneName
from bastide.core.plan import Point
from bastide.core.standing import Stage, Standing
from bastide.device.identity.hierarchy import Hierarchy
from bastide.flows.admissions import AdmittingPeople
from bastide.flows.change_policy import ensure_policy
from bastide.flows.claims import Claiming
from bastide.flows.describe_kinds import ensure_class
from bastide.flows.fetch_reach import Fetching
from bastide.flows.govern_device import Governing, govern_device
from bastide.flows.manage_people import new_link, new_token
from bastide.flows.propose_rollout import Rolling
from bastide.flows.roll_over import RollingOver
from bastide.flows.sequence_ledger import Sequencer
from bastide.flows.sign_in import Door
from bastide.flows.take_evidence import take_evidence
from bastide.governance.access.passkey import RelyingParty
from bastide.governance.access.password import Hardness
from bastide.governance.access.person import Person, PersonId
from bastide.governance.access.roles import Role
from bastide.governance.access.scope import EVERYTHING, Scope
from bastide.testing import FakeClock, MemoryEnforcer, MemorySamples, MemorySigner, SequentialIds
from bastide.testing.mud_files import MemoryMUDFiles
from bastide.testing.releases import MemoryReleases

ORIGIN = "https://localhost:8443"
LAMP = DeviceId("d-" + "a" * 20)  # in Lyon
PUMP = DeviceId("d-" + "b" * 20)  # in Metz
LYON = Scope(sites=(SiteName("lyon"),))
QUICK = Hardness(memory_kib=64, passes=1, lanes=1)


@dataclass(slots=True)
class House:
    app: FastAPI
    deps: Deps
    door: Door
    database: Database
    clock: FakeClock
    records: list[Record]
    live: LiveRecords
    points: dict[Point, MemoryEnforcer]

    def client(self, token: str = "", **more: str) -> httpx.AsyncClient:
        """A client as whoever holds the token; nobody without one."""
        headers = ({"Authorization": f"Bearer {token}"} if token else {}) | more
        transport = httpx.ASGITransport(app=self.app, client=("192.0.2.7", 40000))
        return httpx.AsyncClient(transport=transport, base_url=ORIGIN + PREFIX, headers=headers)

    async def person(self, name: str, role: Role, scope: Scope = EVERYTHING) -> Person:
        made = Person(
            PersonId(self.deps.ids.mint("p")), name, role, self.clock.now(), display=name.title(), scope=scope
        )
        async with self.door.units("system:test") as work:
            work.access.add_person(made)
        return made

    async def token(self, person: Person, role: Role | None = None, scope: Scope | None = None) -> str:
        text, _ = await new_token(
            self.door,
            "system:test",
            person,
            label="test",
            role=role or person.role,
            scope=person.scope if scope is None else scope,
            life=timedelta(days=1),
        )
        return text

    async def as_a(self, role: Role, scope: Scope = EVERYTHING, name: str = "") -> httpx.AsyncClient:
        """A client with a token of a new person of that role."""
        person = await self.person(name or f"{role.value}-{len(self.records)}", role, scope)
        return self.client(await self.token(person))

    async def signed_in(self, person: Person) -> httpx.AsyncClient:
        """A browser's session of that person: cookie and CSRF token."""
        client = self.client()
        link = await new_link(self.door, "system:test", person)
        answer = await client.post("/sign-in/link", json={"link": link})
        assert answer.status_code == 200, answer.text
        client.headers[CSRF_HEADER] = answer.json()["csrf"]
        return client

    async def observe(self, kind: str, device: DeviceId = LAMP) -> None:
        now = self.clock.now()
        fact = Evidence(
            id=EvidenceId(self.deps.ids.mint("e")),
            kind=kind,
            subject=Subject(SubjectKind.DEVICE, device),
            source="test",
            trust=Trust.AUTHENTICATED,
            observed_at=now,
            received_at=now,
            body={"topic": "devices/other/telemetry"},
        )
        await take_evidence([fact], self.deps.governing.unit_of_work, "system:test")
        await govern_device(device, self.deps.governing)

    def kinds(self) -> list[str]:
        return [record.kind for record in self.records]


def migrated_database(path: Path) -> Path:
    """An empty database with the schema, to copy."""
    engine = create_engine(f"sqlite:///{path}")
    migrate(engine)
    engine.dispose()
    return path


@asynccontextmanager
async def open_house(migrated: Path, folder: Path) -> AsyncIterator[House]:
    shutil.copy(migrated, folder / "state.db")
    database = Database.open(f"sqlite:///{folder / 'state.db'}")
    clock, ids, live, records = FakeClock(), SequentialIds(), LiveRecords(), list[Record]()
    passwords = Argon2Passwords(QUICK)

    def committed(more: Sequence[Record]) -> None:
        records.extend(more)
        live.publish(more)

    database.on_committed(committed)
    stores, units = SQLStores(database), SQLUnitsOfWork(database, clock, ids)
    points = {point: MemoryEnforcer(point, clock) for point in Point}
    governing = Governing(stores, units, tuple(points.values()), clock)
    party = RelyingParty(id="localhost", origin=ORIGIN)
    door = Door(stores.access, units, passwords, clock, ids, SystemEntropy(), party)
    ledger = LedgerReads(database)
    signer = MemorySigner(clock)
    sequencer = Sequencer(SQLLedgerTree(database), signer, "bastide.test/ledger", ledger.announce)
    database.on_committed(sequencer.wake)
    running = asyncio.create_task(sequencer.run())
    deps = Deps(
        governing=governing,
        ledger=ledger,
        samples=MemorySamples(),
        live=live,
        door=door,
        clock=clock,
        ids=ids,
    )
    try:
        await ensure_policy(governing)
        await ensure_class("lamp", "system:test", governing)
        async with units("system:test") as work:
            for id, site in ((LAMP, "lyon"), (PUMP, "metz")):
                work.devices.add(_device(id, site, clock))
        claiming = Claiming(governing, units, stores.credentials, ids)
        bundles = SQLBundles(f"sqlite:///{folder / 'state.db'}")
        admitting = AdmittingPeople(claiming, stores.admissions)
        claims = claims_routes(claiming, "https://localhost:9443/.well-known/est")

        async def spread() -> None:
            """Nobody here relies on a CA."""

        def hierarchy() -> Hierarchy:
            return signer.hierarchy

        rolling = RollingOver(units, stores.credentials, ledger, signer, clock, ids, hierarchy, spread)
        rollouts = Rolling(units, stores.rollouts, MemoryReleases(), clock, ids)
        app = create_app(
            deps,
            more=[
                authority_routes(rolling),
                claims,
                admission_routes(admitting),
                credential_routes(stores.credentials, clock, dict),
                export_routes(bundles),
                fetch_routes(Fetching(MemoryMUDFiles(), lambda: ())),
                rollout_routes(rollouts),
            ],
        )
        enrolment = Enrolment(admitting, "https://localhost:9443/.well-known/est", ("localhost", 8883), "trust")
        install(app, "bastide.test/ledger+00000000+AAAA", enrolment, dict, rollouts)
        house = House(app, deps, door, database, clock, records, live, points)
        for id in (LAMP, PUMP):
            await house.observe("identity.enrolled", id)
        yield house
    finally:
        live.close()
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        passwords.close()
        await database.close()


def _device(id: DeviceId, site: str, clock: FakeClock) -> Device:
    return Device(
        id=id,
        device_class=DeviceClass("lamp"),
        owner=OwnerName("facilities"),
        site=SiteName(site),
        zone=ZoneName("default"),
        profile=ProfileName("generic"),
        standing=Standing.PENDING,
        stage=Stage.COMMISSIONED,
        created_at=clock.now(),
        name=f"Lamp in {site}",
    )
