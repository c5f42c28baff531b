"""MUD files for tests: made here, small, and changed a place at a time."""

import copy
import json
from typing import Any

LAMP: dict[str, Any] = {
    "ietf-mud:mud": {
        "mud-version": 1,
        "mud-url": "https://lamps.example/lamp.json",
        "last-update": "2026-01-02T03:04:05+00:00",
        "cache-validity": 48,
        "is-supported": True,
        "systeminfo": "A lamp",
        "from-device-policy": {"access-lists": {"access-list": [{"name": "from4"}, {"name": "from6"}]}},
        "to-device-policy": {"access-lists": {"access-list": [{"name": "to4"}, {"name": "to6"}]}},
    },
    "ietf-access-control-list:acls": {
        "acl": [
            {"name": "from4", "type": "ipv4-acl-type", "aces": {"ace": []}},
            {"name": "from6", "type": "ipv6-acl-type", "aces": {"ace": []}},
            {"name": "to4", "type": "ipv4-acl-type", "aces": {"ace": []}},
            {"name": "to6", "type": "ipv6-acl-type", "aces": {"ace": []}},
        ]
    },
}


def lamp(**lists: list[dict[str, Any]]) -> dict[str, Any]:
    """The lamp's file with these matches in these lists, all accepted."""
    document = copy.deepcopy(LAMP)
    for acl in document["ietf-access-control-list:acls"]["acl"]:
        for number, matches in enumerate(lists.get(acl["name"], [])):
            acl["aces"]["ace"].append(
                {"name": f"{acl['name']}-{number}", "matches": matches, "actions": {"forwarding": "accept"}}
            )
    return document


def encoded(document: dict[str, Any]) -> bytes:
    return json.dumps(document).encode()


def cloud(name: str = "cloud.lamps.example", port: int = 443) -> dict[str, Any]:
    """The device opens TCP to a named service."""
    return {
        "ipv4": {"protocol": 6, "ietf-acldns:dst-dnsname": name},
        "tcp": {
            "ietf-mud:direction-initiated": "from-device",
            "destination-port": {"operator": "eq", "port": port},
        },
    }
