"""``bastide profile compile``: a MUD file and a device's addresses as rules of nftables."""

from datetime import UTC, datetime
from enum import StrEnum
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any

import typer

from bastide.cli.output import document, printable
from bastide.core.error import Refused, Unreadable
from bastide.network.profile.mud.members import Notes
from bastide.network.profile.mud.names import address, authority, dns_name, mac, uri
from bastide.network.profile.mud.read import read
from bastide.network.profile.mud.signature import MAX_SIGNATURE_BYTES, Signature, judge, read_anchors
from bastide.network.profile.mud.strictjson import MAX_BYTES
from bastide.network.profile.mud.words import Kind, MUDFile, Network, Peers, Reading, Side
from bastide.network.segmentation.compile import compile_site
from bastide.network.segmentation.ruleset import as_json, as_text
from bastide.network.segmentation.site import LOCAL_NETWORKS, Address, Assignment, Site, SiteDevice


class Format(StrEnum):
    NFT = "nft"
    JSON = "json"


Many = list[str]


def compile_profile(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A MUD file (RFC 8520).")],
    device_ip: Annotated[Many, typer.Option("--device-ip", help="An address of the device; more than once for more.")],
    device_mac: Annotated[str, typer.Option("--device-mac", help="Its MAC address: binds its addresses to it.")] = "",
    form: Annotated[Format, typer.Option("--format", help="nft (text) or json (libnftables).")] = Format.NFT,
    controller: Annotated[
        Many | None, typer.Option("--controller", help="URI=ADDR; my-controller=ADDR for the device's own.")
    ] = None,
    manufacturer: Annotated[Many | None, typer.Option("--manufacturer", help="AUTHORITY=ADDR")] = None,
    model: Annotated[Many | None, typer.Option("--model", help="MUD-URL=ADDR")] = None,
    dns: Annotated[Many | None, typer.Option("--dns", help="NAME=ADDR, where no resolver fills the sets.")] = None,
    local_network: Annotated[
        Many | None, typer.Option("--local-network", help="A local network; without it the private ones.")
    ] = None,
) -> None:
    """Compile a MUD file to one nftables ruleset for a gateway. Nothing is loaded. Notes go to standard error."""
    reading = read_mud(file)
    device = SiteDevice(
        "device",
        tuple(dict.fromkeys(address(one) for one in device_ip)),
        mac(device_mac, "--device-mac") if device_mac else "",
    )
    peers: dict[Peers, tuple[Address, ...]] = {}
    for kind, given in ((Kind.CONTROLLER, controller), (Kind.MANUFACTURER, manufacturer), (Kind.MODEL, model)):
        for text in given or ():
            name, where = _pair(text)
            key = _peers(kind, name)
            peers[key] = (*peers.get(key, ()), where)
    names: dict[str, tuple[Address, ...]] = {}
    for text in dns or ():
        name, where = _pair(text)
        name = dns_name(name, "--dns", Notes())
        names[name] = (*names.get(name, ()), where)
    local = tuple(_network(one) for one in local_network) if local_network else LOCAL_NETWORKS
    compiled = compile_site([Assignment(reading.file, (device,))], Site(local, peers, names))
    if form is Format.JSON:
        document(as_json(compiled.ruleset))
    else:
        typer.echo(as_text(compiled.ruleset), nl=False)
    for note in (*reading.notes, *compiled.notes):
        typer.echo(printable(f"note {note.code}: {note.sentence}"), err=True)


def _pair(text: str) -> tuple[str, Address]:
    name, equals, where = text.rpartition("=")
    if not equals or not name:
        raise Refused(f"{text[:80]!r} is not NAME=ADDRESS.", code="segmentation:option:form")
    return name, address(where)


def _peers(kind: Kind, name: str) -> Peers:
    if kind is Kind.CONTROLLER and name == Kind.MY_CONTROLLER:
        return Peers(Kind.MY_CONTROLLER)
    return Peers(kind, authority(name, "--manufacturer") if kind is Kind.MANUFACTURER else uri(name, f"--{kind.value}"))


def _network(text: str) -> Network:
    try:
        return ip_network(text)
    except ValueError as error:
        raise Refused(f"{text[:80]!r} is not a network.", code="mud:address:syntax") from error


def read_mud(file: Path) -> Reading:
    """A MUD file from the disk; no more of it is read than could be accepted."""
    return read(_bounded(file, MAX_BYTES))


def judged_signature(file: Path, signature: Path | None, anchors: Path | None) -> Signature | None:
    """What the file's signature is worth now, or None where none was given."""
    if signature is None:
        if anchors is not None:
            raise Refused("--anchors needs --signature: there is nothing to check with them.")
        return None
    if anchors is None:
        raise Refused("--signature needs --anchors: a signature proves nothing without somebody to trust.")
    try:
        trusted = read_anchors(_bounded(anchors, MAX_BYTES))
    except ValueError as error:
        raise Unreadable(f"{anchors} holds no certificates in PEM.") from error
    return judge(_bounded(file, MAX_BYTES), _bounded(signature, MAX_SIGNATURE_BYTES), trusted, datetime.now(UTC))


def _bounded(file: Path, limit: int) -> bytes:
    with file.open("rb") as opened:
        return opened.read(limit + 1)


def described(reading: Reading) -> dict[str, Any]:
    """What ``check --json`` says of an accepted file."""
    file: MUDFile = reading.file
    described: dict[str, Any] = {
        "accepted": True,
        "mud_url": file.url,
        "systeminfo": file.systeminfo,
        "last_update": file.last_update.isoformat(),
        "cache_validity_hours": file.cache_validity.total_seconds() / 3600,
        "is_supported": file.is_supported,
    }
    for side in Side:
        lists = file.policy(side)
        described[side.value] = {"lists": len(lists), "entries": sum(len(one.entries) for one in lists)}
    described["tls_profiles"] = sum(bool(e.tls) for side in Side for one in file.policy(side) for e in one.entries)
    described["notes"] = [{"code": n.code, "sentence": n.sentence, "count": n.count} for n in reading.notes]
    return described
