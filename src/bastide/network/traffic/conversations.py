"""From a survey's flow table to conversations: what was said since the last time that somebody asked.

A conversation is told from the side of a device of this network, by its MAC address; between two devices of it, once from each
side. A forwarder's address stands for whom it forwards, so only what was said from a device's own addresses is its.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from bastide.network.traffic.devices import SeenDevice, address_of, moment
from bastide.network.traffic.kernel.tables import (
    F_ADDRESS0,
    F_DEVICES,
    F_FIRST,
    F_KEY,
    F_LAST,
    F_PACKETS,
    F_STATE,
)
from bastide.network.traffic.survey import Survey
from bastide.network.traffic.words import name_of

MOST = 200_000
"""Conversations of one answer; the busiest are kept and the rest is counted."""

_TRANSPORTS = {1: "icmp", 2: "igmp", 6: "tcp", 17: "udp", 58: "icmpv6", 132: "sctp"}


class Talk(NamedTuple):
    """One conversation of a device (``mac``) since the last answer; times in ns."""

    mac: str
    peer: str
    peer_name: str
    transport: str
    port: int
    protocol: str
    opened_by_device: bool
    flows: int
    packets_sent: int
    packets_received: int
    bytes_sent: int
    bytes_received: int
    first: int
    last: int


class Told:
    """What was told of each flow already, so that each answer holds only what is new."""

    def __init__(self) -> None:
        self._tags: np.ndarray[tuple[int], np.dtype[np.int64]] | None = None
        self._told: np.ndarray[tuple[int, int], np.dtype[np.int64]] | None = None

    def since(self, survey: Survey, devices: Iterable[SeenDevice]) -> tuple[list[Talk], int]:
        """(conversations since the last call, how many were left out), busiest first."""
        tables = survey.tables
        used = np.flatnonzero(tables.flow_tags)
        rows = tables.flows[used]
        counts = rows[:, F_PACKETS : F_PACKETS + 4].copy()
        if self._tags is not None and self._told is not None:
            same = self._tags[used] == tables.flow_tags[used]
            before = self._told[used] * same[:, None]
            new = counts - before
            # A flow that was given up and came back in the same place counts from zero again.
            new = np.where((new < 0).any(axis=1)[:, None], counts, new)
        else:
            new = counts
        moved = np.flatnonzero(new[:, 0] + new[:, 1])
        self._tags = tables.flow_tags.copy()
        told = np.zeros((len(tables.flow_tags), 4), np.int64)
        told[used] = counts
        self._told = told
        merged: dict[tuple[object, ...], list[int]] = {}
        own = {(device.mac, ip) for device in devices if device.mac for ip in device.ips}
        macs = survey.macs()
        for row, delta in zip(rows[moved].tolist(), new[moved].tolist(), strict=True):
            for key, said in _sides(survey, row, delta, own, macs):
                known = merged.get(key)
                if known is None:
                    merged[key] = said
                else:
                    for place in range(5):
                        known[place] += said[place]
                    known[5], known[6] = min(known[5], said[5]), max(known[6], said[6])
        talks = [Talk(*key, *said) for key, said in merged.items()]  # type: ignore[arg-type]
        talks.sort(key=lambda talk: (-talk.bytes_sent - talk.bytes_received, talk))
        return talks[:MOST], max(0, len(talks) - MOST)


def _sides(
    survey: Survey, row: list[int], delta: list[int], own: set[tuple[str, str]], macs: dict[int, str]
) -> Iterator[tuple[tuple[object, ...], list[int]]]:
    family = row[F_KEY] & 0xFF
    if family not in (4, 6):
        return
    ends = [str(address_of(family == 6, row[F_ADDRESS0 + 2 * end], row[F_ADDRESS0 + 2 * end + 1])) for end in (0, 1)]
    transport = (row[F_KEY] >> 20) & 0xFF
    ports = ((row[F_KEY] >> 44) & 0xFFFF, (row[F_KEY] >> 28) & 0xFFFF)
    client = survey.client_of(row[F_STATE]) - 1
    if client < 0:
        client = 0 if ports[1] <= ports[0] else 1  # nobody saw it begin: the lower port is the one that is called
    port = ports[1 - client] if transport in (6, 17, 132) else 0
    protocol = name_of(row[F_STATE] & 0xFF)
    devices = (row[F_DEVICES] & 0xFFFFFFFF, row[F_DEVICES] >> 32)
    for end in (0, 1):
        mac = macs.get(devices[end] - 1)
        if mac is None or (mac, ends[end]) not in own:
            continue
        peer = ends[1 - end]
        key = (
            mac,
            peer,
            survey.names.get(peer, ""),
            _TRANSPORTS.get(transport, str(transport)),
            port,
            protocol,
            client == end,
        )
        yield (
            key,
            [1, delta[end], delta[1 - end], delta[2 + end], delta[3 - end], row[F_FIRST], row[F_LAST]],
        )


def as_json(talk: Talk) -> dict[str, object]:
    """For the report of a scan, times in ISO 8601."""
    return talk._asdict() | {"first": moment(talk.first).isoformat(), "last": moment(talk.last).isoformat()}
