"""One scan: packets in, and in the end the devices with what they said and did.

``Survey`` holds the kernel's tables and what dissectors read. It is fed chunks of records and may be asked for what it knows
at any time (a live capture asks every few seconds). All that it holds is bounded.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from bastide.network.traffic.dissect import BY_PROTOCOL, Context, Malformed, Message, dissect
from bastide.network.traffic.dissect.message import LIMIT
from bastide.network.traffic.kernel.absorb import CONTINUATION, FROM_SERVER, NAMED_HERE, absorb
from bastide.network.traffic.kernel.compiled import Buffer, Integers
from bastide.network.traffic.kernel.layers import VIEW
from bastide.network.traffic.kernel.records import RECORD_COLUMNS
from bastide.network.traffic.kernel.tables import (
    BY_MAC,
    CLIENT_SHIFT,
    D_KIND,
    D_LOW,
    F_ADDRESS0,
    F_KEY,
    F_STATE,
    S_FLOW,
    S_SOURCE,
    S_TARGET,
    SELECTED_COLUMNS,
    Tables,
    new_tables,
    relabel,
)
from bastide.network.traffic.words import PROTOCOLS, Protocol, name_of

CHUNK = 8192
"""Records that are indexed before they are absorbed: their octets are still in the processor's cache then."""

AHEAD = 32
"""Packets that are decoded before the first of them is taken in, so that their flows are near by then."""

MAX_FACTS = 512
"""Different facts kept of one device."""

MAX_SPEAKERS = 32_768
"""Devices and addresses of which anything is kept; whoever forges more is not listened to."""

MAX_NAMES = 65_536
"""Addresses whose DNS name is kept: the ones that were resolved last."""

MAX_STREAMS = 4096
"""Messages that wait for their next segment."""

_TRANSPORTS = {6: "tcp", 17: "udp", 0: "link"}
_NUMBER = {name: number for number, name in enumerate(PROTOCOLS)}


class Key(NamedTuple):
    """What a device is told apart by: kind (by MAC, IPv4 or IPv6), then its number in two halves."""

    kind: int
    high: int
    low: int


class Speaker(NamedTuple):
    """Who said something: the device and the IP address (family, high, low) that it had."""

    device: Key
    family: int
    high: int
    low: int


class Fact(NamedTuple):
    word: str
    value: str
    protocol: str


class Seen(NamedTuple):
    """How often, and when first and last (ns)."""

    times: int
    first: int
    last: int


