"""What a TPM 2.0 proves of a device's key (TCG, TPM 2.0 Library, parts 1 to 3; EK Credential Profile for TPM 2.0).

- The endorsement key (EK) only decrypts. Its certificate says who made the TPM (EK Credential Profile 3.2); what it identifies is
  the key, whose SHA-256 is here the TPM's serial number.
- The attestation key (AK) signs only what the TPM itself says (restricted), and never left it (fixedTPM, fixedParent,
  sensitiveDataOrigin: part 2, 8.3). It certified the device's key by TPM2_Certify (part 3, 18.2; part 2, 10.12).
- That EK and AK are of one TPM is shown by a secret that only TPM2_ActivateCredential gets out (part 1, 24).

All that is read here comes from a stranger: it is bounded, and each structure is read to its last octet.
"""

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.decrepit.ciphers.modes import CFB
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from bastide.core.error import Refused, Unreadable
from bastide.device.identity.weak import weakness

MAX_STRUCTURE_BYTES = 2048
# Part 2, 6.3: TPM_ALG_ID.
_RSA, _ECC, _SHA256, _SHA384, _NULL = 0x0001, 0x0023, 0x000B, 0x000C, 0x0010
_RSASSA, _RSAPSS, _ECDSA = 0x0014, 0x0016, 0x0018
_HASHES: dict[int, type[hashes.SHA256 | hashes.SHA384]] = {_SHA256: hashes.SHA256, _SHA384: hashes.SHA384}
_CURVES: dict[int, type[ec.EllipticCurve]] = {0x0003: ec.SECP256R1, 0x0004: ec.SECP384R1}
# Part 2, 8.3: TPMA_OBJECT.
_FIXED_TPM, _FIXED_PARENT, _ORIGIN, _RESTRICTED, _DECRYPT, _SIGN = 1 << 1, 1 << 4, 1 << 5, 1 << 16, 1 << 17, 1 << 18
_STAYS = _FIXED_TPM | _FIXED_PARENT | _ORIGIN
# Part 2, 6.2 and 6.9: TPM_GENERATED_VALUE, TPM_ST_ATTEST_CERTIFY.
_GENERATED, _CERTIFY = b"\xffTCG", 0x8017
_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_BLOB_MAGIC = bytes.fromhex("badcc0de00000001")

PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey


@dataclass(frozen=True, slots=True)
class TPMKey:
    """The public area of a key in a TPM. ``name`` is what a TPM calls it (part 1, 16): its hash algorithm and digest."""

    public: PublicKey
    name: bytes
    attributes: int

    @property
    def stays(self) -> bool:
        """True where the TPM made it and it never leaves it."""
        return self.attributes & _STAYS == _STAYS


def read_key(blob: bytes, what: str) -> TPMKey:
    """A TPM2B_PUBLIC (part 2, 12.2.5), as tpm2-tools write it; ``Unreadable`` where it is none, or of a key that is not known."""
    fields = _Fields(_sized(blob, what), what)
    kind, name_hash, attributes = fields.number(2), fields.number(2), fields.number(4)
    fields.sized()  # authPolicy
    if fields.number(2) != _NULL:  # the symmetric algorithm of a parent
        fields.take(4)
    scheme = fields.number(2)
    if scheme != _NULL:
        fields.number(2)
    key: PublicKey
    try:
        if kind == _RSA:
            bits, exponent = fields.number(2), fields.number(4) or 65537
            modulus = int.from_bytes(fields.sized(), "big")
            key = rsa.RSAPublicNumbers(exponent, modulus).public_key()
            if key.key_size != bits:
                raise ValueError("the modulus has not as many bits as it says")
        elif kind == _ECC:
            curve = _CURVES[fields.number(2)]
            if fields.number(2) != _NULL:  # the KDF of a decrypting key
                fields.number(2)
            x, y = fields.sized(), fields.sized()
            key = ec.EllipticCurvePublicNumbers(
                int.from_bytes(x, "big"), int.from_bytes(y, "big"), curve()
            ).public_key()
        else:
            raise ValueError(f"its type is {kind:#06x}, neither RSA nor ECC")
        digest = _digest(name_hash, fields.whole)
    except (ValueError, KeyError) as error:
        raise _unreadable(what, str(error) or "an algorithm that is not known here") from error
    fields.end()
    return TPMKey(key, name_hash.to_bytes(2, "big") + digest, attributes)


def check_attestation_key(key: TPMKey) -> None:
    """``Refused`` where the key might sign anything that its holder makes up, or might have left its TPM."""
    if not key.stays or key.attributes & (_RESTRICTED | _SIGN) != _RESTRICTED | _SIGN or key.attributes & _DECRYPT:
        raise _refused("The attestation key is not one that signs only what its TPM says, and stays in it.")
    if why := weakness(key.public):
        raise _refused(f"The attestation key proves nothing: it {why}.")


def check_certified(key: TPMKey, attest: bytes, signature: bytes, by: TPMKey) -> None:
    """``Refused`` where the AK did not certify that the key is in its TPM, or the key may leave it or not sign.

    ``attest`` is a TPMS_ATTEST, ``signature`` a TPMT_SIGNATURE, as ``tpm2_certify`` writes them.
    """
    if not key.stays or not key.attributes & _SIGN or key.attributes & _RESTRICTED:
        raise _refused("The device's key is not one that its TPM made, that stays in it, and that may sign a request.")
    fields = _Fields(attest, "attestation")
    magic, kind = fields.take(4), fields.number(2)
    fields.sized()  # qualifiedSigner
    fields.sized()  # extraData
    fields.take(8 + 4 + 4 + 1 + 8)  # clockInfo and firmwareVersion
    if (magic, kind) != (_GENERATED, _CERTIFY):
        raise _refused("The attestation does not certify a key: make it with tpm2_certify.")
    name = fields.sized()
    fields.sized()  # qualifiedName
    fields.end()
    if name != key.name:
        raise _refused("The attestation certifies another key than the one that was sent.")
    _verify(by.public, signature, attest)


