"""Signatures of MUD files: made by openssl and cryptography, judged as values, with states that tell them apart."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import pkcs7
from cryptography.x509.oid import NameOID

from bastide.core.error import Refused
from bastide.network.profile.mud.signature import SignatureState, judge, sign

NOW = datetime(2026, 6, 1, tzinfo=UTC)
CONTENT = b'{"ietf-mud:mud": {}}'
DAY = timedelta(days=1)
_OPTIONS = [pkcs7.PKCS7Options.DetachedSignature, pkcs7.PKCS7Options.Binary]
Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


class Maker:
    """A maker's CA, an intermediate one, and a signer."""

    def __init__(self, change: Callable[[dict[str, Any]], Any] = lambda asked: None, key: Key | None = None) -> None:
        asked: dict[str, Any] = {"signs": True, "ca": True, "path_length": 1, "begin": NOW - DAY, "end": NOW + DAY}
        change(asked)
        root_key, middle_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        self.key = key or ec.generate_private_key(ec.SECP256R1())
        self.root = _certificate("root", root_key, "root", root_key, True, asked["path_length"], True)
        self.middle = _certificate("middle", middle_key, "root", root_key, asked["ca"], None, asked["ca"])
        self.signer = _certificate(
            "signer", self.key, "middle", middle_key, False, None, False, asked["signs"], asked["begin"], asked["end"]
        )

    def sign(self, content: bytes = CONTENT, digest: Any = None) -> bytes:
        builder = pkcs7.PKCS7SignatureBuilder().set_data(content)
        signed = builder.add_signer(self.signer, self.key, digest or hashes.SHA256()).add_certificate(self.middle)
        return signed.sign(serialization.Encoding.DER, _OPTIONS)


def _certificate(
    name: str,
    key: Any,
    issuer: str,
    issuer_key: Any,
    ca: bool,
    path_length: int | None,
    issues: bool,
    signs: bool = True,
    begin: datetime = NOW - DAY,
    end: datetime = NOW + DAY,
) -> x509.Certificate:
    subject, by = (x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, one)]) for one in (name, issuer))
    usage = x509.KeyUsage(signs, False, False, False, not signs, issues, False, False, False)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(by).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(begin).not_valid_after(end)
    builder = builder.add_extension(x509.BasicConstraints(ca, path_length if ca else None), True)
    return builder.add_extension(usage, True).sign(issuer_key, hashes.SHA256())


def state(maker: Maker, signature: bytes, content: bytes = CONTENT, at: datetime = NOW) -> SignatureState:
    return judge(content, signature, [maker.root], at).state


@pytest.mark.parametrize("make", [lambda: None, lambda: rsa.generate_private_key(65537, 2048)])
def test_a_signature_by_a_chain_to_an_anchor_is_valid(make: Callable[[], Key | None]) -> None:
    maker = Maker(key=make())
    judged = judge(CONTENT, maker.sign(), [maker.root], NOW)
    assert judged.holds
    assert judged.signer == "CN=signer"
    assert judged.ends == NOW + DAY


def test_states_are_told_apart() -> None:
    maker = Maker()
    signature = maker.sign()
    assert state(maker, signature, CONTENT + b" ") is SignatureState.ALTERED
    assert state(Maker(), signature) is SignatureState.UNTRUSTED
    assert state(maker, signature, at=NOW + 2 * DAY) is SignatureState.EXPIRED
    assert state(maker, signature, at=NOW - 2 * DAY) is SignatureState.NOT_YET_VALID
    assert state(maker, b"") is SignatureState.UNREADABLE
    assert state(maker, b"\x30" * 70_000) is SignatureState.UNREADABLE
    assert state(maker, signature + b"\0") is SignatureState.UNREADABLE


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"signs": False}, SignatureState.UNFIT),
        ({"ca": False}, SignatureState.UNTRUSTED),
        ({"path_length": 0}, SignatureState.UNTRUSTED),
    ],
)
def test_a_certificate_that_may_not_do_it_proves_nothing(change: dict[str, Any], expected: SignatureState) -> None:
    maker = Maker(lambda asked: asked.update(change))
    assert state(maker, maker.sign()) is expected


def test_a_small_rsa_key_is_not_accepted() -> None:
    maker = Maker(key=rsa.generate_private_key(65537, 1024))
    assert state(maker, maker.sign()) is SignatureState.UNFIT


def test_an_attached_signature_is_not_taken() -> None:
    maker = Maker()
    builder = pkcs7.PKCS7SignatureBuilder().set_data(CONTENT).add_signer(maker.signer, maker.key, hashes.SHA256())
    attached = builder.sign(serialization.Encoding.DER, [pkcs7.PKCS7Options.Binary])
    assert state(maker, attached) is SignatureState.UNREADABLE


@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
def test_no_flipped_bit_leaves_a_signature_valid_for_another_content() -> None:
    maker = Maker()
    signature = maker.sign()
    for place in range(0, len(signature), 3):
        flipped = bytearray(signature)
        flipped[place] ^= 1 << (place % 8)
        assert not judge(CONTENT + b"x", bytes(flipped), [maker.root], NOW).holds


@pytest.mark.parametrize("make", [lambda: None, lambda: rsa.generate_private_key(65537, 2048)])
def test_what_we_sign_is_judged_valid_and_covers_exactly_these_octets(make: Callable[[], Key | None]) -> None:
    maker = Maker(key=make())
    signature = sign(CONTENT, maker.key, [maker.signer, maker.middle])
    assert state(maker, signature) is SignatureState.VALID
    assert state(maker, signature, CONTENT + b"\n") is SignatureState.ALTERED


def test_a_key_that_is_not_the_certificates_signs_nothing() -> None:
    maker = Maker()
    with pytest.raises(Refused, match="not that of the first certificate"):
        sign(CONTENT, ec.generate_private_key(ec.SECP256R1()), [maker.signer, maker.middle])


def test_a_certificate_that_may_not_sign_signs_nothing() -> None:
    maker = Maker(lambda asked: asked.update(signs=False))
    with pytest.raises(Refused, match="digitalSignature"):
        sign(CONTENT, maker.key, [maker.signer, maker.middle])
