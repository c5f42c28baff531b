"""Logs that other sensors made become the same devices; a bad line loses no neighbour."""

import gzip
import json
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bastide.flows.read_logs import is_log, read_logs
from bastide.network.traffic.devices import SeenDevice
from bastide.network.traffic.kernel.compiled import Buffer
from bastide.network.traffic.logs import Logs, merged_with

CONN = (
    "#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\tconn\n"
    "#fields\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\tservice\tduration\torig_bytes\tresp_bytes\t"
    "orig_pkts\torig_ip_bytes\tresp_pkts\tresp_ip_bytes\torig_l2_addr\tresp_l2_addr\n"
    "#types\ttime\tstring\taddr\tport\taddr\tport\tenum\tstring\tinterval\tcount\tcount\tcount\tcount\tcount\tcount\tstring\tstring\n"
    "1545403816.5\tC1\t192.168.1.10\t40000\t198.51.100.7\t443\ttcp\tssl\t3.5\t100\t2000\t9\t500\t8\t2400\t00:17:88:00:00:0a\t-\n"
    "1545403817.5\tC2\t192.168.1.10\t40001\t192.168.1.20\t23\ttcp\t-\t1.0\t-\t-\t3\t180\t2\t120\t00:17:88:00:00:0a\t00:17:88:00:00:0b\n"
)
DNS = {"_path": "dns", "ts": 1545403815.0, "uid": "D", "id.orig_h": "192.168.1.10", "id.orig_p": 5, "id.resp_h": "192.168.1.1",
       "id.resp_p": 53, "query": "cloud.lamps.example", "answers": ["alias.example", "198.51.100.7"]}  # fmt: skip
DHCP = {
    "ts": 1545403810.0, "mac": "00:17:88:00:00:0a", "assigned_addr": "192.168.1.10", "host_name": "hall-lamp",
    "msg_types": ["ACK"],
}  # fmt: skip
AT = "2018-12-21T14:50:00.000000+0000"
FLOW = {
    "event_type": "flow", "timestamp": AT, "src_ip": "192.168.1.30", "src_port": 1, "dest_ip": "192.168.1.40",
    "dest_port": 1883, "proto": "TCP", "app_proto": "mqtt",
    "flow": {"pkts_toserver": 3, "pkts_toclient": 2, "bytes_toserver": 300, "bytes_toclient": 200, "start": AT},
}  # fmt: skip
TLS = {
    "event_type": "tls", "timestamp": AT, "src_ip": "192.168.1.30", "dest_ip": "203.0.113.1", "dest_port": 443,
    "tls": {"sni": "cloud.example", "version": "TLSv1"},
}  # fmt: skip


class File:
    """A capture port over octets."""

    name = "a log"

    def __init__(self, data: bytes, window: int = 64) -> None:
        self._data, self._window = np.frombuffer(data, np.uint8), window
        self.size = len(data)

    def window(self, offset: int) -> Buffer:
        return self._data[offset : offset + self._window]


def read(*files: bytes | str) -> Logs:
    logs = Logs()
    read_logs([File(one.encode() if isinstance(one, str) else one) for one in files], logs)
    return logs


def devices(logs: Logs) -> dict[str, SeenDevice]:
    return {device.name: device for device in logs.devices(lambda _: None)}


def lines(*rows: dict[str, Any]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def test_zeeks_logs_name_devices_services_and_peers() -> None:
    logs = read(CONN, lines(DNS, DHCP))
    found = devices(logs)
    assert logs.unreadable == {}
    assert (logs.flows, logs.packets, dict(logs.protocols)) == (2, 22, {"tls": 1, "tcp": 1})
    lamp, other = found["00:17:88:00:00:0a"], found["00:17:88:00:00:0b"]
    assert (lamp.ips, lamp.hostnames, lamp.peers) == (("192.168.1.10",), ("hall-lamp",), 2)
    assert set(lamp.protocols) >= {"tls", "dns", "dhcp"}
    assert [(one.port, one.transport) for one in other.services] == [(23, "tcp")]
    named = [talk for talk in logs.conversations() if talk.peer == "198.51.100.7"]
    assert [(talk.peer_name, talk.port, talk.opened_by_device, talk.bytes_received) for talk in named] == [
        ("cloud.lamps.example", 443, True, 2400)
    ]


def test_eve_names_the_same() -> None:
    logs = read(lines(FLOW, TLS, {"event_type": "stats"}))
    found = devices(logs)
    assert logs.unreadable == {}
    assert [(one.port, one.protocol) for one in found["192.168.1.40"].services] == [(1883, "mqtt")]
    assert found["192.168.1.30"].values("sni") == ("cloud.example",)
    assert found["192.168.1.30"].values("peer-tls") == ("TLS 1.0",)


def test_a_bad_line_is_counted_and_the_next_one_is_read() -> None:
    bad = "1545403816.5\tC1\tnot-an-address\t40000\t198.51.100.7\t443\ttcp" + "\t-" * 10 + "\n" + "cut\n"
    logs = read(CONN + bad + CONN.splitlines()[-1] + "\n", '{"broken": \n[1]\n' + lines(FLOW))
    assert logs.flows == 4
    assert logs.unreadable == {"log line malformed": 2, "log line cut": 1, "log line without a header": 1}


def test_a_time_that_cannot_be_is_no_time() -> None:
    logs = read(lines(FLOW | {"timestamp": "x"} | {"flow": {"start": "1e300"}}, DNS | {"ts": -5}, DNS | {"ts": 1e18}))
    assert sum(logs.unreadable.values()) == 3
    assert devices(logs) == {}


def test_a_compressed_log_is_read_as_far_as_it_is_whole() -> None:
    whole = gzip.compress((CONN + lines(FLOW) * 50).encode())
    assert read(whole).flows == 52
    assert read(whole + whole).flows == 104
    cut = read(whole[:-10])
    assert 2 <= cut.flows <= 52
    assert cut.unreadable["log archive damaged"] == 1
    assert read(b"\x1f\x8b\x08\x00broken").unreadable == {"log archive damaged": 1}


def test_a_file_is_told_by_its_content() -> None:
    assert is_log(File(CONN.encode(), 4096))
    assert is_log(File(gzip.compress(lines(FLOW).encode()), 4096))
    assert not is_log(File(b"\xd4\xc3\xb2\xa1" + bytes(40), 4096))
    assert not is_log(File(gzip.compress(b"hello"), 4096))


def test_a_device_of_a_capture_and_of_a_log_is_one() -> None:
    logs = read(CONN)
    told = logs.devices(lambda _: None)
    (lamp,) = merged_with(told[:1], told[:1])
    assert lamp.packets == 2 * told[0].packets
    assert len(merged_with(told, told)) == len(told)


VALUES = st.one_of(st.text(max_size=8), st.integers(), st.none(), st.lists(st.text(max_size=3), max_size=2))
ROWS = st.dictionaries(st.sampled_from([*DNS, *FLOW, "mac"]), VALUES, max_size=9).map(
    lambda row: json.dumps(row).encode()
)


@given(st.lists(st.one_of(st.binary(max_size=80), ROWS), max_size=8))
def test_whatever_stands_in_a_line_raises_nothing(rows: list[bytes]) -> None:
    logs = read(b"\n".join([CONN.encode(), *rows]))
    assert logs.flows >= 2
    logs.devices(lambda _: None)
    logs.conversations()
