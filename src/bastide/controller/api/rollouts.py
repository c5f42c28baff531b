"""Rollouts: what is published, what a release would do, who gets it when, and how it goes."""

from collections.abc import Mapping, Sequence
from datetime import datetime, time, timedelta
from typing import Annotated, Any, Literal

from fastapi import Path, Query
from pydantic import Field

from bastide.controller.api.access import Asking, Using
from bastide.controller.api.devices import within_scope
from bastide.controller.api.models import Answer, Asked, DeviceIn, Limit, Name, Page, Sentence, page
from bastide.controller.api.routes import Routes, documented
from bastide.core.error import NotFound
from bastide.core.ids import DeviceClass
from bastide.device.release.release import Release
from bastide.flows import propose_rollout as flows
from bastide.flows.propose_rollout import Rolling
from bastide.governance.access.error import NotPermitted
from bastide.governance.access.principal import Principal
from bastide.governance.access.roles import Permission
from bastide.operations.rollout.abort import AbortRule, Verdict
from bastide.operations.rollout.plan import Ramp, Rings, Window
from bastide.operations.rollout.preflight import Hindrance, Preflight
from bastide.operations.rollout.rollout import Part, PartState, Phase, RingCount, Rollout, RolloutId, Target, Terms

_READ, _CHANGE = Permission.FLEET_READ, Permission.ROLLOUT_CHANGE
RolloutIn = Annotated[str, Path(pattern=r"^u-[a-z2-7]{20}$", description="The rollout's id.")]
Version = Annotated[str, Field(min_length=1, max_length=64)]
Share = Annotated[float, Field(gt=0, le=1)]
Clock = Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class ReleaseOut(Answer):
    """A published release. ``facts`` are those that its signers stated."""

    name: str
    version: str
    path: str
    length: int
    digest: str
    facts: Mapping[str, Any]


class WindowIn(Asked):
    """A maintenance window: the days on which it begins, and its hours by the clock of the rollout's time zone."""

    days: Annotated[list[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]], Field(min_length=1, max_length=7)]
    begins: Clock
    ends: Clock


class TargetIn(Asked):
    """A release and whom it is for; without site and owner all devices of the class."""

    name: Name
    version: Version
    device_class: Name
    site: Name | None = None
    owner: Name | None = None


class RolloutPost(TargetIn):
    """How it goes. ``rings`` are shares of the target that rise to 1. The ramp lets ``first`` devices begin at once in each ring,
    then as many each ``step_s``, times ``growth`` from step to step. ``tolerable`` and ``intolerable`` are the abort rule's rates
    of failure. ``answer_within_s``: after it, silence is failure. ``repair``: devices that get repairs only may take it."""

    rings: Annotated[tuple[Share, ...], Field(min_length=1, max_length=10)] = (0.01, 0.1, 0.5, 1.0)
    first: Annotated[int, Field(ge=1, le=100_000)] = 5
    step_s: Annotated[int, Field(ge=60, le=7 * 86_400)] = 600
    growth: Annotated[float, Field(ge=1, le=10)] = 1.2
    windows: Annotated[tuple[WindowIn, ...], Field(max_length=20)] = ()
    zone: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_+/-]+$")] = "UTC"
    tolerable: Annotated[float, Field(gt=0, lt=1)] = 0.05
    intolerable: Annotated[float, Field(gt=0, lt=1)] = 0.15
    answer_within_s: Annotated[int, Field(ge=60, le=30 * 86_400)] = 7200
    tries: Annotated[int, Field(ge=1, le=5)] = 2
    approvals: Annotated[int, Field(ge=1, le=5)] = 1
    repair: bool = False


class ReasonIn(Asked):
    """Why."""

    reason: Sentence


class HinderedOut(Answer):
    """Why devices cannot take it: how many, and some of them."""

    why: Hindrance
    devices: int
    examples: Sequence[str]


class PreflightOut(Answer):
    """``no_way_back`` counts those that could not go back after it."""

    devices: int
    ready: int
    no_way_back: int
    hindered: Sequence[HinderedOut]


class RingOut(Answer):
    """``share`` is up to which share of the target. ``low`` and ``high`` are the 95 % interval of the rate of failure."""

    ring: int
    share: float
    began: int
    succeeded: int
    failed: int
    low: float
    high: float


class RolloutOut(Answer):
    """``ring`` counts from 1. ``verdict`` is the abort rule's in this ring."""

    id: str
    name: str
    version: str
    sha256: str
    counter: int
    device_class: str
    site: str
    owner: str
    phase: Phase
    because: str
    ring: int
    verdict: Verdict
    proposed_at: datetime
    began: datetime | None
    ended: datetime | None
    approvals: int
    approved: int
    rings: Sequence[RingOut]


