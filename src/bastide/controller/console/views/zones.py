"""The zone map: what the devices of each zone may reach as they stand now, by their profiles, their standing and their site."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from math import log2

from bastide.controller.console.views.network import LEFT, RIGHT, Heading, Node, Ribbon, curve
from bastide.controller.console.views.reader import Reader
from bastide.controller.console.views.words import counted
from bastide.core.device import Device
from bastide.core.ids import ProfileName, SiteName
from bastide.core.mode import Setting, mode_for
from bastide.core.plan import Circle, NetworkMode
from bastide.flows.describe_network import frame_of
from bastide.flows.govern_device import Governing
from bastide.flows.plan_device import CIRCLE
from bastide.network.profile.mud.read import read
from bastide.network.profile.mud.words import (
    DNS_CONTROLLER,
    GATEWAY_CONTROLLER,
    NTP_CONTROLLER,
    Action,
    Entry,
    Kind,
    MUDFile,
    Side,
)
from bastide.network.segmentation.site import LOCAL_NETWORKS
from bastide.ports.platform.stores import DeviceFilter
from bastide.wire.gateway import FrameForm

DEVICES = 20_000
_ROW, _GAP, _HEAD = 32.0, 10.0, 32.0


class Target(StrEnum):
    """What may be reached, as people tell it apart. The order is that of the map."""

    NAMED = "Hosts on the internet by name"
    ADDRESSED = "Hosts on the internet by address"
    ANYBODY = "Anybody on the internet"
    LOCAL = "Hosts of the local networks"
    CONTROLLER = "Controllers of the site"
    MAKER = "Devices of the same maker or model"
    SERVICES = "Name servers, time servers, router"
    REPAIR = "Hosts that repair"
    ONBOARDING = "Hosts that enrol"
    NOBODY = "Nobody"


_TONE = {
    Target.NAMED: "named",
    Target.ADDRESSED: "unnamed",
    Target.ANYBODY: "clear",
    Target.LOCAL: "local",
    Target.CONTROLLER: "local",
    Target.MAKER: "local",
    Target.NOBODY: "unnamed",
}


@dataclass(slots=True)
class Zone:
    """One zone of a site. ``circles`` are how many of its devices may reach what; ``observed`` how many are not enforced."""

    name: str
    site: str
    devices: int = 0
    observed: int = 0
    circles: Counter[Circle] = field(default_factory=Counter)
    profiles: Counter[str] = field(default_factory=Counter)
    reaches: dict[Target, set[str]] = field(default_factory=dict)
    by: Counter[Target] = field(default_factory=Counter)

    def may(self, target: Target, hosts: Iterable[str]) -> None:
        self.reaches.setdefault(target, set()).update(hosts)
        self.by[target] += 1


@dataclass(frozen=True, slots=True)
class SiteMap:
    """One site. ``described`` is False where nobody wrote down what it is like."""

    site: str
    frame: FrameForm
    described: bool
    zones: tuple[Zone, ...]
    nodes: tuple[Node, ...]
    ribbons: tuple[Ribbon, ...]
    headings: tuple[Heading, ...]
    height: float


async def site_maps(with_: Governing, reader: Reader) -> tuple[SiteMap, ...]:
    """Every site with devices that the reader may see."""
    network = with_.stores.network
    devices = await with_.stores.devices.list(DeviceFilter(scope=reader.scope, limit=DEVICES))
    files = {one.profile: targets_of(read(one.document).file) for one in await network.reaches()}
    settings = await network.modes()
    known = {one.site for one in await network.sites()}
    maps = []
    for site in sorted({one.site for one in devices}):
        frame = await frame_of(SiteName(site), with_)
        zones = zones_of([one for one in devices if one.site == site], files, frame, settings)
        nodes, ribbons, headings, height = _drawn(zones)
        maps.append(SiteMap(site, frame, site in known, zones, nodes, ribbons, headings, height))
    return tuple(maps)


def zones_of(
    devices: Sequence[Device],
    files: Mapping[ProfileName, Mapping[Target, set[str]]],
    frame: FrameForm,
    settings: Sequence[Setting],
) -> tuple[Zone, ...]:
    """The zones of one site's devices, the fullest first."""
    found: dict[str, Zone] = {}
    for device in devices:
        zone = found.setdefault(device.zone, Zone(device.zone, device.site))
        zone.devices += 1
        zone.profiles[device.profile] += 1
        circle = CIRCLE[device.standing]
        zone.circles[circle] += 1
        if circle is Circle.PROFILE:
            zone.observed += mode_for(device, settings) is NetworkMode.OBSERVE
            for target, hosts in files.get(device.profile, {Target.NOBODY: set()}).items():
                zone.may(target, hosts)
        elif circle is Circle.QUARANTINE:
            zone.may(Target.REPAIR, frame.remediation)
        elif circle is Circle.ONBOARDING:
            zone.may(Target.ONBOARDING, frame.onboarding)
        else:
            zone.may(Target.NOBODY, ())
    return tuple(sorted(found.values(), key=lambda zone: (-zone.devices, zone.name)))


