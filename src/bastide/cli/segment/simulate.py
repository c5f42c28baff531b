"""``bastide segment simulate``: what a profile would cut, of captures or of what Bastide heard in the last days."""

from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any

import typer

from bastide.cli.client import connect, segment
from bastide.cli.mud import read_mud, talks_of
from bastide.cli.output import DATA, JSON, document, printable, table
from bastide.core.error import Refused
from bastide.network.profile.mud.words import DNS_CONTROLLER, Kind, Peers
from bastide.network.segmentation.simulate import Judged, by_entry
from bastide.network.segmentation.simulate import simulate as judge_all
from bastide.network.segmentation.site import Site
from bastide.network.traffic.conversations import Talk


def simulate(
    captures: Annotated[
        list[Path] | None, typer.Argument(metavar="[CAPTURE...]", help="Captures and logs of what happened.")
    ] = None,
    profile: Annotated[
        Path | None, typer.Option("--profile", metavar="FILE", help="The MUD file (RFC 8520) to try.")
    ] = None,
    mac: Annotated[
        list[str] | None, typer.Option("--mac", help="The device in the captures, by its MAC address; again for more.")
    ] = None,
    dns: Annotated[
        list[str] | None, typer.Option("--dns", help="The site's name servers; without it those asked most.")
    ] = None,
    of: Annotated[
        str,
        typer.Option("--of", metavar="PROFILE", help="Judge what its devices were heard to say by Bastide instead."),
    ] = "",
    days: Annotated[int, typer.Option("--days", min=1, max=90, help="With --of: how far back to look.")] = 7,
    json: JSON = False,
    data: DATA = "",
) -> int:
    """What a profile would cut of what was heard, before anything is cut. Status 1 where an answered conversation would be."""
    if of:
        if captures or mac or dns:
            raise Refused("--of judges what Bastide heard by itself; leave captures, --mac and --dns out.")
        return _kept(of, profile, days, json, data)
    if not captures or profile is None or not mac:
        raise Refused(
            "Say what is judged: captures with --mac and --profile FILE, or --of PROFILE for what Bastide heard."
        )
    read, heard = read_mud(profile).file, talks_of(captures, mac)
    devices = tuple(sorted({ip_address(one) for one in heard.addresses}, key=str))
    kept, cut = judge_all(heard.talks, read, _site(heard.talks, dns or []), devices)
    found: dict[str, Any] = {
        "kept": len(kept),
        "cut": [_judged(one) for one in cut],
        "flows_kept": sum(one.talk.flows for one in kept),
        "flows_cut": sum(one.talk.flows for one in cut),
        "flows_cut_that_were_answered": sum(one.talk.flows for one in cut if one.answered),
        "by_entry": by_entry(kept),
    }
    if json:
        document(found)
    else:
        _show(found)
    return 1 if any(one.answered for one in cut) else 0


def _kept(name: str, file: Path | None, days: int, json: bool, data: str) -> int:
    asked: dict[str, Any] = {"days": days}
    if file is not None:
        read_mud(file)  # what is wrong with it is said before anything is sent
        asked["document"] = file.read_text()
    with connect(data) as api:
        found = api.post(f"/profiles/{segment(name)}/simulation", asked)
    if json:
        document(found)
    else:
        typer.echo(f"{found['heard']} of {found['devices']} devices of {name} were heard in the last {days} days.")
        _show(found)
        if found["share_cut"]:
            typer.echo(f"{found['share_cut']:.2%} of the flows that were answered would be cut.")
        if found["cut_left_out"]:
            typer.echo(f"{found['cut_left_out']} more conversations would be cut; the busiest are shown.")
    return 1 if found["flows_cut_that_were_answered"] else 0


def _show(found: dict[str, Any]) -> None:
    typer.echo(f"{found['flows_kept']:,} flows would be kept, {found['flows_cut']:,} would be cut.")
    rows = [
        (
            printable(one["device_name"] or one["device"]),
            printable(one["because"]),
            one["flows"],
            "" if one["answered"] else "nobody answered",
            printable(one["nearest"]),
        )
        for one in found["cut"]
    ]
    table(("DEVICE", "CUT", "FLOWS", "", "NEAREST ENTRY"), rows, empty="Nothing would be cut.")


def _judged(one: Judged) -> dict[str, Any]:
    talk = one.talk
    return {
        "device": talk.mac,
        "device_name": "",
        "peer": talk.peer,
        "peer_name": talk.peer_name,
        "transport": talk.transport,
        "port": talk.port,
        "protocol": talk.protocol,
        "opened_by_device": talk.opened_by_device,
        "flows": talk.flows,
        "answered": one.answered,
        "because": one.because,
        "nearest": one.nearest,
    }


def _site(heard: list[Talk], dns: list[str]) -> Site:
    """The site as far as what was heard tells it: name servers are those that were named, else local ones that answered."""
    servers = {ip_address(one) for one in dns} or {
        ip_address(talk.peer)
        for talk in heard
        if talk.port == 53 and talk.opened_by_device and talk.packets_received and ip_address(talk.peer).is_private
    }
    return Site(peers={Peers(Kind.CONTROLLER, DNS_CONTROLLER): tuple(sorted(servers, key=str))})
