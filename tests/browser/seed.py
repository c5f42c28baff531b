"""A town to look at: the real app over a real SQLite, with a day of a fleet's life in it, written by the real flows.

The clock stands in the past while the day is written and then runs as the system's does. Enforcement points and samples are
the ones in memory; ledger records go through the real tree and are signed.

    .venv/bin/python -m tests.browser.seed        # serves it at https://localhost:8500 and prints the sign-in link
"""

import asyncio
import json
import math
import os
import random
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import create_engine

import bastide.demo
from bastide.adapters.passwords import Argon2Passwords
from bastide.adapters.sql.credentials import CredentialReads
from bastide.adapters.sql.database import Database
from bastide.adapters.sql.ledger_reads import LedgerReads
from bastide.adapters.sql.ledger_tree import SQLLedgerTree
from bastide.adapters.sql.migrate import migrate
from bastide.adapters.sql.units import SQLStores, SQLUnitsOfWork
from bastide.controller.api.app import create_app
from bastide.controller.api.deps import Deps
from bastide.controller.console.install import install
from bastide.controller.console.views.enrolling import Enrolment
from bastide.controller.live import LiveRecords
from bastide.controller.serving import Leaf, Listener
from bastide.core.conversation import Conversation
from bastide.core.device import Attribute, Device
from bastide.core.evidence import Evidence, Fact, Subject, SubjectKind, Trust
from bastide.core.finding import Finding, Severity
from bastide.core.ids import DeviceClass, DeviceId, EvidenceId, OwnerName, ProfileName, SiteName, ZoneName
from bastide.core.mode import Over
from bastide.core.plan import CredentialState, Point, UpdateEligibility
from bastide.core.standing import Stage, Standing
from bastide.device.release.release import Release
from bastide.device.release.report import Attempt, Report, Told
from bastide.flows import operator_acts
from bastide.flows.admissions import AdmittingPeople
from bastide.flows.change_policy import ensure_policy
from bastide.flows.claims import Claiming
from bastide.flows.describe_kinds import ensure_generic, put_profile
from bastide.flows.describe_network import allow, put_reach, put_site
from bastide.flows.enforce_reach import observe
from bastide.flows.first_run import first_run
from bastide.flows.govern_device import Governing, govern_device
from bastide.flows.offer_update import Offering
from bastide.flows.propose_reach import begin_lesson, end_lesson
from bastide.flows.propose_rollout import Rolling, approve, propose
from bastide.flows.sequence_ledger import Sequencer
from bastide.flows.sign_in import Door
from bastide.flows.simulate_reach import devices_of, talk_of
from bastide.flows.take_evidence import take_evidence
from bastide.governance.access.passkey import RelyingParty
from bastide.governance.access.password import Hardness
from bastide.network.profile.amend import Flow
from bastide.network.profile.learn import learn, profile
from bastide.network.profile.mud.write import write
from bastide.operations.rollout.plan import Rings
from bastide.operations.rollout.rollout import Target, Terms
from bastide.ports.clock import Ids
from bastide.ports.platform.conversations import Wanted
from bastide.ports.platform.samples import Sample
from bastide.ports.platform.stores import DeviceFilter
from bastide.testing import MemoryEnforcer, MemorySamples, MemorySigner, SequentialIds
from bastide.testing.releases import MemoryReleases
from bastide.wire.note import VerifierKey
from tests.browser.tls import write_leaf

LOG = "bastide.test/ledger"
PLACES = ("Front door", "Loading dock", "Hall B", "Roof", "Boiler room", "Lobby", "Archive", "Workshop")
NAMES = {
    "door-camera": ("Front door camera", "Loading dock camera", "Car park camera", "Archive camera", "Roof camera"),
    "thermostat": ("Lobby thermostat", "Archive thermostat", "Office 3 thermostat", "Office 4 thermostat", "Canteen thermostat"),
    "energy-meter": ("Main meter", "Hall A meter", "Hall B meter", "Charging meter", "Server room meter"),
    "vibration-sensor": ("Pump 1 vibration", "Pump 2 vibration", "Fan 1 vibration", "Fan 2 vibration", "Press vibration"),
    "gate-controller": ("North gate", "South gate", "Car park barrier", "Dock gate 1", "Dock gate 2"),
}  # fmt: skip
FIELDS = {
    "door-camera": (("bitrate", 2400, 600), ("frames", 24, 2), ("temperature", 38, 6), ("storage_free", 61, 3)),
    "thermostat": (("temperature", 21, 1.5), ("target", 20.5, 0.5), ("humidity", 44, 5)),
    "energy-meter": (("power", 5200, 2400), ("voltage", 230, 2)),
    "vibration-sensor": (("rms", 1.8, 0.5), ("peak", 5.1, 1.5), ("temperature", 44, 4)),
    "gate-controller": (("cycles", 12, 8), ("temperature", 18, 4)),
}
CAMERA_25, CAMERA_26 = (
    Release(
        "door-camera", version, f"door-camera/{version}/camera.bin", 8_912_896, digest * 64,
        {"counter": counter, "hardware": ["rev-b", "rev-c"], "notes": notes, "supported_until": "2029-12-31"},
    )
    for version, digest, counter, notes in (
        ("2.5.0", "b", 5, "Mends the RTSP overflow of CVE-2026-10007"),
        ("2.6.0", "c", 6, "Night vision; turns Telnet off for good"),
    )
)  # fmt: skip
RELEASES = MemoryReleases([CAMERA_25, CAMERA_26])
OWNERS = {
    "door-camera": "security",
    "thermostat": "facilities",
    "energy-meter": "energy",
    "vibration-sensor": "maintenance",
    "gate-controller": "security",
}


