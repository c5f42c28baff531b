"""Builds the controller from its settings, and runs it until it is told to stop.

The order is the order of trust: nothing is written before the database has proved that it is not an older copy, and nobody
is let in before there is a policy to decide by.
"""

import asyncio
import signal
import ssl
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from bastide.adapters.clock import RandomIds, SystemClock, SystemEntropy
from bastide.adapters.datadir.layout import DataDirectory, open_directory, write_private
from bastide.adapters.mud import HTTPSMUDFiles
from bastide.adapters.passwords import Argon2Passwords
from bastide.adapters.samples.reader import SampleStore
from bastide.adapters.signer.client import SignerClient
from bastide.adapters.sql.access import AccessReads
from bastide.adapters.sql.database import Database
from bastide.adapters.sql.enforcers import CredentialEnforcer, UpdateEnforcer
from bastide.adapters.sql.housekeeping import SQLHousekeeping
from bastide.adapters.sql.ledger_export import SQLBundles
from bastide.adapters.sql.ledger_reads import LedgerReads
from bastide.adapters.sql.ledger_tree import SQLLedgerTree
from bastide.adapters.sql.migrate import migrate
from bastide.adapters.sql.units import SQLStores, SQLUnitsOfWork
from bastide.adapters.tls.leaves import LeafFiles, new_signing_key
from bastide.adapters.tuf.published import PublishedReleases
from bastide.controller.api.admissions import admission_routes
from bastide.controller.api.app import create_app
from bastide.controller.api.authorities import authority_routes
from bastide.controller.api.claims import claims_routes
from bastide.controller.api.credentials import credential_routes
from bastide.controller.api.deps import Deps
from bastide.controller.api.fetching import fetch_routes
from bastide.controller.api.ledger import export_routes
from bastide.controller.api.rollouts import rollout_routes
from bastide.controller.config import ControllerConfig
from bastide.controller.console.install import install
from bastide.controller.console.views.enrolling import Enrolment
from bastide.controller.endpoints.app import Endpoints, Gateways, create_endpoints_app, refused_in_handshake
from bastide.controller.endpoints.peer import PeerCertificateProtocol
from bastide.controller.endpoints.updates import Updates
from bastide.controller.hierarchy import HierarchyFile
from bastide.controller.live import LiveRecords
from bastide.controller.ready import say
from bastide.controller.serving import Leaf, Listener
from bastide.controller.steady import steady
from bastide.controller.workers.governor import Governor
from bastide.controller.workers.housekeeper import Housekeeper
from bastide.controller.workers.issuances import Issuances
from bastide.controller.workers.lessons import Lessons
from bastide.controller.workers.mud_files import MUDFileRefresh
from bastide.controller.workers.probation import Probation
from bastide.controller.workers.renewals import Renewals
from bastide.controller.workers.rollouts import Rollouts
from bastide.controller.workers.silence import Silence
from bastide.controller.workers.vendors import Vendors
from bastide.controller.workers.wiring import AUTHORITIES_NAME, BrokerSide, write_broker_config
from bastide.core.error import Unavailable
from bastide.core.plan import CredentialState
from bastide.device.identity.certificate import fingerprint
from bastide.flows.admissions import AdmittingPeople
from bastide.flows.answer_status import StatusAnswers
from bastide.flows.carry_rollouts import Carrying
from bastide.flows.change_policy import ensure_policy
from bastide.flows.claims import Claiming
from bastide.flows.describe_kinds import ensure_generic
from bastide.flows.fetch_reach import Fetching
from bastide.flows.first_run import local_token, way_in
from bastide.flows.govern_device import Governing
from bastide.flows.issue_certificate import Enrolling
from bastide.flows.issue_server_certificate import issue_server_certificate
from bastide.flows.offer_update import Offering
from bastide.flows.propose_rollout import Rolling
from bastide.flows.publish_revocations import RevocationLists
from bastide.flows.roll_over import RollingOver
from bastide.flows.sequence_ledger import Sequencer, refuse_rollback
from bastide.flows.sign_in import Door
from bastide.flows.watch_renewals import RenewalWatch
from bastide.governance.access.passkey import RelyingParty
from bastide.network.profile.mud.signature import read_anchors
from bastide.ports.network import Enforcer

LEAF_CHECK_S = 3600.0
LEAVES = ("console", "endpoints", "nats")


