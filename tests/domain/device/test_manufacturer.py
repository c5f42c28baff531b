"""Manufacturer certificates: whom they let in, and that a second engine, OpenSSL, comes to the same answer about each chain."""

import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from bastide.core.error import Refused
from bastide.device.identity.manufacturer import (
    Manufactured,
    ManufacturerRefused,
    Vendor,
    read_manufactured,
    read_vendor_anchors,
)
from bastide.device.identity.weak import weakness
from tests.domain.device.makers import BEGAN, FOR_EVER, Maker, authority
from tests.peers import require

NOW = datetime(2026, 11, 27, tzinfo=UTC)
ACME = Maker()
MUD_URL = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.5.5.7.1.25"), b"\x16\x19https://acme.example/mud1")


def vendor(maker: Maker, name: str = "acme") -> Vendor:
    return Vendor(name, read_vendor_anchors(maker.pem), True, NOW, "system:test")


def read(*shown: x509.Certificate, vendors: Sequence[Vendor] | None = None) -> Manufactured:
    ders = [one.public_bytes(Encoding.DER) for one in shown]
    return read_manufactured(ders, [vendor(ACME)] if vendors is None else vendors, NOW)


def test_a_certificate_without_san_and_end_names_maker_and_serial() -> None:
    made = read(ACME.device("SN-0815")[1])
    assert (made.vendor.name, made.serial, made.mud_url) == ("acme", "SN-0815", "")


def test_the_mud_url_of_rfc_8520_is_read() -> None:
    _, certificate = ACME.device(extra=lambda one: one.add_extension(MUD_URL, critical=False))
    assert read(certificate).mud_url == "https://acme.example/mud1"


def test_a_hardware_module_name_is_the_serial_of_a_tpm_identity() -> None:
    # hardwareModuleName: hwType 2.23.133.1.2, hwSerialNum 00112233 (RFC 4108, 5)
    name = x509.OtherName(
        x509.ObjectIdentifier("1.3.6.1.5.5.7.8.4"), bytes.fromhex("300d060567810501020404001122 33".replace(" ", ""))
    )
    san = x509.SubjectAlternativeName([name])
    _, certificate = ACME.device((), extra=lambda one: one.add_extension(san, critical=True))
    assert read(certificate).serial == "00112233"


def test_of_several_vendors_the_one_that_signed_is_found() -> None:
    other = Maker("Other")
    made = read(other.device()[1], vendors=[vendor(ACME), vendor(other, "other")])
    assert made.vendor.name == "other"


LATER = authority("between", ec.generate_private_key(ec.SECP256R1()), ACME.ca.subject, ACME.key, None)
CONSTRAINED = Maker(
    "Constrained",
    extra=lambda one: one.add_extension(x509.NameConstraints([x509.DNSName("acme.example")], None), critical=True),
)
FORGED = Maker()  # the same names, other keys

# (what is shown, whose anchor, the reason; empty where it is good). OpenSSL must agree on each where ``ours`` is not set.
CHAINS: dict[str, tuple[x509.Certificate, Maker, str]] = {
    "good": (ACME.device()[1], ACME, ""),
    "p384": (ACME.device(key=ec.generate_private_key(ec.SECP384R1()))[1], ACME, ""),
    "rsa": (ACME.device(key=rsa.generate_private_key(65537, 2048))[1], ACME, ""),
    "ed25519": (ACME.device(key=ed25519.Ed25519PrivateKey.generate())[1], ACME, ""),
    "another maker": (Maker("Other").device()[1], ACME, "unknown"),
    "the same names, another key": (FORGED.device()[1], ACME, "unknown"),
    "ended": (ACME.device(ends=NOW - timedelta(days=1))[1], ACME, "time"),
}
OURS = {
    "two serials": (ACME.device(("a", "b"))[1], "serial"),
    "no serial": (ACME.device(())[1], "serial"),
    "a CA": (ACME.device(authority_too=True)[1], "unfit"),
    "rsa 1024": (ACME.device(key=rsa.generate_private_key(65537, 1024))[1], "weak-key"),
    "a published key": (ACME.device(key=ec.derive_private_key(2, ec.SECP256R1()))[1], "weak-key"),
}


