"""Which certificate requests are accepted, and the one reason that each other one is told."""

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.x509.oid import NameOID, ObjectIdentifier
from hypothesis import given
from hypothesis import strategies as st

from bastide.core.error import Refused
from bastide.device.identity.request import MAX_BYTES, RequestRefused, accept_request, key_digest
from tests.domain.device.requests import AS_AUTHORITY, GOOD, P256, P384, WITH_CHALLENGE, WITH_NAMES, builder, der, named


def refusal(request: bytes) -> str:
    with pytest.raises(Refused) as refused:
        accept_request(request)
    assert refused.value.sentence.endswith(".")
    return refused.value.reason


@pytest.mark.parametrize("key", [P256, P384], ids=["P-256", "P-384"])
@pytest.mark.parametrize("over", [hashes.SHA256(), hashes.SHA384(), hashes.SHA512()], ids=lambda over: over.name)
def test_both_curves_and_three_hashes_are_accepted(
    key: ec.EllipticCurvePrivateKey, over: hashes.SHA256 | hashes.SHA384 | hashes.SHA512
) -> None:
    accepted = accept_request(der(key=key, over=over))
    assert accepted.common_names == ("a device",)
    assert accepted.key_digest == key_digest(key.public_key())


def test_names_and_usages_of_a_device_may_be_asked_for() -> None:
    assert accept_request(WITH_NAMES).public_key == P256.public_key()
    assert accept_request(der(builder(x509.Name([])))).common_names == ()


def test_other_keys_are_refused() -> None:
    assert refusal(der(key=rsa.generate_private_key(65537, 2048))) == "signer:csr:key"
    assert refusal(der(key=rsa.generate_private_key(65537, 1024))) == "signer:csr:key"
    assert refusal(der(key=ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32)))) == "signer:csr:key"
    assert refusal(der(key=dsa.generate_private_key(1024))) == "signer:csr:key"
    for curve in (ec.SECP521R1(), ec.SECP256K1(), ec.SECP224R1(), ec.BrainpoolP256R1()):
        assert refusal(der(key=ec.derive_private_key(12345, curve))) == "signer:csr:key"


def test_a_weak_or_unusual_hash_is_refused() -> None:
    with pytest.raises(Exception):  # noqa: B017  # the library no longer signs it: the bytes are made by hand
        der(over=hashes.SHA1())
    assert refusal(der(over=hashes.SHA3_256())) == "signer:csr:hash"
    sha1 = GOOD.replace(bytes.fromhex("2a8648ce3d040302"), bytes.fromhex("2a8648ce3d0401") + b"\x05", 1)
    assert refusal(sha1).startswith("signer:csr:")


def test_a_request_that_another_key_signed_does_not_prove_possession() -> None:
    other = ec.derive_private_key(99, ec.SECP256R1())
    mine, theirs = P256.public_key().public_numbers(), other.public_key().public_numbers()
    swapped = GOOD.replace(mine.x.to_bytes(32, "big") + mine.y.to_bytes(32, "big"),
                           theirs.x.to_bytes(32, "big") + theirs.y.to_bytes(32, "big"))  # fmt: skip
    assert swapped != GOOD
    assert refusal(swapped) == "signer:csr:possession"


def test_a_point_that_is_not_on_the_curve_is_unreadable() -> None:
    numbers = P256.public_key().public_numbers()
    bent = GOOD.replace(numbers.y.to_bytes(32, "big"), (numbers.y ^ 1).to_bytes(32, "big"))
    assert refusal(bent) == "signer:csr:unreadable"


def test_a_request_to_be_an_authority_is_refused() -> None:
    assert refusal(AS_AUTHORITY) == "signer:csr:authority"
    usage = x509.KeyUsage(True, False, False, False, False, True, False, False, False)
    assert refusal(der(builder().add_extension(usage, critical=True))) == "signer:csr:authority"


def test_a_binding_that_nobody_would_check_is_refused() -> None:
    assert refusal(WITH_CHALLENGE) == "signer:csr:challenge-password"


def test_what_is_too_large_or_too_many_is_refused() -> None:
    assert refusal(bytes(MAX_BYTES + 1)) == "signer:csr:too-large"
    crowd = x509.Name([x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, f"unit {n}") for n in range(17)])
    assert refusal(der(builder(crowd))) == "signer:csr:too-large"
    many = builder()
    for number in range(17):
        oid = ObjectIdentifier(f"1.3.6.1.4.1.99999.{number}")
        many = many.add_extension(x509.UnrecognizedExtension(oid, b"\x05\x00"), critical=False)
    assert refusal(der(many)) == "signer:csr:too-large"


def test_trailing_bytes_and_truncation_are_unreadable() -> None:
    assert refusal(GOOD + b"\x00") == "signer:csr:unreadable"
    for end in range(len(GOOD)):
        assert refusal(GOOD[:end]) == "signer:csr:unreadable"


def test_a_signature_that_does_not_fill_its_last_octet_is_unreadable() -> None:
    signature = x509.load_der_x509_csr(GOOD).signature
    changed = bytearray(GOOD)
    changed[-len(signature) - 1] ^= 1
    assert refusal(bytes(changed)) == "signer:csr:unreadable"


@given(st.integers(0, len(GOOD) - 1), st.integers(0, 7))
def test_one_flipped_bit_never_passes(at: int, bit: int) -> None:
    changed = bytearray(GOOD)
    changed[at] ^= 1 << bit
    assert refusal(bytes(changed)).startswith("signer:csr:")


@given(st.binary(max_size=600))
def test_noise_is_refused_and_nothing_else(noise: bytes) -> None:
    assert refusal(noise) == "signer:csr:unreadable"


def test_a_long_name_is_read_and_not_used() -> None:
    assert accept_request(der(builder(named("x" * 64)))).common_names == ("x" * 64,)


@pytest.mark.parametrize("subject", ["me", "a name so long that the request needs two octets for its length" * 2])
def test_a_null_that_tpm2_openssl_writes_is_read_and_not_kept(subject: str) -> None:
    strict = der(builder(named(subject[:64])))
    plain, nulled = bytes.fromhex("300a06082a8648ce3d040302"), bytes.fromhex("300c06082a8648ce3d0403020500")
    inner = strict[2 if strict[1] < 0x80 else 2 + (strict[1] & 0x7F) :].replace(plain, nulled)
    loose = (
        b"\x30\x82" + len(inner).to_bytes(2, "big") + inner
        if len(inner) > 255
        else b"\x30\x81" + bytes([len(inner)]) + inner
    )
    with pytest.raises(ValueError, match="ExtraData"):
        x509.load_der_x509_csr(loose)
    assert accept_request(loose).der == strict
    # Twice, or cut: it is not touched, and refused as anything else that cannot be read.
    for spoiled in (loose[:-1], loose + nulled, nulled, nulled[:5], loose.replace(b"\x05\x00", b"\x05\x01")):
        with pytest.raises(RequestRefused):
            accept_request(spoiled)
