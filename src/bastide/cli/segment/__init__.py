"""``bastide segment``: who may talk to whom on the network."""

from pathlib import Path
from typing import Annotated, Any

import typer

from bastide.cli.mud import read_mud
from bastide.cli.output import JSON, document, printable
from bastide.cli.segment import flows, modes
from bastide.cli.segment.simulate import simulate
from bastide.cli.segment.wiring import prove_here
from bastide.flows.prove_segmentation import Proof
from bastide.network.segmentation.proof.probes import Probe

app = typer.Typer(rich_markup_mode=None)
for _act in (
    simulate,
    modes.observe,
    modes.enforce,
    modes.inherit,
    modes.modes,
    flows.allow,
    flows.permit,
    flows.deny,
    flows.show,
    flows.rulings,
    flows.undo,
):
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
