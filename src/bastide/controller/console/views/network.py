"""The map of whom devices speak to: the span of time, the picture's geometry, and the conversations behind it.

Widths grow with the logarithm of the octets: a camera's video and a thermostat's hourly word are both to be seen.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import log10, sqrt
from urllib.parse import urlencode

from bastide.controller.console.views.reader import Reader
from bastide.core.conversation import Conversation
from bastide.core.device import Device
from bastide.core.standing import Standing
from bastide.operations.inventory.communication import OTHERS, Asked, Kind, Link, Peer, Picture, picture
from bastide.ports.platform.conversations import Hour, Wanted
from bastide.ports.platform.stores import DeviceFilter, Stores

SPANS: Mapping[str, timedelta] = {
    "24h": timedelta(days=1),
    "7d": timedelta(days=7),
    "30d": timedelta(days=30),
    "90d": timedelta(days=90),
}
GROUPS: Mapping[str, str] = {
    "class": "class",
    "type": "type",
    "vendor": "vendor",
    "zone": "zone",
    "site": "site",
    "owner": "owner",
    "standing": "standing",
}
KINDS: Mapping[Kind, str] = {
    Kind.DEVICES: "Devices of ours",
    Kind.LOCAL: "On this network, not known",
    Kind.MANY: "To many at once",
    Kind.NAMED: "Hosts with a name",
    Kind.UNNAMED: "Hosts without a name",
}
DEVICES = 20_000
CONVERSATIONS = 20_000
LISTED = 50
HOUR = timedelta(hours=1)

WIDTH = 1160.0
LEFT, RIGHT, _NODE = 288.0, 864.0, 8.0
_ROW, _GAP, _HEAD = 30.0, 8.0, 32.0


@dataclass(frozen=True, slots=True)
class Span:
    """``begins`` to ``ends`` is what the slider spans; ``since`` to ``until`` what is shown. All are whole hours."""

    key: str
    begins: int
    ends: int
    since: int
    until: int

    @property
    def shown(self) -> tuple[datetime, datetime]:
        return moment(self.since), moment(self.until)


@dataclass(frozen=True, slots=True)
class Node:
    """A row of one side. ``href`` is where it leads, ``says`` what stands beside the name."""

    key: str
    title: str
    says: str
    x: float
    y: float
    height: float
    href: str
    tone: str


@dataclass(frozen=True, slots=True)
class Ribbon:
    path: str
    width: float
    start: str
    end: str
    tone: str
    label: str


@dataclass(frozen=True, slots=True)
class Heading:
    y: float
    title: str


@dataclass(frozen=True, slots=True)
class Bar:
    x: float
    y: float
    width: float
    height: float
    within: bool
    label: str


@dataclass(frozen=True, slots=True)
class MapPage:
    span: Span
    asked: Asked
    opened_title: str
    peer_title: str
    nodes: tuple[Node, ...]
    ribbons: tuple[Ribbon, ...]
    headings: tuple[Heading, ...]
    height: float
    bars: tuple[Bar, ...]
    protocols: tuple[str, ...]
    listed: tuple[tuple[Conversation, Device], ...]
    conversations: int
    talking: int
    anything: bool
    cut: bool


def hours(at: datetime) -> int:
    """Whole hours since 1970: how the slider and the page's address tell a time."""
    return int(at.timestamp() // 3600)


def moment(hour: int) -> datetime:
    return datetime.fromtimestamp(hour * 3600, UTC)


def span_of(key: str, since: int | None, until: int | None, now: datetime) -> Span:
    """The span of the slider and what of it is shown; what makes no sense becomes all of it."""
    key = key if key in SPANS else "24h"
    ends = hours(now) + 1
    begins = ends - int(SPANS[key] / HOUR)
    since = min(max(since if since is not None else begins, begins), ends - 1)
    until = min(until if until is not None else ends, ends)
    return Span(key, begins, ends, since, until if until > since else ends)


def address(span: Span, asked: Asked, /, **other: str) -> str:
    """The address of the same map with some of it said otherwise."""
    pairs = {
        "span": span.key,
        "since": str(span.since) if span.since != span.begins else "",
        "until": str(span.until) if span.until != span.ends else "",
        "group": asked.group,
        "opened": asked.opened,
        "peer": asked.peer,
        "protocol": asked.protocol,
    } | other
    return "/network?" + urlencode({name: value for name, value in pairs.items() if value})


async def map_page(stores: Stores, reader: Reader, span: Span, asked: Asked, now: datetime) -> MapPage:
    """Everything on the page. Who sees some devices only gets their conversations and no others."""
    devices = await stores.devices.list(DeviceFilter(scope=reader.scope, limit=DEVICES))
    only = () if reader.scope.boundless else tuple(device.id for device in devices)
    since, until = span.shown
    said: Sequence[Conversation] = ()
    by_hour: Sequence[Hour] = ()
    if devices:
        said = await stores.conversations.list(Wanted(since, until, only, CONVERSATIONS))
        whole = Wanted(moment(span.begins), moment(span.ends), only, int(SPANS["90d"] / HOUR) + 1)
        by_hour = await stores.conversations.by_hour(whole)
    drawn = picture(said, devices, asked, now)
    known: dict[str, Device] = {device.id: device for device in devices}
    nodes, ribbons, headings, height = _drawn(drawn, span, asked, known)
    kind, _, peer = asked.peer.partition(":")
    return MapPage(
        span=span,
        asked=asked,
        opened_title=asked.opened,
        peer_title=peer if kind else "",
        nodes=nodes,
        ribbons=ribbons,
        headings=headings,
        height=height,
        bars=_bars(by_hour, span),
        protocols=tuple(sorted(drawn.protocols, key=lambda name: (-drawn.protocols[name], name)))[:40],
        listed=tuple((one, known[one.device]) for one in drawn.shown[:LISTED]),
        conversations=len(drawn.shown),
        talking=len({one.device for one in drawn.shown}),
        anything=bool(by_hour),
        cut=len(said) == CONVERSATIONS,
    )


def size(octets: int) -> str:
    """Octets in the unit that reads best."""
    value, unit = float(octets), "B"
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if value < 1000 or unit == "TB":
            break
        value /= 1000
    return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"


def _drawn(
    drawn: Picture, span: Span, asked: Asked, known: Mapping[str, Device]
) -> tuple[tuple[Node, ...], tuple[Ribbon, ...], tuple[Heading, ...], float]:
    wide = {(link.group, link.peer.key): _thick(link) for link in drawn.links}
    nodes: list[Node] = []
    headings: list[Heading] = []
    starts: dict[str, float] = {}
    y = _HEAD
    for name in drawn.left:
        links = [link for link in drawn.links if link.group == name]
        node = _left(name, links, span, asked, known, y, _tall([wide[(name, link.peer.key)] for link in links]))
        starts[name] = _first(node, [wide[(name, link.peer.key)] for link in links])
        nodes.append(node)
        y += node.height + _GAP
    bottom, y, kind = y, _HEAD, None
    ends: dict[str, float] = {}
    for peer in drawn.right:
        if peer.kind is not kind:
            y += _GAP if kind is not None else 0
            headings.append(Heading(y - 10 if kind is None else y + 18, KINDS[peer.kind]))
            y += 0 if kind is None else _ROW
            kind = peer.kind
        links = [link for link in drawn.links if link.peer == peer]
        node = _right(peer, links, span, asked, y, _tall([wide[(link.group, peer.key)] for link in links]))
        ends[peer.key] = _first(node, [wide[(link.group, peer.key)] for link in links])
        nodes.append(node)
        y += node.height + _GAP
    place = {name: at for at, name in enumerate(drawn.left)}
    order = {peer.key: at for at, peer in enumerate(drawn.right)}
    leaving = sorted(drawn.links, key=lambda link: (place[link.group], order[link.peer.key]))
    begins: dict[tuple[str, str], float] = {}
    for link in leaving:
        key = (link.group, link.peer.key)
        begins[key] = starts[link.group] + wide[key] / 2
        starts[link.group] += wide[key] + 1
    ribbons = []
    for link in sorted(drawn.links, key=lambda link: (order[link.peer.key], place[link.group])):
        key = (link.group, link.peer.key)
        end = ends[link.peer.key] + wide[key] / 2
        ends[link.peer.key] += wide[key] + 1
        ribbons.append(_ribbon(link, begins[key], end, wide[key], known))
    return tuple(nodes), tuple(ribbons), tuple(headings), max(bottom, y)


def _thick(link: Link) -> float:
    return round(1.5 + 2.0 * max(0.0, log10(max(link.bytes, 1) / 500)), 1)


def _tall(widths: Sequence[float]) -> float:
    return max(_ROW, sum(widths) + len(widths) - 1)


def _first(node: Node, widths: Sequence[float]) -> float:
    return node.y + (node.height - (sum(widths) + len(widths) - 1)) / 2


def _left(
    name: str, links: Sequence[Link], span: Span, asked: Asked, known: Mapping[str, Device], y: float, height: float
) -> Node:
    device = known.get(name)
    devices = {each for link in links for each in link.devices}
    octets = size(sum(link.bytes for link in links))
    if device is not None:
        held = device.standing in (Standing.QUARANTINED, Standing.RESTRICTED)
        says = f"{device.standing}, {octets}" if held else octets
        href, tone = f"/devices/{device.id}", str(device.standing)
        return Node(_key("l", name), _short(device.name or device.id), says, LEFT, y, height, href, tone)
    # What needs a person is told by the worst of a group's members.
    worst = "quarantined" if any(known[each].standing is Standing.QUARANTINED for each in devices) else ""
    says = f"{len(devices)} {'device' if len(devices) == 1 else 'devices'}, {octets}"
    href = "" if name == OTHERS else address(span, asked, opened=name)
    return Node(_key("l", name), _short(name), says, LEFT, y, height, href, worst)


def _right(peer: Peer, links: Sequence[Link], span: Span, asked: Asked, y: float, height: float) -> Node:
    hosts = {each for link in links for each in link.hosts}
    octets = size(sum(link.bytes for link in links))
    says = octets if asked.peer else f"{len(hosts)} {'address' if len(hosts) == 1 else 'addresses'}, {octets}"
    closed = asked.peer or peer.name == OTHERS
    href = "" if closed else address(span, asked, peer=peer.key)
    return Node(_key("r", peer.key), _short(peer.name), says, RIGHT, y, height, href, str(peer.kind))


def _ribbon(link: Link, start: float, end: float, width: float, known: Mapping[str, Device]) -> Ribbon:
    title = known[link.group].name or link.group if link.group in known else link.group
    spoken = sorted(link.protocols, key=lambda name: (-link.protocols[name], name))
    protocols = ", ".join(spoken[:4]) + (f" and {len(spoken) - 4} more" if len(spoken) > 4 else "")
    label = f"{title} and {link.peer.name}: {size(link.bytes)} in {link.flows} flows, {protocols}"
    tone = "clear" if link.clear else str(link.peer.kind)
    return Ribbon(curve(start, end), width, _key("l", link.group), _key("r", link.peer.key), tone, label)


def curve(start: float, end: float) -> str:
    """The path of a ribbon from a height on the left to one on the right."""
    left, middle = LEFT + _NODE, (LEFT + _NODE + RIGHT) / 2
    return f"M{left} {start:.1f}C{middle} {start:.1f} {middle} {end:.1f} {RIGHT} {end:.1f}"


def _key(side: str, name: str) -> str:
    """A name that can stand in an attribute and be compared: no more than that."""
    return f"{side}-{name}"


def _short(title: str) -> str:
    return title if len(title) <= 30 else title[:29] + "\N{HORIZONTAL ELLIPSIS}"


def _bars(by_hour: Sequence[Hour], span: Span, width: float = 1000.0, height: float = 40.0) -> tuple[Bar, ...]:
    """The hours of the slider's span, some together where there are many; taller where more was said (by its root)."""
    together = max(1, (span.ends - span.begins) // 168)
    sums: dict[int, int] = {}
    for each in by_hour:
        place = (hours(each.begins) - span.begins) // together
        sums[place] = sums.get(place, 0) + each.bytes
    most = max(sums.values(), default=0) or 1
    wide = width * together / (span.ends - span.begins)
    bars = []
    for place, value in sorted(sums.items()):
        tall = max(2.0, height * sqrt(value / most))
        begins = span.begins + place * together
        bars.append(
            Bar(
                x=round(place * wide, 2),
                y=round(height - tall, 2),
                width=round(max(wide - 1.5, 1.0), 2),
                height=round(tall, 2),
                within=span.since <= begins < span.until,
                label=f"{moment(begins):%d %b %H}:00 UTC: {size(value)}",
            )
        )
    return tuple(bars)
