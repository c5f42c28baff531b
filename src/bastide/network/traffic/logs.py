"""Logs that other sensors made: Zeek (TSV and JSON) and Suricata's EVE, read into the same devices as captures are.

A log is told by its content: ``#separator`` opens Zeek's TSV; JSON lines with ``event_type`` are EVE, others Zeek's. Taken in
are conn, dns, dhcp, ssl, http, mqtt_connect, known_hosts, known_services and known_devices; of EVE flow, dns, dhcp, tls, http
and mqtt. A line that cannot be read is counted by its reason, and the next one is read. Who sent what is known by address; by
its MAC address where the log has one.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

from bastide.network.traffic.conversations import Talk
from bastide.network.traffic.devices import SeenDevice, Service, Vendor
from bastide.network.traffic.dissect.message import text
from bastide.network.traffic.kernel.tables import BY_IPV4, BY_IPV6, BY_MAC
from bastide.network.traffic.survey import Fact, Key, Seen

MAX_LINE = 1 << 20
MAX_HOSTS = 65_536
MAX_TALKS = 500_000
MAX_VALUES = 64

# Zeek's and Suricata's names of services in our words; others stay as they are.
_SERVICES = {
    "ssl": "tls",
    "dce_rpc": "dcerpc",
    "modbus_tcp": "modbus",
    "krb": "kerberos",
    "mqtt_connect": "mqtt",
    "ftp-data": "ftp",
}
_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
_VERSIONS = {"TLSv10": "TLS 1.0", "TLSv11": "TLS 1.1", "TLSv12": "TLS 1.2", "TLSv13": "TLS 1.3", "SSLv3": "SSL 3.0",
             "TLSv1": "TLS 1.0", "TLSv1.0": "TLS 1.0", "TLSv1.1": "TLS 1.1", "TLSv1.2": "TLS 1.2", "TLSv1.3": "TLS 1.3",
             "TLS 1.0": "TLS 1.0", "TLS 1.1": "TLS 1.1", "TLS 1.2": "TLS 1.2", "TLS 1.3": "TLS 1.3"}  # fmt: skip

Address = IPv4Address | IPv6Address


class _BadLine(Exception):
    """Why a line is passed over."""


@dataclass(slots=True)
class _Host:
    first: float
    last: float
    mac: str = ""
    names: dict[str, None] = field(default_factory=dict)
    protocols: dict[str, None] = field(default_factory=dict)
    services: dict[tuple[int, str], str] = field(default_factory=dict)
    peers: set[str] = field(default_factory=set)
    facts: dict[Fact, Seen] = field(default_factory=dict)
    packets: int = 0
    octets: int = 0


def looks_like_log(head: bytes) -> bool:
    """True where a file's first octets are those of a log that this module reads."""
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    return start.startswith((b"#separator", b"#fields", b"#path")) or start[:1] == b"{"


