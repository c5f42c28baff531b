"""Finds devices as one types, over a fleet of any size: the store sieves by words, the rule looks closer, page by page."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from bastide.core.device import Device
from bastide.operations.inventory.search import Term, matches, words_of
from bastide.ports.platform.stores import DeviceFilter, Stores

MOST_SCANNED = 20_000
"""Devices that one search looks at; ``next_after`` goes on from there."""
_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Found:
    """Devices in the order of their ids. ``next_after`` is what the next part begins after, empty at the end of the fleet."""

    devices: tuple[Device, ...]
    next_after: str


async def search_inventory(stores: Stores, wanted: DeviceFilter, terms: Sequence[Term], now: datetime) -> Found:
    """The devices that match every term, ``wanted.limit`` at most."""
    found: list[Device] = []
    last, scanned = wanted.after, 0
    sieve = replace(wanted, holding=(*wanted.holding, *words_of(terms)), limit=_AT_ONCE)
    while scanned < MOST_SCANNED:
        part = await stores.devices.list(replace(sieve, after=last))
        for device in part:
            last = device.id
            if matches(device, terms, now):
                found.append(device)
                if len(found) == wanted.limit:
                    return Found(tuple(found), last)
        scanned += len(part)
        if len(part) < _AT_ONCE:
            return Found(tuple(found), "")
    return Found(tuple(found), last)
