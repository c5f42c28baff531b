"""The platform as a device meets it: a real signer process, SQLite, the ledger's sequencer, and the endpoints over TLS."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from sqlalchemy import create_engine

from bastide.adapters.clock import RandomIds, SystemClock
from bastide.adapters.signer.client import SignerClient
from bastide.adapters.sql.database import Database
from bastide.adapters.sql.enforcers import CredentialEnforcer, UpdateEnforcer
from bastide.adapters.sql.ledger_reads import LedgerReads
from bastide.adapters.sql.ledger_tree import SQLLedgerTree
from bastide.adapters.sql.migrate import migrate
from bastide.adapters.sql.units import SQLStores, SQLUnitsOfWork
from bastide.controller.endpoints.app import Endpoints, create_endpoints_app, refused_in_handshake
from bastide.controller.endpoints.peer import PeerCertificateProtocol
from bastide.controller.serving import Leaf, Listener
from bastide.controller.workers.vendors import Vendors
from bastide.device.identity.hierarchy import Hierarchy, read_hierarchy
from bastide.flows.admissions import AdmittingPeople
from bastide.flows.answer_status import StatusAnswers
from bastide.flows.claims import Claiming, NewClaim, create_claim
from bastide.flows.govern_device import Governing
from bastide.flows.issue_certificate import Enrolling
from bastide.flows.issue_server_certificate import issue_server_certificate
from bastide.flows.publish_revocations import RevocationLists
from bastide.flows.sequence_ledger import Sequencer
from tests.processes.bastide import free_ports

START_SECONDS = 20.0


class SignerProcess:
    """``python -m bastide.signer`` on a data directory."""

    def __init__(self, data: Path, **settings: str) -> None:
        self.data = data
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def socket(self) -> Path:
        return self.data / "run" / "signer.sock"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> "SignerProcess":
        """Starts it and waits until it serves."""
        reading, writing = os.pipe()
        environment = {name: value for name, value in os.environ.items() if not name.startswith("BASTIDE_")}
        environment |= {"BASTIDE_DATA": str(self.data), "BASTIDE_READY_FD": str(writing), **self._settings}
        with (self.data / "signer.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "bastide.signer"], env=environment, pass_fds=(writing,), stderr=log
            )
        os.close(writing)
        with os.fdopen(reading, "rb") as ready:
            said = ready.read()
        if said != b"READY\n":
            self.wait()
            raise AssertionError((self.data / "signer.log").read_text())
        return self

    def kill(self) -> None:
        """As a power cut would end it."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self.wait()

    def stop(self) -> int:
        assert self._process is not None
        self._process.terminate()
        return self.wait()

    def wait(self) -> int:
        assert self._process is not None
        return self._process.wait(START_SECONDS)

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None


@dataclass(slots=True)
class Platform:
    """What a test reaches into. ``base`` is the URL of the endpoints."""

    data: Path
    port: int
    signer: SignerProcess
    client: SignerClient
    database: Database
    stores: SQLStores
    units: SQLUnitsOfWork
    ledger: LedgerReads
    enrolling: Enrolling
    claiming: Claiming
    credential: CredentialEnforcer
    update: UpdateEnforcer
    made: int = field(default=0)

    @property
    def people(self) -> AdmittingPeople:
        return AdmittingPeople(self.claiming, self.stores.admissions)

    @property
    def base(self) -> str:
        return f"https://localhost:{self.port}"

    @property
    def est(self) -> str:
        return f"{self.base}/.well-known/est"

    @property
    def root(self) -> Path:
        return self.data / "trust" / "root.pem"

    async def claim(self, device_class: str = "camera", ttl: timedelta = timedelta(hours=1)) -> NewClaim:
        return await create_claim(device_class, "system:test", self.claiming, owner="facilities", ttl=ttl)

    async def kinds(self) -> list[str]:
        """What the ledger holds, newest first."""
        return [record.kind for record in await self.ledger.recent(200)]


