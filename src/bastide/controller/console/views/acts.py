"""What an act would do, shown before it is done: decided and planned by the same rules as the real thing, written nowhere."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from bastide.controller.console.views import words
from bastide.core.device import Device
from bastide.core.evidence import Evidence, Fact, Subject, SubjectKind, Trust
from bastide.core.ids import EvidenceId
from bastide.core.mode import mode_for
from bastide.core.plan import Plan, Point
from bastide.core.standing import Stage, Standing
from bastide.flows.govern_device import Governing
from bastide.flows.plan_device import plan
from bastide.governance.policy.decide import decide
from bastide.governance.policy.posture import fold

MAY_RELEASE = frozenset({Standing.QUARANTINED, Standing.RESTRICTED})
MAY_QUARANTINE = frozenset({Standing.TRUSTED, Standing.RESTRICTED, Standing.PENDING, Standing.UNKNOWN})


@dataclass(frozen=True, slots=True)
class Change:
    """What one enforcement point holds now, and would hold."""

    title: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Preview:
    key: str
    standing: Standing
    title: str
    lead: str
    then: Standing
    points: tuple[Change, ...]
    undo: str
    button: str
    placeholder: str
    grave: bool


@dataclass(frozen=True, slots=True)
class _Words:
    title: str
    lead: str
    undo: str
    button: str
    placeholder: str
    grave: bool = False


_ACTS: Mapping[str, _Words] = {
    "quarantine": _Words(
        "Quarantine {name}?",
        "Its connection is cut at once, and it stays cut until a person releases it.",
        "Release it at any time; it then connects again by itself.",
        "Quarantine it",
        "What did you see?",
        grave=True,
    ),
    "release": _Words(
        "Release {name}?",
        "What rules hold against it is let go. New evidence counts from now on, so it can lose its standing again.",
        "Quarantine it again at any time.",
        "Release it",
        "What was done, so that it will not happen again?",
    ),
    "break-glass": _Words(
        "Break glass for {name}?",
        "Every rule is set aside for this device until the time is over. Use it when the work cannot wait for the cause.",
        "It ends by itself; quarantine or release does not end it sooner.",
        "Break glass",
        "Why can it not wait?",
        grave=True,
    ),
    "retire": _Words(
        "Retire {name}?",
        "Everything is taken from it: certificates are revoked, the broker and the network are closed to it, it gets no updates.",
        "There is no way back. The same thing can only enrol as a new device.",
        "Retire it for ever",
        "Where did it go?",
        grave=True,
    ),
}
_KIND = {"quarantine": "operator.quarantine", "release": "operator.release", "break-glass": "operator.break-glass"}


async def preview(
    key: str, device: Device, governing: Governing, now: datetime, standing: Standing = Standing.TRUSTED
) -> Preview:
    """Decides as if the act's evidence were there; ``standing`` is what break-glass gives."""
    stores = governing.stores
    body: dict[str, Fact] = {"standing": standing.value} if key == "break-glass" else {}
    if key == "retire":
        device = replace(device, stage=Stage.RETIRED)
    supposed = Evidence(
        id=EvidenceId("e-preview"),
        kind=_KIND.get(key, "operator.none"),
        subject=Subject(SubjectKind.DEVICE, device.id),
        source="preview",
        trust=Trust.OPERATOR,
        observed_at=now,
        received_at=now,
        fresh_for=timedelta(hours=1) if key == "break-glass" else None,
        body=body,
    )
    posture = fold(device.id, [supposed, *await stores.evidence.about(device)], at=now)
    policy, waivers = await stores.policies.current(), await stores.waivers.in_force(now)
    decision = decide(device, posture, policy, waivers, at=now)
    profile = await stores.catalogue.profile(device.profile)
    mode = mode_for(device, await stores.network.modes(device))
    wanted = plan(device, decision, profile, mode, device.generation + 1, at=now)
    held = await stores.plans.current(device.id)
    said = _ACTS[key]
    before = _points(held) if held else dict.fromkeys(Point, "nothing yet")
    return Preview(
        key=key,
        standing=standing,
        title=said.title.format(name=device.name or device.id),
        lead=said.lead,
        then=decision.standing,
        points=tuple(Change(words.POINT[point], before[point], after) for point, after in _points(wanted).items()),
        undo=said.undo,
        button=said.button,
        placeholder=said.placeholder,
        grave=said.grave,
    )


def _points(plan: Plan) -> dict[Point, str]:
    return {
        Point.BROKER: words.grant(plan.broker),
        Point.CREDENTIAL: words.credential(plan.credential),
        Point.UPDATE: words.update(plan.update),
        Point.NETWORK: words.network(plan.network),
    }
