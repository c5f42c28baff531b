"""Claims, issuances and certificates."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import (
    BigInteger,
    BindParameter,
    Connection,
    Row,
    Select,
    and_,
    bindparam,
    case,
    delete,
    func,
    insert,
    or_,
    select,
    type_coerce,
    update,
)

from bastide.adapters.sql.columns import to_microseconds
from bastide.adapters.sql.database import Database, Unit
from bastide.adapters.sql.schema.credentials import certificates, claims, enforced, issuances
from bastide.adapters.sql.schema.state import devices
from bastide.core.error import Conflict, Refused
from bastide.core.ids import ClaimId, DeviceClass, DeviceId, RequestId, SiteName
from bastide.core.plan import CredentialState, Point, UpdateEligibility
from bastide.core.standing import Standing
from bastide.device.credential.claim import Claim, ClaimState
from bastide.device.credential.issuance import Certificate, Issuance, Progress, Purpose
from bastide.device.credential.renewal import DUE, LATE, LateDevice, Life, Lives

T = TypeVar("T")


# Statements are made once: making one costs as much as running it.
_OF: BindParameter[str] = bindparam("of")
_NOW = bindparam("now", type_=claims.c.expires_at.type)
_REVOKE_CLAIM = (
    update(claims)
    .where(claims.c.id == _OF, claims.c.state == ClaimState.OPEN.value)
    .values(state=ClaimState.REVOKED.value, used_at=_NOW)
)
_USE_CLAIM = (
    update(claims)
    .where(claims.c.id == _OF, claims.c.state == ClaimState.OPEN.value, claims.c.expires_at > _NOW)
    .values(state=ClaimState.USED.value, used_at=_NOW, request=bindparam("by"))
)
_ANOTHERS = (
    select(issuances.c.device)
    .where(
        issuances.c.key == bindparam("key"),
        issuances.c.device != bindparam("device"),
        issuances.c.progress != Progress.REFUSED.value,
    )
    .limit(1)
)
_END = (
    update(issuances)
    .where(issuances.c.request == _OF, issuances.c.progress == Progress.INTENDED.value)
    .values(progress=bindparam("end"))
)
_STATE = select(certificates.c.state).where(certificates.c.serial == _OF)
_HELD_CREDENTIAL = select(enforced.c.holds).where(enforced.c.device == _OF, enforced.c.point == Point.CREDENTIAL.value)
_HELD = select(enforced.c.point, enforced.c.holds).where(enforced.c.device == _OF)
_CLAIM = select(claims).where(claims.c.id == _OF)
_ISSUANCE = select(issuances).where(issuances.c.request == _OF)
_BY_FINGERPRINT = select(certificates).where(certificates.c.fingerprint == _OF)
_BY_SERIAL = select(certificates).where(certificates.c.serial == _OF)
_BY_REQUEST = select(certificates).where(certificates.c.request == _OF)
_ADD_CLAIM, _ADD_ISSUANCE, _ADD_CERTIFICATE = insert(claims), insert(issuances), insert(certificates)


# The certificate of each device that ends last, of those that are not revoked.
_RANKED = (
    select(
        certificates.c.device,
        certificates.c.algorithm,
        certificates.c.not_before.label("began"),
        certificates.c.not_after.label("ends"),
        func.row_number()
        .over(partition_by=certificates.c.device, order_by=(certificates.c.not_after.desc(), certificates.c.serial))
        .label("nth"),
    )
    .where(certificates.c.state != CredentialState.REVOKED.value)
    .subquery()
)
_NEWEST = select(_RANKED).where(_RANKED.c.nth == 1).subquery()


def _life(at: Any) -> Any:
    """Where in its life the newest certificate is, in whole numbers: both engines then agree to the microsecond."""
    began, ends = type_coerce(_NEWEST.c.began, BigInteger), type_coerce(_NEWEST.c.ends, BigInteger)
    gone, whole = type_coerce(at, BigInteger) - began, ends - began
    return case(
        (gone >= whole, Life.ENDED.value),
        (gone * LATE[1] >= whole * LATE[0], Life.LATE.value),
        (gone * DUE[1] >= whole * DUE[0], Life.DUE.value),
        else_=Life.FRESH.value,
    )


_LIFE = _life(bindparam("at")).label("life")
_LIVES = (
    select(devices.c.device_class, devices.c.site, _NEWEST.c.algorithm, _LIFE, func.count().label("many"))
    .join(devices, devices.c.id == _NEWEST.c.device)
    .where(devices.c.standing != Standing.RETIRED.value)
    .group_by(devices.c.device_class, devices.c.site, _NEWEST.c.algorithm, _LIFE)
    .order_by(devices.c.device_class, devices.c.site, _NEWEST.c.algorithm, _LIFE)
)


class CredentialWrites:
    """Implements ports.platform.credentials.CredentialWrites."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit

    def add_claim(self, claim: Claim) -> None:
        row = _row(claim)
        self._unit.change(lambda connection: _run(connection, _ADD_CLAIM, row))

    def revoke_claim(self, id: ClaimId, at: datetime) -> None:
        self._one(
            _REVOKE_CLAIM,
            {"of": id, "now": at},
            f"The claim {id} is not open: it was used or revoked already, or there is none.",
        )

    def use_claim(self, id: ClaimId, request: RequestId, at: datetime) -> None:
        self._one(_USE_CLAIM, {"of": id, "now": at, "by": request}, f"The claim {id} is not open any more.")

    def intend(self, issuance: Issuance) -> None:
        row = _row(issuance)

        def apply(connection: Connection) -> None:
            if connection.execute(_ANOTHERS, {"key": row["key"], "device": row["device"]}).first() is not None:
                raise Refused(
                    "Another device has a certificate over the same key. Each device needs a key of its own: make a new one on "
                    "this device.",
                    code="enrolment:key:shared",
                )
            connection.execute(_ADD_ISSUANCE, row)

        self._unit.change(apply)

    def must_be_valid(self, serial: str) -> None:
        def apply(connection: Connection) -> None:
            if connection.execute(_STATE, {"of": serial}).scalar() != CredentialState.VALID.value:
                raise Conflict(f"The certificate {serial} is not valid any more.")

        self._unit.change(apply)

    def issued(self, certificate: Certificate) -> None:
        self._end(certificate.request, Progress.ISSUED)
        row = _row(certificate)

        def apply(connection: Connection) -> None:
            # Between intent and result the device may have been suspended: then its new certificate is so from the start.
            state = connection.execute(_HELD_CREDENTIAL, {"of": row["device"]}).scalar() or row["state"]
            connection.execute(_ADD_CERTIFICATE, {**row, "state": state})

        self._unit.change(apply)

    def refused(self, request: RequestId) -> None:
        self._end(request, Progress.REFUSED)

    def supersede(self, device: DeviceId, serial: str, at: datetime) -> None:
        others = (certificates.c.device == device) & (certificates.c.serial != serial)
        revoked = certificates.c.state != CredentialState.REVOKED.value
        gone = update(certificates).where(others, revoked).values(state=CredentialState.REVOKED.value, changed_at=at)
        self._unit.change(lambda connection: _run(connection, gone, {}))

    def forget(self, before: datetime) -> None:
        for gone in (
            delete(claims).where(claims.c.expires_at < before),
            delete(issuances).where(issuances.c.not_after < before),
            delete(certificates).where(certificates.c.not_after < before),
        ):
            self._unit.change(lambda connection, gone=gone: _run(connection, gone, {}))  # type: ignore[misc]

    def _end(self, request: RequestId, progress: Progress) -> None:
        self._one(_END, {"of": request, "end": progress.value}, f"The issuance {request} has ended already.")

    def _one(self, statement: Any, given: Mapping[str, Any], otherwise: str) -> None:
        def apply(connection: Connection) -> None:
            if connection.execute(statement, given).rowcount != 1:
                raise Conflict(otherwise)

        self._unit.change(apply)