def targets_of(file: MUDFile) -> dict[Target, set[str]]:
    """What a profile's devices may open something to."""
    found: dict[Target, set[str]] = {}
    for acl in file.policy(Side.FROM_DEVICE):
        for entry in acl.entries:
            if entry.action is Action.ACCEPT and entry.initiated is not Side.TO_DEVICE:
                target, host = _target(entry)
                found.setdefault(target, set()).update({host} if host else ())
    return found or {Target.NOBODY: set()}


def _target(entry: Entry) -> tuple[Target, str]:
    for peers in entry.peers:
        if peers.kind is Kind.CONTROLLER and peers.name in (DNS_CONTROLLER, NTP_CONTROLLER, GATEWAY_CONTROLLER):
            return Target.SERVICES, peers.name
        if peers.kind in (Kind.CONTROLLER, Kind.MY_CONTROLLER):
            return Target.CONTROLLER, peers.name or peers.kind.value
        if peers.kind is Kind.LOCAL_NETWORKS:
            return Target.LOCAL, str(entry.destination or "")
        return Target.MAKER, peers.name or peers.kind.value
    if entry.destination_name:
        return Target.NAMED, entry.destination_name
    network = entry.destination
    if network is None or network.prefixlen == 0:
        return Target.ANYBODY, ""
    local = any(network.version == one.version and network.subnet_of(one) for one in LOCAL_NETWORKS)  # type: ignore[arg-type]
    return (Target.LOCAL if local or network.is_multicast else Target.ADDRESSED), str(network)


def _drawn(
    zones: Sequence[Zone],
) -> tuple[tuple[Node, ...], tuple[Ribbon, ...], tuple[Heading, ...], float]:
    """Zones on the left, what they may reach on the right; a ribbon grows with the logarithm of its devices."""
    links = [(zone, target, zone.by[target]) for zone in zones for target in Target if zone.by[target]]
    wide = {(zone.name, target): round(2.0 + 2.0 * log2(count), 1) for zone, target, count in links}
    nodes: list[Node] = []
    start: dict[str, float] = {}
    y = _HEAD
    for zone in zones:
        widths = [wide[key] for key in wide if key[0] == zone.name]
        height = max(_ROW, sum(widths) + len(widths))
        cut = zone.circles[Circle.QUARANTINE]
        says = counted(zone.devices, "device") + (f", {cut} in quarantine" if cut else "")
        tone = "quarantined" if cut else ""
        href = f"#zone-{zone.site}-{zone.name}"
        nodes.append(Node(f"l-{zone.name}", zone.name, says, LEFT, y, height, href, tone))
        start[zone.name] = y + (height - sum(widths) - len(widths)) / 2
        y += height + _GAP
    bottom, y = y, _HEAD
    ribbons: list[Ribbon] = []
    for target in Target:
        coming = [(zone, count) for zone, other, count in links if other is target]
        if not coming:
            continue
        widths = [wide[(zone.name, target)] for zone, _ in coming]
        height = max(_ROW, sum(widths) + len(widths))
        hosts = {host for zone, _ in coming for host in zone.reaches[target] if host}
        tone = _TONE.get(target, "")
        says = counted(len(hosts), "entry", "entries") if hosts else ""
        nodes.append(Node(f"r-{target.name}", target.value, says, RIGHT, y, height, "", tone))
        end = y + (height - sum(widths) - len(widths)) / 2
        for (zone, count), width in zip(coming, widths, strict=True):
            begin = start[zone.name] + width / 2
            start[zone.name] += width + 1
            path = curve(begin, end + width / 2)
            label = f"{counted(count, 'device')} of {zone.name}: {target.value}"
            ribbons.append(Ribbon(path, width, f"l-{zone.name}", f"r-{target.name}", tone, label))
            end += width + 1
        y += height + _GAP
    return tuple(nodes), tuple(ribbons), (Heading(22, "May reach"),), max(bottom, y)
