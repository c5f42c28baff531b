"""A small Bastide around a real nats-server: authority and state in memory, ingest as its own process.

async with opened(tmp_path) as house:
    device = await house.enrol(Standing.TRUSTED)
    house.mosquitto_pub(device, "telemetry", '{"t": 21}')
"""

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from bastide.adapters.clock import RandomIds, SystemClock
from bastide.adapters.datadir.layout import DataDirectory, open_directory
from bastide.adapters.samples.reader import SampleStore
from bastide.controller.workers.wiring import BrokerSide, write_broker_config
from bastide.core.device import Device
from bastide.core.evidence import Evidence, Subject, SubjectKind
from bastide.core.ids import DeviceClass, DeviceId, OwnerName, ProfileName, RequestId, SiteName, ZoneName
from bastide.core.plan import CredentialState, Outcome, Plan, UpdateEligibility
from bastide.core.profile import Profile
from bastide.core.standing import Stage, Standing
from bastide.network.broker.grant import grant
from bastide.network.profile.document import GENERIC, parse_profile
from bastide.testing import MemoryState
from bastide.testing.signer import MemorySigner
from bastide.wire.nkeys import Kind, encode_public

PEM = serialization.Encoding.PEM
WAIT_SECONDS = 30.0


def nats_server() -> str:
    """The binary that was installed beside this Python."""
    return str(Path(sys.executable).parent / "nats-server")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def until(true: Callable[[], bool | Awaitable[bool]], what: str, within: float = WAIT_SECONDS) -> float:
    """Polls until it is true and gives the seconds that it took; fails after a deadline."""
    began = time.monotonic()
    while True:
        answer = true()
        if isinstance(answer, Awaitable):
            answer = await answer
        if answer:
            return time.monotonic() - began
        if time.monotonic() - began > within:
            raise AssertionError(f"not within {within:g} s: {what}")
        await asyncio.sleep(0.01)


@dataclass(frozen=True, slots=True)
class Enrolled:
    """A device with its certificate and key as files."""

    id: DeviceId
    certificate: Path
    key: Path


