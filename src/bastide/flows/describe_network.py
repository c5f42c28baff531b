"""What people say of the network: what a site is like, what a profile may reach, and what becomes of a single flow.

Gateways take it up by themselves: a site's frame, a profile's reach and an allowance are items of their plans. Nothing here
opens anything for a device that its standing has closed.
"""

import json
from dataclasses import asdict, replace
from datetime import timedelta
from hashlib import sha256
from ipaddress import ip_address

from bastide.core.audit import Personal
from bastide.core.device import Device
from bastide.core.error import NotFound, Refused
from bastide.core.ids import DeviceId, ProfileName, SiteName, is_name
from bastide.core.profile import Profile
from bastide.core.ruling import Ruling
from bastide.flows.govern_device import Governing
from bastide.flows.operator_acts import checked_reason
from bastide.network.profile.amend import PROTOCOLS, Flow, empty, permit
from bastide.network.profile.document import write_profile
from bastide.network.profile.mud.read import read
from bastide.network.profile.mud.words import Application, MUDFile
from bastide.network.profile.mud.write import write
from bastide.ports.clock import Ids
from bastide.ports.platform.network import Reach, SiteNetwork
from bastide.wire.gateway import MAX_BYTES, FrameForm, decode_content, encode_content

MAX_ALLOWANCE = timedelta(days=7)
MOST_RULINGS = 200


async def frame_of(site: SiteName, with_: Governing) -> FrameForm:
    """What is written down of a site; an empty frame where nothing is."""
    known = await with_.stores.network.site(site)
    return decode_content(known.frame, FrameForm) if known else FrameForm()


async def put_site(site: str, document: bytes, actor: str, with_: Governing) -> FrameForm:
    """Writes down what all gateways of a site share. ``Unreadable`` where the document is none (docs/gateway.md)."""
    if not is_name(site):
        raise Refused(f"{site!r} cannot name a site: use 1 to 63 characters of a-z 0-9 . _ -", code="site:name")
    if len(document) > MAX_BYTES // 2:
        raise Refused("The description of a site is too long; 1 MiB is read.", code="site:length")
    form = decode_content(document, FrameForm)
    now = with_.clock.now()
    async with with_.unit_of_work(actor) as work:
        work.network.put_site(SiteNetwork(SiteName(site), encode_content(form), now, actor))
        work.ledger.record("network:site:described", f"site:{site}", {"frame": encode_content(form).decode()})
    return form


async def put_reach(profile: ProfileName, document: bytes, actor: str, with_: Governing) -> MUDFile:
    """Stores the network part of a profile, and with it what its devices say at the broker where the file has our extension.

    ``NotFound`` where there is no such profile, ``MUDRefused`` where this is no MUD file."""
    known = await with_.stores.catalogue.profile(profile)
    if len(document) > MAX_BYTES // 2:
        raise Refused("The MUD file is too long for a gateway's plan; 1 MiB is read.", code="profile:reach:length")
    file = read(document).file
    said = _with_application(known, file)
    await _store(profile, document, actor, with_, {}, said if said != known else None)
    return file


async def add_to_profile(device: DeviceId, flow: Flow, reason: str, actor: str, with_: Governing) -> bool:
    """Permits a flow to every device of the device's profile; False where the profile permits it already."""
    found = await with_.stores.devices.get(device)
    _checked(flow)
    told: dict[str, str | Personal] = {
        "device": device,
        "reason": Personal(checked_reason(reason)),
        "flow": json.dumps(asdict(flow)),
    }
    known, now = await with_.stores.network.reach(found.profile), with_.clock.now()
    if known is None:
        title = (await with_.stores.catalogue.profile(found.profile)).title
        file = empty(f"https://bastide.invalid/{found.profile}.json", now, title)
    else:
        file = read(known.document).file
    frame = await frame_of(found.site, with_)
    controllers = {address: name for name, many in frame.controllers.items() for address in many}
    amended = permit(file, flow, controllers, now)
    if amended is file:
        return False
    await _store(found.profile, write(amended), actor, with_, told)
    return True


async def allow(
    device: DeviceId, flow: Flow, span: timedelta, reason: str, actor: str, with_: Governing, ids: Ids
) -> Ruling:
    """Lets one flow of one device through until the span ends, whatever its profile says."""
    if not timedelta(0) < span <= MAX_ALLOWANCE:
        raise Refused(
            "An allowance ends by itself within 7 days; what is needed for longer belongs in the profile.",
            code="ruling:span",
        )
    if flow.transport not in ("tcp", "udp"):
        raise Refused("Only TCP and UDP can be let through once; add the rest to the profile.", code="ruling:transport")
    return await _rule(device, flow, span, reason, actor, with_, ids)


