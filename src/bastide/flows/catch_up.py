"""Carries out what was decided and did not take hold: after a crash, or when a point could not be reached."""

from bastide.flows.govern_device import Governing, enforce

BATCH = 200


async def catch_up(with_: Governing) -> int:
    """Hands every unapplied plan to the points again; gives how many plans still do not hold everywhere."""
    left = 0
    for wanted in await with_.stores.plans.unapplied(BATCH):
        outcomes = await enforce(wanted, with_)
        left += any(outcome.error for outcome in outcomes)
    return left
