"""What a root's key signs when people bring it together: the next issuing CA, and the next root.

- The issuing CA is over the key of a request that the signer made; its name carries the key's digest, so no two are alike.
- The next root (RFC 4210 4.4) comes with two links: its key signed by the root before, and that one's key signed by it. All
  have the root's name; why is in :mod:`bastide.device.identity.hierarchy`.
"""

from datetime import datetime, timedelta
from hashlib import sha256

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from bastide.device.identity.certificate import SIGNED_OVER, Issuer, authority_certificate, serial_number
from bastide.device.identity.hierarchy import BACKDATED
from bastide.device.identity.request import accept_request

ROOT_LIFETIME = timedelta(days=20 * 365)
ISSUING_LIFETIME = timedelta(days=10 * 365)
ENTROPY_BYTES = 96


def issuing_name(key: ec.EllipticCurvePublicKey) -> str:
    """The name of an issuing CA after the first."""
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return f"Bastide issuing CA {sha256(der).hexdigest()[:16]}"


def root_over(key: ec.EllipticCurvePrivateKey, name: str, begins: datetime, serial: int) -> Issuer:
    """A root, signed by its own key."""
    ends = begins + ROOT_LIFETIME
    builder = authority_certificate(
        key.public_key(), name, serial=serial, not_before=begins, not_after=ends, issuer=None
    )
    return Issuer(builder.sign(key, SIGNED_OVER[key.curve.name]), key)


def issuing_over(
    key: ec.EllipticCurvePublicKey, name: str, root: Issuer, begins: datetime, serial: int
) -> x509.Certificate:
    """An issuing CA; it ends with its root at the latest."""
    ends = min(begins + ISSUING_LIFETIME, root.certificate.not_valid_after_utc)
    builder = authority_certificate(
        key, name, serial=serial, not_before=begins, not_after=ends, issuer=root.certificate
    )
    return root.sign(builder)


def next_issuing(csr: bytes, root: Issuer, used_from: datetime, entropy: bytes) -> x509.Certificate:
    """The issuing CA over a request's key (PKCS#10, DER), in use from then on."""
    key = accept_request(csr).public_key
    begins = (used_from - BACKDATED).replace(microsecond=0)
    return issuing_over(key, issuing_name(key), root, begins, serial_number(entropy[:24]))


def next_root(
    old: Issuer, key: ec.EllipticCurvePrivateKey, now: datetime, entropy: bytes
) -> tuple[Issuer, tuple[x509.Certificate, x509.Certificate]]:
    """The next root over a new key; the new key signed by the old root, and the old key signed by the new root."""
    begins = (now - BACKDATED).replace(microsecond=0)
    name = str(next(iter(old.certificate.subject)).value)
    new = root_over(key, name, begins, serial_number(entropy[24:48]))
    ends = old.certificate.not_valid_after_utc
    forward = _link(key.public_key(), name, serial_number(entropy[48:72]), begins, ends, old)
    back = _link(old.key.public_key(), name, serial_number(entropy[72:]), begins, ends, new)
    return new, (forward, back)


def _link(
    key: ec.EllipticCurvePublicKey, name: str, serial: int, begins: datetime, ends: datetime, by: Issuer
) -> x509.Certificate:
    builder = authority_certificate(
        key, name, serial=serial, not_before=begins, not_after=ends, issuer=by.certificate, below=1
    )
    return by.sign(builder)
