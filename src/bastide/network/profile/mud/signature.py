"""The detached signature of a MUD file (RFC 8520, section 13): CMS (RFC 5652) in DER, judged as a value.

* the signature covers exactly the octets of the file, by a digest of SHA-2 (5652, sections 5.4 and 5.6)
* the signer's certificate has keyUsage with digitalSignature (8520, section 13.2)
* a chain of issuing CAs leads to an anchor that the operator named (RFC 5280, section 6), each link signed and in its time
* one signer; nothing that is revoked is known here

The states are told apart because they have different consequences: what is altered is never used, what is merely
expired may stay in use until its maker signs again, what is untrusted waits for a person to name an anchor.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from asn1crypto import cms
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import pkcs7

from bastide.core.error import Refused
from bastide.device.identity.chain import ChainBroken, chain_to

MAX_SIGNATURE_BYTES = 64 * 1024
_MAX_CERTIFICATES = 16
_MIN_RSA_BITS = 2048
_HASHES: dict[str, type[hashes.HashAlgorithm]] = {
    "sha256": hashes.SHA256,
    "sha384": hashes.SHA384,
    "sha512": hashes.SHA512,
}


_STUMBLES = (
    ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError, UnsupportedAlgorithm,
    x509.InvalidVersion, x509.DuplicateExtension, x509.UnsupportedGeneralNameType,
)  # fmt: skip
"""What asn1crypto and cryptography raise on hostile bytes, as fuzzing found and their sources say."""


class SignatureState(StrEnum):
    VALID = "valid"
    EXPIRED = "expired"
    NOT_YET_VALID = "not-yet-valid"
    UNTRUSTED = "untrusted"
    UNFIT = "unfit"
    ALTERED = "altered"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class Signature:
    """``signer`` is the subject of the certificate that signed, ``ends`` when the first of its chain ends."""

    state: SignatureState
    sentence: str
    signer: str = ""
    ends: datetime | None = None

    @property
    def holds(self) -> bool:
        return self.state is SignatureState.VALID


class _Judged(Exception):
    def __init__(self, state: SignatureState, sentence: str) -> None:
        super().__init__(sentence)
        self.state, self.sentence = state, sentence


def judge(content: bytes, signature: bytes, anchors: Sequence[x509.Certificate], at: datetime) -> Signature:
    """What a signature is worth for these octets at this time. Never raises for what the signature holds."""
    signer = ""
    try:
        info, found = _read(signature)
        mine = _signer_certificate(info, found)
        signer = mine.subject.rfc4514_string()[:400]
        _check_usage(mine)
        _check_signature(info, mine, content)
        chain = _chain(mine, found, anchors)
    except _Judged as judged:
        return Signature(judged.state, judged.sentence, signer)
    except _STUMBLES as error:
        # Two libraries read what a stranger wrote; whatever they stumble over is unreadable, with their words.
        reason = " ".join(str(error).split())[:200]
        return Signature(SignatureState.UNREADABLE, f"The signature cannot be read: {reason}", signer)
    starts = max(one.not_valid_before_utc for one in chain)
    ends = min(one.not_valid_after_utc for one in chain)
    if at > ends:
        return Signature(SignatureState.EXPIRED, f"A certificate of the signer's chain ended at {ends}.", signer, ends)
    if at < starts:
        return Signature(SignatureState.NOT_YET_VALID, f"The signer's chain is valid only from {starts}.", signer, ends)
    return Signature(SignatureState.VALID, f"Signed by {signer}.", signer, ends)


def sign(content: bytes, key: Any, chain: Sequence[x509.Certificate]) -> bytes:
    """A detached signature over these octets (DER, SHA-256, binary), with the whole chain in it.

    ``key`` is a private key of the signer's certificate, the first of ``chain``. ``Refused`` where key and certificate do not
    go together, or :func:`judge` would not take such a signer.
    """
    if not chain:
        raise Refused("The signer's certificate is missing.", code="mud:sign:certificate")
    signer = chain[0]
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise Refused("MUD files are signed with an RSA or an elliptic curve key.", code="mud:sign:key")
    if key.public_key() != signer.public_key():
        raise Refused("The key is not that of the first certificate.", code="mud:sign:key")
    builder = pkcs7.PKCS7SignatureBuilder().set_data(content).add_signer(signer, key, hashes.SHA256())
    for one in chain[1:]:
        builder = builder.add_certificate(one)
    options = [pkcs7.PKCS7Options.DetachedSignature, pkcs7.PKCS7Options.Binary, pkcs7.PKCS7Options.NoCapabilities]
    made = builder.sign(serialization.Encoding.DER, options)
    found = judge(content, made, (chain[-1],), max(one.not_valid_before_utc for one in chain))
    if not found.holds:
        raise Refused(f"This signature would not be taken: {found.sentence}", code="mud:sign:unfit")
    return made


def _read(signature: bytes) -> tuple[Any, list[x509.Certificate]]:
    if len(signature) > MAX_SIGNATURE_BYTES:
        raise _Judged(SignatureState.UNREADABLE, f"The signature has more than {MAX_SIGNATURE_BYTES} bytes.")
    outer = cms.ContentInfo.load(signature, strict=True)
    if outer["content_type"].native != "signed_data":
        raise _Judged(SignatureState.UNREADABLE, "The file is not CMS signed data.")
    signed = outer["content"]
    inner = signed["encap_content_info"]
    if inner["content_type"].native != "data" or inner["content"].native is not None:
        raise _Judged(SignatureState.UNREADABLE, "The signature is not detached.")
    if len(signed["signer_infos"]) != 1:
        raise _Judged(
            SignatureState.UNREADABLE, f"The signature has {len(signed['signer_infos'])} signers; one is expected."
        )
    held = signed["certificates"]
    if held.native is None or len(held) > _MAX_CERTIFICATES:
        raise _Judged(SignatureState.UNREADABLE, f"The signature must carry 1 to {_MAX_CERTIFICATES} certificates.")
    carried = [one.chosen for one in held if one.name == "certificate"]
    if any(one["tbs_certificate"]["serial_number"].native <= 0 for one in carried):
        raise _Judged(SignatureState.UNREADABLE, "A certificate's serial number is not positive (RFC 5280).")
    found = [x509.load_der_x509_certificate(one.dump()) for one in carried]
    return signed["signer_infos"][0], found


def _signer_certificate(info: Any, found: Sequence[x509.Certificate]) -> x509.Certificate:
    sid = info["sid"]
    for one in found:
        if sid.name == "issuer_and_serial_number":
            issuer = sid.chosen["issuer"].dump()
            if one.serial_number == sid.chosen["serial_number"].native and one.issuer.public_bytes() == issuer:
                return one
        elif _key_identifier(one) == sid.chosen.native:
            return one
    raise _Judged(SignatureState.UNREADABLE, "The signer's certificate is not in the signature.")


def _key_identifier(one: x509.Certificate) -> bytes | None:
    try:
        return one.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    except x509.ExtensionNotFound:
        return None


def _check_usage(signer: x509.Certificate) -> None:
    try:
        usage = signer.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        usage = None
    if usage is None or not usage.digital_signature:
        raise _Judged(
            SignatureState.UNFIT, "The signer's certificate lacks keyUsage digitalSignature (RFC 8520, section 13.2)."
        )


def _check_signature(info: Any, signer: x509.Certificate, content: bytes) -> None:
    digest_name = info["digest_algorithm"]["algorithm"].native
    digest = _hash(digest_name)
    signed = content
    attributes = info["signed_attrs"]
    if attributes.native:
        taken = hashes.Hash(digest)
        taken.update(content)
        if _one(attributes, "content_type") != "data":
            raise _Judged(SignatureState.UNREADABLE, "The signed content type is not data.")
        if _one(attributes, "message_digest") != taken.finalize():
            raise _Judged(SignatureState.ALTERED, "The file is not what was signed: its digest differs.")
        # RFC 5652, section 5.4: signed with the tag of a SET, sent with the tag [0].
        signed = b"\x31" + attributes.dump()[1:]
    try:
        _verify(info["signature_algorithm"], info["signature"].native, signed, signer, digest)
    except InvalidSignature:
        raise _Judged(SignatureState.ALTERED, "The signature does not fit the file and the signer's key.") from None


def _one(attributes: Any, name: str) -> Any:
    values = [one["values"] for one in attributes if one["type"].native == name]
    if len(values) != 1 or len(values[0]) != 1:
        raise _Judged(SignatureState.UNREADABLE, f"The signed attributes do not hold {name} once.")
    return values[0][0].native


def _hash(name: str) -> hashes.HashAlgorithm:
    if name not in _HASHES:
        raise _Judged(SignatureState.UNFIT, f"The digest {str(name)[:40]} is not accepted; SHA-2 is.")
    return _HASHES[name]()


def _verify(
    algorithm: Any, value: bytes, signed: bytes, signer: x509.Certificate, digest: hashes.HashAlgorithm
) -> None:
    key = signer.public_key()
    name = algorithm.signature_algo
    # `rsaEncryption` names no hash: it is the digest's (RFC 3370, section 3.2).
    if name in ("rsassa_pkcs1v15", "ecdsa") and algorithm["algorithm"].native not in ("rsassa_pkcs1v15", "ecdsa"):
        digest = _hash(algorithm.hash_algo)
    if isinstance(key, rsa.RSAPublicKey) and name in ("rsassa_pkcs1v15", "rsassa_pss"):
        if key.key_size < _MIN_RSA_BITS:
            raise _Judged(SignatureState.UNFIT, f"The signer's RSA key has {key.key_size} bits; 2048 are needed.")
        if name == "rsassa_pkcs1v15":
            key.verify(value, signed, padding.PKCS1v15(), digest)
            return
        parameters = algorithm["parameters"]
        digest = _hash(parameters["hash_algorithm"]["algorithm"].native)
        mask = _hash(parameters["mask_gen_algorithm"]["parameters"]["algorithm"].native)
        key.verify(value, signed, padding.PSS(padding.MGF1(mask), int(parameters["salt_length"].native)), digest)
    elif isinstance(key, ec.EllipticCurvePublicKey) and name == "ecdsa":
        key.verify(value, signed, ec.ECDSA(digest))
    elif isinstance(key, ed25519.Ed25519PublicKey) and name == "ed25519":
        key.verify(value, signed)
    else:
        raise _Judged(
            SignatureState.UNFIT, f"The signature algorithm {str(name)[:40]} does not go with the signer's key."
        )


def _chain(
    signer: x509.Certificate, found: Sequence[x509.Certificate], anchors: Sequence[x509.Certificate]
) -> Sequence[x509.Certificate]:
    try:
        return chain_to(signer, found, anchors)
    except ChainBroken as broken:
        state = SignatureState.UNFIT if broken.reason == "chain:unfit" else SignatureState.UNTRUSTED
        raise _Judged(state, broken.sentence) from None


def read_anchors(text: bytes) -> tuple[x509.Certificate, ...]:
    """Certificates in PEM; ``ValueError`` where there is none."""
    return tuple(x509.load_pem_x509_certificates(text))