class TownClock:
    """Stands where it is put, until it is let go; then it is the system's."""

    def __init__(self) -> None:
        self._at: datetime | None = None

    def now(self) -> datetime:
        return self._at or datetime.now(UTC)

    def put(self, at: datetime | None) -> None:
        self._at = at


class Entropy:
    def bytes(self, size: int) -> bytes:
        return os.urandom(size)


@dataclass(slots=True)
class Past:
    """What a town's life is written with."""

    governing: Governing
    clock: TownClock
    ids: Ids
    devices: dict[str, DeviceId]

    async def observe(
        self, name: str, kind: str, trust: Trust = Trust.AUTHENTICATED, count: int = 1, **body: Fact
    ) -> None:
        """A fact about a named device comes in, and the loop decides."""
        now = self.clock.now()
        fact = Evidence(
            id=EvidenceId(self.ids.mint("e")),
            kind=kind,
            subject=Subject(SubjectKind.DEVICE, self.devices[name]),
            source=kind.partition(".")[0],
            trust=trust,
            observed_at=now,
            received_at=now,
            count=count,
            body=body,
        )
        await take_evidence([fact], self.governing.unit_of_work, "system:ingest")
        await govern_device(self.devices[name], self.governing)

    async def misuse(self, name: str) -> None:
        """The device keeps publishing on another's topics."""
        other = self.devices["North gate"]
        for _ in range(3):
            await self.observe(name, "broker.publish.denied", topic=f"devices/{other}/commands", protocol="MQTT 3.1.1")

    async def add(self, name: str, device_class: str, standing: Standing = Standing.PENDING) -> None:
        now = self.clock.now()
        id = DeviceId(self.ids.mint("d"))
        site = SiteName("works" if device_class in ("vibration-sensor", "energy-meter") else "head-office")
        device = Device(
            id=id,
            device_class=DeviceClass(device_class),
            owner=OwnerName(OWNERS.get(device_class, "unassigned")),
            site=site,
            zone=ZoneName("default"),
            profile=ProfileName(device_class if device_class in OWNERS else "generic"),
            standing=standing,
            stage=Stage.IN_SERVICE,
            created_at=now,
            name=name,
            last_seen=now,
            attributes=(Attribute("firmware", "2.4.1", "status message", 0.7, now),),
        )
        async with self.governing.unit_of_work("system:est") as work:
            work.devices.add(device)
            work.ledger.record("inventory:device:seen", f"device:{id}", {"source": "est"})
        self.devices[name] = id


@dataclass(slots=True)
class Town(Past):
    """A town that is served."""

    deps: Deps
    origin: str
    link: str


async def write_town(path: Path, devices: int = 25) -> None:
    """The database of a town with a day of life in it, to be opened as often as wanted."""
    engine = create_engine(f"sqlite:///{path}")
    migrate(engine)
    engine.dispose()
    database = Database.open(f"sqlite:///{path}")
    clock, ids = TownClock(), SequentialIds("town")
    stores, units = SQLStores(database), SQLUnitsOfWork(database, clock, ids)
    points = tuple(MemoryEnforcer(point, clock) for point in Point)
    try:
        town = Past(Governing(stores, units, points, clock), clock, ids, {})
        await _live_a_day(town, devices)
        await _roll_out(town, units, stores)
    finally:
        await database.close()


