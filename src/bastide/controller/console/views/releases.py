"""The Releases room: what is published and where it runs, the rollouts, and one rollout as it goes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bastide.controller.api.rollouts import sees
from bastide.controller.console.views.questions import Question
from bastide.controller.console.views.reader import Reader
from bastide.device.release.release import Release
from bastide.flows.propose_rollout import Rolling, all_published
from bastide.governance.access.principal import Principal
from bastide.operations.rollout.abort import Verdict
from bastide.operations.rollout.preflight import Hindrance
from bastide.operations.rollout.rollout import Part, PartState, Phase, RingCount, Rollout

SHOWN, STRAGGLERS = 50, 50
CHART = 1000
"""The width of a ring's chart; it shows rates up to 40 %, or up to what there is."""
AT_LEAST_TO = 0.4

HINDERED: Mapping[Hindrance, str] = {
    Hindrance.RUNS_IT: "run it already",
    Hindrance.HARDWARE: "are other hardware; their boot chain would refuse it",
    Hindrance.COUNTER: "confirmed a higher security counter; their boot chain would refuse it",
    Hindrance.INTERMEDIATE: "run a version below the one that must run before",
    Hindrance.REQUIRES: "miss another component, or have an older one",
    Hindrance.SPACE: "have slots that are too small",
    Hindrance.KEY: "do not trust the key that signed it",
    Hindrance.UNKNOWN: "never said what must be known of them; nothing is guessed",
}
PHASES: Mapping[Phase, tuple[str, str, str]] = {
    Phase.PROPOSED: ("Waits for approval", "lagging", "clock"),
    Phase.RUNNING: ("Runs", "held", "update"),
    Phase.PAUSED: ("Paused", "lagging", "clock"),
    Phase.STOPPED: ("Stopped", "failed", "alert"),
    Phase.ENDED: ("Ended", "absent", "cross"),
}


@dataclass(frozen=True, slots=True)
class ReleaseRow:
    """A release and how many devices run it; None where whoever looks does not see the whole fleet."""

    release: Release
    runs: int | None
    rollout: Rollout | None


@dataclass(frozen=True, slots=True)
class RolloutRow:
    """A rollout and how it goes."""

    rollout: Rollout
    phase: tuple[str, str, str]
    began: int
    succeeded: int
    failed: int


@dataclass(frozen=True, slots=True)
class Ring:
    """A ring with its interval, as places on the chart from 0 to ``CHART``."""

    count: RingCount
    share: str
    turn: bool
    low: float
    high: float
    at: float
    said: str


@dataclass(frozen=True, slots=True)
class Named:
    """A device's part, with its name."""

    part: Part
    name: str


@dataclass(frozen=True, slots=True)
class RolloutPage:
    """One rollout. ``tolerable`` and ``intolerable`` are places on the rings' charts."""

    rollout: Rollout
    phase: tuple[str, str, str]
    by: str
    sentence: str
    rings: Sequence[Ring]
    tolerable: float
    intolerable: float
    failed: Sequence[Named]
    at_it: Sequence[Named]


async def room(rolling: Rolling, asking: Principal) -> tuple[Sequence[ReleaseRow], Sequence[RolloutRow]]:
    """What is published, the newest of each name first; the rollouts that whoever asks may see, the newest first."""
    rollouts = [one for one in await rolling.reads.list((), SHOWN) if sees(asking, one)]
    published = sorted(await all_published(rolling), key=lambda one: (one.name, -int(one.facts.get("counter", 0))))
    images = await rolling.reads.images() if asking.scope.boundless else None
    rows = [
        ReleaseRow(
            one,
            None if images is None else images.get(one.digest, 0),
            next(
                (each for each in rollouts if each.release.digest == one.digest and each.phase is Phase.RUNNING), None
            ),
        )
        for one in published
    ]
    listed = []
    for one in rollouts:
        counts = await rolling.reads.rings(one.id)
        sums = [sum(getattr(each, name) for each in counts) for name in ("began", "succeeded", "failed")]
        listed.append(RolloutRow(one, PHASES[one.phase], *sums))
    return rows, listed


