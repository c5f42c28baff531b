"""What a scan of a capture saw comes into the inventory: devices that were seen, what they say of themselves, findings.

A MAC address can be forged, so a device that was only seen is ``unknown``, its facts are passive and never take a standing
away. Its id follows from the key that it is known by (``operations.inventory.sighting``) unless people merged it with
another, so that the same capture handed in twice changes nothing. What has no key is only counted. A new device, and a
change in what a device says of itself, are evidence.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from hashlib import sha256

from bastide.core.device import Device
from bastide.core.error import Conflict, NotFound
from bastide.core.evidence import Evidence, Fact, Subject, SubjectKind, Trust
from bastide.core.finding import Finding
from bastide.core.ids import DeviceId, EvidenceId, SiteName, ZoneName, mint
from bastide.core.standing import Stage, Standing
from bastide.flows.describe_kinds import ensure_class
from bastide.flows.govern_device import TRIES, Governing, govern_device
from bastide.operations.inventory.attributes import merged, stated
from bastide.operations.inventory.changes import Change, changes
from bastide.operations.inventory.sighting import SeenFinding, Sighting, key_of, mac_key, own_id
from bastide.ports.platform.catalogue import ClassEntry

UNIDENTIFIED = "unidentified"
FRESH_FOR = timedelta(days=30)
AT_ONCE = 32


@dataclass(frozen=True, slots=True)
class Taken:
    """What came of a scan: ``passed_over`` cannot be known again, ``changed`` says other things of itself than before."""

    new: tuple[DeviceId, ...]
    known: tuple[DeviceId, ...]
    changed: tuple[DeviceId, ...]
    findings: int
    passed_over: int


@dataclass(frozen=True, slots=True)
class _Told:
    device: DeviceId
    new: bool
    changed: bool


async def take_scan(source: str, site: SiteName, seen: Sequence[Sighting], actor: str, with_: Governing) -> Taken:
    """Takes a scan in. ``source`` names the capture; each device is one durable unit.

    Sightings of one device (two interfaces that people merged, two randomised addresses of one name) are taken in turn.
    """
    keyed = [(key, sighting) for sighting in seen if (key := key_of(sighting, site))]
    bound = await with_.stores.inventory.bound(sorted({key for key, _ in keyed}))
    entry, _ = await ensure_class(UNIDENTIFIED, actor, with_)
    of_device: dict[DeviceId, list[tuple[str, Sighting]]] = {}
    for key, sighting in keyed:
        of_device.setdefault(bound.get(key) or own_id(key), []).append((key, sighting))
    gate = asyncio.Semaphore(AT_ONCE)

    async def take(device: DeviceId, sightings: Sequence[tuple[str, Sighting]]) -> _Told:
        async with gate:
            new = changed = False
            for key, sighting in sightings:
                told = await _take(source, site, device, key, key in bound, sighting, entry, actor, with_)
                new, changed = new or told.new, changed or told.changed
            return _Told(device, new, changed and not new)

    taken = await asyncio.gather(*(take(device, sightings) for device, sightings in of_device.items()))
    return Taken(
        new=tuple(told.device for told in taken if told.new),
        known=tuple(told.device for told in taken if not told.new),
        changed=tuple(told.device for told in taken if told.changed),
        findings=sum(len(sighting.findings) for _, sighting in keyed),
        passed_over=len(seen) - len(keyed),
    )


def device_id(mac: str) -> DeviceId:
    """The id of a device that is known by its address only."""
    return own_id(mac_key(mac))


async def _take(
    source: str,
    site: SiteName,
    id: DeviceId,
    key: str,
    is_bound: bool,
    seen: Sighting,
    entry: ClassEntry,
    actor: str,
    with_: Governing,
) -> _Told:
    now = with_.clock.now()
    subject = Subject(SubjectKind.DEVICE, id)
    facts = [
        _fact(
            subject,
            f"traffic.{finding.code.partition(':')[2]}",
            source,
            seen,
            with_,
            {"what": finding.title, "mac": seen.mac},
        )
        for finding in seen.findings
    ]
    said_by = f"scan:{source}"
    fresh = stated(seen, said_by)
    for attempt in range(TRIES):
        try:
            known: Device | None = await with_.stores.devices.get(id)
        except NotFound:
            known = None
        told = changes(known.attributes, fresh) if known is not None else ()
        extra = [_changed(subject, change, source, seen, with_) for change in told]
        if known is None:
            extra.append(_new(subject, key, source, seen, with_))
        held = {fact.id for fact in await with_.stores.evidence.get([fact.id for fact in (*facts, *extra)])}
        try:
            async with with_.unit_of_work(actor) as work:
                if known is None:
                    device = Device(
                        id=id,
                        device_class=entry.name,
                        owner=entry.owner,
                        site=site,
                        zone=ZoneName("default"),
                        profile=entry.profile,
                        standing=Standing.UNKNOWN,
                        stage=Stage.RECEIVED,
                        created_at=now,
                        name=(seen.host_names[0] if seen.host_names else seen.vendor)[:200],
                        last_seen=seen.last_seen,
                        attributes=fresh,
                    )
                    work.devices.add(device)
                    work.ledger.record(
                        "inventory:device:seen", f"device:{id}", {"source": source, "mac": seen.mac, "key": key}
                    )
                else:
                    work.devices.put(replace(known, attributes=merged(known.attributes, fresh, said_by)))
                    work.devices.seen({id: seen.last_seen})
                if not is_bound:
                    work.inventory.bind(key, id, now)
                work.evidence.add([*facts, *extra])
                for finding, fact in zip(seen.findings, facts, strict=True):
                    work.findings.put(_finding(finding, fact, seen))
                for fact in (fact for fact in (*facts, *extra) if fact.id not in held):
                    work.ledger.record(
                        "evidence:observed",
                        str(subject),
                        {"evidence": fact.id, "kind": fact.kind, "count": 1, "source": source, "trust": fact.trust},
                    )
        except Conflict:
            if attempt == TRIES - 1:
                raise
            continue
        break
    await govern_device(id, with_)
    return _Told(id, known is None, bool(told))


def _new(subject: Subject, key: str, source: str, seen: Sighting, with_: Governing) -> Evidence:
    what = " ".join(filter(None, (seen.vendor, seen.type or (seen.models[0] if seen.models else "")))) or "a device"
    return _fact(subject, "inventory.new", source, seen, with_, {"what": what, "key": key})


def _changed(subject: Subject, change: Change, source: str, seen: Sighting, with_: Governing) -> Evidence:
    body = {"what": str(change), "name": change.name, "before": change.before, "after": change.after}
    return _fact(subject, "inventory.changed", source, seen, with_, body)


def _fact(
    subject: Subject, kind: str, source: str, seen: Sighting, with_: Governing, body: Mapping[str, Fact]
) -> Evidence:
    told = f"{subject.id} {kind} {source} {seen.last_seen.isoformat()}"
    if kind == "inventory.changed":
        told += f" {body['what']}"
    return Evidence(
        id=EvidenceId(mint("e", sha256(told.encode()).digest()[:13])),
        kind=kind,
        subject=subject,
        source=f"scan:{source}",
        trust=Trust.PASSIVE,
        observed_at=seen.last_seen,
        received_at=with_.clock.now(),
        fresh_for=FRESH_FOR,
        body=body,
    )


def _finding(finding: SeenFinding, fact: Evidence, seen: Sighting) -> Finding:
    return Finding(
        code=finding.code,
        subject=fact.subject,
        severity=finding.severity,
        confidence=finding.confidence,
        title=finding.title,
        advice=finding.advice,
        found_at=seen.last_seen,
        because=(fact.id,),
    )
