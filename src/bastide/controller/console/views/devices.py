"""The table of devices: what is searched for, one page of it, the same grouped, and the filters with what each would show."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from urllib.parse import urlencode

from bastide.controller.console.views.charts import Segment, standing_bar
from bastide.controller.console.views.reader import Reader
from bastide.core.device import Device
from bastide.core.ids import DeviceClass, DeviceId
from bastide.core.standing import Standing
from bastide.flows.search_inventory import search_inventory
from bastide.operations.inventory.attributes import best
from bastide.operations.inventory.search import Term, parse_query
from bastide.ports.platform.stores import DeviceFilter, Scope, Stores

PAGE = 100
# So many rows are sorted and shown at once.
SORTED = 250
# Classes and groups are counted over at most this many devices.
COUNTED = 20_000


@dataclass(frozen=True, slots=True)
class Column:
    key: str
    title: str
    usual: bool = False


COLUMNS: Sequence[Column] = (
    Column("why", "Why", usual=True),
    Column("class", "Class", usual=True),
    Column("type", "Type"),
    Column("vendor", "Vendor"),
    Column("model", "Model"),
    Column("firmware", "Firmware"),
    Column("address", "Address"),
    Column("service", "Services"),
    Column("owner", "Owner", usual=True),
    Column("site", "Site", usual=True),
    Column("zone", "Zone"),
    Column("location", "Location"),
    Column("support-ends", "Support ends"),
    Column("maintenance-window", "Maintenance"),
    Column("first", "First seen"),
    Column("seen", "Last seen", usual=True),
)
GROUPS: Mapping[str, str] = {
    "class": "Class",
    "type": "Type",
    "vendor": "Vendor",
    "model": "Model",
    "firmware": "Firmware",
    "zone": "Zone",
    "site": "Site",
    "owner": "Owner",
}
USUAL = tuple(column.key for column in COLUMNS if column.usual)


@dataclass(frozen=True, slots=True)
class Asked:
    """What the table's address says: the same address shows the same view to everybody who may see the devices."""

    text: str = ""
    standings: tuple[Standing, ...] = ()
    classes: tuple[DeviceClass, ...] = ()
    group: str = ""
    columns: tuple[str, ...] = USUAL
    after: str = ""

    def query(self, **other: str) -> str:
        """The query string of this view, with some of it said otherwise."""
        text, group, after = other.get("text", self.text), other.get("group", self.group), other.get("after", "")
        pairs = [("text", text), *(("standing", each.value) for each in self.standings)]
        pairs += [("class", each) for each in self.classes] + [("group", group)]
        if self.columns != USUAL:
            pairs += [("column", each) for each in self.columns]
        return urlencode([pair for pair in (*pairs, ("after", after)) if pair[1]])


@dataclass(frozen=True, slots=True)
class Row:
    """A device and, where its standing is not plain ``trusted``, why; ``cells`` are the chosen columns' words."""

    device: Device
    because: str
    cells: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Group:
    """The devices that share a value. ``query`` opens them."""

    value: str
    count: int
    bar: tuple[Segment, ...]
    seen: datetime | None
    query: str


@dataclass(frozen=True, slots=True)
class DevicePage:
    """``next_after`` is empty on the last page; ``whole`` where one page holds everything, sorted by consequence."""

    rows: tuple[Row, ...]
    groups: tuple[Group, ...]
    next_after: str
    whole: bool
    total: int
    counts: Mapping[Standing, int]
    classes: tuple[tuple[DeviceClass, int], ...]
    asked: Asked
    columns: tuple[Column, ...]
    cut: bool = False


