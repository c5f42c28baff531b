"""``bastide profile check`` and ``compile``: what they print and how they end."""

import json
import subprocess
from pathlib import Path

import pytest

from bastide.cli import run
from tests.domain.network.mud.files import cloud, encoded, lamp
from tests.domain.network.traffic.build import CAMERA, DNS_FRAME, pcap
from tests.domain.network.traffic.test_findings import basic, session
from tests.peers import require


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "lamp.json"
    path.write_bytes(encoded(lamp(from4=[cloud()])))
    return path


def test_an_accepted_file_ends_with_0(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["profile", "check", str(file), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["accepted"] is True
    assert found["from-device"]["entries"] == 1


@pytest.mark.parametrize("content", [b"", b"[" * 100_000, b"{}", b"\xff", b'{"a": 1, "a": 2}'])
def test_a_refused_file_ends_with_2_and_one_sentence(
    content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bad.json"
    path.write_bytes(content)
    assert run(["profile", "check", str(path)]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("bastide: ")
    assert len(printed.err.splitlines()) == 1


def test_a_missing_file_ends_with_2() -> None:
    assert run(["profile", "check", "/nowhere/lamp.json"]) == 2


def test_a_compiled_profile_holds_what_was_given(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["profile", "compile", str(file), "--device-ip", "10.0.0.5", "--device-ip", "fd00::5"]
    given = ["--device-mac", "02-00-00-00-00-05", "--dns", "cloud.lamps.example=198.51.100.7"]
    assert run([*command, *given, "--controller", "urn:ietf:params:mud:dns=10.0.0.1", "--format", "nft"]) == 0
    text = capsys.readouterr().out
    for one in ("10.0.0.5 : jump", "fd00::5 : jump", "02:00:00:00:00:05", "198.51.100.7", "elements = { 10.0.0.1 }"):
        assert one in text
    assert run([*command, "--format", "json"]) == 0
    assert "nftables" in json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    "options",
    [
        ["--device-ip", "10.0.0.300"],
        ["--device-ip", "224.0.0.1"],
        ["--device-ip", "10.0.0.5", "--device-mac", "02:00"],
        ["--device-ip", "10.0.0.5", "--dns", "cloud.lamps.example"],
        ["--device-ip", "10.0.0.5", "--dns", "bad name=10.0.0.1"],
        ["--device-ip", "10.0.0.5", "--format", "iptables"],
        ["--device-ip", "10.0.0.5", "--local-network", "10.0.0.1/8"],
        [],
    ],
)
def test_a_wrong_option_ends_with_2(file: Path, options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["profile", "compile", str(file), *options]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_signature_by_openssl_is_checked(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """RFC 8520, section 13.1, signs with exactly this command."""
    openssl = require("openssl")
    key, certificate, signature = (tmp_path / name for name in ("key.pem", "signer.pem", "lamp.p7s"))
    made = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=Lamps", "-days", "2"]
    usage = ["-addext", "keyUsage=critical,digitalSignature,keyCertSign"]
    signing = ["cms", "-sign", "-signer", certificate, "-inkey", key, "-in", file, "-binary", "-outform", "DER"]
    for command in ([*made, *usage, "-keyout", key, "-out", certificate], [*signing, "-out", signature]):
        subprocess.run([openssl, *map(str, command)], check=True, capture_output=True)
    check = ["profile", "check", str(file), "--signature", str(signature), "--anchors", str(certificate), "--json"]
    assert run(check) == 0
    assert json.loads(capsys.readouterr().out)["signature"]["state"] == "valid"
    file.write_bytes(file.read_bytes() + b"\n")
    assert run(check) == 1
    assert json.loads(capsys.readouterr().out)["signature"]["state"] == "altered"
    assert run(check[:5]) == 2


def test_a_proof_without_root_says_what_it_needs(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert run(["segment", "prove", "--profile", str(file)]) == 2
    assert "as root" in capsys.readouterr().err


@pytest.mark.timeout(400)  # the first one compiles the packet kernel
def test_a_learned_profile_is_a_strict_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capture, out = tmp_path / "site.pcap", tmp_path / "camera.json"
    capture.write_bytes(pcap([*session(basic("admin", "admin"), b"HTTP/1.1 200 OK\r\n\r\n", 80), DNS_FRAME]))
    assert run(["profile", "learn", str(capture), "--mac", CAMERA, "--out", str(out), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [(one["ports"], one["opened_by_device"]) for one in told["entries"]] == [([80, 80], False)]
    assert [one["because"] for one in told["left_out"]] == ["nobody answered"]
    assert run(["profile", "check", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["notes"] == []
    assert run(["profile", "learn", str(capture), "--mac", "00:00:00:00:00:01", "--out", str(out)]) == 1
    assert run(["profile", "learn", str(capture), "--mac", "camera", "--out", str(out)]) == 2


@pytest.mark.timeout(400)
def test_what_a_profile_would_cut_is_told_before_it_is_cut(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before, after, out = tmp_path / "before.pcap", tmp_path / "after.pcap", tmp_path / "camera.json"
    answer = b"HTTP/1.1 200 OK\r\n\r\n"
    before.write_bytes(pcap(session(basic("admin", "admin"), answer, 80)))
    after.write_bytes(
        pcap([*session(basic("admin", "admin"), answer, 80), *session(b"GET / HTTP/1.1\r\n\r\n", answer, 8081)])
    )
    assert run(["profile", "learn", str(before), "--mac", CAMERA, "--out", str(out), "--json"]) == 0
    capsys.readouterr()
    simulate = ["segment", "simulate", "--profile", str(out), "--mac", CAMERA, "--json"]
    assert run([*simulate, str(before)]) == 0
    assert json.loads(capsys.readouterr().out)["flows_cut"] == 0
    assert run([*simulate, str(after)]) == 1
    told = json.loads(capsys.readouterr().out)
    (cut,) = told["cut"]
    assert (cut["port"], cut["answered"], told["flows_kept"]) == (8081, True, 1)
    assert "but for the port (80)" in cut["nearest"]
