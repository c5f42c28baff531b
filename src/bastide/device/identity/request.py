"""PKCS#10 certificate requests (RFC 2986): which ones are accepted, each refusal with one reason.

- The key is on P-256 or P-384 with a named curve (RFC 5480 2.1.1); explicit parameters, other algorithms and
  published keys (weak.py) are refused.
- The request is signed with that key (proof of possession, RFC 7030 3.4), over SHA-256, SHA-384 or SHA-512.
- It asks for nothing that a device or a TLS server may not be: no CA, no signing of certificates.
- It has no challengePassword: that binds the request to its TLS connection (RFC 7030 3.5), which this server does not
  check, and a binding that nobody checks must not look as if it held.
- ``ecdsa-with-SHA…`` with a NULL where RFC 5758 3.2 wants nothing is read as if it had none: so writes tpm2-openssl until 2025,
  which Debian 12 and 13 have, and devices with a TPM are stuck with. The signature does not cover it.
- Its subject and names are read only where a rule compares them; what is issued is decided by the issuer.
"""

from dataclasses import dataclass
from hashlib import sha256

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import AttributeOID, NameOID

from bastide.core.error import Refused
from bastide.device.identity.weak import weakness

# A P-384 request with a long subject is under 700 bytes; what is larger carries something that we do not want to read.
MAX_BYTES = 8192
MAX_EXTENSIONS = 16
MAX_NAME_ATTRIBUTES = 16
# SEQUENCE (12), OBJECT IDENTIFIER (8) 1.2.840.10045.4.3, then which hash it is over, and the NULL that does not belong there.
_ECDSA_WITH_NULL = bytes.fromhex("300c06082a8648ce3d0403")
_OVER = (b"\2", b"\3", b"\4")
_CURVES = ("secp256r1", "secp384r1")
_HASHES = ("sha256", "sha384", "sha512")


class RequestRefused(Refused):
    """A certificate request that is not accepted."""

    code = "signer:csr:refused"


@dataclass(frozen=True, slots=True)
class CertificateRequest:
    """A request that was accepted, ``der`` in its strict form. ``key_digest`` is the SHA-256 of its SubjectPublicKeyInfo,
    ``digest`` of all of it."""

    der: bytes
    public_key: ec.EllipticCurvePublicKey
    subject: x509.Name
    digest: bytes
    key_digest: bytes

    @property
    def common_names(self) -> tuple[str, ...]:
        return tuple(str(one.value) for one in self.subject.get_attributes_for_oid(NameOID.COMMON_NAME))


def key_digest(key: ec.EllipticCurvePublicKey) -> bytes:
    """What names a key: the SHA-256 of its SubjectPublicKeyInfo in DER."""
    return sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()


def accept_request(der: bytes) -> CertificateRequest:
    """The request in these bytes, checked by the rules above; ``RequestRefused`` with the first that it breaks."""
    if len(der) > MAX_BYTES:
        raise RequestRefused(
            f"The certificate request has {len(der)} bytes; at most {MAX_BYTES} are read.", code="signer:csr:too-large"
        )
    der = _without_null(der)
    try:
        request = x509.load_der_x509_csr(der)
        key = request.public_key()
        extensions = list(request.extensions)
        attributes = list(request.attributes)
        subject = request.subject
        signed_over = request.signature_hash_algorithm
        # The signature is the last element, a BIT STRING of whole octets: the one before it counts the bits that do not count.
        if der[-len(request.signature) - 1] != 0:
            raise ValueError("the signature is not of whole octets")
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.DuplicateExtension, x509.InvalidVersion) as error:
        raise RequestRefused(
            f"The certificate request cannot be read as PKCS#10 with a key that is supported ({error}). Make it anew, "
            "with a P-256 or P-384 key.",
            code="signer:csr:unreadable",
        ) from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name not in _CURVES:
        raise RequestRefused(
            f"The key of the request is {_described(key)}; only P-256 and P-384 are accepted. Make the request with such "
            "a key.",
            code="signer:csr:key",
        )
    if why := weakness(key):
        raise RequestRefused(
            f"The key of the request is no secret: it {why}. Make a new one on the device, from good randomness.",
            code="signer:csr:key-known",
        )
    if signed_over is None or signed_over.name not in _HASHES:
        raise RequestRefused(
            f"The request is signed over {signed_over.name if signed_over else 'no hash'}; use SHA-256, SHA-384 or "
            "SHA-512.",
            code="signer:csr:hash",
        )
    if not _possessed(request):
        raise RequestRefused(
            "The request's signature does not verify under its own key, so it does not prove that its sender has the "
            "private key. Sign it with the key that it asks a certificate for.",
            code="signer:csr:possession",
        )
    if len(extensions) > MAX_EXTENSIONS or len(list(subject)) > MAX_NAME_ATTRIBUTES:
        raise RequestRefused(
            f"The request has {len(extensions)} extensions and {len(list(subject))} subject attributes; at most "
            f"{MAX_EXTENSIONS} and {MAX_NAME_ATTRIBUTES} are read.",
            code="signer:csr:too-large",
        )
    if any(one.oid == AttributeOID.CHALLENGE_PASSWORD for one in attributes):
        raise RequestRefused(
            "The request has a challengePassword, which would bind it to its TLS connection; this server does not check "
            "such a binding. Make the request without one.",
            code="signer:csr:challenge-password",
        )
    for extension in extensions:
        _check_asked(extension.value)
    return CertificateRequest(der, key, subject, sha256(der).digest(), key_digest(key))


def _check_asked(asked: x509.ExtensionType) -> None:
    authority = (isinstance(asked, x509.BasicConstraints) and asked.ca) or (
        isinstance(asked, x509.KeyUsage) and (asked.key_cert_sign or asked.crl_sign)
    )
    if authority:
        raise RequestRefused(
            "The request asks for a certificate that could sign certificates or revocation lists; no device or server "
            "gets one. Make the request without these extensions.",
            code="signer:csr:authority",
        )


def _possessed(request: x509.CertificateSigningRequest) -> bool:
    try:
        return request.is_signature_valid
    except (ValueError, UnsupportedAlgorithm, InvalidSignature):
        return False


def _without_null(der: bytes) -> bytes:
    """The request with its ECDSA signature algorithm as RFC 5758 3.2 wants it; as it is, where nothing is to be done."""
    found = der.find(_ECDSA_WITH_NULL)
    if found < 0 or der.find(_ECDSA_WITH_NULL, found + 1) >= 0 or der[0] != 0x30:
        return der
    last = found + len(_ECDSA_WITH_NULL)
    if der[last : last + 1] not in _OVER or der[last + 1 : last + 3] != b"\5\0":
        return der
    header = 2 if der[1] < 0x80 else 2 + (der[1] & 0x7F)
    whole = der[header:found] + b"\x30\x0a" + der[found + 2 : last + 1] + der[last + 3 :]
    size = len(whole).to_bytes(2, "big").lstrip(b"\0")
    length = size if len(whole) < 0x80 else bytes([0x80 | len(size)]) + size
    return b"\x30" + length + whole


def _described(key: object) -> str:
    if isinstance(key, ec.EllipticCurvePublicKey):
        return f"on the curve {key.curve.name}"
    kind = type(key).__name__.removesuffix("PublicKey")
    size = getattr(key, "key_size", None)
    return f"a {kind} key of {size} bits" if size else f"a {kind} key"
