"""Captures are read whole or in part, in every form; damage is counted and never costs its neighbours."""

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bastide.network.traffic.reading import NotACapture, reader_of
from tests.domain.network.traffic.build import (
    DNS_FRAME,
    block,
    enhanced,
    interface,
    option,
    pcap,
    scanned,
    section,
    survey_of,
)

FRAMES = [DNS_FRAME] * 5


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("nano", [False, True])
def test_a_pcap_reads_the_same_in_both_orders_and_both_resolutions(order: str, nano: bool) -> None:
    report = scanned(pcap(FRAMES, order=order, nano=nano))
    assert (report["packets"], report["flows"], report["undecodable"]) == (5, 1, {})
    assert report["first_seen"] == "2023-11-14T22:13:20+00:00"
    assert report["last_seen"] == "2023-11-14T22:13:24+00:00"


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_pcapng_reads_enhanced_simple_and_obsolete_packet_blocks(order: str) -> None:
    obsolete = struct.pack(order + "HHIIII", 0, 0, 395824, 2650671104, len(DNS_FRAME), len(DNS_FRAME)) + DNS_FRAME
    simple = struct.pack(order + "I", len(DNS_FRAME)) + DNS_FRAME
    data = (
        section(order)
        + interface(order=order)
        + enhanced(DNS_FRAME, order=order)
        + block(3, simple, order)
        + block(2, obsolete, order)
        + block(0x0BAD, b"of somebody else", order)
        + enhanced(DNS_FRAME, order=order)
    )
    report = scanned(data)
    assert (report["packets"], report["flows"], report["undecodable"]) == (4, 1, {})


@pytest.mark.parametrize(
    ("resolution", "units"),
    [(3, 1_700_000_000_000), (6, 1_700_000_000_000_000), (9, 1_700_000_000 * 10**9), (0x80 | 10, 1_700_000_000 << 10)],
)
def test_timestamps_follow_the_interface_s_resolution(resolution: int, units: int) -> None:
    data = section() + interface(options=option(9, bytes([resolution]))) + enhanced(DNS_FRAME, units)
    assert scanned(data)["first_seen"] == "2023-11-14T22:13:20+00:00"


def test_a_time_offset_of_an_interface_is_added() -> None:
    options = option(9, b"\x06") + option(14, struct.pack("<q", 1_700_000_000))
    data = section() + interface(options=options) + enhanced(DNS_FRAME, 1_000_000)
    assert scanned(data)["first_seen"] == "2023-11-14T22:13:21+00:00"


def test_each_interface_of_a_pcapng_has_its_own_link_type() -> None:
    data = section() + interface(1) + interface(101) + enhanced(DNS_FRAME) + enhanced(DNS_FRAME[14:], number=1)
    report = scanned(data)
    assert report["packets"] == 2
    assert report["undecodable"] == {}


def test_a_second_section_may_have_the_other_order_and_its_own_interfaces() -> None:
    data = section("<") + interface(order="<") + enhanced(DNS_FRAME, order="<")
    data += section(">") + interface(order=">") + enhanced(DNS_FRAME, order=">")
    assert scanned(data)["packets"] == 2


def test_a_packet_of_an_interface_that_nobody_described_is_counted() -> None:
    report = scanned(section() + interface() + enhanced(DNS_FRAME, number=3) + enhanced(DNS_FRAME))
    assert report["packets"] == 1
    assert report["undecodable"] == {"packet of an interface that the capture does not describe": 1}


@pytest.mark.parametrize("cut", range(1, 16 + len(DNS_FRAME)))
def test_a_pcap_cut_anywhere_gives_all_whole_records_and_says_that_it_was_cut(cut: int) -> None:
    report = scanned(pcap(FRAMES)[:-cut])
    assert report["packets"] == 4
    assert report["undecodable"] == {"record cut off at the end of the capture": 1}


