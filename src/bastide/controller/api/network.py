"""The network: what sites are like, what profiles may reach, and what people ruled about single flows of a device."""

from datetime import datetime, timedelta
from ipaddress import ip_address
from typing import Annotated

from fastapi import Path
from pydantic import AfterValidator, Field, StringConstraints

from bastide.controller.api.access import Asking, Using
from bastide.controller.api.devices import within_scope
from bastide.controller.api.models import Answer, Asked, DeviceIn, NoControls, Page, Sentence
from bastide.controller.api.routes import Routes, documented
from bastide.core.device import Device
from bastide.core.error import NotFound
from bastide.core.ids import ProfileName, SiteName
from bastide.core.ruling import Ruling
from bastide.flows.describe_network import add_to_profile, allow, end_ruling, keep_denied, put_reach, put_site
from bastide.flows.simulate_reach import devices_of, file_of, simulate_reach
from bastide.governance.access.roles import Permission
from bastide.network.profile.amend import Flow
from bastide.network.profile.mud.read import read
from bastide.network.segmentation.simulate import Judged, by_entry
from bastide.ports.platform.stores import DeviceFilter

routes = Routes("", "network")

MAX_DOCUMENT = 1024 * 1024
MOST_CUT = 1000

SiteIn = Annotated[str, Path(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$", description="The site's name.")]
ProfileIn = Annotated[str, Path(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$", description="The profile's name.")]
RulingIn = Annotated[str, Path(pattern=r"^r-[a-z0-9-]{1,38}$", description="The ruling's id.")]
Text = Annotated[str, StringConstraints(min_length=1, max_length=MAX_DOCUMENT)]


class Described(Asked):
    """A document as text: a site's frame (docs/gateway.md) or a MUD file (RFC 8520)."""

    document: Text


class SiteOut(Answer):
    site: str
    document: str
    changed_at: datetime
    changed_by: str


class ReachOut(Answer):
    """What the devices of a profile may reach: a MUD file."""

    profile: str
    document: str
    changed_at: datetime
    changed_by: str


class FlowIn(Asked):
    """One flow of a device, as it was heard or denied."""

    peer: Annotated[str, StringConstraints(max_length=45), AfterValidator(lambda text: str(ip_address(text)))]
    peer_name: Annotated[str, StringConstraints(max_length=255), NoControls] = ""
    transport: Annotated[str, Field(pattern=r"^(tcp|udp|icmp|icmpv6)$")]
    port: Annotated[int, Field(ge=0, le=65535, strict=True)]
    opened_by_device: Annotated[bool, Field(strict=True)] = True

    @property
    def flow(self) -> Flow:
        return Flow(self.peer, self.peer_name, self.transport, self.port, self.opened_by_device)


class RulingAsked(Asked):
    """What becomes of a flow: ``allow`` lets it through for ``hours``, ``deny`` keeps it denied, and nobody is asked again."""

    flow: FlowIn
    answer: Annotated[str, Field(pattern=r"^(allow|deny)$")]
    hours: Annotated[int, Field(ge=1, le=168, strict=True)] = 24
    reason: Sentence


class EntryAsked(Asked):
    flow: FlowIn
    reason: Sentence


class RulingOut(Answer):
    """``until`` is null where the flow stays denied."""

    id: str
    device: str
    peer: str
    transport: str
    port: int
    opened_by_device: bool
    until: datetime | None
    reason: str
    by: str
    at: datetime


class SimulationAsked(Asked):
    """``document`` is the MUD file to try; without it the profile's own. ``days`` is how far back is looked."""

    document: Annotated[str, StringConstraints(max_length=MAX_DOCUMENT)] = ""
    days: Annotated[int, Field(ge=1, le=90, strict=True)] = 7


class CutOut(Answer):
    """One conversation that would be cut. ``because`` says what is missing, ``nearest`` an entry that nearly fits."""

    device: str
    device_name: str
    peer: str
    peer_name: str
    transport: str
    port: int
    protocol: str
    opened_by_device: bool
    flows: int
    answered: bool
    because: str
    nearest: str


class SimulationOut(Answer):
    """Counts are flows. ``heard`` devices of ``devices`` were heard at all; ``cut`` are the busiest conversations that would be
    cut, ``cut_left_out`` how many more there are. ``share_cut`` is of the flows that were answered."""

    since: datetime
    until: datetime
    devices: int
    heard: int
    flows_kept: int
    flows_cut: int
    flows_cut_that_were_answered: int
    share_cut: float
    by_entry: dict[str, int]
    cut: list[CutOut]
    cut_left_out: int


class AddedOut(Answer):
    """``added`` is false where the profile permitted it already."""

    profile: str
    added: bool


@routes.get("/sites", needs=Permission.PROFILE_READ)
async def list_sites(asking: Asking, deps: Using) -> Page[SiteOut]:
    """What is written down of the sites that whoever asks may see."""
    found = await deps.governing.stores.network.sites()
    seen = [one for one in found if not asking.scope.sites or one.site in asking.scope.sites]
    return Page(
        items=[
            SiteOut(site=one.site, document=one.frame.decode(), changed_at=one.changed_at, changed_by=one.changed_by)
            for one in seen
        ]
    )


@routes.put("/sites/{site}", needs=Permission.PROFILE_CHANGE, max_body_size=2 * MAX_DOCUMENT)
async def describe_site(site: SiteIn, asked: Described, asking: Asking, deps: Using) -> SiteOut:
    """Writes down what all gateways of a site share; they hold it within seconds."""
    await put_site(site, asked.document.encode(), asking.actor, deps.governing)
    kept = await deps.governing.stores.network.site(SiteName(site))
    assert kept is not None
    return SiteOut(site=kept.site, document=kept.frame.decode(), changed_at=kept.changed_at, changed_by=kept.changed_by)


@routes.get("/profiles/{profile}/reach", needs=Permission.PROFILE_READ, responses={404: documented(404)})
async def show_reach(profile: ProfileIn, deps: Using) -> ReachOut:
    """The MUD file of a profile."""
    kept = await deps.governing.stores.network.reach(ProfileName(profile))
    if kept is None:
        raise NotFound(
            f"Nothing is written down of what the profile {profile} may reach; `bastide profile reach` does it."
        )
    return ReachOut(
        profile=kept.profile, document=kept.document.decode(), changed_at=kept.changed_at, changed_by=kept.changed_by
    )


@routes.put(
    "/profiles/{profile}/reach",
    needs=Permission.PROFILE_CHANGE,
    responses={404: documented(404)},
    max_body_size=2 * MAX_DOCUMENT,
)
async def store_reach(profile: ProfileIn, asked: Described, asking: Asking, deps: Using) -> ReachOut:
    """Stores the MUD file of a profile; gateways hold its devices to it within seconds."""
    await put_reach(ProfileName(profile), asked.document.encode(), asking.actor, deps.governing)
    return await show_reach(profile, deps)


@routes.post(
    "/profiles/{profile}/simulation",
    needs=Permission.POLICY_SIMULATE,
    responses={404: documented(404)},
    max_body_size=2 * MAX_DOCUMENT,
)
async def simulate_profile(profile: ProfileIn, asked: SimulationAsked, asking: Asking, deps: Using) -> SimulationOut:
    """What a MUD file would cut of what the profile's devices were heard to say in the last days. Changes nothing."""
    name, with_ = ProfileName(profile), deps.governing
    file = read(asked.document.encode()).file if asked.document else await file_of(name, with_.stores.network)
    if file is None:
        raise NotFound(f"Nothing is written down of what the profile {profile} may reach; hand in a MUD file to try.")
    devices = await devices_of(name, DeviceFilter(scope=asking.scope), with_.stores)
    found = await simulate_reach(devices, file, timedelta(days=asked.days), deps.clock.now(), with_)
    cut = sorted((_cut(heard.device, one) for heard in found.devices for one in heard.cut), key=lambda one: -one.flows)
    return SimulationOut(
        since=found.since,
        until=found.until,
        devices=found.asked,
        heard=len(found.devices),
        flows_kept=found.flows(kept=True),
        flows_cut=found.flows(kept=False),
        flows_cut_that_were_answered=found.flows(kept=False, answered=True),
        share_cut=round(found.share_cut, 6),
        by_entry=by_entry(one for heard in found.devices for one in heard.kept),
        cut=cut[:MOST_CUT],
        cut_left_out=max(0, len(cut) - MOST_CUT),
    )


@routes.get("/devices/{device}/rulings", needs=Permission.FLEET_READ, responses={404: documented(404)})
async def list_rulings(device: DeviceIn, asking: Asking, deps: Using) -> Page[RulingOut]:
    """What people ruled about single flows of a device, as far as it holds."""
    found = await within_scope(device, asking, deps)
    held = await deps.governing.stores.network.rulings(deps.clock.now(), found.id)
    return Page(items=[_ruling(one) for one in held])


@routes.post(
    "/devices/{device}/rulings", needs=Permission.DEVICE_ACT, status_code=201, responses={404: documented(404)}
)
async def rule(device: DeviceIn, asked: RulingAsked, asking: Asking, deps: Using) -> RulingOut:
    """Lets one flow of a device through for a while, or keeps it denied for good."""
    found = await within_scope(device, asking, deps)
    flow, who = asked.flow.flow, asking.actor
    if asked.answer == "allow":
        span = timedelta(hours=asked.hours)
        return _ruling(await allow(found.id, flow, span, asked.reason, who, deps.governing, deps.ids))
    return _ruling(await keep_denied(found.id, flow, asked.reason, who, deps.governing, deps.ids))


@routes.delete("/devices/{device}/rulings/{ruling}", needs=Permission.DEVICE_ACT, responses={404: documented(404)})
async def take_back(device: DeviceIn, ruling: RulingIn, asking: Asking, deps: Using) -> Page[RulingOut]:
    """Takes a ruling back; gives those that still hold."""
    found = await within_scope(device, asking, deps)
    await end_ruling(found.id, ruling, asking.actor, deps.governing)
    return await list_rulings(device, asking, deps)


@routes.post("/devices/{device}/reach", needs=Permission.PROFILE_CHANGE, responses={404: documented(404)})
async def add_entry(device: DeviceIn, asked: EntryAsked, asking: Asking, deps: Using) -> AddedOut:
    """Adds a flow of a device to its profile: every device of the profile may do it from then on."""
    found = await within_scope(device, asking, deps)
    added = await add_to_profile(found.id, asked.flow.flow, asked.reason, asking.actor, deps.governing)
    return AddedOut(profile=found.profile, added=added)


def _cut(device: Device, one: Judged) -> CutOut:
    talk = one.talk
    return CutOut(
        device=device.id,
        device_name=device.name,
        peer=talk.peer,
        peer_name=talk.peer_name,
        transport=talk.transport,
        port=talk.port,
        protocol=talk.protocol,
        opened_by_device=talk.opened_by_device,
        flows=talk.flows,
        answered=one.answered,
        because=one.because,
        nearest=one.nearest,
    )


def _ruling(one: Ruling) -> RulingOut:
    return RulingOut(
        id=one.id,
        device=one.device,
        peer=one.peer,
        transport=one.transport,
        port=one.port,
        opened_by_device=one.opened_by_device,
        until=one.until,
        reason=one.reason,
        by=one.by,
        at=one.at,
    )