async def devices(stores: Stores, reader: Reader, asked: Asked, now: datetime) -> DevicePage:
    """What fits one page is in the order of consequence, then of names; more comes in pages in the order of ids."""
    counts = await stores.devices.count_by_standing(reader.scope)
    wanted = DeviceFilter(
        standings=asked.standings, classes=asked.classes, scope=reader.scope, after=asked.after, limit=SORTED + 1
    )
    terms = terms_of(asked.text)
    page = DevicePage(
        rows=(),
        groups=(),
        next_after="",
        whole=True,
        total=sum(counts.values()),
        counts=counts,
        classes=await classes(stores, reader.scope) if not asked.after else (),
        asked=asked,
        columns=tuple(column for column in COLUMNS if column.key in asked.columns),
    )
    if asked.group:
        found = await search_inventory(stores, replace(wanted, after="", limit=COUNTED), terms, now)
        return replace(page, groups=grouped(found.devices, asked, now), cut=bool(found.next_after))
    found = await search_inventory(stores, wanted, terms, now)
    whole = not found.next_after and not asked.after
    shown = sorted(found.devices, key=_order) if whole else list(found.devices[:PAGE])
    more = found.next_after if len(found.devices) <= PAGE else shown[-1].id
    return replace(
        page,
        rows=tuple([await row(stores, reader, device, asked.columns, now) for device in shown]),
        next_after="" if whole else more,
        whole=whole,
    )


def terms_of(text: str) -> tuple[Term, ...]:
    """The terms of what stands in the field at this moment: a quotation that is still being typed ends where the text does."""
    return parse_query(text + '"' if text.count('"') % 2 else text)


def grouped(found: Iterable[Device], asked: Asked, now: datetime) -> tuple[Group, ...]:
    """The found devices by the value that they share, the largest group first, what nobody knows last."""
    by_value: dict[str, list[Device]] = {}
    for device in found:
        by_value.setdefault(_value(device, asked.group, now), []).append(device)
    ordered = sorted(by_value.items(), key=lambda item: (not item[0], -len(item[1]), item[0].casefold()))
    return tuple(
        Group(
            value=value,
            count=len(members),
            bar=standing_bar(Counter(device.standing for device in members)),
            seen=max((device.last_seen for device in members if device.last_seen), default=None),
            query=asked.query(group="", text=" ".join(filter(None, (asked.text.strip(), _term(asked.group, value))))),
        )
        for value, members in ordered
    )


def _term(group: str, value: str) -> str:
    if not value:
        return f"-{group}:"
    plain = value.replace('"', "")
    return f'{group}:="{plain}"' if " " in plain else f"{group}:={plain}"


def _value(device: Device, name: str, now: datetime) -> str:
    fields = {"class": device.device_class, "owner": device.owner, "site": device.site, "zone": device.zone}
    if name in fields:
        return str(fields[name])
    found = best(device.attributes, name, now)
    return found.value if found else ""


async def row(stores: Stores, reader: Reader, device: Device, columns: Sequence[str], now: datetime) -> Row:
    """A trusted device needs no words; reading its decision would cost a query for each row."""
    cells = {name: _cell(device, name, now) for name in columns if name not in ("why", "first", "seen")}
    if "why" not in columns or device.standing in (Standing.TRUSTED, Standing.RETIRED):
        return Row(device, "", cells)
    decision = await stores.decisions.latest(device.id)
    because = await reader.text(decision.because) if decision else "Nobody has decided on it yet."
    return Row(device, because, cells)


def _cell(device: Device, name: str, now: datetime) -> str:
    if name in ("address", "service"):
        values = sorted({one.value for one in device.attributes if one.name == name})
        return ", ".join(values[:3]) + (f" and {len(values) - 3} more" if len(values) > 3 else "")
    return _value(device, name, now)


async def rows_of(
    stores: Stores, reader: Reader, ids: Sequence[DeviceId], columns: Sequence[str], now: datetime
) -> tuple[Row, ...]:
    """The rows of the named devices that are in scope, as they are now."""
    found = [await reader.device(each) for each in ids]
    return tuple([await row(stores, reader, device, columns, now) for device in found if device is not None])


async def classes(stores: Stores, scope: Scope) -> tuple[tuple[DeviceClass, int], ...]:
    """The device classes that occur, most frequent first."""
    seen = await stores.devices.list(DeviceFilter(scope=scope, limit=COUNTED))
    return tuple(Counter(device.device_class for device in seen).most_common(12))


_CONSEQUENCE = {Standing.QUARANTINED: 0, Standing.PENDING: 1, Standing.UNKNOWN: 2, Standing.RESTRICTED: 3}


def _order(device: Device) -> tuple[int, str, str]:
    return (_CONSEQUENCE.get(device.standing, 4), device.name.casefold() or "\uffff", device.id)
