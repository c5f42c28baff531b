"""Who may ever reach what: a device, a host or a topic, asked from either end, from what is held now, with the reason why not."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from ipaddress import ip_address, ip_network

from bastide.core.device import Device
from bastide.core.error import NotFound, Refused
from bastide.core.ids import DeviceId, is_device_id
from bastide.core.plan import Circle, NetworkMode, Plan
from bastide.core.profile import Direction, Profile
from bastide.core.ruling import Ruling
from bastide.flows.describe_network import frame_of
from bastide.flows.govern_device import Governing
from bastide.flows.simulate_reach import file_of, in_service
from bastide.network.broker.topics import filter_subjects, subject_of
from bastide.network.profile.amend import PROTOCOLS
from bastide.network.profile.mud.words import MUDFile, Side
from bastide.network.profile.plain import sentences
from bastide.network.segmentation.reach import Held, Service, between, judge, services_of
from bastide.network.segmentation.site import Address, Site, addresses_of, site_of
from bastide.ports.platform.conversations import Wanted
from bastide.ports.platform.stores import DeviceFilter
from bastide.wire.gateway import FrameForm

ANY = "*"
MOST_RULINGS = 10_000
_WEEK = timedelta(days=7)
HTTPS = Service(PROTOCOLS["tcp"], 443, 443)
"""What is asked about where a profile speaks of nothing."""
_NOWHERE = ip_address("192.0.2.0")  # stands for a host that nobody resolved: entries that name it still match


@dataclass(frozen=True, slots=True)
class Told:
    """One answer: ``source`` may (or may not) do ``what`` to ``target``. ``logged`` where it passes only while observed.

    ``forward`` where it is about the direction that was asked for, from the first end to the second."""

    source: str
    what: str
    target: str
    may: bool
    because: str
    logged: bool = False
    forward: bool = True


@dataclass(frozen=True, slots=True)
class _Host:
    """A host outside: by address, by name, or both as far as the last week's look-ups told."""

    said: str
    addresses: tuple[Address, ...]
    names: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Topic:
    topic: str


@dataclass(frozen=True, slots=True)
class _Anything:
    pass


_End = Device | _Host | _Topic | _Anything


async def ask_reach(
    source: str, target: str, service: Service | None, wanted: DeviceFilter, with_: Governing
) -> tuple[Told, ...]:
    """What is known about both directions. An end is a device's id, an address, a DNS name, an MQTT topic (with ``/``) or
    ``*`` for every device. ``wanted`` bounds the devices that are looked at. ``NotFound``, ``Refused``."""
    one, other = await _end(source, wanted, with_), await _end(target, wanted, with_)
    if isinstance(one, _Anything) and isinstance(other, _Anything):
        raise Refused("Name one end at least: a device, a host or a topic.", code="reach:ends")
    if isinstance(one, _Topic) or isinstance(other, _Topic):
        return await _topics(one, other, wanted, with_)
    told: list[Told] = []
    network = _Network(with_)
    if isinstance(one, Device) and isinstance(other, Device):
        first, second = await network.held(one), await network.held(other)
        back = (replace(each, forward=False) for each in _pair(second, first, service))
        return (*_pair(first, second, service), *back)
    if isinstance(one, _Host) and isinstance(other, _Host):
        raise Refused("Neither end is a device; the network judges only what devices do.", code="reach:ends")
    device, peer = (one, other) if isinstance(one, Device | _Anything) else (other, one)
    for each in [device] if isinstance(device, Device) else await in_service(wanted, with_.stores):
        held = await network.held(each)
        if isinstance(peer, _Host):
            told += _host(held, peer, service)
        else:
            told += _everything(held)
    return _ordered(told, backward=device is not one)


def _ordered(told: Sequence[Told], *, backward: bool) -> tuple[Told, ...]:
    """The direction that was asked for first; ``backward`` where the answers were made from its second end."""
    turned = [replace(each, forward=each.forward is not backward) for each in told]
    return tuple(sorted(turned, key=lambda each: not each.forward))


