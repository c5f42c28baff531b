"""What the ledger holds: one record per act, in the same transaction as the state that the act changed.

Records are typed and versioned. Kinds read ``area:thing:what`` (``enforcement:plan:intended``). Facts about people are
wrapped in :class:`Personal`: the tree holds a salted commitment, and erasing the salt erases the fact.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from bastide.core.ids import RecordId


@dataclass(frozen=True, slots=True)
class Personal:
    """A fact about a person. It never enters the tree in the clear."""

    value: str


Recorded = str | int | float | bool | None | Personal | Sequence["Recorded"] | Mapping[str, "Recorded"]


@dataclass(frozen=True, slots=True)
class Record:
    """One act. ``subject`` is what it is about (``device:d-…``), ``actor`` who did it (``system``, ``token:…``)."""

    id: RecordId
    kind: str
    subject: str
    actor: str | Personal
    at: datetime
    body: Mapping[str, Recorded] = field(default_factory=dict)
    version: int = 1


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A tree head that the signer signed. ``note`` is the C2SP signed note, as other tools read it."""

    origin: str
    size: int
    root: bytes
    note: str
