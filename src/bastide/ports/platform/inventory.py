"""Which device each key of a sighting belongs to, where people or earlier scans have said so."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from bastide.core.ids import DeviceId


class InventoryWrites(Protocol):
    def bind(self, key: str, device: DeviceId, at: datetime) -> None:
        """From now on what is seen under the key is the device's; an earlier binding of the key ends."""
        ...


class InventoryReads(Protocol):
    async def bound(self, keys: Sequence[str]) -> Mapping[str, DeviceId]:
        """The device of each key; keys that nobody bound are left out."""
        ...

    async def keys_of(self, device: DeviceId) -> Sequence[str]:
        """The keys that are bound to a device, in their order."""
        ...
