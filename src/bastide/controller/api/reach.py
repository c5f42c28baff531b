"""What a device may do on the network beside what it does, and who may ever reach what."""

from datetime import datetime, timedelta
from typing import Annotated

from fastapi import Query
from pydantic import StringConstraints

from bastide.controller.api.access import Asking, Using
from bastide.controller.api.devices import within_scope
from bastide.controller.api.models import Answer, DeviceIn, NoControls, Page
from bastide.controller.api.routes import Routes, documented
from bastide.core.error import Refused
from bastide.core.plan import NetworkMode
from bastide.flows.ask_reach import ask_reach
from bastide.flows.show_reach import Fate, Unpermitted, show_reach
from bastide.governance.access.roles import Permission
from bastide.network.segmentation.reach import parse_service
from bastide.ports.platform.stores import DeviceFilter

routes = Routes("", "network")

MOST = 1000
Name255 = Annotated[str, StringConstraints(min_length=1, max_length=255), NoControls]


class UnpermittedOut(Answer):
    """A flow that the profile does not permit: ``heard`` flows in the span, ``answered`` whether the peer took part, ``tried``
    packets that a gateway denied. ``ruling`` is the id of what a person said of it, or empty."""

    peer: str
    peer_name: str
    transport: str
    port: int
    opened_by_device: bool
    fate: Fate
    heard: int
    answered: bool
    tried: int
    last: datetime
    missing: str
    nearest: str
    ruling: str


class PermittedOut(Answer):
    """One sentence of the profile with what was heard of it."""

    sentence: str
    peer: str
    flows: int
    octets: int
    peers: int
    last: datetime | None


class DeviceReachOut(Answer):
    """``described`` is false where nobody wrote down whom the profile may reach."""

    since: datetime
    described: bool
    mode: NetworkMode
    permitted: list[PermittedOut]
    unpermitted: list[UnpermittedOut]
    unpermitted_left_out: int


@routes.get("/devices/{device}/reach", needs=Permission.FLEET_READ, responses={404: documented(404)})
async def show_device_reach(
    device: DeviceIn,
    asking: Asking,
    deps: Using,
    days: Annotated[int, Query(ge=1, le=90, description="How far back is looked.")] = 7,
) -> DeviceReachOut:
    """What its profile permits beside what was heard, and what became of the rest."""
    found = await within_scope(device, asking, deps)
    reached = await show_reach(found, timedelta(days=days), deps.governing)
    return DeviceReachOut(
        since=reached.since,
        described=reached.file is not None,
        mode=reached.mode,
        permitted=[PermittedOut.model_validate(one) for one in reached.permitted],
        unpermitted=[_out(one) for one in reached.unpermitted[:MOST]],
        unpermitted_left_out=max(0, len(reached.unpermitted) - MOST),
    )


class ToldOut(Answer):
    """``source`` may, or may not, do ``what`` to ``target``; ``logged`` where it passes only while a profile is observed,
    ``forward`` where it is about the direction that was asked for."""

    source: str
    what: str
    target: str
    may: bool
    because: str
    logged: bool
    forward: bool


@routes.get("/reach", needs=Permission.FLEET_READ, responses={404: documented(404)})
async def ask_who_reaches(
    asking: Asking,
    deps: Using,
    source: Annotated[
        Name255, Query(description="A device's id, an address, a DNS name, a topic, or * for all devices.")
    ],
    target: Annotated[Name255, Query(description="The other end, in the same words.")],
    service: Annotated[
        str, Query(max_length=16, description="Such as tcp/443; without it all that profiles speak of.")
    ] = "",
) -> Page[ToldOut]:
    """Who may reach what, both ways, and why not: from the plans, profiles, sites and rulings that are held now."""
    called = parse_service(service) if service else None
    if service and called is None:
        raise Refused(f"{service!r} is no service; write it as tcp/443, udp/123 or icmp.", code="reach:service")
    found = await ask_reach(source, target, called, DeviceFilter(scope=asking.scope), deps.governing)
    return Page(items=[ToldOut.model_validate(one) for one in found[:MOST]])


def _out(one: Unpermitted) -> UnpermittedOut:
    flow = one.flow
    return UnpermittedOut(
        peer=flow.peer,
        peer_name=flow.peer_name,
        transport=flow.transport,
        port=flow.port,
        opened_by_device=flow.opened_by_device,
        fate=one.fate,
        heard=one.heard,
        answered=one.answered,
        tried=one.tried,
        last=one.last,
        missing=one.missing,
        nearest=one.nearest,
        ruling=one.ruling.id if one.ruling else "",
    )
