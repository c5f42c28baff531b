"""Live capture on Linux: an AF_PACKET socket with a TPACKET_V3 ring.

Two sides. The one with the right to (CAP_NET_RAW) opens the socket, sets the filter and reads the drop counters; the sandboxed
one maps the ring and reads packets out of it, with no right to anything else. The kernel fills blocks and hands each over when
it is full or a moment has passed; a block is given back when it was read, and what comes while all are taken is dropped and
counted.
"""

import ctypes
import ctypes.util
import mmap
import socket
import struct
from dataclasses import dataclass

import numpy as np

from bastide.core.error import NotFound, Unavailable, Unreadable
from bastide.network.traffic.kernel.compiled import Buffer, Integers
from bastide.network.traffic.kernel.ring import (
    AT,
    BLOCK_FIRST,
    BLOCK_PACKETS,
    BLOCK_STATUS,
    LEFT,
    RING_STATE,
    index_block,
)

_SOL_PACKET = 263
_ADD_MEMBERSHIP, _RX_RING, _STATISTICS, _VERSION = 1, 5, 6, 10
_TPACKET_V3 = 2
_MEMBERSHIP_PROMISCUOUS = 1
_SO_ATTACH_FILTER = 26
_ETH_P_ALL = 0x0003
_KERNEL, _USER = 0, 1
_RETIRE_MILLISECONDS = 50

BLOCK_OCTETS = 1 << 20
BLOCKS = 64
"""64 MiB: at 1 Gbit/s of small packets, most of a second in which the reader may do something else."""

_ETHERNET, _RAW = 1, 101
# ARPHRD_*: Ethernet and loopback have an Ethernet header; tunnels have none.
_LINKS = {1: _ETHERNET, 772: _ETHERNET, 65534: _RAW, 512: _RAW, 768: _RAW, 776: _RAW}


@dataclass(frozen=True, slots=True)
class Geometry:
    """What the reading side needs beside the descriptor."""

    blocks: int
    block_octets: int
    link: int


@dataclass(frozen=True, slots=True)
class Drops:
    """Since the counters were last read: packets seen by the filter, of which dropped because no block was free."""

    packets: int
    dropped: int


