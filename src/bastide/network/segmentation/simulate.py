"""What a profile would cut of what was heard: by the interpreter that also judges the proof's probes, without any firewall.

Each conversation is judged by its first packet, from whoever opened it. What nobody answered is told apart: cutting it takes
nothing away that worked.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address

from bastide.network.profile.amend import PROTOCOLS
from bastide.network.profile.amend import Flow as Asked
from bastide.network.profile.mud.words import ICMP, ICMPV6, MUDFile, Side
from bastide.network.segmentation.explain import Flow, explain
from bastide.network.segmentation.proof.interpret import Packet, rule_on
from bastide.network.segmentation.site import Address, Site
from bastide.network.traffic.conversations import Talk

_ECHO = {ICMP: 8, ICMPV6: 128}
_CALLER, NTP_PORT = 49_152, 123


@dataclass(frozen=True, slots=True)
class Judged:
    """``because`` names the entry that permits it, or what is missing; ``nearest`` one that permits it but for one thing."""

    talk: Talk
    allowed: bool
    because: str
    nearest: str = ""

    @property
    def flow(self) -> Asked:
        """What people rule about: the conversation without what was said in it."""
        talk = self.talk
        return Asked(talk.peer, talk.peer_name, talk.transport, talk.port, talk.opened_by_device)

    @property
    def answered(self) -> bool:
        return self.talk.packets_received > 0 and self.talk.packets_sent > 0


def judge(talk: Talk, profile: MUDFile, site: Site, device: tuple[Address, ...]) -> Judged:
    """Whether a device with this profile would keep a conversation. ``device`` are its addresses."""
    protocol = PROTOCOLS.get(talk.transport)
    if protocol is None:
        return Judged(talk, False, f"{talk.transport} is nothing that a profile speaks of")
    peer = ip_address(talk.peer)
    own = next((one for one in device if one.version == peer.version), device[0] if device else peer)
    side = Side.FROM_DEVICE if talk.opened_by_device else Side.TO_DEVICE
    source, destination = (own, peer) if talk.opened_by_device else (peer, own)
    caller = 68 if talk.protocol == "dhcp" and talk.port == 67 else NTP_PORT if talk.port == NTP_PORT else _CALLER
    packet = Packet(side, source, destination, protocol, caller, talk.port, icmp_type=_ECHO.get(protocol, 0))
    ruling = rule_on(packet, profile, site, device)
    if ruling.allowed:
        return Judged(talk, True, ruling.because)
    names = (talk.peer_name,) if talk.peer_name else ()
    told = explain(Flow(source, destination, protocol, talk.port), side, profile, names)
    return Judged(talk, False, told.missing, told.nearest)


def simulate(
    heard: Iterable[Talk], profile: MUDFile, site: Site, device: tuple[Address, ...]
) -> tuple[list[Judged], list[Judged]]:
    """(what would be kept, what would be cut), the busiest first. Names that were resolved in what was heard are known."""
    talks = list(heard)
    names: dict[str, set[Address]] = {name: set(addresses) for name, addresses in site.names.items()}
    for talk in talks:
        if talk.peer_name:
            names.setdefault(talk.peer_name, set()).add(ip_address(talk.peer))
    known = Site(
        site.local_networks, site.peers, {name: tuple(sorted(found, key=str)) for name, found in names.items()}
    )
    judged = sorted(
        (judge(talk, profile, known, device) for talk in talks), key=lambda one: (-one.talk.flows, one.talk)
    )
    return [one for one in judged if one.allowed], [one for one in judged if not one.allowed]


def by_entry(kept: Iterable[Judged]) -> dict[str, int]:
    """Flows that each entry keeps, the busiest first."""
    found: dict[str, int] = {}
    for one in kept:
        found[one.because] = found.get(one.because, 0) + one.talk.flows
    return dict(sorted(found.items(), key=lambda item: -item[1]))
