"""What a profile leaves open and a site knows: its devices, its local networks, where names and controllers are.

RFC 8520, section 8: classes of peers are filled in by the network that the device is in.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from bastide.core.device import Device
from bastide.core.error import Refused
from bastide.network.profile.mud.words import Kind, MUDFile, Network, Peers
from bastide.wire.gateway import FrameForm

Address = IPv4Address | IPv6Address

LOCAL_NETWORKS: tuple[Network, ...] = tuple(
    ip_network(one)
    for one in (
        "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16",
        "224.0.0.0/24", "239.0.0.0/8", "255.255.255.255/32",
        "fc00::/7", "fe80::/10", "ff00::/13",
    )
)  # fmt: skip
"""Private addresses, and the broadcasts and multicasts that stay inside a site (RFC 1918, 2365, 4193, 4291): the last
prefix holds every well-known IPv6 group up to scope 7, without flags."""


@dataclass(frozen=True, slots=True)
class SiteDevice:
    """One device at its gateway. ``mac`` empty: its addresses are believed without it."""

    name: str
    addresses: tuple[Address, ...]
    mac: str = ""

    def __post_init__(self) -> None:
        if not self.addresses:
            raise Refused(f"The device {self.name} has no address.", code="segmentation:device:no-address")
        for one in self.addresses:
            if one.is_multicast or one.is_unspecified or one.is_loopback or str(one) == "255.255.255.255":
                raise Refused(f"{one} cannot be a device's address.", code="segmentation:device:address")


@dataclass(frozen=True, slots=True)
class Assignment:
    """A profile and the devices that must keep to it."""

    profile: MUDFile
    devices: tuple[SiteDevice, ...]


@dataclass(frozen=True, slots=True)
class Site:
    """``peers`` fills the classes, ``names`` the DNS names until a resolver does. Both may lack what a profile wants."""

    local_networks: tuple[Network, ...] = LOCAL_NETWORKS
    peers: Mapping[Peers, tuple[Address, ...]] = field(default_factory=dict)
    names: Mapping[str, tuple[Address, ...]] = field(default_factory=dict)

    def controller(self, name: str) -> tuple[Address, ...]:
        return self.peers.get(Peers(Kind.CONTROLLER, name), ())


def site_of(form: FrameForm) -> Site:
    """The site as it was written down."""
    peers = {
        Peers(Kind.CONTROLLER, name): tuple(ip_address(one) for one in addresses)
        for name, addresses in form.controllers.items()
    }
    if form.my_controllers:
        peers[Peers(Kind.MY_CONTROLLER)] = tuple(ip_address(one) for one in form.my_controllers)
    local = LOCAL_NETWORKS if form.local_networks is None else tuple(ip_network(one) for one in form.local_networks)
    names = {name: tuple(ip_address(one) for one in addresses) for name, addresses in form.names.items()}
    return Site(local, peers, names)


def addresses_of(device: Device) -> tuple[Address, ...]:
    """Those that are known of a device and can be one device's alone, the surest first."""
    found: dict[Address, None] = {}
    for attribute in sorted(device.attributes, key=lambda one: -one.confidence):
        if attribute.name != "address":
            continue
        try:
            known = ip_address(attribute.value)
        except ValueError:
            continue
        if not (known.is_multicast or known.is_unspecified or known.is_loopback or known.is_link_local):
            found[known] = None
    return tuple(found)
