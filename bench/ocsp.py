"""OCSP answers a second with up to a million certificates, on SQLite and on PostgreSQL, beside `openssl ocsp -index`.

A running `bastide up` whose state holds so many certificates, one in fifty revoked. Questions are asked on kept connections and
on connections of their own, over certificates asked for the first time (a signature each), for a second time (the answer is
kept), and with a nonce. The peer has an index of as many certificates and answers over plain HTTP, a connection each: it can do
neither TLS nor kept connections. Both run as one process, and are asked from this one.

    python bench/ocsp.py [--certificates 10000,100000,1000000] [--questions 4000] [--at-once 16] [--no-postgresql]
"""

import argparse
import asyncio
import contextlib
import random
import ssl
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509 import ocsp
from cryptography.x509.oid import NameOID
from sqlalchemy import create_engine, insert

from bastide.adapters.sql.schema.credentials import certificates
from bastide.core.plan import CredentialState
from bastide.device.identity.hierarchy import key_id
from bench._fleet import cpu_of, running
from bench._machine import facts
from tests.ports.postgresql import Cluster, cluster
from tests.processes.bastide import free_ports

SEED, REVOKED_EACH, BATCH = 20261127, 50, 10_000
DER_BYTES = 640  # what a device's certificate has


def serial_of(number: int) -> int:
    return random.Random(SEED + number).getrandbits(152) | 1 << 152


# ── the questions ────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Asking:
    """Makes questions about certificates of one CA."""

    issuer: x509.Certificate

    def question(self, number: int, *, nonce: bool = False) -> bytes:
        name, key = hashes.Hash(hashes.SHA1()), hashes.Hash(hashes.SHA1())
        public = self.issuer.public_key()
        assert isinstance(public, ec.EllipticCurvePublicKey)
        name.update(self.issuer.subject.public_bytes())
        key.update(public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint))
        builder = ocsp.OCSPRequestBuilder().add_certificate_by_hash(
            name.finalize(), key.finalize(), serial_of(number), hashes.SHA1()
        )
        if nonce:
            builder = builder.add_extension(x509.OCSPNonce(random.Random(number).randbytes(16)), critical=False)
        return builder.build().public_bytes(Encoding.DER)

    def messages(self, numbers: Sequence[int], *, nonce: bool = False, keep: bool = True) -> list[bytes]:
        return [posted(self.question(number, nonce=nonce), keep=keep) for number in numbers]


def posted(body: bytes, *, keep: bool) -> bytes:
    lines = ["POST /ocsp HTTP/1.1", "Host: localhost", "Content-Type: application/ocsp-request"]
    lines += [f"Connection: {'keep-alive' if keep else 'close'}", f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body


async def answer(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    return await reader.readexactly(int(length.split(b":")[1]))


async def drive(
    port: int, context: ssl.SSLContext | None, messages: Sequence[bytes], at_once: int, *, keep: bool
) -> tuple[float, list[bytes]]:
    """Answers a second, and the answers. A connection that is not kept carries one question."""
    waiting, answers = iter(enumerate(messages)), [b""] * len(messages)

    async def one() -> None:
        reader = writer = None
        for number, message in waiting:
            if writer is None or not keep:
                reader, writer = await asyncio.open_connection("localhost", port, ssl=context)
            assert reader is not None
            writer.write(message)
            answers[number] = await answer(reader)
            if not keep:
                writer.close()
        if writer is not None:
            writer.close()

    began = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(at_once)))
    return len(messages) / (time.perf_counter() - began), answers


def check(answers: Sequence[bytes], numbers: Sequence[int]) -> None:
    """Every answer is about its certificate and says what is true of it."""
    for number, der in zip(numbers, answers, strict=True):
        read = ocsp.load_der_ocsp_response(der)
        revoked = number % REVOKED_EACH == 0
        wanted = ocsp.OCSPCertStatus.REVOKED if revoked else ocsp.OCSPCertStatus.GOOD
        assert read.response_status is ocsp.OCSPResponseStatus.SUCCESSFUL, read.response_status
        assert (read.serial_number, read.certificate_status) == (serial_of(number), wanted), number


