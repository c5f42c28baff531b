"""Devices."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, bindparam, case, func, insert, or_, select, update

from bastide.adapters.sql.columns import dump, load
from bastide.adapters.sql.database import Database, Unit
from bastide.adapters.sql.schema.state import devices
from bastide.core.device import Attribute, Device
from bastide.core.error import Conflict, NotFound
from bastide.core.ids import DeviceClass, DeviceId, OwnerName, ProfileName, SiteName, ZoneName
from bastide.core.standing import Stage, Standing
from bastide.ports.platform.stores import EVERYTHING, DeviceFilter, Scope

_INSERT = insert(devices)
_SEEN_THEN = bindparam("last_seen_then", type_=devices.c.last_seen.type)
_UPDATE = (
    update(devices)
    .where(devices.c.id == bindparam("of_id"), devices.c.version == bindparam("of_version"))
    # Whoever decides on an older reading must not set last_seen back: messages arrive meanwhile, and take no version.
    .values(
        last_seen=case(
            (or_(_SEEN_THEN.is_(None), devices.c.last_seen > _SEEN_THEN), devices.c.last_seen), else_=_SEEN_THEN
        )
    )
)
_SEEN = (
    update(devices)
    .where(
        devices.c.id == bindparam("of_id"),
        or_(devices.c.last_seen.is_(None), devices.c.last_seen < bindparam("seen_at")),
    )
    .values(last_seen=bindparam("seen_at"))
)
_HOLDING = tuple(
    devices.c[name]
    for name in (
        "attributes", "name", "id", "device_class", "owner", "site", "zone", "profile", "standing", "stage",
    )
)  # fmt: skip
_GET = select(devices).where(devices.c.id == bindparam("of_id"))


class DeviceWrites:
    """Implements ports.platform.units.DeviceWrites."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit

    def add(self, device: Device) -> None:
        row = _row(device)

        def apply(connection: Connection) -> None:
            connection.execute(_INSERT, row)

        self._unit.change(apply)

    def put(self, device: Device) -> None:
        row = _row(device) | {"version": device.version + 1, "of_id": device.id, "of_version": device.version}
        row["last_seen_then"] = row.pop("last_seen")

        def apply(connection: Connection) -> None:
            if connection.execute(_UPDATE, row).rowcount != 1:
                raise Conflict(
                    f"Device {device.id} was changed by somebody else since version {device.version}, or is gone. "
                    "Read it again and decide again."
                )

        self._unit.change(apply)

    def seen(self, last_seen: Mapping[DeviceId, datetime]) -> None:
        rows = [{"of_id": device, "seen_at": at} for device, at in last_seen.items()]
        if rows:
            self._unit.change(lambda connection: _executed(connection, rows))


def _executed(connection: Connection, rows: list[dict[str, Any]]) -> None:
    connection.execute(_SEEN, rows)


class DeviceReads:
    """Implements ports.platform.stores.DeviceReads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, device: DeviceId) -> Device:
        row = await self._database.read(lambda connection: connection.execute(_GET, {"of_id": device}).first())
        if row is None:
            raise NotFound(f"There is no device {device}. `bastide device list` shows those that there are.")
        return _device(row)

    async def list(self, wanted: DeviceFilter) -> Sequence[Device]:
        query = _scoped(select(devices), wanted.scope).where(devices.c.id > wanted.after)
        if wanted.text:
            like = f"%{_escaped(wanted.text.lower())}%"
            columns = (devices.c.id, devices.c.name, devices.c.owner, devices.c.device_class, devices.c.site)
            query = query.where(or_(*(func.lower(column).like(like, escape="\\") for column in columns)))
        for word in wanted.holding:
            like = f"%{_escaped(word)}%"
            query = query.where(or_(*(func.lower(column).like(like, escape="\\") for column in _HOLDING)))
        if wanted.standings:
            query = query.where(devices.c.standing.in_([standing.value for standing in wanted.standings]))
        if wanted.classes:
            query = query.where(devices.c.device_class.in_(wanted.classes))
        if wanted.profiles:
            query = query.where(devices.c.profile.in_(wanted.profiles))
        if wanted.sites:
            query = query.where(devices.c.site.in_(wanted.sites))
        query = query.order_by(devices.c.id).limit(wanted.limit)
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        return [_device(row) for row in rows]

    async def count_by_standing(self, scope: Scope = EVERYTHING) -> dict[Standing, int]:
        query = _scoped(select(devices.c.standing, func.count()), scope).group_by(devices.c.standing)
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        return {Standing(standing): count for standing, count in rows}

    async def due(self, now: datetime, limit: int) -> Sequence[DeviceId]:
        query = (
            select(devices.c.id).where(devices.c.reconsider_at <= now).order_by(devices.c.reconsider_at).limit(limit)
        )
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        return [DeviceId(row.id) for row in rows]


def _scoped(query: Select[Any], scope: Scope) -> Select[Any]:
    if scope.sites:
        query = query.where(devices.c.site.in_(scope.sites))
    if scope.classes:
        query = query.where(devices.c.device_class.in_(scope.classes))
    return query


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _row(device: Device) -> dict[str, Any]:
    return {
        "id": device.id,
        "device_class": device.device_class,
        "owner": device.owner,
        "site": device.site,
        "zone": device.zone,
        "profile": device.profile,
        "name": device.name,
        "standing": device.standing.value,
        "stage": device.stage.value,
        "generation": device.generation,
        "version": device.version,
        "created_at": device.created_at,
        "decided_at": device.decided_at,
        "reconsider_at": device.reconsider_at,
        "last_seen": device.last_seen,
        "attributes": dump(device.attributes),
    }


def _device(row: Row[Any]) -> Device:
    return Device(
        id=DeviceId(row.id),
        device_class=DeviceClass(row.device_class),
        owner=OwnerName(row.owner),
        site=SiteName(row.site),
        zone=ZoneName(row.zone),
        profile=ProfileName(row.profile),
        name=row.name,
        standing=Standing(row.standing),
        stage=Stage(row.stage),
        generation=row.generation,
        version=row.version,
        created_at=row.created_at,
        decided_at=row.decided_at,
        reconsider_at=row.reconsider_at,
        last_seen=row.last_seen,
        attributes=load(row.attributes, tuple[Attribute, ...]),
    )
