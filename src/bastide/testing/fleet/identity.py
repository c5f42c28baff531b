"""A device's own key and certificate, kept in a folder that only its owner may read."""

import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from bastide.core.error import Unreadable
from bastide.core.ids import DeviceId, is_device_id

KEY, CERTIFICATE, TRUST = "key.pem", "certificate.pem", "trust.pem"


@dataclass(frozen=True, slots=True)
class Identity:
    """An enrolled device: ``certificate`` is its leaf with the chain behind it, ``trust`` the root that it was told to trust."""

    device: DeviceId
    folder: Path
    not_after: datetime

    @property
    def key(self) -> Path:
        return self.folder / KEY

    @property
    def certificate(self) -> Path:
        return self.folder / CERTIFICATE

    @property
    def trust(self) -> Path:
        return self.folder / TRUST


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def request_for(key: ec.EllipticCurvePrivateKey, name: str) -> bytes:
    """A PKCS#10 request (DER), signed by the key that it is for."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.DER)


def save(folder: Path, key: ec.EllipticCurvePrivateKey, chain: list[x509.Certificate], trust: Path) -> Identity:
    """Keeps an identity. The certificate comes last: a folder without one is not enrolled, whatever else it holds."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    _write(folder / KEY, private)
    _write(folder / TRUST, trust.read_bytes())
    _write(folder / CERTIFICATE, b"".join(each.public_bytes(pem) for each in chain))
    return load(folder)


def load(folder: Path) -> Identity:
    """The identity that a folder holds; ``FileNotFoundError`` where it was never enrolled."""
    leaf = x509.load_pem_x509_certificates((folder / CERTIFICATE).read_bytes())[0]
    name = leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
    if not isinstance(name, str) or not is_device_id(name):
        raise Unreadable(
            f"The certificate in {folder} is for {name!r}, which is no device id; remove it to enrol again."
        )
    return Identity(DeviceId(name), folder, leaf.not_valid_after_utc)


def load_key(identity: Identity) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(identity.key.read_bytes(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise Unreadable(f"{identity.key} is not an elliptic curve key; remove it to enrol again.")
    return key


def _write(path: Path, content: bytes) -> None:
    aside = path.with_suffix(".new")
    with open(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)