# ── Bastide ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def fill(url: str, first: int, last: int, issuer: str) -> None:
    """Certificates with these numbers, as enrolments would have left them."""
    now = datetime.now(UTC)
    der = random.Random(SEED).randbytes(DER_BYTES)

    def row(number: int) -> dict[str, object]:
        revoked = number % REVOKED_EACH == 0
        return {
            "serial": f"{serial_of(number):x}",
            "device": f"d-{number:030d}",
            "fingerprint": f"{number:064x}",
            "key": f"{number:064x}",
            "not_before": now - timedelta(days=1),
            "not_after": now + timedelta(days=29),
            "issued_at": now - timedelta(days=1),
            "request": f"bench:{number}",
            "der": der,
            "state": (CredentialState.REVOKED if revoked else CredentialState.VALID).value,
            "changed_at": now if revoked else None,
            "algorithm": "P-256",
            "issuer": issuer,
        }

    engine = create_engine(url)
    for begin in range(first, last, BATCH):
        with engine.begin() as connection:
            connection.execute(insert(certificates), [row(number) for number in range(begin, min(begin + BATCH, last))])
    engine.dispose()


async def measure_bastide(
    data: Path, url: str, sizes: Sequence[int], arguments: argparse.Namespace
) -> dict[int, float]:
    """Answers a second on new connections, first questions, for each number of certificates."""
    settings = {} if url.startswith("sqlite") else {"BASTIDE_DATABASE_URL": url}
    async with running(data, settings):
        pass
    issuer = x509.load_pem_x509_certificates((data / "trust" / "issuing.pem").read_bytes())[0]
    rates, held = {}, 0
    for size in sizes:
        began = time.perf_counter()
        await asyncio.to_thread(fill, url, held, size, key_id(issuer))
        print(f"{size:,} certificates (filled in {time.perf_counter() - began:.0f} s)", flush=True)
        held = size
        async with running(data, settings) as (bastide, _):
            context = ssl.create_default_context(cafile=str(data / "trust" / "root.pem"))
            controller = bastide.children()["controller"]
            rates[size] = await measure(bastide.ports["device_port"], context, issuer, size, controller, arguments)
            print(f"  controller's memory {resident(controller)} MiB", flush=True)
            await list_of(bastide.ports["device_port"], context, size)
    return rates


async def measure(
    port: int,
    context: ssl.SSLContext,
    issuer: x509.Certificate,
    size: int,
    controller: int,
    arguments: argparse.Namespace,
) -> float:
    asking, count = Asking(issuer), arguments.questions
    some = random.Random(size).sample(range(size), 3 * count)
    parts = some[:count], some[count : 2 * count], some[2 * count :]
    first: float = 0
    for what, numbers, nonce, keep in (
        ("asked first, kept connections ", parts[0], False, True),
        ("asked again, kept connections ", parts[0], False, True),
        ("with a nonce, kept connections", parts[1], True, True),
        ("asked first, a connection each", parts[2], False, False),
        ("asked again, a connection each", parts[2], False, False),
    ):
        messages = asking.messages(numbers, nonce=nonce, keep=keep)
        used = cpu_of(controller)
        rate, answers = await drive(port, context, messages, arguments.at_once, keep=keep)
        spent = (cpu_of(controller) - used) / count * 1000
        check(answers, numbers)
        print(f"  {what}: {rate:7,.0f} answers/s, {spent:.2f} ms of the controller's processor time each", flush=True)
        if not keep and not first:
            first = rate
    return first


