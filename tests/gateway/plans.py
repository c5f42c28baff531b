"""Signed items for a gateway, and MUD files small enough to read."""

import json
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bastide.core.ids import DeviceId
from bastide.core.plan import Circle, NetworkMode
from bastide.wire.gateway import AllowanceForm, FrameForm, MemberForm, encode_content, encode_item, statement
from tests.gateway.lan import mac

GATEWAY = DeviceId("d-gatewaygatewaygatewa")
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PLAN_KEY = KEY.public_key()


def item(
    key: str,
    generation: int,
    content: bytes | FrameForm | MemberForm | AllowanceForm,
    *,
    gateway: DeviceId = GATEWAY,
    signer: Ed25519PrivateKey = KEY,
) -> bytes:
    octets = content if isinstance(content, bytes) else encode_content(content)
    said = statement(gateway, key, generation, octets)
    return encode_item(said, signer.sign(said), octets)


def device_id(i: int) -> DeviceId:
    return DeviceId("d-" + "abcdefghijklmnopqrstuvwxyz"[i] * 20)


def member(
    i: int,
    circle: Circle = Circle.PROFILE,
    *,
    profile: str = "lamp",
    mode: NetworkMode = NetworkMode.ENFORCE,
    cell: str = "",
    port: str | None = None,
) -> MemberForm:
    where = f"lan{i}" if port is None else port
    return MemberForm([f"10.50.{i}.2", f"fd50:{i + 1}::2"], mac(i), circle, mode, profile, where, cell)


def mud(name: str, names: tuple[str, ...] = (), hosts: tuple[str, ...] = (), port: int = 443) -> bytes:
    """A device that may open UDP and TCP to names and hosts on one port."""
    entries: list[dict[str, Any]] = []
    for number, (peer, transport) in enumerate((peer, t) for peer in (*names, *hosts) for t in ("tcp", "udp")):
        where = {"ietf-acldns:dst-dnsname": peer} if peer in names else {"destination-ipv4-network": f"{peer}/32"}
        ports: dict[str, Any] = {"destination-port": {"operator": "eq", "port": port}}
        entries.append(
            {
                "name": f"e{number}",
                "matches": {"ipv4": {"protocol": 6 if transport == "tcp" else 17} | where, transport: ports},
                "actions": {"forwarding": "accept"},
            }
        )
    lists = [{"name": "from", "type": "ipv4-acl-type", "aces": {"ace": entries}}] if entries else []
    policy = {"access-lists": {"access-list": [{"name": "from"}] if entries else []}}
    document = {
        "ietf-mud:mud": {
            "mud-version": 1,
            "mud-url": f"https://{name}.example/mud.json",
            "last-update": "2026-01-01T00:00:00Z",
            "cache-validity": 48,
            "is-supported": True,
            "from-device-policy": policy,
            "to-device-policy": {"access-lists": {"access-list": []}},
        },
        "ietf-access-control-list:acls": {"acl": lists},
    }
    return json.dumps(document).encode()
