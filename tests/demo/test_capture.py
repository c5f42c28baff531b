"""The demo's capture is real: tshark reads it, finds every checksum right, and sees the login."""

import json
import subprocess
from datetime import UTC, datetime
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest

from bastide.demo.capture import Host, pcap, telnet_story
from tests.peers import require

CAMERA = Host(bytes.fromhex("b827eb4c6f01"), IPv4Address("10.20.0.31"), "door-camera-3")
ROUTER = Host(bytes.fromhex("020000000001"), IPv4Address("10.20.0.1"))
TECHNICIAN = Host(bytes.fromhex("020000000099"), IPv4Address("10.20.0.99"))


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    path = tmp_path / "camera.pcap"
    path.write_bytes(pcap(telnet_story(CAMERA, ROUTER, TECHNICIAN, datetime(2026, 1, 5, 9, tzinfo=UTC))))
    return path


def tshark(capture: Path, *options: str) -> str:
    checks = [option for layer in ("ip", "udp", "tcp") for option in ("-o", f"{layer}.check_checksum:TRUE")]
    command = [require("tshark"), "-r", str(capture), *checks, *options]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_every_packet_is_understood_and_every_checksum_right(capture: Path) -> None:
    packets: list[dict[str, Any]] = json.loads(tshark(capture, "-T", "json"))
    layers = [set(packet["_source"]["layers"]) for packet in packets]
    assert {"arp", "dhcp", "dns", "telnet"} <= set().union(*layers)
    assert tshark(capture, "-Y", "_ws.malformed || ip.checksum.status == 0 || tcp.checksum.status == 0") == ""
    assert tshark(capture, "-Y", "udp.checksum.status == 0") == ""
    assert tshark(capture, "-Y", "tcp.analysis.flags") == ""


def test_the_login_is_there_to_be_seen(capture: Path) -> None:
    followed = tshark(capture, "-q", "-z", "follow,tcp,ascii,0")
    assert "door-camera-3 login:" in followed
    assert "vizxv" in followed


def test_the_device_names_itself_when_it_joins(capture: Path) -> None:
    assert "door-camera-3" in tshark(
        capture, "-Y", "dhcp.option.dhcp == 1", "-T", "fields", "-e", "dhcp.option.hostname"
    )
