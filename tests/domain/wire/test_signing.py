"""The signer's request form: one way to write each request, bounds on everything, a code for each refusal."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastide.core.error import Refused, Unreadable
from bastide.wire.signing import (
    CRL,
    FRAME_LIMIT_BYTES,
    Answer,
    Authority,
    Body,
    BrokerUser,
    Checkpoint,
    DeviceCertificate,
    LastCheckpoint,
    NextIssuing,
    OCSPResponder,
    Outcome,
    PlanToSign,
    ServerCertificate,
    correlation_of,
    decode_answer,
    decode_request,
    encode_answer,
    encode_request,
    frame,
    length,
)

seconds = st.integers(0, 253_402_300_799)
issuers = st.binary(min_size=20, max_size=20).map(bytes.hex)
digests = st.binary(min_size=32, max_size=32)
bodies: st.SearchStrategy[Body] = st.one_of(
    st.builds(
        DeviceCertificate, st.binary(min_size=1, max_size=90), st.text(max_size=9), st.text(max_size=9), seconds, seconds
    ),
    st.builds(
        ServerCertificate,
        st.binary(min_size=1, max_size=90),
        st.lists(st.text("abc.", min_size=1, max_size=9), min_size=1, max_size=16),
    ),
    st.builds(CRL, st.lists(st.tuples(st.binary(min_size=1, max_size=20), seconds), max_size=9), seconds, issuers),
    st.builds(OCSPResponder, st.binary(min_size=1, max_size=90), issuers),
    st.builds(
        Checkpoint, st.text("abc/", min_size=1, max_size=99), st.integers(0, 2**63 - 1), digests, st.lists(digests, max_size=9)
    ),
    st.builds(BrokerUser, st.binary(min_size=2, max_size=90)),
    st.builds(PlanToSign, st.binary(min_size=1, max_size=90)),
    st.builds(Authority, st.lists(st.binary(min_size=1, max_size=90), min_size=1, max_size=4)),
    st.just(NextIssuing()),
    st.just(LastCheckpoint()),
)  # fmt: skip
VALID = encode_request(7, "request-1", PlanToSign(b"{}"))


@given(bodies, st.integers(0, 2**63 - 1))
def test_what_is_written_is_read(body: Body, correlation: int) -> None:
    request = decode_request(encode_request(correlation, "enrol:c-aaaa", body))
    assert (request.correlation, request.request_id, request.body) == (correlation, "enrol:c-aaaa", body)


@given(bodies, bodies)
def test_two_requests_have_one_digest_only_if_they_are_the_same(one: Body, other: Body) -> None:
    first, second = (decode_request(encode_request(1, "request-1", body)) for body in (one, other))
    assert (first.digest == second.digest) == (one == other)


@given(st.binary(max_size=200))
def test_noise_is_refused(noise: bytes) -> None:
    with pytest.raises(Refused):
        decode_request(noise)
    assert 0 <= correlation_of(noise) < 2**63


@given(st.integers(0, len(VALID) - 1), st.integers(0, 255))
def test_a_changed_byte_makes_another_request_or_none(at: int, value: int) -> None:
    changed = VALID[:at] + bytes([value]) + VALID[at + 1 :]
    try:
        request = decode_request(changed)
    except Refused:
        return
    assert encode_request(request.correlation, request.request_id, request.body) == changed


def test_an_unknown_profile_has_a_code_of_its_own() -> None:
    with pytest.raises(Refused) as refused:
        decode_request(msgspec.msgpack.encode([1, 7, "request-1", "unseal", [b"x"]]))
    assert refused.value.reason == "signer:profile:unknown"
    assert "device" in refused.value.sentence


@pytest.mark.parametrize("form", [
    [2, 7, "request-1", "plan", [b"x"]],
    [1, -1, "request-1", "plan", [b"x"]],
    [1, 7, "short", "plan", [b"x"]],
    [1, 7, "a" * 129, "plan", [b"x"]],
    [1, 7, "request-1\n", "plan", [b"x"]],
    [1, 7, "request-1", "plan", [b"x", b"more"]],
    [1, 7, "request-1", "plan", []],
    [1, 7, "request-1", "plan", ["text"]],
    [1, 7, "request-1", "plan", [b"x"], "more"],
    [1, 7, "request-1", "plan", [bytes(65_537)]],
    [1, 7, "request-1", "device", [bytes(8193), "d", "c", 0, 0]],
    [1, 7, "request-1", "checkpoint", ["o", 1, bytes(31), []]],
    [1, 7, "request-1", "checkpoint", ["o", 1, bytes(32), [bytes(32)] * 65]],
    [1, 7, "request-1", "checkpoint", ["o", -1, bytes(32), []]],
    [1, 7, "request-1", "checkpoint", ["o", 1.0, bytes(32), []]],
    {"version": 1},
])  # fmt: skip
def test_what_is_out_of_form_or_bounds_is_unreadable(form: object) -> None:
    with pytest.raises(Unreadable):
        decode_request(msgspec.msgpack.encode(form))


def test_only_the_shortest_form_is_taken() -> None:
    longer = VALID.replace(b"\x95\x01\x07", b"\x95\x01\xcc\x07")
    assert msgspec.msgpack.decode(longer) == msgspec.msgpack.decode(VALID)
    with pytest.raises(Unreadable):
        decode_request(longer)
    assert correlation_of(longer) == 7


def test_frames_have_a_bound() -> None:
    assert length(frame(b"abc")[:4]) == 3
    for header in (b"\0\0\0\0", b"\xff\xff\xff\xff", (FRAME_LIMIT_BYTES + 1).to_bytes(4, "big")):
        with pytest.raises(Unreadable):
            length(header)
    with pytest.raises(Refused):
        frame(bytes(FRAME_LIMIT_BYTES + 1))


@given(st.sampled_from(Outcome), st.text(max_size=99), st.binary(max_size=99))
def test_answers_are_read_as_written(outcome: Outcome, sentence: str, body: bytes) -> None:
    answer = Answer(1, 3, outcome, "signer:x", sentence, body)
    assert decode_answer(encode_answer(answer)) == answer
