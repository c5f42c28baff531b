"""A secret in shares: any that are enough give it back, fewer do not, and a line that was copied wrongly is found."""

from contextlib import suppress
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastide.core.error import Refused, Unreadable
from bastide.core.shares import Share, join, read_share, split


@given(st.binary(min_size=1, max_size=60), st.integers(2, 5), st.integers(0, 3), st.data())
def test_any_that_are_enough_give_the_secret_back(secret: bytes, needed: int, more: int, data: st.DataObject) -> None:
    entropy = data.draw(st.binary(min_size=(needed - 1) * len(secret), max_size=(needed - 1) * len(secret)))
    shares = split(secret, "root-1", needed, needed + more, entropy)
    for chosen in combinations(shares, needed):
        assert join([read_share(str(share)) for share in chosen]) == secret
    with pytest.raises(Refused) as few:
        join(shares[: needed - 1])
    assert few.value.reason == "shares:few"


def test_one_share_of_two_fits_every_secret() -> None:
    seen = {split(b"a", "root-1", 2, 2, bytes([random]))[0].part for random in range(256)}
    assert len(seen) == 256


def test_a_known_value_of_the_field() -> None:
    # 0x53 and 0xCA are inverses in the field of AES (FIPS 197 4.2): at x=0xCA a line of slope 0x53 is 1 above its start.
    from bastide.core.shares import _at

    assert _at(0xCA, [0, 0x53]) == 1


@pytest.mark.parametrize(
    "shares",
    [
        [],
        [Share("a", 2, 1, b"x"), Share("b", 2, 2, b"x")],
        [Share("a", 2, 1, b"x"), Share("a", 2, 1, b"x")],
        [Share("a", 2, 1, b"x"), Share("a", 3, 2, b"x")],
        [Share("a", 2, 1, b"x"), Share("a", 2, 2, b"xy")],
    ],
)
def test_shares_that_do_not_belong_together_are_refused(shares: list[Share]) -> None:
    with pytest.raises(Refused):
        join(shares)


def test_a_line_with_one_wrong_digit_is_found() -> None:
    line = str(Share("root-1", 2, 1, b"\x12\x34"))
    with pytest.raises(Unreadable):
        read_share(line.replace("1234", "1235"))


@given(st.text(max_size=200))
def test_any_text_is_a_share_or_is_refused(text: str) -> None:
    with suppress(Unreadable):
        read_share(text)


@pytest.mark.parametrize(("needed", "shares"), [(1, 3), (4, 3), (2, 33)])
def test_senseless_numbers_are_refused(needed: int, shares: int) -> None:
    with pytest.raises(Refused):
        split(b"x", "root-1", needed, shares, bytes(max(0, needed - 1)))
