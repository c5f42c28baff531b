"""Whom the devices of a scan spoke to comes into the state, once for each window, whatever is handed in twice."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from bastide.core.conversation import Conversation
from bastide.core.ids import DeviceId, SiteName
from bastide.flows.govern_device import Governing
from bastide.operations.inventory.sighting import is_local, mac_key, own_id


@dataclass(frozen=True, slots=True)
class Overheard:
    """A conversation of what was seen under a MAC address. ``said.device`` is not known yet."""

    mac: str
    said: Conversation


async def take_conversations(
    source: str, site: SiteName, window: str, seen: Sequence[Overheard], at: datetime, actor: str, with_: Governing
) -> int:
    """Takes a window in and says how many conversations are of devices that can be known again."""
    lasting = [one for one in seen if not is_local(one.mac)]
    keys = sorted({mac_key(one.mac) for one in lasting})
    bound = await with_.stores.inventory.bound(keys)
    devices: dict[str, DeviceId] = {key: bound.get(key) or own_id(key) for key in keys}
    async with with_.unit_of_work(actor) as work:
        work.conversations.add(
            f"{site}/{source}"[:80],
            window,
            at,
            [replace(one.said, device=devices[mac_key(one.mac)]) for one in lasting],
        )
    return len(lasting)
