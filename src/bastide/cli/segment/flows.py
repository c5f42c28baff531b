"""``bastide segment allow|deny|rulings|undo``: what becomes of a single flow that a profile does not permit."""

import re
from ipaddress import ip_address
from typing import Annotated, Any

import typer

from bastide.cli.client import connect, segment
from bastide.cli.output import DATA, JSON, ago, document, printable, table
from bastide.cli.span import span
from bastide.core.error import Refused

DEVICE = Annotated[str, typer.Argument(metavar="DEVICE", help="Its id, or a part of id or name that only it has.")]
PEER = Annotated[str, typer.Argument(metavar="PEER", help="The peer's IP address.")]
SERVICE = Annotated[str, typer.Argument(metavar="SERVICE", help="Such as tcp/443: what is called.")]
REASON = Annotated[str, typer.Option("--reason", "-r", help="Why; it is kept in the ledger.")]
FROM_PEER = Annotated[bool, typer.Option("--from-peer", help="The peer calls the device, and not the other way round.")]
NAME = Annotated[str, typer.Option("--name", help="The DNS name that the peer was resolved from.")]
_SERVICE = re.compile(r"(tcp|udp)/([0-9]{1,5})|(icmp|icmpv6)")


def allow(
    device: DEVICE,
    peer: PEER,
    service: SERVICE,
    reason: REASON,
    ends_in: Annotated[
        str, typer.Option("--for", metavar="SPAN", help="How long, such as 8h; at most 7 days.")
    ] = "24h",
    from_peer: FROM_PEER = False,
    json: JSON = False,
    data: DATA = "",
) -> None:
    """Let one flow of one device through for a while, whatever its profile says."""
    hours = max(1, round(span(ends_in).total_seconds() / 3600))
    asked = {"flow": _flow(peer, service, from_peer), "answer": "allow", "hours": hours, "reason": reason}
    with connect(data) as api:
        made = api.post(f"/devices/{api.device(device)}/rulings", asked)
    if json:
        document(made)
    else:
        typer.echo(printable(f"{made['id']}: {peer} {service} is let through until {made['until']}."))


def deny(
    device: DEVICE, peer: PEER, service: SERVICE, reason: REASON, from_peer: FROM_PEER = False, json: JSON = False,
    data: DATA = "",
) -> None:  # fmt: skip
    """Keep one flow of one device denied, so that nobody is asked about it again."""
    asked = {"flow": _flow(peer, service, from_peer), "answer": "deny", "reason": reason}
    with connect(data) as api:
        made = api.post(f"/devices/{api.device(device)}/rulings", asked)
    if json:
        document(made)
    else:
        typer.echo(printable(f"{made['id']}: {peer} {service} stays denied."))


def permit(
    device: DEVICE,
    peer: PEER,
    service: SERVICE,
    reason: REASON,
    name: NAME = "",
    from_peer: FROM_PEER = False,
    json: JSON = False,
    data: DATA = "",
) -> None:
    """Add one flow to the device's profile: every device of the profile may do it from then on."""
    asked = {"flow": _flow(peer, service, from_peer) | {"peer_name": name}, "reason": reason}
    with connect(data) as api:
        made = api.post(f"/devices/{api.device(device)}/reach", asked)
    if json:
        document(made)
    elif made["added"]:
        typer.echo(printable(f"The profile {made['profile']} permits {name or peer} {service}."))
    else:
        typer.echo(printable(f"The profile {made['profile']} permitted {name or peer} {service} already."))


def show(
    device: DEVICE,
    days: Annotated[int, typer.Option("--days", min=1, max=90, help="How far back to look.")] = 7,
    json: JSON = False,
    data: DATA = "",
) -> None:
    """What a device may do on the network beside what it does, and what its profile does not permit."""
    with connect(data) as api:
        found = api.get(f"/devices/{api.device(device)}/reach", days=days)
    if json:
        document(found)
        return
    if not found["described"]:
        typer.echo("Nobody wrote down whom its profile may reach, so a gateway lets it reach nobody.")
    else:
        typer.echo(f"Its profile is {'observed' if found['mode'] == 'observe' else 'enforced'}.")
        table(
            ("IT MAY", "FLOWS", "LAST"),
            [(one["sentence"], one["flows"], ago(one["last"]) if one["last"] else "-") for one in found["permitted"]],
            empty="It permits nothing but local DNS and time.",
        )
    if found["unpermitted"]:
        typer.echo("\nNot permitted:")
        rows = [
            (
                f"{'to' if one['opened_by_device'] else 'from'} {one['peer_name'] or one['peer']}",
                f"{one['transport']}/{one['port']}" if one["port"] else one["transport"],
                one["fate"],
                one["heard"],
                one["tried"],
                one["nearest"],
            )
            for one in found["unpermitted"]
        ]
        table(("PEER", "SERVICE", "THEN", "FLOWS HEARD", "PACKETS DENIED", "NEAREST ENTRY"), rows, empty="")


def rulings(device: DEVICE, json: JSON = False, data: DATA = "") -> None:
    """List what people ruled about single flows of a device."""
    with connect(data) as api:
        found = api.get(f"/devices/{api.device(device)}/rulings")["items"]
    if json:
        document(found)
        return
    rows = [
        (
            one["id"],
            f"{'to' if one['opened_by_device'] else 'from'} {one['peer']}",
            f"{one['transport']}/{one['port']}" if one["port"] else one["transport"],
            f"let through, ends {ago(one['until'])}" if one["until"] else "stays denied",
            one["reason"],
        )
        for one in found
    ]
    table(("ID", "PEER", "SERVICE", "RULING", "REASON"), rows, empty="Nobody ruled about a flow of this device.")


def undo(
    device: DEVICE,
    ruling: Annotated[str, typer.Argument(metavar="RULING", help="Its id, see bastide segment rulings.")],
    json: JSON = False,
    data: DATA = "",
) -> None:
    """Take a ruling about a flow back."""
    with connect(data) as api:
        left = api.delete(f"/devices/{api.device(device)}/rulings/{segment(ruling)}")["items"]
    if json:
        document(left)
    else:
        typer.echo(f"Taken back; {len(left)} {'ruling holds' if len(left) == 1 else 'rulings hold'} for this device.")


def _flow(peer: str, service: str, from_peer: bool) -> dict[str, Any]:
    found = _SERVICE.fullmatch(service)
    if found is None:
        raise Refused(f"{service!r} is no service; write it as tcp/443, udp/123 or icmp.")
    try:
        address = str(ip_address(peer))
    except ValueError as error:
        raise Refused(f"{peer!r} is not an IP address.") from error
    transport, port = found.group(1) or found.group(3), int(found.group(2) or 0)
    return {"peer": address, "transport": transport, "port": port, "opened_by_device": not from_peer}
