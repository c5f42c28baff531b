"""The ledger as flows and the console read it. Writing happens in a unit of work."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from bastide.core.audit import Checkpoint, Record
from bastide.core.ids import RecordId


@dataclass(frozen=True, slots=True)
class InclusionProof:
    """That a record is in the tree of a checkpoint: leaf index, the record's exact bytes, the audit path (RFC 6962 2.1.1)."""

    record: RecordId
    leaf: bytes
    index: int
    path: tuple[bytes, ...]
    checkpoint: Checkpoint


class Ledger(Protocol):
    async def get(self, record: RecordId) -> Record:
        """``NotFound`` where there is none."""
        ...

    async def about(self, subject: str, limit: int) -> Sequence[Record]:
        """Records on a subject, newest first."""
        ...

    async def recent(self, limit: int, kind: str = "", before: RecordId | None = None) -> Sequence[Record]:
        """Newest first; ``kind`` keeps those that begin with it."""
        ...

    async def integrated(self, record: RecordId) -> Checkpoint:
        """Waits until the record is under a signed checkpoint, and returns it."""
        ...

    async def checkpoint(self) -> Checkpoint | None: ...

    async def prove(self, record: RecordId) -> InclusionProof: ...
