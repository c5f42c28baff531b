"""``bastide profile compile``: a MUD file and a device's addresses as rules of nftables."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any

import typer

from bastide.cli import JUDGED_BAD
from bastide.cli.output import JSON, document, printable, table
from bastide.cli.wiring import parse_captures
from bastide.core.error import Refused, Unreadable
from bastide.network.profile.learn import Learned, learn, profile
from bastide.network.profile.mud.members import Notes
from bastide.network.profile.mud.names import address, authority, dns_name, mac, uri
from bastide.network.profile.mud.read import read
from bastide.network.profile.mud.signature import MAX_SIGNATURE_BYTES, Signature, judge, read_anchors
from bastide.network.profile.mud.strictjson import MAX_BYTES
from bastide.network.profile.mud.words import Kind, MUDFile, Network, Peers, Reading, Side
from bastide.network.profile.mud.write import write
from bastide.network.segmentation.compile import compile_site
from bastide.network.segmentation.ruleset import as_json, as_text
from bastide.network.segmentation.site import LOCAL_NETWORKS, Address, Assignment, Site, SiteDevice
from bastide.network.traffic.conversations import Talk


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
    return read(bounded(file, MAX_BYTES))


def judged_signature(file: Path, signature: Path | None, anchors: Path | None) -> Signature | None:
    """What the file's signature is worth now, or None where none was given."""
    if signature is None:
        if anchors is not None:
            raise Refused("--anchors needs --signature: there is nothing to check with them.")
        return None
    if anchors is None:
        raise Refused("--signature needs --anchors: a signature proves nothing without somebody to trust.")
    try:
        trusted = read_anchors(bounded(anchors, MAX_BYTES))
    except ValueError as error:
        raise Unreadable(f"{anchors} holds no certificates in PEM.") from error
    return judge(bounded(file, MAX_BYTES), bounded(signature, MAX_SIGNATURE_BYTES), trusted, datetime.now(UTC))


def bounded(file: Path, limit: int) -> bytes:
    """The file, or one octet more than the limit: then it is too long."""
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
    if file.application is not None:
        described["channels"] = len(file.application.channels)
    described["notes"] = [{"code": n.code, "sentence": n.sentence, "count": n.count} for n in reading.notes]
    return described


@dataclass(frozen=True, slots=True)
class Heard:
    """What devices said, and the addresses that they said it from."""

    talks: list[Talk]
    addresses: list[str]


def talks_of(captures: list[Path], named: Iterable[str]) -> Heard:
    """The conversations of the devices with these MAC addresses."""
    macs = {mac(one, "--mac") for one in named}
    report = parse_captures(captures, conversations=True)
    talks = [_talk(one) for one in report["conversations"] if one["mac"] in macs]
    addresses = [ip for device in report["devices"] if device["mac"] in macs for ip in device["ips"]]
    return Heard(talks, addresses)


def learn_profile(
    captures: Annotated[list[Path], typer.Argument(metavar="CAPTURE...", help="Captures of devices of one kind.")],
    of: Annotated[Many, typer.Option("--mac", help="The device's MAC address; more than once for more of its kind.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where the MUD file is written.")],
    url: Annotated[str, typer.Option("--url", help="The file's MUD URL; else one that no resolver answers.")] = "",
    at_least: Annotated[int, typer.Option("--at-least", min=1, help="Flows that an entry must have been seen in.")] = 1,
    json: JSON = False,
) -> int:
    """Learn the smallest profile that allows what devices were seen to do. It allows nothing until somebody enforces it.

    Ends with 1 where nothing was learned.
    """
    macs = sorted({mac(one, "--mac") for one in of})
    lesson = learn(talks_of(captures, macs).talks, at_least=at_least)
    names = ", ".join(macs)
    made = profile(
        lesson,
        url=uri(url, "--url") if url else f"https://learned.invalid/{macs[0].replace(':', '-')}.json",
        at=datetime.now(UTC).replace(microsecond=0),
        systeminfo=f"Learned from traffic of {names}"[:60],
    )
    if lesson.kept:
        try:
            out.write_bytes(write(made))
        except OSError as error:
            raise Refused(f"{out} cannot be written: {error.strerror}.") from error
    if json:
        told = [
            {"entries": [_learned(one) for one in lesson.kept], "left_out": [_learned(one) for one in lesson.left_out]}
        ]
        document(told[0] | {"file": str(out) if lesson.kept else None, "macs": macs})
        return 0 if lesson.kept else JUDGED_BAD
    rows = [(str(one), one.flows, one.devices, f"{one.confidence:.2f}") for one in lesson.kept]
    table(
        ("MAY SPEAK", "FLOWS", "DEVICES", "CONFIDENCE"),
        rows,
        empty=f"Nothing was heard of {names} that could be allowed.",
    )
    if lesson.left_out:
        typer.echo("\nLeft out:")
        table(("WHAT", "FLOWS", "WHY"), [(str(one), one.flows, one.because) for one in lesson.left_out], empty="")
    if lesson.kept:
        typer.echo(
            f"\nWritten to {out}: {len(lesson.kept)} entries; `bastide segment prove --profile {out}` proves its rules."
        )
    return 0 if lesson.kept else JUDGED_BAD


def _talk(told: dict[str, Any]) -> Talk:
    moments = {name: int(datetime.fromisoformat(told[name]).timestamp() * 1e9) for name in ("first", "last")}
    return Talk(**(told | moments))


def _learned(one: Learned) -> dict[str, Any]:
    return {
        "what": str(one),
        "peer": str(one.peer),
        "protocol": one.protocol,
        "ports": [one.ports.low, one.ports.high] if one.ports else None,
        "opened_by_device": one.opened_by_device,
        "flows": one.flows,
        "devices": one.devices,
        "confidence": one.confidence,
        "because": one.because,
    }
