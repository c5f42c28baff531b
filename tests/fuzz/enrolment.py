"""What reaches the signer and the device endpoints: frames, certificate requests, EST bodies, keys, the journal."""

from base64 import b64encode
from contextlib import suppress

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from bastide.core.error import BastideError, Unreadable
from bastide.device.credential.est import decode_body
from bastide.device.credential.ocsp import read_question
from bastide.device.identity.request import accept_request
from bastide.device.identity.tpm import check_certified, read_key
from bastide.wire.journal import GENESIS, Entry, read_lines, write_line
from bastide.wire.nkeys import Kind, decode_public, encode_public, sign_jwt, verify_jwt
from bastide.wire.signing import (
    Answer,
    BrokerUser,
    DeviceCertificate,
    Outcome,
    correlation_of,
    decode_answer,
    decode_request,
    encode_answer,
    encode_request,
)
from bastide.wire.tpm import Asked, decode_asked
from tests.domain.device.requests import AS_AUTHORITY, GOOD, WITH_CHALLENGE, WITH_NAMES
from tests.domain.device.tpms import AK, ATTEST, EK, OWN, SIGNATURE
from tests.domain.wire.test_nkeys import KEY, PUBLIC
from tests.fuzz import Target


def _request(data: bytes) -> object:
    correlation_of(data)
    request = decode_request(data)
    if encode_request(request.correlation, request.request_id, request.body) != data:
        raise AssertionError("a request has two forms")
    return request


def _journal(data: bytes) -> object:
    lines = list(read_lines(data, GENESIS, 0, "journal"))
    if lines and data[: len(WHOLE)] != WHOLE[: len(data)] and not data.startswith(FIRST):
        raise AssertionError("a journal that was changed at its first line was read")
    return lines


FIRST, _HEAD = write_line(GENESIS, Entry(1, "2026-01-05T08:00:00+00:00", "opened"))
_SECOND, _ = write_line(_HEAD, Entry(2, "2026-01-05T08:00:00+00:00", "signed", request="r" * 8, what={"a": 1}))
WHOLE = FIRST + _SECOND


def _token(data: bytes) -> object:
    try:
        return verify_jwt(data.decode(), PUBLIC)
    except UnicodeDecodeError as error:
        raise Unreadable("not text") from error


def _attested(data: bytes) -> object:
    """One half or the other is foreign."""
    for attest, signature in ((data, SIGNATURE), (ATTEST, data)):
        if (attest, signature) != (ATTEST, SIGNATURE):
            with suppress(BastideError):
                check_certified(read_key(OWN, "key"), attest, signature, read_key(AK, "key"))
                raise AssertionError("what the attestation key did not sign was taken")
    return None


_ASKED = ocsp.OCSPRequestBuilder().add_certificate_by_hash(bytes(32), bytes(32), 4711, hashes.SHA256())
_OCSP = _ASKED.build().public_bytes(Encoding.DER)
_OCSP_NONCE = _ASKED.add_extension(x509.OCSPNonce(bytes(32)), critical=False).build().public_bytes(Encoding.DER)

TARGETS = [
    Target("ocsp", read_question, (_OCSP, _OCSP_NONCE)),
    Target(
        "signer-request",
        _request,
        (
            encode_request(1, "request-1", BrokerUser(b"{}")),
            encode_request(2, "request-2", DeviceCertificate(GOOD, "d-" + "a" * 20, "camera", 1, 2)),
        ),
    ),
    Target("signer-answer", decode_answer, (encode_answer(Answer(1, 1, Outcome.DONE, body=b"x")),)),
    Target("signer-journal", _journal, (WHOLE,)),
    Target("csr", accept_request, (GOOD, WITH_NAMES, WITH_CHALLENGE, AS_AUTHORITY)),
    Target("tpm-key", lambda data: read_key(data, "key"), (AK, EK, OWN)),
    Target("tpm-attestation", _attested, (ATTEST, SIGNATURE)),
    Target("tpm-asked", decode_asked, (msgspec.json.encode(Asked(b"c", AK, OWN, ATTEST, SIGNATURE)),)),
    Target("est-body", decode_body, (b64encode(GOOD), b"-----BEGIN", b"QUJD\r\n")),
    Target(
        "nkey",
        lambda data: decode_public(data.decode("utf-8", "replace"), Kind.USER),
        (encode_public(Kind.USER, PUBLIC).encode(),),
    ),
    Target("nats-jwt", _token, (sign_jwt({"nats": {"type": "user"}}, KEY).encode(),)),
]