async def rollout_page(rollout: Rollout, rolling: Rolling, reader: Reader) -> RolloutPage:
    """One rollout as it goes."""
    counts, rule = await rolling.reads.rings(rollout.id), rollout.terms.rule
    most = max(
        [AT_LEAST_TO, rule.intolerable * 1.2, *(one.interval()[1] for one in counts if one.succeeded + one.failed)]
    )
    failed = await rolling.reads.parts(rollout.id, PartState.FAILED, STRAGGLERS)
    at_it = await rolling.reads.parts(rollout.id, PartState.BEGAN, STRAGGLERS)
    return RolloutPage(
        rollout,
        PHASES[rollout.phase],
        await reader.actor(f"person:{rollout.proposed_by}"),
        _sentence(rollout, counts),
        [_ring(one, rollout, most) for one in counts],
        CHART * rule.tolerable / most,
        CHART * rule.intolerable / most,
        [await _named(one, reader) for one in failed],
        [await _named(one, reader) for one in at_it],
    )


async def _named(part: Part, reader: Reader) -> Named:
    device = await reader.device(part.device)
    return Named(part, device.name or device.id if device else part.device)


def _ring(count: RingCount, rollout: Rollout, most: float) -> Ring:
    low, high = count.interval()
    answered = count.succeeded + count.failed
    rate = count.failed / answered if answered else 0.0
    said = (
        f"{rate:.1%} of those that answered failed; between {low:.1%} and {high:.1%}, 95% sure"
        if answered
        else "Nobody answered yet"
    )
    share = rollout.terms.rings.shares[count.ring]
    return Ring(
        count,
        f"{share:.0%}" if share >= 0.01 else f"{share:.2%}",
        count.ring == rollout.ring and rollout.phase is Phase.RUNNING,
        CHART * low / most if answered else 0.0,
        CHART * high / most if answered else 0.0,
        CHART * rate / most if answered else -1.0,
        said,
    )


def _sentence(rollout: Rollout, counts: Sequence[RingCount]) -> str:
    """How it goes, in words."""
    began, succeeded, failed = (sum(getattr(one, name) for one in counts) for name in ("began", "succeeded", "failed"))
    rings = len(rollout.terms.rings.shares)
    if rollout.phase is Phase.PROPOSED:
        missing = rollout.terms.approvals - len(rollout.approved_by)
        return (
            f"Nothing is offered before {'one more person approves' if missing == 1 else f'{missing} people approve'}."
        )
    told = f"{succeeded} of {began} devices that began measured that they run it; it failed on {failed}."
    if rollout.phase is not Phase.RUNNING:
        return f"{rollout.because} {told}"
    verdict = {
        Verdict.GO_ON: "Too few have answered to rule either rate out.",
        Verdict.WELL: "The intolerable rate is ruled out.",
        Verdict.ABORT: "",
    }[rollout.watch.verdict]
    return f"Ring {rollout.ring + 1} of {rings}. {told} {verdict}".strip()


def about_act(act: str, rollout: Rollout) -> Question:
    """The dialog for ``approve``, ``pause``, ``resume`` or ``stop``."""
    name = f"{rollout.release.name} {rollout.release.version}"
    action = f"/releases/rollouts/{rollout.id}/{act}"
    if act == "approve":
        missing = rollout.terms.approvals - len(rollout.approved_by) - 1
        shares = ", ".join(f"{share:.2%}" if share < 0.01 else f"{share:.0%}" for share in rollout.terms.rings.shares)
        then = "It begins at once" if not missing else f"It waits for {missing} more"
        return Question(
            f"Approve {name}?",
            f"For devices of the class {rollout.target.device_class}.",
            (
                ("Rings", f"Up to {shares} of them"),
                ("Stopped by itself", f"Where more fail than {rollout.terms.rule.tolerable:.0%} explains"),
                ("Then", then),
                ("Undo", "Pause or stop it at any time; who has the release keeps it"),
            ),
            action,
            "Approve",
            "",
            wants_reason=False,
        )
    if act == "resume":
        return Question(
            f"Go on with {name}?",
            rollout.because,
            (("Then", f"Ring {rollout.ring + 1} goes on where it was"),),
            action,
            "Go on",
            "",
            wants_reason=False,
        )
    if act == "pause":
        return Question(
            f"Pause {name}?",
            "Nobody begins any more. Who has begun goes on.",
            (("Undo", "Go on with it at any time"),),
            action,
            "Pause",
            "",
        )
    return Question(
        f"Stop {name} for good?",
        "Nobody begins any more, and it does not run again. Who has the release keeps it.",
        (("Undo", "None; propose it anew"),),
        action,
        "Stop it",
        "",
    )
