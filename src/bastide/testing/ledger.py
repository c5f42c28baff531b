"""The ledger in memory: the same tree (RFC 6962 2.1), the same proofs, integrated when asked for.

The real ledger's sequencer integrates within a second; this one integrates when somebody waits (``integrated``) or says
so (``integrate``), so that a test can look at the moment in between. Notes are signed by the signer that it is handed.
"""

from collections.abc import Callable, Sequence
from hashlib import sha256

from bastide.core.audit import Checkpoint, Record
from bastide.core.error import NotFound
from bastide.core.ids import RecordId, RequestId
from bastide.core.merkle import EMPTY_ROOT, leaf_hash, node_hash
from bastide.governance.audit.personal import keep
from bastide.governance.audit.record import instant, plain, write_record
from bastide.ports.keys import Signer
from bastide.ports.platform.ledger import InclusionProof

ORIGIN = "bastide.test/ledger"


class MemoryLedger:
    """``records`` is the list that units of work append to; it only grows."""

    def __init__(self, records: Callable[[], Sequence[Record]], signer: Signer, origin: str = ORIGIN) -> None:
        self._records = records
        self._signer = signer
        self._origin = origin
        self._checkpoint: Checkpoint | None = None

    async def get(self, record: RecordId) -> Record:
        return self._records()[self._index(record)]

    async def about(self, subject: str, limit: int) -> Sequence[Record]:
        return [each for each in reversed(self._records()) if each.subject == subject][:limit]

    async def recent(self, limit: int, kind: str = "", before: RecordId | None = None) -> Sequence[Record]:
        records = self._records() if before is None else self._records()[: self._index(before)]
        return [each for each in reversed(records) if each.kind.startswith(kind)][:limit]

    async def integrated(self, record: RecordId) -> Checkpoint:
        index = self._index(record)
        if self._checkpoint is None or self._checkpoint.size <= index:
            return await self.integrate()
        return self._checkpoint

    async def checkpoint(self) -> Checkpoint | None:
        return self._checkpoint

    async def prove(self, record: RecordId) -> InclusionProof:
        index = self._index(record)
        checkpoint = await self.integrated(record)
        leaves = self._leaves(checkpoint.size)
        return InclusionProof(record, encoded(self._records()[index]), index, audit_path(index, leaves), checkpoint)

    async def integrate(self) -> Checkpoint:
        """Brings every record under a new signed tree head, as the sequencer does by itself."""
        size = len(self._records())
        leaves = self._leaves(size)
        root = tree_root(leaves)
        old = self._checkpoint.size if self._checkpoint else 0
        proof = consistency(old, leaves) if 0 < old < size else ()
        note = await self._signer.checkpoint(
            RequestId(f"checkpoint-{size}"), origin=self._origin, size=size, root=root, consistency=proof
        )
        self._checkpoint = Checkpoint(self._origin, size, root, note)
        return self._checkpoint

    def _index(self, record: RecordId) -> int:
        for index, each in enumerate(self._records()):
            if each.id == record:
                return index
        raise NotFound(f"The ledger holds no record {record}.")

    def _leaves(self, size: int) -> list[bytes]:
        return [leaf_hash(encoded(each)) for each in self._records()[:size]]


def tree_root(leaves: Sequence[bytes]) -> bytes:
    """MTH of RFC 6962 2.1, written as the RFC writes it down."""
    if not leaves:
        return EMPTY_ROOT
    if len(leaves) == 1:
        return leaves[0]
    k = _split(len(leaves))
    return node_hash(tree_root(leaves[:k]), tree_root(leaves[k:]))


def audit_path(index: int, leaves: Sequence[bytes]) -> tuple[bytes, ...]:
    """PATH of RFC 6962 2.1.1."""
    if len(leaves) <= 1:
        return ()
    k = _split(len(leaves))
    if index < k:
        return (*audit_path(index, leaves[:k]), tree_root(leaves[k:]))
    return (*audit_path(index - k, leaves[k:]), tree_root(leaves[:k]))


def consistency(old: int, leaves: Sequence[bytes], whole: bool = True) -> tuple[bytes, ...]:
    """PROOF and SUBPROOF of RFC 6962 2.1.2."""
    if old == len(leaves):
        return () if whole else (tree_root(leaves),)
    k = _split(len(leaves))
    if old <= k:
        return (*consistency(old, leaves[:k], whole), tree_root(leaves[k:]))
    return (*consistency(old - k, leaves[k:], False), tree_root(leaves[:k]))


def _split(size: int) -> int:
    """The largest power of two below ``size``."""
    return 1 << (size - 1).bit_length() - 1


def encoded(record: Record) -> bytes:
    """The record's bytes in the tree, as the real ledger writes them."""

    def commit(value: str) -> str:
        return keep(sha256(f"{record.id}:{value}".encode()).digest(), value).commitment

    actor, at, body = record.actor, instant(record.at), plain(record.body)
    return write_record(record.id, record.kind, record.subject, actor, at, body, record.version, commit)
