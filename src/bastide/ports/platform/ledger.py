"""The ledger as flows and the console read it, and its tree as the sequencer keeps it. Writing happens in a unit of work."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from bastide.core.audit import Checkpoint, Record
from bastide.core.ids import RecordId
from bastide.governance.audit.tree import Edge, Tile
from bastide.ports.platform.units import LedgerWrites


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


class Bundles(Protocol):
    """Export bundles (``governance.audit.bundle``) under the newest checkpoint."""

    def pieces(self, selection: str, show_personal: bool) -> AsyncIterator[bytes]:
        """The bundle's bytes. ``NotFound`` before the first of them where nothing is selected; ``Unavailable`` where too
        many are being made."""
        ...


@dataclass(frozen=True, slots=True)
class TreeState:
    """How far the ledger is: ``origin`` is empty before the first checkpoint, ``recorded`` counts the records committed."""

    shard: int
    origin: str
    checkpoint: Checkpoint | None
    recorded: int

    @property
    def size(self) -> int:
        """How many of the records are in the tree."""
        return self.checkpoint.size if self.checkpoint is not None else 0


class LedgerTree(Protocol):
    """The tree of the open shard as its sequencer keeps it."""

    async def lead(self) -> bool:
        """True while this process is the one that integrates; asked again before each round."""
        ...

    async def state(self) -> TreeState: ...

    async def leaves(self, start: int, limit: int) -> Sequence[bytes]:
        """Leaf hashes of committed records from a position on, without a gap."""
        ...

    async def edge(self, size: int) -> Edge:
        """The right edge of the tree at that size."""
        ...

    async def consistency(self, old: int, new: int, over: Sequence[Tile]) -> Sequence[bytes]:
        """RFC 6962 2.1.2, where ``over`` holds tiles that are not stored yet."""
        ...

    async def root(self, size: int, over: Sequence[Tile]) -> bytes:
        """The root at that size, where ``over`` holds tiles that are not stored yet."""
        ...

    async def store(self, old: TreeState, tiles: Sequence[Tile], checkpoint: Checkpoint) -> None:
        """Tiles and checkpoint in one transaction; ``Conflict`` where the tree is no longer at ``old``."""
        ...


class LedgerUpkeep(Protocol):
    """What an operator's upkeep needs of the ledger (flows.keep_ledger)."""

    async def checkpoint(self) -> Checkpoint | None: ...

    async def integrated(self, record: RecordId) -> Checkpoint: ...

    async def personal(self, value: str) -> Sequence[str]:
        """The commitments of every fact that is this value."""
        ...

    async def written_at(self, index: int) -> datetime | None:
        """When the record at that index was written; None where its body, and what follows nearby, was pruned."""
        ...

    async def prune(self, first: int, end: int) -> int:
        """Removes the bodies that may go of the records from ``first`` to before ``end``; how many went."""
        ...


class UpkeepWrites(LedgerWrites, Protocol):
    def erase(self, commitments: Sequence[str]) -> RecordId:
        """Erases what is kept for these commitments, and records that it was erased."""
        ...
