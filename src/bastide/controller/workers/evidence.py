"""What other processes observed and told the broker, taken into the state and the ledger; the governor hears the rest."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import msgspec

from bastide.core.error import BastideError
from bastide.core.evidence import Evidence
from bastide.core.ids import DeviceId, is_device_id
from bastide.flows.take_evidence import take_evidence
from bastide.ports.platform.units import UnitsOfWork

LOG = logging.getLogger("bastide.evidence")

WAIT_SECONDS = 5.0
RETRY_SECONDS = 0.5
SEEN_SECONDS = 2.0
ACTOR = "system:evidence"
MAX_SEEN = 100_000


class Source(Protocol):
    """See adapters.nats.evidence."""

    async def take(self, wait: float) -> tuple[Sequence[Evidence], Sequence[Any]]: ...
    async def done(self, messages: Sequence[Any]) -> None: ...


class EvidenceWorker:
    """Stores each fact with its record in one transaction; acknowledges it after the commit."""

    def __init__(self, source: Source, units: UnitsOfWork) -> None:
        self._source = source
        self._units = units

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                facts, messages = await self._source.take(WAIT_SECONDS)
                if facts:
                    await take_evidence(facts, self._units, ACTOR)
                if messages:
                    await self._source.done(messages)
            except BastideError as error:
                # Nothing was acknowledged; the broker gives it again.
                LOG.warning("%s", error.sentence)
                await asyncio.sleep(RETRY_SECONDS)


class SeenWorker:
    """When each device was last heard, written together every few seconds."""

    def __init__(self, units: UnitsOfWork) -> None:
        self._units = units
        self._seen: dict[DeviceId, datetime] = {}

    def heard(self, data: bytes) -> None:
        """A report of an ingest worker: microseconds by device."""
        try:
            report: Mapping[str, int] = _decoder.decode(data)
        except msgspec.MsgspecError:
            return
        for device, at in report.items():
            if is_device_id(device) and 0 <= at < 2**52 and len(self._seen) < MAX_SEEN:
                self._seen[DeviceId(device)] = _EPOCH + timedelta(microseconds=at)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(SEEN_SECONDS)
            if not self._seen:
                continue
            seen, self._seen = self._seen, {}
            try:
                async with self._units(ACTOR) as work:
                    work.devices.seen(seen)
            except BastideError as error:
                LOG.warning("%s", error.sentence)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_decoder = msgspec.json.Decoder(dict[str, int])
