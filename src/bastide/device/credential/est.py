"""EST's bodies (RFC 7030 with the clarifications of RFC 8951).

- RFC 8951 3.1: bodies are base64 of DER, without any Content-Transfer-Encoding header's say. In requests white space is
  accepted anywhere; in answers there is none, since clients exist that stop at a line end.
- RFC 7030 4.1.3 and 4.2.3: certificates travel in a certs-only CMC Simple PKI Response: a SignedData (RFC 5652) without
  content or signers.
- RFC 7030 4.5.2 (updated by RFC 9908): what a request should have is a ``CsrAttrs``, a sequence of object identifiers and
  attributes; a key's algorithm stands as an attribute whose value names its curve.
"""

import re
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Sequence

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from bastide.core.error import Unreadable

# Base64 of the largest request that is read, and as much again for white space.
MAX_BODY_BYTES = 24_576
_SPACE = re.compile(rb"[ \t\r\n]+")


def decode_body(body: bytes) -> bytes:
    """The DER in a request's body; ``Unreadable`` where it is not base64."""
    if len(body) > MAX_BODY_BYTES:
        raise Unreadable(
            f"The body has {len(body)} bytes; at most {MAX_BODY_BYTES} are read.", code="enrolment:body:too-large"
        )
    packed = _SPACE.sub(b"", body)
    if packed.startswith(b"-----BEGIN"):
        raise Unreadable(
            "The body is PEM; EST wants the base64 lines alone, without the BEGIN and END lines.",
            code="enrolment:body:unreadable",
        )
    try:
        der = b64decode(packed, validate=True)
    except NotBase64 as error:
        raise Unreadable(
            f"The body is not base64 of a PKCS#10 request ({error}). Send `openssl req -outform DER | openssl base64`.",
            code="enrolment:body:unreadable",
        ) from error
    if not der:
        raise Unreadable("The body is empty; a PKCS#10 request in base64 is needed.", code="enrolment:body:unreadable")
    return der


def certs_only(certificates: Sequence[bytes]) -> bytes:
    """The body of an answer with these certificates (DER): base64 of a certs-only SignedData, in one line."""
    loaded = [x509.load_der_x509_certificate(der) for der in certificates]
    return b64encode(pkcs7.serialize_certificates(loaded, Encoding.DER))


# CsrAttrs ::= SEQUENCE OF AttrOrOID, in DER: id-ecPublicKey with secp256r1 (RFC 5480), and ecdsa-with-SHA256 (RFC 5758).
_KEY = bytes.fromhex("301506072a8648ce3d0201310a06082a8648ce3d030107")
_SIGNATURE = bytes.fromhex("06082a8648ce3d040302")


def csr_attributes() -> bytes:
    """The body of a ``csrattrs`` answer: an EC key on P-256, and a signature by ECDSA over SHA-256. P-384 is taken as well;
    of several curves a client could not tell that one is enough."""
    content = _KEY + _SIGNATURE
    return b64encode(b"\x30" + bytes([len(content)]) + content)
