"""Proposal: a network part for a profile that waits for a person: learned in a span of time, fetched anew, or handed in.

What is learned begins as a lesson: until its deadline it has no document, and at the deadline it ends by itself.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from bastide.core.ids import ProfileName


class Origin(StrEnum):
    LEARNED = "learned"
    FETCHED = "fetched"
    HANDED_IN = "handed-in"


class ProposalState(StrEnum):
    """``empty``: a lesson that heard nothing that could be permitted. ``replaced``: a newer one took its place."""

    LEARNING = "learning"
    OPEN = "open"
    EMPTY = "empty"
    APPROVED = "approved"
    DECLINED = "declined"
    REPLACED = "replaced"


@dataclass(frozen=True, slots=True)
class Proposal:
    """``document`` is a MUD file (RFC 8520), empty while it is learned. ``told`` are sentences that whoever decides should
    read: what was left out, how sure it is, what the signature is worth. ``ends_at`` is a lesson's deadline."""

    id: str
    profile: ProfileName
    origin: Origin
    state: ProposalState
    document: bytes
    told: tuple[str, ...]
    by: str
    at: datetime
    ends_at: datetime | None = None
    decided_by: str = ""
    decided_at: datetime | None = None
    reason: str = ""
