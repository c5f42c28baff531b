"""What people do to the inventory: merge two entries of one device, split them, state what they know, bring in a list.

Only a device that was merely seen can be merged into another: one that proved its identity is that identity, and can take
others in but never go into one. Each act takes a reason or a source, and is in the ledger.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256

from bastide.core.device import Attribute, Device
from bastide.core.error import Conflict, NotFound, Refused
from bastide.core.evidence import Evidence, Subject, SubjectKind, Trust
from bastide.core.ids import DeviceId, EvidenceId, OwnerName, SiteName, ZoneName, mint
from bastide.core.standing import Stage, Standing
from bastide.flows.describe_kinds import MAIN_SITE, ensure_class
from bastide.flows.govern_device import TRIES, Governing, govern_device
from bastide.flows.take_scan import FRESH_FOR, UNIDENTIFIED
from bastide.operations.inventory.attributes import MOST, PERSON, best, described
from bastide.operations.inventory.sheet import Entry
from bastide.operations.inventory.sighting import mac_key, own_id
from bastide.ports.platform.stores import DeviceFilter

ONLY_SEEN = (Stage.EXPECTED, Stage.RECEIVED)
MERGED_INTO = "merged-into"


@dataclass(frozen=True, slots=True)
class BroughtIn:
    """What came of a list: devices that it made, changed, and left as they were."""

    new: tuple[DeviceId, ...]
    changed: tuple[DeviceId, ...]
    same: int


async def merge(into: DeviceId, other: DeviceId, reason: str, actor: str, with_: Governing) -> Device:
    """Says that ``other`` is ``into``: what is seen under the other's keys is from now on said of the one."""
    if into == other:
        raise Refused("A device cannot be merged with itself; name two.", code="inventory:merge:same")
    for attempt in range(TRIES):
        one, gone = await with_.stores.devices.get(into), await with_.stores.devices.get(other)
        if gone.stage not in ONLY_SEEN or gone.standing is not Standing.UNKNOWN:
            raise Refused(
                f"{other} has an identity of its own ({gone.stage}, {gone.standing}); merge what was only seen into it, "
                "not it into something else.",
                code="inventory:merge:identity",
            )
        if one.stage is Stage.RETIRED:
            raise Refused(f"{into} is retired; merge into a device that is there.", code="inventory:merge:retired")
        keys = await _keys(gone, with_)
        now = with_.clock.now()
        kept = tuple(each for each in (*one.attributes, *gone.attributes) if each.name != MERGED_INTO)
        try:
            async with with_.unit_of_work(actor) as work:
                work.devices.put(replace(one, attributes=kept[:MOST]))
                if gone.last_seen is not None:
                    work.devices.seen({into: gone.last_seen})
                mark = Attribute(MERGED_INTO, into, PERSON, 1.0, now)
                work.devices.put(replace(gone, stage=Stage.RETIRED, attributes=(mark, *gone.attributes)[:MOST]))
                for key in keys:
                    work.inventory.bind(key, into, now)
                work.conversations.reassign(other, into)
                told = {"into": into, "other": other, "keys": list(keys), "reason": reason}
                work.ledger.record("inventory:device:merged", f"device:{into}", told)
                work.ledger.record("inventory:device:merged", f"device:{other}", told)
        except Conflict:
            if attempt == TRIES - 1:
                raise
            continue
        break
    await govern_device(into, with_)
    await govern_device(other, with_)
    return await with_.stores.devices.get(into)


async def split(device: DeviceId, key: str, reason: str, actor: str, with_: Governing) -> Device:
    """Takes a key away from a device: what is seen under it is a device of its own again."""
    apart = own_id(key)
    if apart == device:
        raise Refused(f"{device} is what {key} is by itself; split off the other key.", code="inventory:split:own")
    for attempt in range(TRIES):
        one = await with_.stores.devices.get(device)
        if key not in await with_.stores.inventory.keys_of(device):
            raise Refused(
                f"{device} does not go by {key}; `bastide inventory show {device}` lists its keys.",
                code="inventory:split:key",
            )
        now = with_.clock.now()
        mac = key.removeprefix("mac:") if key.startswith("mac:") else ""
        try:
            old: Device | None = await with_.stores.devices.get(apart)
        except NotFound:
            old = None
        try:
            async with with_.unit_of_work(actor) as work:
                if old is None:
                    attributes = (Attribute("mac", mac, PERSON, 1.0, now),) if mac else ()
                    work.devices.add(
                        replace(
                            one,
                            id=apart,
                            name="",
                            standing=Standing.UNKNOWN,
                            stage=Stage.RECEIVED,
                            created_at=now,
                            generation=0,
                            version=0,
                            decided_at=None,
                            reconsider_at=None,
                            attributes=attributes,
                        )
                    )
                else:
                    back = tuple(each for each in old.attributes if each.name != MERGED_INTO)
                    work.devices.put(replace(old, stage=Stage.RECEIVED, attributes=back))
                kept = tuple(each for each in one.attributes if not (each.name == "mac" and each.value == mac))
                if old is not None:
                    # What came with the merge goes with the split; what both said stays with both.
                    theirs = {(each.name, each.value, each.source, each.observed_at) for each in old.attributes}
                    kept = tuple(
                        each for each in kept if (each.name, each.value, each.source, each.observed_at) not in theirs
                    )
                work.devices.put(replace(one, attributes=kept))
                work.inventory.bind(key, apart, now)
                told = {"from": device, "apart": apart, "key": key, "reason": reason}
                work.ledger.record("inventory:device:split", f"device:{device}", told)
                work.ledger.record("inventory:device:split", f"device:{apart}", told)
        except Conflict:
            if attempt == TRIES - 1:
                raise
            continue
        break
    await govern_device(apart, with_)
    return await with_.stores.devices.get(apart)


