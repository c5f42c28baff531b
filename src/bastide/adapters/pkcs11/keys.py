"""A token's private keys as the key types of ``cryptography``, so that certificates are built over them as over any other.

- ECDSA (PKCS#11 3.0, 6.3.12 CKM_ECDSA): the token signs the digest and returns r and s side by side; X.509 wants the DER of
  Ecdsa-Sig-Value (RFC 3279 2.2.3).
- EdDSA (6.3.13 CKM_EDDSA): the token signs the message itself (RFC 8032).

All that would take the key out of the token is refused.
"""

from typing import Any, NoReturn

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature
from pkcs11 import Mechanism
from pkcs11.exceptions import PKCS11Error

from bastide.core.error import Unavailable


def _stays() -> NoReturn:
    raise TypeError("this key is in a token and does not leave it")


def _sign(handle: Any, data: bytes, mechanism: Mechanism) -> bytes:
    try:
        return bytes(handle.sign(data, mechanism=mechanism))
    except PKCS11Error as error:
        raise Unavailable(
            f"The token did not sign ({type(error).__name__}). Check that it is plugged in and logged in, then try again.",
            code="signer:token:unavailable",
        ) from error


class TokenECKey(ec.EllipticCurvePrivateKey):
    """An EC key in a token."""

    def __init__(self, handle: Any, public: ec.EllipticCurvePublicKey) -> None:
        self._handle = handle
        self._public = public

    @property
    def curve(self) -> ec.EllipticCurve:
        return self._public.curve

    @property
    def key_size(self) -> int:
        return self._public.key_size

    def public_key(self) -> ec.EllipticCurvePublicKey:
        return self._public

    def sign(self, data: Any, signature_algorithm: ec.EllipticCurveSignatureAlgorithm) -> bytes:
        algorithm = signature_algorithm.algorithm
        if isinstance(algorithm, Prehashed):
            digest = bytes(data)
        else:
            digesting = hashes.Hash(algorithm)
            digesting.update(bytes(data))
            digest = digesting.finalize()
        raw = _sign(self._handle, digest, Mechanism.ECDSA)
        half = len(raw) // 2
        return encode_dss_signature(int.from_bytes(raw[:half], "big"), int.from_bytes(raw[half:], "big"))

    def exchange(self, algorithm: ec.ECDH, peer_public_key: ec.EllipticCurvePublicKey) -> bytes:
        _stays()

    def private_numbers(self) -> ec.EllipticCurvePrivateNumbers:
        _stays()

    def private_bytes(self, encoding: Any, format: Any, encryption_algorithm: Any) -> bytes:
        _stays()

    def __copy__(self) -> "TokenECKey":
        return self

    def __deepcopy__(self, memo: dict[Any, Any]) -> "TokenECKey":
        return self


class TokenEd25519Key(ed25519.Ed25519PrivateKey):
    """An Ed25519 key in a token."""

    def __init__(self, handle: Any, public: ed25519.Ed25519PublicKey) -> None:
        self._handle = handle
        self._public = public

    def public_key(self) -> ed25519.Ed25519PublicKey:
        return self._public

    def sign(self, data: Any) -> bytes:
        return _sign(self._handle, bytes(data), Mechanism.EDDSA)

    def private_bytes_raw(self) -> bytes:
        _stays()

    def private_bytes(self, encoding: Any, format: Any, encryption_algorithm: Any) -> bytes:
        _stays()

    def __copy__(self) -> "TokenEd25519Key":
        return self

    def __deepcopy__(self, memo: dict[Any, Any]) -> "TokenEd25519Key":
        return self
