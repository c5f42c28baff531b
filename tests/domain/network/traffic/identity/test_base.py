"""The fingerprint base: one document form, strictly read."""

import json
import zlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bastide.network.traffic.identity.base import BadBase, Base, decode, encode
from bastide.network.traffic.identity.learn import learn
from tests.domain.network.traffic.identity.fleet import samples


@pytest.fixture(scope="module")
def base() -> Base:
    return learn(samples(6), note="four kinds")


def document(base: Base) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(zlib.decompress(encode(base), 31))
    return plain


def test_a_base_comes_back_from_its_document(base: Base) -> None:
    again = decode(encode(base))
    assert again.types == base.types
    assert again.siblings == base.siblings
    assert again.cut_off == pytest.approx(base.cut_off, abs=1e-6)
    assert encode(again) == encode(base)


def test_plain_json_is_read_as_well(base: Base) -> None:
    assert decode(json.dumps(document(base)).encode()) == decode(encode(base))


def test_a_base_of_a_later_version_is_refused_with_what_to_do(base: Base) -> None:
    with pytest.raises(BadBase, match="learn it again"):
        decode(json.dumps(document(base) | {"version": 2}).encode())


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("extra",), 1),
        (("cut_off",), 1.5),
        (("cut_off",), True),
        (("calibration",), [[0.5, 0.5], [0.4, 0.6]]),
        (("calibration",), [[0.5, "x"]]),
        (("siblings",), [["nobody", "plug"]]),
        (("weights", "bias"), 1e9),
        (("weights", "facets", "self"), [1, 2, 3]),
        (("weights", "facets", "other"), [1, 2, 3, 4]),
        (("types",), {}),
        (("types", "plug"), []),
        (("types", "plug"), [{"samples": 0, "tokens": {}}]),
        (("types", "plug"), [{"samples": 2, "tokens": {"model=x": 3}}]),
        (("types", "plug"), [{"samples": 2, "tokens": {"credential=x": 1}}]),
        (("types", "plug"), [{"samples": 2, "tokens": {"model": 1}}]),
        (("types", "a\x00b"), [{"samples": 2, "tokens": {}}]),
        (("note",), "x" * 500),
    ],
)
def test_what_the_form_does_not_allow_is_refused(base: Base, path: tuple[str, ...], value: object) -> None:
    broken = document(base)
    at = broken
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = value
    with pytest.raises(BadBase):
        decode(json.dumps(broken).encode())


def test_a_key_that_is_there_twice_is_refused(base: Base) -> None:
    text = json.dumps(document(base))
    with pytest.raises(BadBase, match="twice"):
        decode(text.replace('"note":', '"note": "first", "note":', 1).encode())


@pytest.mark.parametrize("octets", [b"", b"{", b"[]", b"\x1f\x8b", b"NaN", b"\x80\x04\x95pickle", b"[" * 100_000])
def test_anything_else_is_refused(octets: bytes) -> None:
    with pytest.raises(BadBase):
        decode(octets)


def test_a_small_file_that_unpacks_to_a_large_one_is_refused() -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join(packer.compress(bytes(1 << 20)) for _ in range(65)) + packer.flush()
    assert len(bomb) < 100_000
    with pytest.raises(BadBase, match="larger than 64 MiB"):
        decode(bomb)


@settings(deadline=None)
@given(st.binary(max_size=400))
def test_no_octets_do_anything_but_be_refused(octets: bytes) -> None:
    with pytest.raises(BadBase):
        decode(octets)