@asynccontextmanager
async def open_town(folder: Path, leaf: Leaf, port: int = 8500, *, written: Path | None = None) -> AsyncIterator[Town]:
    """A town, served over TLS at localhost: the written one, or a new and empty one."""
    path = folder / "state.db"
    if written is not None:
        shutil.copy(written, path)
    else:
        engine = create_engine(f"sqlite:///{path}")
        migrate(engine)
        engine.dispose()
    database = Database.open(f"sqlite:///{path}")
    clock, ids, live = TownClock(), SequentialIds(f"town-{port}"), LiveRecords()
    database.on_committed(live.publish)
    stores, units, signer = SQLStores(database), SQLUnitsOfWork(database, clock, ids), MemorySigner(clock)
    points = {point: MemoryEnforcer(point, clock) for point in Point}
    governing = Governing(stores, units, tuple(points.values()), clock)
    origin = f"https://localhost:{port}"
    passwords = Argon2Passwords(Hardness(memory_kib=64, passes=1, lanes=1))
    door = Door(stores.access, units, passwords, clock, ids, Entropy(), RelyingParty(id="localhost", origin=origin))
    samples = MemorySamples()
    sequencer = Sequencer(SQLLedgerTree(database), signer, LOG)
    database.on_committed(sequencer.wake)
    deps = Deps(governing, LedgerReads(database), samples, live, door, clock, ids)
    app = create_app(deps)
    claiming = Claiming(governing, units, CredentialReads(database), ids)
    enrolment = Enrolment(
        AdmittingPeople(claiming, stores.admissions),
        "https://localhost:9443/.well-known/est",
        ("localhost", 8883),
        "~/.local/share/bastide/trust",
    )
    install(
        app,
        str(VerifierKey(LOG, signer.checkpoint_key.public_key().public_bytes_raw())),
        enrolment,
        lambda: {
            "root": signer.root.certificate.public_bytes(Encoding.PEM),
            "issuing": signer.issuing.certificate.public_bytes(Encoding.PEM),
            "console": leaf.certificate.read_bytes(),
        },
        Rolling(units, stores.rollouts, RELEASES, clock, ids),
    )
    listener = Listener(app, "127.0.0.1", port, leaf)
    town = Town(governing, clock, ids, {}, deps, origin, "")
    tasks: list[asyncio.Task[None]] = []
    try:
        await ensure_policy(governing)
        await ensure_generic(governing)
        opened = await first_run(door)
        assert opened is not None
        town.link = f"{origin}/sign-in/link/{opened.link}"
        for device in await stores.devices.list(DeviceFilter(limit=1000)):
            town.devices[device.name] = device.id
        _report(town, samples)
        tasks = [asyncio.create_task(sequencer.run()), asyncio.create_task(listener.run())]
        while not listener.serving:
            if tasks[1].done():
                tasks[1].result()
            await asyncio.sleep(0.01)
        yield town
    finally:
        live.close()
        listener.stop()
        for task in tasks[:1]:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        passwords.close()
        await database.close()


