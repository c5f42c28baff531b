"""Enrolments a second over TLS, each on a connection of its own, beside an empty answer from the same server over the same TLS.

A running `bastide up` (ledger and signer's journal durable) and, in a process of its own, the same listener class with the same
certificate around an application that answers 200 and nothing. The clients are the same for both: keys and requests are made
before, each connection is new, so is its TLS session. Then a fleet comes back after a power cut: every device asks at once.

    python bench/enrol.py [--quick] [--devices 400] [--at-once 32] [--crowd 10000] [--token]
"""

import argparse
import asyncio
import base64
import contextlib
import os
import resource
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bastide.controller.serving import Leaf, Listener
from bastide.demo.api import API
from bench._fleet import cpu_of, percentile, running
from bench._machine import facts
from tests.processes.bastide import Bastide, free_ports
from tests.scenarios.enrolment.platform import new_request

GOAL, AIM = 0.40, 0.60
PATIENCE_S = 300.0
SOFTHSM = Path("/usr/lib/softhsm/libsofthsm2.so")


@dataclass(slots=True)
class Times:
    took: list[float]
    failed: list[str]
    whole: float = 0.0

    @property
    def rate(self) -> float:
        return len(self.took) / self.whole

    def __str__(self) -> str:
        p50, p99 = (percentile(self.took, share) * 1e3 for share in (0.5, 0.99))
        told = f"{self.rate:,.0f}/s, p50 {p50:.0f} ms, p99 {p99:.0f} ms"
        return told + (f"; {len(self.failed)} failed, e.g. {self.failed[0]}" if self.failed else "")


def request(path: str, body: bytes, *, user: str = "") -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", "Connection: close", "Content-Type: application/pkcs10"]
    lines += [f"Content-Length: {len(body)}"]
    if user:
        lines.append(f"Authorization: Basic {base64.b64encode(user.encode()).decode()}")
    return "\r\n".join([*lines, "", ""]).encode() + body


