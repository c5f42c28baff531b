"""Findings hold where traffic shows a weakness, and only there; secrets are never part of them."""

import base64
import json

import pytest

from bastide.network.traffic.findings import RULES
from tests.domain.network.traffic.build import (
    CAMERA,
    CAMERA_IP,
    ROUTER,
    ROUTER_IP,
    ethernet,
    ipv4,
    pcap,
    scanned,
    tcp,
    udp,
)
from tests.domain.network.traffic.samples import mqtt, server_hello, snmp, string
from tests.domain.network.traffic.test_flows import BINDINGS, device

SECRET = "swordfish-in-the-clear"


def session(ask: bytes, answer: bytes, port: int) -> list[bytes]:
    """The router opens a connection to the camera, asks, and is answered."""
    there = ethernet(ipv4(tcp(b"", 50000, port, 2), 6, ROUTER_IP, CAMERA_IP), source=ROUTER, target=CAMERA)
    ready = ethernet(ipv4(tcp(b"", port, 50000, 0x12), 6))
    asked = ethernet(ipv4(tcp(ask, 50000, port), 6, ROUTER_IP, CAMERA_IP), source=ROUTER, target=CAMERA)
    answered = ethernet(ipv4(tcp(answer, port, 50000), 6))
    return [*BINDINGS, there, ready, *([asked] if ask else []), *([answered] if answer else [])]


def codes(frames: list[bytes], mac: str) -> set[str]:
    return {finding["code"] for finding in device(scanned(pcap(frames)), mac)["findings"]}


def basic(user: str, password: str) -> bytes:
    word = base64.b64encode(f"{user}:{password}".encode())
    return b"GET / HTTP/1.1\r\nHost: camera\r\nAuthorization: Basic " + word + b"\r\n\r\n"


def test_a_telnet_server_is_found_and_its_client_too() -> None:
    frames = session(b"\xff\xfd\x03", b"\xff\xfb\x01\xff\xfd\x1flogin: ", 23)
    assert "traffic:telnet" in codes(frames, CAMERA)
    assert "traffic:telnet-client" in codes(frames, ROUTER)


def test_a_password_in_the_clear_is_found_and_not_kept() -> None:
    report = scanned(pcap(session(basic("joe", SECRET), b"HTTP/1.1 200 OK\r\n\r\n", 80)))
    found = {finding["code"] for finding in device(report, ROUTER)["findings"]}
    assert "traffic:cleartext-credentials" in found
    assert "traffic:default-credentials" not in found
    assert SECRET not in json.dumps(report)
    assert base64.b64encode(f"joe:{SECRET}".encode()).decode() not in json.dumps(report)


def test_a_factory_password_is_the_worst_finding() -> None:
    report = scanned(pcap(session(basic("admin", "admin"), b"HTTP/1.1 200 OK\r\n\r\n", 80)))
    assert device(report, ROUTER)["findings"][0]["code"] == "traffic:default-credentials"
    assert device(report, ROUTER)["findings"][0]["severity"] == "critical"


@pytest.mark.parametrize(
    ("ask", "answer", "port", "mac", "code"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b'HTTP/1.1 401 No\r\nWWW-Authenticate: Basic realm="cam"\r\n\r\n', 80, CAMERA, "traffic:http-admin"),  # noqa: E501
        (b"USER x\r\n", b"220 camera FTP ready\r\n", 21, CAMERA, "traffic:ftp"),
        (mqtt(0x10, string("MQTT") + b"\x04\x02\0\x3c" + string("s1")), b"\x20\x02\0\0", 1883, ROUTER, "traffic:mqtt-cleartext"),
        (b"", b"SSH-1.5-old\r\n", 22, CAMERA, "traffic:ssh-1"),
        (b"\x00\x01\x00\x00\x00\x06\x01\x03\x00\x00\x00\x02", b"\x00\x01\x00\x00\x00\x07\x01\x03\x04\0\0\0\0", 502, CAMERA, "traffic:industrial-unprotected"),  # noqa: E501
        (b"", server_hello(0x0301), 443, CAMERA, "traffic:tls-obsolete"),
        (b"", server_hello(0x0301), 443, ROUTER, "traffic:tls-obsolete-peer"),
    ],
)  # fmt: skip
def test_each_weakness_is_found_at_the_right_device(ask: bytes, answer: bytes, port: int, mac: str, code: str) -> None:
    assert code in codes(session(ask, answer, port), mac)


def test_a_modern_tls_server_is_no_finding() -> None:
    assert codes(session(b"", server_hello(0x0303), 443), CAMERA) == set()


def test_a_default_community_is_a_default_credential() -> None:
    packet = udp(snmp(b"public", bytes.fromhex("2b06010201010100"), b"\x05\x00", pdu=0xA0), 50000, 161)
    assert "traffic:default-credentials" in codes([*BINDINGS, ethernet(ipv4(packet, 17))], CAMERA)


def test_every_rule_says_what_is_so_and_what_to_do() -> None:
    assert len({rule.code for rule in RULES}) == len(RULES)
    for rule in RULES:
        assert rule.code.startswith("traffic:")
        assert rule.advice.endswith((".", "not."))
        assert 0 < rule.confidence < 1
