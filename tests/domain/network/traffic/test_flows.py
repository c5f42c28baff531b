"""Flows, devices and the choice of payloads: what one pass over the packets keeps."""

from bastide.network.traffic.kernel.tables import new_tables
from bastide.network.traffic.survey import Survey
from tests.domain.network.traffic.build import (
    CAMERA,
    CAMERA_IP,
    ROUTER,
    ROUTER_IP,
    arp,
    dns_query,
    ethernet,
    feed,
    ipv4,
    pcap,
    scanned,
    survey_of,
    tcp,
    udp,
)

REQUEST = b"GET /status HTTP/1.1\r\nHost: camera\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nServer: tinyhttpd/1.0\r\n\r\n"


def to_camera(payload: bytes = b"", flags: int = 0x18, sport: int = 50000, sequence: int = 1) -> bytes:
    packet = ipv4(tcp(payload, sport, 80, flags, sequence), 6, ROUTER_IP, CAMERA_IP)
    return ethernet(packet, source=ROUTER, target=CAMERA)


def from_camera(payload: bytes = b"", flags: int = 0x18, dport: int = 50000, sequence: int = 1) -> bytes:
    return ethernet(ipv4(tcp(payload, 80, dport, flags, sequence), 6))


HELLO = [to_camera(flags=2), from_camera(flags=0x12), to_camera(flags=0x10)]
BINDINGS = [
    ethernet(arp(CAMERA, CAMERA_IP, ROUTER_IP), 0x0806),
    ethernet(arp(ROUTER, ROUTER_IP, CAMERA_IP), 0x0806, ROUTER, CAMERA),
]


def device(report: dict, mac: str) -> dict:  # type: ignore[type-arg]
    return next(entry for entry in report["devices"] if entry["mac"] == mac)


def test_both_directions_are_one_flow_and_the_answer_shows_the_service() -> None:
    report = scanned(pcap([*BINDINGS, *HELLO, to_camera(REQUEST), from_camera(ANSWER)]))
    assert report["flows"] == 1
    assert report["protocols"] == {"arp": 2, "http": 1}
    assert device(report, CAMERA)["services"] == [{"port": 80, "transport": "tcp", "protocol": "http"}]
    assert device(report, CAMERA)["says"]["server"] == ["tinyhttpd/1.0"]
    assert device(report, ROUTER)["services"] == []


def test_a_capture_that_begins_in_the_middle_still_finds_the_server() -> None:
    report = scanned(pcap([from_camera(ANSWER), to_camera(REQUEST)]))
    assert device(report, CAMERA)["services"] == [{"port": 80, "transport": "tcp", "protocol": "http"}]


def test_a_port_alone_never_decides_a_protocol() -> None:
    noise = bytes(range(128, 200))
    ports = [23, 80, 443, 502, 1883, 102, 20000, 44818]
    frames = [ethernet(ipv4(tcp(noise, 50000, port), 6)) for port in ports]
    frames += [ethernet(ipv4(udp(noise, 50000, port), 17)) for port in (53, 67, 123, 161, 5353, 5683, 47808)]
    report = scanned(pcap(frames))
    assert report["protocols"] == {"tcp": 8, "udp": 7}


def test_a_protocol_is_known_on_a_port_that_nobody_expects() -> None:
    frames = [
        ethernet(ipv4(tcp(REQUEST, 50000, 31337), 6)),
        ethernet(ipv4(tcp(b"SSH-2.0-dropbear_2012.55\r\n", 31338, 50000), 6)),
        ethernet(ipv4(tcp(b"\x10\x0c\0\x04MQTT\x04\x02\0\x3c\0\0", 50000, 31339), 6)),
    ]
    assert scanned(pcap(frames))["protocols"] == {"http": 1, "mqtt": 1, "ssh": 1}


def test_a_gateway_does_not_own_the_addresses_that_it_forwards() -> None:
    far = [
        ethernet(ipv4(udp(dns_query(), 53, 40000), 17, f"93.184.{i}.34", CAMERA_IP), source=ROUTER, target=CAMERA)
        for i in range(9)
    ]
    report = scanned(pcap([*BINDINGS, *far]))
    assert device(report, ROUTER)["ips"] == [ROUTER_IP]
    assert device(report, ROUTER)["gateway"]


