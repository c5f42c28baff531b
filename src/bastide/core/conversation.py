"""Conversation: whom a device spoke to, as seen on the wire: by which name, over which port, how much, and when.

It is what flows come to when they are kept for days: those of one device with one peer on one port are one conversation.
"""

from dataclasses import dataclass
from datetime import datetime

from bastide.core.ids import DeviceId


@dataclass(frozen=True, slots=True)
class Conversation:
    """``peer`` is an IP address; ``peer_name`` the DNS name that it was last resolved from, empty where nobody asked.

    ``port`` is the one that was called (0 where the transport has none), ``opened_by_device`` who called. ``protocol`` is what
    the content was recognised as, or the transport's name. Times are when a packet of it was first and last seen.
    """

    device: DeviceId
    peer: str
    peer_name: str
    transport: str
    port: int
    protocol: str
    opened_by_device: bool
    flows: int
    packets_sent: int
    packets_received: int
    bytes_sent: int
    bytes_received: int
    first_seen: datetime
    last_seen: datetime
