"""Evidence comes in: stored once, recorded, and the devices that it concerns are told to the governor."""

from collections.abc import Sequence

from bastide.core.evidence import Evidence, SubjectKind
from bastide.core.ids import DeviceId
from bastide.flows.every_device import every_device
from bastide.ports.platform.stores import Stores
from bastide.ports.platform.units import UnitsOfWork

MAX_BATCH = 1000


async def take_evidence(facts: Sequence[Evidence], unit_of_work: UnitsOfWork, actor: str) -> None:
    """One durable transaction for the whole batch. The same fact again changes nothing that is decided."""
    async with unit_of_work(actor) as work:
        work.evidence.add(facts)
        for fact in facts:
            work.ledger.record(
                "evidence:observed",
                str(fact.subject),
                {
                    "evidence": fact.id,
                    "kind": fact.kind,
                    "count": fact.count,
                    "source": fact.source,
                    "trust": fact.trust,
                    "observed_at": fact.observed_at.isoformat(),
                },
            )


async def concerned(facts: Sequence[Evidence], stores: Stores) -> Sequence[DeviceId]:
    """The devices whose posture the facts are part of, themselves or through their profile or site."""
    named = {DeviceId(fact.subject.id) for fact in facts if fact.subject.kind is SubjectKind.DEVICE}
    profiles = {fact.subject.id for fact in facts if fact.subject.kind is SubjectKind.PROFILE}
    sites = {fact.subject.id for fact in facts if fact.subject.kind is SubjectKind.SITE}
    if profiles or sites:
        every = every_device(stores)
        named |= {device.id async for device in every if device.profile in profiles or device.site in sites}
    return sorted(named)
