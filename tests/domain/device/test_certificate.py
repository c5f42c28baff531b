"""The form of certificates: RFC 5280's words for what each field must be."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given
from hypothesis import strategies as st

from bastide.core.error import Refused
from bastide.core.ids import DeviceId
from bastide.device.identity.certificate import (
    SIGNED_OVER,
    authority_certificate,
    device_certificate,
    device_of,
    serial_number,
    server_certificate,
)
from tests.domain.device.requests import P256, P384, named

NOW = datetime(2026, 1, 5, tzinfo=UTC)
LAMP = DeviceId("d-" + "a" * 20)
ROOT = authority_certificate(
    P384.public_key(), "root", serial=1, not_before=NOW, not_after=NOW + timedelta(days=9), issuer=None
).sign(P384, SIGNED_OVER["secp384r1"])
ISSUING = authority_certificate(
    P256.public_key(), "issuing", serial=2, not_before=NOW, not_after=NOW + timedelta(days=8), issuer=ROOT
).sign(P384, SIGNED_OVER["secp384r1"])


def leaf(name: str = LAMP) -> x509.Certificate:
    builder = device_certificate(
        P256.public_key(), DeviceId(name), serial=3, not_before=NOW, not_after=NOW + timedelta(days=1), issuer=ISSUING
    )
    return builder.sign(P256, SIGNED_OVER["secp256r1"])


def test_a_device_certificate_is_for_a_client_and_signs_nothing() -> None:
    certificate = leaf()
    assert certificate.subject == named(LAMP)
    values = {type(one.value): (one.value, one.critical) for one in certificate.extensions}
    assert values[x509.BasicConstraints] == (x509.BasicConstraints(ca=False, path_length=None), True)
    assert values[x509.ExtendedKeyUsage] == (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), False)
    usage, critical = values[x509.KeyUsage]
    assert isinstance(usage, x509.KeyUsage)
    assert (usage.digital_signature, usage.key_cert_sign, usage.crl_sign, usage.key_agreement, critical) == (
        True, False, False, False, True,
    )  # fmt: skip
    above = ISSUING.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    authority, _ = values[x509.AuthorityKeyIdentifier]
    assert isinstance(authority, x509.AuthorityKeyIdentifier)
    assert authority.key_identifier == above.digest
    assert device_of(certificate) == LAMP


def test_the_chain_holds_and_its_lengths_are_limited() -> None:
    ROOT.verify_directly_issued_by(ROOT)
    ISSUING.verify_directly_issued_by(ROOT)
    leaf().verify_directly_issued_by(ISSUING)
    assert ROOT.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length == 1
    assert ISSUING.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length == 0


def test_a_server_certificate_has_names_and_is_no_client() -> None:
    certificate = server_certificate(
        P256.public_key(), ["localhost"], serial=4, not_before=NOW, not_after=NOW + timedelta(days=1), issuer=ISSUING
    ).sign(P256, SIGNED_OVER["secp256r1"])
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.SERVER_AUTH]
    with pytest.raises(Refused):
        device_of(certificate)


@pytest.mark.parametrize("subject", [
    x509.Name([]),
    named("router"),
    named(LAMP.upper()),
    x509.Name([*named(LAMP), *named(LAMP)]),
    x509.Name([*named(LAMP), x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "x")]),
    x509.Name([x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, LAMP)]),
])  # fmt: skip
def test_only_exactly_a_device_id_names_a_device(subject: x509.Name) -> None:
    made = leaf()
    other = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(made.issuer).public_key(made.public_key())
        .serial_number(9).not_valid_before(NOW).not_valid_after(NOW + timedelta(days=1)).sign(P256, SIGNED_OVER["secp256r1"])
    )  # fmt: skip
    with pytest.raises(Refused):
        device_of(other)


@given(st.binary(min_size=19, max_size=40))
def test_a_serial_is_positive_and_nineteen_octets(entropy: bytes) -> None:
    serial = serial_number(entropy)
    assert serial.bit_length() == 19 * 8
    with pytest.raises(ValueError):
        serial_number(entropy[:18])


def test_the_same_values_make_the_same_bytes_to_sign() -> None:
    assert leaf().tbs_certificate_bytes == leaf().tbs_certificate_bytes
    assert leaf().public_bytes(Encoding.DER) != ISSUING.public_bytes(Encoding.DER)
    assert isinstance(leaf().public_key(), ec.EllipticCurvePublicKey)
