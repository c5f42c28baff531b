"""Looks before a profile leaps: what it would cut of what its devices were heard to say in the last days.

The conversations are those that `bastide watch` and gateways handed in; the judge is the interpreter that also judges the
proof's probes. Nothing is changed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from bastide.core.conversation import Conversation
from bastide.core.device import Device
from bastide.core.ids import ProfileName
from bastide.core.standing import Stage
from bastide.flows.describe_network import frame_of
from bastide.flows.every_device import every_device
from bastide.flows.govern_device import Governing
from bastide.network.profile.mud.read import read
from bastide.network.profile.mud.words import MUDFile
from bastide.network.segmentation.simulate import Judged, simulate
from bastide.network.segmentation.site import Site, addresses_of, site_of
from bastide.network.traffic.conversations import Talk
from bastide.ports.platform.conversations import Wanted
from bastide.ports.platform.network import NetworkReads
from bastide.ports.platform.stores import DeviceFilter, Stores

MOST_DEVICES = 10_000
MOST_HEARD = 2_000
"""Conversations of one device, the busiest."""


@dataclass(frozen=True, slots=True)
class Heard:
    """One device, and what a profile keeps and cuts of what it was heard to say; each the busiest first."""

    device: Device
    kept: tuple[Judged, ...]
    cut: tuple[Judged, ...]

    @property
    def share_cut(self) -> float:
        """Of the flows that were answered, the share that would be cut: 0 to 1, 0 where nothing was answered."""
        return _share_cut((self,))


@dataclass(frozen=True, slots=True)
class Simulated:
    """``devices`` are those that were heard at all, of ``asked`` that have the profile."""

    since: datetime
    until: datetime
    asked: int
    devices: tuple[Heard, ...]

    def flows(self, *, kept: bool, answered: bool = False) -> int:
        """Flows that would be kept, or cut; with ``answered`` only those of conversations that the peer took part in."""
        return sum(
            one.talk.flows
            for heard in self.devices
            for one in (heard.kept if kept else heard.cut)
            if one.answered or not answered
        )

    @property
    def share_cut(self) -> float:
        """As of one device, of all together."""
        return _share_cut(self.devices)


async def simulate_reach(
    devices: Sequence[Device], file: MUDFile, span: timedelta, now: datetime, with_: Governing
) -> Simulated:
    """What each of the devices would lose if it were held to ``file``."""
    sites: dict[str, Site] = {}
    heard: list[Heard] = []
    for device in devices:
        if device.site not in sites:
            sites[device.site] = site_of(await frame_of(device.site, with_))
        wanted = Wanted(now - span, now, (device.id,), MOST_HEARD)
        said = await with_.stores.conversations.list(wanted)
        if said:
            heard.append(judged(device, said, file, sites[device.site]))
    return Simulated(now - span, now, len(devices), tuple(heard))


def judged(device: Device, said: Sequence[Conversation], file: MUDFile, site: Site) -> Heard:
    """What a device keeps and loses of what it was heard to say."""
    kept, cut = simulate([talk_of(one) for one in said], file, site, addresses_of(device))
    return Heard(device, tuple(kept), tuple(cut))


def talk_of(one: Conversation) -> Talk:
    """A kept conversation as the rules of traffic speak of it; it goes by the device's id instead of its hardware's."""
    return Talk(
        one.device,
        one.peer,
        one.peer_name,
        one.transport,
        one.port,
        one.protocol,
        one.opened_by_device,
        one.flows,
        one.packets_sent,
        one.packets_received,
        one.bytes_sent,
        one.bytes_received,
        int(one.first_seen.timestamp() * 1e9),
        int(one.last_seen.timestamp() * 1e9),
    )


async def file_of(profile: ProfileName, network: NetworkReads) -> MUDFile | None:
    """The reach of a profile as it is stored; None where nobody wrote one."""
    kept = await network.reach(profile)
    return read(kept.document).file if kept else None


async def devices_of(profile: ProfileName, wanted: DeviceFilter, stores: Stores) -> tuple[Device, ...]:
    """The devices of a profile among those wanted that are not retired, ``MOST_DEVICES`` at most.

    ``NotFound`` where there is no such profile."""
    await stores.catalogue.profile(profile)  # NotFound where there is none
    return await in_service(replace(wanted, profiles=(profile,)), stores)


async def in_service(wanted: DeviceFilter, stores: Stores) -> tuple[Device, ...]:
    """Those among them that are not retired, ``MOST_DEVICES`` at most."""
    found: list[Device] = []
    async for device in every_device(stores, wanted):
        if device.stage is not Stage.RETIRED:
            found.append(device)
            if len(found) == MOST_DEVICES:
                break
    return tuple(found)


def _share_cut(heard: Sequence[Heard]) -> float:
    cut = sum(one.talk.flows for each in heard for one in each.cut if one.answered)
    kept = sum(one.talk.flows for each in heard for one in each.kept if one.answered)
    return cut / (cut + kept) if cut else 0.0