async def _live_a_day(town: Past, devices: int) -> None:
    chance = random.Random(7)
    start = datetime.now(UTC) - timedelta(hours=30)
    town.clock.put(start)
    await ensure_policy(town.governing)
    await ensure_generic(town.governing)
    profiles = Path(bastide.demo.__file__).parent / "profiles"
    for document in sorted(profiles.glob("*.toml")):
        name = document.stem
        await put_profile(
            document.read_text(), "system:demo", town.governing, OwnerName(OWNERS[name]), SiteName("head-office")
        )
    roster = [(name, kind) for kind, names in NAMES.items() for name in names]
    kinds = list(NAMES)
    roster += [(f"{kinds[n % 5].replace('-', ' ').capitalize()} {n}", kinds[n % 5]) for n in range(25, devices)]
    for number, (name, kind) in enumerate(roster[:devices]):
        town.clock.put(start + timedelta(seconds=40 * number))
        await town.add(name, kind)
        await town.observe(name, "identity.enrolled", by="claim")

    async def at(hours: float, name: str, kind: str, count: int) -> None:
        town.clock.put(datetime.now(UTC) - timedelta(hours=hours))
        await town.observe(name, kind, count=count)

    await at(19.2, "Hall B meter", "ingest.field.undeclared", count=24)
    town.clock.put(datetime.now(UTC) - timedelta(hours=18.9))
    await govern_device(town.devices["Hall B meter"], town.governing)
    await at(11, "Fan 2 vibration", "ingest.payload.malformed", count=31)
    town.clock.put(datetime.now(UTC) - timedelta(hours=10.7))
    await govern_device(town.devices["Fan 2 vibration"], town.governing)
    town.clock.put(datetime.now(UTC) - timedelta(hours=6))
    await operator_acts.quarantine(
        town.devices["Dock gate 2"], "Cover was open, seal broken", "system:demo", town.governing, town.ids
    )
    town.clock.put(datetime.now(UTC) - timedelta(hours=4))
    await operator_acts.release(
        town.devices["Dock gate 2"], "Inspected on site, seal replaced", "system:demo", town.governing, town.ids
    )  # fmt: skip
    await at(0.12, "Canteen thermostat", "ingest.field.undeclared", count=26)
    await at(0.11, "Archive camera", "traffic.telnet", count=2)
    finding = Finding(
        code="traffic:telnet",
        subject=Subject(SubjectKind.DEVICE, town.devices["Archive camera"]),
        severity=Severity.HIGH,
        confidence=0.95,
        title="It answers Telnet, where passwords travel in the clear.",
        advice="Switch Telnet off, or block port 23 towards it until its maker does.",
        found_at=town.clock.now(),
    )
    async with town.governing.unit_of_work("system:scan") as work:
        work.findings.put(finding)
        work.ledger.record("evidence:observed", f"device:{finding.subject.id}", {"code": finding.code})
    town.clock.put(datetime.now(UTC) - timedelta(minutes=3))
    await town.misuse("Loading dock camera")
    town.clock.put(datetime.now(UTC) - timedelta(minutes=1))
    await town.add("Visitor badge printer", "printer")
    await _speak(town, random.Random(11))
    await _wall(town)
    async with town.governing.unit_of_work("system:ingest") as work:
        work.devices.seen(
            {
                id: datetime.now(UTC) - timedelta(seconds=chance.randint(1, 50))
                for id in list(town.devices.values())[:25]
            }
        )


async def _roll_out(town: Past, units: SQLUnitsOfWork, stores: SQLStores) -> None:
    """The cameras get a release, ring by ring; one of them went back. Another release waits for a second person."""
    town.clock.put(datetime.now(UTC) - timedelta(hours=3))
    rolling = Rolling(units, stores.rollouts, RELEASES, town.clock, town.ids)
    offering = Offering(units, stores.rollouts, stores.devices, _Eligible(), RELEASES, town.clock)
    cameras = [name for name in NAMES["door-camera"] if name in town.devices]
    images = dict.fromkeys(cameras, ("2.4.1", "a" * 64))

    async def ask(name: str, attempt: Attempt | None = None) -> Told:
        version, sha256 = images[name]
        said = Report("rev-c", version, 4, 16 << 20, sha256, False, attempt=attempt)
        return await offering.told(town.devices[name], said)

    for name in cameras:
        await ask(name)
    target = Target(DeviceClass("door-camera"))
    made = await propose(CAMERA_25, target, Terms(Rings((1.0,))), "system:demo", "p-demo", rolling)
    await approve(made.id, "system:demo", "p-demo", rolling)
    town.clock.put(datetime.now(UTC) - timedelta(minutes=50))
    for number, name in enumerate(cameras):
        told = await ask(name)
        if told.update is not None and number != 1:
            images[name] = told.update.version, told.update.sha256
            await ask(name)
        elif told.update is not None:
            why = "It went back to the image before: the new one did not confirm itself."
            await ask(name, Attempt(told.update.rollout, why))
    await propose(CAMERA_26, target, Terms(approvals=2), "system:demo", "p-demo", rolling)


class _Eligible:
    """Implements flows.offer_update.Eligibilities."""

    async def held(self, device: DeviceId) -> tuple[CredentialState, UpdateEligibility] | None:
        return CredentialState.VALID, UpdateEligibility.NORMAL


