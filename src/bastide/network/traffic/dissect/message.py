"""What a dissector is, and what it hands back.

A dissector is a name and one pure function from payload to message; it raises ``Malformed`` where the bytes are not what the
kernel took them for, and ``Incomplete`` where more segments are needed. Its loops are bounded by the payload, which is
bounded by the caller (``LIMIT``); depth is bounded in each module. ``said`` is what the message tells about a device, in
the words of ``WORDS``; secrets are never among them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from bastide.core.error import Unreadable

LIMIT = 24_576
"""Octets of one message, over all its segments, that a dissector is handed at most."""

TEXT_LIMIT = 256


class Malformed(Unreadable):
    """The bytes do not follow the protocol's form."""

    code = "traffic:message:malformed"


class Incomplete(Malformed):
    """The message is well formed so far and goes on in the next segment."""

    code = "traffic:message:incomplete"


class Said(NamedTuple):
    """One thing a message says of a device. ``about`` is empty for the sender, ``receiver``, or a MAC address."""

    word: str
    value: str
    about: str = ""


class Context(NamedTuple):
    """Where the payload was found. ``from_server`` is the kernel's view of who asked; ``remembered`` is what an earlier
    message of the flow left (``Message.remember``), 0 for nothing."""

    transport: str
    source_port: int
    target_port: int
    from_server: bool
    remembered: int = 0


@dataclass(frozen=True, slots=True)
class Message:
    """One message. ``fields`` are named as suricata's EVE output names them, so that the two can be compared.

    ``partial`` asks for the following segments; the message is then read again with them. ``remember`` is handed to later
    messages of the same flow (a version that only the first one tells).
    """

    protocol: str
    fields: Mapping[str, Any]
    said: tuple[Said, ...] = field(default=())
    partial: bool = False
    remember: int = 0


@dataclass(frozen=True, slots=True)
class Dissector:
    """``reads`` are the kernel's names of what this one reads."""

    name: str
    reads: tuple[str, ...]
    dissect: Callable[[bytes, Context], Message]


def text(raw: bytes) -> str:
    """Octets of a device as text that is safe to keep and show: UTF-8, no control characters, at most 256 characters."""
    # A line's end is stripped first: what is left is printable as it is, nearly always.
    decoded = raw[: TEXT_LIMIT * 4].decode("utf-8", "replace").strip()
    if decoded.isprintable():
        return decoded[:TEXT_LIMIT].strip()
    return "".join(filter(str.isprintable, decoded))[:TEXT_LIMIT].strip()


def mud_url(raw: bytes) -> str:
    """The MUD URL in an option of DHCP (RFC 8520, section 10: a URL, then perhaps a space and what is reserved) or in an LLDP
    TLV (section 12); empty where it is none of https, which is the only one that is used."""
    said = text(raw).partition(" ")[0]
    return said if said.startswith("https://") and len(said) > len("https://") else ""


def mac(raw: bytes) -> str:
    """Six octets as ``aa:bb:cc:dd:ee:ff``."""
    return raw[:6].hex(":")
