"""The tree of the open shard: its tiles and checkpoints, and who may make them grow."""

import asyncio
from collections.abc import Sequence

from sqlalchemy import Connection, delete, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError

from bastide.adapters.sql.database import Database, Unit
from bastide.adapters.sql.ledger_reads import latest_checkpoint, tiles_of
from bastide.adapters.sql.schema.ledger import ledger_checkpoints, ledger_records, ledger_shards, ledger_tiles
from bastide.core.audit import Checkpoint
from bastide.core.error import Conflict
from bastide.governance.audit.tree import Edge, Tile, consistency, edge_of, remembering, root_of
from bastide.ports.platform.ledger import TreeState

SEQUENCER_LOCK = 0x62617374_00000002

# Newer checkpoints prove the older ones; this many are kept for auditors who hold an old one and ask for it by size.
KEPT_CHECKPOINTS = 10_000


class SQLLedgerTree:
    """Implements ports.platform.ledger.LedgerTree. Close it: on PostgreSQL it holds a connection while it leads."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._leading: Connection | None = None

    async def lead(self) -> bool:
        if self._database.dialect != "postgresql":
            return True  # one controller has a SQLite file, and `store` refuses a second one's round
        return await asyncio.to_thread(self._lead)

    async def close(self) -> None:
        if self._leading is not None:
            await asyncio.to_thread(self._resign)

    async def state(self) -> TreeState:
        def ask(connection: Connection) -> TreeState:
            shard = connection.execute(select(ledger_shards).order_by(ledger_shards.c.shard.desc()).limit(1)).first()
            last = connection.scalar(select(func.max(ledger_records.c.position)))
            checkpoint = latest_checkpoint(connection)
            recorded = 0 if last is None else last + 1
            return TreeState(shard.shard if shard else 0, shard.origin if shard else "", checkpoint, recorded)

        return await self._database.read(ask)

    async def leaves(self, start: int, limit: int) -> Sequence[bytes]:
        table = ledger_records.c
        some = (
            select(table.leaf).where(table.position >= start, table.position < start + limit).order_by(table.position)
        )
        return await self._database.read(lambda connection: [bytes(leaf) for leaf in connection.scalars(some)])

    async def edge(self, size: int) -> Edge:
        return await self._database.read(lambda connection: edge_of(size, tiles_of(connection)))

    async def consistency(self, old: int, new: int, over: Sequence[Tile]) -> Sequence[bytes]:
        return await self._database.read(
            lambda connection: consistency(old, new, remembering(tiles_of(connection), over))
        )

    async def root(self, size: int, over: Sequence[Tile]) -> bytes:
        return await self._database.read(lambda connection: root_of(size, remembering(tiles_of(connection), over)))

    async def store(self, old: TreeState, tiles: Sequence[Tile], checkpoint: Checkpoint) -> None:
        rows = [
            {"shard": old.shard, "level": tile.level, "number": tile.number, "hashes": tile.hashes} for tile in tiles
        ]

        def change(connection: Connection) -> None:
            now = latest_checkpoint(connection)
            if (now.size if now else 0) != old.size or (now is None) != (old.checkpoint is None):
                raise Conflict("Another controller integrated these records first; nothing was changed.")
            if old.origin == "":
                opening = {"shard": old.shard, "origin": checkpoint.origin, "first": 0}
                connection.execute(ledger_shards.insert(), opening)
            if rows:
                _replace_tiles(connection, rows)
            head = {"shard": old.shard, "size": checkpoint.size, "root": checkpoint.root, "note": checkpoint.note}
            connection.execute(ledger_checkpoints.insert(), head)
            _forget_old(connection, old.shard)

        unit = Unit()
        unit.change(change)
        await self._database.write(unit)

    def _lead(self) -> bool:
        try:
            if self._leading is not None:
                self._leading.exec_driver_sql("SELECT 1")  # the lock lives as long as this connection does
                return True
            connection = self._database.reader.connect().execution_options(isolation_level="AUTOCOMMIT")
            if connection.exec_driver_sql(f"SELECT pg_try_advisory_lock({SEQUENCER_LOCK})").scalar():
                self._leading = connection
                return True
            connection.close()
        except DBAPIError:
            self._resign()
        return False

    def _resign(self) -> None:
        leading, self._leading = self._leading, None
        if leading is not None:
            leading.invalidate()  # back in the pool it would still hold the lock
            leading.close()


def _replace_tiles(connection: Connection, rows: Sequence[dict[str, object]]) -> None:
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    new = dialect.insert(ledger_tiles)
    key = (ledger_tiles.c.shard, ledger_tiles.c.level, ledger_tiles.c.number)
    connection.execute(new.on_conflict_do_update(index_elements=key, set_={"hashes": new.excluded.hashes}), rows)


def _forget_old(connection: Connection, shard: int) -> None:
    table = ledger_checkpoints.c
    newest = select(table.size).where(table.shard == shard).order_by(table.size.desc())
    edge = connection.scalar(newest.offset(KEPT_CHECKPOINTS).limit(1))
    if edge is not None:
        connection.execute(delete(ledger_checkpoints).where(table.shard == shard, table.size <= edge))