def _host(held: Held, host: _Host, service: Service | None) -> list[Told]:
    """Both directions between a device and a host; where no service is named, those that its profile speaks of."""
    found: list[Told] = []
    known = host.addresses or tuple(address for name in host.names for address in held.site.names.get(name, ()))
    for side in Side:
        out = side is Side.FROM_DEVICE
        asked = [service] if service else list(services_of(held.file, side)) or [HTTPS]
        verdicts = [judge(held, side, each, host.names, one) for one in asked for each in known or (_NOWHERE,)]
        permitted = [one for one in verdicts if one.may and (known or not one.logged)]
        for one in permitted or verdicts[:1]:
            may = one in permitted
            judged = known or may or held.file is None or held.circle is not Circle.PROFILE
            because = one.because if judged else f"no entry names {host.said}, and nobody resolved it in a week"
            what = f"open {one.service}" if service or may else "open anything"
            ends = (held.name, host.said) if out else (host.said, held.name)
            found.append(Told(ends[0], what, ends[1], may, because, one.logged, forward=out))
    return list(dict.fromkeys(found))


def _pair(one: Held, other: Held, service: Service | None) -> list[Told]:
    asked = [service] if service else list(services_of(one.file, Side.FROM_DEVICE)) or [HTTPS]
    verdicts = [between(one, other, each) for each in asked]
    permitted = [each for each in verdicts if each.may]
    return [
        Told(
            one.name,
            f"open {each.service}" if service or each.may else "open anything",
            other.name,
            each.may,
            each.because,
            each.logged,
        )
        for each in permitted or verdicts[:1]
    ]


def _everything(held: Held) -> list[Told]:
    """What a device may open at all, in the file's order."""
    if held.circle is not Circle.PROFILE or held.file is None:
        verdict = judge(held, Side.FROM_DEVICE, ip_address("0.0.0.0"), (), HTTPS)  # noqa: S104
        return [Told(held.name, "open anything", "anybody", False, verdict.because)]

    return [
        Told(held.name, one.service, one.peer, one.permitted, f"entry {', '.join(one.entries)}")
        for one in sentences(held.file)
    ]


async def _topics(one: _End, other: _End, wanted: DeviceFilter, with_: Governing) -> tuple[Told, ...]:
    topic = one if isinstance(one, _Topic) else other
    assert isinstance(topic, _Topic)
    device = other if topic is one else one
    if isinstance(device, _Host | _Topic):
        raise Refused("Only devices publish and listen at the broker; name a device or *.", code="reach:ends")
    told: list[Told] = []
    profiles: dict[str, Profile] = {}
    for each in [device] if isinstance(device, Device) else await in_service(wanted, with_.stores):
        if each.profile not in profiles:
            profiles[each.profile] = await with_.stores.catalogue.profile(each.profile)
        told += _at_topic(each, await with_.stores.plans.current(each.id), profiles[each.profile], topic.topic)
    return _ordered(told, backward=topic is one)


def _at_topic(device: Device, plan: Plan | None, profile: Profile, topic: str) -> list[Told]:
    name = device.name or device.id
    found = []
    for direction in Direction:
        publishes = direction is Direction.PUBLISH
        granted = () if plan is None else plan.broker.publish if publishes else plan.broker.subscribe
        hit = next((one for one in granted if covers(one, topic)), "")
        meant = [one for one in profile.channels if one.direction is direction]
        declared = next((one for one in meant if covers(one.for_device(device.id), topic)), None)
        if hit:
            because = f"the broker lets it: {hit}"
        elif plan is None:
            because = "no plan was made for it"
        elif declared is not None:
            because = f"its profile declares {declared.topic}, but it is {device.standing}"
        else:
            because = f"its profile {device.profile} declares no such topic"
        ends = (name, topic) if publishes else (topic, name)
        found.append(
            Told(ends[0], "publish to" if publishes else "be heard by", ends[1], bool(hit), because, forward=publishes)
        )
    return found


