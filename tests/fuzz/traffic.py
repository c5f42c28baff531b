"""Captures and messages from the wire: each reader and each dissector."""

from collections.abc import Callable

import numpy as np

from bastide.flows.read_logs import read_logs
from bastide.network.traffic.dissect import BY_PROTOCOL, DISSECTORS, Context, dissect
from bastide.network.traffic.logs import Logs
from bastide.network.traffic.reading import HEAD, reader_of
from bastide.network.traffic.report import report_of
from bastide.network.traffic.survey import CHUNK, Survey
from tests.domain.network.traffic.build import DNS_FRAME, enhanced, interface, pcap, section
from tests.domain.network.traffic.samples import SAMPLES
from tests.domain.network.traffic.test_logs import CONN, DHCP, DNS, FLOW, TLS, File, lines
from tests.fuzz import Target

_SMALL = {"flow_bits": 6, "device_bits": 5, "pair_bits": 6, "seen_bits": 6}


def _capture(data: bytes) -> object:
    from bastide.network.traffic.kernel.tables import new_tables

    survey = Survey(tables=new_tables(**_SMALL), deep=2)
    buffer = np.frombuffer(data, np.uint8)
    reader = reader_of(data[:HEAD], "fuzz")
    at = reader.start
    while True:
        rows, at = reader.index(buffer, at, len(buffer), True, survey.records, survey.reasons)
        survey.absorb(buffer, rows)
        if rows < CHUNK:
            return report_of(survey, lambda _: None)


def _reads(name: str) -> Callable[[bytes], object]:
    def parse(data: bytes) -> object:
        # The first octet chooses the circumstances, so that all of them are tried.
        chosen = data[0] if data else 0
        context = Context(("tcp", "udp")[chosen & 1], (53, 5353)[chosen >> 1 & 1], 40000, bool(chosen & 4), chosen >> 3)
        return dissect(name, data[1:], context)

    return parse


def _seeds(names: tuple[str, ...]) -> tuple[bytes, ...]:
    flags = {"tcp": 0, "udp": 1, "link": 1}
    return tuple(
        bytes([flags[sample.context.transport] | 4 * sample.context.from_server]) + sample.payload
        for sample in SAMPLES
        if sample.reads in names
    )


def _log(data: bytes) -> None:
    logs = Logs()
    read_logs([File(data, 4096)], logs)
    logs.devices(lambda _: None)
    logs.conversations()


TARGETS = [
    Target("logs", _log, (CONN.encode(), lines(DNS, DHCP).encode(), lines(FLOW, TLS).encode())),
    Target("capture-pcap", _capture, (pcap([DNS_FRAME] * 3), pcap([DNS_FRAME] * 3, order=">", nano=True))),
    Target("capture-pcapng", _capture, (section() + interface() + enhanced(DNS_FRAME) * 3,)),
    *(Target(f"dissect-{each.name}", _reads(each.reads[-1]), _seeds(each.reads)) for each in DISSECTORS),
]
assert {name for each in DISSECTORS for name in each.reads} == set(BY_PROTOCOL)
