"""What devices and Bastide say of updates is read as it was written, and nothing else is."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastide.core.error import Unreadable
from bastide.device.release.report import (
    MAX_REPORT_BYTES,
    Attempt,
    Report,
    Told,
    Update,
    read_report,
    read_told,
    report_octets,
    told_octets,
)

PRINTABLE = st.text(st.characters(categories=("L", "N", "P", "S", "Zs")), max_size=40).filter(str.isprintable)
NAME, DIGEST = (
    st.from_regex(r"[a-z0-9][a-z0-9._-]{0,20}", fullmatch=True),
    st.from_regex(r"[0-9a-f]{64}", fullmatch=True),
)
ROLLOUT = st.from_regex(r"u-[a-z2-7]{20}", fullmatch=True)
REPORT = st.builds(
    Report,
    PRINTABLE,
    PRINTABLE,
    st.none() | st.integers(0, 2**32 - 1),
    st.none() | st.integers(0, 2**48),
    st.just("") | DIGEST,
    st.booleans(),
    st.dictionaries(NAME, PRINTABLE.filter(bool), max_size=4),
    st.none() | st.builds(Attempt, ROLLOUT, PRINTABLE),
)
UPDATE = st.builds(Update, ROLLOUT, NAME, PRINTABLE, PRINTABLE, st.integers(0, 2**48), DIGEST)
GOOD: dict[str, Any] = {
    "hardware": "rev-b", "version": "1.0", "counter": 1, "slot_octets": 1000, "sha256": "0" * 64, "on_trial": False,
}  # fmt: skip


@given(REPORT)
def test_a_report_is_read_as_it_was_written(report: Report) -> None:
    assert read_report(report_octets(report)) == report


@given(st.builds(Told, st.none() | UPDATE, PRINTABLE, st.integers(0, 86_400)))
def test_an_answer_is_read_as_it_was_written(told: Told) -> None:
    assert read_told(told_octets(told)) == told


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"hardware": None}, "hardware"),
        ({"version": "x" * 200}, "version"),
        ({"version": "a\nb"}, "version"),
        ({"counter": -1}, "counter"),
        ({"counter": True}, "counter"),
        ({"counter": 1.5}, "counter"),
        ({"counter": 2**40}, "counter"),
        ({"sha256": "AB" * 32}, "sha256"),
        ({"on_trial": 1}, "on_trial"),
        ({"components": []}, None),
        ({"components": {"a b": "1"}}, "components"),
        ({"components": {"a": 1}}, "components"),
        ({"components": {f"n{number}": "1" for number in range(65)}}, "components"),
        ({"attempt": {"rollout": "r-1", "because": ""}}, "attempt"),
        ({"attempt": {"rollout": "u-" + "a" * 20}}, "because"),
        ({"password": "x"}, "password"),
    ],
)
def test_what_is_wrong_is_named(change: dict[str, Any], said: str | None) -> None:
    octets = json.dumps(GOOD | change).encode()
    if said is None:
        assert read_report(octets).components == {}
        return
    with pytest.raises(Unreadable, match=said):
        read_report(octets)


@pytest.mark.parametrize(
    "octets", [b"", b"[]", b"null", b"{", b"\xff\xfe", b"[" * 20_000, b'"' + b"x" * MAX_REPORT_BYTES]
)
def test_rubbish_is_refused_in_one_sentence(octets: bytes) -> None:
    for read in (read_report, read_told):
        with pytest.raises(Unreadable, match=r"\.$"):
            read(octets)


def test_a_report_misses_nothing() -> None:
    for name in GOOD:
        with pytest.raises(Unreadable, match=name):
            read_report(json.dumps({key: value for key, value in GOOD.items() if key != name}).encode())
