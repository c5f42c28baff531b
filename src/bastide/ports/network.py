"""Where plans take hold."""

from typing import Protocol

from bastide.core.plan import Outcome, Plan, Point


class Enforcer(Protocol):
    """One enforcement point. It makes no choice of its own."""

    @property
    def point(self) -> Point: ...

    async def apply(self, plan: Plan) -> Outcome:
        """Makes the point hold the plan and says what it holds then, as measured. A plan older than the one held is
        refused (``Refused``, code ``plan:generation:stale``); a point out of reach is ``Unavailable``."""
        ...
