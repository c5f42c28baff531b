"""Claims and EST's bodies."""

from base64 import b64decode, b64encode
from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from hypothesis import given
from hypothesis import strategies as st

from bastide.core.error import Refused, Unreadable
from bastide.core.ids import ClaimId, DeviceClass, OwnerName, SiteName
from bastide.device.credential.claim import (
    Claim,
    ClaimState,
    check_secret,
    check_ttl,
    check_usable,
    secret_digest,
)
from bastide.device.credential.est import MAX_BODY_BYTES, certs_only, decode_body
from tests.domain.device.test_certificate import ISSUING, NOW, ROOT

CLAIM = Claim(
    id=ClaimId("c-" + "a" * 20),
    digest=secret_digest("secret"),
    device_class=DeviceClass("camera"),
    owner=OwnerName("facilities"),
    site=SiteName("main"),
    created_at=NOW,
    created_by="person:p",
    expires_at=NOW + timedelta(hours=1),
)


def reason(claim: Claim, label: str = "", after: timedelta = timedelta(0)) -> str:
    with pytest.raises(Refused) as refused:
        check_usable(claim, label, NOW + after)
    return refused.value.reason


def test_the_right_secret_opens_a_claim_and_nothing_else_does() -> None:
    assert check_secret(CLAIM, "secret") == CLAIM
    said = set()
    for claim, secret in ((CLAIM, "Secret"), (CLAIM, ""), (None, "secret"), (None, "")):
        with pytest.raises(Refused) as refused:
            check_secret(claim, secret)
        said.add((refused.value.reason, refused.value.sentence))
    assert len(said) == 1, "whether the claim exists must not be told"
    assert "secret" not in CLAIM.digest


def test_a_claim_ends_at_its_time_and_is_for_its_class() -> None:
    check_usable(CLAIM, "", NOW + timedelta(minutes=59))
    check_usable(CLAIM, "camera", NOW)
    assert reason(CLAIM, after=timedelta(hours=1)) == "enrolment:claim:expired"
    assert reason(CLAIM, "printer") == "enrolment:claim:class"
    assert reason(replace(CLAIM, state=ClaimState.REVOKED)) == "enrolment:claim:revoked"
    assert CLAIM.standing_at(NOW + timedelta(hours=1)) == "expired"
    assert replace(CLAIM, state=ClaimState.USED).standing_at(NOW + timedelta(hours=2)) == "used"


@pytest.mark.parametrize("ttl", [timedelta(0), timedelta(seconds=59), timedelta(days=91), -timedelta(hours=1)])
def test_a_claim_is_open_for_a_minute_to_ninety_days(ttl: timedelta) -> None:
    with pytest.raises(Refused):
        check_ttl(ttl)


@given(st.binary(min_size=1, max_size=400), st.integers(1, 76), st.sampled_from([b"\n", b"\r\n", b" \t\r\n"]))
def test_base64_is_read_however_it_is_wrapped(der: bytes, width: int, end: bytes) -> None:
    packed = b64encode(der)
    lines = [packed[at : at + width] for at in range(0, len(packed), width)]
    assert decode_body(end.join(lines) + end) == der


@pytest.mark.parametrize(
    "body", [b"", b" \r\n", b"AAA", b"A*AA", b"-----BEGIN CERTIFICATE REQUEST-----", b"\x30\x82\x01"]
)
def test_what_is_not_base64_is_unreadable(body: bytes) -> None:
    with pytest.raises(Unreadable) as refused:
        decode_body(body)
    assert refused.value.reason == "enrolment:body:unreadable"


def test_a_body_over_the_bound_is_not_decoded() -> None:
    with pytest.raises(Unreadable) as refused:
        decode_body(b"A" * (MAX_BODY_BYTES + 1))
    assert refused.value.reason == "enrolment:body:too-large"


def test_certificates_travel_in_one_line() -> None:
    ders = [one.public_bytes(Encoding.DER) for one in (ISSUING, ROOT)]
    body = certs_only(ders)
    assert b"\n" not in body
    assert set(pkcs7.load_der_pkcs7_certificates(b64decode(body))) == {ISSUING, ROOT}
