"""Profiles as the network sees them: whom each may reach and whether that is enforced, what it would cut, and what waits."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from bastide.controller.console.views.reader import Reader
from bastide.core.device import Device
from bastide.core.ids import ProfileName
from bastide.core.mode import Over, Setting
from bastide.core.plan import NetworkMode
from bastide.core.profile import Profile
from bastide.core.proposal import Proposal, ProposalState
from bastide.flows.fetch_reach import MUD_URL
from bastide.flows.govern_device import Governing
from bastide.flows.propose_reach import changes_of
from bastide.flows.show_reach import Permitted, permitted_of
from bastide.flows.simulate_reach import Simulated, devices_of, simulate_reach
from bastide.network.profile.mud.read import read
from bastide.network.profile.mud.words import MUDFile
from bastide.network.profile.plain import sentences
from bastide.network.segmentation.simulate import Judged
from bastide.ports.platform.network import Reach
from bastide.ports.platform.stores import DeviceFilter

DEVICES = 20_000
DAYS: Mapping[str, int] = {"1": 1, "7": 7, "30": 30}
MOST_CUT = 50
MOST_LOOKED_AT = 1_000
"""Devices whose conversations a page looks through, about a second's work; `bastide segment simulate` looks at all."""
PAST = 5
_WAITING = (ProposalState.OPEN, ProposalState.LEARNING)


@dataclass(frozen=True, slots=True)
class ProfileRow:
    """``sentences`` is how many things it permits; None where nobody wrote a network part."""

    profile: Profile
    devices: int
    sentences: int | None
    mode: NetworkMode
    changed_at: datetime | None
    waiting: int


@dataclass(frozen=True, slots=True)
class Cut:
    """The same thing that devices did and that would be cut: ``devices`` did it in ``flows``, ``judged`` is the busiest."""

    devices: tuple[Device, ...]
    judged: Judged
    flows: int

    @property
    def device(self) -> Device:
        return self.devices[0]


@dataclass(frozen=True, slots=True)
class Waiting:
    """A lesson or a proposal, with what it would change."""

    proposal: Proposal
    more: tuple[str, ...]
    less: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ProfilePage:
    """``simulated`` is None where there is no network part to judge by; ``named`` are MUD URLs that its devices name."""

    profile: Profile
    reach: Reach | None
    file: MUDFile | None
    mode: NetworkMode
    setting: Setting | None
    devices: int
    returned: tuple[Device, ...]
    days: int
    simulated: Simulated | None
    cut: tuple[Cut, ...]
    cut_left_out: int
    permitted: tuple[Permitted, ...]
    waiting: tuple[Waiting, ...]
    past: tuple[Proposal, ...]
    named: tuple[str, ...]


async def profile_rows(with_: Governing, reader: Reader) -> tuple[ProfileRow, ...]:
    """Every profile, those that devices have first."""
    network = with_.stores.network
    having = Counter(
        one.profile for one in await with_.stores.devices.list(DeviceFilter(scope=reader.scope, limit=DEVICES))
    )
    reaches = {one.profile: one for one in await network.reaches()}
    settings = await network.modes()
    modes = {one.name: one for one in settings if one.over is Over.PROFILE}
    waiting = Counter(one.profile for one in await network.proposals() if one.state in _WAITING)
    rows = []
    for profile in await with_.stores.catalogue.profiles():
        reach = reaches.get(profile.name)
        mode = modes.get(profile.name)
        rows.append(
            ProfileRow(
                profile,
                having.get(profile.name, 0),
                len(sentences(read(reach.document).file)) if reach else None,
                mode.mode if mode else NetworkMode.ENFORCE,
                reach.changed_at if reach else None,
                waiting.get(profile.name, 0),
            )
        )
    return tuple(sorted(rows, key=lambda row: (-row.devices, row.profile.name)))


async def profile_page(name: ProfileName, days: int, with_: Governing, reader: Reader) -> ProfilePage:
    """``NotFound`` where there is no such profile. Devices that the reader may not see are not counted."""
    stores, now = with_.stores, with_.clock.now()
    profile = await stores.catalogue.profile(name)
    reach = await stores.network.reach(name)
    file = read(reach.document).file if reach else None
    devices = await devices_of(name, DeviceFilter(scope=reader.scope), stores)
    settings = await stores.network.modes()
    setting = next((one for one in settings if (one.over, one.name) == (Over.PROFILE, name)), None)
    observed = {one.name for one in settings if one.over is Over.DEVICE and one.mode is NetworkMode.OBSERVE}
    some = devices[:MOST_LOOKED_AT]
    simulated = await simulate_reach(some, file, timedelta(days=days), now, with_) if file else None
    cut: list[Cut] = []
    permitted: tuple[Permitted, ...] = ()
    if simulated is not None and file is not None:
        cut = _together(simulated)
        permitted = permitted_of(file, (one for heard in simulated.devices for one in heard.kept))
    proposals = await stores.network.proposals(name)
    waiting = [Waiting(one, *await changes_of(one, with_)) for one in proposals if one.state in _WAITING]
    return ProfilePage(
        profile,
        reach,
        file,
        setting.mode if setting else NetworkMode.ENFORCE,
        setting,
        len(devices),
        tuple(one for one in devices if one.id in observed),
        days,
        simulated,
        tuple(cut[:MOST_CUT]),
        max(0, len(cut) - MOST_CUT),
        permitted,
        tuple(waiting),
        tuple(one for one in proposals if one.state not in _WAITING)[:PAST],
        tuple(sorted({one.value for device in devices for one in device.attributes if one.name == MUD_URL}))[:3],
    )


def _together(found: Simulated) -> list[Cut]:
    """What would be cut, each thing once however many devices do it: what was answered first, then the busiest."""
    same: dict[tuple[str, str, int, bool], list[tuple[Device, Judged]]] = {}
    for heard in found.devices:
        for one in heard.cut:
            talk = one.talk
            key = (talk.peer_name or talk.peer, talk.transport, talk.port, talk.opened_by_device)
            same.setdefault(key, []).append((heard.device, one))
    cut = []
    for many in same.values():
        many.sort(key=lambda pair: (not pair[1].answered, -pair[1].talk.flows))
        devices = tuple({device.id: device for device, _ in many}.values())
        cut.append(Cut(devices, many[0][1], sum(one.talk.flows for _, one in many)))
    return sorted(cut, key=lambda one: (not one.judged.answered, -one.flows))


def verdict(page: ProfilePage) -> str:
    """The simulation in one sentence."""
    found = page.simulated
    if found is None:
        return "Nobody wrote down whom it may reach, so gateways let its devices reach nobody."
    if not found.devices:
        return f"None of its {page.devices} devices was heard in this time; let `bastide watch` listen first."
    answered = found.flows(kept=True, answered=True) + found.flows(kept=False, answered=True)
    hurt = sum(1 for one in found.devices if one.share_cut > 0)
    if not hurt:
        return f"Nothing that worked would be cut: {answered:,} answered flows of {len(found.devices)} devices."
    return (
        f"{found.share_cut:.1%} of {answered:,} answered flows would be cut, on {hurt} of {len(found.devices)} devices."
    )


def looked_at(page: ProfilePage) -> str:
    """What the sentence does not speak of; empty where it speaks of all."""
    if page.simulated is None or page.simulated.asked >= page.devices:
        return ""
    return (
        f"The first {page.simulated.asked:,} of {page.devices:,} devices were looked at; "
        f"`bastide segment simulate --of {page.profile.name}` looks at all."
    )
