"""The strict form of RFC 8520 and RFC 8519, whatever dialect was read: two equal files are equal bytes."""

import json
from datetime import timedelta
from typing import Any

from bastide.network.profile.mud.application import EXTENSION, NAME, write_application
from bastide.network.profile.mud.words import (
    TCP,
    UDP,
    AccessList,
    Entry,
    Kind,
    ListType,
    MUDFile,
    Ports,
    Side,
)

_EMPTY_KINDS = (Kind.LOCAL_NETWORKS, Kind.SAME_MANUFACTURER, Kind.MY_CONTROLLER)


def write(file: MUDFile) -> bytes:
    """YANG-JSON (RFC 7951), indented, with a line end."""
    mud: dict[str, Any] = {
        "mud-version": 1,
        "mud-url": file.url,
        "last-update": file.last_update.isoformat(),
    }
    optional = {
        "mud-signature": file.signature,
        "cache-validity": file.cache_validity // timedelta(hours=1),
        "is-supported": file.is_supported,
        "systeminfo": file.systeminfo,
        "mfg-name": file.manufacturer,
        "model-name": file.model,
        "firmware-rev": file.firmware_revision,
        "software-rev": file.software_revision,
        "documentation": file.documentation,
        "extensions": _extensions(file),
        "ietf-mud-tls:is-tls-dtls-profile-supported": file.tls_supported,
    }
    mud |= {name: value for name, value in optional.items() if value not in ("", [], None)}
    if file.application is not None:
        mud[NAME] = write_application(file.application)
    lists: dict[str, AccessList] = {}
    for side in Side:
        policy = file.policy(side)
        if policy:
            mud[f"{side.value}-policy"] = {"access-lists": {"access-list": [{"name": one.name} for one in policy]}}
            lists |= {one.name: one for one in policy}
    document: dict[str, Any] = {"ietf-mud:mud": mud}
    if lists:
        document["ietf-access-control-list:acls"] = {"acl": [_list(one) for one in lists.values()]}
    return (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode()


def _extensions(file: MUDFile) -> list[str]:
    """Those that the file names, and ours where it is used."""
    return [*file.extensions, *([EXTENSION] if file.application is not None else [])]


def _list(one: AccessList) -> dict[str, Any]:
    bridged = any(entry.ethernet for entry in one.entries)
    written = {
        ListType.IPV4: "mixed-eth-ipv4-acl-type" if bridged else "ipv4-acl-type",
        ListType.IPV6: "mixed-eth-ipv6-acl-type" if bridged else "ipv6-acl-type",
        ListType.ETHERNET: "eth-acl-type",
        ListType.MIXED: "mixed-eth-ipv4-ipv6-acl-type",
    }[one.type]
    return {"name": one.name, "type": written, "aces": {"ace": [_entry(entry) for entry in one.entries]}}


def _entry(entry: Entry) -> dict[str, Any]:
    matches: dict[str, Any] = {}
    if entry.ethernet is not None:
        matches["eth"] = _present(
            {
                "source-mac-address": entry.ethernet.source,
                "destination-mac-address": entry.ethernet.destination,
                "ethertype": "" if entry.ethernet.ethertype is None else f"0x{entry.ethernet.ethertype:04x}",
            }
        )
    if entry.peers:
        matches["ietf-mud:mud"] = {
            one.kind.value: [None] if one.kind in _EMPTY_KINDS else one.name for one in entry.peers
        }
    if entry.version is not None:
        header = {
            "protocol": entry.protocol,
            f"source-ipv{entry.version}-network": "" if entry.source is None else str(entry.source),
            f"destination-ipv{entry.version}-network": "" if entry.destination is None else str(entry.destination),
            "ietf-acldns:src-dnsname": entry.source_name,
            "ietf-acldns:dst-dnsname": entry.destination_name,
        }
        matches[f"ipv{entry.version}"] = _present(header)
    transport = _present(
        {
            "source-port": _ports(entry.source_ports),
            "destination-port": _ports(entry.destination_ports),
            "ietf-mud:direction-initiated": entry.initiated.value if entry.initiated else "",
        }
    )
    if entry.protocol in (TCP, UDP) and (transport or entry.version is None):
        matches["tcp" if entry.protocol == TCP else "udp"] = transport
    if entry.icmp is not None:
        matches["icmp"] = _present({"type": entry.icmp.type, "code": entry.icmp.code})
    if entry.tls:
        matches["ietf-acl-tls:client-profiles"] = json.loads(entry.tls)
    return {"name": entry.name, "matches": matches, "actions": {"forwarding": entry.action.value}}


def _ports(ports: Ports | None) -> dict[str, Any] | None:
    if ports is None:
        return None
    if ports.low == ports.high:
        return {"operator": "neq" if ports.negated else "eq", "port": ports.low}
    return {"lower-port": ports.low, "upper-port": ports.high}


def _present(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value not in ("", None)}