class PartOut(Answer):
    """One device's part. ``ring`` counts from 1."""

    rollout: str
    device: str
    ring: int
    state: PartState
    began: datetime
    deadline: datetime
    answered: datetime | None
    before: str
    because: str
    tries: int


class RunningOut(Answer):
    """What a device measured that it runs; null where it never said so."""

    hardware: str
    version: str
    counter: int | None
    slot_octets: int | None
    sha256: str
    on_trial: bool
    components: Mapping[str, str]
    reported_at: datetime


class DeviceUpdatesOut(Answer):
    """What runs on one device, and its parts in rollouts, newest first."""

    running: RunningOut | None
    parts: Sequence[PartOut]


def rollout_routes(with_: Rolling) -> Routes:
    """The routes."""
    routes = Routes("", "rollouts")

    @routes.get("/releases", needs=_READ)
    async def list_releases(asking: Asking) -> Page[ReleaseOut]:
        """The releases that are published and not withdrawn."""
        found = await flows.all_published(with_)
        return Page(items=[ReleaseOut.model_validate(one) for one in found])

    @routes.post("/rollouts/preflight", needs=_CHANGE, responses={404: documented(404)})
    async def look_before_a_rollout(asked: TargetIn, asking: Asking) -> PreflightOut:
        """What the release would do to each device, by what the devices last said of themselves."""
        release, target = await _asked(asked, asking)
        return _preflight(await flows.look_before(release, target, with_))

    @routes.get("/rollouts", needs=_READ)
    async def list_rollouts(
        asking: Asking,
        limit: Limit = 100,
        after: Annotated[str, Query(pattern=r"^(u-[a-z2-7]{20})?$")] = "",
        phase: Annotated[list[Phase], Query(max_length=5)] = [],  # noqa: B006 - FastAPI copies it
    ) -> Page[RolloutOut]:
        """Newest first."""
        found = await with_.reads.list(phase, limit, after)
        seen = [_out(one, ()) for one in found if sees(asking, one)]
        return Page(items=seen, next=page(found, limit, found[-1].id if found else "").next)

    @routes.post("/rollouts", needs=_CHANGE, status_code=201, responses={404: documented(404)})
    async def propose_a_rollout(asked: RolloutPost, asking: Asking) -> RolloutOut:
        """It waits until as many people as it asks for have approved it."""
        release, target = await _asked(asked, asking)
        terms = Terms(
            Rings(asked.rings),
            Ramp(asked.first, timedelta(seconds=asked.step_s), asked.growth),
            tuple(_window(one) for one in asked.windows),
            asked.zone,
            AbortRule(asked.tolerable, asked.intolerable),
            timedelta(seconds=asked.answer_within_s),
            asked.tries,
            asked.approvals,
            asked.repair,
        )
        return _out(await flows.propose(release, target, terms, asking.actor, asking.person, with_), ())

    @routes.get("/rollouts/{rollout}", needs=_READ, responses={404: documented(404)})
    async def show_a_rollout(rollout: RolloutIn, asking: Asking) -> RolloutOut:
        """How it goes, ring by ring."""
        return await _shown(await _held(rollout, asking))

    @routes.get("/rollouts/{rollout}/devices", needs=_READ, responses={404: documented(404)})
    async def list_devices_of_a_rollout(
        rollout: RolloutIn,
        asking: Asking,
        limit: Limit = 100,
        after: Annotated[str, Query(pattern=r"^(d-[a-z2-7]{20})?$")] = "",
        state: PartState | None = None,
    ) -> Page[PartOut]:
        """Those that began, by id."""
        held = await _held(rollout, asking)
        found = await with_.reads.parts(held.id, state, limit, after)
        return page([_part(one) for one in found], limit, found[-1].device if found else "")

    @routes.post("/rollouts/{rollout}/approval", needs=_CHANGE, responses={404: documented(404)})
    async def approve_a_rollout(rollout: RolloutIn, asking: Asking) -> RolloutOut:
        """With the last approval that is needed it runs. One person approves once."""
        held = await _held(rollout, asking)
        return await _shown(await flows.approve(held.id, asking.actor, asking.person, with_))

    @routes.post("/rollouts/{rollout}/pause", needs=_CHANGE, responses={404: documented(404)})
    async def pause_a_rollout(rollout: RolloutIn, asked: ReasonIn, asking: Asking) -> RolloutOut:
        """Nobody begins any more; who began goes on."""
        held = await _held(rollout, asking)
        return await _shown(await flows.pause(held.id, asked.reason, asking.actor, with_))

    @routes.post("/rollouts/{rollout}/resumption", needs=_CHANGE, responses={404: documented(404)})
    async def resume_a_rollout(rollout: RolloutIn, asking: Asking) -> RolloutOut:
        """It goes on in its ring."""
        return await _shown(await flows.resume((await _held(rollout, asking)).id, asking.actor, with_))

    @routes.post("/rollouts/{rollout}/end", needs=_CHANGE, responses={404: documented(404)})
    async def end_a_rollout(rollout: RolloutIn, asked: ReasonIn, asking: Asking) -> RolloutOut:
        """For good. Who has the release keeps it."""
        held = await _held(rollout, asking)
        return await _shown(await flows.end(held.id, asked.reason, asking.actor, with_))

    @routes.get("/devices/{device}/updates", needs=_READ, responses={404: documented(404)})
    async def show_updates_of_a_device(device: DeviceIn, asking: Asking, deps: Using) -> DeviceUpdatesOut:
        """One device's story: what it runs, and what it was told to take."""
        held = await within_scope(device, asking, deps)
        running = await with_.reads.running(held.id)
        told = None
        if running is not None:
            report = running.report
            members = {one: getattr(report, one) for one in RunningOut.model_fields if one != "reported_at"}
            told = RunningOut(**members, reported_at=running.reported_at)
        return DeviceUpdatesOut(running=told, parts=[_part(one) for one in await with_.reads.parts_of(held.id, 100)])

    async def _asked(asked: TargetIn, asking: Principal) -> tuple[Release, Target]:
        target = Target(DeviceClass(asked.device_class), asked.site or "", asked.owner or "")
        must_reach(asking, target)
        return await flows.published(asked.name, asked.version, with_), target

    async def _held(rollout: str, asking: Principal) -> Rollout:
        held = await with_.reads.get(RolloutId(rollout))
        if not sees(asking, held):
            raise NotFound(f"There is no rollout {rollout}. `bastide rollout list` shows those that there are.")
        return held

    async def _shown(rollout: Rollout) -> RolloutOut:
        return _out(rollout, await with_.reads.rings(rollout.id))

    return routes


