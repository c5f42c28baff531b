"""A question for a name and its answer (RFC 1035), as far as a gateway must read them. Strict: what is not read is not let on.

* A question is one standard query for one name of class IN. The answer's question must be the one that was asked.
* The addresses that an answer stands for are those of the asked name, through any chain of CNAMEs that starts at it and does
  not loop (RFC 1034 3.6.2): an address of another owner is refused with the whole answer, and never opened.
"""

from dataclasses import dataclass
from ipaddress import ip_address

from bastide.core.error import Unreadable
from bastide.network.segmentation.site import Address
from bastide.network.traffic.dissect.cursor import Cursor
from bastide.network.traffic.dissect.dns import name
from bastide.network.traffic.dissect.message import Malformed

A, CNAME, AAAA, OPT, IN = 1, 5, 28, 41, 1
MAX_RECORDS = 256
MAX_CHAIN = 16
NOERROR, SERVFAIL, NXDOMAIN, REFUSED = 0, 2, 3, 5


@dataclass(frozen=True, slots=True)
class Question:
    """``octets`` is the question section as it was sent, to be put back into a refusal."""

    identifier: int
    name: str
    type: int
    octets: bytes
    flags: int


@dataclass(frozen=True, slots=True)
class Resolved:
    """``addresses`` with the seconds each may be used (the least TTL of the chain to it); ``chain`` the names it went through."""

    code: int
    addresses: dict[Address, int]
    chain: tuple[str, ...]
    truncated: bool


def read_question(data: bytes) -> Question:
    """``Unreadable`` where it is no plain question."""
    try:
        cursor = Cursor(data)
        identifier, flags = cursor.u16(), cursor.u16()
        counts = [cursor.u16() for _ in range(4)]
        if flags & 0x8000 or (flags >> 11) & 15 or counts[0] != 1 or counts[1] or counts[2] or counts[3] > 2:
            raise _wrong("it is not one plain question")
        begin = cursor.at
        asked = name(cursor, {}).lower()
        kind, of = cursor.u16(), cursor.u16()
    except Malformed as error:
        raise _wrong(str(error)) from error
    if of != IN or not asked or not asked.isascii() or cursor.at - begin != len(asked) + 6:
        raise _wrong("it is not a question for a name of the internet")
    return Question(identifier, asked, kind, data[begin : cursor.at], flags)


def read_answer(data: bytes, question: Question) -> Resolved:
    """``Unreadable`` where it is not the answer to this question, or holds an address of another name."""
    try:
        cursor = Cursor(data)
        identifier, flags = cursor.u16(), cursor.u16()
        counts = [cursor.u16() for _ in range(4)]
        if identifier != question.identifier or not flags & 0x8000 or counts[0] != 1 or counts[1] > MAX_RECORDS:
            raise _wrong("it does not belong to the question")
        asked, kind, of = name(cursor, {}).lower(), cursor.u16(), cursor.u16()
        if (asked, kind, of) != (question.name, question.type, IN):
            raise _wrong("it answers another question")
        aliases: dict[str, tuple[str, int]] = {}
        found: list[tuple[str, Address, int]] = []
        for _ in range(counts[1]):
            owner = name(cursor, {}).lower()
            type_, class_, ttl, size = cursor.u16(), cursor.u16(), cursor.u32(), cursor.u16()
            end = cursor.at + size
            if size > cursor.left:
                raise _wrong("a record is cut off")
            if class_ == IN and type_ == CNAME:
                if owner in aliases:
                    raise _wrong("a name has two aliases")
                aliases[owner] = (name(cursor, {}).lower(), ttl)
            elif class_ == IN and (type_, size) in ((A, 4), (AAAA, 16)):
                found.append((owner, ip_address(cursor.take(size)), ttl))
            cursor.at = end
    except Malformed as error:
        raise _wrong(str(error)) from error
    chain, least = [question.name], {question.name: 2**31}
    while chain[-1] in aliases:
        target, ttl = aliases[chain[-1]]
        if target in least or len(chain) > MAX_CHAIN:
            raise _wrong("its aliases go round")
        least[target] = min(least[chain[-1]], ttl)
        chain.append(target)
    addresses: dict[Address, int] = {}
    for owner, address, ttl in found:
        if owner != chain[-1]:
            raise _wrong(f"it holds an address of {owner[:80]}, which was not asked for")
        addresses[address] = min(ttl, least[owner], 2**31 - 1)
    return Resolved(flags & 15, addresses, tuple(chain), bool(flags & 0x0200))


def refusal(question: Question, code: int = REFUSED) -> bytes:
    """An answer without any record."""
    flags = 0x8000 | (question.flags & 0x0100) | 0x0080 | code
    return question.identifier.to_bytes(2, "big") + flags.to_bytes(2, "big") + b"\0\1\0\0\0\0\0\0" + question.octets


def _wrong(what: str) -> Unreadable:
    return Unreadable(f"This DNS message is not taken: {what}.", code="dns:message:unreadable")