async def describe(
    id: DeviceId,
    facts: Mapping[str, str],
    columns: Mapping[str, str],
    actor: str,
    with_: Governing,
    source: str = PERSON,
) -> bool:
    """Writes down what a person states: attributes, and ``columns`` (name, owner, site, zone). False where nothing changed."""
    for attempt in range(TRIES):
        known = await with_.stores.devices.get(id)
        new = _with(known, facts, columns, source, with_.clock.now())
        if new == known:
            return False
        try:
            async with with_.unit_of_work(actor) as work:
                work.devices.put(new)
                work.ledger.record(
                    "inventory:device:described", f"device:{id}", {"facts": dict(facts), "columns": dict(columns)}
                )
        except Conflict:
            if attempt == TRIES - 1:
                raise
            continue
        return True
    return False


async def bring_in(entries: Sequence[Entry], source: str, actor: str, with_: Governing) -> BroughtIn:
    """Takes a list in. A device that nobody has seen yet becomes *expected*. The same list again changes nothing."""
    kind, _ = await ensure_class(UNIDENTIFIED, actor, with_)
    keys = [mac_key(entry.mac) for entry in entries if entry.mac and not entry.id]
    bound = await with_.stores.inventory.bound(sorted(set(keys)))
    new: list[DeviceId] = []
    changed: list[DeviceId] = []
    same = 0
    for entry in entries:
        key = mac_key(entry.mac) if entry.mac else ""
        id = DeviceId(entry.id) if entry.id else bound.get(key) or own_id(key)
        columns = {name: getattr(entry, name) for name in ("name", "owner", "site", "zone") if getattr(entry, name)}
        said_by = f"{PERSON}:{source}"
        try:
            changes = await describe(id, entry.facts, columns, actor, with_, said_by)
            if changes:
                changed.append(id)
            else:
                same += 1
            continue
        except NotFound:
            if entry.id:
                raise
        now = with_.clock.now()
        device = Device(
            id=id,
            device_class=kind.name,
            owner=OwnerName(entry.owner or kind.owner),
            site=SiteName(entry.site or MAIN_SITE),
            zone=ZoneName(entry.zone or "default"),
            profile=kind.profile,
            standing=Standing.UNKNOWN,
            stage=Stage.EXPECTED,
            created_at=now,
            name=entry.name[:200],
            attributes=described((Attribute("mac", entry.mac, said_by, 1.0, now),), entry.facts, said_by, now),
        )
        async with with_.unit_of_work(actor) as work:
            work.devices.add(device)
            work.inventory.bind(key, id, now)
            work.ledger.record("inventory:device:expected", f"device:{id}", {"source": source, "mac": entry.mac})
        new.append(id)
    for id in new:
        await govern_device(id, with_)
    return BroughtIn(tuple(new), tuple(changed), same)


async def note_vanished(after: timedelta, actor: str, with_: Governing) -> tuple[DeviceId, ...]:
    """Makes it evidence, once each time, that a device which was only seen has been quiet for so long."""
    now = with_.clock.now()
    gone: list[DeviceId] = []
    last = ""
    while page := await with_.stores.devices.list(DeviceFilter(after=last, limit=500)):
        last = page[-1].id
        for device in page:
            if (
                device.last_seen is None
                or device.stage in (Stage.RETIRED, Stage.EXPECTED)
                or now - device.last_seen < after
            ):
                continue
            fact = _vanished(device, device.last_seen, now)
            if await with_.stores.evidence.get([fact.id]):
                continue
            async with with_.unit_of_work(actor) as work:
                work.evidence.add([fact])
                told = {"evidence": fact.id, "kind": fact.kind, "count": 1, "source": fact.source, "trust": fact.trust}
                work.ledger.record("evidence:observed", f"device:{device.id}", told)
            gone.append(device.id)
    for id in gone:
        await govern_device(id, with_)
    return tuple(gone)


def _vanished(device: Device, last_seen: datetime, now: datetime) -> Evidence:
    told = sha256(f"{device.id} inventory.vanished {last_seen.isoformat()}".encode()).digest()[:13]
    return Evidence(
        id=EvidenceId(mint("e", told)),
        kind="inventory.vanished",
        subject=Subject(SubjectKind.DEVICE, device.id),
        source="inventory",
        trust=Trust.PASSIVE,
        observed_at=now,
        received_at=now,
        fresh_for=FRESH_FOR,
        body={"what": f"not seen since {last_seen:%Y-%m-%d %H:%M} UTC"},
    )


async def _keys(device: Device, with_: Governing) -> tuple[str, ...]:
    """The keys bound to a device and those that its addresses are by themselves."""
    bound = await with_.stores.inventory.keys_of(device.id)
    addresses = {mac_key(each.value) for each in device.attributes if each.name == "mac"}
    return tuple(sorted({*bound, *(key for key in addresses if own_id(key) == device.id)}))


def _with(known: Device, facts: Mapping[str, str], columns: Mapping[str, str], source: str, at: datetime) -> Device:
    """The device as stated. What is shown of it already is no statement: an export that is brought in again changes nothing."""
    shown = {name: one.value for name in facts if (one := best(known.attributes, name, at))}
    own = {each.name for each in known.attributes if each.source.startswith(PERSON)}
    fresh = {name: value for name, value in facts.items() if (shown.get(name) != value if value else name in own)}
    return replace(
        known,
        name=columns.get("name", known.name)[:200],
        owner=OwnerName(columns.get("owner", known.owner)),
        site=SiteName(columns.get("site", known.site)),
        zone=ZoneName(columns.get("zone", known.zone)),
        attributes=described(known.attributes, fresh, source, at) if fresh else known.attributes,
    )
