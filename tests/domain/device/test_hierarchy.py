"""What a ceremony may add to the CAs that are trusted, and what a device takes of what it is offered."""

import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from bastide.core.error import Refused, Unreadable
from bastide.device.identity.ceremony import ENTROPY_BYTES, next_issuing, next_root
from bastide.device.identity.certificate import SIGNED_OVER, Issuer, authority_certificate, common_name, serial_number
from bastide.device.identity.chain import directly_issued
from bastide.device.identity.hierarchy import Hierarchy, key_id, read_hierarchy, used_from, vouched

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
DAY, YEAR = timedelta(days=1), timedelta(days=365)
Key = ec.EllipticCurvePrivateKey


def authority(name: str, key: Key, by: Issuer | None, *, years: int = 10, below: int = 0) -> x509.Certificate:
    builder = authority_certificate(
        key.public_key(), name, serial=serial_number(secrets.token_bytes(24)), not_before=NOW - DAY,
        not_after=NOW + years * YEAR, issuer=by.certificate if by else None, below=below,
    )  # fmt: skip
    signer = by.key if by else key
    return builder.sign(signer, SIGNED_OVER[signer.curve.name])


def a_root(name: str = "Root") -> Issuer:
    key = ec.generate_private_key(ec.SECP384R1())
    return Issuer(authority(name, key, None, years=20), key)


def a_request() -> tuple[Key, bytes]:
    key = ec.generate_private_key(ec.SECP256R1())
    csr = x509.CertificateSigningRequestBuilder().subject_name(common_name("next")).sign(key, hashes.SHA256())
    return key, csr.public_bytes(Encoding.DER)


ROOT = a_root()
HIERARCHY = Hierarchy((ROOT.certificate,), (authority("Issuing", ec.generate_private_key(ec.SECP256R1()), ROOT),))
ENTROPY = bytes(range(ENTROPY_BYTES))


def test_the_next_issuing_ca_is_used_from_its_hour_on() -> None:
    key, csr = a_request()
    made = next_issuing(csr, ROOT, NOW + DAY, ENTROPY)
    grown = HIERARCHY.with_next([made], key.public_key())
    assert used_from(made) == NOW + DAY
    assert grown.current(NOW) == grown.current(NOW + DAY - timedelta(seconds=1)) == HIERARCHY.issuing[0]
    assert grown.current(NOW + DAY) == made
    assert grown.behind(made) == (made,)
    assert read_hierarchy(grown.pem()) == grown
    assert grown.noted_as(made) == (key_id(made),)
    assert grown.noted_as(HIERARCHY.issuing[0]) == (key_id(HIERARCHY.issuing[0]), "")


def test_the_next_root_and_the_one_before_lead_to_each_other() -> None:
    key, csr = a_request()
    new, links = next_root(ROOT, ec.generate_private_key(ec.SECP384R1()), NOW, ENTROPY)
    made = next_issuing(csr, new, NOW, ENTROPY)
    grown = HIERARCHY.with_next([made, new.certificate, *links], key.public_key())
    assert grown.behind(made) == (made, links[0])
    assert grown.behind(HIERARCHY.issuing[0]) == (HIERARCHY.issuing[0],)
    assert directly_issued(links[0], ROOT.certificate)
    assert directly_issued(links[1], new.certificate)
    assert read_hierarchy(grown.pem()) == grown
    # A third root: from the first one to it there is no single link, and each is vouched for by the one before.
    key3, csr3 = a_request()
    third, links3 = next_root(new, ec.generate_private_key(ec.SECP384R1()), NOW + DAY, ENTROPY[::-1])
    again = grown.with_next(
        [next_issuing(csr3, third, NOW + DAY, ENTROPY), third.certificate, *links3], key3.public_key()
    )
    assert vouched([ROOT.certificate], again.everything()) == [new.certificate, third.certificate]
    assert vouched([third.certificate], again.everything()) == []


def test_a_device_takes_no_root_that_nobody_vouches_for() -> None:
    stranger = a_root(str(next(iter(ROOT.certificate.subject)).value))
    new, links = next_root(stranger, ec.generate_private_key(ec.SECP384R1()), NOW, ENTROPY)
    assert vouched([ROOT.certificate], [stranger.certificate, new.certificate, *links]) == []
    # The link alone, without the root itself, and a link over another key, are nothing to go by.
    real, own = next_root(ROOT, ec.generate_private_key(ec.SECP384R1()), NOW, ENTROPY)
    assert vouched([ROOT.certificate], own) == []
    assert vouched([ROOT.certificate], [stranger.certificate, *own]) == []
    assert vouched([ROOT.certificate], [real.certificate, *own]) == [real.certificate]


