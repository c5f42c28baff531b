"""Many devices fetch the same image at once over TLS, each allowed to by its certificate, beside nginx and the file alone.

A running `bastide up` with a published release and a rollout of it; devices that are at it fetch the image below
/updates/targets/, each on a connection of its own, all at once. nginx serves the same file over TLS with the same server
certificate, to whoever asks. The client is `curl --parallel` for both; it retries what it is told to ask for later. What did
not come whole is a failure.

    python bench/serve.py [--devices 2000] [--octets 16777216] [--rounds 3]
"""

import argparse
import asyncio
import contextlib
import hashlib
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from securesystemslib.signer._crypto_signer import CryptoSigner

from bastide.adapters.clock import SystemClock
from bastide.adapters.tuf.repository import Repository
from bastide.adapters.updates import UpdateServer, device_tls
from bastide.demo.api import API
from bastide.device.release.report import Report
from bench._fleet import cpu_of, enrolled, running
from bench._machine import facts
from tests.processes.bastide import Bastide, free_ports

GOAL = 0.70
AT_IT = 8
"""Devices with certificates of their own; the connections are spread over them."""


def publish(folder: Path, octets: int, keys: Path) -> tuple[Path, str]:
    """A repository with one release of so many octets: its file, and its digest."""
    content = random.Random(7).randbytes(octets)
    (keys / "image.bin").write_bytes(content)
    root, targets, online = (CryptoSigner(Ed25519PrivateKey.generate()) for _ in range(3))
    now = SystemClock().now()
    Repository.create(folder, now, ([root], 1), ([targets], 1), online)
    repository = Repository(folder, now)
    repository.stage("bench", "2.0", keys / "image.bin", {"counter": 2, "hardware": ["rev-b"]})
    repository.sign(targets)
    repository.publish(online)
    digest = hashlib.sha256(content).hexdigest()
    return folder / "targets" / "bench" / "2.0" / f"{digest}.image.bin", digest


@contextlib.contextmanager
def nginx(folder: Path, file: Path, certificate: Path, key: Path) -> Iterator[int]:
    port, home = free_ports(1)[0], folder / "nginx"
    home.mkdir()
    shutil.copy(file, home / "image.bin")
    (home / "nginx.conf").write_text(f"""
        worker_processes 2; pid {home}/pid; error_log {home}/error.log; daemon off; user root;
        events {{ worker_connections 8192; }}
        http {{ access_log off; sendfile on; tcp_nopush on; ssl_session_cache off; ssl_session_tickets off;
          server {{ listen 127.0.0.1:{port} ssl backlog=4096; ssl_certificate {certificate}; ssl_certificate_key {key};
                    ssl_protocols TLSv1.2 TLSv1.3; root {home}; }} }}""")
    process = subprocess.Popen(["nginx", "-c", home / "nginx.conf", "-p", home], stderr=subprocess.DEVNULL)
    try:
        time.sleep(1)
        yield port
    finally:
        process.terminate()
        process.wait()


