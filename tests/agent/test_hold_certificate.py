"""What the agent does next, and how long it waits."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from bastide.flows.on_device.hold_certificate import FIRST_PAUSE, LONGEST_PAUSE, Act, next_act, pause, renew_at

BEGAN = datetime(2026, 11, 1, tzinfo=UTC)
CHANCE = st.floats(0, 1)


@dataclass(frozen=True)
class Held:
    began: datetime = BEGAN
    ends: datetime = BEGAN + timedelta(days=30)


@given(CHANCE, st.floats(0, 40))
def test_there_is_always_one_thing_to_do(chance: float, days: float) -> None:
    now = BEGAN + timedelta(days=days)
    due = next_act(Held(), now, chance)
    at = renew_at(Held(), chance)
    assert BEGAN + timedelta(days=20) <= at <= BEGAN + timedelta(days=22.5)
    expected = Act.ENROL if now >= Held().ends else Act.RENEW if now >= at else Act.WAIT
    assert due.act is expected
    assert due.at > now or due.act is not Act.WAIT


def test_without_a_certificate_it_enrols() -> None:
    assert next_act(None, BEGAN, 0.5).act is Act.ENROL


@given(st.integers(1, 10_000), CHANCE)
def test_pauses_double_at_random_and_have_an_end(failures: int, chance: float) -> None:
    assert FIRST_PAUSE / 2 <= pause(failures, chance) <= LONGEST_PAUSE
    assert pause(1, 1) == FIRST_PAUSE
    assert pause(100, 1) == LONGEST_PAUSE
