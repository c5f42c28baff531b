"""A running `bastide up` on a data directory of its own, with enrolled devices that connect by raw MQTT."""

import asyncio
import contextlib
import ssl
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bastide.demo.api import API
from bastide.testing.fleet import est
from bastide.testing.fleet.identity import Identity
from bench._mqtt_load import packet, text
from tests.processes.bastide import Bastide

ENROL_AT_ONCE = 8


@contextlib.asynccontextmanager
async def running(data: Path, settings: Mapping[str, str] | None = None) -> AsyncIterator[tuple[Bastide, API]]:
    """Started, and stopped in the end. ``settings`` are more of its environment (``BASTIDE_…``)."""
    bastide = Bastide(data, settings=settings)
    took = await asyncio.to_thread(bastide.start)
    print(f"bastide up: ready in {took:.1f} s", flush=True)
    try:
        base = f"https://localhost:{bastide.ports['console_port']}"
        async with API(base, data / "trust" / "root.pem", (data / "operator.token").read_text().strip()) as api:
            yield bastide, api
    finally:
        await asyncio.to_thread(bastide.stop)


async def enrolled(bastide: Bastide, api: API, folder: Path, count: int) -> Sequence[Identity]:
    """Devices enrolled over EST, each with a claim of its own; returns when all are trusted and may connect."""
    endpoint = est.Endpoint("localhost", bastide.ports["device_port"], bastide.data / "trust" / "root.pem")
    began = time.monotonic()
    loop = asyncio.get_running_loop()
    gate = asyncio.Semaphore(ENROL_AT_ONCE)
    with ThreadPoolExecutor(ENROL_AT_ONCE) as threads:

        async def one(number: int) -> Identity:
            async with gate:
                claim = await api.claim("generic", f"bench-{number}", "bench", "main")
                return await loop.run_in_executor(threads, est.enrol, endpoint, claim, folder / str(number), "bench")

        identities = await asyncio.gather(*(one(number) for number in range(count)))
    deadline = time.monotonic() + 120
    while True:
        known = await api.devices()
        waiting = [one.device for one in identities if known[one.device]["standing"] != "trusted"]
        if not waiting:
            break
        if time.monotonic() > deadline:
            raise SystemExit(f"{len(waiting)} devices are not trusted, e.g. {known[waiting[0]]}")
        await asyncio.sleep(0.2)
    print(f"enrolled {count} devices over EST in {time.monotonic() - began:.1f} s", flush=True)
    return identities


@dataclass(slots=True)
class Link(asyncio.Protocol):
    """One MQTT connection: when it was accepted or refused, and when its socket was seen closed."""

    accepted: asyncio.Future[int] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    closed: asyncio.Future[float] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        if data[0] == 0x20 and not self.accepted.done():
            self.accepted.set_result(data[3])

    def eof_received(self) -> None:
        self._ended()

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended()

    def _ended(self) -> None:
        if not self.closed.done():
            self.closed.set_result(time.time())
        if not self.accepted.done():
            self.accepted.set_result(-1)


def context_of(identity: Identity) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(identity.trust))
    context.load_cert_chain(identity.certificate, identity.key)
    return context


async def connect(
    identity: Identity, port: int, *, will: bytes = b"", context: ssl.SSLContext | None = None, within: float = 60.0
) -> Link:
    """A connection after the broker's answer; ``accepted`` holds its code, 0 where it let the device in."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(within):
        _, link = await loop.create_connection(
            Link, "localhost", port, ssl=context or context_of(identity), ssl_handshake_timeout=within
        )
        flags, more = 0x02, b""
        if will:
            flags |= 0x04 | 0x08  # a last will, with QoS 1
            more = text(f"devices/{identity.device}/status") + len(will).to_bytes(2, "big") + will
        body = text("MQTT") + bytes([4, flags]) + (600).to_bytes(2, "big") + text(identity.device) + more
        assert link.transport is not None
        link.transport.write(packet(0x10, body))
        await link.accepted
    return link


def percentile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def cpu_of(pid: int) -> float:
    """Processor seconds that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100