def fetch(folder: Path, urls: Sequence[tuple[str, Path | None]], trust: Path, octets: int) -> tuple[float, int]:
    """Octets a second and how many came whole. ``urls`` are with the identity that is shown, if any."""
    wanted = folder / "wanted"
    lines = []
    for number, (url, identity) in enumerate(urls):
        lines += ["next"] * bool(number)
        lines += [f'url = "{url}"', 'output = "/dev/null"', f'cacert = "{trust}"', "silent", "retry = 100"]
        lines += ["fail", 'write-out = "%{http_code} %{size_download}\\n"']
        lines += [f'cert = "{identity}"'] * (identity is not None)
    wanted.write_text("\n".join(lines))
    began = time.perf_counter()
    command: list[str | Path] = [
        "curl",
        "--parallel",
        "--parallel-immediate",
        "--parallel-max",
        str(len(urls)),
        "--config",
        wanted,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    took = time.perf_counter() - began
    whole = sum(line == f"200 {octets}" for line in done.stdout.splitlines())
    return whole * octets / took, whole


async def at_it(bastide: Bastide, api: API, folder: Path) -> list[Path]:
    """The identities of devices that were told to take the release."""
    identities = await enrolled(bastide, api, folder, AT_IT)
    made = await asyncio.to_thread(
        bastide.run,
        "rollout",
        "propose",
        "bench",
        "2.0",
        "--class",
        "generic",
        "--rings",
        "1",
        "--first",
        "1000",
        "--json",
    )
    assert made.returncode == 0, made.stderr
    id = made.stdout.partition('"id": "')[2].partition('"')[0]
    assert (await asyncio.to_thread(bastide.run, "rollout", "approve", id)).returncode == 0
    found = []
    for one in identities:
        path = folder / f"{one.device}.pem"
        path.write_bytes(one.key.read_bytes() + one.certificate.read_bytes())
        tls = device_tls(bastide.data / "trust" / "root.pem", path)
        report = Report("rev-b", "1.0", 1, 1 << 30, "0" * 64, False)
        told = await asyncio.to_thread(UpdateServer("localhost", bastide.ports["device_port"]).ask, report, tls)
        assert told.update is not None, told.because
        found.append(path)
    return found


async def main(arguments: argparse.Namespace) -> int:
    if shutil.which("nginx") is None:
        print("nginx is not installed; on Debian: apt-get install nginx-light")
        return 1
    version = subprocess.run(["nginx", "-v"], capture_output=True, text=True, check=True).stderr.strip()
    print(facts("uvicorn", "starlette"), f", {version}", sep="")
    print(
        f"input: {arguments.devices:,} connections at once, {arguments.octets:,} octets each, {arguments.rounds} rounds"
    )
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    ratios = []
    with tempfile.TemporaryDirectory(prefix="bastide-bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        async with running(folder / "data") as (bastide, api):
            file, digest = publish(bastide.data / "releases", arguments.octets, folder)
            identities = await at_it(bastide, api, folder)
            trust, tls = bastide.data / "trust" / "root.pem", bastide.data / "tls"
            ours = f"https://localhost:{bastide.ports['device_port']}/updates/targets/bench/2.0/{digest}.image.bin"
            controller = bastide.children()["controller"]
            with nginx(folder, file, tls / "endpoints.pem", tls / "endpoints.key") as port:
                for _ in range(arguments.rounds):
                    peer = [(f"https://localhost:{port}/image.bin", None)] * arguments.devices
                    theirs, all_theirs = await asyncio.to_thread(fetch, folder, peer, trust, arguments.octets)
                    asked = [(ours, identities[number % AT_IT]) for number in range(arguments.devices)]
                    used = cpu_of(controller)
                    rate, whole = await asyncio.to_thread(fetch, folder, asked, trust, arguments.octets)
                    spent = cpu_of(controller) - used
                    ratios.append(rate / theirs)
                    print(f"  nginx {theirs / 1e6:,.0f} MB/s; Bastide {rate / 1e6:,.0f} MB/s: {ratios[-1]:.0%}")
                    print(f"    controller {spent:.0f} s of processor, at most {peak(controller)} MiB", flush=True)
                    assert all_theirs == arguments.devices
                    assert whole == arguments.devices
    middle = statistics.median(ratios)
    print(f"beside nginx: {middle:.0%} ({min(ratios):.0%} to {max(ratios):.0%}), goal {GOAL:.0%}")
    return 0 if middle >= GOAL else 1


def peak(pid: int) -> int:
    """The most memory that a process had, in MiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) // 1024


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--devices", type=int, default=2000)
    parser.add_argument("--octets", type=int, default=16 << 20)
    parser.add_argument("--rounds", type=int, default=3)
    sys.exit(asyncio.run(main(parser.parse_args())))
