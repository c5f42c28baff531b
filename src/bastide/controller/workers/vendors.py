"""Vendors that were named become CAs whose certificates the device endpoints take, while they serve."""

import asyncio
from collections.abc import Callable, Sequence

from cryptography.hazmat.primitives.serialization import Encoding

from bastide.core.audit import Record
from bastide.ports.platform.admissions import AdmissionReads


class Vendors:
    """``trust`` takes CA certificates in PEM. A vendor that was removed is refused by the flow; its CA leaves at a restart."""

    def __init__(self, reads: AdmissionReads, trust: Callable[[str], None]) -> None:
        self._reads = reads
        self._trust = trust
        self._changed = asyncio.Event()
        self._changed.set()
        self._trusted: set[bytes] = set()

    def heard(self, records: Sequence[Record]) -> None:
        """What was committed."""
        if any(record.kind == "enrolment:vendor:named" for record in records):
            self._changed.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            for vendor in await self._reads.vendors():
                for anchor in vendor.anchors:
                    pem = anchor.public_bytes(Encoding.PEM)
                    if pem not in self._trusted:
                        self._trust(pem.decode())
                        self._trusted.add(pem)