@dataclass(frozen=True, slots=True)
class House:
    """What the whole process shares."""

    config: ControllerConfig
    directory: DataDirectory
    database: Database
    signer: SignerClient
    hierarchy: HierarchyFile
    stores: SQLStores
    units: SQLUnitsOfWork
    ledger: LedgerReads
    live: LiveRecords
    clock: SystemClock
    ids: RandomIds


async def run(config: ControllerConfig) -> None:
    """Serves until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        await _serve(await _open(config, stack), stack, stop)


async def _open(config: ControllerConfig, stack: AsyncExitStack) -> House:
    """The data directory, the database brought up to date, and the signer."""
    directory = open_directory(config.data)
    database = Database.open(config.database_url or f"sqlite:///{directory.database}")
    stack.push_async_callback(database.close)
    await asyncio.to_thread(migrate, database.engine)
    signer = SignerClient(config.signer_socket or directory.signer_socket)
    stack.push_async_callback(signer.close)
    await signer.last_checkpoint()  # it answers, so its public keys lie in trust/
    clock, ids, live = SystemClock(), RandomIds(), LiveRecords()
    database.on_committed(live.publish)
    return House(
        config,
        directory,
        database,
        signer,
        HierarchyFile(directory.trust / "authorities.pem", clock),
        SQLStores(database),
        SQLUnitsOfWork(database, clock, ids),
        LedgerReads(database),
        live,
        clock,
        ids,
    )


def _origin(directory: DataDirectory) -> str:
    """The ledger's name: the one that the signer's checkpoint key carries (C2SP verifier key, name before the first +)."""
    return (directory.trust / "checkpoint.vkey").read_text().partition("+")[0].strip()


async def _serve(house: House, stack: AsyncExitStack, stop: asyncio.Event) -> None:
    config, directory = house.config, house.directory
    tree, origin = SQLLedgerTree(house.database), _origin(directory)
    stack.push_async_callback(tree.close)
    await refuse_rollback(tree, house.signer, origin)
    sequencer = Sequencer(tree, house.signer, origin, house.ledger.announce)
    house.database.on_committed(sequencer.wake)

    workers = await stack.enter_async_context(_Workers())
    workers.start("sequencer", sequencer.run)
    leaves = Leaves(house)
    await leaves.ensure()

    broker = _broker(house)
    points: list[Enforcer] = [
        broker.enforcer,
        CredentialEnforcer(house.database, house.clock),
        UpdateEnforcer(house.database, house.clock),
        broker.network,
    ]
    governing = Governing(house.stores, house.units, points, house.clock)
    await ensure_policy(governing)
    await ensure_generic(governing)
    governor = Governor(governing)
    house.database.on_committed(governor.heard)
    house.database.on_committed(broker.heard)
    probation = Probation(governing)
    house.database.on_committed(probation.heard)

    door = _door(house, stack)
    await _first_run(house, door)
    say(config.ready_fd, "CERTIFICATES")
    workers.start("broker", broker.run)

    deps = Deps(governing, house.ledger, _samples(house, stack), house.live, door, house.clock, house.ids)
    claiming = Claiming(governing, house.units, house.stores.credentials, house.ids)
    est_url = f"https://{config.host}:{config.device_port}/.well-known/est"
    bundles = SQLBundles(config.database_url or f"sqlite:///{directory.database}")
    fetching = Fetching(
        HTTPSMUDFiles(config.mud_trust, private=config.mud_private),
        lambda: _anchors(config.mud_anchors or directory.trust / "makers.pem"),
    )
    admitting = AdmittingPeople(claiming, house.stores.admissions)
    rolling = RollingOver(
        house.units,
        house.stores.credentials,
        house.ledger,
        house.signer,
        house.clock,
        house.ids,
        house.hierarchy.now,
        house.hierarchy.look,
    )
    releases = PublishedReleases(directory.releases, house.clock)
    rollouts = Rolling(house.units, house.stores.rollouts, releases, house.clock, house.ids)
    more = [
        authority_routes(rolling),
        claims_routes(claiming, est_url),
        admission_routes(admitting),
        credential_routes(house.stores.credentials, house.clock, lambda: _certificates(house)),
        export_routes(bundles),
        fetch_routes(fetching),
        rollout_routes(rollouts),
    ]
    console = create_app(deps, more=more)
    enrolment = Enrolment(admitting, est_url, (config.host, config.mqtt_port), str(directory.trust))
    install(
        console,
        (directory.trust / "checkpoint.vkey").read_text().strip(),
        enrolment,
        lambda: _certificates(house),
        rollouts,
    )
    endpoints = _endpoints(house, governor, broker, releases)
    device_app = create_endpoints_app(endpoints)
    listeners = {
        "console": Listener(console, config.host, config.console_port, _leaf(directory, "console")),
        "endpoints": Listener(
            device_app,
            config.host,
            config.device_port,
            _leaf(directory, "endpoints"),
            protocol=PeerCertificateProtocol,
            client_ca=directory.nats / AUTHORITIES_NAME,
            refused=refused_in_handshake(device_app),
        ),
    }
    renewals: dict[str, Callable[[], None]] = {name: listener.renew for name, listener in listeners.items()}
    if not config.nats_url:
        renewals["nats"] = broker.certificate_renewed
    leaves.renewed = lambda purpose: renewals.get(purpose, lambda: None)()

    async def trust_more() -> None:
        """Who checks devices knows every CA before any device has a certificate of it; then the servers take theirs."""
        listeners["endpoints"].trust(house.hierarchy.now().pem().decode())
        trusted = directory.nats / AUTHORITIES_NAME
        before = trusted.read_bytes()
        broker.rewrite()
        if trusted.read_bytes() != before and not config.nats_url:
            broker.certificate_renewed()
        await leaves.ensure()

    house.hierarchy.on_change(trust_more)
    workers.start("trust", house.hierarchy.run)
    vendors = Vendors(house.stores.admissions, listeners["endpoints"].trust)
    house.database.on_committed(vendors.heard)
    workers.start("vendors", vendors.run)
    workers.start("governor", governor.run)
    workers.start("probation", probation.run)
    workers.start("lessons", Lessons(governing).run)
    workers.start("mud-files", MUDFileRefresh(governing, fetching, house.ids).run)
    workers.start("silence", Silence(governing).run)
    renewing = RenewalWatch(house.units, house.stores.credentials, house.stores.evidence, house.ledger, house.clock)
    workers.start("renewals", Renewals(renewing).run)
    workers.start("leaves", leaves.run)
    keep = timedelta(days=config.evidence_days)
    workers.start("housekeeper", Housekeeper(SQLHousekeeping(house.database), house.clock, keep).run)
    carrying = Carrying(house.units, house.stores.rollouts, releases, house.clock)
    workers.start("rollouts", Rollouts(carrying).run)
    workers.start("issuances", Issuances(endpoints.enrolling).run)
    for name, listener in listeners.items():
        workers.start(name, listener.run)
    while not all(listener.serving for listener in listeners.values()):  # noqa: ASYNC110 (uvicorn tells nobody)
        await asyncio.sleep(0.01)
    await _first(broker.ready, stop)
    say(config.ready_fd, "READY")
    await stop.wait()
    house.live.close()
    for listener in listeners.values():
        listener.stop()


async def _first(*events: asyncio.Event) -> None:
    """Until one of the events is set."""
    waiting = [asyncio.create_task(event.wait()) for event in events]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()


class _Workers:
    """Workers that run until the block ends."""

    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        self._tasks.append(asyncio.create_task(steady(name, run), name=name))

    async def __aenter__(self) -> "_Workers":
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


class Leaves:
    """The listeners' certificates: there before anything listens, renewed at two thirds of their life."""

    def __init__(self, house: House) -> None:
        self._house = house
        self.renewed: Callable[[str], None] = lambda _: None

    async def run(self) -> None:
        while True:
            await asyncio.sleep(LEAF_CHECK_S)
            await self.ensure()

    async def ensure(self) -> None:
        house, hierarchy = self._house, self._house.hierarchy.now()
        issuing = hierarchy.current(house.clock.now())
        for purpose in LEAVES:
            files = LeafFiles(house.directory.tls, purpose)
            life = files.good_until(house.config.names, issuing.public_bytes(Encoding.DER))
            if life is not None and house.clock.now() < life[0] + (life[1] - life[0]) * 2 / 3:
                continue
            key, csr = files.request()
            leaf = await issue_server_certificate(
                csr,
                house.config.names,
                purpose=purpose,
                units=house.units,
                ledger=house.ledger,
                signer=house.signer,
                ids=house.ids,
            )
            files.write(key, leaf, [one.public_bytes(Encoding.DER) for one in hierarchy.behind(issuing)])
            self.renewed(purpose)


