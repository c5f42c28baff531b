"""The inventory's keys."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection, select

from bastide.adapters.sql.database import Database, Unit
from bastide.adapters.sql.evidence import upsert
from bastide.adapters.sql.schema.inventory import inventory_keys
from bastide.core.ids import DeviceId


class InventoryWrites:
    """Implements ports.platform.inventory.InventoryWrites."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit

    def bind(self, key: str, device: DeviceId, at: datetime) -> None:
        row = {"key": key, "device": device, "bound_at": at}

        def apply(connection: Connection) -> None:
            statement = upsert(connection, inventory_keys)
            newer = {name: statement.excluded[name] for name in ("device", "bound_at")}
            connection.execute(statement.on_conflict_do_update(index_elements=["key"], set_=newer), row)

        self._unit.change(apply)


class InventoryReads:
    """Implements ports.platform.inventory.InventoryReads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def bound(self, keys: Sequence[str]) -> Mapping[str, DeviceId]:
        if not keys:
            return {}
        query = select(inventory_keys.c.key, inventory_keys.c.device).where(inventory_keys.c.key.in_(keys))
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        return {row.key: DeviceId(row.device) for row in rows}

    async def keys_of(self, device: DeviceId) -> Sequence[str]:
        query = select(inventory_keys.c.key).where(inventory_keys.c.device == device).order_by(inventory_keys.c.key)
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        return [row.key for row in rows]
