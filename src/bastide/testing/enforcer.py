"""An enforcement point in memory: it holds plans by generation and refuses a stale one, as every real point does."""

from datetime import datetime

from bastide.core.error import BastideError, Refused
from bastide.core.ids import DeviceId
from bastide.core.plan import Outcome, Plan, Point
from bastide.ports.clock import Clock


class MemoryEnforcer:
    """``holding`` is what the point holds now. ``out_of_reach(error)`` makes it fail until ``within_reach()``."""

    def __init__(self, point: Point, clock: Clock) -> None:
        self._point = point
        self._clock = clock
        self._failure: BastideError | None = None
        self.holding: dict[DeviceId, Plan] = {}
        self.applied: list[tuple[datetime, Plan]] = []

    @property
    def point(self) -> Point:
        return self._point

    def out_of_reach(self, error: BastideError) -> None:
        self._failure = error

    def within_reach(self) -> None:
        self._failure = None

    async def apply(self, plan: Plan) -> Outcome:
        if self._failure is not None:
            raise self._failure
        held = self.holding.get(plan.device)
        if held is not None and plan.generation < held.generation:
            raise Refused(
                f"The {self._point.value} point holds generation {held.generation} of {plan.device} and was handed "
                f"{plan.generation}; read the current plan and apply that.",
                code="plan:generation:stale",
            )
        self.holding[plan.device] = plan
        now = self._clock.now()
        self.applied.append((now, plan))
        return Outcome(plan.device, self._point, plan.generation, now, self._describe(plan))

    def _describe(self, plan: Plan) -> str:
        if self._point is Point.BROKER:
            grant = plan.broker
            return f"publish {len(grant.publish)}, subscribe {len(grant.subscribe)}" if grant.may_connect else "refused"
        if self._point is Point.NETWORK:
            return f"{plan.network.circle.value}, {plan.network.mode.value}"
        return plan.credential.value if self._point is Point.CREDENTIAL else plan.update.value