async def ask(port: int, context: ssl.SSLContext, message: bytes) -> bytes:
    """One new connection, one request; gives the status line's code."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="localhost",
                                                   ssl_handshake_timeout=PATIENCE_S)  # fmt: skip
    try:
        writer.write(message)
        answer = await reader.read()
        return answer[9:12]
    finally:
        writer.close()
        with contextlib.suppress(OSError, ssl.SSLError):
            await writer.wait_closed()


async def drive(port: int, context: ssl.SSLContext, messages: Sequence[bytes], at_once: int) -> Times:
    gate, times = asyncio.Semaphore(at_once), Times([], [])

    async def one(message: bytes) -> None:
        async with gate:
            began = time.perf_counter()
            try:
                status = await ask(port, context, message)
            except (OSError, TimeoutError) as error:
                times.failed.append(f"{type(error).__name__}: {error}")
                return
            if status == b"200":
                times.took.append(time.perf_counter() - began)
            else:
                times.failed.append(f"answered {status.decode()}")

    began = time.perf_counter()
    await asyncio.gather(*(one(message) for message in messages))
    times.whole = time.perf_counter() - began
    return times


async def claims(api: API, count: int) -> list[str]:
    """Name and password of so many claims."""
    gate = asyncio.Semaphore(16)

    async def one(number: int) -> str:
        async with gate:
            made = await api.claim("generic", f"bench-{number}", "bench", "main")
            return f"{made.username}:{made.password}"

    return list(await asyncio.gather(*(one(number) for number in range(count))))


def made_requests(count: int) -> list[bytes]:
    return [base64.b64encode(new_request()[1]) for _ in range(count)]


@contextlib.asynccontextmanager
async def empty_server(data: Path) -> AsyncIterator[int]:
    port = free_ports(1)[0]
    process = subprocess.Popen([sys.executable, __file__, "--serve-empty", str(port), str(data)])
    try:
        for _ in range(200):
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                break
            await asyncio.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait()


async def serve_empty(port: int, data: Path) -> None:
    async def nothing(scope: object, receive: Callable[[], object], send: Callable[..., object]) -> None:
        await receive()  # type: ignore[misc]
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})  # type: ignore[misc]
        await send({"type": "http.response.body", "body": b""})  # type: ignore[misc]

    leaf = Leaf(data / "tls" / "endpoints.pem", data / "tls" / "endpoints.key")
    await Listener(nothing, "127.0.0.1", port, leaf, client_ca=data / "nats" / "device-authorities.pem").run()


async def measure(bastide: Bastide, api: API, arguments: argparse.Namespace, folder: Path) -> float:
    count = 100 if arguments.quick else arguments.devices
    context = ssl.create_default_context(cafile=str(bastide.data / "trust" / "root.pem"))
    users, bodies = await claims(api, count * arguments.rounds), made_requests(count * arguments.rounds)
    path, port = "/.well-known/est/simpleenroll", bastide.ports["device_port"]
    enrolments = [request(path, body, user=user) for user, body in zip(users, bodies, strict=True)]
    ratios = []
    async with empty_server(bastide.data) as empty:
        await drive(empty, context, enrolments[:50], arguments.at_once)
        for number in range(arguments.rounds):
            some = enrolments[number * count : (number + 1) * count]
            nothing = await drive(empty, context, some, arguments.at_once)
            used = {name: cpu_of(pid) for name, pid in bastide.children().items()}
            own = time.process_time()
            real = await drive(port, context, some, arguments.at_once)
            spent = {name: cpu_of(pid) - used[name] for name, pid in bastide.children().items()}
            spent["these clients"] = time.process_time() - own
            ratios.append(real.rate / nothing.rate)
            print(f"  empty answer {nothing}")
            print(f"  enrolment    {real}: {ratios[-1]:.1%} of it")
            shares = ", ".join(f"{name} {seconds / count * 1000:.1f}" for name, seconds in spent.items())
            print(f"  processor time for each enrolment, ms: {shares}", flush=True)
    ratios.sort()
    print(
        f"enrolment beside an empty answer: {ratios[len(ratios) // 2]:.1%} ({ratios[0]:.1%} to {ratios[-1]:.1%}), goal {GOAL:.0%}"
    )
    return ratios[len(ratios) // 2]


async def crowd(bastide: Bastide, api: API, arguments: argparse.Namespace) -> bool:
    """Every device asks in the same moment."""
    count = 300 if arguments.quick else arguments.crowd
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 2 * count + 1000)), hard))
    context = ssl.create_default_context(cafile=str(bastide.data / "trust" / "root.pem"))
    users = await claims(api, count)
    with ProcessPoolExecutor(2) as pool:
        loop = asyncio.get_running_loop()
        halves = await asyncio.gather(*(loop.run_in_executor(pool, made_requests, count // 2) for _ in range(2)))
    bodies = [*halves[0], *halves[1]]
    path = "/.well-known/est/simpleenroll"
    messages = [request(path, body, user=user) for user, body in zip(users, bodies, strict=False)]
    print(f"a crowd of {len(messages):,} devices, each claiming in the same moment:", flush=True)
    times = await drive(bastide.ports["device_port"], context, messages, len(messages))
    print(f"  {len(times.took):,} served in {times.whole:.1f} s: {times}; the last waited {max(times.took):.1f} s")
    return not times.failed


async def main(arguments: argparse.Namespace) -> int:
    print(facts("cryptography", "uvicorn", "httptools"))
    print(f"input: {arguments.at_once} at once, new connections, P-256 keys, {arguments.rounds} rounds")
    good = True
    with tempfile.TemporaryDirectory(prefix="bastide-bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        async with running(folder / "data") as (bastide, api):
            print("authority keys in a file:")
            good &= await measure(bastide, api, arguments, folder) >= GOAL
            if arguments.crowd:
                good &= await crowd(bastide, api, arguments)
        if SOFTHSM.exists() and arguments.token:
            async with running(folder / "token-data", token(folder)) as (bastide, api):
                print("authority keys in SoftHSM:")
                good &= await measure(bastide, api, arguments, folder) >= GOAL
    return 0 if good else 1


def token(folder: Path) -> dict[str, str]:
    """A SoftHSM token of its own; the settings that name it."""
    tokens, config, pin = folder / "tokens", folder / "softhsm2.conf", folder / "pin"
    tokens.mkdir()
    config.write_text(f"directories.tokendir = {tokens}\nobjectstore.backend = file\n")
    pin.write_text("1234\n")
    os.environ["SOFTHSM2_CONF"] = str(config)
    subprocess.run(
        ["softhsm2-util", "--init-token", "--free", "--label", "bastide", "--so-pin", "1234", "--pin", "1234"],
        check=True,
        capture_output=True,
    )
    return {
        "BASTIDE_SIGNER_KEYS": "pkcs11",
        "BASTIDE_SIGNER_PKCS11_MODULE": str(SOFTHSM),
        "BASTIDE_SIGNER_PKCS11_TOKEN": "bastide",
        "BASTIDE_SIGNER_PKCS11_PIN_FILE": str(pin),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--devices", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--at-once", type=int, default=32)
    parser.add_argument("--crowd", type=int, default=10_000)
    parser.add_argument("--token", action="store_true", help="and with the keys in SoftHSM")
    parser.add_argument("--serve-empty", nargs=2, metavar=("PORT", "DATA"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve_empty:
        asyncio.run(serve_empty(int(given.serve_empty[0]), Path(given.serve_empty[1])))
    else:
        raise SystemExit(asyncio.run(main(given)))
