"""Two things that an operator does to the ledger: erase a person's facts, and prune the bodies of old records.

Both leave the tree as it is. Each is recorded: an erasure in the same transaction, pruning before it begins.
"""

import asyncio
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Protocol

from bastide.core.error import Refused, Unavailable
from bastide.governance.audit.pruning import PRUNED_KIND, pruning
from bastide.ports.platform.ledger import LedgerUpkeep, UpkeepWrites

# One transaction's share, so that nobody waits long for the writer.
PRUNED_AT_ONCE = 5_000
SIGNED_WITHIN_SECONDS = 15.0


class UpkeepUnit(Protocol):
    @property
    def ledger(self) -> UpkeepWrites: ...


class UpkeepUnits(Protocol):
    def __call__(self, actor: str) -> AbstractAsyncContextManager[UpkeepUnit]: ...


async def erase_person(value: str, *, actor: str, units: UpkeepUnits, upkeep: LedgerUpkeep) -> int:
    """Erases every personal fact of the ledger that is this value; how many there were."""
    facts = await upkeep.personal(value)
    if facts:
        async with units(actor) as work:
            work.ledger.erase(facts)
    return len(facts)


async def prune_ledger(before: int, *, actor: str, units: UpkeepUnits, upkeep: LedgerUpkeep) -> int:
    """Prunes the bodies of records with an index below ``before``, which must be under a checkpoint; how many went."""
    checkpoint = await upkeep.checkpoint()
    signed = checkpoint.size if checkpoint is not None else 0
    if before > signed:
        raise Refused(f"Only signed records can be pruned: {signed} are, and {before} was asked for.")
    async with units(actor) as work:
        record = work.ledger.record(PRUNED_KIND, "ledger", pruning(before))
    try:
        async with asyncio.timeout(SIGNED_WITHIN_SECONDS):
            await upkeep.integrated(record)
    except TimeoutError as late:
        raise Unavailable(
            "Pruning begins when the record of it is signed, and it was not: start Bastide, and try again."
        ) from late
    went = 0
    for first in range(0, before, PRUNED_AT_ONCE):
        went += await upkeep.prune(first, min(first + PRUNED_AT_ONCE, before))
    return went


async def index_at(at: datetime, upkeep: LedgerUpkeep) -> int:
    """The index of the first record that is not older than ``at``."""
    checkpoint = await upkeep.checkpoint()
    low, high = 0, checkpoint.size if checkpoint is not None else 0
    while low < high:
        middle = (low + high) // 2
        written = await upkeep.written_at(middle)
        if written is None or written < at:
            low = middle + 1
        else:
            high = middle
    return low
