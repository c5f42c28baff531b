"""Carries out what was decided and did not take hold: after a crash, or when a point could not be reached."""

from datetime import timedelta

from bastide.flows.govern_device import Governing, enforce

BATCH = 200
# A plan this young is still being carried out by whoever made it.
GRACE = timedelta(seconds=3)


async def catch_up(with_: Governing) -> int:
    """Hands every unapplied plan to the points again; gives how many plans still do not hold everywhere."""
    left = 0
    now = with_.clock.now()
    for wanted in await with_.stores.plans.unapplied(BATCH):
        if now - wanted.made_at < GRACE:
            continue
        outcomes = await enforce(wanted, with_)
        left += any(outcome.error for outcome in outcomes)
    return left
