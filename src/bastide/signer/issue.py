"""The one place where an issuing CA's key signs a certificate: linted first, over a key that everybody knows."""

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from bastide.device.identity.certificate import Issuer
from bastide.device.identity.lint import check

# What it signs is worth nothing to anybody; a bad certificate is then never signed by a key that is.
_WORTHLESS = ec.derive_private_key(1, ec.SECP256R1())


def issue(builder: x509.CertificateBuilder, by: Issuer) -> x509.Certificate:
    """The certificate, signed by the issuing CA; ``CertificateBad`` where it breaks a rule of device/identity/lint.py."""
    check(builder.sign(_WORTHLESS, hashes.SHA256()), by.certificate)
    return by.sign(builder)