def _door(house: House, stack: AsyncExitStack) -> Door:
    passwords = Argon2Passwords()
    stack.callback(passwords.close)
    party = RelyingParty("localhost", house.config.console_url)
    return Door(AccessReads(house.database), house.units, passwords, house.clock, house.ids, SystemEntropy(), party)


async def _first_run(house: House, door: Door) -> None:
    """The operator's way in, and what the commands on this machine need to speak to the API."""
    directory = house.directory
    write_private(directory.console_url, f"{house.config.console_url}\n")
    link = await way_in(door)
    if link is None:
        directory.sign_in_link.unlink(missing_ok=True)
    else:
        write_private(directory.sign_in_link, f"{house.config.console_url}/sign-in/link/{link}\n")
    held = directory.operator_token.read_text() if directory.operator_token.exists() else ""
    token = await local_token(door, held)
    if token != held.strip():
        write_private(directory.operator_token, f"{token}\n")


def _broker(house: House) -> BrokerSide:
    """The broker's configuration for whoever starts it, and our side of it, not connected yet."""
    config = house.config

    def write() -> None:
        write_broker_config(
            house.directory,
            host=config.host,
            mqtt_port=config.mqtt_port,
            nats_port=config.nats_port,
            name=_origin(house.directory),
        )

    write()

    async def state(certificate: bytes) -> CredentialState | None:
        found = await house.stores.credentials.certificate(fingerprint(certificate))
        return None if found is None else found.state

    side = BrokerSide(
        house.directory,
        config.nats_url or f"tls://localhost:{config.nats_port}",
        house.stores,
        house.units,
        state,
        house.signer,
        house.clock,
        house.ids,
    )
    side.rewrite = write
    return side


