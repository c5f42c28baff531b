"""``bastide look`` between network namespaces of the test's own, at real servers."""

import contextlib
import json
import os
import socket
import ssl
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from bastide.adapters.namespaces.namespace import Namespace
from tests.browser.tls import write_leaf
from tests.peers import require, require_root
from tests.processes.bastide import COMMAND, Bastide, environment

pytestmark = pytest.mark.timeout(400)  # the first one compiles the kernel
LOOKER, CAMERA, PLC = "10.77.0.1", "10.77.0.20", "10.77.0.30"
HARDWARE = "00:17:88:00:00:0a"


class Site:
    """Two namespaces joined by a wire: one looks, the other is a camera with two addresses, one of them a controller's."""

    def __init__(self) -> None:
        self.looker, self.devices = Namespace("looker"), Namespace("devices")
        self.servers: list[socket.socket] = []
        self.touched: set[int] = set()
        self.frames: list[tuple[float, str]] = []
        self._end = threading.Event()
        self._watching = threading.Thread(target=self._watch, daemon=True)

    def join(self) -> None:
        self.looker.command(["ip", "link", "add", "eth0", "type", "veth", "peer", "name", "far"])
        self.looker.command(
            ["ip", "link", "set", "far", "netns", f"/proc/{os.getpid()}/task/{self.devices.tid}/ns/net"]
        )
        self.looker.command(["ip", "addr", "add", f"{LOOKER}/24", "dev", "eth0"])
        self.looker.command(["ip", "link", "set", "eth0", "up"])
        self.devices.command(["ip", "link", "set", "far", "address", HARDWARE])
        for address in (CAMERA, PLC):
            self.devices.command(["ip", "addr", "add", f"{address}/24", "dev", "far"])
        self.devices.command(["ip", "link", "set", "far", "up"])
        self._tap = self.devices.run(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800)))
        self._tap.settimeout(0.2)
        self._watching.start()

    def serve(self, address: str, port: int, says: bytes, *, tls: ssl.SSLContext | None = None) -> None:
        """Listens; greets, or answers the first request, with these octets."""

        def listening() -> socket.socket:
            made = socket.create_server((address, port))
            made.settimeout(0.2)
            return made

        server = self.devices.run(listening)
        self.servers.append(server)

        def answer() -> None:
            while not self._end.is_set():
                try:
                    peer, _ = server.accept()
                except TimeoutError:
                    continue
                except OSError:
                    return
                self.touched.add(port)
                with contextlib.suppress(OSError), peer:
                    peer.settimeout(2)
                    if tls is not None:
                        with tls.wrap_socket(peer, server_side=True) as over:
                            over.recv(10)
                        continue
                    if port in (80, 554):
                        peer.recv(4096)
                    peer.sendall(says)
                    time.sleep(0.05)

        threading.Thread(target=answer, daemon=True).start()

    def _watch(self) -> None:
        while not self._end.is_set():
            try:
                frame = self._tap.recv(65535)
            except TimeoutError:
                continue
            except OSError:
                return
            if frame[26:30] == socket.inet_aton(LOOKER):
                self.frames.append((time.monotonic(), socket.inet_ntoa(frame[30:34])))

    def close(self) -> None:
        self._end.set()
        if self._watching.ident is not None:
            self._watching.join()
            self._tap.close()
        for server in self.servers:
            server.close()
        self.looker.close()
        self.devices.close()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    require_root("network namespaces")
    require("ip")
    made = Site()
    try:
        made.join()
        certificate, key = write_leaf(tmp_path)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        made.serve(CAMERA, 23, b"\xff\xfb\x01\r\nhall-cam login: ")
        made.serve(CAMERA, 22, b"SSH-2.0-dropbear_2012.55\r\n")
        made.serve(CAMERA, 80, b"HTTP/1.1 200 OK\r\nServer: Boa/0.94.13\r\nContent-Length: 2\r\n\r\nok")
        made.serve(
            CAMERA, 554, b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nPublic: DESCRIBE\r\nServer: Hipcam RealServer/V1.0\r\n\r\n"
        )
        made.serve(CAMERA, 443, b"", tls=context)
        made.serve(CAMERA, 502, b"")
        made.serve(PLC, 80, b"HTTP/1.1 200 OK\r\nServer: PLC\r\n\r\n")
        yield made
    finally:
        made.close()