def covers(granted: str, topic: str) -> bool:
    """Whether a granted topic filter holds a topic or another filter (MQTT 3.1.1, section 4.7)."""
    asked = subject_of(topic).split(".")
    return any(_covers(one.split("."), asked) for one in filter_subjects(granted))


def _covers(granted: Sequence[str], asked: Sequence[str]) -> bool:
    for place, level in enumerate(granted):
        if level == ">":
            return len(asked) > place
        if place >= len(asked) or (level != "*" and level != asked[place]) or asked[place] == ">":
            return False
    return len(granted) == len(asked)


async def _end(text: str, wanted: DeviceFilter, with_: Governing) -> _End:
    if text == ANY:
        return _Anything()
    if is_device_id(text):
        found = await with_.stores.devices.get(DeviceId(text))
        if not wanted.scope.covers(found):
            raise NotFound(f"There is no device {text}.")
        return found
    try:
        address = ip_address(text)
    except ValueError:
        pass
    else:
        return _Host(str(address), (address,), await _names_of(str(address), with_))
    if "/" in text:
        filter_subjects(text)  # Refused where it is no topic
        return _Topic(text)
    name = text.lower().rstrip(".")
    return _Host(name, await _addresses_of(name, with_), frozenset({name}))


async def _names_of(address: str, with_: Governing) -> frozenset[str]:
    """What an address was resolved from in the last week."""
    return frozenset(name for name, peer in await _resolved(with_) if peer == address)


async def _addresses_of(name: str, with_: Governing) -> tuple[Address, ...]:
    return tuple(sorted({ip_address(peer) for known, peer in await _resolved(with_) if known == name}, key=str))


async def _resolved(with_: Governing) -> set[tuple[str, str]]:
    now = with_.clock.now()
    heard = await with_.stores.conversations.list(Wanted(now - _WEEK, now, (), 20_000))
    return {(one.peer_name, one.peer) for one in heard if one.peer_name}


class _Network:
    """What the network holds, read once for each profile and site however many devices are asked about."""

    def __init__(self, with_: Governing) -> None:
        self._with, self._all = with_, False
        self._files: dict[str, MUDFile | None] = {}
        self._frames: dict[str, tuple[FrameForm, Site]] = {}
        self._rulings: dict[str, list[Ruling]] | None = None

    async def held(self, device: Device) -> Held:
        with_ = self._with
        plan = await with_.stores.plans.current(device.id)
        if device.profile not in self._files:
            self._files[device.profile] = await file_of(device.profile, with_.stores.network)
        if device.site not in self._frames:
            described = await frame_of(device.site, with_)
            self._frames[device.site] = described, site_of(described)
        frame, site = self._frames[device.site]
        cell = device.attribute("cell")
        return Held(
            device.name or device.id,
            plan.network.circle if plan else Circle.NOTHING,
            plan.network.mode if plan else NetworkMode.ENFORCE,
            self._files[device.profile],
            site,
            addresses_of(device),
            tuple(ip_network(one) for one in frame.remediation),
            tuple(ip_network(one) for one in frame.onboarding),
            cell.value if cell else "",
            frozenset((one.source, one.destination, PROTOCOLS[one.transport], one.port) for one in frame.conduits),
            await self._ruled(device),
        )

    async def _ruled(self, device: Device) -> tuple[Ruling, ...]:
        """All rulings are read at once where they are few, as they nearly always are."""
        network, now = self._with.stores.network, self._with.clock.now()
        if self._rulings is None:
            every = await network.rulings(now, None, MOST_RULINGS + 1)
            self._all = len(every) <= MOST_RULINGS
            self._rulings = {}
            for one in every:
                self._rulings.setdefault(one.device, []).append(one)
        if self._all:
            return tuple(self._rulings.get(device.id, ()))
        return tuple(await network.rulings(now, device.id))
