"""What the parser does inside the sandbox."""

import gc
import struct
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bastide.flows.read_logs import is_log, read_logs
from bastide.flows.scan_captures import Progress, scan_captures
from bastide.network.traffic.conversations import Told, as_json
from bastide.network.traffic.devices import Vendor, devices_of
from bastide.network.traffic.dissect import BY_PROTOCOL, Context, Malformed, dissect
from bastide.network.traffic.identity.base import decode
from bastide.network.traffic.identity.match import Matcher
from bastide.network.traffic.identity.observation import observations_of
from bastide.network.traffic.identity.recog import Recog
from bastide.network.traffic.identity.tokens import tokens_of
from bastide.network.traffic.kernel.ring import RING_STATE, index_block
from bastide.network.traffic.kernel.tables import new_tables, relabel
from bastide.network.traffic.logs import Logs, merged_with
from bastide.network.traffic.reading import reader_of
from bastide.network.traffic.report import add_logs, report_of
from bastide.network.traffic.survey import Survey
from bastide.ports.network import Capture


def scan(
    captures: Sequence[Capture],
    fingerprints: bytes | None,
    vendor: Vendor,
    order: Mapping[str, Any],
    progress: Progress,
    recog: Recog | None = None,
) -> dict[str, Any]:
    """The report on all captures together; ``fingerprints`` is the document of a base to compare with, ``recog`` recognises
    banners."""
    matcher = matcher_of(fingerprints)
    survey = Survey(deep=int(order.get("deep", 1)))
    began = time.perf_counter()
    written = [capture for capture in captures if is_log(capture)]
    scan_captures([capture for capture in captures if capture not in written], survey, _seldom(progress))
    logs = Logs()
    read_logs(written, logs, _seldom(progress))
    devices = devices_of(survey, vendor)
    both = merged_with(devices, logs.devices(vendor)) if written else devices
    report = report_of(survey, vendor, matcher, devices=both, recog=recog)
    if written:
        add_logs(report, logs)
    if order.get("conversations"):
        talks, report["conversations_left_out"] = Told().since(survey, devices)
        talks += logs.conversations()
        report["conversations"] = [as_json(talk) for talk in talks]
    report["seconds"] = round(time.perf_counter() - began, 4)
    return report


def recog_of(documents: Sequence[bytes]) -> Recog | None:
    """recog's fingerprints, where any were given."""
    if not documents:
        return None
    made = Recog({})
    for octets in documents:
        made.add(octets)
    return made


def matcher_of(fingerprints: bytes | None) -> Matcher | None:
    """A matcher for a base's document, where there is one."""
    return Matcher(decode(fingerprints)) if fingerprints is not None else None


def tokens(captures: Sequence[Capture], vendor: Vendor, order: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    """What the wanted devices of each capture say, as tokens: ``order["wanted"]`` has the MAC addresses by capture."""
    found: list[dict[str, list[str]]] = []
    for capture, wanted in zip(captures, order["wanted"], strict=True):
        survey = Survey(tables=new_tables(flow_bits=15, device_bits=12, pair_bits=15, seen_bits=15))
        scan_captures([capture], survey, _seldom(progress))
        devices = devices_of(survey, vendor)
        found.append(
            {
                device.mac: sorted(tokens_of(seen))
                for device, seen in zip(devices, observations_of(survey, devices), strict=True)
                if device.mac is not None and device.mac in wanted
            }
        )
    return {"tokens": found}


def _seldom(progress: Progress) -> Progress:
    """Progress a few times a second: lines cost more than windows."""
    last = 0.0

    def say(name: str, done: int, size: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= 0.2:
            last = now
            progress(name, done, size)

    return say


def warm_up() -> None:
    """Compiles (or loads) the kernel and makes every dissector import what it needs, on bytes of our own."""
    frame = bytes.fromhex("ffffffffffff0200000000010800") + _ipv4_udp(5353, 5353, bytes(12))
    head = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
    record = struct.pack("<IIII", 1, 0, len(frame), len(frame))
    survey = Survey()
    _feed(head + record + frame, survey)
    block = struct.pack("<IIIHHqI", 0x0A0D0D0A, 28, 0x1A2B3C4D, 1, 0, -1, 28)
    _feed(block + struct.pack("<IIHHII", 1, 20, 1, 0, 0, 20), survey)
    state = np.zeros(RING_STATE, np.int64)
    index_block(np.frombuffer(bytes(64), np.uint8), 0, 64, 1, state, survey.records)
    relabel(survey.tables, 0, 0)
    report_of(survey, lambda _: None)
    for name in BY_PROTOCOL:
        for payload in (b"", bytes(64), b"GET / HTTP/1.1\r\nAuthorization: Basic YTpi\r\n\r\n", _QUIC):
            for transport in ("tcp", "udp"):
                try:
                    dissect(name, payload, Context(transport, 1, 2, False))
                except Malformed:
                    continue
    from bastide.network.traffic.dissect.tls import certificate_fields

    certificate_fields(_CERTIFICATE)
    # What was made so far stays, and a scan makes hardly any cycles: looking for them often costs a tenth of it.
    gc.freeze()
    gc.set_threshold(200_000, 50, 50)


def _feed(data: bytes, survey: Survey) -> None:
    buffer = np.frombuffer(data, np.uint8)
    reader = reader_of(data[:24], "warm-up")
    rows, _ = reader.index(buffer, reader.start, len(buffer), True, survey.records, survey.reasons)
    survey.absorb(buffer, rows)


def _ipv4_udp(sport: int, dport: int, payload: bytes) -> bytes:
    udp = struct.pack(">HHHH", sport, dport, 8 + len(payload), 0) + payload
    return struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, b"\x0a\0\0\1", b"\xe0\0\0\xfb") + udp


# An initial packet that cannot be opened: it runs key derivation, the cipher and the tag check once.
_QUIC = b"\xc0\0\0\0\1\x08" + bytes(8) + b"\0\0\x40\x40" + bytes(64)

# A P-256 certificate without meaning, so that the X.509 code is loaded before the locks close.
_CERTIFICATE = bytes.fromhex(
    "308201103081b7a003020102020101300a06082a8648ce3d04030230123110300e06035504030c077761726d2d7570301e170d32303031"
    "30313030303030305a170d3230303130323030303030305a30123110300e06035504030c077761726d2d75703059301306072a8648ce3d"
    "020106082a8648ce3d030107034200042f1cab437561fef79bd11b83b1bd258ccd6e7daefd0bf32374b3deab46e9b2019e7feff59d2b1b"
    "ce7f900836750be1dddca77175195adc0de98659d1f4ae6cae300a06082a8648ce3d040302034800304502204272a986b0505f2deaaa29"
    "66e5484bb8d95a8ddc2a72c2c87da6b8249d18b720022100dc78c6013a729ff8abd83bc72ef97261687f63454228ddebec294f35a2a697"
    "43"
)
