"""What enforcing a profile took away in its first minutes, measured against what the device was answered before.

The measure is traffic: of the flows of the days before that the peer took part in, the share whose like is denied now. A peer
counts as the same by its address or by the name that it was resolved from. What a person ruled to stay denied is not missed.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from ipaddress import ip_address

from bastide.core.conversation import Conversation
from bastide.core.ruling import Ruling
from bastide.network.profile.amend import PROTOCOLS
from bastide.network.profile.mud.words import Side


@dataclass(frozen=True, slots=True)
class Denied:
    """A flow that a gateway denied, as it reported it: ``protocol`` is IP's number, ``port`` the one that was called."""

    peer: str
    protocol: int
    port: int
    side: Side


@dataclass(frozen=True, slots=True)
class Missed:
    """``share`` of the answered flows is denied now, 0 to 1; ``lost`` are the conversations, the busiest first."""

    share: float
    lost: tuple[Conversation, ...]


def missed(before: Iterable[Conversation], denied: Collection[Denied], rulings: Iterable[Ruling] = ()) -> Missed:
    """What a device misses, of what it was answered before."""
    unwanted = {
        (one.peer, one.transport, one.port, one.opened_by_device) for one in rulings if not one.allows
    }  # a person said that this is as it should be
    answered = [
        one
        for one in before
        if one.packets_sent
        and one.packets_received
        and (one.peer, one.transport, one.port, one.opened_by_device) not in unwanted
    ]
    called = {(one.protocol, one.port, one.side is Side.FROM_DEVICE, one.peer) for one in denied}
    names = {
        (one.transport, one.port, one.opened_by_device, one.peer_name)
        for one in answered
        if one.peer_name and _key(one) in called
    }
    lost = [
        one
        for one in answered
        if _key(one) in called or (one.transport, one.port, one.opened_by_device, one.peer_name) in names
    ]
    total = sum(one.flows for one in answered)
    share = sum(one.flows for one in lost) / total if total else 0.0
    return Missed(share, tuple(sorted(lost, key=lambda one: (-one.flows, one.peer, one.port))))


def _key(one: Conversation) -> tuple[int, int, bool, str]:
    return PROTOCOLS.get(one.transport, -1), one.port, one.opened_by_device, str(ip_address(one.peer))
