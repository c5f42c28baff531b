"""A listener's key and certificate as two PEM files.

The new key waits beside the old one until its certificate is there; then both are replaced, the key first, and a listener
that reads between the two replacements fails to load and tries again. Keys are 0600 from the first byte.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def new_signing_key() -> ec.EllipticCurvePrivateKey:
    """A P-256 key of this process's own."""
    return ec.generate_private_key(ec.SECP256R1())


@dataclass(frozen=True, slots=True)
class LeafFiles:
    """``purpose`` is what serves with it; files are ``<purpose>.pem`` (leaf, then its chain) and ``<purpose>.key``."""

    folder: Path
    purpose: str

    @property
    def certificate(self) -> Path:
        return self.folder / f"{self.purpose}.pem"

    @property
    def key(self) -> Path:
        return self.folder / f"{self.purpose}.key"

    def good_until(self, names: Sequence[str], issuer: bytes) -> tuple[datetime, datetime] | None:
        """When the leaf began and ends; None where there is none, or it is not for these names, key or issuer (DER)."""
        try:
            leaf = x509.load_pem_x509_certificate(self.certificate.read_bytes())
            key = serialization.load_pem_private_key(self.key.read_bytes(), password=None)
            leaf.verify_directly_issued_by(x509.load_der_x509_certificate(issuer))
        except Exception:
            # Whatever is wrong with the files (missing, torn, another CA's): a new leaf mends it.
            return None
        if leaf.public_key() != key.public_key() or _names(leaf) != _normal(names):
            return None
        return leaf.not_valid_before_utc, leaf.not_valid_after_utc

    def request(self) -> tuple[bytes, bytes]:
        """A new P-256 key (PEM) and its certificate request (DER); nothing is written yet."""
        key = new_signing_key()
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.purpose)])
        csr = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return pem, csr.public_bytes(serialization.Encoding.DER)

    def write(self, key: bytes, certificate: bytes, chain: Sequence[bytes]) -> None:
        """Makes the new pair the one that is served. ``certificate`` and ``chain`` are DER."""
        pem = b"".join(
            x509.load_der_x509_certificate(der).public_bytes(serialization.Encoding.PEM)
            for der in (certificate, *chain)
        )
        _replace(self.key, key)
        _replace(self.certificate, pem)


def _names(leaf: x509.Certificate) -> set[str]:
    extension = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return {str(name.value) for name in extension}


def _normal(names: Sequence[str]) -> set[str]:
    """Names as a certificate carries them: addresses in their shortest form, DNS names in lower case."""
    normal = set()
    for name in names:
        try:
            normal.add(str(ip_address(name)))
        except ValueError:
            normal.add(name.lower())
    return normal


def _replace(path: Path, content: bytes) -> None:
    aside = path.with_name(f".{path.name}.new")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)
