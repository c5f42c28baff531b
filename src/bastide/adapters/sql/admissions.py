"""Vendors, expected devices, enrolment windows and requests."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import Connection, Row, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from bastide.adapters.sql.database import Database, Unit
from bastide.adapters.sql.schema.admissions import expected, requests, vendors, windows
from bastide.core.error import Conflict
from bastide.core.ids import DeviceId
from bastide.device.credential.admission import (
    Answered,
    EnrolmentRequest,
    EnrolmentRequestId,
    Expected,
    ExpectedId,
    Window,
    WindowId,
)
from bastide.device.identity.manufacturer import Vendor, read_vendor_anchors


class AdmissionWrites:
    """Implements ports.platform.admissions.AdmissionWrites."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit

    def put_vendor(self, vendor: Vendor) -> None:
        pem = b"".join(one.public_bytes(Encoding.PEM) for one in vendor.anchors)
        row = {**_row(vendor), "anchors": pem}

        def apply(connection: Connection) -> None:
            connection.execute(delete(vendors).where(vendors.c.name == vendor.name))
            connection.execute(insert(vendors), row)

        self._unit.change(apply)

    def remove_vendor(self, name: str) -> None:
        self._one(delete(vendors).where(vendors.c.name == name), f"There is no vendor {name}.")

    def expect(self, devices: Sequence[Expected]) -> None:
        rows = [_row(one) for one in devices]

        def apply(connection: Connection) -> None:
            try:
                connection.execute(insert(expected), rows)
            except IntegrityError as error:
                raise Conflict(
                    "One of these devices is expected already (vendor and serial). Nothing of the list was taken."
                ) from error

        self._unit.change(apply)

    def do_not_expect(self, id: ExpectedId) -> None:
        gone = delete(expected).where(expected.c.id == id, expected.c.device.is_(None))
        self._one(gone, f"{id} is not expected, or has arrived.")

    def arrived(self, id: ExpectedId, device: DeviceId, at: datetime) -> None:
        mine = (expected.c.id == id) & (expected.c.device.is_(None) | (expected.c.device == device))
        here = update(expected).where(mine).values(device=device, arrived_at=at)
        self._one(here, f"{id} has arrived as another device, or is not expected any more.")

    def open_window(self, window: Window) -> None:
        row = _row(window)
        self._unit.change(lambda connection: _run(connection, insert(windows), row))

    def close_window(self, id: WindowId, at: datetime) -> None:
        ended = update(windows).where(windows.c.id == id, windows.c.ends_at > at).values(ends_at=at)
        self._one(ended, f"The window {id} is not open.")

    def ask(self, request: EnrolmentRequest) -> None:
        row = _row(request)
        ended = (requests.c.key == request.key) & (requests.c.ends_at <= request.asked_at)
        same = (requests.c.vendor == request.vendor) & (requests.c.serial == request.serial)
        if request.vendor:
            ended |= same & (requests.c.answer == Answered.WAITING.value)

        def apply(connection: Connection) -> None:
            connection.execute(delete(requests).where(ended))
            if connection.execute(select(requests.c.id).where(requests.c.key == request.key)).first() is not None:
                raise Conflict("A request with this key is open already.")
            connection.execute(insert(requests), row)

        self._unit.change(apply)

    def answer(self, request: EnrolmentRequest) -> None:
        before = Answered.APPROVED if request.answer is Answered.ENROLLED else Answered.WAITING
        put = update(requests).where(requests.c.id == request.id, requests.c.answer == before.value)
        self._one(put.values(**_row(request)), f"The request {request.id} was answered already.")

    def forget(self, before: datetime) -> None:
        for gone in (
            delete(windows).where(windows.c.ends_at < before),
            delete(requests).where(requests.c.ends_at < before),
        ):
            self._unit.change(lambda connection, gone=gone: _run(connection, gone, {}))  # type: ignore[misc]

    def _one(self, statement: Any, otherwise: str) -> None:
        def apply(connection: Connection) -> None:
            if connection.execute(statement).rowcount != 1:
                raise Conflict(otherwise)

        self._unit.change(apply)


class AdmissionReads:
    """Implements ports.platform.admissions.AdmissionReads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def vendors(self) -> Sequence[Vendor]:
        return [
            Vendor(**{**row._mapping, "anchors": read_vendor_anchors(row.anchors)})
            for row in await self._all(select(vendors).order_by(vendors.c.name))
        ]

    async def expected(self, vendor: str, serial: str) -> Expected | None:
        found = await self._all(select(expected).where(expected.c.vendor == vendor, expected.c.serial == serial))
        return Expected(**found[0]._mapping) if found else None

    async def expecting(self, limit: int, after: str = "", *, arrived: bool | None = None) -> Sequence[Expected]:
        query = select(expected).where(expected.c.id > after).order_by(expected.c.id).limit(limit)
        if arrived is not None:
            query = query.where(expected.c.device.is_not(None) if arrived else expected.c.device.is_(None))
        return [Expected(**row._mapping) for row in await self._all(query)]

    async def windows(self, now: datetime) -> Sequence[Window]:
        query = select(windows).where(windows.c.ends_at > now).order_by(windows.c.ends_at)
        return [Window(**row._mapping) for row in await self._all(query)]

    async def asked(self, window: WindowId) -> int:
        return await self._count(requests.c.window == window)

    async def waiting(self, now: datetime) -> int:
        return await self._count((requests.c.answer == Answered.WAITING.value) & (requests.c.ends_at > now))

    async def request(self, key: str) -> EnrolmentRequest | None:
        found = await self._all(select(requests).where(requests.c.key == key))
        return _request(found[0]) if found else None

    async def request_of(self, id: EnrolmentRequestId) -> EnrolmentRequest | None:
        found = await self._all(select(requests).where(requests.c.id == id))
        return _request(found[0]) if found else None

    async def requests(self, limit: int, *, waiting: datetime | None = None) -> Sequence[EnrolmentRequest]:
        query = select(requests).order_by(requests.c.asked_at.desc(), requests.c.id).limit(limit)
        if waiting is not None:
            query = select(requests).where(requests.c.answer == Answered.WAITING.value, requests.c.ends_at > waiting)
            query = query.order_by(requests.c.asked_at, requests.c.id).limit(limit)
        return [_request(row) for row in await self._all(query)]

    async def _count(self, where: Any) -> int:
        found = await self._all(select(func.count().label("many")).select_from(requests).where(where))
        return int(found[0].many)

    async def _all(self, query: Any) -> Sequence[Row[Any]]:
        return await self._database.read(lambda connection: connection.execute(query).all())


def _run(connection: Connection, statement: Any, given: Mapping[str, Any]) -> None:
    connection.execute(statement, given)


def _row(value: Vendor | Expected | Window | EnrolmentRequest) -> dict[str, Any]:
    row = {one.name: getattr(value, one.name) for one in fields(value)}
    return {name: held.value if isinstance(held, Answered) else held for name, held in row.items()}


def _request(row: Row[Any]) -> EnrolmentRequest:
    return EnrolmentRequest(**{**row._mapping, "answer": Answered(row.answer)})
