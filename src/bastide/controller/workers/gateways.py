"""Gateways as an enforcement point: what a device may reach, at every gateway of its site.

A device's item is made from its plan and from what is known of where it is (addresses, hardware); it is signed and handed
on, and it is handed on again when an address changes. So are what people wrote down of the site, the reach of profiles, and
flows that they let through for a while. A site without a gateway enforces nothing on the network, and says so. What gateways
say they saw becomes evidence, measured there.
"""

import asyncio
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from ipaddress import ip_address
from typing import Annotated, Any, Literal, Protocol

import msgspec
from msgspec import Meta

from bastide.core.device import Device
from bastide.core.error import BastideError, Refused, Unavailable
from bastide.core.evidence import Evidence, Fact, Subject, SubjectKind, Trust
from bastide.core.ids import DeviceId, EvidenceId, RequestId, is_device_id
from bastide.core.plan import Outcome, Plan, Point
from bastide.core.ruling import Ruling
from bastide.flows.every_device import every_device
from bastide.flows.take_evidence import take_evidence
from bastide.network.segmentation.denial import DENIED
from bastide.network.segmentation.owners import Owners
from bastide.network.segmentation.site import Address, addresses_of
from bastide.ports.clock import Clock, Ids
from bastide.ports.keys import Signer
from bastide.ports.platform.stores import Stores
from bastide.ports.platform.units import UnitsOfWork
from bastide.wire.gateway import AllowanceForm, MemberForm, encode_content, encode_item, statement

LOG = logging.getLogger("bastide.gateways")

ACTOR = "system:gateways"
CLASS = "gateway"
LOOK_SECONDS = 2.0
MAX_SAID = 1000
FRESH_FOR = timedelta(days=1)


class Said(Protocol):
    """What a gateway answered to an item; see adapters.nats.gateways."""

    @property
    def code(self) -> str: ...
    @property
    def sentence(self) -> str: ...
    @property
    def holds(self) -> str: ...


class Items(Protocol):
    async def put(self, gateway: DeviceId, key: str, generation: int, item: bytes) -> Said: ...


@dataclass(frozen=True, slots=True)
class _Described:
    """What people wrote down, as it was at one moment: each site's frame, each profile's reach, what is let through."""

    frames: Mapping[str, bytes]
    reaches: Mapping[str, bytes]
    allowances: Mapping[DeviceId, Sequence[Ruling]]


@dataclass(slots=True)
class _Last:
    content: bytes
    generation: int
    item: bytes
    held: bool = False