async def _speak(town: Past, chance: random.Random) -> None:
    """Whom the devices spoke to in the last day, as `bastide watch` would have told it."""
    now, said = datetime.now(UTC), []
    fleet = list(await town.governing.stores.devices.list(DeviceFilter(limit=1000)))
    for number, device in enumerate(fleet):
        own = Attribute("address", f"192.168.1.{number + 10}", "scan:hall", 0.7, now)
        async with town.governing.unit_of_work("system:scan") as work:
            work.devices.put(replace(device, attributes=(*device.attributes, own)))
        talks = [
            ("192.168.1.1", "", "udp", 53, "dns", True, 400),
            ("192.0.2.7", "0.pool.ntp.org", "udp", 123, "ntp", True, 152),
        ]
        if device.device_class == "door-camera":
            talks.append(("203.0.113.7", "upload.cam-cloud.example", "tcp", 443, "tls", True, 40_000_000))
            talks.append(("192.168.1.200", "", "tcp", 554, "rtsp", False, 700_000_000))
        elif device.device_class == "gate-controller":
            talks.append(("192.168.1.10", "", "tcp", 23, "telnet", True, 5000))
        for (peer, name, transport, port, protocol, called, most), hour in product(talks, range(24)):
            at = now - timedelta(hours=hour, minutes=chance.randint(1, 50))
            size = max(64, int(most * chance.random()))
            counts = (chance.randint(1, 9), 5, 5, size // 3, size - size // 3)
            said.append(Conversation(device.id, peer, name, transport, port, protocol, called, *counts, at, at))
    async with town.governing.unit_of_work("system:scan") as work:
        work.conversations.add("head-office/eth1", "day", now, said)


async def _wall(town: Past) -> None:
    """What people wrote down of the network: a site, whom kinds may reach, and what became of single flows."""
    with_, ids, actor, hour = town.governing, town.ids, "system:demo", timedelta(hours=1)
    town.clock.put(datetime.now(UTC) - 2 * hour)
    frame = {
        "controllers": {
            "urn:ietf:params:mud:dns": ["192.168.1.1"],
            "urn:ietf:params:mud:ntp": ["192.168.1.1"],
        },
        "remediation": ["192.168.1.5/32"],
        "onboarding": ["192.168.1.6/32"],
        "conduits": [{"source": "halls", "destination": "*", "transport": "tcp", "port": 8883}],
    }
    for site in ("head-office", "works"):
        await put_site(site, json.dumps(frame).encode(), actor, with_)
    now = town.clock.now()
    for kind in ("door-camera", "gate-controller", "thermostat"):
        name = ProfileName(kind)
        devices = await devices_of(name, DeviceFilter(), with_.stores)
        wanted = Wanted(now - 30 * hour, now, tuple(one.id for one in devices))
        talks = [talk_of(one) for one in await with_.stores.conversations.list(wanted)]
        learned = learn([one for one in talks if one.protocol != "telnet"])
        file = profile(learned, url=f"https://learned.example/{kind}.json", at=now, systeminfo=kind)
        await put_reach(name, write(file), actor, with_)
    await observe(Over.PROFILE, "gate-controller", "A week to look before it is enforced", actor, with_)
    await begin_lesson(ProfileName("vibration-sensor"), timedelta(days=5), actor, with_, ids)
    lesson = await begin_lesson(ProfileName("energy-meter"), hour, actor, with_, ids, since=timedelta(days=1))
    await end_lesson(lesson.id, actor, with_)
    for camera, peer, port, tried in (
        ("Car park camera", "198.51.100.9", 443, 12),
        ("Car park camera", "198.51.100.77", 23, 4),
        ("Roof camera", "203.0.113.80", 8443, 3),
    ):
        missing = f"from-device: TCP port {port} to {peer}"
        nearest = "fr4-2 permits it but for the peer (upload.cam-cloud.example)" if port == 443 else ""
        await town.observe(
            camera,
            "network.flow.denied",
            Trust.MEASURED,
            tried,
            side="from-device",
            peer=peer,
            protocol=6,
            port=port,
            mode="enforce",
            missing=missing,
            nearest=nearest,
        )
    flow = Flow("203.0.113.80", "", "tcp", 8443, True)
    why = "Its maker moves to a new host this week"
    await allow(town.devices["Roof camera"], flow, timedelta(hours=72), why, actor, with_, ids)


def _report(town: Town, samples: MemorySamples) -> None:
    """What each device measured in the last hours: a daily rhythm and a walk."""
    chance, sequence, now = random.Random(7), 0, datetime.now(UTC)
    for kind, names in NAMES.items():
        for name, (field, middle, spread) in product(names, FIELDS[kind]):
            if name not in town.devices:
                continue
            walk, at, found = 0.0, now - timedelta(hours=2), []
            while at < now:
                sequence += 1
                walk = 0.92 * walk + chance.gauss(0, 0.25)
                hour = at.hour + at.minute / 60
                value = middle + spread * (0.6 * math.sin((hour - 9) / 24 * math.tau) + 0.4 * walk)
                found.append(Sample(town.devices[name], "telemetry", field, at, value, sequence))
                at += timedelta(seconds=30)
            samples.add(found)


async def _main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder) / "written.db"
        await write_town(written, int(sys.argv[1]) if len(sys.argv) > 1 else 25)
        async with open_town(Path(folder), Leaf(*write_leaf(Path(folder))), written=written) as town:
            print(town.link, flush=True)
            await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_main())
