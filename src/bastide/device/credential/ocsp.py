"""The Online Certificate Status Protocol: what is read of a request, and the answers (RFC 6960, profile of RFC 5019).

- RFC 6960 4.1.1: a request names an issuer by two hashes and a certificate by its serial. One certificate a request is read
  (RFC 5019 2.1.1); more are ``malformedRequest``. Signed requests are read as unsigned ones.
- 2.3: a request about another CA is answered ``unauthorized`` (RFC 5019 2.2.3), and one that cannot be read ``malformedRequest``.
- 4.2.2.2: answers are signed by a delegated responder, whose certificate is in them; the responder is named by its key.
- RFC 9654 2.1: a nonce of 1 to 128 octets is answered with the same; a longer or empty one is ``malformedRequest``.
"""

from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import ocsp

from bastide.core.error import Unreadable
from bastide.core.plan import CredentialState

MAX_REQUEST_BYTES = 4096
MAX_NONCE_BYTES = 128
_HASHES: dict[str, type[hashes.HashAlgorithm]] = {"sha1": hashes.SHA1, "sha256": hashes.SHA256, "sha384": hashes.SHA384}


@dataclass(frozen=True, slots=True)
class Question:
    """``name_hash`` and ``key_hash`` are of the issuer, over ``algorithm``."""

    serial: int
    algorithm: str
    name_hash: bytes
    key_hash: bytes
    nonce: bytes | None


@dataclass(frozen=True, slots=True)
class Status:
    """What is known of one certificate of the CA; ``at`` is when it was revoked."""

    state: CredentialState
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Responder:
    """A delegated responder: its certificate and the key over which it is."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def read_question(der: bytes) -> Question:
    """The one certificate that a request asks about; ``Unreadable`` where there is none or more."""
    if len(der) > MAX_REQUEST_BYTES:
        raise _unreadable(f"it has more than {MAX_REQUEST_BYTES} bytes")
    try:
        request = ocsp.load_der_ocsp_request(der)
        algorithm = request.hash_algorithm.name
        extensions = list(request.extensions)
        question = (request.serial_number, request.issuer_name_hash, request.issuer_key_hash)
    except (ValueError, NotImplementedError, UnsupportedAlgorithm, x509.DuplicateExtension) as error:
        raise _unreadable(str(error) or type(error).__name__) from error
    nonces = [one.value.nonce for one in extensions if isinstance(one.value, x509.OCSPNonce)]
    if any(not 1 <= len(nonce) <= MAX_NONCE_BYTES for nonce in nonces):
        raise _unreadable(f"its nonce is not of 1 to {MAX_NONCE_BYTES} octets")
    if algorithm not in _HASHES:
        raise _unreadable(f"it hashes the issuer with {algorithm}")
    serial, name_hash, key_hash = question
    return Question(serial, algorithm, name_hash, key_hash, nonces[0] if nonces else None)


def asks_about(question: Question, issuer: x509.Certificate) -> bool:
    """True where the question is about a certificate of that issuer."""
    hash_algorithm = _HASHES[question.algorithm]()
    name, key = hashes.Hash(hash_algorithm), hashes.Hash(hash_algorithm)
    name.update(issuer.subject.public_bytes())
    key.update(_key_bits(issuer))
    return (name.finalize(), key.finalize()) == (question.name_hash, question.key_hash)


def signed_answer(
    question: Question,
    status: Status | None,
    responder: Responder,
    *,
    this_update: datetime,
    next_update: datetime,
) -> bytes:
    """The signed answer (DER). Without a status the certificate is ``unknown``: this CA did not issue it.

    A suspended certificate is ``good`` here as it is on the revocation list: its suspension ends by itself, and what it may do
    until then is the platform's to say.
    """
    revoked = status is not None and status.state is CredentialState.REVOKED
    if status is None:
        certificate_status = ocsp.OCSPCertStatus.UNKNOWN
    else:
        certificate_status = ocsp.OCSPCertStatus.REVOKED if revoked else ocsp.OCSPCertStatus.GOOD
    builder = ocsp.OCSPResponseBuilder().add_response_by_hash(
        question.name_hash,
        question.key_hash,
        question.serial,
        _HASHES[question.algorithm](),
        certificate_status,
        this_update,
        next_update,
        (status.at or this_update) if status is not None and revoked else None,
        None,
    )
    builder = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, responder.certificate)
    builder = builder.certificates([responder.certificate])
    if question.nonce is not None:
        builder = builder.add_extension(x509.OCSPNonce(question.nonce), critical=False)
    return builder.sign(responder.key, hashes.SHA256()).public_bytes(Encoding.DER)


def unsigned_answer(status: ocsp.OCSPResponseStatus) -> bytes:
    """An answer without a certificate's status: ``malformedRequest``, ``unauthorized``, ``tryLater`` (RFC 6960 2.3)."""
    return ocsp.OCSPResponseBuilder.build_unsuccessful(status).public_bytes(Encoding.DER)


def _key_bits(issuer: x509.Certificate) -> bytes:
    key = issuer.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def _unreadable(why: str) -> Unreadable:
    return Unreadable(f"This is not an OCSP request about one certificate: {why}.", code="revocation:ocsp:unreadable")