@dataclass(slots=True)
class House:
    """What a test holds in its hand."""

    directory: DataDirectory
    signer: MemorySigner
    state: MemoryState
    broker: BrokerSide
    samples: SampleStore
    mqtt_port: int
    nats_port: int
    clock: SystemClock = field(default_factory=SystemClock)
    ids: RandomIds = field(default_factory=RandomIds)
    revoked: set[bytes] = field(default_factory=set)
    server: subprocess.Popen[bytes] | None = None
    ingest: subprocess.Popen[bytes] | None = None

    async def enrol(
        self, standing: Standing = Standing.TRUSTED, profile: Profile | None = None, device_class: str = "generic"
    ) -> Enrolled:
        """A device with a certificate and a plan that the broker holds."""
        device = DeviceId(self.ids.mint("d"))
        enrolled = self.certificate(device)
        profile = profile or parse_profile(GENERIC)
        now = self.clock.now()
        async with self.state.units("test") as work:
            work.catalogue.put_profile(profile, "", now)
            work.devices.add(
                Device(
                    id=device,
                    device_class=DeviceClass(device_class),
                    owner=OwnerName("ada"),
                    site=SiteName("home"),
                    zone=ZoneName("lan"),
                    profile=ProfileName(profile.name),
                    standing=Standing.UNKNOWN,
                    stage=Stage.IN_SERVICE,
                    created_at=now,
                )
            )
        await self.decide(device, standing)
        return enrolled

    def certificate(self, device: str) -> Enrolled:
        """A certificate for any common name by the fleet's authority, also for what the signer would not sign."""
        key = ec.generate_private_key(ec.SECP256R1())
        issuing, now = self.signer.issuing, datetime.now(UTC)
        leaf = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, device)]))
            .issuer_name(issuing.certificate.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(minutes=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
            .sign(issuing.key, hashes.SHA256())
        )
        folder = self.directory.path / "devices"
        folder.mkdir(exist_ok=True)
        number = self.ids.mint("c")
        certificate, key_file = folder / f"{number}.pem", folder / f"{number}.key"
        certificate.write_bytes(leaf.public_bytes(PEM) + issuing.certificate.public_bytes(PEM))
        key_file.write_bytes(_private(key))
        return Enrolled(DeviceId(device), certificate, key_file)

    async def decide(self, device: DeviceId, standing: Standing) -> Outcome:
        """A plan of the next generation, applied at the broker."""
        held = await self.state.devices.get(device)
        plan = self.plan(held, standing, await self.state.catalogue.profile(held.profile))
        return await self.broker.enforcer.apply(plan)

    def plan(self, device: Device, standing: Standing, profile: Profile) -> Plan:
        current = self.broker.open.plans.held(device.id)
        return Plan(
            device=device.id,
            generation=current.plan.generation + 1 if current else 1,
            standing=standing,
            broker=grant(profile, device.id, standing),
            credential=CredentialState.VALID,
            update=UpdateEligibility.NORMAL,
            made_at=self.clock.now(),
        )

    async def evidence(self, device: DeviceId, kind: str) -> tuple[Evidence, ...]:
        found = await self.state.evidence.recent(Subject(SubjectKind.DEVICE, device), 1000)
        return tuple(fact for fact in found if fact.kind == kind)

    def mosquitto(self, program: str, device: Enrolled, *arguments: str) -> list[str]:
        """The command line of an unmodified client in the name of a device."""
        return [
            program, "-h", "localhost", "-p", str(self.mqtt_port), "--cafile", str(self.directory.trust / "root.pem"),
            "--cert", str(device.certificate), "--key", str(device.key), *arguments,
        ]  # fmt: skip

    def start_mosquitto(self, program: str, device: Enrolled, *arguments: str) -> subprocess.Popen[str]:
        """A client that stays; what it says is in ``stdout``."""
        command = self.mosquitto(program, device, *arguments)
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def run_mosquitto(self, program: str, device: Enrolled, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = self.mosquitto(program, device, *arguments)
        return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)

    async def mosquitto_pub(
        self, device: Enrolled, channel: str, payload: str, *more: str, qos: int = 1
    ) -> subprocess.CompletedProcess[str]:
        topic = channel if channel.startswith(("devices/", "$")) else f"devices/{device.id}/{channel}"
        arguments = ("-d", "-q", str(qos), "-t", topic, "-m", payload, *more)
        return await asyncio.to_thread(self.run_mosquitto, "mosquitto_pub", device, *arguments)

    def start_server(self) -> None:
        self.server = subprocess.Popen(
            [nats_server(), "-c", str(self.directory.nats / "nats.conf")], stdout=subprocess.DEVNULL, stderr=None
        )

    async def start_ingest(self) -> None:
        read, write = os.pipe()
        environment = {
            **os.environ,
            "BASTIDE_DATA": str(self.directory.path),
            "BASTIDE_NATS_PORT": str(self.nats_port),
            "BASTIDE_READY_FD": str(write),
        }
        log = (self.directory.logs / "ingest.log").open("ab")
        with log:
            self.ingest = subprocess.Popen(  # noqa: ASYNC220  # made in a millisecond
                [sys.executable, "-m", "bastide.controller.workers.ingest"],
                env=environment,
                pass_fds=(write,),
                stderr=log,
            )
        os.close(write)
        try:
            async with asyncio.timeout(WAIT_SECONDS * 2):
                said = await asyncio.to_thread(os.read, read, 16)
        finally:
            os.close(read)
        assert said == b"READY\n", (self.directory.logs / "ingest.log").read_text()

    def kill(self, process: subprocess.Popen[bytes] | None) -> None:
        assert process is not None
        process.kill()
        process.wait()

    async def messages(self, device: DeviceId | None = None) -> int:
        return await self.samples.messages(device, datetime.now(UTC) - timedelta(hours=1))


@contextlib.asynccontextmanager
async def opened(path: Path, *, ingest: bool = True) -> AsyncIterator[House]:
    """A house whose devices may connect."""
    directory = open_directory(path / "bastide")
    clock, ids = SystemClock(), RandomIds()
    signer = MemorySigner(clock)
    await _publish_authorities(directory, signer)
    state = MemoryState(clock, ids, signer)
    mqtt_port, nats_port = free_port(), free_port()
    revoked: set[bytes] = set()

    async def certificate_state(der: bytes) -> CredentialState | None:
        return CredentialState.REVOKED if der in revoked else CredentialState.VALID

    url = f"tls://localhost:{nats_port}"
    broker = BrokerSide(directory, url, state, state.units, certificate_state, signer, clock, ids)
    state.on_committed(broker.heard)
    samples = SampleStore(directory.samples)
    house = House(directory, signer, state, broker, samples, mqtt_port, nats_port, clock, ids, revoked)
    write_broker_config(directory, host="127.0.0.1", mqtt_port=mqtt_port, nats_port=nats_port)
    house.start_server()
    running = asyncio.create_task(broker.run())
    try:
        ready = asyncio.create_task(broker.ready.wait())
        await asyncio.wait((ready, running), timeout=WAIT_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        if running.done():
            running.result()
        assert broker.ready.is_set(), _log(directory)
        if ingest:
            await house.start_ingest()
        yield house
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
        for process in (house.ingest, house.server):
            if process is not None and process.poll() is None:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
        samples.close()


async def issue_server_certificate(directory: DataDirectory, signer: MemorySigner, request: str) -> None:
    """The broker's own certificate and key, as the controller lays them down."""
    key = ec.generate_private_key(ec.SECP256R1())
    csr = x509.CertificateSigningRequestBuilder().subject_name(
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    )
    der = await signer.server_certificate(
        RequestId(f"server-certificate:{request}"),
        csr=csr.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER),
        names=["localhost", "127.0.0.1"],
    )
    chain = x509.load_der_x509_certificate(der).public_bytes(PEM) + signer.issuing.certificate.public_bytes(PEM)
    (directory.tls / "nats.pem").write_bytes(chain)
    (directory.tls / "nats.key").write_bytes(_private(key))


async def _publish_authorities(directory: DataDirectory, signer: MemorySigner) -> None:
    """What signer and controller lay down before the broker starts."""
    account = encode_public(Kind.ACCOUNT, signer.account_key.public_key().public_bytes_raw())
    (directory.trust / "devices-account.pub").write_text(f"{account}\n")
    for name, authority in (("root", signer.root), ("issuing", signer.issuing)):
        (directory.trust / f"{name}.pem").write_bytes(authority.certificate.public_bytes(PEM))
    await issue_server_certificate(directory, signer, "first")


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def _log(directory: DataDirectory) -> str:
    log = directory.nats / "server.log"
    return log.read_text()[-3000:] if log.exists() else "the broker wrote no log"


def has_mosquitto() -> bool:
    return shutil.which("mosquitto_pub") is not None
