"""The ledger as flows and the console read it."""

import asyncio
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, func, select

from bastide.adapters.sql.database import Database
from bastide.adapters.sql.schema.ledger import ledger_checkpoints, ledger_personal, ledger_records, ledger_tiles
from bastide.core.audit import Checkpoint, Personal, Record
from bastide.core.error import NotFound
from bastide.core.ids import RecordId
from bastide.core.merkle import HASH_BYTES
from bastide.governance.audit.personal import Kept
from bastide.governance.audit.record import ERASED, commitments, opened, read_record
from bastide.governance.audit.tree import TILE_BYTES, TileReader, inclusion
from bastide.ports.platform.ledger import InclusionProof
from bastide.wire.checkpoint import peek

# Another controller may be the one that integrates; its checkpoints are seen by asking.
ASK_AGAIN_SECONDS = 0.1


class LedgerReads:
    """Implements ports.platform.ledger.Ledger. ``announce`` is for the sequencer of this process."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._news = asyncio.Event()
        self._latest: Checkpoint | None = None

    def announce(self, checkpoint: Checkpoint) -> None:
        """Wakes everybody who waits for integration."""
        self._latest = checkpoint
        self._news.set()
        self._news = asyncio.Event()

    async def get(self, record: RecordId) -> Record:
        def ask(connection: Connection) -> Sequence[Record]:
            return _records(connection, [_row(connection, record)])

        found = await self._database.read(ask)
        if not found:
            raise NotFound(f"The body of record {record} was pruned; its hash is still in the tree.")
        return found[0]

    async def about(self, subject: str, limit: int) -> Sequence[Record]:
        wanted = select(ledger_records).where(ledger_records.c.subject == subject)
        newest = wanted.order_by(ledger_records.c.position.desc()).limit(limit)
        return await self._database.read(lambda connection: _records(connection, connection.execute(newest).all()))

    async def recent(self, limit: int, kind: str = "", before: RecordId | None = None) -> Sequence[Record]:
        def ask(connection: Connection) -> Sequence[Record]:
            wanted = select(ledger_records).order_by(ledger_records.c.position.desc()).limit(limit)
            if before is not None:
                wanted = wanted.where(ledger_records.c.position < _row(connection, before).position)
            if not kind:
                return _records(connection, connection.execute(wanted).all())
            rows: list[Row[Any]] = []
            for one in _kinds(connection, kind):  # each by its index; one range over all would have to be sorted
                rows.extend(connection.execute(wanted.where(ledger_records.c.kind == one)))
            rows.sort(key=lambda row: -row.position)
            return _records(connection, rows[:limit])

        return await self._database.read(ask)

    async def checkpoint(self) -> Checkpoint | None:
        return await self._database.read(latest_checkpoint)

    async def integrated(self, record: RecordId) -> Checkpoint:
        position = await self._database.read(lambda connection: _row(connection, record).position)
        while True:
            news = self._news
            known = self._latest
            if known is None or known.size <= position:
                known = await self.checkpoint()
            if known is not None and known.size > position:
                return known
            try:
                await asyncio.wait_for(news.wait(), ASK_AGAIN_SECONDS)
            except TimeoutError:
                continue

    async def prove(self, record: RecordId) -> InclusionProof:
        checkpoint = await self.integrated(record)

        def ask(connection: Connection) -> InclusionProof:
            row = _row(connection, record)
            if row.body is None:
                raise NotFound(f"The body of record {record} was pruned; export its hash with `bastide audit export`.")
            path = inclusion(row.position, checkpoint.size, tiles_of(connection))
            return InclusionProof(record, bytes(row.body), row.position, tuple(path), checkpoint)

        return await self._database.read(ask)

    async def personal(self, value: str) -> Sequence[str]:
        """The commitments of every fact that is this value: what to erase when a person asks for it."""
        wanted = select(ledger_personal.c.commitment).where(ledger_personal.c.value == value)
        return await self._database.read(lambda connection: list(connection.scalars(wanted)))


def latest_checkpoint(connection: Connection) -> Checkpoint | None:
    """The newest of the open shard."""
    newest = select(ledger_checkpoints.c.note).order_by(
        ledger_checkpoints.c.shard.desc(), ledger_checkpoints.c.size.desc()
    )
    note = connection.scalar(newest.limit(1))
    return None if note is None else peek(note)


def tiles_of(connection: Connection, shard: int = 0) -> TileReader:
    """Reads tiles by that connection."""
    table = ledger_tiles.c

    def read(level: int, number: int) -> bytes:
        where = (table.shard == shard, table.level == level, table.number == number)
        stored = connection.scalar(select(table.hashes).where(*where))
        hashes = b"" if stored is None else bytes(stored)
        return hashes if len(hashes) <= TILE_BYTES and len(hashes) % HASH_BYTES == 0 else b""

    return read


def kept_facts(connection: Connection, wanted: Sequence[str]) -> dict[str, Kept]:
    """What is still kept of these commitments, and holds."""
    found: dict[str, Kept] = {}
    for start in range(0, len(wanted), 500):
        some = select(ledger_personal).where(ledger_personal.c.commitment.in_(wanted[start : start + 500]))
        for row in connection.execute(some):
            kept = Kept(row.commitment, bytes(row.salt), row.value)
            if kept.holds:
                found[kept.commitment] = kept
    return found


def _row(connection: Connection, record: RecordId) -> Row[Any]:
    row = connection.execute(select(ledger_records).where(ledger_records.c.id == record)).one_or_none()
    if row is None:
        raise NotFound(f"The ledger holds no record {record}.")
    return row


def _records(connection: Connection, rows: Sequence[Row[Any]]) -> Sequence[Record]:
    stored = [read_record(bytes(row.body)) for row in rows if row.body is not None]
    kept = kept_facts(connection, [one for record in stored for one in commitments(record)])
    return [opened(one, lambda known: Personal(kept[known].value) if known in kept else ERASED) for one in stored]


def _kinds(connection: Connection, prefix: str) -> list[str]:
    """The kinds that begin so, found by jumping through the index from one to the next."""
    found: list[str] = []
    column = ledger_records.c.kind
    step = column >= prefix
    while True:
        kind = connection.scalar(select(func.min(column)).where(step))
        if kind is None or not kind.startswith(prefix):
            return found
        found.append(kind)
        step = column > kind
