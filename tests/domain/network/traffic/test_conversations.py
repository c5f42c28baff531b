"""Flows come to conversations: by name, once from each side, and only what is new."""

import struct

import numpy as np

from bastide.network.traffic.conversations import Talk, Told
from bastide.network.traffic.devices import devices_of
from bastide.network.traffic.kernel.records import CAPTURED, OFFSET, TIME
from bastide.network.traffic.kernel.ring import AT, HEADER, LEFT, RING_STATE, index_block
from bastide.network.traffic.reading import reader_of
from bastide.network.traffic.survey import Survey
from tests.domain.network.traffic.build import CAMERA, DNS_FRAME, pcap
from tests.domain.network.traffic.test_findings import basic, session

WEB = session(basic("admin", "admin"), b"HTTP/1.1 200 OK\r\n\r\n", 80)


def feed(survey: Survey, frames: list[bytes]) -> None:
    data = pcap(frames)
    buffer = np.frombuffer(data, np.uint8)
    reader = reader_of(data[:24], "test")
    rows, _ = reader.index(buffer, reader.start, len(buffer), True, survey.records, survey.reasons)
    survey.absorb(buffer, rows)


def told(survey: Survey, so_far: Told) -> list[Talk]:
    talks, left_out = so_far.since(survey, devices_of(survey, lambda _: None))
    assert left_out == 0
    return talks


def test_a_conversation_is_told_from_each_side_that_is_here() -> None:
    survey = Survey()
    feed(survey, WEB)
    talks = [talk for talk in told(survey, Told()) if talk.protocol == "http"]
    assert {talk.port for talk in talks} == {80}
    assert sorted(talk.opened_by_device for talk in talks) == [False, True]
    one, other = sorted(talks, key=lambda talk: talk.opened_by_device)
    assert (one.packets_sent, one.bytes_sent) == (other.packets_received, other.bytes_received)


def test_only_what_is_new_is_told_again() -> None:
    survey, so_far = Survey(), Told()
    feed(survey, [*WEB, DNS_FRAME])
    first = told(survey, so_far)
    assert CAMERA in {talk.mac for talk in first}
    assert told(survey, so_far) == []
    feed(survey, [DNS_FRAME])
    (again,) = [talk for talk in told(survey, so_far) if talk.mac == CAMERA]
    assert (again.protocol, again.packets_sent) == ("dns", 1)


def ring_block(frames: list[bytes]) -> bytes:
    """A block as the kernel fills it: 48 octets of block header, then each packet behind its own header."""
    packets = bytearray()
    for number, frame in enumerate(frames):
        mac = HEADER + 32
        size = (mac + len(frame) + 15) & ~15
        after = size if number + 1 < len(frames) else 0
        head = struct.pack("<IIIIIIHH", after, 100 + number, 5, len(frame), len(frame), 0, mac, mac + 14)
        packets += (head + bytes(mac - len(head)) + frame).ljust(size, b"\0")
    return bytes(48) + bytes(packets)


def test_a_block_of_the_ring_becomes_records() -> None:
    frames = [DNS_FRAME, b"\xff" * 60, DNS_FRAME]
    block = ring_block(frames)
    state, records = np.zeros(RING_STATE, np.int64), np.zeros((8, 5), np.int64)
    state[AT], state[LEFT] = 48, len(frames)
    buffer = np.frombuffer(block, np.uint8)
    assert index_block(buffer, 0, len(block), 1, state, records) == 3
    found = [block[row[OFFSET] : row[OFFSET] + row[CAPTURED]] for row in records[:3].tolist()]
    assert found == frames
    assert records[:3, TIME].tolist() == [100_000_000_005, 101_000_000_005, 102_000_000_005]
    assert state[LEFT] == 0


def test_a_block_that_lies_about_its_packets_never_leads_outside() -> None:
    draw = np.random.default_rng(20261126)
    whole = np.frombuffer(ring_block([DNS_FRAME] * 6), np.uint8)
    for _ in range(400):
        block = whole.copy()
        for at in draw.integers(0, len(block), 12):
            block[at] = draw.integers(0, 256)
        state, records = np.zeros(RING_STATE, np.int64), np.zeros((16, 5), np.int64)
        state[AT], state[LEFT] = 48, int(draw.integers(0, 50))
        rows = index_block(block, 0, len(block), 1, state, records)
        for row in records[:rows].tolist():
            assert 0 <= row[OFFSET] <= row[OFFSET] + row[CAPTURED] <= len(block)
