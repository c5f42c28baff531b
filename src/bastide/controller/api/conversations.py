"""Whom devices spoke to: handed in by `bastide watch` and `bastide scan --submit`, read by the map and by simulations."""

from datetime import datetime, timedelta
from ipaddress import ip_address
from typing import Annotated

from fastapi import Query
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from bastide.controller.api.access import Asking, Using
from bastide.controller.api.devices import within_scope
from bastide.controller.api.models import Answer, Limit, Moment, Name, NoControls
from bastide.controller.api.routes import Routes, documented
from bastide.core.conversation import Conversation
from bastide.core.ids import DeviceId, SiteName
from bastide.flows.describe_kinds import MAIN_SITE
from bastide.flows.take_conversations import Overheard, take_conversations
from bastide.governance.access.error import NotPermitted
from bastide.governance.access.roles import Permission
from bastide.ports.platform.conversations import Wanted

routes = Routes("", "conversations")

MAX_BYTES = 8 * 1024 * 1024
MAX_CONVERSATIONS = 10_000

DeviceName = Annotated[str, StringConstraints(pattern=r"^d-[a-z2-7]{20}$")]
Count = Annotated[int, Field(ge=0, le=2**53, strict=True)]
Address = Annotated[str, StringConstraints(max_length=45), AfterValidator(lambda text: str(ip_address(text)))]


class ConversationIn(BaseModel):
    """One conversation, as `bastide scan --json` would print it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    mac: Annotated[str, Field(pattern=r"^[0-9a-f]{2}(:[0-9a-f]{2}){5}$")]
    peer: Address
    peer_name: Annotated[str, StringConstraints(max_length=255), NoControls] = ""
    transport: Annotated[str, Field(pattern=r"^[a-z0-9]{1,8}$")]
    port: Annotated[int, Field(ge=0, le=65535, strict=True)]
    protocol: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,32}$")]
    opened_by_device: Annotated[bool, Field(strict=True)]
    flows: Count
    packets_sent: Count
    packets_received: Count
    bytes_sent: Count
    bytes_received: Count
    first: Moment
    last: Moment


class ConversationsIn(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    source: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$")] = Field(description="Who listened.")
    window: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:+-]{0,79}$")] = Field(
        description="Names the span of time; the same one again is not counted twice."
    )
    site: Name = Field(default=str(MAIN_SITE), description="Where it was heard.")
    conversations: Annotated[list[ConversationIn], Field(max_length=MAX_CONVERSATIONS)]


class TakenOut(Answer):
    """How many conversations are of devices that can be known again."""

    taken: int


class ConversationOut(Answer):
    """What a device and one peer said to each other on one port, between the two moments that were asked for."""

    device: str
    peer: str
    peer_name: str
    transport: str
    port: int
    protocol: str
    opened_by_device: bool
    flows: int
    packets_sent: int
    packets_received: int
    bytes_sent: int
    bytes_received: int
    first_seen: datetime
    last_seen: datetime


class ConversationsOut(Answer):
    since: datetime
    until: datetime
    items: list[ConversationOut]


@routes.post("/conversations", needs=Permission.SCAN_SUBMIT, status_code=201, max_body_size=MAX_BYTES)
async def submit_conversations(asked: ConversationsIn, asking: Asking, deps: Using) -> TakenOut:
    """Takes whom devices spoke to, once for each window of a source."""
    if asking.scope.classes or (asking.scope.sites and asked.site not in asking.scope.sites):
        raise NotPermitted("The devices would stand outside your sites and classes; name a site of yours.")
    site, now = SiteName(asked.site), deps.clock.now()
    heard = [Overheard(one.mac, _said(one)) for one in asked.conversations]
    return TakenOut(
        taken=await take_conversations(asked.source, site, asked.window, heard, now, asking.actor, deps.governing)
    )


@routes.get("/conversations", needs=Permission.FLEET_READ, responses={404: documented(404)})
async def list_conversations(
    asking: Asking,
    deps: Using,
    device: Annotated[list[DeviceName], Query(max_length=100, description="Only of these devices.")] = [],  # noqa: B006
    since: Annotated[Moment | None, Query(description="From then on; without it a day ago.")] = None,
    until: Annotated[Moment | None, Query(description="Until then; without it now.")] = None,
    limit: Limit = 100,
) -> ConversationsOut:
    """Whom devices spoke to, the busiest first."""
    now = deps.clock.now()
    end = until if until is not None else now
    begin = since if since is not None else end - timedelta(days=1)
    devices = tuple(DeviceId(one) for one in device)
    for one in devices:
        await within_scope(one, asking, deps)
    if not devices and (asking.scope.sites or asking.scope.classes):
        raise NotPermitted("You see some sites and classes only; name the devices that you ask about.")
    items = await deps.governing.stores.conversations.list(Wanted(begin, end, devices, limit))
    return ConversationsOut(since=begin, until=end, items=[_out(one) for one in items])


def _said(one: ConversationIn) -> Conversation:
    return Conversation(
        device=DeviceId(""),
        peer=one.peer,
        peer_name=one.peer_name,
        transport=one.transport,
        port=one.port,
        protocol=one.protocol,
        opened_by_device=one.opened_by_device,
        flows=one.flows,
        packets_sent=one.packets_sent,
        packets_received=one.packets_received,
        bytes_sent=one.bytes_sent,
        bytes_received=one.bytes_received,
        first_seen=one.first,
        last_seen=max(one.first, one.last),
    )


def _out(one: Conversation) -> ConversationOut:
    return ConversationOut(**{name: getattr(one, name) for name in ConversationOut.model_fields})
