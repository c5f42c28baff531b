"""The enforcement points that are tables: the state of a device's certificates, and what updates it is offered.

Each refuses a plan older than the one that it holds, in the same transaction that would apply it. A revoked certificate
stays revoked, whatever a later plan says.
"""

from typing import Any

from sqlalchemy import Connection, select, update

from bastide.adapters.sql.database import Database, Unit
from bastide.adapters.sql.evidence import upsert
from bastide.adapters.sql.schema.credentials import certificates, enforced
from bastide.core.error import Refused
from bastide.core.plan import CredentialState, Outcome, Plan, Point
from bastide.ports.clock import Clock


class CredentialEnforcer:
    """Implements ports.network.Enforcer for the states of certificates: EST and the revocation list go by them."""

    point = Point.CREDENTIAL

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def apply(self, plan: Plan) -> Outcome:
        now = self._clock.now()
        unit = Unit()
        unit.change(_holding(plan, self.point, plan.credential.value, now))
        change = update(certificates).where(
            certificates.c.device == plan.device,
            certificates.c.state.not_in((CredentialState.REVOKED.value, plan.credential.value)),
        )
        change = change.values(state=plan.credential.value, changed_at=now)

        states = select(certificates.c.state).where(
            certificates.c.device == plan.device, certificates.c.not_after > now
        )
        measured: list[str] = []

        def apply(connection: Connection) -> None:
            connection.execute(change)
            measured[:] = sorted(set(connection.execute(states).scalars()))

        unit.change(apply)
        await self._database.write(unit)
        return Outcome(plan.device, self.point, plan.generation, now, ", ".join(measured) or plan.credential.value)


class UpdateEnforcer:
    """Implements ports.network.Enforcer for update eligibility, which device endpoints answer by."""

    point = Point.UPDATE

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def apply(self, plan: Plan) -> Outcome:
        now = self._clock.now()
        unit = Unit()
        unit.change(_holding(plan, self.point, plan.update.value, now))
        await self._database.write(unit)
        return Outcome(plan.device, self.point, plan.generation, now, plan.update.value)


def _holding(plan: Plan, point: Point, holds: str, now: Any) -> Any:
    """The change that makes a point hold the plan, or refuses it as stale."""
    row = {
        "device": plan.device,
        "point": point.value,
        "generation": plan.generation,
        "holds": holds,
        "applied_at": now,
    }

    def apply(connection: Connection) -> None:
        statement = upsert(connection, enforced)
        newer = {name: statement.excluded[name] for name in ("generation", "holds", "applied_at")}
        statement = statement.on_conflict_do_update(
            index_elements=["device", "point"],
            set_=newer,
            where=enforced.c.generation <= statement.excluded.generation,
        )
        if connection.execute(statement.returning(enforced.c.device), row).first() is None:
            raise Refused(
                f"The {point.value} point holds a newer plan of {plan.device} than generation {plan.generation}, which it was "
                "handed: read the current plan and apply that.",
                code="plan:generation:stale",
            )

    return apply
