"""Rollouts, parts and what runs on devices."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, and_, bindparam, case, func, insert, or_, select, update

from bastide.adapters.sql.columns import dump, load
from bastide.adapters.sql.database import Database, Unit
from bastide.adapters.sql.schema.rollouts import parts, rollouts, running
from bastide.adapters.sql.schema.state import devices
from bastide.core.error import Conflict, NotFound
from bastide.core.ids import DeviceId
from bastide.core.standing import Standing
from bastide.device.release.report import Report
from bastide.operations.rollout.abort import Cohort
from bastide.operations.rollout.rollout import Part, PartState, Phase, RingCount, Rollout, RolloutId, Target
from bastide.ports.platform.rollouts import Running

_SUCCEEDED = func.sum(case((parts.c.state == PartState.SUCCEEDED.value, 1), else_=0)).label("succeeded")
_FAILED = func.sum(case((parts.c.state == PartState.FAILED.value, 1), else_=0)).label("failed")
_BEGAN = func.count().label("many")
# A device polls far oftener than anything changes: these statements are made once.
_RUNNING = select(running).where(running.c.device == bindparam("of"))
_PART = select(parts).where(parts.c.rollout == bindparam("of"), parts.c.device == bindparam("for_device"))
_PARTS_OF = (
    select(parts).where(parts.c.device == bindparam("of")).order_by(parts.c.began.desc(), parts.c.rollout)
).limit(bindparam("most"))


class RolloutWrites:
    """Implements ports.platform.rollouts.RolloutWrites."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit

    def add(self, rollout: Rollout) -> None:
        row = _rollout_row(rollout)
        self._unit.change(lambda connection: _run(connection, insert(rollouts).values(row)))

    def put(self, rollout: Rollout) -> None:
        row = _rollout_row(replace(rollout, number=rollout.number + 1))
        same = (rollouts.c.id == rollout.id) & (rollouts.c.number == rollout.number)

        def apply(connection: Connection) -> None:
            if connection.execute(update(rollouts).where(same).values(row)).rowcount != 1:
                raise Conflict(f"The rollout {rollout.id} changed meanwhile. Look at it again.")

        self._unit.change(apply)

    def begin(self, part: Part) -> None:
        row = _part_row(part)
        turn = select(rollouts.c.id).where(
            rollouts.c.id == part.rollout, rollouts.c.phase == Phase.RUNNING.value, rollouts.c.ring >= part.ring
        )
        mine = (parts.c.rollout == part.rollout) & (parts.c.device == part.device)
        again = update(parts).where(mine, parts.c.state == PartState.FAILED.value, parts.c.tries == part.tries - 1)

        def apply(connection: Connection) -> None:
            if connection.execute(turn).first() is None:
                raise Conflict(f"The rollout {part.rollout} does not run, or this device's ring has not its turn.")
            if part.tries > 1:
                if connection.execute(again.values(row)).rowcount != 1:
                    raise Conflict(f"{part.device} is at it already, or done.")
            elif connection.execute(select(parts.c.device).where(mine)).first() is not None:
                raise Conflict(f"{part.device} is at it already, or done.")
            else:
                connection.execute(insert(parts).values(row))

        self._unit.change(apply)

    def answer(self, part: Part) -> None:
        mine = (parts.c.rollout == part.rollout) & (parts.c.device == part.device)
        open_ = mine & (parts.c.state == PartState.BEGAN.value) & (parts.c.tries == part.tries)
        row = _part_row(part)

        def apply(connection: Connection) -> None:
            if connection.execute(update(parts).where(open_).values(row)).rowcount != 1:
                raise Conflict(f"{part.device} has answered already.")

        self._unit.change(apply)

    def says(self, said: Running) -> None:
        report = said.report
        row = {
            "device": said.device,
            "hardware": report.hardware,
            "version": report.version,
            "counter": report.counter,
            "slot_octets": report.slot_octets,
            "sha256": report.sha256,
            "on_trial": report.on_trial,
            "components": dump(dict(report.components)),
            "reported_at": said.reported_at,
        }

        def apply(connection: Connection) -> None:
            if connection.execute(update(running).where(running.c.device == said.device).values(row)).rowcount != 1:
                connection.execute(insert(running).values(row))

        self._unit.change(apply)