class Logs:
    """What a set of logs told. Hand in lines by :meth:`line`; begin each file with :meth:`begin`."""

    def __init__(self) -> None:
        self.flows = 0
        self.packets = 0
        self.octets = 0
        self.lines = 0
        self.protocols: Counter[str] = Counter()
        self.unreadable: Counter[str] = Counter()
        self.names: dict[str, str] = {}
        self.first: float | None = None
        self.last: float | None = None
        self._hosts: dict[str, _Host] = {}
        self._talks: dict[tuple[Any, ...], list[Any]] = {}
        self._path = ""
        self._fields: list[str] = []
        self._separator = "\t"
        self._unset = ("-", "(empty)", "")

    def begin(self) -> None:
        """A new file."""
        self._path, self._fields, self._separator = "", [], "\t"

    def line(self, raw: bytes) -> None:
        """One line. Nothing that it holds raises."""
        if len(raw) > MAX_LINE:
            self.unreadable["log line too long"] += 1
            return
        stripped = raw.strip(b"\r\n")
        if not stripped:
            return
        self.lines += 1
        try:
            if stripped.startswith(b"#"):
                self._header(stripped.decode("utf-8", "replace"))
            elif stripped.startswith(b"{"):
                self._json(stripped)
            elif self._fields:
                self._row(stripped.decode("utf-8", "replace"))
            else:
                raise _BadLine("log line without a header")
        except _BadLine as reason:
            self.unreadable[str(reason)] += 1
        except (
            ValueError,
            TypeError,
            KeyError,
            AttributeError,
            OverflowError,
            RecursionError,
        ):  # a value of another form
            self.unreadable["log line malformed"] += 1

    def _header(self, line: str) -> None:
        if line.startswith("#separator "):
            told = line.partition(" ")[2]
            self._separator = chr(int(told[2:], 16)) if re.fullmatch(r"\\x[0-9a-fA-F]{2}", told) else told[:1] or "\t"
            return
        name, _, rest = line[1:].partition(self._separator)
        if name == "path":
            self._path = rest
        elif name == "fields":
            self._fields = rest.split(self._separator)

    def _row(self, line: str) -> None:
        values = line.split(self._separator)
        if len(values) < len(self._fields):
            raise _BadLine("log line cut")
        row = {name: value for name, value in zip(self._fields, values, strict=False) if value not in self._unset}
        self._zeek(self._path, row)

    def _json(self, raw: bytes) -> None:
        row = json.loads(raw)
        if not isinstance(row, dict):
            raise _BadLine("log line malformed")
        if "event_type" in row:
            self._eve(row)
        else:
            self._zeek(str(row.get("_path", "")) or _guessed(row), row)

    # Zeek ------------------------------------------------------------------------------------------------------------

    def _zeek(self, path: str, row: Mapping[str, Any]) -> None:
        reader = _ZEEK.get(path.partition(".")[0])
        if reader is not None:
            reader(self, row)

    def _conn(self, row: Mapping[str, Any]) -> None:
        at = _moment(row["ts"])
        until = at + _number(row.get("duration"))
        service = str(row.get("service") or row["proto"]).partition(",")[0].lower()
        answered = _count(row.get("resp_pkts")) > 0 or _count(row.get("resp_bytes")) > 0
        self._flow(
            (_address(row["id.orig_h"]), int(row["id.orig_p"])),
            (_address(row["id.resp_h"]), int(row["id.resp_p"])),
            str(row["proto"]).lower(),
            _SERVICES.get(service, service),
            (_count(row.get("orig_pkts")), _count(row.get("resp_pkts"))),
            (
                _count(row.get("orig_ip_bytes", row.get("orig_bytes"))),
                _count(row.get("resp_ip_bytes", row.get("resp_bytes"))),
            ),
            at,
            until,
            answered,
            (_mac(row.get("orig_l2_addr")), _mac(row.get("resp_l2_addr"))),
        )

    def _dns(self, row: Mapping[str, Any]) -> None:
        at, asker, name = _moment(row["ts"]), _address(row["id.orig_h"]), _name(row.get("query"))
        if name:
            self._say(asker, at, "query", name.lower(), "dns")
        answers = row.get("answers") or []
        for answer in answers.split(",") if isinstance(answers, str) else answers:
            self._named(str(answer), name)

    def _dhcp(self, row: Mapping[str, Any]) -> None:
        at = _moment(row["ts"])
        told = row.get("assigned_addr") or row.get("client_addr") or row.get("requested_addr") or row.get("assigned_ip")
        mac = _mac(row.get("mac"))
        if not told:
            return
        host = self._host(_address(told), at)
        if host is None:
            return
        host.mac = mac or host.mac
        host.protocols["dhcp"] = None
        for name in (row.get("host_name"), row.get("client_fqdn"), row.get("dhcp_host_name")):
            if name:
                self._called(host, str(name), at, "dhcp")

    def _ssl(self, row: Mapping[str, Any]) -> None:
        at, client, server = _moment(row["ts"]), _address(row["id.orig_h"]), _address(row["id.resp_h"])
        self._tls(client, server, int(row["id.resp_p"]), at, row.get("server_name"), row.get("version"))

    def _http(self, row: Mapping[str, Any]) -> None:
        at, client = _moment(row["ts"]), _address(row["id.orig_h"])
        self._web(client, at, row.get("host"), row.get("user_agent"), bool(row.get("username") or row.get("password")))

    def _mqtt(self, row: Mapping[str, Any]) -> None:
        at, client = _moment(row["ts"]), _address(row["id.orig_h"])
        self._say(client, at, "mqtt-client", str(row.get("client_id") or "?"), "mqtt")

    def _known_host(self, row: Mapping[str, Any]) -> None:
        self._host(_address(row["host"]), _moment(row["ts"]))

    def _known_service(self, row: Mapping[str, Any]) -> None:
        host = self._host(_address(row["host"]), _moment(row["ts"]))
        if host is not None:
            service = str(row.get("service") or row["port_proto"]).partition(",")[0].lower()
            self._serves(host, int(row["port_num"]), str(row["port_proto"]).lower(), _SERVICES.get(service, service))

    def _known_device(self, row: Mapping[str, Any]) -> None:
        mac, at = _mac(row.get("mac")), _moment(row["ts"])
        for host in self._hosts.values():
            if mac and host.mac == mac and row.get("dhcp_host_name"):
                self._called(host, str(row["dhcp_host_name"]), at, "dhcp")

    # Suricata --------------------------------------------------------------------------------------------------------

    def _eve(self, row: Mapping[str, Any]) -> None:
        reader = _EVE.get(str(row["event_type"]))
        if reader is not None:
            reader(self, row)

    def _eve_flow(self, row: Mapping[str, Any]) -> None:
        told = row.get("flow") or {}
        service = str(row.get("app_proto") or "")
        service = str(row["proto"]).lower() if service in ("", "failed") else service
        ether = row.get("ether") or {}
        to_client = _count(told.get("pkts_toclient"))
        self._flow(
            (_address(row["src_ip"]), int(row.get("src_port") or 0)),
            (_address(row["dest_ip"]), int(row.get("dest_port") or 0)),
            str(row["proto"]).lower(),
            _SERVICES.get(service, service),
            (_count(told.get("pkts_toserver")), to_client),
            (_count(told.get("bytes_toserver")), _count(told.get("bytes_toclient"))),
            _moment(told.get("start") or row["timestamp"]),
            _moment(told.get("end") or row["timestamp"]),
            to_client > 0,
            (_mac((ether.get("src_macs") or [None])[0]), _mac((ether.get("dest_macs") or [None])[0])),
        )

    def _eve_dns(self, row: Mapping[str, Any]) -> None:
        told, at = row.get("dns") or {}, _moment(row["timestamp"])
        asked = told.get("queries") or ([told] if told.get("rrname") else [])
        name = _name(asked[0].get("rrname")) if asked else ""
        answer = told.get("type") in ("answer", "response")
        if name:
            self._say(_address(row["dest_ip" if answer else "src_ip"]), at, "query", name.lower(), "dns")
        for one in told.get("answers") or []:
            if one.get("rrtype") in ("A", "AAAA"):
                self._named(str(one.get("rdata")), name)

    def _eve_dhcp(self, row: Mapping[str, Any]) -> None:
        told, at = row.get("dhcp") or {}, _moment(row["timestamp"])
        leased = (told.get(key) for key in ("assigned_ip", "client_ip", "requested_ip"))
        address = next((str(one) for one in leased if one and not ip_address(str(one)).is_unspecified), "")
        host = self._host(_address(address), at) if address else None
        if host is not None:
            host.mac = _mac(told.get("client_mac")) or host.mac
            host.protocols["dhcp"] = None
            if told.get("hostname"):
                self._called(host, str(told["hostname"]), at, "dhcp")
            if told.get("vendor_class_identifier"):
                _keep(host, Fact("vendor-class", text(str(told["vendor_class_identifier"]).encode()), "dhcp"), at)

    def _eve_tls(self, row: Mapping[str, Any]) -> None:
        told, at = row.get("tls") or {}, _moment(row["timestamp"])
        client, server = _address(row["src_ip"]), _address(row["dest_ip"])
        self._tls(client, server, int(row.get("dest_port") or 0), at, told.get("sni"), told.get("version"))

    def _eve_http(self, row: Mapping[str, Any]) -> None:
        told, at = row.get("http") or {}, _moment(row["timestamp"])
        self._web(_address(row["src_ip"]), at, told.get("hostname"), told.get("http_user_agent"), False)

    def _eve_mqtt(self, row: Mapping[str, Any]) -> None:
        connect = (row.get("mqtt") or {}).get("connect")
        if isinstance(connect, dict):
            at, client = _moment(row["timestamp"]), _address(row["src_ip"])
            self._say(client, at, "mqtt-client", str(connect.get("client_id") or "?"), "mqtt")

    # What both tell --------------------------------------------------------------------------------------------------

    def _flow(
        self,
        client: tuple[Address, int],
        server: tuple[Address, int],
        transport: str,
        service: str,
        packets: tuple[int, int],
        octets: tuple[int, int],
        at: float,
        until: float,
        answered: bool,
        macs: tuple[str, str],
    ) -> None:
        service, transport = service[:32], transport[:8]
        self.flows += 1
        self.packets += sum(packets)
        self.octets += sum(octets)
        self.protocols[service] += 1
        port = server[1] if transport in ("tcp", "udp", "sctp") else 0
        for place, (address, _), (peer, _) in ((0, client, server), (1, server, client)):
            if place and not answered and not _here(address):
                continue
            host = self._host(address, at)
            if host is None:
                continue
            host.last = max(host.last, until)
            host.mac = macs[place] or host.mac
            host.packets += sum(packets)
            host.octets += sum(octets)
            host.protocols.setdefault(service)
            if len(host.peers) < 4096:
                host.peers.add(str(peer))
            if place and answered and transport in ("tcp", "udp"):
                self._serves(host, port, transport, service)
            if _here(address):
                key = (str(address), str(peer), transport, port, service, not place)
                told = self._talks.get(key)
                sent, received = (packets[place], packets[1 - place]), (octets[place], octets[1 - place])
                if told is not None:
                    told[0] += 1
                    told[1] += sent[0]
                    told[2] += sent[1]
                    told[3] += received[0]
                    told[4] += received[1]
                    told[5], told[6] = min(told[5], at), max(told[6], until)
                elif len(self._talks) < MAX_TALKS:
                    self._talks[key] = [1, *sent, *received, at, until]
                else:
                    self.unreadable["conversations over the bound"] += 1

    def _tls(self, client: Address, server: Address, port: int, at: float, name: object, version: object) -> None:
        if name:
            self._say(client, at, "sni", str(name), "tls")
        if version:
            told = _VERSIONS.get(str(version), str(version))
            self._say(server, at, "tls", told, "tls")
            self._say(client, at, "peer-tls", told, "tls")

    def _web(self, client: Address, at: float, host: object, agent: object, signed_in: bool) -> None:
        if host:
            self._say(client, at, "http-host", str(host), "http")
        if agent:
            self._say(client, at, "user-agent", str(agent), "http")
        if signed_in:
            self._say(client, at, "credential", "http-basic", "http")

    def _host(self, address: Address, at: float) -> _Host | None:
        if address.is_multicast or address.is_unspecified or address == IPv4Address(0xFFFFFFFF):
            return None
        host = self._hosts.get(str(address))
        if host is None:
            if len(self._hosts) >= MAX_HOSTS:
                self.unreadable["hosts over the bound"] += 1
                return None
            host = self._hosts[str(address)] = _Host(at, at)
        host.first, host.last = min(host.first, at), max(host.last, at)
        self.first = at if self.first is None else min(self.first, at)
        self.last = at if self.last is None else max(self.last, at)
        return host

    def _say(self, address: Address, at: float, word: str, value: str, protocol: str) -> None:
        host = self._host(address, at)
        if host is not None:
            host.protocols.setdefault(protocol)
            _keep(host, Fact(word, text(value.encode()), protocol), at)

    def _called(self, host: _Host, name: str, at: float, protocol: str) -> None:
        plain = text(name.encode()).rstrip(".")
        if plain and len(host.names) < 16:
            host.names[plain] = None
            _keep(host, Fact("hostname", plain, protocol), at)

    def _serves(self, host: _Host, port: int, transport: str, service: str) -> None:
        if len(host.services) < MAX_VALUES and 0 < port < 65536:
            host.services[port, transport] = service

    def _named(self, address: str, name: str) -> None:
        try:
            known = str(ip_address(address.strip()))
        except ValueError:
            return
        if name and (known in self.names or len(self.names) < MAX_HOSTS):
            self.names[known] = name.lower()

    def devices(self, vendor: Vendor) -> tuple[SeenDevice, ...]:
        """The hosts of this network: by MAC where one is known, else by address."""
        merged: dict[str, tuple[list[str], list[_Host]]] = {}
        for address, host in self._hosts.items():
            if host.mac or _here(ip_address(address)):
                addresses, hosts = merged.setdefault(host.mac or address, ([], []))
                addresses.append(address)
                hosts.append(host)
        found = [_device(key, addresses, hosts, vendor) for key, (addresses, hosts) in merged.items()]
        found.sort(key=lambda device: (-device.packets, device.name))
        return tuple(found)

    def conversations(self) -> list[Talk]:
        """Of the devices whose MAC address is known: by it they are known again."""
        talks = []
        for (address, peer, transport, port, protocol, opened), told in self._talks.items():
            host = self._hosts.get(address)
            if host is not None and host.mac:
                nanoseconds = [int(moment * 1e9) for moment in told[5:7]]
                talks.append(
                    Talk(
                        host.mac,
                        peer,
                        self.names.get(peer, ""),
                        transport,
                        port,
                        protocol,
                        opened,
                        *told[:5],
                        *nanoseconds,
                    )
                )
        talks.sort(key=lambda talk: (-talk.bytes_sent - talk.bytes_received, talk))
        return talks


