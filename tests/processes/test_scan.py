"""``bastide scan`` as a process: its answers, its exit status, and a parser that can reach nothing."""

import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bastide.adapters.sandbox.lockdown import filter_program
from bastide.cli.scan_text import Kind, kinds
from tests.domain.network.traffic.build import CAMERA, DNS_FRAME, pcap
from tests.domain.network.traffic.test_findings import basic, session

BASTIDE = str(Path(sys.executable).parent / "bastide")
pytestmark = pytest.mark.timeout(400)  # the first one compiles the kernel


def scan(*arguments: object, home: Path | None = None) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, **({"HOME": str(home)} if home else {})}
    return subprocess.run(
        [BASTIDE, "scan", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env=environment,
    )


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    path = tmp_path / "site.pcap"
    path.write_bytes(pcap([*session(basic("admin", "admin"), b"HTTP/1.1 200 OK\r\n\r\n", 80), DNS_FRAME]))
    return path


def test_json_has_the_form_that_scripts_rely_on(capture: Path) -> None:
    done = scan("--json", capture)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert {"packets", "bytes", "flows", "protocols", "undecodable", "devices"} <= set(report)
    device = next(entry for entry in report["devices"] if entry["mac"] == CAMERA)
    wanted = {
        "mac",
        "ips",
        "vendor",
        "hostnames",
        "protocols",
        "services",
        "type",
        "first_seen",
        "last_seen",
        "findings",
    }
    assert wanted <= set(device)
    assert {"value", "confidence", "candidates", "because"} <= set(device["type"])
    assert report["protocols"] == {"arp": 2, "dns": 1, "http": 1}


def test_the_parser_runs_without_network_files_or_system_calls(capture: Path) -> None:
    if filter_program(platform.machine()) is None:
        pytest.skip(f"no list of system calls for {platform.machine()}")
    missing = json.loads(scan("--json", capture).stdout)["not_sandboxed"]
    assert not any(layer.startswith(("system call filter", "no-new-privileges")) for layer in missing), missing


def test_damage_is_counted_and_no_failure(capture: Path) -> None:
    capture.write_bytes(capture.read_bytes()[:-7])
    done = scan("--json", capture)
    assert done.returncode == 0
    assert json.loads(done.stdout)["undecodable"] == {"record cut off at the end of the capture": 1}


@pytest.mark.parametrize("octets", [b"", b"not a capture at all", b"\x1f\x8b\x08\0\0\0"])
def test_what_is_no_capture_ends_with_status_2_and_one_sentence(tmp_path: Path, octets: bytes) -> None:
    path = tmp_path / "letter.txt"
    path.write_bytes(octets)
    done = scan("--json", path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("bastide: ")
    assert len(done.stderr.strip().splitlines()) == 1
    assert "letter.txt" in done.stderr


def test_a_missing_file_and_a_folder_are_refused_with_a_sentence(tmp_path: Path) -> None:
    for path in (tmp_path / "nothing.pcap", tmp_path):
        done = scan(path)
        assert done.returncode == 2
        assert "Traceback" not in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1


def test_people_are_told_what_to_do_first(capture: Path) -> None:
    said = scan(capture).stdout
    assert said.index("What is on this network") < said.index("What to do first") < said.index("Devices")
    assert "critical" in said
    assert said.index("What to do first") < said.index("What is there") < said.index("Devices")


def test_what_there_is_adds_up_however_many_kinds_there_are() -> None:
    def device(vendor: str, kind: str = "", weak: bool = False) -> dict[str, Any]:
        findings = [{"code": "x:y"}] if weak else []
        return {"type": {"value": kind}, "vendor": vendor, "randomised_mac": not vendor, "findings": findings}

    many = [device(f"Maker {n}", weak=n % 2 == 0) for n in range(20)]
    found = kinds([*many, device("Maker 1", "camera"), device("Maker 2", "camera", True), device("")], most=4)
    assert found[0] == Kind("camera", 2, 1)
    assert found[-1].name == "19 other kinds"
    assert (sum(one.devices for one in found), sum(one.weak for one in found)) == (23, 11)


def test_the_page_holds_itself_together(capture: Path, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    done = scan("--html", page, capture)
    assert done.returncode == 0, done.stderr
    text = page.read_text()
    assert "What to do first" in text
    assert CAMERA in text
    for outside in ("<script", "http://", "https://", "src=", "<link"):
        assert outside not in text


_ATTEMPTS = """
import os, socket, sys
from bastide.adapters.sandbox.lockdown import lock_down, separate
missing = separate() + lock_down()
def tried(act):
    try:
        act()
    except OSError:
        return "refused"
    return "done"
print(tried(lambda: os.open("/etc/passwd", os.O_RDONLY)), tried(lambda: socket.socket()), tried(os.fork),
      tried(lambda: os.kill(os.getppid(), 0)), tried(lambda: os.execv("/bin/true", ["true"])), sep=",")
"""


def test_a_locked_process_opens_no_file_no_socket_and_starts_nothing() -> None:
    if filter_program(platform.machine()) is None:
        pytest.skip(f"no list of system calls for {platform.machine()}")
    done = subprocess.run([sys.executable, "-c", _ATTEMPTS], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.strip() == "refused,refused,refused,refused,refused", done.stderr


def test_bases_that_others_maintain_are_loaded_from_where_they_are(tmp_path: Path) -> None:
    recog = tmp_path / "xml"
    recog.mkdir()
    (recog / "http_servers.xml").write_text(
        '<fingerprints matches="http_header.server"><fingerprint pattern="^Boa/([0-9.]+)$">'
        '<param pos="0" name="service.product" value="Boa"/><param pos="1" name="service.version"/></fingerprint></fingerprints>'
    )
    makers = tmp_path / "oui.txt"
    makers.write_text("00-17-88   (hex)\t\tA Maker Of Bridges\n")
    seen = tmp_path / "seen.pcap"
    seen.write_bytes(pcap(session(b"GET / HTTP/1.1\r\n\r\n", b"HTTP/1.1 200 OK\r\nServer: Boa/0.94.13\r\n\r\n", 80)))
    ended = scan(seen, "--recog", recog, "--oui", makers, "--json")
    assert ended.returncode == 0, ended.stderr
    devices = json.loads(ended.stdout)["devices"]
    assert "A Maker Of Bridges" in {device["vendor"] for device in devices}
    (told,) = [one for device in devices for one in device["recognised"]]
    assert (told["product"], told["version"], told["source"]) == ("Boa", "0.94.13", "recog http_header.server")
    makers.write_text("nothing\n")
    refused = scan(seen, "--oui", makers)
    assert refused.returncode == 2
    assert "no address prefix" in refused.stderr
