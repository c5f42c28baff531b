"""``bastide segment``: who may talk to whom on the network."""

from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any

import typer

from bastide.cli.mud import read_mud, talks_of
from bastide.cli.output import JSON, document, printable, table
from bastide.cli.segment import flows
from bastide.cli.segment.wiring import prove_here
from bastide.flows.prove_segmentation import Proof
from bastide.network.profile.mud.words import DNS_CONTROLLER, Kind, Peers
from bastide.network.segmentation.proof.probes import Probe
from bastide.network.segmentation.simulate import Judged
from bastide.network.segmentation.simulate import simulate as simulate_rules
from bastide.network.segmentation.site import Site
from bastide.network.traffic.conversations import Talk

app = typer.Typer(rich_markup_mode=None)
for _act in (flows.allow, flows.permit, flows.deny, flows.rulings, flows.undo):
    app.command()(_act)
_PROTOCOLS = {1: "ICMP", 2: "IGMP", 6: "TCP", 17: "UDP", 58: "ICMPv6"}


@app.callback()
def segment() -> None:
    """Who may talk to whom on the network; proved by real packets."""


@app.command()
def prove(
    profile: Annotated[Path, typer.Option("--profile", metavar="FILE", help="A MUD file (RFC 8520).")],
    json: JSON = False,
) -> int:
    """Send real packets through a profile's compiled rules, in namespaces made for it. Status 1 where one disagrees."""
    proof = prove_here(read_mud(profile).file)
    if json:
        document(described(proof))
    else:
        _show(proof)
    return 0 if proof.holds else 1


@app.command()
def simulate(
    captures: Annotated[list[Path], typer.Argument(metavar="CAPTURE...", help="Captures and logs of what happened.")],
    profile: Annotated[Path, typer.Option("--profile", metavar="FILE", help="A MUD file (RFC 8520).")],
    mac: Annotated[list[str], typer.Option("--mac", help="The device, by its MAC address; give it again for more.")],
    dns: Annotated[
        list[str] | None, typer.Option("--dns", help="The site's name servers; without it those asked most.")
    ] = None,
    json: JSON = False,
) -> int:
    """What a profile would cut of what was heard, before anything is cut. Status 1 where an answered conversation would be."""
    read, heard = read_mud(profile).file, talks_of(captures, mac)
    devices = tuple(sorted({ip_address(one) for one in heard.addresses}, key=str))
    kept, cut = simulate_rules(heard.talks, read, _site(heard.talks, dns or []), devices)
    if json:
        document(
            {
                "kept": len(kept),
                "cut": [_judged(one) for one in cut],
                "flows_kept": sum(one.talk.flows for one in kept),
                "flows_cut": sum(one.talk.flows for one in cut),
                "flows_cut_that_were_answered": sum(one.talk.flows for one in cut if one.answered),
                "by_entry": _by_entry(kept),
            }
        )
    else:
        flows = sum(one.talk.flows for one in kept), sum(one.talk.flows for one in cut)
        typer.echo(f"{flows[0]:,} flows would be kept, {flows[1]:,} would be cut.")
        rows = [
            (
                printable(one.because),
                one.talk.flows,
                "" if one.answered else "nobody answered",
                printable(one.nearest),
            )
            for one in cut
        ]
        table(("Cut", "Flows", "", "Nearest entry"), rows, empty="Nothing would be cut.")
    return 1 if any(one.answered for one in cut) else 0


def _judged(one: Judged) -> dict[str, Any]:
    talk = one.talk
    return {
        "device": talk.mac,
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


def _by_entry(kept: list[Judged]) -> dict[str, int]:
    found: dict[str, int] = {}
    for one in kept:
        found[one.because] = found.get(one.because, 0) + one.talk.flows
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def _site(heard: list[Talk], dns: list[str]) -> Site:
    """The site as far as what was heard tells it: name servers are those that were named, else local ones that answered."""
    servers = {ip_address(one) for one in dns} or {
        ip_address(talk.peer)
        for talk in heard
        if talk.port == 53 and talk.opened_by_device and talk.packets_received and ip_address(talk.peer).is_private
    }
    return Site(peers={Peers(Kind.CONTROLLER, DNS_CONTROLLER): tuple(sorted(servers, key=str))})


def described(proof: Proof) -> dict[str, Any]:
    """What ``--json`` prints."""
    return {
        "allowed": proof.allowed,
        "denied": proof.denied,
        "disagreements": [
            {
                "probe": words(one.probe),
                "expected": "allowed" if one.probe.allowed else "denied",
                "found": "arrived" if one.arrived else "did not arrive",
                "because": one.probe.because,
                "about": one.probe.about,
            }
            for one in proof.disagreements
        ],
        "probes": len(proof.trial.probes),
        "dropped_packets": proof.dropped_packets,
        "untried": list(proof.trial.untried),
    }


def words(probe: Probe) -> str:
    """``from-device TCP 10.0.0.2:20001 to 198.51.100.7:443``"""
    packet = probe.packet
    name = _PROTOCOLS.get(packet.protocol, f"protocol {packet.protocol}")
    if packet.protocol in (6, 17):
        ends = (f"[{packet.source}]:{packet.source_port}", f"[{packet.destination}]:{packet.destination_port}")
        return f"{packet.side.value} {name} {ends[0]} to {ends[1]}"
    kind = f" type {packet.icmp_type} code {packet.icmp_code}" if packet.protocol in (1, 58) else ""
    return f"{packet.side.value} {name}{kind} {packet.source} to {packet.destination}"


def _show(proof: Proof) -> None:
    typer.echo(f"{proof.allowed} permitted probes arrived, {proof.denied} forbidden ones did not.")
    typer.echo(f"The rules dropped {proof.dropped_packets} packets.")
    for one in described(proof)["disagreements"]:
        typer.echo(
            printable(f"DISAGREES: {one['probe']}: expected {one['expected']} ({one['because']}), it {one['found']}")
        )
    for text in proof.trial.untried:
        typer.echo(printable(f"not tried: {text}"))
