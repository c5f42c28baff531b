"""Our fields beside those that suricata-verify's test.yaml files name. ``python -m tests.truth.suricata`` prints the table.

A check of a test.yaml names fields of one event. It is held against the message of ours that agrees best (for datagrams:
the message of exactly that packet). Each field is *agreed*, *differs*, or *not supported*: we have no such field.
"""

import re
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from bastide.network.traffic.dissect import Message
from bastide.network.traffic.kernel.tables import S_NUMBER
from bastide.network.traffic.reading import HEAD, reader_of
from bastide.network.traffic.survey import CHUNK, Survey

PROTOCOLS = ("arp", "dhcp", "dnp3", "enip", "mdns", "modbus", "mqtt", "quic", "snmp", "tls")
_MODBUS_NAMES = {"read_coils": "RdCoils", "read_holding_registers": "RdHoldRegs", "write_single_coil": "WrSingleCoil"}
_DHCP_NAMES = ("subnet_mask", "router", "domain", "dns_server", "ntp_server")
NEVER_KEPT = ("mqtt.connect.username", "mqtt.connect.password", "mqtt.connect.properties.authentication_data")
"""Secrets and their owners: recognised, never kept."""
WHY = {
    "modbus.id": "suricata's own running number of the transaction; ours is the one in the header",
    "quic.cyu[].hash": "a fingerprint of Google's QUIC before the standard",
    "quic.cyu[].string": "a fingerprint of Google's QUIC before the standard",
    "tls.ja3.string": "JA4 took its place",
    **dict.fromkeys(NEVER_KEPT, "recognised, never kept"),
}


@dataclass(frozen=True, slots=True)
class Held:
    """One field of one check. ``verdict`` is agreed, differs or not supported."""

    test: str
    field: str
    verdict: str
    expected: Any
    found: Any


def captures(folder: Path) -> Iterator[tuple[Path, Path]]:
    """(test.yaml, its capture), of the tests whose capture is there."""
    for described in sorted(folder.rglob("test.yaml")):
        for capture in sorted(described.parent.glob("*.pcap*")):
            yield described, capture


def messages(capture: Path) -> list[tuple[int, Message]]:
    """Every message of a capture with the number of its packet, from 1."""
    found: list[tuple[int, Message]] = []
    survey = Survey(deep=2, on_message=lambda message, row: found.append((row[S_NUMBER] + 1, message)))
    data = capture.read_bytes()
    buffer = np.frombuffer(data, np.uint8)
    reader = reader_of(data[:HEAD], capture.name)
    at = reader.start
    while True:
        rows, at = reader.index(buffer, at, len(buffer), True, survey.records, survey.reasons)
        survey.absorb(buffer, rows)
        if rows < CHUNK:
            return found


def events(message: Message) -> list[dict[str, Any]]:
    """A message in the form of suricata's events."""
    fields = dict(message.fields)
    if message.protocol == "mqtt":
        return [{packet["type"]: packet} for packet in fields["packets"]]
    if message.protocol == "dhcp" and "params" in fields:
        # Suricata lists only the parameters that it has a name for.
        return [{**fields, "params": [name for name in fields["params"] if name in _DHCP_NAMES]}]
    if message.protocol == "dnp3":
        return [fields, *fields.get("more", ())]
    if message.protocol == "modbus":
        name = _MODBUS_NAMES.get(fields["function"], fields["function"])
        return [{"id": fields["transaction_id"], "request": {"function_code": name}}]
    if message.protocol == "tls":
        return [
            {**fields.get("certificate", {}), **{key: value for key, value in fields.items() if key != "certificate"}}
        ]
    return [fields]


_MISSING = object()


def reach(value: Any, path: str) -> Any:
    """The value at ``a.b[0].c``, or ``_MISSING``."""
    for step in re.findall(r"[^.\[\]]+", path):
        if isinstance(value, Mapping) and step in value:
            value = value[step]
        elif isinstance(value, list) and step.isdigit() and int(step) < len(value):
            value = value[int(step)]
        else:
            return _MISSING
    return value


def _same(expected: Any, found: Any) -> bool:
    if isinstance(expected, str) and isinstance(found, str):
        return expected.rstrip("\0").lower().replace(":", "") == found.rstrip("\0").lower().replace(":", "")
    return bool(expected == found)


def compare(described: Path, capture: Path) -> list[Held]:
    """All fields of a test that are of one of our protocols."""
    document = yaml.safe_load(described.read_text())
    seen: list[tuple[int, str, dict[str, Any]]] = [
        (number, message.protocol, event) for number, message in messages(capture) for event in events(message)
    ]
    held: list[Held] = []
    for check in document.get("checks") or ():
        match = (check.get("filter") or {}).get("match") or {}
        protocol = match.get("event_type")
        if protocol not in PROTOCOLS:
            continue
        groups: dict[str, dict[str, Any]] = defaultdict(dict)
        for key, value in match.items():
            if key.startswith(f"{protocol}."):
                path = key[len(protocol) + 1 :]
                # One event of suricata's MQTT logger holds several packets; each is looked for by itself.
                groups[path.split(".")[0] if protocol == "mqtt" else ""][path] = value
        for fields in groups.values():
            possible = [(number, event) for number, name, event in seen if name == protocol]
            exact = [event for number, event in possible if number == match.get("pcap_cnt")]
            datagrams = protocol in ("dhcp", "arp", "snmp", "mdns")
            candidates = exact if datagrams and exact else [event for _, event in possible]
            best = max(
                candidates,
                key=lambda event: sum(_same(value, reach(event, path)) for path, value in fields.items()),
                default={},
            )
            held += [_judge(described.parent.name, protocol, path, value, best) for path, value in fields.items()]
    return held


def _judge(test: str, protocol: str, path: str, expected: Any, event: Mapping[str, Any]) -> Held:
    field = f"{protocol}.{re.sub(r'[0-9]+', '', path) if '[' in path else path}"
    found = reach(event, path)
    if found is _MISSING:
        return Held(test, field, "not supported", expected, None)
    return Held(test, field, "agreed" if _same(expected, found) else "differs", expected, found)


def compare_all(folder: Path) -> list[Held]:
    return [held for described, capture in captures(folder) for held in compare(described, capture)]


def table(held: list[Held]) -> str:
    """Markdown: by protocol how many fields agreed, differed, were not supported; then the others by name."""
    counts: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for one in held:
        counts[one.field.partition(".")[0]][one.verdict] += 1
    lines = ["| protocol | agreed | differs | not supported |", "| --- | ---: | ---: | ---: |"]
    for protocol in sorted(counts):
        of = counts[protocol]
        lines.append(f"| {protocol} | {of['agreed']} | {of['differs']} | {of['not supported']} |")
    for verdict in ("differs", "not supported"):
        named: dict[str, list[Held]] = defaultdict(list)
        for one in held:
            if one.verdict == verdict:
                named[one.field].append(one)
        if named:
            lines += ["", f"{verdict}:"]
            for field, ones in sorted(named.items()):
                why = WHY.get(field, f"e.g. {ones[0].test}")
                lines.append(f"- `{field}` ({len(ones)}): {why}")
    return "\n".join(lines)


if __name__ == "__main__":
    default = Path(__file__).resolve().parents[2] / ".." / "shared" / "data" / "captures" / "suricata-verify"
    print(table(compare_all(Path(sys.argv[1]) if len(sys.argv) > 1 else default)))
