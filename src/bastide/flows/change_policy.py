"""A changed policy: first what it would do to every device, then, if a person wants it, in force."""

from collections.abc import Sequence
from dataclasses import dataclass

from bastide.core.decision import Policy
from bastide.core.device import Device
from bastide.core.error import NotFound
from bastide.core.ids import DeviceId
from bastide.core.standing import Standing
from bastide.flows.every_device import every_device
from bastide.flows.govern_device import Governing
from bastide.governance.policy.decide import decide
from bastide.governance.policy.document import BUILT_IN, parse_policy
from bastide.governance.policy.posture import fold
from bastide.ports.platform.stores import EVERYTHING, DeviceFilter, Scope


@dataclass(frozen=True, slots=True)
class Effect:
    """What another policy would do to one device."""

    device: DeviceId
    name: str
    now: Standing
    then: Standing
    because: str


@dataclass(frozen=True, slots=True)
class Simulation:
    """``looked_at`` devices were decided for under both policies; ``effects`` are those whose standing would differ."""

    digest: str
    looked_at: int
    effects: tuple[Effect, ...]


async def simulate_policy(document: str, with_: Governing, scope: Scope = EVERYTHING) -> Simulation:
    """Decides for every device as if the document were in force. Changes nothing."""
    changed, now = parse_policy(document), with_.clock.now()
    in_force = await with_.stores.policies.current()
    waivers = await with_.stores.waivers.in_force(now)
    effects, looked_at = [], 0
    async for device in every_device(with_.stores, DeviceFilter(scope=scope)):
        posture = fold(device.id, await with_.stores.evidence.about(device), at=now)
        before = decide(device, posture, in_force, waivers, at=now)
        then = decide(device, posture, changed, waivers, at=now)
        if before.standing is not then.standing:
            effects.append(Effect(device.id, device.name, before.standing, then.standing, then.because))
        looked_at += 1
    return Simulation(changed.digest, looked_at, tuple(effects))


async def apply_policy(document: str, reason: str, actor: str, with_: Governing) -> Policy:
    """Puts the document in force. The governor then decides again for every device (``all_devices``)."""
    policy, now = parse_policy(document), with_.clock.now()
    async with with_.unit_of_work(actor) as work:
        work.policies.put(policy, document, now)
        work.ledger.record(
            "policy:document:applied", "policy", {"digest": policy.digest, "reason": reason, "document": document}
        )
    return policy


async def ensure_policy(with_: Governing) -> Policy:
    """The policy in force; the built-in one where there is none yet."""
    try:
        return await with_.stores.policies.current()
    except NotFound:
        return await apply_policy(BUILT_IN, "The policy that Bastide starts with", "system:first-run", with_)


async def all_devices(with_: Governing) -> Sequence[Device]:
    """Every device."""
    return [device async for device in every_device(with_.stores)]