def merged_with(devices: Iterable[SeenDevice], told: Iterable[SeenDevice]) -> tuple[SeenDevice, ...]:
    """Devices of captures with what logs told of the same ones, by MAC address or by address; then the others of the logs."""
    known = list(devices)
    by_name = {name: place for place, device in enumerate(known) for name in (device.mac, *device.ips) if name}
    for device in told:
        place = next((by_name[name] for name in (device.mac, *device.ips) if name in by_name), None)
        if place is None:
            known.append(device)
            continue
        one = known[place]
        known[place] = replace(
            one,
            ips=tuple(dict.fromkeys((*one.ips, *device.ips)))[:32],
            hostnames=tuple(dict.fromkeys((*one.hostnames, *device.hostnames)))[:16],
            protocols=tuple(dict.fromkeys((*one.protocols, *device.protocols))),
            services=tuple(dict.fromkeys((*one.services, *device.services)))[:64],
            peers=max(one.peers, device.peers),
            packets=one.packets + device.packets,
            bytes=one.bytes + device.bytes,
            first_seen=min(one.first_seen, device.first_seen),
            last_seen=max(one.last_seen, device.last_seen),
            facts=device.facts | one.facts,
        )
    return tuple(known)


def _device(key: str, addresses: list[str], hosts: list[_Host], vendor: Vendor) -> SeenDevice:
    mac = key if _MAC.fullmatch(key) else None
    shown = sorted(map(ip_address, addresses), key=lambda address: (address.version, int(address)))
    facts: dict[Fact, Seen] = {}
    for host in hosts:
        facts |= host.facts
    services = {where: protocol for host in hosts for where, protocol in host.services.items()}
    randomised = mac is not None and bool(int(mac[:2], 16) & 2)
    first = shown[0]
    by_address = Key(
        BY_IPV4 if first.version == 4 else BY_IPV6, _signed(int(first) >> 64), _signed(int(first) & 0xFFFFFFFFFFFFFFFF)
    )
    return SeenDevice(
        key=Key(BY_MAC, 0, int(mac.replace(":", ""), 16)) if mac else by_address,
        mac=mac,
        ips=tuple(map(str, shown))[:32],
        vendor=vendor(mac) if mac and not randomised else None,
        randomised=randomised,
        gateway=False,
        hostnames=tuple(dict.fromkeys(name for host in hosts for name in host.names))[:16],
        protocols=tuple(dict.fromkeys(name for host in hosts for name in host.protocols)),
        services=tuple(
            sorted(
                (Service(port, transport, name) for (port, transport), name in services.items()),
                key=lambda one: (one.transport, one.port),
            )
        ),
        peers=len(set().union(*(host.peers for host in hosts))),
        packets=sum(host.packets for host in hosts),
        bytes=sum(host.octets for host in hosts),
        first_seen=_datetime(min(host.first for host in hosts)),
        last_seen=_datetime(max(host.last for host in hosts)),
        facts=facts,
    )


