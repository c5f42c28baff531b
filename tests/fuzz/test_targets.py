"""Every fuzz target, briefly and with a fixed seed; `make fuzz` runs them for longer."""

import pytest

from tests.fuzz import Target
from tests.fuzz.__main__ import fuzz
from tests.fuzz.targets import targets


@pytest.mark.parametrize("target", targets(), ids=lambda target: target.name)
def test_a_parser_raises_only_what_it_promises(target: Target) -> None:
    tried, error = fuzz(target, seconds=0.3, seed=20261123)
    assert error is None, f"{target.name} after {tried} inputs"
    assert tried > len(target.seeds)
