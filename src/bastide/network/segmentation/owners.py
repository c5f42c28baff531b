"""Whose an address is where several devices of a site are said to have it: leases end and are given to somebody else.

Whoever is retired (or was merged into another) yields to whoever is not; a person's word counts before what was seen, then the
latest sighting, then the lower id.
"""

from datetime import datetime
from ipaddress import ip_address

from bastide.core.device import Device
from bastide.core.ids import DeviceId
from bastide.core.standing import Stage
from bastide.network.segmentation.site import Address, addresses_of

_PERSON = "person"  # the source of what people describe (operations/inventory/attributes)
_Rank = tuple[bool, bool, datetime]


class Owners:
    """Filled by looking at every device of every site once; asked about each."""

    def __init__(self) -> None:
        self._held: dict[tuple[str, Address], tuple[_Rank, DeviceId]] = {}

    def note(self, device: Device) -> None:
        for address in addresses_of(device):
            rank = _rank(device, address)
            known = self._held.get((device.site, address))
            if known is None or (rank, known[1]) > (known[0], device.id):
                self._held[(device.site, address)] = (rank, device.id)

    def not_its(self, device: Device) -> frozenset[Address]:
        """Addresses that are said of the device and are another's."""
        own = ((address, self._held.get((device.site, address))) for address in addresses_of(device))
        return frozenset(address for address, held in own if held is not None and held[1] != device.id)


def _rank(device: Device, address: Address) -> _Rank:
    """Higher wins."""
    said = [one for one in device.attributes if one.name == "address" and _same(one.value, address)]
    person = any(one.source.split(":")[0] == _PERSON for one in said)
    return device.stage is not Stage.RETIRED, person, max(one.observed_at for one in said)


def _same(text: str, address: Address) -> bool:
    try:
        return ip_address(text) == address
    except ValueError:
        return False
