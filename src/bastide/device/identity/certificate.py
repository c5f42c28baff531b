"""The form of the certificates that an issuing CA makes (RFC 5280).

- 4.1.2.2: the serial is positive and at most 20 octets; it carries at least 64 unpredictable bits.
- 4.1.2.6, 4.2.1.6: a device's subject is ``CN=<device id>`` and nothing else; a server's names are subjectAltName.
- 4.2.1.1, 4.2.1.2: authority and subject key identifiers are present; 4.2.1.3: keyUsage is digitalSignature, critical;
  4.2.1.9: basicConstraints says CA false, critical; 4.2.1.12: extendedKeyUsage is one of clientAuth, serverAuth, OCSPSigning.

The same values always make the same to-be-signed bytes: serial and times are handed in.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from ipaddress import IPv4Address, IPv6Address

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from bastide.core.error import Refused
from bastide.core.ids import DeviceId, is_device_id

SERIAL_BYTES = 19  # one less than allowed, so that the sign bit never makes it 21


@dataclass(frozen=True, slots=True)
class Issuer:
    """A CA's certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    def sign(self, builder: x509.CertificateBuilder) -> x509.Certificate:
        """The certificate, over the hash that fits the key's curve."""
        return builder.sign(self.key, SIGNED_OVER[self.key.curve.name])


def serial_number(entropy: bytes) -> int:
    """A positive serial of 19 octets from at least as many random ones."""
    if len(entropy) < SERIAL_BYTES:
        raise ValueError("a serial number needs 19 random bytes")
    return int.from_bytes(entropy[:SERIAL_BYTES], "big") | 1 << (SERIAL_BYTES * 8 - 1)


def common_name(text: str) -> x509.Name:
    """A name of one attribute, the CN."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def device_certificate(
    key: ec.EllipticCurvePublicKey,
    device: DeviceId,
    *,
    serial: int,
    not_before: datetime,
    not_after: datetime,
    issuer: x509.Certificate,
) -> x509.CertificateBuilder:
    """A device's client certificate, ready to be signed by the issuer's key."""
    builder = _leaf(key, serial, not_before, not_after, issuer).subject_name(common_name(device))
    return builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)


def server_certificate(
    key: ec.EllipticCurvePublicKey,
    names: Sequence[str | IPv4Address | IPv6Address],
    *,
    serial: int,
    not_before: datetime,
    not_after: datetime,
    issuer: x509.Certificate,
) -> x509.CertificateBuilder:
    """A TLS server's certificate over DNS names and addresses; the first name is the CN too, for people."""
    general = [x509.DNSName(name) if isinstance(name, str) else x509.IPAddress(name) for name in names]
    builder = _leaf(key, serial, not_before, not_after, issuer).subject_name(common_name(str(names[0])[:64]))
    builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    return builder.add_extension(x509.SubjectAlternativeName(general), critical=False)


def ocsp_certificate(
    key: ec.EllipticCurvePublicKey,
    *,
    serial: int,
    not_before: datetime,
    not_after: datetime,
    issuer: x509.Certificate,
) -> x509.CertificateBuilder:
    """A delegated OCSP responder's certificate (RFC 6960 4.2.2.2): short-lived, so itself not looked up (4.2.2.2.1)."""
    builder = _leaf(key, serial, not_before, not_after, issuer).subject_name(common_name("Bastide OCSP responder"))
    builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING]), critical=False)
    return builder.add_extension(x509.OCSPNoCheck(), critical=False)


def authority_certificate(
    key: ec.EllipticCurvePublicKey,
    name: str,
    *,
    serial: int,
    not_before: datetime,
    not_after: datetime,
    issuer: x509.Certificate | None,
    below: int = 0,
) -> x509.CertificateBuilder:
    """A root (no issuer), which has one CA below it, or a CA with ``below`` CAs: none below one that issues."""
    identifier = x509.SubjectKeyIdentifier.from_public_key(key)
    builder = _bare(key, serial, not_before, not_after).subject_name(common_name(name))
    builder = builder.issuer_name(issuer.subject if issuer else common_name(name))
    path_length = below if issuer else 1
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
    builder = builder.add_extension(_usage(key_cert_sign=True, crl_sign=True), critical=True)
    builder = builder.add_extension(identifier, critical=False)
    above = _identifier_of(issuer) if issuer else identifier
    authority = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(above)
    return builder.add_extension(authority, critical=False)


def to_pem(certificates: Iterable[x509.Certificate]) -> bytes:
    """The certificates one after the other in PEM."""
    return b"".join(one.public_bytes(Encoding.PEM) for one in certificates)


def fingerprint(der: bytes) -> str:
    """The SHA-256 of a certificate, in hex."""
    return sha256(der).hexdigest()


def issuer_key_id(certificate: x509.Certificate) -> str:
    """The key identifier of a certificate's issuer (RFC 5280 4.2.1.1), in hex."""
    identifier = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    return (identifier or b"").hex()


def algorithm(key: object) -> str:
    """What a public key is of, as people say it: ``P-256``, ``RSA 2048``, ``Ed25519``."""
    if isinstance(key, ec.EllipticCurvePublicKey):
        return {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}.get(key.curve.name, key.curve.name)
    if isinstance(key, rsa.RSAPublicKey):
        return f"RSA {key.key_size}"
    return "Ed25519" if isinstance(key, ed25519.Ed25519PublicKey) else type(key).__name__


def device_of(certificate: x509.Certificate) -> DeviceId:
    """The device that a certificate names; ``Refused`` where its subject is not exactly ``CN=<device id>``."""
    attributes = list(certificate.subject)
    if len(attributes) == 1 and attributes[0].oid == NameOID.COMMON_NAME and is_device_id(str(attributes[0].value)):
        return DeviceId(str(attributes[0].value))
    raise Refused(
        f"The certificate's subject is {certificate.subject.rfc4514_string()[:120]!r}, which names no device of this "
        "platform. Enrol with a claim first.",
        code="identity:certificate:no-device",
    )


def _leaf(
    key: ec.EllipticCurvePublicKey, serial: int, not_before: datetime, not_after: datetime, issuer: x509.Certificate
) -> x509.CertificateBuilder:
    authority = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(_identifier_of(issuer))
    return (
        _bare(key, serial, not_before, not_after)
        .issuer_name(issuer.subject)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(digital_signature=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(authority, critical=False)
    )


def _bare(
    key: ec.EllipticCurvePublicKey, serial: int, not_before: datetime, not_after: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .public_key(key)
        .serial_number(serial)
        .not_valid_before(not_before.astimezone(UTC))
        .not_valid_after(not_after.astimezone(UTC))
    )


def _identifier_of(issuer: x509.Certificate) -> x509.SubjectKeyIdentifier:
    return issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value


def _usage(*, digital_signature: bool = False, key_cert_sign: bool = False, crl_sign: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        encipher_only=False,
        decipher_only=False,
    )


SIGNED_OVER: dict[str, hashes.SHA256 | hashes.SHA384] = {"secp256r1": hashes.SHA256(), "secp384r1": hashes.SHA384()}
"""The hash that fits an issuer's curve (RFC 5480 4)."""
