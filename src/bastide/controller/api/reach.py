"""What a device may do on the network beside what it does."""

from datetime import datetime, timedelta
from typing import Annotated

from fastapi import Query

from bastide.controller.api.access import Asking, Using
from bastide.controller.api.devices import within_scope
from bastide.controller.api.models import Answer, DeviceIn
from bastide.controller.api.routes import Routes, documented
from bastide.core.plan import NetworkMode
from bastide.flows.show_reach import Fate, Unpermitted, show_reach
from bastide.governance.access.roles import Permission

routes = Routes("", "network")

MOST = 1000


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
