"""The sequencer: brings committed records under a signed tree head, within a second.

    committed records ─► leaves ─► tiles and root ─► signer (proves that it extends the last one) ─► tiles + checkpoint

A round stores tiles and checkpoint in one transaction after the signature, and both follow from records that are durable
before it begins. So a round that was cut off anywhere is simply done again, from the head that the signer signed last.

The signer remembers the last head that it signed. A database whose records do not lead to that head is older than the
ledger it claims to be, or another one: :func:`refuse_rollback` refuses it before anything is written.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence

from bastide.core.audit import Checkpoint, Record
from bastide.core.error import BastideError, Conflict, Unavailable
from bastide.core.ids import RequestId
from bastide.governance.audit.tree import Edge, Tile, grow
from bastide.ports.keys import Signer
from bastide.ports.platform.ledger import LedgerTree, TreeState

# A round of this many records takes about a tenth of a second of computing, so that others get their turn.
ROUND_RECORDS = 16_384
# Records of this long share one signature and its two fsyncs.
GATHER_SECONDS = 0.05
# How often to look for records that another controller committed, and for the lead.
LOOK_SECONDS = 0.5
MAX_BACK_OFF_SECONDS = 5.0

logger = logging.getLogger(__name__)


class DatabaseSetBack(BastideError):
    """The database is older than the last tree head that the signer signed, or is another ledger's."""

    code = "ledger:database:set-back"


async def refuse_rollback(tree: LedgerTree, signer: Signer, origin: str) -> None:
    """Raises ``DatabaseSetBack`` unless the database leads to the last head that the signer signed. Changes nothing."""
    state = await tree.state()
    if state.origin not in ("", origin):
        raise DatabaseSetBack(
            f"The database holds the ledger {state.origin}, and this signer signs for {origin}: "
            "start with the data directory and the database that belong together."
        )
    last = await signer.last_checkpoint()
    if last is None:
        if state.checkpoint is not None:
            raise DatabaseSetBack(
                f"The database has a signed ledger of {state.checkpoint.size} records, and the signer has signed none: "
                "put back the signer's folder that belongs to this database."
            )
        return
    size, root = last
    if state.recorded < size:
        raise DatabaseSetBack(
            f"The database holds {state.recorded} ledger records, and the signer has signed a ledger of {size}: "
            "this is an older copy of the database. Put back the newest one; nothing was changed."
        )
    edge, tiles = await _grown(tree, state, max(state.size, size))
    found = edge.root if edge.size == size else await tree.root(size, tiles)
    if found != root:
        raise DatabaseSetBack(
            f"The first {size} ledger records of the database are not those that the signer signed: the database was set "
            "back and written on, or changed. Put back the newest copy, and see what `bastide audit verify` names."
        )


class Sequencer:
    """A worker: :meth:`run` until cancelled. Hand :meth:`wake` to ``on_committed``."""

    def __init__(
        self, tree: LedgerTree, signer: Signer, origin: str, announce: Callable[[Checkpoint], None] = lambda _: None
    ) -> None:
        self._tree = tree
        self._signer = signer
        self._origin = origin
        self._announce = announce
        self._woken = asyncio.Event()
        self._signed: int | None = None

    def wake(self, records: Sequence[Record]) -> None:
        """There may be something to integrate."""
        self._woken.set()

    async def run(self) -> None:
        back_off = GATHER_SECONDS
        while True:
            self._woken.clear()
            try:
                grown = await self._tree.lead() and await self.integrate() is not None
            except (Unavailable, Conflict) as error:
                self._signed = None
                logger.warning("the ledger waits: %s", error.sentence, extra={"code": error.reason})
                back_off = min(2 * back_off, MAX_BACK_OFF_SECONDS)
                await asyncio.sleep(back_off)
                continue
            back_off = GATHER_SECONDS
            if grown:
                await asyncio.sleep(GATHER_SECONDS)
                continue
            try:
                # Not wait_for: in Python 3.11 it swallows a cancellation that comes together with what it waits for.
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._woken.wait()
            except TimeoutError:
                continue

    async def integrate(self) -> Checkpoint | None:
        """One round; None where everything is integrated already."""
        state = await self._tree.state()
        signed = await self._last_signed()
        target = min(state.recorded, max(state.size + ROUND_RECORDS, signed))
        if target == state.size and state.checkpoint is not None:
            return None
        edge, tiles = await _grown(self._tree, state, target)
        if edge.size == 0:
            return None
        # Against the signer's last head, which is ahead of the stored one where a round was cut off after the signature.
        proof = await self._tree.consistency(signed, edge.size, tiles) if signed < edge.size else ()
        request = RequestId(f"checkpoint:{state.shard}:{signed}-{edge.size}:{edge.root.hex()[:32]}")
        note = await self._signer.checkpoint(
            request, origin=self._origin, size=edge.size, root=edge.root, consistency=proof
        )
        checkpoint = Checkpoint(self._origin, edge.size, edge.root, note)
        self._signed = edge.size
        await self._tree.store(state, tiles, checkpoint)
        self._announce(checkpoint)
        return checkpoint

    async def _last_signed(self) -> int:
        """The size that the signer signed last; asked once, and again after anything went wrong."""
        if self._signed is None:
            last = await self._signer.last_checkpoint()
            self._signed = last[0] if last is not None else 0
        return self._signed


async def _grown(tree: LedgerTree, state: TreeState, target: int) -> tuple[Edge, list[Tile]]:
    """The edge at ``target`` records, and the tiles that are not stored yet."""
    edge = await tree.edge(state.size)
    if state.checkpoint is not None and edge.root != state.checkpoint.root:
        raise DatabaseSetBack(
            f"The ledger's tiles do not lead to its own checkpoint of {state.size} records: the database was changed. "
            "See what `bastide audit verify` names, and put back a good copy."
        )
    leaves = await tree.leaves(edge.size, target - edge.size) if target > edge.size else []
    if len(leaves) != max(0, target - edge.size):
        raise DatabaseSetBack(
            f"Of the ledger records {edge.size} to {target - 1} only {len(leaves)} are in the database: it was changed. "
            "See what `bastide audit verify` names, and put back a good copy."
        )
    return await asyncio.to_thread(grow, edge, leaves)
