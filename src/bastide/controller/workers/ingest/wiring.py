"""The ingest process, put together."""

import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import TypeVar

from bastide.adapters.clock import RandomIds, SystemClock
from bastide.adapters.datadir.layout import DataDirectory
from bastide.adapters.nats.connection import Cluster, connect
from bastide.adapters.nats.evidence import EvidenceSink
from bastide.adapters.nats.plans import Plans
from bastide.adapters.nats.seeds import Part
from bastide.adapters.nats.uplink import Journal, Message, Uplink, open_uplink
from bastide.adapters.samples.writer import PartitionWriter
from bastide.controller.ready import say
from bastide.controller.workers.ingest.config import IngestConfig
from bastide.controller.workers.ingest.intake import Intake
from bastide.controller.workers.ingest.worker import Ingest, World
from bastide.core.error import Unavailable

LOG = logging.getLogger("bastide.ingest")
RETRY_SECONDS = 0.2

T = TypeVar("T")


async def serve(config: IngestConfig) -> None:
    """Until SIGTERM or SIGINT."""
    directory = DataDirectory(config.data.expanduser().absolute())
    cluster = Cluster(config.broker_url, directory.trust / "root.pem", directory.nats)
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)

    writer = PartitionWriter(directory.samples, config.ingest_partition)
    try:
        worker = asyncio.create_task(_work(config, cluster, writer))
        stopping = asyncio.create_task(stopped.wait())
        await asyncio.wait((worker, stopping), return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        worker.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await worker
    finally:
        writer.close()


async def _work(config: IngestConfig, cluster: Cluster, writer: PartitionWriter) -> None:
    intake = Intake()
    plans: Plans | None = None

    async def reconnected() -> None:
        # Announcements may have been missed.
        if plans is not None:
            with contextlib.suppress(Unavailable):
                await plans.load()

    client = await _until(lambda: connect(cluster, Part.INGEST, on_reconnect=reconnected))
    try:
        plans = Plans(client, lambda desired, _: intake.plan_changed(desired, time.time()))
        held = plans
        await _until(lambda: held.start(answer=True))
        sink = EvidenceSink(client)

        async def uplink(take: Callable[[Sequence[Message]], None]) -> Uplink:
            return await open_uplink(cluster, config.ingest_partition, take)

        async def tell_seen(data: bytes) -> None:
            await client.publish(f"seen.{config.ingest_partition}", data)

        world = World(
            open_uplink=uplink,
            journal=Journal(client, config.ingest_partition),
            writer=writer,
            put_evidence=sink.put,
            tell_seen=tell_seen,
            clock=SystemClock(),
            ids=RandomIds(),
            keep=timedelta(days=config.sample_days),
            max_bytes=config.sample_bytes,
        )
        worker = Ingest(world, intake)
        await _until(worker.recover)
        await worker.run(lambda: say(config.ready_fd, "READY"))
    finally:
        await client.close()


async def _until(attempt: Callable[[], Awaitable[T]]) -> T:
    """Tries until the broker answers; it starts when we do, and comes back when it died."""
    while True:
        try:
            return await attempt()
        except Unavailable as error:
            LOG.info("%s", error.sentence)
            await asyncio.sleep(RETRY_SECONDS)
