"""Makers of devices: a root, a CA below it, and the certificates that they put into devices (IEEE 802.1AR)."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

FOR_EVER = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
BEGAN = datetime(2024, 1, 1, tzinfo=UTC)
Builder = x509.CertificateBuilder


@dataclass(slots=True)
class Maker:
    """``pem`` is the CA that signs its devices, which a vendor would hand out."""

    name: str = "Acme"
    path_length: int | None = 0
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    root_key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    extra: Callable[[Builder], Builder] = lambda builder: builder

    root: x509.Certificate = field(init=False)
    ca: x509.Certificate = field(init=False)

    def __post_init__(self) -> None:
        self.root = authority(f"{self.name} root", self.root_key, None, self.root_key, 1)
        self.ca = authority(
            f"{self.name} device CA", self.key, self.root.subject, self.root_key, self.path_length, self.extra
        )

    @property
    def pem(self) -> bytes:
        return self.ca.public_bytes(Encoding.PEM)

    def device(
        self,
        serial: str | tuple[str, ...] = "SN-1",
        *,
        key: Any = None,
        ends: datetime = FOR_EVER,
        extra: Callable[[Builder], Builder] = lambda builder: builder,
        signed_by: Any = None,
        authority_too: bool = False,
    ) -> tuple[Any, x509.Certificate]:
        """A device's key and manufacturer certificate: no subjectAltName, and no end."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        serials = (serial,) if isinstance(serial, str) else serial
        subject = x509.Name(
            [x509.NameAttribute(NameOID.ORGANIZATION_NAME, self.name)]
            + [x509.NameAttribute(NameOID.SERIAL_NUMBER, one) for one in serials]
        )
        builder = _bare(key.public_key(), subject, self.ca.subject, ends)
        builder = builder.add_extension(x509.BasicConstraints(ca=authority_too, path_length=None), critical=True)
        made = extra(builder).sign(signed_by or self.key, hashes.SHA256())
        return key, made


def authority(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: x509.Name | None,
    signer: ec.EllipticCurvePrivateKey,
    path_length: int | None,
    extra: Callable[[Builder], Builder] = lambda builder: builder,
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = _bare(key.public_key(), subject, issuer or subject, BEGAN + timedelta(days=365 * 30))
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
    usage = dict.fromkeys(
        ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
         "encipher_only", "decipher_only"), False,
    )  # fmt: skip
    builder = builder.add_extension(x509.KeyUsage(**usage, key_cert_sign=True, crl_sign=True), critical=True)
    return extra(builder).sign(signer, hashes.SHA256())


def _bare(key: Any, subject: x509.Name, issuer: x509.Name, ends: datetime) -> Builder:
    return (
        x509.CertificateBuilder()
        .public_key(key)
        .subject_name(subject)
        .issuer_name(issuer)
        .serial_number(x509.random_serial_number())
        .not_valid_before(BEGAN)
        .not_valid_after(ends)
    )