def tpm_serial(endorsement: PublicKey) -> str:
    """What a TPM is called here: the SHA-256 of its endorsement key (SubjectPublicKeyInfo), in hex."""
    return sha256(endorsement.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def make_credential(endorsement: PublicKey, name: bytes, secret: bytes, entropy: Callable[[int], bytes]) -> bytes:
    """The secret, for nobody but the TPM that has the endorsement key and an object of that name (part 1, 24).

    It is in the form that ``tpm2_activatecredential -i`` reads. The EK is of a default template (EK Credential Profile,
    annex B.3): RSA or P-256, with SHA-256 and AES-128. ``entropy`` gives random octets.
    """
    if isinstance(endorsement, rsa.RSAPublicKey):
        seed = entropy(32)
        oaep = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), b"IDENTITY\0")
        sealed_seed = endorsement.encrypt(seed, oaep)
    else:
        own = ec.derive_private_key(int.from_bytes(entropy(32), "big") % (_P256_ORDER - 1) + 1, endorsement.curve)
        mine, theirs = own.public_key().public_numbers(), endorsement.public_numbers()
        x = mine.x.to_bytes(32, "big")
        seed = _kdf_e(own.exchange(ec.ECDH(), endorsement), x, theirs.x.to_bytes(32, "big"))
        sealed_seed = _two(x) + _two(mine.y.to_bytes(32, "big"))
    key = _kdf_a(seed, b"STORAGE", name, 128)
    encryptor = Cipher(AES(key), CFB(bytes(16))).encryptor()
    identity = encryptor.update(_two(secret)) + encryptor.finalize()
    integrity = hmac.digest(_kdf_a(seed, b"INTEGRITY", b"", 256), identity + name, "sha256")
    return _BLOB_MAGIC + _two(_two(integrity) + identity) + _two(sealed_seed)


class _Fields:
    """A structure's fields in order; ``Unreadable`` where it is shorter than it says."""

    def __init__(self, data: bytes, what: str) -> None:
        if len(data) > MAX_STRUCTURE_BYTES:
            raise _unreadable(what, f"it has more than {MAX_STRUCTURE_BYTES} bytes")
        self.whole = data
        self._at = 0
        self._what = what

    def take(self, count: int) -> bytes:
        taken = self.whole[self._at : self._at + count]
        if len(taken) != count:
            raise _unreadable(self._what, "it ends too early")
        self._at += count
        return taken

    def number(self, count: int) -> int:
        return int.from_bytes(self.take(count), "big")

    def sized(self) -> bytes:
        return self.take(self.number(2))

    def end(self) -> None:
        if self._at != len(self.whole):
            raise _unreadable(self._what, "something follows where it should end")


def _sized(blob: bytes, what: str) -> bytes:
    fields = _Fields(blob, what)
    inner = fields.sized()
    fields.end()
    return inner


def _digest(algorithm: int, data: bytes) -> bytes:
    digesting = hashes.Hash(_HASHES[algorithm]())
    digesting.update(data)
    return digesting.finalize()


def _verify(key: PublicKey, signature: bytes, data: bytes) -> None:
    fields = _Fields(signature, "signature")
    scheme, algorithm = fields.number(2), _HASHES.get(fields.number(2))
    if algorithm is None:
        raise _refused("The attestation is not signed over SHA-256 or SHA-384.")
    try:
        if isinstance(key, ec.EllipticCurvePublicKey) and scheme == _ECDSA:
            r, s = (int.from_bytes(fields.sized(), "big") for _ in range(2))
            fields.end()
            key.verify(encode_dss_signature(r, s), data, ec.ECDSA(algorithm()))
        elif isinstance(key, rsa.RSAPublicKey) and scheme in (_RSASSA, _RSAPSS):
            signed = fields.sized()
            fields.end()
            pad: Any = padding.PKCS1v15()
            if scheme == _RSAPSS:
                pad = padding.PSS(padding.MGF1(algorithm()), padding.PSS.AUTO)
            key.verify(signed, data, pad, algorithm())
        else:
            raise _refused("The attestation's signature is not of the kind of its key: ECDSA, RSASSA or RSAPSS.")
    except (InvalidSignature, ValueError) as error:
        raise _refused("The attestation is not signed by the attestation key.") from error


def _kdf_a(key: bytes, label: bytes, context: bytes, bits: int) -> bytes:
    """Part 1, 11.4.10.2 (SP 800-108 in counter mode) for one block of SHA-256 at most, without a second context."""
    return hmac.digest(key, b"\0\0\0\1" + label + b"\0" + context + bits.to_bytes(4, "big"), "sha256")[: bits // 8]


def _kdf_e(shared: bytes, mine: bytes, theirs: bytes) -> bytes:
    """Part 1, 11.4.10.3 (SP 800-56A), for the seed of a credential: one block of SHA-256."""
    return sha256(b"\0\0\0\1" + shared + b"IDENTITY\0" + mine + theirs).digest()


def _two(data: bytes) -> bytes:
    """A TPM2B: two octets of length before it."""
    return len(data).to_bytes(2, "big") + data


def _unreadable(what: str, why: str) -> Unreadable:
    return Unreadable(f"The TPM's {what} cannot be read: {why}.", code="enrolment:tpm:unreadable")


def _refused(sentence: str) -> Refused:
    return Refused(sentence, code="enrolment:tpm:refused")