class LiveSocket:
    """The side with the right to capture. ``descriptor`` may be handed to a process without it."""

    def __init__(self, interface: str, expression: str = "", *, blocks: int = BLOCKS, promiscuous: bool = True) -> None:
        try:
            # No protocol yet: nothing is received before ring and filter stand.
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        except PermissionError as error:
            raise Unavailable(
                "Listening on an interface needs CAP_NET_RAW; run this as root, or give the program that capability."
            ) from error
        try:
            self.geometry = self._set_up(interface, expression, blocks, promiscuous)
        except BaseException:
            self._socket.close()
            raise

    def _set_up(self, interface: str, expression: str, blocks: int, promiscuous: bool) -> Geometry:
        try:
            number = socket.if_nametoindex(interface)
        except OSError as error:
            known = ", ".join(name for _, name in socket.if_nameindex())
            raise NotFound(f"There is no interface {interface}; there are {known}.") from error
        try:
            self._socket.setsockopt(_SOL_PACKET, _VERSION, _TPACKET_V3)
            frames = blocks * (BLOCK_OCTETS // 2048)
            request = struct.pack("IIIIIII", BLOCK_OCTETS, blocks, 2048, frames, _RETIRE_MILLISECONDS, 0, 0)
            self._socket.setsockopt(_SOL_PACKET, _RX_RING, request)
            self._socket.bind((interface, 0))
            hardware = self._socket.getsockname()[3]
            link = _LINKS.get(hardware)
            if link is None:
                raise Unreadable(f"{interface} is of a kind (ARPHRD {hardware}) that Bastide cannot read yet.")
            if expression:
                self._attach(expression, link)
            if promiscuous and hardware == 1:
                member = struct.pack("iHH8s", number, _MEMBERSHIP_PROMISCUOUS, 0, b"")
                self._socket.setsockopt(_SOL_PACKET, _ADD_MEMBERSHIP, member)
            self._socket.bind((interface, _ETH_P_ALL))
        except OSError as error:
            raise Unavailable(f"{interface} cannot be listened on: {error.strerror}.") from error
        return Geometry(blocks, BLOCK_OCTETS, link)

    def _attach(self, expression: str, link: int) -> None:
        program = compile_filter(expression, link)
        held = ctypes.create_string_buffer(program, len(program))
        # struct sock_fprog: a count and an address, which must live until the call returns.
        self._socket.setsockopt(
            socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HP", len(program) // 8, ctypes.addressof(held))
        )

    @property
    def descriptor(self) -> int:
        return self._socket.fileno()

    def drops(self) -> Drops:
        """Reads and clears the kernel's counters."""
        packets, dropped, _ = struct.unpack("III", self._socket.getsockopt(_SOL_PACKET, _STATISTICS, 12))
        return Drops(packets, dropped)

    def close(self) -> None:
        self._socket.close()


class _Program(ctypes.Structure):
    _fields_ = (("count", ctypes.c_uint), ("instructions", ctypes.c_void_p))


def compile_filter(expression: str, link: int) -> bytes:
    """A capture filter in libpcap's words as a classic BPF program. ``Unavailable`` without libpcap, ``Unreadable`` where the
    words are none."""
    name = ctypes.util.find_library("pcap")
    if name is None:
        raise Unavailable("A capture filter needs libpcap; install it (libpcap0.8 on Debian), or leave the filter out.")
    pcap = ctypes.CDLL(name)
    pcap.pcap_open_dead.restype = ctypes.c_void_p
    pcap.pcap_geterr.restype = ctypes.c_char_p
    handle = ctypes.c_void_p(pcap.pcap_open_dead(link if link != _RAW else 12, 262_144))
    program = _Program()
    try:
        if pcap.pcap_compile(handle, ctypes.byref(program), expression.encode(), 1, ctypes.c_uint32(0xFFFFFFFF)) != 0:
            reason = pcap.pcap_geterr(handle).decode(errors="replace")
            raise Unreadable(f"{expression!r} is no capture filter: {reason}.", code="capture:filter")
        compiled = ctypes.string_at(program.instructions or 0, program.count * 8)
        pcap.pcap_freecode(ctypes.byref(program))
    finally:
        pcap.pcap_close(handle)
    return compiled


class Ring:
    """The reading side: blocks of packets out of the mapped ring."""

    def __init__(self, descriptor: int, geometry: Geometry) -> None:
        size = geometry.blocks * geometry.block_octets
        self._map = mmap.mmap(descriptor, size, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
        writable = np.frombuffer(self._map, np.uint8)
        self._status = writable.view(np.uint32)
        reading = writable.view()
        reading.flags.writeable = False
        self._buffer: Buffer = reading
        self._geometry = geometry
        self._next = 0
        self._state: Integers = np.zeros(RING_STATE, np.int64)
        self._open = False

    @property
    def buffer(self) -> Buffer:
        return self._buffer

    def take(self, records: Integers) -> int:
        """Fills ``records`` with packets of the next block; 0 where none has been handed over. What they point to is valid until
        the next call."""
        while True:
            base = self._next * self._geometry.block_octets
            if not self._open:
                if not self._status[(base + BLOCK_STATUS) >> 2] & _USER:
                    return 0
                self._state[LEFT] = int(self._status[(base + BLOCK_PACKETS) >> 2])
                self._state[AT] = base + int(self._status[(base + BLOCK_FIRST) >> 2])
                self._open = True
            end = base + self._geometry.block_octets
            rows = index_block(self._buffer, base, end, self._geometry.link, self._state, records)
            if rows:
                return rows
            self._status[(base + BLOCK_STATUS) >> 2] = _KERNEL
            self._next = (self._next + 1) % self._geometry.blocks
            self._open = False