class CredentialReads:
    """Implements ports.platform.credentials.CredentialReads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def holder(self, key: str) -> DeviceId | None:
        given = {"key": key, "device": ""}
        row = await self._database.read(lambda connection: connection.execute(_ANOTHERS, given).first())
        return None if row is None else DeviceId(row.device)

    async def claim(self, id: ClaimId) -> Claim | None:
        return await self._one(_CLAIM, id, _claim)

    async def claims(self, limit: int, after: str = "") -> Sequence[Claim]:
        query = select(claims).order_by(claims.c.created_at.desc(), claims.c.id.desc()).limit(limit)
        if after:
            last = select(claims.c.created_at).where(claims.c.id == after).scalar_subquery()
            same_time = and_(claims.c.created_at == last, claims.c.id < after)
            query = query.where(or_(claims.c.created_at < last, same_time))
        return await self._all(query, _claim)

    async def issuance(self, request: RequestId) -> Issuance | None:
        return await self._one(_ISSUANCE, request, _issuance)

    async def unfinished(self, limit: int) -> Sequence[Issuance]:
        query = select(issuances).where(issuances.c.progress == Progress.INTENDED.value)
        return await self._all(query.order_by(issuances.c.not_before).limit(limit), _issuance)

    async def certificate(self, fingerprint: str) -> Certificate | None:
        return await self._one(_BY_FINGERPRINT, fingerprint, _certificate)

    async def certificate_for(self, request: RequestId) -> Certificate | None:
        return await self._one(_BY_REQUEST, request, _certificate)

    async def certificate_by_serial(self, serial: str) -> Certificate | None:
        return await self._one(_BY_SERIAL, serial, _certificate)

    async def certificates(self, device: DeviceId, limit: int) -> Sequence[Certificate]:
        query = select(certificates).where(certificates.c.device == device)
        query = query.order_by(certificates.c.issued_at.desc(), certificates.c.serial).limit(limit)
        return await self._all(query, _certificate)

    async def revoked(self, now: datetime, limit: int, issuers: Sequence[str]) -> Sequence[tuple[int, datetime]]:
        query = select(certificates.c.serial, certificates.c.changed_at).where(
            certificates.c.state == CredentialState.REVOKED.value,
            certificates.c.not_after > now,
            certificates.c.issuer.in_(issuers),
        )
        rows = await self._database.read(
            lambda connection: connection.execute(query.order_by(certificates.c.serial).limit(limit)).all()
        )
        return [(int(row.serial, 16), row.changed_at) for row in rows]

    async def by_issuer(self, now: datetime) -> Mapping[str, int]:
        query = select(certificates.c.issuer, func.count().label("many")).where(certificates.c.not_after > now)
        rows = await self._database.read(
            lambda connection: connection.execute(query.group_by(certificates.c.issuer)).all()
        )
        return {row.issuer: row.many for row in rows}

    async def lives(self, now: datetime) -> Sequence[Lives]:
        given = {"at": to_microseconds(now)}
        rows = await self._database.read(lambda connection: connection.execute(_LIVES, given).all())
        return [
            Lives(DeviceClass(row.device_class), SiteName(row.site), row.algorithm, Life(row.life), row.many)
            for row in rows
        ]

    async def late(self, now: datetime, limit: int, after: str = "") -> Sequence[LateDevice]:
        query = select(_NEWEST.c.device, devices.c.device_class, devices.c.site, _NEWEST.c.began, _NEWEST.c.ends)
        query = query.join(devices, devices.c.id == _NEWEST.c.device).where(
            devices.c.standing != Standing.RETIRED.value,
            _life(bindparam("at")) == Life.LATE.value,
            _NEWEST.c.device > after,
        )
        given = {"at": to_microseconds(now)}
        rows = await self._database.read(
            lambda connection: connection.execute(query.order_by(_NEWEST.c.device).limit(limit), given).all()
        )
        return [LateDevice(*row) for row in rows]

    async def renewed(self, since: datetime) -> Mapping[DeviceClass, int]:
        query = select(issuances.c.device_class, func.count().label("many")).where(
            issuances.c.purpose == Purpose.RENEW.value,
            issuances.c.progress == Progress.ISSUED.value,
            issuances.c.not_before >= since,
        )
        rows = await self._database.read(
            lambda connection: connection.execute(query.group_by(issuances.c.device_class)).all()
        )
        return {DeviceClass(row.device_class): row.many for row in rows}

    async def held(self, device: DeviceId) -> tuple[CredentialState, UpdateEligibility] | None:
        rows = await self._database.read(lambda connection: connection.execute(_HELD, {"of": device}).all())
        holds = {row.point: row.holds for row in rows}
        if not {Point.CREDENTIAL.value, Point.UPDATE.value} <= set(holds):
            return None
        return CredentialState(holds[Point.CREDENTIAL.value]), UpdateEligibility(holds[Point.UPDATE.value])

    async def _one(self, query: Select[Any], of: str, read: Callable[[Row[Any]], T]) -> T | None:
        row = await self._database.read(lambda connection: connection.execute(query, {"of": of}).first())
        return None if row is None else read(row)

    async def _all(self, query: Select[Any], read: Callable[[Row[Any]], T]) -> Sequence[T]:
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        return [read(row) for row in rows]


def _run(connection: Connection, statement: Any, given: Mapping[str, Any]) -> None:
    connection.execute(statement, given)


def _row(value: Claim | Issuance | Certificate) -> Mapping[str, Any]:
    return {one.name: _plain(getattr(value, one.name)) for one in fields(value)}


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, ClaimState | Purpose | Progress | CredentialState) else value


def _claim(row: Row[Any]) -> Claim:
    return Claim(**{**row._mapping, "state": ClaimState(row.state)})


def _issuance(row: Row[Any]) -> Issuance:
    return Issuance(**{**row._mapping, "purpose": Purpose(row.purpose), "progress": Progress(row.progress)})


def _certificate(row: Row[Any]) -> Certificate:
    return Certificate(**{**row._mapping, "state": CredentialState(row.state)})
