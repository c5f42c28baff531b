"""The inventory: search, what each source states of a device and where they disagree, merge, split, describe, bring in."""

from typing import Annotated

from fastapi import Query
from pydantic import Field, StringConstraints

from bastide.controller.api.access import Asking, Using
from bastide.controller.api.deps import Deps
from bastide.controller.api.devices import within_scope
from bastide.controller.api.models import (
    Answer,
    Asked,
    AttributeOut,
    DeviceIn,
    DeviceOut,
    Limit,
    Name,
    NoControls,
    Page,
    Sentence,
)
from bastide.controller.api.routes import Routes
from bastide.core.device import Device
from bastide.core.error import Refused
from bastide.core.ids import DeviceId
from bastide.flows.keep_inventory import bring_in, describe, merge, split
from bastide.flows.search_inventory import search_inventory
from bastide.governance.access.error import NotPermitted
from bastide.governance.access.roles import Permission
from bastide.operations.inventory.attributes import DESCRIBED, best, conflicts
from bastide.operations.inventory.search import parse_query
from bastide.operations.inventory.sheet import read_sheet, row
from bastide.operations.inventory.sighting import is_key
from bastide.ports.platform.stores import DeviceFilter

routes = Routes("/inventory", "inventory")

MAX_SHEET = 4 * 1024 * 1024

Fact = Annotated[str, StringConstraints(max_length=500), NoControls]


class ConflictOut(Answer):
    """Values of which a device has one, stated by different sources; the surest first."""

    name: str
    values: list[AttributeOut]


class InventoryOut(Answer):
    """One device: ``row`` is it as in an export, ``best`` the statement shown first for each name."""

    device: DeviceOut
    best: dict[str, AttributeOut]
    conflicts: list[ConflictOut]
    keys: list[str]
    row: dict[str, str]


class MergeIn(Asked):
    other: Annotated[str, Field(pattern=r"^d-[a-z2-7]{20}$", description="The entry that is the same device.")]
    reason: Sentence


class SplitIn(Asked):
    key: Annotated[str, Field(max_length=200, description="One of the device's keys, e.g. mac:00:11:22:33:44:55.")]
    reason: Sentence


class DescribeIn(Asked):
    """What a person states; an empty fact takes an earlier statement back."""

    facts: dict[str, Fact] = Field(default_factory=dict, max_length=len(DESCRIBED))
    name: Annotated[str, StringConstraints(max_length=200), NoControls] | None = None
    owner: Name | None = None
    site: Name | None = None
    zone: Name | None = None


class SheetIn(Asked):
    source: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$")]
    text: Annotated[str, StringConstraints(max_length=MAX_SHEET)] = Field(
        description="CSV, or a JSON list of objects, with the columns of an export."
    )


class BroughtInOut(Answer):
    new: list[str]
    changed: list[str]
    same: int


@routes.get("", needs=Permission.FLEET_READ)
async def list_inventory(
    asking: Asking,
    deps: Using,
    query: Annotated[str, Query(max_length=500, description="Words and name:value terms; all must hold.")] = "",
    after: Annotated[str, Query(max_length=32, description="`next` of the page before.")] = "",
    limit: Limit = 100,
) -> Page[InventoryOut]:
    """The devices that match a search as one types it, such as `philips firmware:1.9 -standing:trusted conflict:`."""
    wanted = DeviceFilter(scope=asking.scope, after=after, limit=limit)
    found = await search_inventory(deps.governing.stores, wanted, parse_query(query), deps.clock.now())
    return Page(items=[await _shown(one, deps) for one in found.devices], next=found.next_after or None)


@routes.get("/{device}", needs=Permission.FLEET_READ)
async def show_inventory(device: DeviceIn, asking: Asking, deps: Using) -> InventoryOut:
    """One device: every statement with its source, what contradicts what, and the keys by which it is known again."""
    return await _shown(await within_scope(device, asking, deps), deps)


@routes.post("/import", needs=Permission.DEVICE_ACT, max_body_size=2 * MAX_SHEET)
async def import_inventory(asked: SheetIn, asking: Asking, deps: Using) -> BroughtInOut:
    """Brings in a list that people keep. The same list again changes nothing."""
    if asking.scope.classes or asking.scope.sites:
        raise NotPermitted(
            "A list may name any device; only an account without limits to sites or classes brings it in."
        )
    told = await bring_in(read_sheet(asked.text), asked.source, asking.actor, deps.governing)
    return BroughtInOut(new=list(told.new), changed=list(told.changed), same=told.same)


@routes.post("/{device}/merge", needs=Permission.DEVICE_ACT)
async def merge_devices(device: DeviceIn, asked: MergeIn, asking: Asking, deps: Using) -> InventoryOut:
    """Says that another entry is this device: what is seen under its keys is said of this one from now on."""
    one, other = await within_scope(device, asking, deps), await within_scope(asked.other, asking, deps)
    return await _shown(await merge(one.id, other.id, asked.reason, asking.actor, deps.governing), deps)


@routes.post("/{device}/split", needs=Permission.DEVICE_ACT)
async def split_device(device: DeviceIn, asked: SplitIn, asking: Asking, deps: Using) -> InventoryOut:
    """Takes a key away from a device; what is seen under it is a device of its own, which is the answer."""
    if not is_key(asked.key):
        raise Refused(f"{asked.key[:60]!r} is not a key; it reads mac:00:11:22:33:44:55 or name:site/name.")
    one = await within_scope(device, asking, deps)
    return await _shown(await split(one.id, asked.key, asked.reason, asking.actor, deps.governing), deps)


@routes.patch("/{device}", needs=Permission.DEVICE_ACT)
async def describe_device(device: DeviceIn, asked: DescribeIn, asking: Asking, deps: Using) -> InventoryOut:
    """States what a person knows of a device."""
    unknown = sorted(set(asked.facts) - set(DESCRIBED))
    if unknown:
        raise Refused(f"{unknown[0][:40]!r} is not a fact that a person states; those are {', '.join(DESCRIBED)}.")
    one = await within_scope(device, asking, deps)
    columns = {name: value for name in ("name", "owner", "site", "zone") if (value := getattr(asked, name)) is not None}
    if asking.scope.sites and columns.get("site", one.site) not in asking.scope.sites:
        raise NotPermitted("The device would stand outside your sites; name a site of yours.")
    await describe(one.id, asked.facts, columns, asking.actor, deps.governing)
    return await _shown(await deps.governing.stores.devices.get(DeviceId(device)), deps)


async def _shown(device: Device, deps: Deps) -> InventoryOut:
    now = deps.clock.now()
    names = {one.name for one in device.attributes}
    first = {name: found for name in sorted(names) if (found := best(device.attributes, name, now))}
    return InventoryOut(
        device=DeviceOut.model_validate(device),
        best={name: AttributeOut.model_validate(found) for name, found in first.items()},
        conflicts=[
            ConflictOut(name=each.name, values=[AttributeOut.model_validate(one) for one in each.values])
            for each in conflicts(device.attributes, now)
        ],
        keys=list(await deps.governing.stores.inventory.keys_of(device.id)),
        row=row(device, now),
    )
