"""Enforcement points: one suite over the one in memory and those that are tables. The broker's is tried in tests/broker."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from bastide.adapters.sql.database import Database
from bastide.adapters.sql.enforcers import CredentialEnforcer, UpdateEnforcer
from bastide.core.error import Refused, Unavailable
from bastide.core.plan import CredentialState, Point, UpdateEligibility
from bastide.ports.network import Enforcer
from bastide.testing import FakeClock, MemoryEnforcer
from tests.ports import values
from tests.ports.values import A, B

MAKERS: dict[str, Callable[[Database, FakeClock], Enforcer]] = {
    "memory-credential": lambda database, clock: MemoryEnforcer(Point.CREDENTIAL, clock),
    "memory-update": lambda database, clock: MemoryEnforcer(Point.UPDATE, clock),
    "credential": CredentialEnforcer,
    "update": UpdateEnforcer,
}


@pytest.fixture(params=sorted(MAKERS))
def point(request: pytest.FixtureRequest, database: Database, clock: FakeClock) -> Enforcer:
    return MAKERS[request.param](database, clock)


async def test_a_point_says_what_it_holds_then(point: Enforcer, clock: FakeClock) -> None:
    quarantine = replace(
        values.plan(generation=3), credential=CredentialState.SUSPENDED, update=UpdateEligibility.REPAIR
    )
    clock.advance(timedelta(seconds=5))
    outcome = await point.apply(quarantine)
    assert (outcome.device, outcome.point, outcome.generation) == (A, point.point, 3)
    assert outcome.applied_at == clock.now()
    assert outcome.holds == ("suspended" if point.point is Point.CREDENTIAL else "repair")
    assert outcome.error == ""


async def test_a_plan_older_than_the_one_held_is_refused_and_the_newer_stays(point: Enforcer) -> None:
    await point.apply(values.plan(generation=4))
    with pytest.raises(Refused) as refused:
        await point.apply(replace(values.plan(generation=3), update=UpdateEligibility.NONE))
    assert refused.value.reason == "plan:generation:stale"
    assert (await point.apply(values.plan(generation=4))).holds in ("valid", "normal")


async def test_the_same_plan_again_is_no_error(point: Enforcer) -> None:
    first = await point.apply(values.plan(generation=2))
    assert await point.apply(values.plan(generation=2)) == first


async def test_one_device_does_not_hold_up_another(point: Enforcer) -> None:
    await point.apply(values.plan(A, 9))
    assert (await point.apply(values.plan(B, 1))).generation == 1


async def test_a_point_out_of_reach_in_memory_is_unavailable_until_it_is_back(clock: FakeClock) -> None:
    point = MemoryEnforcer(Point.BROKER, clock)
    point.out_of_reach(Unavailable("The broker does not answer."))
    with pytest.raises(Unavailable):
        await point.apply(values.plan())
    assert point.holding == {}
    point.within_reach()
    assert (await point.apply(values.plan())).holds == "publish 1, subscribe 1"
