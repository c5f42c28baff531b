"""The table of devices: one page of it, and the filters with how many each would show."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from bastide.controller.console.views.reader import Reader
from bastide.core.device import Device
from bastide.core.ids import DeviceClass, DeviceId
from bastide.core.standing import Standing
from bastide.ports.platform.stores import DeviceFilter, Scope, Stores

PAGE = 100
# So many rows are sorted and shown at once.
SORTED = 250
# Classes are counted over at most this many devices; a larger fleet shows the chips without counts.
COUNTED = 20_000


@dataclass(frozen=True, slots=True)
class Row:
    """A device and, where its standing is not plain ``trusted``, why."""

    device: Device
    because: str


@dataclass(frozen=True, slots=True)
class DevicePage:
    rows: tuple[Row, ...]
    next_after: str
    whole: bool
    total: int
    counts: Mapping[Standing, int]
    classes: tuple[tuple[DeviceClass, int], ...]
    wanted: DeviceFilter


async def devices(stores: Stores, reader: Reader, wanted: DeviceFilter) -> DevicePage:
    """What fits one page is in the order of consequence, then of names; more comes in pages in the order of ids.

    ``next_after`` is empty on the last page.
    """
    found = await stores.devices.list(replace(wanted, limit=SORTED + 1))
    whole = len(found) <= SORTED and not wanted.after
    page = sorted(found, key=_order) if whole else found[:PAGE]
    counts = await stores.devices.count_by_standing(wanted.scope)
    return DevicePage(
        rows=tuple([await row(stores, reader, device) for device in page]),
        next_after=page[-1].id if not whole and len(found) > PAGE else "",
        whole=whole,
        total=sum(counts.values()),
        counts=counts,
        classes=await classes(stores, wanted.scope) if not wanted.after else (),
        wanted=wanted,
    )


async def row(stores: Stores, reader: Reader, device: Device) -> Row:
    """A trusted device needs no words; reading its decision would cost a query for each row."""
    if device.standing in (Standing.TRUSTED, Standing.RETIRED):
        return Row(device, "")
    decision = await stores.decisions.latest(device.id)
    return Row(device, await reader.text(decision.because) if decision else "Nobody has decided on it yet.")


async def rows_of(stores: Stores, reader: Reader, ids: Sequence[DeviceId]) -> tuple[Row, ...]:
    """The rows of the named devices that are in scope, as they are now."""
    found = [await reader.device(each) for each in ids]
    return tuple([await row(stores, reader, device) for device in found if device is not None])


async def classes(stores: Stores, scope: Scope) -> tuple[tuple[DeviceClass, int], ...]:
    """The device classes that occur, most frequent first."""
    seen = await stores.devices.list(DeviceFilter(scope=scope, limit=COUNTED))
    return tuple(Counter(device.device_class for device in seen).most_common(12))


_CONSEQUENCE = {Standing.QUARANTINED: 0, Standing.PENDING: 1, Standing.UNKNOWN: 2, Standing.RESTRICTED: 3}


def _order(device: Device) -> tuple[int, str, str]:
    return (_CONSEQUENCE.get(device.standing, 4), device.name.casefold() or "\uffff", device.id)
