"""What enforcing a profile took away in its first minutes, measured against what the device was answered before.

The measure is traffic: of the flows of the days before that the peer took part in, the share whose like is denied now. A peer
counts as the same by its address or by the name that it was resolved from. What a person ruled to stay denied is not missed.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from bastide.core.conversation import Conversation
from bastide.core.ruling import Ruling
from bastide.network.profile.amend import Flow


@dataclass(frozen=True, slots=True)
class Missed:
    """``share`` of the answered flows is denied now, 0 to 1; ``lost`` are the conversations, the busiest first."""

    share: float
    lost: tuple[Conversation, ...]


def missed(before: Iterable[Conversation], denied: Iterable[Flow], rulings: Iterable[Ruling] = ()) -> Missed:
    """What a device misses, of what it was answered before."""
    unwanted = {one.key for one in rulings if not one.allows}  # a person said that this is as it should be
    answered = [one for one in before if one.packets_sent and one.packets_received and _key(one) not in unwanted]
    called = {one.key for one in denied}
    names = {(*_key(one)[1:], one.peer_name) for one in answered if one.peer_name and _key(one) in called}
    lost = [one for one in answered if _key(one) in called or (*_key(one)[1:], one.peer_name) in names]
    total = sum(one.flows for one in answered)
    share = sum(one.flows for one in lost) / total if total else 0.0
    return Missed(share, tuple(sorted(lost, key=lambda one: (-one.flows, one.peer, one.port))))


def _key(one: Conversation) -> tuple[str, str, int, bool]:
    return one.peer, one.transport, one.port, one.opened_by_device
