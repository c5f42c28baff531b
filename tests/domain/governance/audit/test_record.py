"""A record has one text, a person's fact is in none of them, and no byte of it can be changed."""

import contextlib
import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastide.core.audit import Personal
from bastide.core.error import BastideError
from bastide.core.plan import BrokerGrant
from bastide.core.standing import Standing
from bastide.governance.audit.personal import Kept, commitment, keep
from bastide.governance.audit.record import (
    ERASED,
    MAX_RECORD_BYTES,
    MalformedRecord,
    RecordRefused,
    commitments,
    flat,
    instant,
    opened,
    parse_instant,
    plain,
    presentable,
    read_record,
    write_record,
)

AT = "2026-01-05T08:00:00.000000Z"


class Salted:
    """Commits with salts that count up, and keeps what it committed to."""

    def __init__(self) -> None:
        self.kept: dict[str, Kept] = {}

    def __call__(self, value: str) -> str:
        one = keep(len(self.kept).to_bytes(32, "big"), value)
        self.kept[one.commitment] = one
        return one.commitment

    def reveal(self, wanted: str) -> Personal:
        return Personal(self.kept[wanted].value) if wanted in self.kept else ERASED


def _write(
    body: Any, actor: str | Personal = "system", salted: Salted | None = None, subject: str = "device:d-x"
) -> bytes:
    return write_record("r-1", "device:enrolled", subject, actor, AT, flat(body) or plain(body), 1, salted or Salted())


scalars = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
)
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
names = texts.filter(lambda name: not name.startswith("$"))
values: st.SearchStrategy[Any] = st.recursive(
    scalars | texts | texts.map(Personal),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(names, values, max_size=5), texts | texts.map(Personal))
def test_a_record_comes_back_as_it_was_written(body: dict[str, Any], actor: str | Personal) -> None:
    salted = Salted()
    record = opened(read_record(_write(body, actor, salted)), salted.reveal)
    assert (record.body, record.actor, record.at) == (body, actor, datetime(2026, 1, 5, 8, tzinfo=UTC))


def test_the_text_of_a_record_is_written_down_here_so_that_it_never_changes_unseen() -> None:
    assert _write({"b": 1, "a": [1.5, None, True, "ü"]}).decode() == (
        '{"actor":"system","at":"2026-01-05T08:00:00.000000Z","body":{"a":[1.5,null,true,"ü"],"b":1},"form":1,'
        '"id":"r-1","kind":"device:enrolled","subject":"device:d-x","version":1}'
    )


def test_words_of_core_have_a_form_and_things_without_one_are_refused() -> None:
    grant = BrokerGrant(publish=("a",))
    seen = plain(
        {"g": grant, "s": Standing.TRUSTED, "t": timedelta(seconds=2), "b": b"\x01", "x": float("nan"), "tu": (1,)}
    )
    assert seen == {
        "g": {"publish": ["a"], "subscribe": [], "rate_per_second": 0.0, "max_payload_bytes": 0},
        "s": "trusted",
        "t": 2.0,
        "b": "01",
        "x": "nan",
        "tu": [1],
    }
    with pytest.raises(TypeError):
        plain({"x": object()})
    with pytest.raises(TypeError):
        plain([1])
    with pytest.raises(RecordRefused):
        plain({"a": {"$personal": "forged"}})


def test_a_persons_fact_is_nowhere_in_the_bytes_and_two_alike_do_not_look_alike() -> None:
    salted = Salted()
    written = _write({"to": Personal("Ada Lovelace"), "again": [Personal("Ada Lovelace")]}, Personal("Grace"), salted)
    assert b"Ada" not in written
    assert b"Grace" not in written
    found = commitments(read_record(written))
    assert len(set(found)) == len(found) == 3
    assert set(found) == set(salted.kept)


def test_an_erased_fact_leaves_the_record_as_it_was() -> None:
    salted = Salted()
    stored = read_record(_write({"to": Personal("Ada"), "n": 1}, salted=salted))
    salted.kept.clear()
    assert opened(stored, salted.reveal).body == {"to": ERASED, "n": 1}


def test_a_fact_holds_only_with_its_own_salt_and_value() -> None:
    kept = keep(bytes(32), "Ada")
    assert kept.holds
    assert not Kept(kept.commitment, bytes(31) + b"\x01", "Ada").holds
    assert not Kept(kept.commitment, bytes(32), "Ava").holds
    assert not Kept(kept.commitment, b"", "Ada").holds
    assert commitment(bytes(32), "Ada") == kept.commitment


def test_half_a_surrogate_pair_from_a_device_does_not_stop_its_record() -> None:
    body = read_record(_write({"name": "bad \ud800", "in": [{"\udfff": 1}]})).body
    assert body == {"name": "bad ?", "in": [{"?": 1}]}


@pytest.mark.parametrize(
    ("text", "shown"), [("a\0b", "a\ufffdb"), ("ü\0", "ü\ufffd"), ("\ud800", "?"), ("ok ü", "ok ü")]
)
def test_names_are_made_of_text_that_every_database_holds(text: str, shown: str) -> None:
    assert presentable(text) == shown


def test_a_record_that_is_too_large_or_too_deep_is_refused() -> None:
    with pytest.raises(RecordRefused):
        _write({"x": "y" * MAX_RECORD_BYTES})
    deep: list[Any] = []
    for levels in range(5000):
        if levels in (40, 900, 4999):
            with pytest.raises(RecordRefused):
                _write({"x": deep})
        deep = [deep]


def test_whole_numbers_of_any_size_are_kept_exactly() -> None:
    assert read_record(_write({"x": 2**80})).body == {"x": 2**80}


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace('"form":1', '"form":2'),
        lambda text: text.replace('"form":1', '"form":1.0'),
        lambda text: text.replace('"version":1', '"version":1,"more":1'),
        lambda text: text.replace('{"actor"', '{"at":"x","actor"'),
        lambda text: text.replace(",", ", ", 1),
        lambda text: text.replace("08:00:00.000000Z", "08:00:00Z"),
        lambda text: text.replace("08:00:00.000000Z", "10:00:00.000000+02:00"),
        lambda text: text.replace('"actor":"system"', '"actor":{"person":"x"}'),
        lambda text: text[:-1],
        lambda text: text + "\n",
        lambda text: text.replace('"a":1', '"a":' + "[" * 40 + "]" * 40),
        lambda text: text.replace('"a":1', '"a":' + "[" * 900 + "]" * 900),
        lambda text: "[" * 40_000,
        lambda text: "",
    ],
)
def test_only_the_canonical_text_is_read(change: Any) -> None:
    with pytest.raises(MalformedRecord):
        read_record(change(_write({"a": 1}).decode()).encode())


@given(st.binary() | texts.map(lambda text: json.dumps({"actor": text}).encode()))
def test_any_bytes_are_a_record_or_refused(data: bytes) -> None:
    with contextlib.suppress(BastideError):
        read_record(data)


@given(st.datetimes(timezones=st.just(timezone(timedelta(hours=2)))))
def test_times_are_utc_to_the_microsecond(at: datetime) -> None:
    try:
        text = instant(at)
    except OverflowError:  # within two hours of year 1
        return
    assert parse_instant(text) == at
    assert text.endswith("Z")
