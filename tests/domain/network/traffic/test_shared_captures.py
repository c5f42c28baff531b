"""Every capture of the shared data runs through: no crash, each labelled device is found, tshark counts the same flows."""

import subprocess
from pathlib import Path

import pytest

from bastide.network.traffic.devices import devices_of
from bastide.network.traffic.report import report_of
from bastide.network.traffic.survey import Survey
from tests.domain.network.traffic.build import feed, scanned
from tests.peers import require, shared_data

TSHARK_SAMPLE = (
    "iot-sentinel/Aria/Setup-C-1-STA.pcap",
    "iot-sentinel/HueBridge/Setup-C-3-STA.pcap",
    "iot-sentinel/D-LinkCam/Setup-C-2-STA.pcap",
    "iot-sentinel/WeMoLink/Setup-C-5-STA.pcap",
    "ot/EthernetIP/EthernetIP-CIP.pcap",
    "ot/s7/wincc_s400_production.pcapng",
    "ot/ModbusTCP/mb2.pcap",
    "ot/BACnet/bacnet_test.pcap",
)


def test_every_labelled_device_is_found_and_nothing_fails() -> None:
    folder = shared_data("captures", "iot-sentinel")
    captures = sorted(folder.rglob("*.pcap"))
    assert len(captures) > 200
    for capture in captures:
        label = (capture.parent / "_iotdevice-mac.txt").read_text().strip().lower()
        survey = Survey()
        feed(survey, capture.read_bytes())
        assert label in {device.mac for device in devices_of(survey, lambda _: None)}, capture


def test_industrial_and_other_captures_run_through() -> None:
    for folder in ("ot", "suricata-verify"):
        for capture in sorted(shared_data("captures", folder).rglob("*.pcap*")):
            survey = Survey()
            feed(survey, capture.read_bytes())
            report = report_of(survey, lambda _: None)
            # One of the captures is a file header and nothing else.
            assert report["packets"] > 0 or capture.stat().st_size == 24, capture
            assert sum(report["undecodable"].values()) <= max(3, report["packets"] // 5), (
                capture,
                report["undecodable"],
            )


@pytest.mark.parametrize("name", TSHARK_SAMPLE)
def test_tshark_counts_the_same_packets_and_conversations(name: str) -> None:
    capture = shared_data("captures", *name.split("/"))
    report = scanned(capture.read_bytes())
    frames, udp, tcp = _tshark(capture)
    assert report["packets"] == frames
    survey = Survey()
    feed(survey, capture.read_bytes())
    keys = survey.tables.flows[survey.tables.flow_tags != 0][:, 4]
    ours = {transport: int((((keys >> 20) & 0xFF) == transport).sum()) for transport in (6, 17)}
    assert ours == {6: len(tcp), 17: len(udp)}


def _tshark(capture: Path) -> tuple[int, set[frozenset[tuple[str, str]]], set[frozenset[tuple[str, str]]]]:
    """(packets, UDP conversations, TCP conversations): pairs of (address, port), as we define a flow."""
    names = (
        "ip.src",
        "ip.dst",
        "ipv6.src",
        "ipv6.dst",
        "udp.srcport",
        "udp.dstport",
        "tcp.srcport",
        "tcp.dstport",
        "icmp.type",
        "icmpv6.type",
    )
    wanted = [part for name in names for part in ("-e", name)]
    done = subprocess.run(
        [require("tshark"), "-n", "-r", str(capture), "-T", "fields", "-E", "occurrence=f", *wanted],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    found: tuple[set[frozenset[tuple[str, str]]], set[frozenset[tuple[str, str]]]] = (set(), set())
    for source4, target4, source6, target6, udp_from, udp_to, tcp_from, tcp_to, *icmp in lines:
        if any(icmp):
            continue  # the ports are of the packet that the ICMP message quotes
        source, target = source4 or source6, target4 or target6
        if udp_from:
            found[0].add(frozenset({(source, udp_from), (target, udp_to)}))
        elif tcp_from:
            found[1].add(frozenset({(source, tcp_from), (target, tcp_to)}))
    return len(lines), found[0], found[1]