async def list_of(port: int, context: ssl.SSLContext, size: int) -> None:
    """The revocation list: how long one that must be made takes, and how many entries it has."""
    began = time.perf_counter()
    reader, writer = await asyncio.open_connection("localhost", port, ssl=context)
    writer.write(b"GET /crl HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    listed = x509.load_der_x509_crl(await answer(reader))
    writer.close()
    print(f"  revocation list of {len(listed):,} entries made in {time.perf_counter() - began:.2f} s", flush=True)
    assert len(listed) == -(-size // REVOKED_EACH), "the list is not complete"


def resident(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) // 1024


# ── the peer ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def peer_authority(folder: Path) -> x509.Certificate:
    """A CA that answers for itself; `openssl ocsp` reads it from files."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Peer")])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now - timedelta(days=1), now + timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "ca.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    (folder / "ca.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return certificate


def index_lines(size: int) -> Iterator[str]:
    ends, revoked_at = (f"{datetime.now(UTC) + timedelta(days=days):%y%m%d%H%M%SZ}" for days in (29, -1))
    for number in range(size):
        state, at = ("R", revoked_at) if number % REVOKED_EACH == 0 else ("V", "")
        digits = f"{serial_of(number):X}"
        digits = digits if len(digits) % 2 == 0 else f"0{digits}"
        yield f"{state}\t{ends}\t{at}\t{digits}\tunknown\t/CN=d-{number}\n"


@contextlib.asynccontextmanager
async def openssl_responder(folder: Path, size: int) -> AsyncIterator[tuple[int, int]]:
    index, port = folder / "index.txt", free_ports(1)[0]
    with index.open("w") as file:
        file.writelines(index_lines(size))
    command: list[str | Path] = ["openssl", "ocsp", "-index", index, "-port", str(port), "-CA", folder / "ca.pem"]
    command += ["-rsigner", folder / "ca.pem", "-rkey", folder / "ca.key", "-nmin", "60"]
    # It is not probed by a connection: one that asks nothing keeps OpenSSL 3.0's responder busy for ever.
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        assert process.stdout is not None
        told = process.stdout
        await asyncio.to_thread(lambda: next(line for line in told if b"waiting for" in line))
        Thread(target=lambda: deque(told, 0), daemon=True).start()
        yield port, process.pid
    finally:
        process.terminate()
        process.wait()


async def measure_peer(folder: Path, sizes: Sequence[int], arguments: argparse.Namespace) -> dict[int, float]:
    rates, asking = {}, Asking(peer_authority(folder))
    for size in sizes:
        numbers = random.Random(size).sample(range(size), arguments.questions)
        began = time.perf_counter()
        async with openssl_responder(folder, size) as (port, pid):
            print(f"{size:,} certificates (ready in {time.perf_counter() - began:.0f} s)", flush=True)
            messages = asking.messages(numbers, keep=False)
            rates[size], answers = await drive(port, None, messages, arguments.at_once, keep=False)
            check(answers, numbers)
            print(
                f"  plain HTTP, a connection each : {rates[size]:7,.0f} answers/s, memory {resident(pid)} MiB",
                flush=True,
            )
    return rates


# ── the whole ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def main(arguments: argparse.Namespace) -> int:
    sizes = [int(size) for size in arguments.certificates.split(",")]
    version = subprocess.run(["openssl", "version"], capture_output=True, text=True, check=True).stdout.strip()
    print(facts("cryptography", "uvicorn", "SQLAlchemy"), f", {version}", sep="")
    print(f"input: seed {SEED}, {arguments.questions:,} questions a line, {arguments.at_once} at once, P-256")
    engines: dict[str, Callable[[Path, Cluster | None], str]] = {
        "SQLite": lambda data, _: f"sqlite+pysqlite:///{data / 'state.db'}"
    }
    rates: dict[str, dict[int, float]] = {}
    with (
        tempfile.TemporaryDirectory(prefix="bastide-bench-", ignore_cleanup_errors=True) as name,
        contextlib.ExitStack() as stack,
    ):
        folder = Path(name)
        postgresql = None
        if not arguments.no_postgresql:
            postgresql = stack.enter_context(cluster())
            engines["PostgreSQL"] = lambda _, there: there.create("bench") if there is not None else ""
        for engine, url in engines.items():
            print(f"Bastide on {engine}:")
            data = folder / engine
            rates[engine] = await measure_bastide(data, url(data, postgresql), sizes, arguments)
        print("openssl ocsp -index:")
        peer = await measure_peer(folder, sizes, arguments)
    for engine, ours in rates.items():
        told = ", ".join(f"{size:,}: {ours[size] / peer[size]:.2f}" for size in sizes)
        print(f"Bastide on {engine} over TLS beside openssl over plain HTTP, a connection each, asked first: {told}")
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--certificates", default="10000,100000,1000000")
    parser.add_argument("--questions", type=int, default=3000)
    parser.add_argument("--at-once", type=int, default=16)
    parser.add_argument("--no-postgresql", action="store_true")
    sys.exit(asyncio.run(main(parser.parse_args())))
