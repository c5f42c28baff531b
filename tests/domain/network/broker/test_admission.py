import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastide.core.ids import DeviceClass, ProfileName
from bastide.core.profile import Channel, Direction, FieldType, PayloadField, Profile
from bastide.network.broker.admission import (
    ANY_FIELD,
    MAX_FIELDS,
    MAX_INTEGER,
    Admission,
    Admitted,
    Bucket,
    ChannelRule,
    Fault,
    Rejected,
)

FIELDS = (
    PayloadField("temperature", FieldType.NUMBER, "climate", required=True, minimum=-40, maximum=85),
    PayloadField("count", FieldType.INTEGER, "care"),
    PayloadField("mode", FieldType.TEXT, "climate", max_length=4),
    PayloadField("on", FieldType.BOOLEAN, "climate"),
)
RULE = ChannelRule(FIELDS, 500)
ANYTHING = ChannelRule((PayloadField(ANY_FIELD, FieldType.TEXT, "not described", max_length=20),), 100_000)


def admitted(payload: bytes, rule: ChannelRule = RULE) -> Admitted:
    verdict = rule.admit(payload)
    assert isinstance(verdict, Admitted), verdict
    return verdict


def rejected(payload: bytes, rule: ChannelRule = RULE) -> Rejected:
    verdict = rule.admit(payload)
    assert isinstance(verdict, Rejected), verdict
    return verdict


def test_declared_fields_are_kept_as_they_were_sent() -> None:
    verdict = admitted(b'{"temperature": 21, "count": 3, "mode": "eco", "on": true}')
    assert verdict.fields == {"temperature": 21, "count": 3, "mode": "eco", "on": True}
    assert verdict.undeclared == ""


def test_an_undeclared_field_is_cut_off_and_named() -> None:
    verdict = admitted(b'{"ssid": "home", "temperature": 1}')
    assert verdict.fields == {"temperature": 1}
    assert verdict.undeclared == "ssid"


@pytest.mark.parametrize(
    "payload",
    [
        b"", b"null", b"[]", b"1", b'"x"', b"{", b'{"temperature": 1', b'{"temperature": 1} x', b"\xff", b'{"a": "\xff"}',
        b'{"temperature": NaN}', b'{"temperature": Infinity}', b'{"temperature": 1e999}', b'{"temperature": "1"}',
        b'{"temperature": true}', b'{"temperature": null}', b'{"temperature": [1]}', b'{"temperature": {"x": 1}}', b"{}",
        b'{"temperature": -41}', b'{"temperature": 86}', b'{"temperature": 1, "count": 1.5}',
        b'{"temperature": 1, "count": 9007199254740993}', b'{"temperature": 1, "mode": "loud!"}',
        b'{"temperature": 1, "on": 1}', b"{" + b'"a":' * 50 + b"1" + b"}" * 50, b"[" * 400,
    ],
)  # fmt: skip
def test_what_is_not_the_declared_object_is_malformed(payload: bytes) -> None:
    assert rejected(payload).fault is Fault.MALFORMED


def test_a_payload_beyond_the_limit_is_oversized_before_it_is_read() -> None:
    assert rejected(b"[" * 501).fault is Fault.OVERSIZED


def test_the_reason_never_repeats_what_was_in_the_payload() -> None:
    assert "secret" not in rejected(b'{"temperature": "secret"}').detail


def test_any_field_means_any_flat_field() -> None:
    assert admitted(b'{"x": 1, "y": "text", "z": false, "n": null}', ANYTHING).fields == {
        "x": 1,
        "y": "text",
        "z": False,
    }
    for payload in (b'{"x": {"y": 1}}', b'{"": 1}', b'{"x": "' + b"y" * 21 + b'"}', b'{"' + b"x" * 65 + b'": 1}'):
        assert rejected(payload, ANYTHING).fault is Fault.MALFORMED
    many = json.dumps({f"f{number}": number for number in range(MAX_FIELDS + 1)}).encode()
    assert rejected(many, ANYTHING).fault is Fault.MALFORMED


def test_a_channel_that_the_profile_does_not_publish_on_is_undeclared() -> None:
    channels = (
        Channel("devices/{device}/a/b", Direction.PUBLISH, "p", fields=(PayloadField("x", FieldType.NUMBER, "p"),)),
        Channel("devices/{device}/orders", Direction.SUBSCRIBE, "p"),
    )
    admission = Admission(Profile(ProfileName("p"), DeviceClass("c"), "P", channels))
    assert isinstance(admission.admit("a.b", b'{"x":1}'), Admitted)
    for channel in ("a", "orders", "", "a.b.c"):
        verdict = admission.admit(channel, b'{"x":1}')
        assert isinstance(verdict, Rejected)
        assert verdict.fault is Fault.CHANNEL


values = st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=30)
documents = st.dictionaries(st.sampled_from(["temperature", "count", "mode", "on", "x", "ssid"]), values)


@given(documents)
def test_what_comes_in_is_declared_within_its_bounds_and_a_part_of_what_was_sent(document: dict[str, object]) -> None:
    verdict = RULE.admit(json.dumps(document).encode())
    if isinstance(verdict, Rejected):
        return
    assert set(verdict.fields) <= {field.name for field in FIELDS}
    for name, value in verdict.fields.items():
        assert document[name] == value
    temperature = verdict.fields["temperature"]
    assert isinstance(temperature, int | float)
    assert -40 <= temperature <= 85
    assert bool(verdict.undeclared) == bool(set(document) - {field.name for field in FIELDS})


@given(st.binary(max_size=200))
def test_any_bytes_get_a_verdict(payload: bytes) -> None:
    for rule in (RULE, ANYTHING):
        verdict = rule.admit(payload)
        if isinstance(verdict, Admitted):
            for value in verdict.fields.values():
                assert not isinstance(value, float) or math.isfinite(value)
                assert not isinstance(value, int) or abs(value) <= MAX_INTEGER


@given(
    st.floats(0.1, 1000),
    st.integers(1, 100),
    st.lists(st.floats(0, 10), max_size=60),
)
def test_a_bucket_never_lets_more_through_than_burst_and_rate(rate: float, burst: int, gaps: list[float]) -> None:
    bucket, now, taken = Bucket(float(burst), 0.0), 0.0, 0
    for gap in gaps:
        now += gap
        taken += bucket.take(rate, float(burst), now)
    assert taken <= burst + rate * now + 1e-6


def test_a_clock_that_goes_back_gives_nothing() -> None:
    bucket = Bucket(1.0, 100.0)
    assert bucket.take(1.0, 5.0, 100.0)
    assert not bucket.take(1.0, 5.0, 50.0)
    assert not bucket.take(1.0, 5.0, 100.5)
    assert bucket.take(1.0, 5.0, 101.0)
