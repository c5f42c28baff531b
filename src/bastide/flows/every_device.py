"""A fleet of any size, device by device: the store is asked for a page at a time, in the order of ids."""

from collections.abc import AsyncIterator
from dataclasses import replace

from bastide.core.device import Device
from bastide.ports.platform.stores import DeviceFilter, Stores

PAGE = 500


async def every_device(stores: Stores, wanted: DeviceFilter | None = None) -> AsyncIterator[Device]:
    """Those that are wanted, all without a filter. Its ``limit`` does not count; whoever has enough stops asking."""
    sieve = replace(wanted or DeviceFilter(), limit=PAGE)
    while True:
        page = await stores.devices.list(sieve)
        for device in page:
            yield device
        if len(page) < PAGE:
            return
        sieve = replace(sieve, after=page[-1].id)
