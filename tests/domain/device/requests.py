"""Certificate requests, good and hostile, as the tests and fuzz targets need them."""

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import AttributeOID, NameOID

P256 = ec.derive_private_key(0x0123456789ABCDEF, ec.SECP256R1())
P384 = ec.derive_private_key(0x0123456789ABCDEF, ec.SECP384R1())


def named(text: str = "a device") -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def builder(subject: x509.Name | None = None) -> x509.CertificateSigningRequestBuilder:
    return x509.CertificateSigningRequestBuilder().subject_name(named() if subject is None else subject)


def der(
    made: x509.CertificateSigningRequestBuilder | None = None,
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey | dsa.DSAPrivateKey = P256,
    over: hashes.SHA1 | hashes.SHA256 | hashes.SHA384 | hashes.SHA512 | hashes.SHA3_256 | None = hashes.SHA256(),
) -> bytes:
    over = None if isinstance(key, ed25519.Ed25519PrivateKey) else over
    return (made or builder()).sign(key, over).public_bytes(Encoding.DER)  # type: ignore[arg-type]


GOOD = der()
WITH_CHALLENGE = der(builder().add_attribute(AttributeOID.CHALLENGE_PASSWORD, b"secret"))
AS_AUTHORITY = der(builder().add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True))
WITH_NAMES = der(
    builder()
    .add_extension(x509.SubjectAlternativeName([x509.DNSName("camera.example")]), critical=False)
    .add_extension(x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
)