def look(site: Site, *arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return site.looker.run(
        lambda: subprocess.run(
            [COMMAND, "look", *arguments], capture_output=True, text=True, check=False, timeout=240, env=env
        )
    )


def test_quiet_devices_tell_what_they_serve_and_fragile_ports_are_never_touched(site: Site, tmp_path: Path) -> None:
    ended = look(site, f"{CAMERA}/32", "10.77.0.99", "--json", "--keep", str(tmp_path / "kept"))
    assert ended.returncode == 0, ended.stderr
    report = json.loads(ended.stdout)
    (camera,) = report["devices"]
    assert camera["mac"] == HARDWARE
    assert camera["ips"] == [CAMERA]
    served = {(one["port"], one["protocol"]) for one in camera["services"]}
    assert served >= {(22, "ssh"), (23, "telnet"), (80, "http"), (443, "tls"), (554, "rtsp")}
    assert any(finding["code"] == "traffic:telnet" for finding in camera["findings"]), camera["findings"]
    assert report["look"]["hosts"] == 2
    assert report["look"]["answered"] == 1
    assert 502 not in site.touched
    assert site.touched == {22, 23, 80, 443, 554}
    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["near.pcap"]
    # No second saw more than was promised, retransmissions and acknowledgements included.
    times = [at for at, host in site.frames if host == CAMERA]
    assert times
    assert max(sum(begin <= at < begin + 1 for at in times) for begin in times) <= 40


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("10.77.0.0/16",), "4,096"),
        (("10.77.0.20", "--ports", "502"), "never touched"),
        (("10.77.0.20", "--ports", "9100"), "prints what it gets"),
        (("10.77.0.20", "--per-host", "41"), "at most 40"),
        (("224.0.0.1",), "no device"),
        (("127.0.0.1",), "no device"),
        (("garden",), "no address or range"),
        (("10.77.0.20", "--ports", "http"), "numbers"),
    ],
)
def test_what_would_be_too_much_is_refused(arguments: tuple[str, ...], why: str) -> None:
    ended = subprocess.run([COMMAND, "look", *arguments], capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 2
    assert why in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_look_is_in_the_ledger_and_leaves_fragile_hosts_alone(site: Site, tmp_path: Path) -> None:
    bastide = Bastide(tmp_path / "data", prefix=("nsenter", f"--net=/proc/{os.getpid()}/task/{site.looker.tid}/ns/net"))
    bastide.start()
    try:
        # An earlier scan heard the controller speak Modbus.
        modbus = {"mac": "00:30:11:00:00:01", "ips": [PLC], "protocols": ["modbus"]}
        seen = {"first_seen": "2026-11-26T10:00:00Z", "last_seen": "2026-11-26T10:00:00Z"}
        told = json.dumps({"source": "before", "devices": [modbus | seen]})
        script = f"from bastide.cli.client import connect\nwith connect() as api: api.post('/scans', {told})"
        subprocess.run(
            [*bastide._prefix, COMMAND.with_name("python"), "-c", script],
            env=environment(bastide.data, bastide.ports),
            check=True,
        )
        ended = look(
            site, CAMERA, PLC, "--submit", "--json", "--ports", "22,80", env=environment(bastide.data, bastide.ports)
        )
        assert ended.returncode == 0, ended.stderr
        report = json.loads(ended.stdout)
        assert report["submitted"]["new"] == 1, report
        assert report["look"]["left_out"] == 1
        assert PLC not in {host for _, host in site.frames}
        listed = json.loads(bastide.run("ledger", "list", "--json").stdout)
        records = listed["items"] if isinstance(listed, dict) else listed
        kinds = Counter(record["kind"] for record in records)
        assert kinds["inventory:look:begun"] == kinds["inventory:look:ended"] == 1
    finally:
        bastide.stop()