def _samples(house: House, stack: AsyncExitStack) -> SampleStore:
    samples = SampleStore(house.directory.samples)
    stack.callback(samples.close)
    return samples


def _endpoints(house: House, governor: Governor, broker: BrokerSide, releases: PublishedReleases) -> Endpoints:
    reads = house.stores.credentials
    hierarchy = house.hierarchy.now
    revocations = RevocationLists(hierarchy, house.units, reads, house.ledger, house.signer, house.clock, house.ids)
    enrolling = Enrolling(
        house.units,
        reads,
        house.stores.catalogue,
        house.ledger,
        house.signer,
        house.clock,
        house.ids,
        settle=governor.settle,
    )
    statuses = StatusAnswers(
        hierarchy,
        house.units,
        reads,
        house.ledger,
        house.signer,
        house.clock,
        house.ids,
        new_signing_key,
    )
    gateways = Gateways(
        broker.register_gateway,
        (house.directory.trust / "plan.pub").read_text(),
        house.config.nats_url or f"tls://{house.config.host}:{house.config.nats_port}",
    )

    def authorities() -> list[bytes]:
        return [one.public_bytes(Encoding.DER) for one in hierarchy().everything()]

    offering = Offering(house.units, house.stores.rollouts, house.stores.devices, reads, releases, house.clock)
    house.database.on_committed(offering.heard)
    return Endpoints(
        enrolling,
        house.stores.devices,
        authorities,
        revocations,
        statuses,
        house.stores.admissions,
        gateways,
        Updates(offering, reads, house.directory.releases),
    )


def _certificates(house: House) -> dict[str, bytes]:
    """The platform's own certificates by name (PEM), as the console shows them; CAs after the first have their number."""
    hierarchy = house.hierarchy.now()
    found = {}
    for kind, authorities in (("root", hierarchy.roots), ("issuing", hierarchy.issuing)):
        for number, one in enumerate(authorities, 1):
            found[kind if number == 1 else f"{kind} {number}"] = one.public_bytes(Encoding.PEM)
    return found | {purpose: LeafFiles(house.directory.tls, purpose).certificate.read_bytes() for purpose in LEAVES}


def _anchors(file: Path) -> tuple[x509.Certificate, ...]:
    """The makers' CAs that the operator trusts; none where there is no such file."""
    try:
        return read_anchors(file.read_bytes())
    except FileNotFoundError:
        return ()
    except (OSError, ValueError) as error:
        raise Unavailable(f"{file} cannot be read as certificates: {error}.", code="mud:anchors") from error


def _leaf(directory: DataDirectory, purpose: str) -> Leaf:
    files = LeafFiles(directory.tls, purpose)
    return Leaf(files.certificate, files.key)


def _der(path: Path) -> bytes:
    return ssl.PEM_cert_to_DER_cert(path.read_text())
