"""A ledger over a real database, with a signer in memory."""

from dataclasses import dataclass

from sqlalchemy import text

from bastide.adapters.sql.database import Database
from bastide.adapters.sql.ledger_reads import LedgerReads
from bastide.adapters.sql.ledger_tree import SQLLedgerTree
from bastide.adapters.sql.units import SQLUnitsOfWork
from bastide.core.ids import RecordId
from bastide.flows.sequence_ledger import Sequencer
from bastide.testing import FakeClock, MemorySigner, SequentialIds
from bastide.wire.note import VerifierKey

ORIGIN = "bastide/test"


@dataclass(slots=True)
class Ledger:
    """A ledger with everything around it."""

    database: Database
    units: SQLUnitsOfWork
    reads: LedgerReads
    tree: SQLLedgerTree
    signer: MemorySigner
    sequencer: Sequencer

    @property
    def key(self) -> VerifierKey:
        return VerifierKey(ORIGIN, self.signer.checkpoint_key.public_key().public_bytes_raw())

    async def write(self, count: int, kind: str = "test:made", subject: str = "device:d-1") -> list[RecordId]:
        async with self.units("test") as work:
            return [work.ledger.record(kind, subject, {"number": number}) for number in range(count)]

    async def integrate(self) -> None:
        while await self.sequencer.integrate() is not None:
            pass

    async def bodies(self) -> list[bytes]:
        rows = await self.database.read(
            lambda connection: connection.execute(text("SELECT body FROM ledger_records ORDER BY position")).all()
        )
        return [bytes(row.body) for row in rows]


def ledger_over(database: Database, signer: MemorySigner, ids: SequentialIds, clock: FakeClock) -> Ledger:
    """A ledger in a migrated database."""
    reads, tree = LedgerReads(database), SQLLedgerTree(database)
    return Ledger(
        database,
        SQLUnitsOfWork(database, clock, ids),
        reads,
        tree,
        signer,
        Sequencer(tree, signer, ORIGIN, reads.announce),
    )