@asynccontextmanager
async def platform(data: Path) -> AsyncIterator[Platform]:
    """A platform that runs while the block does."""
    data.mkdir(mode=0o700, exist_ok=True)  # noqa: ASYNC240
    signer = SignerProcess(data).start()
    url = f"sqlite:///{data / 'state.db'}"
    engine = create_engine(url)
    migrate(engine)
    engine.dispose()
    database = Database.open(url)
    clock, ids = SystemClock(), RandomIds()
    client = SignerClient(signer.socket)
    units, stores, ledger = SQLUnitsOfWork(database, clock, ids), SQLStores(database), LedgerReads(database)
    origin = (data / "trust" / "checkpoint.vkey").read_text().partition("+")[0]
    tree = SQLLedgerTree(database)
    sequencer = Sequencer(tree, client, origin, ledger.announce)
    database.on_committed(sequencer.wake)
    sequencing = asyncio.create_task(sequencer.run())
    enrolling = Enrolling(units, stores.credentials, stores.catalogue, ledger, client, clock, ids)
    governing = Governing(stores, units, (), clock)

    def hierarchy() -> Hierarchy:
        return read_hierarchy((data / "trust" / "authorities.pem").read_bytes())

    def authorities() -> list[bytes]:
        return [one.public_bytes(Encoding.DER) for one in hierarchy().everything()]

    revocations = RevocationLists(hierarchy, units, stores.credentials, ledger, client, clock, ids)
    new_key = partial(ec.generate_private_key, ec.SECP256R1())
    statuses = StatusAnswers(hierarchy, units, stores.credentials, ledger, client, clock, ids, new_key)
    app = create_endpoints_app(
        Endpoints(enrolling, stores.devices, authorities, revocations, statuses, stores.admissions)
    )
    leaf = await _leaf(data, units, ledger, client, ids)
    port = free_ports(1)[0]
    trusted = data / "trust" / "authorities.pem"
    refused = refused_in_handshake(app)
    listener = Listener(
        app, "127.0.0.1", port, leaf, protocol=PeerCertificateProtocol, client_ca=trusted, refused=refused
    )
    serving = asyncio.create_task(listener.run())
    vendors = Vendors(stores.admissions, listener.trust)
    database.on_committed(vendors.heard)
    naming = asyncio.create_task(vendors.run())
    async with asyncio.timeout(START_SECONDS):
        while not listener.serving:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    try:
        yield Platform(
            data,
            port,
            signer,
            client,
            database,
            stores,
            units,
            ledger,
            enrolling,
            Claiming(governing, units, stores.credentials, ids),
            CredentialEnforcer(database, clock),
            UpdateEnforcer(database, clock),
        )
    finally:
        listener.stop()
        await serving
        sequencing.cancel()
        naming.cancel()
        await asyncio.gather(sequencing, naming, return_exceptions=True)
        await client.close()
        await tree.close()
        await database.close()
        if signer.running:
            signer.stop()


def new_request(
    key: ec.EllipticCurvePrivateKey | None = None, name: str = "a new device"
) -> tuple[ec.EllipticCurvePrivateKey, bytes]:
    """A key, and a PKCS#10 request over it in DER."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    return key, request.public_bytes(Encoding.DER)


def save_key(key: ec.EllipticCurvePrivateKey, path: Path) -> Path:
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return path


async def run(*command: str | Path, cwd: Path | None = None, stdin: bytes = b"") -> tuple[int, bytes, str]:
    """Exit status, standard output and standard error of a program."""
    process = await asyncio.create_subprocess_exec(
        *map(str, command),
        cwd=cwd,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        out, err = await process.communicate(stdin)
    assert process.returncode is not None
    return process.returncode, out, err.decode(errors="replace")


async def _leaf(data: Path, units: SQLUnitsOfWork, ledger: LedgerReads, client: SignerClient, ids: RandomIds) -> Leaf:
    key, csr = new_request(name="endpoints")
    der = await issue_server_certificate(
        csr, ["localhost", "127.0.0.1"], purpose="endpoints", units=units, ledger=ledger, signer=client, ids=ids
    )
    chain = x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM)
    (data / "leaf.pem").write_bytes(chain + (data / "trust" / "issuing.pem").read_bytes())
    return Leaf(data / "leaf.pem", save_key(key, data / "leaf.key"))


def _der(path: Path) -> bytes:
    return x509.load_pem_x509_certificate(path.read_bytes()).public_bytes(Encoding.DER)