@pytest.mark.parametrize("cut", range(1, len(enhanced(DNS_FRAME))))
def test_a_pcapng_cut_anywhere_gives_all_whole_blocks_and_says_that_it_was_cut(cut: int) -> None:
    data = section() + interface() + enhanced(DNS_FRAME) * 5
    report = scanned(data[:-cut])
    assert report["packets"] == 4
    assert report["undecodable"] == {"block cut off at the end of the capture": 1}


@pytest.mark.parametrize("place", range(16))
def test_a_damaged_pcap_record_header_costs_that_record_only(place: int) -> None:
    data = bytearray(pcap(FRAMES))
    at = 24 + 2 * (16 + len(DNS_FRAME)) + place
    data[at] ^= 0xFF
    report = scanned(bytes(data))
    assert report["packets"] >= 4
    assert report["flows"] <= 2


@pytest.mark.parametrize("place", [4, 5, 6, 7, -4, -3, -2, -1])
def test_a_damaged_pcapng_block_length_costs_that_block_only(place: int) -> None:
    one = enhanced(DNS_FRAME)
    data = bytearray(section() + interface() + one * 5)
    start = len(section() + interface()) + 2 * len(one)
    data[start + place if place >= 0 else start + len(one) + place] ^= 0x55
    report = scanned(bytes(data))
    assert report["packets"] == 4
    assert report["undecodable"] == {"block damaged, skipped to the next that fits": 1}


def test_garbage_between_records_is_passed_over_and_counted() -> None:
    whole = pcap(FRAMES)
    at = 24 + 3 * (16 + len(DNS_FRAME))
    report = scanned(whole[:at] + b"\xde\xad\xbe\xef" * 33 + whole[at:])
    assert report["packets"] == 5
    assert report["undecodable"] == {"record header damaged, skipped to the next that fits": 1}


@pytest.mark.parametrize("data", [b"", b"GIF89a", b"\x1f\x8b\x08\0", pcap([])[:20], b"\x0a\x0d\x0d\x0a"])
def test_what_is_no_capture_is_refused_with_one_sentence(data: bytes) -> None:
    with pytest.raises(NotACapture) as refused:
        reader_of(data[:24], "site.pcap")
    assert "site.pcap" in refused.value.sentence


def test_a_capture_without_packets_is_an_empty_report() -> None:
    report = scanned(pcap([]))
    assert (report["packets"], report["devices"], report["first_seen"]) == (0, [], None)


@given(data=st.binary(max_size=400), place=st.integers(0, 600), size=st.integers(0, 40))
@settings(max_examples=150, deadline=None)
def test_no_damage_makes_packets_appear_or_the_reader_fail(data: bytes, place: int, size: int) -> None:
    for whole in (pcap(FRAMES), section() + interface() + enhanced(DNS_FRAME) * 5):
        at = max(24, min(place, len(whole)))
        survey = survey_of(whole[:at] + data + whole[at + size :])
        assert survey.tables.counters[0] <= 5 + len(data) // 16


@given(st.integers(1, 5000))
@settings(max_examples=40, deadline=None)
def test_reading_by_windows_finds_the_same_records_as_reading_at_once(step: int) -> None:
    step = max(step, 16 + len(DNS_FRAME))
    for whole in (
        pcap(FRAMES * 20),
        section() + interface() + enhanced(DNS_FRAME) * 50 + block(9, bytes(9000)) + enhanced(DNS_FRAME),
    ):
        expected = survey_of(whole).tables.counters[:3].tolist()
        survey = survey_of(pcap([]))
        reader = reader_of(whole[:24], "test")
        offset, size = reader.start, len(whole)
        while offset < size:
            window = np.frombuffer(whole[offset : offset + step], np.uint8)
            rows, at = reader.index(
                window, 0, len(window), offset + len(window) >= size, survey.records, survey.reasons
            )
            survey.absorb(window, rows)
            if at == 0:
                step *= 2
            offset += at
        assert survey.tables.counters[:3].tolist() == expected
        assert not survey.reasons.any()