def reaches(asking: Principal, target: Target) -> bool:
    """Whether all that a target may hold is in the scope of whoever asks."""
    scope = asking.scope
    return scope.boundless or (
        (not scope.classes or target.device_class in scope.classes) and (not scope.sites or target.site in scope.sites)
    )


def must_reach(asking: Principal, target: Target) -> None:
    """Raises where a target is outside the scope of whoever asks."""
    if not reaches(asking, target):
        raise NotPermitted("That would be for devices outside your sites and classes.")


def sees(asking: Principal, rollout: Rollout) -> bool:
    """Rollouts are seen, and acted on, by those whose scope holds all of the target."""
    return reaches(asking, rollout.target)


def _window(asked: WindowIn) -> Window:
    begins, ends = time.fromisoformat(asked.begins), time.fromisoformat(asked.ends)
    return Window(frozenset(DAYS.index(day) for day in asked.days), begins, ends)


def _preflight(found: Preflight) -> PreflightOut:
    hindered = sorted(found.hindered.items(), key=lambda one: -one[1])
    return PreflightOut(
        devices=found.devices,
        ready=found.ready,
        no_way_back=found.no_way_back,
        hindered=[HinderedOut(why=why, devices=count, examples=found.examples[why]) for why, count in hindered],
    )


def _out(rollout: Rollout, rings: Sequence[RingCount]) -> RolloutOut:
    return RolloutOut(
        id=rollout.id,
        name=rollout.release.name,
        version=rollout.release.version,
        sha256=rollout.release.digest,
        counter=int(rollout.release.facts.get("counter", 0)),
        device_class=rollout.target.device_class,
        site=rollout.target.site,
        owner=rollout.target.owner,
        phase=rollout.phase,
        because=rollout.because,
        ring=rollout.ring + 1,
        verdict=rollout.watch.verdict,
        proposed_at=rollout.proposed_at,
        began=rollout.began,
        ended=rollout.ended,
        approvals=rollout.terms.approvals,
        approved=len(rollout.approved_by),
        rings=[_ring(one, rollout) for one in rings],
    )


def _ring(count: RingCount, rollout: Rollout) -> RingOut:
    low, high = count.interval()
    return RingOut(
        ring=count.ring + 1,
        share=rollout.terms.rings.shares[count.ring],
        began=count.began,
        succeeded=count.succeeded,
        failed=count.failed,
        low=low,
        high=high,
    )


def _part(part: Part) -> PartOut:
    members = {name: getattr(part, name) for name in PartOut.model_fields if name != "ring"}
    return PartOut(**members, ring=part.ring + 1)
