"""What old rows may go: every table that grows with time has a bound. The ledger keeps the record of each fact for ever.

Kept whatever its age: the newest facts of each kind about each subject (a posture looks at no more), and the newest decision on
each device. A round removes at most so many rows, so that writers never wait long.
"""

from datetime import datetime

from sqlalchemy import Connection, delete, func, select

from bastide.adapters.sql.database import Database, Unit
from bastide.adapters.sql.evidence import NEWEST_OF_A_KIND
from bastide.adapters.sql.schema.conversations import conversation_windows, conversations
from bastide.adapters.sql.schema.state import decisions, evidence

ROUND_ROWS = 5000


class SQLHousekeeping:
    """Implements ports.platform.housekeeping.Housekeeping."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def evidence(self, before: datetime) -> int:
        newest = (
            func.row_number()
            .over(
                partition_by=(evidence.c.subject_kind, evidence.c.subject_id, evidence.c.kind),
                order_by=evidence.c.observed_at.desc(),
            )
            .label("nth")
        )
        ranked = select(evidence.c.id, evidence.c.observed_at, newest).subquery()
        old = (
            select(ranked.c.id).where(ranked.c.nth > NEWEST_OF_A_KIND, ranked.c.observed_at < before).limit(ROUND_ROWS)
        )
        ids = [row.id for row in await self._database.read(lambda connection: connection.execute(old).all())]
        return await self._remove(evidence.c.id, ids)

    async def decisions(self, before: datetime) -> int:
        latest = select(func.max(decisions.c.sequence)).group_by(decisions.c.device)
        old = (
            select(decisions.c.sequence)
            .where(decisions.c.at < before, decisions.c.sequence.not_in(latest))
            .order_by(decisions.c.sequence)
            .limit(ROUND_ROWS)
        )
        keys = [row.sequence for row in await self._database.read(lambda connection: connection.execute(old).all())]
        return await self._remove(decisions.c.sequence, keys)

    async def conversations(self, before: datetime) -> int:
        hour, window = conversations.c.hour, conversation_windows.c
        oldest = select(hour).where(hour < before).group_by(hour).order_by(hour).limit(1)
        rows = await self._database.read(lambda connection: connection.execute(oldest).all())
        unit, removed = Unit(), [0]

        def apply(connection: Connection) -> None:
            # One hour at a time; a window that is handed in again so late would be counted again, and nobody does.
            if rows:
                removed[0] = connection.execute(delete(conversations).where(hour == rows[0].hour)).rowcount
            connection.execute(delete(conversation_windows).where(window.taken_at < before))

        unit.change(apply)
        await self._database.write(unit)
        return removed[0]

    async def _remove(self, column: object, keys: list[object]) -> int:
        for start in range(0, len(keys), 500):
            unit, some = Unit(), keys[start : start + 500]

            def apply(connection: Connection, some: list[object] = some) -> None:
                connection.execute(delete(column.table).where(column.in_(some)))  # type: ignore[attr-defined]

            unit.change(apply)
            await self._database.write(unit)
        return len(keys)
