"""What a scan of a capture saw comes into the inventory: devices that were seen, what they say of themselves, findings.

A MAC address can be forged, so a device that was only seen is ``unknown``, its facts are passive and never take a standing
away. Its id follows from the address, so that the same capture handed in twice changes nothing. A device with a randomised
address, or none, cannot be known again and is only counted.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256

from bastide.core.device import Attribute, Device
from bastide.core.error import Conflict, NotFound
from bastide.core.evidence import Evidence, Subject, SubjectKind, Trust
from bastide.core.finding import Finding, Severity
from bastide.core.ids import DeviceId, EvidenceId, SiteName, ZoneName, mint
from bastide.core.standing import Stage, Standing
from bastide.flows.describe_kinds import ensure_class
from bastide.flows.govern_device import TRIES, Governing, govern_device
from bastide.ports.platform.catalogue import ClassEntry

UNIDENTIFIED = "unidentified"
FRESH_FOR = timedelta(days=30)
AT_ONCE = 32
# How sure each source of a name is, among attributes: an address prefix says who bought it, a host name is what it says.
CONFIDENCE = {"mac": 0.9, "vendor": 0.6, "address": 0.7, "host-name": 0.7, "protocol": 0.8}


@dataclass(frozen=True, slots=True)
class SeenFinding:
    code: str
    severity: Severity
    confidence: float
    title: str
    advice: str


@dataclass(frozen=True, slots=True)
class SeenDevice:
    """One device of a scan. ``mac`` is lower-case with colons, empty where none was seen."""

    mac: str
    first_seen: datetime
    last_seen: datetime
    randomised: bool = False
    vendor: str = ""
    addresses: tuple[str, ...] = ()
    host_names: tuple[str, ...] = ()
    protocols: tuple[str, ...] = ()
    findings: tuple[SeenFinding, ...] = ()


@dataclass(frozen=True, slots=True)
class Taken:
    """What came of a scan: ``passed_over`` cannot be known again."""

    new: tuple[DeviceId, ...]
    known: tuple[DeviceId, ...]
    findings: int
    passed_over: int


async def take_scan(source: str, site: SiteName, seen: Sequence[SeenDevice], actor: str, with_: Governing) -> Taken:
    """Takes a scan in. ``source`` names the capture; each device is one durable unit."""
    usable = [device for device in seen if device.mac and not device.randomised]
    entry, _ = await ensure_class(UNIDENTIFIED, actor, with_)
    gate = asyncio.Semaphore(AT_ONCE)

    async def take(device: SeenDevice) -> tuple[DeviceId, bool]:
        async with gate:
            return await _take(source, site, device, entry, actor, with_)

    taken = await asyncio.gather(*(take(device) for device in usable))
    return Taken(
        new=tuple(id for id, new in taken if new),
        known=tuple(id for id, new in taken if not new),
        findings=sum(len(device.findings) for device in usable),
        passed_over=len(seen) - len(usable),
    )


def device_id(mac: str) -> DeviceId:
    """The id of a device that is known by its address only."""
    return DeviceId(mint("d", sha256(f"bastide seen mac {mac}".encode()).digest()[:13]))


async def _take(
    source: str, site: SiteName, seen: SeenDevice, entry: ClassEntry, actor: str, with_: Governing
) -> tuple[DeviceId, bool]:
    id, now = device_id(seen.mac), with_.clock.now()
    subject = Subject(SubjectKind.DEVICE, id)
    facts = [
        _fact(subject, f"traffic.{finding.code.partition(':')[2]}", finding.title, source, seen, now)
        for finding in seen.findings
    ]
    for attempt in range(TRIES):
        try:
            known: Device | None = await with_.stores.devices.get(id)
        except NotFound:
            known = None
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
                        attributes=_attributes(seen, source),
                    )
                    work.devices.add(device)
                    work.ledger.record("inventory:device:seen", f"device:{id}", {"source": source, "mac": seen.mac})
                else:
                    work.devices.put(replace(known, attributes=_merged(known, seen, source)))
                    work.devices.seen({id: seen.last_seen})
                work.evidence.add(facts)
                for finding, fact in zip(seen.findings, facts, strict=True):
                    work.findings.put(_finding(finding, fact, seen.last_seen))
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
    return id, known is None


def _attributes(seen: SeenDevice, source: str) -> tuple[Attribute, ...]:
    said = [("mac", seen.mac), ("vendor", seen.vendor)]
    said += [("address", address) for address in seen.addresses]
    said += [("host-name", name) for name in seen.host_names]
    said += [("protocol", name) for name in seen.protocols]
    return tuple(
        Attribute(name, value, f"scan:{source}", CONFIDENCE[name], seen.last_seen) for name, value in said if value
    )


def _merged(known: Device, seen: SeenDevice, source: str) -> tuple[Attribute, ...]:
    """What other sources said stays; this one's is replaced. Bounded, the newest first."""
    fresh = _attributes(seen, source)
    kept = [one for one in known.attributes if one.source != f"scan:{source}"]
    return (*fresh, *kept)[:200]


def _fact(subject: Subject, kind: str, what: str, source: str, seen: SeenDevice, now: datetime) -> Evidence:
    told = f"{subject.id} {kind} {source} {seen.last_seen.isoformat()}"
    return Evidence(
        id=EvidenceId(mint("e", sha256(told.encode()).digest()[:13])),
        kind=kind,
        subject=subject,
        source=f"scan:{source}",
        trust=Trust.PASSIVE,
        observed_at=seen.last_seen,
        received_at=now,
        fresh_for=FRESH_FOR,
        body={"what": what, "mac": seen.mac},
    )


def _finding(finding: SeenFinding, fact: Evidence, at: datetime) -> Finding:
    return Finding(
        code=finding.code,
        subject=fact.subject,
        severity=finding.severity,
        confidence=finding.confidence,
        title=finding.title,
        advice=finding.advice,
        found_at=at,
        because=(fact.id,),
    )
