"""What a root's key signs when people bring it together: the next issuing CA, and the next root.

- The issuing CA is over the key of a request that the signer made; its name carries the key's digest, so no two are alike.
- The next root (RFC 4210 4.4) comes with two links: its key signed by the root before, and that one's key signed by it. All
  have the root's name; why is in :mod:`bastide.device.identity.hierarchy`.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from bastide.device.identity.certificate import SIGNED_OVER, authority_certificate, serial_number
from bastide.device.identity.hierarchy import BACKDATED
from bastide.device.identity.request import accept_request

ROOT_LIFETIME = timedelta(days=20 * 365)
ISSUING_LIFETIME = timedelta(days=10 * 365)
ENTROPY_BYTES = 96


@dataclass(frozen=True, slots=True)
class Root:
    """A root and its key, while a ceremony has it."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    def sign(self, builder: x509.CertificateBuilder) -> x509.Certificate:
        return builder.sign(self.key, SIGNED_OVER[self.key.curve.name])


def issuing_name(key: ec.EllipticCurvePublicKey) -> str:
    """The name of an issuing CA after the first."""
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return f"Bastide issuing CA {sha256(der).hexdigest()[:16]}"


def next_issuing(csr: bytes, root: Root, used_from: datetime, entropy: bytes) -> x509.Certificate:
    """The issuing CA over a request's key (PKCS#10, DER), in use from then on; it ends with its root at the latest."""
    key = accept_request(csr).public_key
    begins = (used_from - BACKDATED).replace(microsecond=0)
    return root.sign(
        authority_certificate(
            key,
            issuing_name(key),
            serial=serial_number(entropy[:24]),
            not_before=begins,
            not_after=min(begins + ISSUING_LIFETIME, root.certificate.not_valid_after_utc),
            issuer=root.certificate,
        )
    )


def next_root(
    old: Root, key: ec.EllipticCurvePrivateKey, now: datetime, entropy: bytes
) -> tuple[Root, tuple[x509.Certificate, x509.Certificate]]:
    """The next root over a new key; the new key signed by the old root, and the old key signed by the new root."""
    begins = (now - BACKDATED).replace(microsecond=0)
    name = str(next(iter(old.certificate.subject)).value)
    made = authority_certificate(
        key.public_key(),
        name,
        serial=serial_number(entropy[24:48]),
        not_before=begins,
        not_after=begins + ROOT_LIFETIME,
        issuer=None,
    )
    new = Root(made.sign(key, SIGNED_OVER[key.curve.name]), key)
    ends = old.certificate.not_valid_after_utc
    forward = _link(key.public_key(), name, serial_number(entropy[48:72]), begins, ends, old)
    back = _link(old.key.public_key(), name, serial_number(entropy[72:]), begins, ends, new)
    return new, (forward, back)


def _link(
    key: ec.EllipticCurvePublicKey, name: str, serial: int, begins: datetime, ends: datetime, by: Root
) -> x509.Certificate:
    builder = authority_certificate(
        key, name, serial=serial, not_before=begins, not_after=ends, issuer=by.certificate, below=1
    )
    return by.sign(builder)
