"""Integers out of a buffer. The caller has checked that all octets lie before ``end``."""

from typing import TYPE_CHECKING

from bastide.network.traffic.kernel.compiled import Buffer, inlined
from bastide.network.traffic.kernel.loads import PORTABLE, load8, load16be, load16le, load32be, load32le, load64be

MIX_LOW, MIX_HIGH = 0x5BD1E995, 0x2C1B3C6D


if TYPE_CHECKING or PORTABLE:

    @inlined
    def octet(buffer: Buffer, at: int) -> int:
        """One octet. The sum makes it an int64 for numba, which takes ``int(uint8)`` for unsigned and then mixes to float."""
        return int(buffer[at] + 0)

    @inlined
    def be16(buffer: Buffer, at: int) -> int:
        return (octet(buffer, at) << 8) | octet(buffer, at + 1)

    @inlined
    def le16(buffer: Buffer, at: int) -> int:
        return (octet(buffer, at + 1) << 8) | octet(buffer, at)

    @inlined
    def be32(buffer: Buffer, at: int) -> int:
        return (be16(buffer, at) << 16) | be16(buffer, at + 2)

    @inlined
    def le32(buffer: Buffer, at: int) -> int:
        return (le16(buffer, at + 2) << 16) | le16(buffer, at)

    @inlined
    def be64_signed(buffer: Buffer, at: int) -> int:
        """Eight octets as a signed number, so that plain Python and the compiled form hold the same value in an int64."""
        high = be32(buffer, at)
        if high >= 0x80000000:
            high -= 0x100000000
        return (high << 32) | be32(buffer, at + 4)

else:
    octet, be16, le16, be32, le32, be64_signed = load8, load16be, load16le, load32be, load32le, load64be


@inlined
def u16(buffer: Buffer, at: int, little: int) -> int:
    return le16(buffer, at) if little else be16(buffer, at)


@inlined
def u32(buffer: Buffer, at: int, little: int) -> int:
    return le32(buffer, at) if little else be32(buffer, at)


@inlined
def be48(buffer: Buffer, at: int) -> int:
    return (be16(buffer, at) << 32) | be32(buffer, at + 2)


@inlined
def mix(state: int, value: int) -> int:
    """One step of a hash, equal in both forms.

    Two products that fit 63 bits: LLVM takes a signed overflow for impossible and drops a mask that should undo one.
    """
    state ^= value
    state = ((state & 0x7FFFFFFF) * MIX_LOW) ^ (((state >> 31) & 0xFFFFFFFF) * MIX_HIGH)
    return state ^ (state >> 28)


@inlined
def hash_octets(buffer: Buffer, start: int, end: int, state: int) -> int:
    """A hash over ``buffer[start:end]``, eight octets a step; long ones in four lanes that do not wait for each other."""
    at = start
    if end - at >= 64:
        one, two, three = state ^ 1, state ^ 2, state ^ 3
        while at + 32 <= end:
            state = mix(state, be64_signed(buffer, at))
            one = mix(one, be64_signed(buffer, at + 8))
            two = mix(two, be64_signed(buffer, at + 16))
            three = mix(three, be64_signed(buffer, at + 24))
            at += 32
        state = mix(mix(mix(state, one), two), three)
    while at + 8 <= end:
        state = mix(state, be64_signed(buffer, at))
        at += 8
    while at < end:
        state = mix(state, octet(buffer, at))
        at += 1
    return state
