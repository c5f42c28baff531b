"""Which kind of capture a file is, and its records: pcap (both orders, micro- and nanoseconds, Kuznetzov's form) or pcapng."""

from typing import Protocol

import numpy as np

from bastide.core.error import Unreadable
from bastide.network.traffic.kernel.blocks import (
    IF_COLUMNS,
    MAX_INTERFACES,
    NG_STATE,
    index_pcapng,
)
from bastide.network.traffic.kernel.compiled import Buffer, Integers
from bastide.network.traffic.kernel.records import (
    EXTRA,
    LAST_SECONDS,
    LINK_TYPE,
    LITTLE,
    NANO,
    PCAP_STATE,
    index_pcap,
)

HEAD = 24
"""Octets that tell what a file is: a pcap file header."""


class NotACapture(Unreadable):
    """The file is neither pcap nor pcapng."""

    code = "traffic:capture:unknown"


class Reader(Protocol):
    """Turns windows of a file into rows of records."""

    @property
    def form(self) -> str: ...

    @property
    def start(self) -> int:
        """Where the first record begins."""
        ...

    def index(
        self, buffer: Buffer, at: int, end: int, final: bool, records: Integers, reasons: Integers
    ) -> tuple[int, int]:
        """(rows filled, where in the buffer to go on)."""
        ...


class _Pcap:
    def __init__(self, head: bytes, little: bool, nano: bool, extra: int) -> None:
        self.form = "pcap, nanoseconds" if nano else "pcap"
        self.start = HEAD
        self._state = np.zeros(PCAP_STATE, np.int64)
        self._state[LITTLE] = little
        self._state[NANO] = nano
        self._state[EXTRA] = extra
        self._state[LAST_SECONDS] = -1
        # The upper bits say how long a frame check sequence is; the lower 16 are the link type (section 4).
        self._state[LINK_TYPE] = int.from_bytes(head[20:24], "little" if little else "big") & 0xFFFF

    def index(
        self, buffer: Buffer, at: int, end: int, final: bool, records: Integers, reasons: Integers
    ) -> tuple[int, int]:
        return index_pcap(buffer, at, end, int(final), self._state, records, reasons)


class _Pcapng:
    def __init__(self) -> None:
        self.form = "pcapng"
        self.start = 0
        self._state = np.zeros(NG_STATE, np.int64)
        self._interfaces = np.zeros((MAX_INTERFACES, IF_COLUMNS), np.int64)

    def index(
        self, buffer: Buffer, at: int, end: int, final: bool, records: Integers, reasons: Integers
    ) -> tuple[int, int]:
        return index_pcapng(buffer, at, end, int(final), self._state, self._interfaces, records, reasons)


def reader_of(head: bytes, name: str) -> Reader:
    """The reader for a file that begins with ``head`` (``HEAD`` octets or all there are). ``NotACapture`` otherwise."""
    magic = head[:4]
    if magic == b"\x0a\x0d\x0d\x0a" and head[8:12] in (b"\x1a\x2b\x3c\x4d", b"\x4d\x3c\x2b\x1a"):
        return _Pcapng()
    forms = {
        b"\xa1\xb2\xc3\xd4": (False, False, 0),
        b"\xd4\xc3\xb2\xa1": (True, False, 0),
        b"\xa1\xb2\x3c\x4d": (False, True, 0),
        b"\x4d\x3c\xb2\xa1": (True, True, 0),
        b"\xa1\xb2\xcd\x34": (False, False, 8),
        b"\x34\xcd\xb2\xa1": (True, False, 8),
    }
    if magic in forms:
        if len(head) < HEAD:
            raise NotACapture(f"{name} begins like a capture but ends within its header; copy the file again.")
        return _Pcap(head, *forms[magic])
    if magic[:2] == b"\x1f\x8b":
        raise NotACapture(f"{name} is compressed; unpack it first (gunzip), then scan the result.")
    if not head:
        raise NotACapture(f"{name} is empty; record the traffic again (tcpdump -w FILE).")
    raise NotACapture(f"{name} is not a capture: it begins neither like pcap nor like pcapng.")
