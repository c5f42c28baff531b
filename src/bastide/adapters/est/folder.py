"""What a device keeps: one file with its key and certificates, and the key that it is asking with.

``identity.pem`` is replaced whole, so key and certificate never disagree, whenever the power goes. Programs such as mosquitto
take it as both. ``pending.key`` is written before the server is asked: a device whose answer was lost, or that waits for a
person, asks again with the same key, and is known by it.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import NameOID

from bastide.core.error import Unavailable
from bastide.device.identity.certificate import to_pem

IDENTITY, PENDING, TRUST = "identity.pem", "pending.key", "trust.pem"


@dataclass(frozen=True, slots=True)
class Held:
    """The certificate that a device has."""

    device: str
    began: datetime
    ends: datetime


@dataclass(frozen=True, slots=True)
class IdentityFolder:
    """A folder that only its owner may read."""

    path: Path

    @property
    def file(self) -> Path:
        return self.path / IDENTITY

    @property
    def trust(self) -> Path:
        """The roots that were kept; there is no such file while those that the device was made with are all."""
        return self.path / TRUST

    def trusted(self, made_with: Path) -> Path:
        """The roots to trust now: those that were kept, else the file that the device was made with."""
        return self.trust if self.trust.exists() else made_with

    def held(self) -> Held | None:
        """None where there is no identity that can be read: the device then enrols (again)."""
        try:
            certificate = x509.load_pem_x509_certificates(self.file.read_bytes())[0]
            names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
            return Held(str(names[0].value), certificate.not_valid_before_utc, certificate.not_valid_after_utc)
        except (OSError, ValueError, IndexError):
            return None

    def request(self, name: str) -> bytes:
        """A PKCS#10 request (DER) over the pending key, which is made and kept first where there is none."""
        key = self._pending()
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])
        made = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, SHA256())
        return made.public_bytes(Encoding.DER)

    def keep(self, chain: list[x509.Certificate]) -> Held:
        """The pending key and its certificates become the identity."""
        key = self._pending()
        if chain[0].public_key() != key.public_key():
            raise Unavailable("The certificate that came is not over the key that was asked for.", code="agent:key")
        self._write(IDENTITY, _pem(key) + to_pem(chain))
        (self.path / PENDING).unlink(missing_ok=True)
        held = self.held()
        assert held is not None
        return held

    def keep_trust(self, roots: Iterable[x509.Certificate]) -> None:
        """What the device trusts from now on."""
        self._write(TRUST, to_pem(roots))

    def _pending(self) -> ec.EllipticCurvePrivateKey:
        try:
            key = load_pem_private_key((self.path / PENDING).read_bytes(), None)
            if isinstance(key, ec.EllipticCurvePrivateKey):
                return key
        except (OSError, ValueError):
            pass  # there is none, or a crash tore it; nobody has a certificate over it
        made = ec.generate_private_key(ec.SECP256R1())
        self._write(PENDING, _pem(made))
        return made

    def _write(self, name: str, content: bytes) -> None:
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            aside = self.path / f".{name}.new"
            with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            aside.replace(self.path / name)
            folder = os.open(self.path, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise Unavailable(f"{self.path / name} cannot be written: {error.strerror}.", code="agent:io") from error


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