def _signed(half: int) -> int:
    return half - (1 << 64) if half >> 63 else half


def _datetime(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _keep(host: _Host, fact: Fact, at: float) -> None:
    if not fact.value:
        return
    now = int(at * 1e9)
    known = host.facts.get(fact)
    if known is not None:
        host.facts[fact] = Seen(known.times + 1, min(known.first, now), max(known.last, now))
    elif len(host.facts) < 512:
        host.facts[fact] = Seen(1, now, now)


def _here(address: Address) -> bool:
    """An address of this network, as far as the address alone tells."""
    return address.is_private and not address.is_unspecified and not address.is_multicast and not address.is_loopback


def _moment(value: Any) -> float:
    """Seconds since 1970: Zeek's number, or a time in ISO 8601. Outside 1970 to 2200 it is no time."""
    try:
        seconds = float(value)
    except ValueError:
        seconds = datetime.fromisoformat(str(value).replace("Z", "+00:00")).timestamp()
    if not 0 <= seconds < 7_258_118_400:
        raise _BadLine("log line with an impossible time")
    return seconds


def _number(value: Any) -> float:
    return max(0.0, min(float(value), 1e9)) if value is not None else 0.0


def _count(value: Any) -> int:
    return max(0, min(int(value), 1 << 53)) if value is not None else 0


def _address(value: Any) -> Address:
    return ip_address(str(value))


def _mac(value: Any) -> str:
    told = str(value or "").lower().replace("-", ":")
    return told if _MAC.fullmatch(told) else ""


def _name(value: Any) -> str:
    return text(str(value).encode()).rstrip(".")[:255] if value else ""


def _guessed(row: Mapping[str, Any]) -> str:
    """Zeek's JSON without ``_path``: the file's name told it, and is not here. What only one log has tells it again."""
    for path, names in (
        ("conn", ("conn_state",)), ("dns", ("query", "qtype_name")), ("dhcp", ("msg_types",)), ("ssl", ("cipher",)),
        ("http", ("method", "uri")), ("mqtt_connect", ("client_id", "proto_name")), ("known_services", ("port_num",)),
    ):  # fmt: skip
        if any(name in row for name in names):
            return path
    return "known_hosts" if set(row) == {"ts", "host"} else ""


_Reader = Callable[[Logs, Mapping[str, Any]], None]
_ZEEK: dict[str, _Reader] = {
    "conn": Logs._conn,
    "dns": Logs._dns,
    "dhcp": Logs._dhcp,
    "ssl": Logs._ssl,
    "http": Logs._http,
    "mqtt_connect": Logs._mqtt,
    "known_hosts": Logs._known_host,
    "known_services": Logs._known_service,
    "known_devices": Logs._known_device,
}
_EVE: dict[str, _Reader] = {
    "flow": Logs._eve_flow,
    "dns": Logs._eve_dns,
    "dhcp": Logs._eve_dhcp,
    "tls": Logs._eve_tls,
    "http": Logs._eve_http,
    "mqtt": Logs._eve_mqtt,
}
