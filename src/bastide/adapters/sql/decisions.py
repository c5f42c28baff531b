"""Decisions, plans, and what each enforcement point holds."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, func, insert, select

from bastide.adapters.sql.columns import EPOCH, dump, load
from bastide.adapters.sql.database import Database, Unit
from bastide.adapters.sql.evidence import upsert
from bastide.adapters.sql.schema.state import decisions, outcomes, plans
from bastide.core.decision import Decision
from bastide.core.ids import DeviceId
from bastide.core.plan import Outcome, Plan, Point


class DecisionWrites:
    """Implements ports.platform.units.DecisionWrites."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit

    def put(self, decision: Decision) -> None:
        row = {"device": decision.device, "at": decision.at, "value": dump(decision)}

        def apply(connection: Connection) -> None:
            connection.execute(insert(decisions), row)

        self._unit.change(apply)


class DecisionReads:
    """Implements ports.platform.stores.DecisionReads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def latest(self, device: DeviceId) -> Decision | None:
        found = await self.history(device, EPOCH, 1)
        return found[0] if found else None

    async def history(self, device: DeviceId | None, since: datetime, limit: int) -> Sequence[Decision]:
        query = select(decisions.c.value).where(decisions.c.at >= since)
        if device is not None:
            query = query.where(decisions.c.device == device)
        query = query.order_by(decisions.c.sequence.desc()).limit(limit)
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        return [load(row.value, Decision) for row in rows]


class PlanWrites:
    """Implements ports.platform.units.PlanWrites."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit

    def put(self, plan: Plan) -> None:
        row = {"device": plan.device, "generation": plan.generation, "value": dump(plan)}

        def apply(connection: Connection) -> None:
            statement = upsert(connection, plans)
            newer = {name: statement.excluded[name] for name in ("generation", "value")}
            connection.execute(statement.on_conflict_do_update(index_elements=["device"], set_=newer), row)

        self._unit.change(apply)

    def applied(self, outcome: Outcome) -> None:
        row: dict[str, Any] = {
            "device": outcome.device,
            "point": outcome.point.value,
            "generation": outcome.generation,
            "applied_at": outcome.applied_at,
            "holds": outcome.holds,
            "error": outcome.error,
        }

        def apply(connection: Connection) -> None:
            statement = upsert(connection, outcomes)
            newer = {name: statement.excluded[name] for name in ("generation", "applied_at", "holds", "error")}
            # An outcome that arrives late must not hide what a newer plan did.
            statement = statement.on_conflict_do_update(
                index_elements=["device", "point"],
                set_=newer,
                where=outcomes.c.generation <= statement.excluded.generation,
            )
            connection.execute(statement, row)

        self._unit.change(apply)


class PlanReads:
    """Implements ports.platform.stores.PlanReads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def current(self, device: DeviceId) -> Plan | None:
        query = select(plans.c.value).where(plans.c.device == device)
        row = await self._database.read(lambda connection: connection.execute(query).first())
        return None if row is None else load(row.value, Plan)

    async def outcomes(self, device: DeviceId) -> Sequence[Outcome]:
        query = select(outcomes).where(outcomes.c.device == device).order_by(outcomes.c.point)
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        return [
            Outcome(
                device=DeviceId(row.device),
                point=Point(row.point),
                generation=row.generation,
                applied_at=row.applied_at,
                holds=row.holds,
                error=row.error,
            )
            for row in rows
        ]

    async def unapplied(self, limit: int) -> Sequence[Plan]:
        in_force = and_(
            outcomes.c.device == plans.c.device, outcomes.c.generation == plans.c.generation, outcomes.c.error == ""
        )
        held = select(func.count()).select_from(outcomes).where(in_force).scalar_subquery()
        query = select(plans.c.value).where(held < len(Point)).limit(limit)
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        return [load(row.value, Plan) for row in rows]