class Survey:
    """See the module. ``deep``: 0 flows and counters only, 1 what is new, 2 every payload (to compare with other tools).

    ``on_message`` is handed every message that a dissector reads, with the row of the selection.
    """

    def __init__(
        self,
        *,
        deep: int = 1,
        tables: Tables | None = None,
        on_message: Callable[[Message, list[int]], None] | None = None,
    ) -> None:
        self.tables = tables if tables is not None else new_tables()
        self.records = np.zeros((CHUNK, RECORD_COLUMNS), np.int64)
        self.facts: dict[Speaker, dict[Fact, Seen]] = {}
        self.malformed: dict[str, int] = {}
        self.names: dict[str, str] = {}
        self.dissected = 0
        self._deep = deep
        self._on_message = on_message
        self._views = np.zeros((AHEAD, VIEW), np.int64)
        self._selected = np.zeros((1024, SELECTED_COLUMNS), np.int64)
        self._streams: dict[tuple[int, int], tuple[int, bytes]] = {}
        self._remembered: dict[int, int] = {}
        self._numbers = 0

    @property
    def reasons(self) -> Integers:
        return self.tables.reasons

    def absorb(self, buffer: Buffer, rows: int) -> None:
        """Takes the first ``rows`` of ``self.records``, whose offsets point into ``buffer``."""
        at = 0
        while at < rows:
            at, filled = absorb(
                buffer, self.records, at, rows, self._numbers, self.tables, self._views, self._selected, self._deep
            )
            if filled:
                chosen = self._selected[:filled]
                flows = self.tables.flows[chosen[:, S_FLOW]].tolist()
                sources = self.tables.devices[chosen[:, S_SOURCE], : D_LOW + 1].tolist()
                targets = self.tables.devices[chosen[:, S_TARGET], : D_LOW + 1].tolist()
                for row, *known in zip(chosen.tolist(), flows, sources, targets, strict=True):
                    self._read(buffer, row, *known)
        self._numbers += rows

    def _read(
        self, buffer: Buffer, row: list[int], flow_row: list[int], source_row: list[int], target_row: list[int]
    ) -> None:
        """One payload. The rows of its flow and devices mean nothing where it has none (-1)."""
        offset, length, flow, direction, number, now, source, target, sequence, _, _, transport = row
        name = name_of(number)
        if name not in BY_PROTOCOL:
            return
        payload = buffer[offset : offset + min(length, LIMIT)].tobytes()
        sport = dport = 0
        if flow >= 0:
            ends = flow_row[F_KEY]
            sport, dport = (ends >> 44) & 0xFFFF, (ends >> 28) & 0xFFFF
            if direction & 1:
                sport, dport = dport, sport
        context = Context(
            _TRANSPORTS.get(transport, "other"),
            sport,
            dport,
            bool(direction & FROM_SERVER),
            self._remembered.get(flow, 0),
        )
        stream = (flow, direction & 1)
        if transport == 6:
            waiting = self._streams.pop(stream, None)
            if direction & CONTINUATION:
                if waiting is None:
                    return  # the message was complete before
                expected, before = waiting
                if expected != sequence:
                    if (sequence - expected) & 0x80000000:
                        self._streams[stream] = waiting  # sent again
                    return  # otherwise a gap: the rest of the message is lost
                payload = (before + payload)[:LIMIT]
        self.dissected += 1
        try:
            message = dissect(name, payload, context)
        except Malformed as error:
            if error.reason.endswith("incomplete") and transport == 6 and len(payload) < LIMIT:
                self._wait(stream, sequence + length, payload)
            elif not direction & CONTINUATION:
                self.malformed[name] = self.malformed.get(name, 0) + 1
                if direction & NAMED_HERE:
                    self._doubt(flow, number, transport)
            return
        if message.partial and transport == 6 and len(payload) < LIMIT:
            self._wait(stream, sequence + length, payload)
        if message.remember and flow >= 0:
            if len(self._remembered) >= MAX_STREAMS:
                del self._remembered[next(iter(self._remembered))]
            self._remembered[flow] = message.remember
        if message.protocol != name and flow >= 0 and message.protocol in _NUMBER:
            relabel(self.tables, flow, _NUMBER[message.protocol])
        if self._on_message is not None:
            self._on_message(message, row)
        if message.protocol == "dns" and message.fields["type"] == "response":
            self._name(message)
        if message.said:
            self._keep(
                message,
                flow_row if flow >= 0 else None,
                direction & 1,
                Key(*source_row) if source >= 0 else None,
                Key(*target_row) if target >= 0 else None,
                now,
            )

    def _name(self, answer: Message) -> None:
        """An address is called by the name that was asked for, whatever aliases the answer went through."""
        asked = answer.fields["queries"]
        for record in answer.fields["answers"] if asked else ():
            if record["rrtype"] in ("A", "AAAA") and record["rdata"]:
                self.names.pop(record["rdata"], None)
                if len(self.names) >= MAX_NAMES:
                    del self.names[next(iter(self.names))]
                self.names[record["rdata"]] = asked[0]["rrname"].lower().rstrip(".")

    def _wait(self, stream: tuple[int, int], sequence: int, payload: bytes) -> None:
        if len(self._streams) >= MAX_STREAMS:
            del self._streams[next(iter(self._streams))]
        self._streams[stream] = (sequence & 0xFFFFFFFF, payload)

    def _doubt(self, flow: int, number: int, transport: int) -> None:
        """The dissector has the last word: a flow that it cannot read at all loses the kernel's name for it."""
        if int(self.tables.flows[flow, F_STATE]) & 0xFF == number:
            relabel(self.tables, flow, int(Protocol.TCP if transport == 6 else Protocol.UDP))

    def _keep(
        self, message: Message, flow: list[int] | None, direction: int, source: Key | None, target: Key | None, now: int
    ) -> None:
        ends: list[tuple[int, int, int]] = [(0, 0, 0), (0, 0, 0)]
        if flow is not None:
            family = flow[F_KEY] & 0xFF
            ends = [
                (family, flow[F_ADDRESS0], flow[F_ADDRESS0 + 1]),
                (family, flow[F_ADDRESS0 + 2], flow[F_ADDRESS0 + 3]),
            ]
            if direction:
                ends.reverse()
        speakers: dict[str, dict[Fact, Seen] | None] = {}
        for said in message.said:
            if not said.value:
                continue
            about = said.about
            if about not in speakers:
                speaker: Speaker | None
                if about == "":
                    speaker = Speaker(source, *ends[0]) if source is not None else None
                elif about == "receiver":
                    speaker = Speaker(target, *ends[1]) if target is not None else None
                else:
                    speaker = Speaker(Key(1, 0, int(about.replace(":", ""), 16)), 0, 0, 0)
                speakers[about] = None if speaker is None else self._facts_of(speaker)
            facts = speakers[about]
            if facts is None:
                continue
            fact = Fact(said.word, said.value, message.protocol)
            before = facts.get(fact)
            if before is not None:
                facts[fact] = Seen(before.times + 1, before.first, max(now, before.last))
            elif len(facts) < MAX_FACTS:
                facts[fact] = Seen(1, now, now)

    def _facts_of(self, speaker: Speaker) -> dict[Fact, Seen] | None:
        known = self.facts.get(speaker)
        if known is None and len(self.facts) < MAX_SPEAKERS:
            known = self.facts[speaker] = {}
        return known

    @staticmethod
    def client_of(state: int) -> int:
        """Which end of a flow asked first, from its state column: 1 or 2, 0 where it is not known."""
        return (state >> CLIENT_SHIFT) & 3

    def macs(self) -> dict[int, str]:
        """The rows of the device table that a MAC address names."""
        rows = np.flatnonzero(self.tables.device_tags)
        kept = self.tables.devices[rows]
        return {
            number: int(row[D_LOW]).to_bytes(6, "big").hex(":")
            for number, row in zip(rows.tolist(), kept.tolist(), strict=True)
            if row[D_KIND] == BY_MAC
        }


def counts_by_protocol(tables: Tables) -> dict[str, int]:
    """Flows (and, below IP, conversations) by the name of what they speak, most first."""
    named: dict[str, Any] = {
        name_of(number): int(count) for number, count in enumerate(tables.by_protocol) if count > 0
    }
    return dict(sorted(named.items(), key=lambda item: (-item[1], item[0])))
