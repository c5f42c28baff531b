"""Where plans take hold."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bastide.core.plan import Outcome, Plan, Point


class Enforcer(Protocol):
    """One enforcement point. It makes no choice of its own."""

    @property
    def point(self) -> Point: ...

    async def apply(self, plan: Plan) -> Outcome:
        """Makes the point hold the plan and says what it holds then, as measured. A plan older than the one held is
        refused (``Refused``, code ``plan:generation:stale``); a point out of reach is ``Unavailable``."""
        ...


class Capture(Protocol):
    """A capture by windows, so that its length does not matter."""

    @property
    def name(self) -> str: ...

    @property
    def size(self) -> int:
        """Octets in all."""
        ...

    def window(self, offset: int) -> NDArray[np.uint8]:
        """Octets from ``offset``: some MB, fewer only at the end. Read-only, valid until the next call."""
        ...
