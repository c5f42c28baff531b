"""Vendors, expected devices, enrolment windows and requests: reading them, and changing them within a unit of work."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from bastide.core.ids import DeviceId
from bastide.device.credential.admission import (
    EnrolmentRequest,
    EnrolmentRequestId,
    Expected,
    ExpectedId,
    Window,
    WindowId,
)
from bastide.device.identity.manufacturer import Vendor


class AdmissionReads(Protocol):
    async def vendors(self) -> Sequence[Vendor]:
        """By name."""
        ...

    async def expected(self, vendor: str, serial: str) -> Expected | None: ...

    async def expecting(self, limit: int, after: str = "", *, arrived: bool | None = None) -> Sequence[Expected]:
        """By id; ``after`` is the id that the last page ended with."""
        ...

    async def windows(self, now: datetime) -> Sequence[Window]:
        """Those open now, the one that ends first at the front."""
        ...

    async def asked(self, window: WindowId) -> int:
        """How many requests came through a window."""
        ...

    async def waiting(self, now: datetime) -> int:
        """How many requests wait for an answer."""
        ...

    async def request(self, key: str) -> EnrolmentRequest | None:
        """By the key's digest."""
        ...

    async def request_of(self, id: EnrolmentRequestId) -> EnrolmentRequest | None: ...

    async def requests(self, limit: int, *, waiting: datetime | None = None) -> Sequence[EnrolmentRequest]:
        """Newest first; with ``waiting`` only those that wait for an answer at that time, oldest first."""
        ...


class AdmissionWrites(Protocol):
    def put_vendor(self, vendor: Vendor) -> None: ...

    def remove_vendor(self, name: str) -> None:
        """Conflict where there is none of that name."""
        ...

    def expect(self, devices: Sequence[Expected]) -> None:
        """Conflict where one of them is expected already, by vendor and serial."""
        ...

    def do_not_expect(self, id: ExpectedId) -> None:
        """Conflict where there is none, or it has arrived."""
        ...

    def arrived(self, id: ExpectedId, device: DeviceId, at: datetime) -> None:
        """Conflict where it has arrived as another device, or is not expected any more."""
        ...

    def open_window(self, window: Window) -> None: ...

    def close_window(self, id: WindowId, at: datetime) -> None:
        """Conflict unless it is open at that time."""
        ...

    def ask(self, request: EnrolmentRequest) -> None:
        """Takes the place of a request with the same key that ended, and of one of the same proven device that waits: one device
        waits once. Conflict where one with that key is open."""
        ...

    def answer(self, request: EnrolmentRequest) -> None:
        """Conflict unless the stored one waits, or is approved and this says enrolled."""
        ...

    def forget(self, before: datetime) -> None:
        """Drops windows and requests that ended before that time. The ledger keeps their records."""
        ...