@pytest.mark.parametrize("case", CHAINS)
def test_every_chain_is_judged_as_openssl_judges_it(case: str, tmp_path: Path) -> None:
    require("openssl")
    certificate, maker, reason = CHAINS[case]
    if reason:
        with pytest.raises(ManufacturerRefused) as refused:
            read(certificate, vendors=[vendor(maker)])
        assert refused.value.reason == f"enrolment:manufacturer:{reason}"
    else:
        read(certificate, vendors=[vendor(maker)])
    assert _openssl(certificate, maker, [], tmp_path) == (not reason)


def test_a_ca_may_not_stand_below_a_path_length_of_zero(tmp_path: Path) -> None:
    require("openssl")
    key = ec.generate_private_key(ec.SECP256R1())
    below = authority("below", key, ACME.ca.subject, ACME.key, None)
    leaf = (
        x509.CertificateBuilder()
        .public_key(key.public_key())
        .subject_name(x509.Name([x509.NameAttribute(NameOID.SERIAL_NUMBER, "1")]))
        .issuer_name(below.subject)
        .serial_number(7)
        .not_valid_before(BEGAN)
        .not_valid_after(FOR_EVER)
        .sign(key, hashes.SHA256())
    )
    with pytest.raises(ManufacturerRefused):
        read(leaf, below)
    assert not _openssl(leaf, ACME, [below], tmp_path)


@pytest.mark.parametrize("case", OURS)
def test_what_openssl_would_let_pass_is_refused_with_its_reason(case: str) -> None:
    certificate, reason = OURS[case]
    with pytest.raises(ManufacturerRefused) as refused:
        read(certificate)
    assert refused.value.reason == f"enrolment:manufacturer:{reason}"


def test_a_name_constraint_that_is_not_judged_ends_the_chain() -> None:
    _, certificate = CONSTRAINED.device()
    anchors = read_vendor_anchors(CONSTRAINED.root.public_bytes(Encoding.PEM))
    with pytest.raises(ManufacturerRefused) as refused:
        read(certificate, CONSTRAINED.ca, vendors=[Vendor("constrained", anchors, True, NOW, "")])
    assert refused.value.reason == "enrolment:manufacturer:unfit"


@pytest.mark.parametrize(
    "pem", [b"", b"not PEM", ACME.device()[1].public_bytes(Encoding.PEM), ACME.pem * 17, b"x" * 70_000]
)
def test_anchors_that_are_none_are_refused(pem: bytes) -> None:
    with pytest.raises(Refused) as refused:
        read_vendor_anchors(pem)
    assert refused.value.reason == "vendor:anchors"


def test_a_key_of_the_roca_library_is_known_by_its_modulus() -> None:
    product = 1
    for prime in (3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157):
        product *= prime
    modulus = pow(65537, 4711, product) + product * ((1 << 2047) // product + 1)
    modulus += product if modulus % 2 == 0 else 0
    assert "ROCA" in weakness(rsa.RSAPublicNumbers(65537, modulus).public_key())
    assert weakness(rsa.generate_private_key(65537, 2048).public_key()) == ""


def _openssl(leaf: x509.Certificate, maker: Maker, between: Sequence[x509.Certificate], folder: Path) -> bool:
    files = {"leaf.pem": [leaf], "ca.pem": [maker.ca], "between.pem": between or [maker.ca]}
    for name, held in files.items():
        (folder / name).write_bytes(b"".join(one.public_bytes(Encoding.PEM) for one in held))
    command = ["openssl", "verify", "-partial_chain", "-attime", str(int(NOW.timestamp())), "-purpose", "sslclient"]
    command += ["-CAfile", "ca.pem", "-untrusted", "between.pem", "leaf.pem"]
    return subprocess.run(command, cwd=folder, capture_output=True, check=False).returncode == 0