def test_what_a_far_server_says_is_not_said_by_the_gateway() -> None:
    answer = ipv4(tcp(ANSWER, 80, 40000), 6, "93.184.216.34", CAMERA_IP)
    ask = ethernet(ipv4(tcp(REQUEST, 40000, 80), 6, CAMERA_IP, "93.184.216.34"))
    report = scanned(pcap([*BINDINGS, ask, ethernet(answer, source=ROUTER, target=CAMERA)]))
    assert device(report, ROUTER)["says"] == {}
    assert device(report, ROUTER)["services"] == []


def test_the_same_words_of_one_device_are_dissected_once() -> None:
    frames = [ethernet(ipv4(udp(dns_query(identifier=n), 40000 + n), 17)) for n in range(50)]
    survey = survey_of(pcap(frames))
    assert survey.tables.counters[2] == 50
    assert survey.dissected == 1


def test_two_devices_never_share_what_was_said() -> None:
    frames = [
        ethernet(ipv4(udp(dns_query()), 17, f"192.168.1.{n}"), source=f"02:00:00:00:00:{n:02x}") for n in range(1, 21)
    ]
    assert survey_of(pcap(frames)).dissected == 20


def test_a_message_over_two_segments_is_read_whole() -> None:
    whole = b"GET / HTTP/1.1\r\nHost: camera\r\nUser-Agent: agent/7\r\n\r\n"
    frames = [to_camera(whole[:20], sequence=1), to_camera(whole[20:], sequence=21)]
    survey = survey_of(pcap([*BINDINGS, *frames]))
    said = {(fact.word, fact.value) for facts in survey.facts.values() for fact in facts}
    assert ("user-agent", "agent/7") in said


def test_a_segment_that_is_sent_again_is_not_read_twice() -> None:
    whole = b"GET / HTTP/1.1\r\nHost: camera\r\nUser-Agent: agent/7\r\n\r\n"
    frames = [to_camera(whole[:20]), to_camera(whole[:20]), to_camera(whole[20:], sequence=21)]
    survey = survey_of(pcap([*BINDINGS, *frames]))
    said = {(fact.word, fact.value) for facts in survey.facts.values() for fact in facts}
    assert ("user-agent", "agent/7") in said
    assert survey.malformed == {}


def test_full_tables_evict_the_quietest_and_count_it() -> None:
    frames = [ethernet(ipv4(udp(b"\x01", 1024 + n, 9), 17)) for n in range(400)]
    survey = Survey(tables=new_tables(flow_bits=5, device_bits=4, pair_bits=5, seen_bits=5))
    feed(survey, pcap(frames))
    flows, evicted = int(survey.tables.counters[2]), int(survey.tables.counters[3])
    assert flows == 400
    assert evicted == 400 - int((survey.tables.flow_tags != 0).sum())
    assert evicted >= 400 - 32


def test_forged_addresses_fill_the_device_table_and_nothing_else() -> None:
    frames = [
        ethernet(ipv4(udp(dns_query()), 17), source=f"02:00:00:00:{n >> 8:02x}:{n & 255:02x}") for n in range(600)
    ]
    survey = Survey(tables=new_tables(flow_bits=5, device_bits=6, pair_bits=5, seen_bits=5))
    feed(survey, pcap(frames))
    assert int((survey.tables.device_tags != 0).sum()) <= 64
    assert int(survey.tables.counters[4]) >= 600 - 64


def test_a_flow_s_name_is_taken_back_where_the_dissector_cannot_read_it() -> None:
    # A client hello by its first octets, whose extension block runs past the record.
    fake = b"\x16\x03\x01\x00\x2c\x01\x00\x00\x28\x03\x03" + bytes(32) + b"\x20" + bytes(5)
    report = scanned(pcap([ethernet(ipv4(tcp(fake, 40000, 443), 6))]))
    assert report["protocols"] == {"tcp": 1}
    assert report["undecodable"] == {"tls message malformed": 1}
