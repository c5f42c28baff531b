"""The compiled kernel and its plain Python form are one program: they give the same tables, octet for octet.

The plain form checks every index, so hostile captures that it survives have no read past the end in the compiled one
either; ``make fuzz`` and the long test run the compiled one with numba's own bounds checks as well.
"""

import hashlib
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from bastide.network.traffic.survey import Survey
from tests.domain.network.traffic.build import (
    DNS_FRAME,
    ROUTER,
    arp,
    dns_query,
    enhanced,
    ethernet,
    feed,
    interface,
    ipv4,
    ipv6,
    pcap,
    section,
    tcp,
    udp,
)

PAYLOADS = [
    b"GET / HTTP/1.1\r\nAuthorization: Basic YTpi\r\n\r\n",
    b"\x16\x03\x01\x00\x2c\x01\x00\x00\x28\x03\x03" + bytes(35),
    b"\x80\x2e\x01\x03\x01\x00\x15\x00\x00\x00\x10" + bytes(37),
    b"\x10\x0c\0\x04MQTT\x04\x02\0\x3c\0\0",
    b"\x05\x64\x05\xc0\x01\x00\x00\x04\xe9\x21",
    b"\x03\x00\x00\x16\x11\xe0\x00\x00\x00\x01\x00\xc0\x01\x0a\xc1\x02\x01\x00\xc2\x02\x01\x02",
    b"\x68\x04\x07\x00\x00\x00",
    b"\x00\x01\x00\x00\x00\x06\x01\x03\x00\x00\x00\x02",
    b"\x65\x00\x04\x00" + bytes(20) + b"\x01\x00\x00\x00",
    b"\xff\xfb\x01\xff\xfd\x03",
    b"220 FTP ready\r\n",
    b"\x30\x29\x02\x01\x01\x04\x06public\xa0\x1c" + bytes(28),
    b"\x81\x0b\x00\x0c\x01\x20\xff\xff\x00\xff\x10\x08",
    b"\x44\x01\x00\x01abcd\xb3foo",
    b"\xc0\x00\x00\x00\x01\x08" + bytes(8) + b"\0\0\x40\x40" + bytes(64),
    dns_query(),
    b"\x01\x01\x06\x00" + bytes(232) + b"\x63\x82\x53\x63\x35\x01\x01\xff",
    bytes(40),
]


def hostile(seed: int, count: int) -> bytes:
    """A capture of well-formed, cut and scrambled frames of all kinds."""
    chance = random.Random(seed)
    frames = []
    for _ in range(count):
        payload = chance.choice(PAYLOADS)
        if chance.random() < 0.3:
            payload = payload[: chance.randrange(len(payload) + 1)]
        port = chance.choice([53, 80, 123, 443, 502, 1883, 2404, 5353, 5683, 47808, 102, 20000])
        source = f"192.168.{chance.randrange(3)}.{chance.randrange(1, 250)}"
        if chance.random() < 0.5:
            inner = tcp(
                payload, 40000 + chance.randrange(50), port, chance.choice([2, 16, 24, 18]), chance.randrange(99)
            )
            kind = 6
        else:
            inner, kind = udp(payload, 40000 + chance.randrange(50), port), 17
        ether = 0x0800
        if chance.random() < 0.2:
            packet, ether = ipv6(inner, kind, f"fe80::{chance.randrange(99):x}"), 0x86DD
        else:
            packet = ipv4(inner, kind, source)
        frame = bytearray(ethernet(packet, ether, f"02:00:00:00:00:{chance.randrange(40):02x}"))
        if chance.random() < 0.1:
            frame = bytearray(ethernet(arp(ROUTER, source, "192.168.0.9"), 0x0806, ROUTER))
        for _ in range(chance.choice([0, 0, 0, 1, 3])):
            frame[chance.randrange(len(frame))] = chance.randrange(256)
        frames.append(bytes(frame[: chance.choice([len(frame)] * 4 + [chance.randrange(len(frame) + 1)])]))
    if seed % 2:
        return section() + interface() + b"".join(enhanced(frame, 10**15 + n) for n, frame in enumerate(frames))
    data = bytearray(pcap(frames))
    for _ in range(seed % 5):
        data[chance.randrange(24, len(data))] ^= 1 << chance.randrange(8)
    return bytes(data)


def digest(captures: list[bytes]) -> str:
    """All tables after the captures."""
    total = hashlib.sha256()
    for deep in (1, 2):
        survey = Survey(deep=deep)
        for data in captures:
            feed(survey, data)
        for table in survey.tables:
            total.update(table.tobytes())
        total.update(repr(sorted((speaker, sorted(facts)) for speaker, facts in survey.facts.items())).encode())
    return total.hexdigest()


def run_form(captures: list[bytes], folder: Path, **environment: str) -> str:
    """The digest in a process of its own, with numba told to do without compiling or with bounds checks."""
    files = []
    for number, data in enumerate(captures):
        path = folder / f"{number}.pcap"
        path.write_bytes(data)
        files.append(str(path))
    code = (
        "import sys; from pathlib import Path; from tests.domain.network.traffic.test_forms import digest;"
        "print(digest([Path(name).read_bytes() for name in sys.argv[1:]]))"
    )
    root = Path(__file__).resolve().parents[4]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *files],
        cwd=root,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.strip()


def test_the_compiled_and_the_plain_form_agree_on_hostile_captures(tmp_path: Path) -> None:
    captures = [hostile(seed, 250) for seed in range(6)]
    assert run_form(captures, tmp_path, NUMBA_DISABLE_JIT="1") == digest(captures)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_the_compiled_form_reads_no_octet_past_its_bounds(tmp_path: Path) -> None:
    captures = [hostile(seed, 4000) for seed in range(20)]
    found = run_form(captures, tmp_path, NUMBA_BOUNDSCHECK="1", NUMBA_CACHE_DIR=str(tmp_path / "cache"))
    assert found == digest(captures)


def test_the_same_capture_gives_the_same_tables_twice() -> None:
    capture = [pcap([DNS_FRAME] * 3)]
    assert digest(capture) == digest(capture)
