"""Policies and waivers."""

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache

from sqlalchemy import Connection, insert, select

from bastide.adapters.sql.columns import dump, load
from bastide.adapters.sql.database import Database, Unit
from bastide.adapters.sql.evidence import upsert
from bastide.adapters.sql.schema.state import policies, waivers
from bastide.core.decision import Policy, Waiver
from bastide.core.error import NotFound


class PolicyWrites:
    """Implements ports.platform.units.PolicyWrites."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit

    def put(self, policy: Policy, document: str, at: datetime) -> None:
        row = {"digest": policy.digest, "at": at, "document": document, "value": dump(policy)}

        def apply(connection: Connection) -> None:
            connection.execute(insert(policies), row)

        self._unit.change(apply)


_LATEST = select(policies.c.value, policies.c.document).order_by(policies.c.sequence.desc()).limit(1)


@lru_cache(maxsize=4)
def _policy(value: str) -> Policy:
    """Read once for all decisions by it."""
    return load(value, Policy)


class PolicyReads:
    """Implements ports.platform.stores.PolicyReads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def current(self) -> Policy:
        value, _ = await self._latest()
        return _policy(value)

    async def document(self) -> str:
        _, document = await self._latest()
        return document

    async def _latest(self) -> tuple[str, str]:
        row = await self._database.read(lambda connection: connection.execute(_LATEST).first())
        if row is None:
            raise NotFound("No policy is in force yet. Starting the controller puts the built-in one in force.")
        return row.value, row.document


class WaiverWrites:
    """Implements ports.platform.units.WaiverWrites."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit

    def put(self, waiver: Waiver) -> None:
        row = {
            "id": waiver.id,
            "starts_at": waiver.starts_at,
            "ends_at": waiver.ends_at,
            "value": dump(waiver),
        }

        def apply(connection: Connection) -> None:
            statement = upsert(connection, waivers)
            newer = {name: statement.excluded[name] for name in ("starts_at", "ends_at", "value")}
            connection.execute(statement.on_conflict_do_update(index_elements=["id"], set_=newer), row)

        self._unit.change(apply)


class WaiverReads:
    """Implements ports.platform.stores.WaiverReads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def in_force(self, now: datetime) -> Sequence[Waiver]:
        query = select(waivers.c.value).where(waivers.c.starts_at <= now, waivers.c.ends_at > now)
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        return [load(row.value, Waiver) for row in rows]