Spoiled = Callable[[x509.Certificate, bytes, Key], list[x509.Certificate]]


def _with_root(
    change: Callable[[Issuer, tuple[x509.Certificate, ...], x509.Certificate], list[x509.Certificate]],
) -> Spoiled:
    def spoiled(_made: x509.Certificate, csr: bytes, _key: Key) -> list[x509.Certificate]:
        new, links = next_root(ROOT, ec.generate_private_key(ec.SECP384R1()), NOW, ENTROPY)
        return change(new, links, next_issuing(csr, new, NOW, ENTROPY))

    return spoiled


@pytest.mark.parametrize(
    ("spoiled", "why"),
    [
        (lambda made, csr, key: [], "one issuing CA"),
        (lambda made, csr, key: [made, made], "one issuing CA"),
        (lambda made, csr, key: [made, ROOT.certificate], "one issuing CA"),
        (lambda made, csr, key: [next_issuing(a_request()[1], ROOT, NOW, ENTROPY)], "not over the key"),
        (lambda made, csr, key: [next_issuing(csr, a_root("Root"), NOW, ENTROPY)], "not signed by the root"),
        (lambda made, csr, key: [next_issuing(csr, a_root("Other"), NOW, ENTROPY)], "not signed by the root"),
        (lambda made, csr, key: [authority("Issuing", key, ROOT)], "of that name"),
        (lambda made, csr, key: [authority("Long", key, ROOT, years=30)], "outlive"),
        (lambda made, csr, key: [authority("Wide", key, ROOT, below=1)], "one issuing CA"),
        (lambda made, csr, key: [next_issuing(csr, ROOT, NOW - 30 * DAY, ENTROPY)], "before the one"),
        (_with_root(lambda new, links, ca: [ca, new.certificate]), "one issuing CA"),
        (_with_root(lambda new, links, ca: [ca, new.certificate, links[0], links[0]]), "do not vouch"),
        (_with_root(lambda new, links, ca: [ca, new.certificate, links[1], links[1]]), "do not vouch"),
        (_with_root(lambda new, links, ca: [ca, a_root("Root").certificate, *links]), "do not vouch"),
        (_with_root(lambda new, links, ca: [ca, a_root("Another name").certificate, *links]), "name of the one before"),
    ],
)
def test_what_is_not_the_outcome_of_a_ceremony_is_refused(spoiled: Spoiled, why: str) -> None:
    key, csr = a_request()
    made = next_issuing(csr, ROOT, NOW, ENTROPY)
    assert HIERARCHY.with_next([made], key.public_key()).issuing[-1] == made
    with pytest.raises(Refused, match=why) as refused:
        HIERARCHY.with_next(spoiled(made, csr, key), key.public_key())
    assert refused.value.reason == "authority:refused"


def test_a_leaf_is_no_issuing_ca() -> None:
    key, csr = a_request()
    made = next_issuing(csr, ROOT, NOW, ENTROPY)
    plain = (
        x509.CertificateBuilder()
        .subject_name(made.subject).issuer_name(ROOT.certificate.subject).public_key(key.public_key())
        .serial_number(7).not_valid_before(NOW).not_valid_after(NOW + DAY)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=False)
        .sign(ROOT.key, hashes.SHA384())
    )  # fmt: skip
    with pytest.raises(Refused, match="lacks what RFC 5280"):
        HIERARCHY.with_next([plain], key.public_key())


@pytest.mark.parametrize("pem", [b"", b"rubbish", HIERARCHY.pem()[: len(HIERARCHY.pem()) // 2], HIERARCHY.pem() * 80])
def test_what_is_no_trust_file_is_said_to_be_none(pem: bytes) -> None:
    with pytest.raises(Unreadable):
        read_hierarchy(pem)


def test_before_the_first_hour_the_first_ca_is_in_use() -> None:
    assert HIERARCHY.current(NOW - 100 * YEAR) == HIERARCHY.issuing[0]
