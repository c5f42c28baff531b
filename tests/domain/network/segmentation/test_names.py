"""DNS as a gateway reads it: what is no plain question is not answered, what is not the answer to it is not let on."""

import struct
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastide.core.error import Unreadable
from bastide.network.segmentation.names import NXDOMAIN, read_answer, read_question, refusal


def encoded(name: str) -> bytes:
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"


def query(name: str, kind: int = 1, *, flags: int = 0x0100, questions: int = 1) -> bytes:
    return struct.pack("!HHHHHH", 7, flags, questions, 0, 0, 0) + encoded(name) + struct.pack("!HH", kind, 1)


def answer(
    name: str,
    addresses: list[tuple[str, int]],
    aliases: tuple[tuple[str, str, int], ...] = (),
    *,
    owner: str = "",
    identifier: int = 7,
) -> bytes:
    """An answer for ``name`` through aliases (from, to, TTL); the addresses belong to ``owner`` or the end of the chain."""
    end = owner or (aliases[-1][1] if aliases else name)
    records = b"".join(
        encoded(one) + struct.pack("!HHIH", 5, 1, ttl, len(encoded(to))) + encoded(to) for one, to, ttl in aliases
    )
    for text, ttl in addresses:
        address = ip_address(text)
        kind = 1 if address.version == 4 else 28
        records += encoded(end) + struct.pack("!HHIH", kind, 1, ttl, len(address.packed)) + address.packed
    head = struct.pack("!HHHHHH", identifier, 0x8180, 1, len(addresses) + len(aliases), 0, 0)
    return head + encoded(name) + struct.pack("!HH", 1, 1) + records


ASKED = read_question(query("cloud.example"))


def test_a_name_is_read_in_lower_case() -> None:
    assert read_question(query("Cloud.EXAMPLE")).name == "cloud.example"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        query("a.example")[:-1],
        query("a.example", flags=0x8100),  # an answer
        query("a.example", flags=0x2900),  # an update
        query("a.example", questions=2),
        struct.pack("!HHHHHH", 7, 256, 1, 0, 0, 0) + b"\xc0\x0c" + struct.pack("!HH", 1, 1),  # points at itself
        struct.pack("!HHHHHH", 7, 256, 1, 0, 0, 0) + b"\0" + struct.pack("!HH", 1, 1),  # the root
        query("a.example")[:-2] + struct.pack("!H", 3),  # class CHAOS
    ],
)
def test_what_is_no_plain_question_is_not_read(data: bytes) -> None:
    with pytest.raises(Unreadable):
        read_question(data)


def test_an_address_lives_as_long_as_the_shortest_link_of_its_chain() -> None:
    chain = (("cloud.example", "a.example", 30), ("a.example", "b.example", 500))
    found = read_answer(answer("cloud.example", [("198.51.100.1", 300), ("2001:db8::1", 10)], chain), ASKED)
    assert found.addresses == {ip_address("198.51.100.1"): 30, ip_address("2001:db8::1"): 10}
    assert found.chain == ("cloud.example", "a.example", "b.example")


@pytest.mark.parametrize(
    "data",
    [
        answer("cloud.example", [("198.51.100.1", 60)], identifier=8),
        answer("other.example", [("198.51.100.1", 60)]),
        answer("cloud.example", [("198.51.100.1", 60)], owner="bank.example"),  # something that was not asked for
        answer(
            "cloud.example",
            [("198.51.100.1", 60)],
            (("cloud.example", "a.example", 9), ("a.example", "cloud.example", 9)),
        ),
        answer("cloud.example", [], (("cloud.example", "a.example", 9), ("cloud.example", "b.example", 9))),
        answer("cloud.example", [("198.51.100.1", 60)])[:-1],
        query("cloud.example"),
    ],
)
def test_what_is_not_the_answer_is_refused(data: bytes) -> None:
    with pytest.raises(Unreadable):
        read_answer(data, ASKED)


def test_a_refusal_answers_the_question_that_was_asked() -> None:
    found = read_answer(refusal(ASKED, NXDOMAIN), ASKED)
    assert (found.code, found.addresses) == (NXDOMAIN, {})


@given(st.binary(max_size=200))
def test_any_octets_are_read_or_refused(tail: bytes) -> None:
    for data in (tail, query("cloud.example")[:12] + tail, answer("cloud.example", [])[:31] + tail):
        for read in (read_question, lambda octets: read_answer(octets, ASKED)):
            try:
                read(data)
            except Unreadable:
                continue
