"""What people do with rollouts: look before, propose, approve, pause, resume, end. Each act is a record of the ledger."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from bastide.core.audit import Personal
from bastide.core.error import NotFound, Refused
from bastide.core.ids import DeviceId
from bastide.device.release.release import Release
from bastide.flows.operator_acts import checked_reason
from bastide.operations.rollout import rollout as rules
from bastide.operations.rollout.preflight import Installed, Judging, Preflight
from bastide.operations.rollout.rollout import Phase, Rollout, RolloutId, Target, Terms, as_installed, offer_of
from bastide.ports.clock import Clock, Ids
from bastide.ports.platform.rollouts import Releases, RolloutReads, RolloutUnitsOfWork, Running

PAGE = 1000
MOST_OPEN = 200
OPEN = (Phase.PROPOSED, Phase.RUNNING, Phase.PAUSED)


@dataclass(frozen=True, slots=True)
class Rolling:
    """What these flows work with."""

    units: RolloutUnitsOfWork
    reads: RolloutReads
    releases: Releases
    clock: Clock
    ids: Ids


async def all_published(with_: Rolling) -> Sequence[Release]:
    """What is published and not withdrawn."""
    return await asyncio.to_thread(with_.releases.published)


async def published(name: str, version: str, with_: Rolling) -> Release:
    """A release by name and version; ``NotFound`` where it is not published."""
    for one in await all_published(with_):
        if (one.name, one.version) == (name, version):
            return one
    raise NotFound(
        f"{name} {version} is not published in this platform's repository. `bastide rollout releases` shows what is; "
        "docs/updates.md says how one is published."
    )


async def look_before(release: Release, target: Target, with_: Rolling) -> Preflight:
    """What the release would do to each device of the target, by what they last reported: a page at a time, so that a large
    fleet is neither held nor in anybody's way."""
    judging, after = Judging(offer_of(release), with_.clock.now()), ""
    while page := await with_.reads.fleet(target, PAGE, after):
        for device, running in page:
            judging.add(installed_of(device, running))
        after = page[-1][0]
    return judging.result()


def installed_of(device: DeviceId, running: Running | None) -> Installed:
    """A device as preflight judges it; one that never reported has nothing known of it."""
    if running is None:
        return Installed(device, None, None, None, None, {})
    return as_installed(device, running.report)


async def propose(release: Release, target: Target, terms: Terms, actor: str, person: str, with_: Rolling) -> Rollout:
    """A rollout that waits to be approved."""
    try:
        ZoneInfo(terms.zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise Refused(
            f"{terms.zone[:64]!r} is no time zone; write one as Europe/Berlin.", code="rollout:terms"
        ) from error
    if len(await with_.reads.list(OPEN, MOST_OPEN)) >= MOST_OPEN:
        raise Refused(f"{MOST_OPEN} rollouts are open already. End some of them first.", code="rollout:many")
    made = Rollout(RolloutId(with_.ids.mint("u")), release, target, terms, with_.clock.now(), person)
    async with with_.units(actor) as work:
        work.rollouts.add(made)
        work.ledger.record("rollout:proposed", f"rollout:{made.id}", _said(made))
    return made


async def approve(id: RolloutId, actor: str, person: str, with_: Rolling) -> Rollout:
    """One more approval; with the last that is needed the rollout runs. Its release must still be published."""
    held = await with_.reads.get(id)
    await _still_published(held, with_)
    approved = rules.approve(held, person, with_.clock.now())
    return await _put(
        approved, "rollout:approved", actor, with_, of=held.terms.approvals, approvals=len(approved.approved_by)
    )


async def pause(id: RolloutId, reason: str, actor: str, with_: Rolling) -> Rollout:
    """Nobody begins any more until it is resumed."""
    reason = checked_reason(reason)
    paused = rules.pause(await with_.reads.get(id), reason, with_.clock.now())
    return await _put(paused, "rollout:paused", actor, with_, reason=reason)


async def resume(id: RolloutId, actor: str, with_: Rolling) -> Rollout:
    """It goes on in the ring that has the turn."""
    held = await with_.reads.get(id)
    await _still_published(held, with_)
    return await _put(rules.resume(held, with_.clock.now()), "rollout:resumed", actor, with_)


async def end(id: RolloutId, reason: str, actor: str, with_: Rolling) -> Rollout:
    """For good. Who has the release keeps it."""
    reason = checked_reason(reason)
    ended = rules.end(await with_.reads.get(id), reason, with_.clock.now())
    return await _put(ended, "rollout:ended", actor, with_, reason=reason)


async def _still_published(rollout: Rollout, with_: Rolling) -> None:
    found = await published(rollout.release.name, rollout.release.version, with_)
    if found.digest != rollout.release.digest:
        raise Refused(
            "The published release has another digest than the one that was proposed.", code="rollout:release"
        )


async def _put(changed: Rollout, kind: str, actor: str, with_: Rolling, **said: str | int) -> Rollout:
    told = {
        name: Personal(value) if name == "reason" and isinstance(value, str) else value for name, value in said.items()
    }
    async with with_.units(actor) as work:
        work.rollouts.put(changed)
        work.ledger.record(kind, f"rollout:{changed.id}", {"phase": changed.phase.value, **told})
    return replace(changed, number=changed.number + 1)


def _said(rollout: Rollout) -> dict[str, str | int]:
    release, target, terms = rollout.release, rollout.target, rollout.terms
    return {
        "release": f"{release.name} {release.version}",
        "sha256": release.digest,
        "counter": int(release.facts.get("counter", 0)),
        "class": target.device_class,
        "site": target.site,
        "owner": target.owner,
        "rings": ", ".join(f"{share:g}" for share in terms.rings.shares),
        "approvals": terms.approvals,
    }
