"""Evidence, plans for the broker, and journal batches: what is written is read, and nothing else is."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastide.core.error import Unreadable
from bastide.core.evidence import Evidence, Subject, SubjectKind, Trust
from bastide.core.ids import DeviceClass, DeviceId, EvidenceId, ProfileName
from bastide.core.plan import BrokerGrant, CredentialState, Plan, UpdateEligibility
from bastide.core.profile import Channel, Direction, FieldType, PayloadField, Profile
from bastide.core.standing import Standing
from bastide.wire.batch import decode_batch, encode_batch, sequence_of
from bastide.wire.desired import Desired, decode_desired, encode_desired
from bastide.wire.evidence import decode_evidence, encode_evidence

NOW = datetime(2026, 1, 5, 8, tzinfo=UTC)
DEVICE = DeviceId("d-" + "a" * 20)
moments = st.integers(0, 2**52).map(lambda microseconds: NOW + timedelta(microseconds=microseconds))
texts = st.text(min_size=1, max_size=40)

facts = st.builds(
    Evidence,
    id=texts.map(EvidenceId),
    kind=st.sampled_from(["broker.publish.denied", "ingest.rate.exceeded", "traffic.cleartext-credentials"]),
    subject=st.builds(Subject, kind=st.sampled_from(SubjectKind), id=texts),
    source=texts,
    trust=st.sampled_from(Trust),
    observed_at=moments,
    received_at=moments,
    fresh_for=st.none() | st.timedeltas(timedelta(0), timedelta(days=9999)),
    count=st.integers(1, 2**53),
    body=st.dictionaries(
        st.text(max_size=20),
        st.none()
        | st.booleans()
        | st.integers(-(2**53), 2**53)
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(),
        max_size=8,
    ),
)


@given(facts)
def test_evidence_that_is_written_is_read(fact: Evidence) -> None:
    written = encode_evidence(fact)
    read = decode_evidence(written)
    assert read == fact
    assert encode_evidence(read) == written


@given(st.binary(max_size=300))
def test_any_bytes_are_evidence_or_unreadable(data: bytes) -> None:
    for decode in (decode_evidence, decode_desired, decode_batch):
        try:
            decode(data)
        except Unreadable:
            continue


def a_fact() -> bytes:
    subject = Subject(SubjectKind.DEVICE, DEVICE)
    return encode_evidence(Evidence(EvidenceId("e-1"), "a.b", subject, "ingest", Trust.MEASURED, NOW, NOW))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"[1,", b"[2,"),
        (b'"a.b"', b'"A B"'),
        (b'"count":1', b'"count":0'),
        (b'"count":1', b'"count":1,"more":2'),
        (b'"count":1', b'"count": 1'),
        (b'"e-1"', b'""'),
        (b"08:00:00Z", b"08:00:00"),
        (b'"measured"', b'"divine"'),
    ],
)
def test_evidence_in_any_other_form_is_refused(old: bytes, new: bytes) -> None:
    written = a_fact()
    assert old in written
    with pytest.raises(Unreadable):
        decode_evidence(written.replace(old, new, 1))


def a_desired(minimum: float) -> Desired:
    fields = (PayloadField("t", FieldType.NUMBER, "climate", minimum=minimum),)
    profile = Profile(
        ProfileName("p"), DeviceClass("c"), "P", (Channel("devices/{device}/t", Direction.PUBLISH, "climate", fields),)
    )
    plan = Plan(
        DEVICE,
        3,
        Standing.TRUSTED,
        BrokerGrant(("a",), (), 1, 10),
        CredentialState.VALID,
        UpdateEligibility.NORMAL,
        NOW,
    )
    return Desired(plan, DeviceClass("c"), profile)


@pytest.mark.parametrize("minimum", [0, -40, 0.5, 1e300])
def test_a_plan_for_the_broker_that_is_written_is_read(minimum: float) -> None:
    desired = a_desired(minimum)
    assert decode_desired(encode_desired(desired)) == desired


def test_a_plan_with_something_added_is_refused() -> None:
    written = encode_desired(a_desired(0.5))
    for changed in (written.replace(b'"trusted"', b'"trusted","x":1'), written + b" ", written.replace(b"[1,", b"[2,")):
        with pytest.raises(Unreadable):
            decode_desired(changed)


messages = st.lists(
    st.tuples(
        texts,
        texts,
        st.integers(0, 2**62),
        st.dictionaries(texts, st.booleans() | st.text() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False)),
    ),
    max_size=20,
)


@given(messages)
def test_a_batch_that_is_written_is_read(
    drawn: list[tuple[str, str, int, dict[str, float | int | str | bool]]],
) -> None:
    assert list(decode_batch(encode_batch(drawn))) == drawn


def test_sequences_grow_with_the_batch_and_the_place_in_it() -> None:
    assert sequence_of(1, 65_535) < sequence_of(2, 0) < sequence_of(2, 1)