async def keep_denied(device: DeviceId, flow: Flow, reason: str, actor: str, with_: Governing, ids: Ids) -> Ruling:
    """Says that a flow is denied for good reason, so that nobody is asked again. What is let through meanwhile ends."""
    return await _rule(device, flow, None, reason, actor, with_, ids)


async def end_ruling(device: DeviceId, ruling: str, actor: str, with_: Governing) -> None:
    """Takes a ruling back."""
    now = with_.clock.now()
    held = await with_.stores.network.rulings(now, device)
    found = next((one for one in held if one.id == ruling), None)
    if found is None:
        raise NotFound(f"There is no ruling {ruling[:40]!r} in force for {device}.")
    async with with_.unit_of_work(actor) as work:
        work.network.put_ruling(replace(found, ended_at=now))
        work.ledger.record("network:ruling:ended", f"device:{device}", {"ruling": found.id})


async def _rule(
    device: DeviceId, flow: Flow, span: timedelta | None, reason: str, actor: str, with_: Governing, ids: Ids
) -> Ruling:
    found: Device = await with_.stores.devices.get(device)
    _checked(flow)
    now = with_.clock.now()
    held = await with_.stores.network.rulings(now, found.id)
    if len(held) >= MOST_RULINGS:
        raise Refused(f"{MOST_RULINGS} rulings hold for this device; take some back first.", code="ruling:most")
    ruling = Ruling(
        id=ids.mint("r"),
        device=found.id,
        peer=flow.peer,
        transport=flow.transport,
        port=flow.port,
        opened_by_device=flow.opened_by_device,
        until=now + span if span is not None else None,
        reason=checked_reason(reason),
        by=actor,
        at=now,
    )
    told = {
        "ruling": ruling.id,
        "flow": json.dumps(asdict(flow)),
        "until": ruling.until.isoformat() if ruling.until else "",
        "reason": Personal(ruling.reason),
    }
    async with with_.unit_of_work(actor) as work:
        for one in held:
            if one.key == flow.key:
                work.network.put_ruling(replace(one, ended_at=now))
        work.network.put_ruling(ruling)
        work.ledger.record(f"network:flow:{'allowed' if ruling.allows else 'kept-denied'}", f"device:{found.id}", told)
    return ruling


async def _store(
    profile: ProfileName,
    document: bytes,
    actor: str,
    with_: Governing,
    told: dict[str, str | Personal],
    said: Profile | None = None,
) -> None:
    body = {"sha256": sha256(document).hexdigest(), "document": document.decode()} | told
    now = with_.clock.now()
    async with with_.unit_of_work(actor) as work:
        work.network.put_reach(Reach(profile, document, now, actor))
        if said is not None:
            written = write_profile(said)
            work.catalogue.put_profile(said, written, now)
            work.ledger.record("profile:document:stored", f"profile:{profile}", {"document": written})
        work.ledger.record("network:profile:stored", f"profile:{profile}", body)


def application_of(profile: Profile) -> Application:
    """What the devices of a profile say at the broker, as a MUD file holds it."""
    return Application(profile.channels, profile.rate_per_second, profile.burst, profile.max_payload_bytes)


def _with_application(known: Profile, file: MUDFile) -> Profile:
    part = file.application
    if part is None:
        return known
    return replace(
        known,
        channels=part.channels,
        rate_per_second=part.rate_per_second,
        burst=part.burst,
        max_payload_bytes=part.max_payload_bytes,
    )


def _checked(flow: Flow) -> None:
    try:
        written = str(ip_address(flow.peer))
    except ValueError as error:
        raise Refused(f"{flow.peer[:60]!r} is not an IP address.", code="flow:peer") from error
    if written != flow.peer:
        raise Refused(f"{flow.peer} is not written in its shortest form, {written}.", code="flow:peer")
    if flow.transport not in PROTOCOLS:
        raise Refused(f"A profile cannot speak of {flow.transport[:20]!r}.", code="flow:transport")
    if not 0 <= flow.port <= 65535 or (flow.transport in ("tcp", "udp") and flow.port == 0):
        raise Refused(f"{flow.port} is no port.", code="flow:port")
