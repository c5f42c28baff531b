"""Rollouts: a bad release is stopped early, whom it would harm is told before, and who gets it when."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from random import Random
from zoneinfo import ZoneInfo

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from bastide.core.error import Conflict, Refused
from bastide.core.ids import DeviceClass
from bastide.device.boot.image import ImageRefused, make_image, verify
from bastide.device.release.release import Release
from bastide.operations.rollout.abort import AbortRule, Cohort, Verdict, Watch, interval, observe
from bastide.operations.rollout.plan import Ramp, Rings, Window, is_open
from bastide.operations.rollout.preflight import Hindrance, Installed, Offer, hindrances, preflight
from bastide.operations.rollout.rollout import (
    Phase,
    Rollout,
    RolloutId,
    Target,
    Terms,
    approve,
    end,
    pause,
    resume,
    weigh,
)

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
RULE = AbortRule()
OFFER = Offer("3.0", 3, frozenset({"rev-b"}), 1000, "k", after="2.0", requires={"loader": "1.2"})
READY = Installed("d", "rev-b", "2.1", 2, 1000, {"k": NOW + timedelta(days=1)}, {"loader": "1.10"})


def run(rate: float, devices: int, seed: int) -> tuple[Verdict, int]:
    """The first verdict of devices that fail at a rate, and after how many."""
    drawn, watch = Random(seed), Watch()
    for number in range(1, devices + 1):
        failed = drawn.random() < rate
        watch = observe(RULE, watch, int(failed), int(not failed))
        if watch.verdict is not Verdict.GO_ON:
            return watch.verdict, number
    return watch.verdict, devices


def test_a_release_that_always_fails_is_stopped_within_a_handful_of_devices() -> None:
    verdict, after = run(1.0, 100, 0)
    assert (verdict, after) == (Verdict.ABORT, 7)


def test_the_two_mistakes_are_as_rare_as_the_rule_says() -> None:
    tolerable = [run(RULE.tolerable, 5000, seed)[0] for seed in range(1000)]
    intolerable = [run(RULE.intolerable, 5000, seed)[0] for seed in range(1000)]
    # Wald: at most about false_alarm (1 in 1,000) and miss (10 in 1,000).
    assert tolerable.count(Verdict.ABORT) <= 5
    assert intolerable.count(Verdict.WELL) <= 20
    assert Verdict.GO_ON not in (*tolerable, *intolerable)


def test_success_before_does_not_pay_for_failure_later_and_an_abort_stays() -> None:
    watch = observe(RULE, Watch(), 0, 10_000)
    assert watch.verdict is Verdict.WELL
    watch = observe(RULE, watch, 7, 0)
    assert watch.verdict is Verdict.ABORT
    assert observe(RULE, watch, 0, 10_000).verdict is Verdict.ABORT


def test_silence_is_failure_but_only_after_the_deadline() -> None:
    assert Cohort(10, 8, 1, NOW).settled(NOW - timedelta(seconds=1)) is None
    assert Cohort(10, 8, 1, NOW).settled(NOW) == (2, 8)
    assert Cohort(10, 8, 2, NOW).settled(NOW - timedelta(days=1)) == (2, 8)
    with pytest.raises(ValueError, match="no more outcomes"):
        Cohort(10, 8, 3, NOW).settled(NOW)


@pytest.mark.parametrize("rates", [(0.0, 0.1), (0.1, 0.1), (0.2, 0.1), (0.1, 1.0), (float("nan"), 0.1)])
def test_rates_that_cannot_be_told_apart_are_refused(rates: tuple[float, float]) -> None:
    with pytest.raises(Refused):
        AbortRule(*rates)


@given(st.integers(0, 500), st.integers(0, 500))
def test_the_interval_holds_the_rate(failed: int, succeeded: int) -> None:
    low, high = interval(failed, failed + succeeded)
    assert 0 <= low <= high <= 1
    if failed + succeeded:
        assert low <= failed / (failed + succeeded) <= high


def test_the_interval_is_wilsons() -> None:
    assert interval(10, 100) == pytest.approx((0.0552, 0.1744), abs=1e-4)


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, ()),
        ({"version": "3.0"}, (Hindrance.RUNS_IT,)),
        ({"hardware": "rev-a"}, (Hindrance.HARDWARE,)),
        ({"counter": 3}, ()),
        ({"counter": 4}, (Hindrance.COUNTER,)),
        ({"version": "1.10"}, (Hindrance.INTERMEDIATE,)),
        ({"components": {"loader": "1.1"}}, (Hindrance.REQUIRES,)),
        ({"components": {}}, (Hindrance.REQUIRES,)),
        ({"slot_octets": 999}, (Hindrance.SPACE,)),
        ({"keys": {"k": NOW}}, (Hindrance.KEY,)),
        ({"keys": {"other": NOW + timedelta(days=1)}}, (Hindrance.KEY,)),
        ({"counter": None}, (Hindrance.UNKNOWN,)),
        ({"hardware": "rev-a", "slot_octets": 1}, (Hindrance.HARDWARE, Hindrance.SPACE)),
    ],
)
def test_whom_a_release_would_harm_is_told_before(
    changed: Mapping[str, object], expected: tuple[Hindrance, ...]
) -> None:
    assert hindrances(replace(READY, **changed), OFFER, NOW) == expected  # type: ignore[arg-type]


@given(st.integers(0, 5), st.integers(0, 5), st.integers(1, 3), st.integers(1, 3))
def test_preflight_refuses_what_the_boot_chain_refuses(confirmed: int, offered: int, has: int, made_for: int) -> None:
    key = Ed25519PrivateKey.from_private_bytes(bytes(32))
    image = make_image(b"content", offered, key, made_for)
    try:
        verify(lambda at, count: image[at : at + count], len(image), key.public_key(), confirmed, has)
        started = True
    except ImageRefused:
        started = False
    offer = Offer("3.0", offered, frozenset({str(made_for)}), len(image), "k")
    one = replace(READY, hardware=str(has), counter=confirmed, slot_octets=len(image))
    assert (hindrances(one, offer, NOW) == ()) == started


def test_a_fleet_is_counted_whole_and_named_in_part() -> None:
    fleet = [replace(READY, device=f"d{number}", counter=number % 5) for number in range(1000)]
    told = preflight(iter(fleet), OFFER, NOW)
    assert (told.devices, told.ready, told.no_way_back) == (1000, 800, 600)
    assert told.hindered == {Hindrance.COUNTER: 200}
    assert told.examples[Hindrance.COUNTER][:2] == ("d4", "d9")
    assert len(told.examples[Hindrance.COUNTER]) == 20


def test_rings_have_their_shares_and_do_not_begin_with_the_same_devices() -> None:
    rings = Rings((0.01, 0.1, 1.0))
    first = {number for number in range(20_000) if rings.ring("a", str(number)) == 0}
    other = {number for number in range(20_000) if rings.ring("b", str(number)) == 0}
    assert 140 < len(first) < 260
    assert len(first & other) < 20
    second = sum(rings.ring("a", str(number)) == 1 for number in range(20_000))
    assert 1600 < second < 2000


@pytest.mark.parametrize("shares", [(), (0.5,), (0.5, 0.5, 1.0), (0.0, 1.0), (1.0, 0.5)])
def test_rings_that_do_not_rise_to_all_are_refused(shares: tuple[float, ...]) -> None:
    with pytest.raises(Refused):
        Rings(shares)


def test_a_ramp_is_constant_or_grows_and_never_exceeds_the_ring() -> None:
    minute = timedelta(minutes=1)
    assert [Ramp(10, minute).allowed(minute * n, 35) for n in range(5)] == [10, 20, 30, 35, 35]
    assert [Ramp(10, minute, 2).allowed(minute * n, 1000) for n in range(4)] == [10, 30, 70, 150]
    assert Ramp(10, minute, 2).allowed(timedelta(days=4000), 1000) == 1000
    assert Ramp(10, minute).allowed(-minute, 1000) == 10


def test_a_window_opens_by_the_clock_of_the_site_in_summer_and_winter() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    night = Window(frozenset({4}), time(22), time(2))
    assert not night.is_open(datetime(2026, 7, 3, 19, 59, tzinfo=UTC), berlin)
    assert night.is_open(datetime(2026, 7, 3, 20, 0, tzinfo=UTC), berlin)
    assert not night.is_open(datetime(2026, 11, 27, 20, 59, tzinfo=UTC), berlin)
    assert night.is_open(datetime(2026, 11, 27, 21, 0, tzinfo=UTC), berlin)
    assert night.is_open(datetime(2026, 11, 28, 0, 59, tzinfo=UTC), berlin)
    assert not night.is_open(datetime(2026, 11, 28, 1, 0, tzinfo=UTC), berlin)
    assert not night.is_open(datetime(2026, 11, 27, 0, 30, tzinfo=UTC), berlin)
    assert is_open((), NOW, berlin)
    assert not is_open((night,), NOW, berlin)


@given(st.integers(1, 50), st.floats(1, 3), st.integers(0, 60), st.integers(1, 10_000))
def test_a_ramp_is_the_sum_of_its_steps(first: int, growth: float, steps: int, most: int) -> None:
    allowed = Ramp(first, timedelta(minutes=1), growth).allowed(steps * timedelta(minutes=1), most)
    total = sum(first * growth**step for step in range(steps + 1))
    assert abs(allowed - min(most, int(total + 1e-6))) <= (total > 1e6 or abs(total - round(total)) < 1e-3)
    assert Ramp(1, timedelta(minutes=1), 10.0).allowed(timedelta(days=3000), most) == most


def test_a_pause_holds_the_ramp_where_it_was() -> None:
    release = Release("lamp", "2.0", "lamp/2.0/x", 1, "0" * 64, {"counter": 2, "hardware": ["rev-b"]})
    proposed = Rollout(RolloutId("u-1"), release, Target(DeviceClass("lamp")), Terms(), NOW, "p")
    running = approve(proposed, "p", NOW)
    paused = pause(running, "lunch", NOW + timedelta(minutes=30))
    resumed = resume(paused, NOW + timedelta(minutes=90))
    assert resumed.ring_began == NOW + timedelta(minutes=60)
    assert (resumed.phase, resumed.because, resumed.paused) == (Phase.RUNNING, "", None)
    with pytest.raises(Conflict):
        pause(paused, "again", NOW)
    with pytest.raises(Conflict):
        resume(resumed, NOW)
    with pytest.raises(Conflict):
        approve(running, "q", NOW)
    ended = end(resumed, "enough", NOW)
    with pytest.raises(Conflict):
        end(ended, "again", NOW)


def test_a_cohort_is_weighed_when_nobody_joins_it_any_more_and_all_have_answered() -> None:
    release = Release("lamp", "2.0", "lamp/2.0/x", 1, "0" * 64, {"counter": 2, "hardware": ["rev-b"]})
    rollout = approve(Rollout(RolloutId("u-1"), release, Target(DeviceClass("lamp")), Terms(), NOW, "p"), "p", NOW)
    span = rollout.terms.cohort
    deadline = NOW + timedelta(hours=2)
    first, second = (NOW, Cohort(3, 2, 1, deadline)), (NOW + span, Cohort(2, 1, 0, deadline))
    assert weigh(rollout, [first], NOW + span / 2).weighed is None
    weighed = weigh(rollout, [first, second], NOW + 2 * span)
    assert weighed.weighed == NOW
    assert weighed.watch.score > 0
    assert weigh(weighed, [second], deadline + span).weighed == NOW + span
    bad = weigh(rollout, [(NOW, Cohort(20, 0, 20, deadline))], NOW + 2 * span)
    assert (bad.phase, bad.watch.verdict) == (Phase.STOPPED, Verdict.ABORT)