class GatewayEnforcer:
    """Implements ports.network.Enforcer for :attr:`Point.NETWORK`."""

    point = Point.NETWORK

    def __init__(self, stores: Stores, units: UnitsOfWork, signer: Signer, clock: Clock, ids: Ids) -> None:
        self._stores, self._units, self._signer = stores, units, signer
        self._clock, self._ids = clock, ids
        self.items: Items | None = None
        self.gateways: Sequence[DeviceId] = ()
        self._last: dict[tuple[DeviceId, str], _Last] = {}
        self._plans: dict[DeviceId, Plan] = {}
        self._at_once = asyncio.Lock()
        self._owners = Owners()

    async def apply(self, plan: Plan) -> Outcome:
        """See ports.network."""
        held = self._plans.get(plan.device)
        if held is not None and held.generation > plan.generation:
            raise Refused(
                f"Generation {held.generation} of {plan.device} is held by its gateways, and {plan.generation} was handed; "
                "read the current plan and apply that.",
                code="plan:generation:stale",
            )
        self._plans[plan.device] = plan
        device = await self._stores.devices.get(plan.device)
        gateways = await self._of(device)
        if not gateways:
            holds = f"nothing: {device.site} has no gateway"
        elif plan.device in self.gateways:
            holds = "nothing: it is a gateway itself"
        else:
            holds = await self._hand(device, plan, gateways, await self._described(device))
        return Outcome(plan.device, self.point, plan.generation, self._clock.now(), holds)

    async def run(self) -> None:
        """Looks for devices whose addresses changed, and sites that were described anew. Until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if not self.gateways or self.items is None:
                continue
            try:
                await self._look()
            except BastideError as error:
                LOG.info("%s", error.sentence)

    async def _look(self) -> None:
        """One round. What one device is refused keeps no other from its due."""
        described, owners = await self._described(), Owners()
        async for device in every_device(self._stores):
            owners.note(device)
            try:
                await self._again(device, described)
            except Unavailable:
                raise
            except BastideError as error:
                LOG.info("%s", error.sentence)
        self._owners = owners

    async def said(self, gateway: DeviceId, data: bytes) -> None:
        """Takes what a gateway saw. What cannot be read is dropped: it would come again for ever."""
        if gateway not in self.gateways or len(data) > 1 << 20:
            return
        try:
            events = _events.decode(data)
        except msgspec.MsgspecError as error:
            LOG.warning("the gateway %s said what cannot be read: %s", gateway, error)
            return
        facts = [fact for event in events if (fact := self._fact(gateway, event)) is not None]
        if facts:
            await take_evidence(facts, self._units, ACTOR)

    async def _described(self, device: Device | None = None) -> _Described:
        """What was written down that concerns one device, or all of it."""
        network, now = self._stores.network, self._clock.now()
        allowances: dict[DeviceId, list[Ruling]] = {}
        for one in await network.allowances(now, device.id if device else None):
            allowances.setdefault(one.device, []).append(one)
        if device is None:
            sites, reaches = await network.sites(), await network.reaches()
        else:
            site, reach = await network.site(device.site), await network.reach(device.profile)
            sites, reaches = [site] if site else [], [reach] if reach else []
        return _Described(
            {one.site: one.frame for one in sites}, {one.profile: one.document for one in reaches}, allowances
        )

    async def _again(self, device: Device, described: _Described) -> None:
        gateways = await self._of(device)
        if not gateways or device.id in self.gateways:
            return
        plan = self._plans.get(device.id) or await self._stores.plans.current(device.id)
        if plan is not None:
            self._plans[device.id] = plan
            await self._hand(device, plan, gateways, described)

    async def _of(self, device: Device) -> list[DeviceId]:
        found = []
        for gateway in self.gateways:
            if (await self._stores.devices.get(gateway)).site == device.site:
                found.append(gateway)
        return found

    async def _hand(self, device: Device, plan: Plan, gateways: Sequence[DeviceId], described: _Described) -> str:
        elsewhere = self._owners.not_its(device)
        form = member_of(device, plan, elsewhere)
        if form is None:
            if elsewhere:  # it had an address that is another's by now
                async with self._at_once:
                    for gateway in gateways:
                        await self._put(gateway, f"device/{device.id}", b"")
            return "nothing: no address of it is known"
        words = []
        async with self._at_once:
            for gateway in gateways:
                if frame := described.frames.get(device.site):
                    await self._put(gateway, "frame", frame)
                if reach := described.reaches.get(device.profile):
                    await self._put(gateway, f"mud/{device.profile}", reach)
                words.append(await self._put(gateway, f"device/{device.id}", encode_content(form)))
                for ruling in described.allowances.get(device.id, ()):
                    await self._let(gateway, ruling, form)
        return "; ".join(words)

    async def _let(self, gateway: DeviceId, ruling: Ruling, form: MemberForm) -> None:
        """Lets a flow through, by the first address of the device that can have it; takes it back where a person did."""
        key = f"allow/{ruling.id}"
        content = b"" if ruling.ended_at is not None else allowance_of(ruling, form)
        if content or (gateway, key) in self._last or ruling.ended_at is not None:
            await self._put(gateway, key, content)

    async def _put(self, gateway: DeviceId, key: str, content: bytes) -> str:
        last = self._last.get((gateway, key))
        if last is not None and last.held and last.content == content:
            return "held"
        if self.items is None:
            raise Unavailable("The broker is not connected yet.", code="nats:unavailable")
        if last is None or last.content != content:
            generation = max(int(self._clock.now().timestamp() * 1e6), last.generation + 1 if last else 1)
            to_sign = statement(gateway, key, generation, content)
            request = RequestId(f"gateway-item:{sha256(to_sign).hexdigest()[:40]}")
            signature = await self._signer.plan(request, plan=to_sign)
            last = self._last[(gateway, key)] = _Last(content, generation, encode_item(to_sign, signature, content))
        said = await self.items.put(gateway, key, last.generation, last.item)
        if said.code:
            raise Refused(f"The gateway {gateway} does not take {key}: {said.sentence}", code=said.code)
        last.held = True
        return said.holds

    def _fact(self, gateway: DeviceId, event: Mapping[str, Any]) -> Evidence | None:
        now = self._clock.now()
        kind, subject = _KINDS.get(str(event.get("kind"))), gateway
        if kind is None:
            return None
        if is_device_id(str(event.get("device", ""))):
            subject = DeviceId(str(event["device"]))
        body: dict[str, Fact] = {}
        for name, value in list(event.items())[:24]:
            if name not in ("kind", "device", "count"):
                text = ", ".join(map(str, value)) if isinstance(value, list) else value
                body[name] = text[:400] if isinstance(text, str) else text
        count = event.get("count", 1)
        return Evidence(
            EvidenceId(self._ids.mint("e")),
            kind,
            Subject(SubjectKind.DEVICE, subject),
            f"gateway:{gateway}",
            Trust.MEASURED,
            now,
            now,
            FRESH_FOR,
            count if isinstance(count, int) and count > 0 else 1,
            body,
        )


_KINDS = {
    "denied": DENIED,
    "drift": "gateway.rules.drift",
    "unused": "network.entry.unused",
    "lost": "gateway.denials.lost",
    "dns": "network.name.refused",
}
_Event = dict[Annotated[str, Meta(max_length=40)], str | int | float | bool | list[str] | None]
_events = msgspec.json.Decoder(Annotated[list[_Event], Meta(max_length=MAX_SAID)])


def allowance_of(ruling: Ruling, form: MemberForm) -> bytes:
    """The exception as a gateway must hold it; nothing where the device has no address that can speak with the peer."""
    assert ruling.until is not None
    version = ip_address(ruling.peer).version
    own = next((one for one in form.addresses if ip_address(one).version == version), "")
    if not own or ruling.transport not in ("tcp", "udp"):
        return b""
    ends = (own, ruling.peer) if ruling.opened_by_device else (ruling.peer, own)
    transport: Literal["tcp", "udp"] = "tcp" if ruling.transport == "tcp" else "udp"
    return encode_content(AllowanceForm(*ends, transport, ruling.port, ruling.until))


def member_of(device: Device, plan: Plan, elsewhere: Collection[Address] = ()) -> MemberForm | None:
    """The device as its gateway must hold it; None where no address of it is known but what is ``elsewhere`` by now."""
    addresses = [str(one) for one in addresses_of(device) if one not in elsewhere]
    macs: dict[str, None] = {}
    port = cell = ""
    for attribute in sorted(device.attributes, key=lambda one: -one.confidence):
        if attribute.name == "mac":
            macs[attribute.value.lower().replace("-", ":")] = None
        elif attribute.name == "port":
            port = attribute.value
        elif attribute.name == "cell":
            cell = attribute.value
    if not addresses:
        return None
    mac = next(iter(macs), "")
    profile = device.profile
    try:
        return MemberForm(addresses[:32], mac, plan.network.circle, plan.network.mode, profile, port, cell)
    except (ValueError, TypeError):
        return None
