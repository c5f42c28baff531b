"""What the signer does in a second: broker users (a fleet reconnects at once) and device certificates, keys in a file and in a
token; beside what the same machine does without it: one fsync for each line, and openssl's bare signatures.

    python bench/signer.py [--quick]
"""

import argparse
import asyncio
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bastide.adapters.signer.client import SignerClient
from bastide.core.ids import DeviceClass, RequestId
from bench._machine import facts
from tests.processes.signing import new_device, user_claims
from tests.scenarios.enrolment.platform import SignerProcess, new_request

SOFTHSM = Path("/usr/lib/softhsm/libsofthsm2.so")
LINE_BYTES = 330


async def crowd(name: str, count: int, ask: Callable[[int], Awaitable[object]]) -> float:
    """Everything at once; prints the rate and the slowest answers."""
    took: list[float] = []

    async def one(number: int) -> None:
        began = time.perf_counter()
        await ask(number)
        took.append(time.perf_counter() - began)

    began = time.perf_counter()
    await asyncio.gather(*(one(number) for number in range(count)))
    rate = count / (time.perf_counter() - began)
    took.sort()
    print(
        f"  {name:<46}{rate:>9,.0f} /s   p50 {took[count // 2] * 1e3:,.0f} ms  p99 {took[int(count * 0.99)] * 1e3:,.0f} ms"
    )
    return rate


def resident_mib(pid: int) -> float:
    match = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return int(match[1]) / 1024 if match else 0.0


async def measure(place: str, data: Path, settings: Mapping[str, str], users: int, devices: int) -> float:
    began = time.perf_counter()
    process = SignerProcess(data, **settings).start()
    ready = time.perf_counter() - began
    client = SignerClient(process.socket, timedelta(minutes=5))
    device, csr = new_device(), new_request()[1]
    claims = json.dumps(user_claims(device)).encode()
    now = datetime.now(UTC).replace(microsecond=0)
    print(f"signer, keys in {place}")
    try:
        rate = await crowd(
            f"broker users, {users:,} at once",
            users,
            lambda number: client.broker_user(RequestId(f"user:{number:08}"), claims=claims),
        )
        await crowd(
            f"device certificates, {devices:,} at once",
            devices,
            lambda number: client.device_certificate(
                RequestId(f"enrol:{number:08}"),
                csr=csr,
                device=device,
                device_class=DeviceClass("camera"),
                not_before=now,
                not_after=now + timedelta(days=30),
            ),
        )
        began = time.perf_counter()
        for number in range(100):
            await client.broker_user(RequestId(f"alone:{number:08}"), claims=claims)
        alone = (time.perf_counter() - began) * 10
        print(
            f"  one broker user alone {alone:.2f} ms; resident {resident_mib(process.pid):.0f} MiB; first start {ready:.2f} s"
        )
        process.stop()
        began = time.perf_counter()
        process.start()
        print(f"  ready again in {time.perf_counter() - began:.2f} s, with {users + devices + 101:,} lines to check")
    finally:
        await client.close()
        process.stop()
    return rate


def syncs_a_second(folder: Path, count: int) -> float:
    """The peer of group commit: a line and its own fdatasync, one after the other."""
    file = os.open(folder / "lines", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    began = time.perf_counter()
    for _ in range(count):
        os.write(file, b"x" * LINE_BYTES)
        os.fdatasync(file)
    rate = count / (time.perf_counter() - began)
    os.close(file)
    return rate


def openssl_signatures(algorithm: str, seconds: int) -> str:
    ran = subprocess.run(
        ["openssl", "speed", "-seconds", str(seconds), algorithm], capture_output=True, text=True, check=True
    )
    return ran.stdout.splitlines()[-1]


async def main(arguments: argparse.Namespace) -> int:
    users, devices = (1000, 300) if arguments.quick else (5000, 3000)
    print(facts("cryptography", "python-pkcs11"))
    with tempfile.TemporaryDirectory(prefix="bastide-bench-") as folder:
        home = Path(folder)
        (home / "file").mkdir()
        rate = await measure("an encrypted file", home / "file", {}, users, devices)
        if SOFTHSM.exists():
            (home / "token" / "tokens").mkdir(parents=True)
            config = home / "token" / "softhsm2.conf"
            config.write_text(f"directories.tokendir = {home / 'token' / 'tokens'}\nlog.level = ERROR\n")
            (home / "pin").write_text("5678")
            made = [
                "softhsm2-util",
                "--init-token",
                "--free",
                "--label",
                "bastide",
                "--so-pin",
                "1234",
                "--pin",
                "5678",
            ]
            subprocess.run(made, check=True, capture_output=True, env={**os.environ, "SOFTHSM2_CONF": str(config)})
            settings = {
                "SOFTHSM2_CONF": str(config),
                "BASTIDE_SIGNER_KEYS": "pkcs11",
                "BASTIDE_SIGNER_PKCS11_MODULE": str(SOFTHSM),
                "BASTIDE_SIGNER_PKCS11_TOKEN": "bastide",
                "BASTIDE_SIGNER_PKCS11_PIN_FILE": str(home / "pin"),
            }
            await measure("SoftHSM2, over PKCS#11", home / "token", settings, users, devices)
        print("the machine alone")
        syncs = syncs_a_second(home, 300 if arguments.quick else 2000)
        print(f"  lines of {LINE_BYTES} bytes, an fdatasync each     {syncs:>9,.0f} /s   ratio {rate / syncs:.1f}")
        for algorithm in ("ed25519", "ecdsap256"):
            print(f"  openssl: {openssl_signatures(algorithm, 1)}")
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    sys.exit(asyncio.run(main(parser.parse_args())))
