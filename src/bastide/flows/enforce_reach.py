"""Observe, then enforce: a profile's denials are first logged only, then dropped, for a device, a profile or a zone.

* Enforcing is refused while it would cut more than the limit of what some device was answered in the days before; whoever
  knows better says so (``anyway``).
* It begins on probation, and so does a network part that is stored anew. A device that turns out to miss more than the limit
  goes back to observe by itself, alone: one that was taken over cannot open the rest of its kind.
* Every change is recorded; the governor plans anew for whom it concerns, and gateways hold it within seconds.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from bastide.core.audit import Personal
from bastide.core.device import Device
from bastide.core.error import NotFound, Refused
from bastide.core.evidence import Evidence, Subject, SubjectKind
from bastide.core.ids import DeviceId, ProfileName
from bastide.core.mode import Over, Setting, mode_for, setting_for
from bastide.core.plan import NetworkMode
from bastide.flows.every_device import every_device
from bastide.flows.govern_device import Governing
from bastide.flows.operator_acts import checked_reason
from bastide.flows.simulate_reach import Simulated, devices_of, file_of, simulate_reach
from bastide.network.segmentation.denial import DENIED, denied_flow
from bastide.network.segmentation.probation import Missed, missed
from bastide.ports.platform.conversations import Wanted
from bastide.ports.platform.stores import DeviceFilter, Stores

ACTOR = "system:probation"
LIMIT = 0.05
PROBATION = timedelta(minutes=15)
MAX_PROBATION = timedelta(days=1)
BEFORE = timedelta(days=7)
MOST_FACTS = 500
MOST_HEARD = 2_000


@dataclass(frozen=True, slots=True)
class Enforced:
    """The mode that was set, and what it was expected to cut, profile by profile."""

    setting: Setting
    expected: tuple[Simulated, ...]


async def observe(over: Over, name: str, reason: str, actor: str, with_: Governing) -> Setting:
    """What the profile denies is logged and let through from now on."""
    await _devices_under(over, name, with_.stores)
    setting = Setting(over, name, NetworkMode.OBSERVE, checked_reason(reason), actor, with_.clock.now())
    await _set(setting, "network:mode:observe", {"reason": Personal(setting.reason)}, actor, with_)
    return setting


async def enforce(
    over: Over,
    name: str,
    reason: str,
    actor: str,
    with_: Governing,
    *,
    limit: float = LIMIT,
    probation: timedelta = PROBATION,
    anyway: bool = False,
) -> Enforced:
    """What the profile denies is dropped from now on. ``Refused`` (``mode:would-cut``) where that would cut too much."""
    if not 0 < limit <= 1:
        raise Refused("The limit is a share above 0 %, and at most 100 %.", code="mode:limit")
    if not timedelta(0) < probation <= MAX_PROBATION:
        raise Refused("A probation lasts at most 24 h.", code="mode:probation")
    now, devices = with_.clock.now(), await _devices_under(over, name, with_.stores)
    expected = await _expected(devices, now, with_)
    worse = [one for each in expected for one in each.devices if one.share_cut > limit]
    if worse and not anyway:
        worst = max(worse, key=lambda one: one.share_cut)
        others = f", and too much of {len(worse) - 1} more" if len(worse) > 1 else ""
        raise Refused(
            f"Enforcing would cut {worst.share_cut:.1%} of what {worst.device.name or worst.device.id} was answered in the "
            f"last {BEFORE.days} days{others} (limit {limit:.1%}). See `bastide segment simulate --of {worst.device.profile}`; "
            "add what is missing to the profile, or say that it shall be so anyway.",
            code="mode:would-cut",
        )
    setting = Setting(over, name, NetworkMode.ENFORCE, checked_reason(reason), actor, now, limit, now + probation)
    told: dict[str, str | Personal] = {
        "reason": Personal(setting.reason),
        "limit": f"{limit:.4f}",
        "probation_ends": (now + probation).isoformat(),
        "anyway": "yes" if worse else "no",
    }
    ended = [] if over is Over.DEVICE else await _returned(devices, with_.stores)
    await _set(setting, "network:mode:enforce", told, actor, with_, [replace(one, ended_at=now) for one in ended])
    return Enforced(setting, tuple(expected))


async def inherit(over: Over, name: str, actor: str, with_: Governing) -> None:
    """Takes a mode back: what is set for the profile or the zone counts, or that it is enforced."""
    found = next((one for one in await with_.stores.network.modes() if (one.over, one.name) == (over, name)), None)
    if found is None:
        raise NotFound(f"No mode is set for the {over.value} {name[:80]}.")
    await _set(replace(found, ended_at=with_.clock.now()), "network:mode:ended", {}, actor, with_)


async def judge_probation(device_id: DeviceId, with_: Governing) -> Setting | None:
    """Puts a device that misses too much back to observe; None where all is well or nothing is on probation."""
    stores, now = with_.stores, with_.clock.now()
    device = await stores.devices.get(device_id)
    settings = await stores.network.modes(device)
    since = await _probation_since(device, settings, now, stores)
    if since is None or mode_for(device, settings) is not NetworkMode.ENFORCE:
        return None
    counted = setting_for(device, settings)
    limit = counted.limit if counted else LIMIT
    facts = await stores.evidence.recent(Subject(SubjectKind.DEVICE, device_id), MOST_FACTS)
    denied = {flow for one in facts if _counts(one, since) and (flow := denied_flow(one)) is not None}
    if not denied:
        return None
    before = await stores.conversations.list(Wanted(since - BEFORE, since, (device_id,), MOST_HEARD))
    found = missed(before, denied, await stores.network.rulings(now, device_id))
    if found.share <= limit:
        return None
    reason = (
        f"Enforcing cut {found.share:.1%} of what it was answered in the {BEFORE.days} days before "
        f"(limit {limit:.1%}): {_lost(found)}."
    )
    setting = Setting(Over.DEVICE, device_id, NetworkMode.OBSERVE, reason, ACTOR, now)
    await _set(setting, "network:mode:returned", {"because": reason, "share": f"{found.share:.4f}"}, ACTOR, with_)
    return setting


async def probation_ends(with_: Governing) -> datetime | None:
    """When the last probation ends; None where nothing is on any."""
    now = with_.clock.now()
    ends = [one.changed_at + PROBATION for one in await with_.stores.network.reaches()]
    ends += [one.probation_ends for one in await with_.stores.network.modes() if one.probation_ends is not None]
    return max((one for one in ends if now < one), default=None)


async def on_probation(with_: Governing) -> tuple[DeviceId, ...]:
    """The devices that are: what a restarted controller looks at first."""
    now, settings = with_.clock.now(), await with_.stores.network.modes()
    young = {one.profile for one in await with_.stores.network.reaches() if now < one.changed_at + PROBATION}
    if not young and not any(one.on_probation(now) for one in settings):
        return ()
    found: list[DeviceId] = []
    async for device in every_device(with_.stores):
        setting = setting_for(device, settings)
        if device.profile in young or (setting is not None and setting.on_probation(now)):
            found.append(device.id)
    return tuple(found)


async def _probation_since(
    device: Device, settings: Sequence[Setting], now: datetime, stores: Stores
) -> datetime | None:
    """When what is on probation began; the later of what was set and a network part that was stored anew."""
    setting, reach = setting_for(device, settings), await stores.network.reach(device.profile)
    began = []
    if setting is not None and setting.on_probation(now):
        began.append(setting.at)
    if reach is not None and now < reach.changed_at + PROBATION:
        began.append(reach.changed_at)
    return max(began, default=None)


def _counts(fact: Evidence, since: datetime) -> bool:
    """Denied by the profile itself, and dropped: not by quarantine, nor because the gateway did not know it yet."""
    by_profile = fact.body.get("by", "profile") == "profile"
    enforced = fact.body.get("mode") == NetworkMode.ENFORCE.value
    return fact.kind == DENIED and fact.observed_at >= since and by_profile and enforced


def _lost(found: Missed) -> str:
    words = [
        f"{one.transport}/{one.port} {'to' if one.opened_by_device else 'from'} {one.peer_name or one.peer}"
        for one in found.lost
    ]
    distinct = list(dict.fromkeys(words))
    more = f" and {len(distinct) - 3} more" if len(distinct) > 3 else ""
    return ", ".join(distinct[:3]) + more


async def _devices_under(over: Over, name: str, stores: Stores) -> tuple[Device, ...]:
    """The devices that a mode is set for. ``NotFound`` where there is no such device, profile, or device in the zone."""
    if over is Over.DEVICE:
        return (await stores.devices.get(DeviceId(name)),)
    if over is Over.PROFILE:
        return await devices_of(ProfileName(name), DeviceFilter(), stores)
    found = tuple([one async for one in every_device(stores) if one.zone == name])
    if not found:
        raise NotFound(f"No device is in the zone {name[:80]!r}.")
    return found


async def _expected(devices: Sequence[Device], now: datetime, with_: Governing) -> list[Simulated]:
    expected = []
    for profile in sorted({one.profile for one in devices}):
        file = await file_of(profile, with_.stores.network)
        if file is not None:
            mine = [one for one in devices if one.profile == profile]
            expected.append(await simulate_reach(mine, file, BEFORE, now, with_))
    return expected


async def _returned(devices: Sequence[Device], stores: Stores) -> list[Setting]:
    """The devices among these that went back to observe by themselves: whoever enforces anew tries them anew."""
    names = {one.id for one in devices}
    kept = await stores.network.modes()
    return [one for one in kept if one.over is Over.DEVICE and one.by == ACTOR and one.name in names]


async def _set(
    setting: Setting,
    kind: str,
    told: dict[str, str | Personal],
    actor: str,
    with_: Governing,
    also: Sequence[Setting] = (),
) -> None:
    async with with_.unit_of_work(actor) as work:
        work.network.put_mode(setting)
        work.ledger.record(kind, f"{setting.over.value}:{setting.name}", {"mode": setting.mode, **told})
        for one in also:
            work.network.put_mode(one)
            work.ledger.record("network:mode:ended", f"{one.over.value}:{one.name}", {"because": "enforced anew"})
