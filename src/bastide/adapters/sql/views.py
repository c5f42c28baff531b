"""Views of the table of devices that people keep."""

from collections.abc import Sequence
from dataclasses import asdict

from sqlalchemy import Connection, delete, or_, select

from bastide.adapters.sql.database import Database, Unit
from bastide.adapters.sql.evidence import upsert
from bastide.adapters.sql.schema.views import saved_views
from bastide.ports.platform.views import SavedView


class ViewWrites:
    """Implements ports.platform.views.ViewWrites."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit

    def put(self, view: SavedView) -> None:
        row = asdict(view)

        def apply(connection: Connection) -> None:
            statement = upsert(connection, saved_views)
            newer = {name: statement.excluded[name] for name in ("query", "shared", "saved_at")}
            connection.execute(statement.on_conflict_do_update(index_elements=["person", "name"], set_=newer), row)

        self._unit.change(apply)

    def remove(self, person: str, name: str) -> None:
        gone = delete(saved_views).where(saved_views.c.person == person, saved_views.c.name == name)

        def apply(connection: Connection) -> None:
            connection.execute(gone)

        self._unit.change(apply)


class ViewReads:
    """Implements ports.platform.views.ViewReads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of(self, person: str) -> Sequence[SavedView]:
        table = saved_views.c
        query = (
            select(saved_views)
            .where(or_(table.person == person, table.shared))
            .order_by(table.person != person, table.name, table.person)
        )
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        return [SavedView(row.person, row.name, row.query, row.shared, row.saved_at) for row in rows]