class RolloutReads:
    """Implements ports.platform.rollouts.RolloutReads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, id: RolloutId) -> Rollout:
        found = await self._all(select(rollouts).where(rollouts.c.id == id))
        if not found:
            raise NotFound(f"There is no rollout {id}. `bastide rollout list` shows those that there are.")
        return _rollout(found[0])

    async def list(self, phases: Sequence[Phase], limit: int, before: str = "") -> Sequence[Rollout]:
        query = select(rollouts).order_by(rollouts.c.proposed_at.desc(), rollouts.c.id.desc()).limit(limit)
        if phases:
            query = query.where(rollouts.c.phase.in_([phase.value for phase in phases]))
        if before:
            last = select(rollouts.c.proposed_at).where(rollouts.c.id == before).scalar_subquery()
            same_time = and_(rollouts.c.proposed_at == last, rollouts.c.id < before)
            query = query.where(or_(rollouts.c.proposed_at < last, same_time))
        return [_rollout(row) for row in await self._all(query)]

    async def part(self, rollout: RolloutId, device: DeviceId) -> Part | None:
        found = await self._all(_PART, {"of": rollout, "for_device": device})
        return _part(found[0]) if found else None

    async def parts_of(self, device: DeviceId, limit: int) -> Sequence[Part]:
        return [_part(row) for row in await self._all(_PARTS_OF, {"of": device, "most": limit})]

    async def parts(self, rollout: RolloutId, state: PartState | None, limit: int, after: str = "") -> Sequence[Part]:
        query = select(parts).where(parts.c.rollout == rollout, parts.c.device > after)
        if state is not None:
            query = query.where(parts.c.state == state.value)
        return [_part(row) for row in await self._all(query.order_by(parts.c.device).limit(limit))]

    async def cohorts(self, rollout: RolloutId, after: datetime | None) -> Sequence[tuple[datetime, Cohort]]:
        query = select(parts.c.cohort, _BEGAN, _SUCCEEDED, _FAILED, func.max(parts.c.deadline).label("deadline"))
        query = query.where(parts.c.rollout == rollout)
        if after is not None:
            query = query.where(parts.c.cohort > after)
        found = await self._all(query.group_by(parts.c.cohort).order_by(parts.c.cohort))
        return [(row.cohort, Cohort(row.many, int(row.succeeded), int(row.failed), row.deadline)) for row in found]

    async def rings(self, rollout: RolloutId) -> Sequence[RingCount]:
        query = select(parts.c.ring, _BEGAN, _SUCCEEDED, _FAILED).where(parts.c.rollout == rollout)
        found = await self._all(query.group_by(parts.c.ring).order_by(parts.c.ring))
        return [RingCount(row.ring, row.many, int(row.succeeded), int(row.failed)) for row in found]

    async def began_in(self, rollout: RolloutId, ring: int) -> int:
        query = select(_BEGAN).where(parts.c.rollout == rollout, parts.c.ring == ring)
        return int((await self._all(query))[0].many)

    async def silent(self, rollout: RolloutId, now: datetime, limit: int) -> Sequence[Part]:
        query = select(parts).where(
            parts.c.rollout == rollout, parts.c.state == PartState.BEGAN.value, parts.c.deadline < now
        )
        return [_part(row) for row in await self._all(query.order_by(parts.c.deadline).limit(limit))]

    async def running(self, device: DeviceId) -> Running | None:
        found = await self._all(_RUNNING, {"of": device})
        return _running(found[0]) if found else None

    async def images(self) -> Mapping[str, int]:
        query = select(running.c.sha256, _BEGAN).where(running.c.on_trial.is_(False)).group_by(running.c.sha256)
        return {row.sha256: row.many for row in await self._all(query)}

    async def fleet(self, target: Target, limit: int, after: str = "") -> Sequence[tuple[DeviceId, Running | None]]:
        query = (
            select(devices.c.id, *(column for column in running.c))
            .outerjoin(running, running.c.device == devices.c.id)
            .where(devices.c.device_class == target.device_class, devices.c.standing != Standing.RETIRED.value)
            .where(devices.c.id > after)
        )
        if target.site:
            query = query.where(devices.c.site == target.site)
        if target.owner:
            query = query.where(devices.c.owner == target.owner)
        found = await self._all(query.order_by(devices.c.id).limit(limit))
        return [(DeviceId(row.id), None if row.device is None else _running(row)) for row in found]

    async def began(self, rollout: RolloutId, of: Sequence[DeviceId]) -> Mapping[DeviceId, PartState]:
        query = select(parts.c.device, parts.c.state).where(parts.c.rollout == rollout, parts.c.device.in_(of))
        return {DeviceId(row.device): PartState(row.state) for row in await self._all(query)}

    async def _all(self, query: Select[Any], given: Mapping[str, Any] | None = None) -> Sequence[Row[Any]]:
        return await self._database.read(lambda connection: connection.execute(query, given or {}).all())


def _run(connection: Connection, statement: Any) -> None:
    connection.execute(statement)


def _rollout_row(rollout: Rollout) -> dict[str, Any]:
    return {
        "id": rollout.id,
        "phase": rollout.phase.value,
        "ring": rollout.ring,
        "proposed_at": rollout.proposed_at,
        "number": rollout.number,
        "value": dump(rollout),
    }


def _rollout(row: Row[Any]) -> Rollout:
    return load(row.value, Rollout)


def _part_row(part: Part) -> dict[str, Any]:
    row = {one.name: getattr(part, one.name) for one in fields(part)}
    return {**row, "state": part.state.value}


def _part(row: Row[Any]) -> Part:
    return Part(**{**row._mapping, "state": PartState(row.state)})


def _running(row: Row[Any]) -> Running:
    components: dict[str, str] = load(row.components, dict[str, str])
    report = Report(row.hardware, row.version, row.counter, row.slot_octets, row.sha256, row.on_trial, components)
    return Running(DeviceId(row.device), report, row.reported_at)
