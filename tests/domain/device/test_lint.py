"""No bad certificate leaves: each rule of the linter has a certificate that breaks it, and good ones break none."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from bastide.device.identity.certificate import SIGNED_OVER, authority_certificate, common_name, serial_number
from bastide.device.identity.lint import READABLE, RULES, CertificateBad, below, check, lint
from tests.domain.device.requests import P256, P384

NOW = datetime(2026, 1, 5, tzinfo=UTC)
SERIAL = serial_number(bytes(range(19)))
LEAF_KEY = ec.derive_private_key(7, ec.SECP256R1())
ISSUING = authority_certificate(
    P256.public_key(), "issuing", serial=SERIAL, not_before=NOW, not_after=NOW + timedelta(days=9), issuer=None
).sign(P256, SIGNED_OVER["secp256r1"])
_AUTHORITY_ID = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(
    ISSUING.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
)


def usage(**used: bool) -> x509.KeyUsage:
    none = dict.fromkeys(
        (
            "digital_signature",
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "key_cert_sign",
            "crl_sign",
            "encipher_only",
            "decipher_only",
        ),
        False,
    )
    return x509.KeyUsage(**{**none, **used})


@dataclass
class Draft:
    """A good device certificate, of which a test spoils one thing."""

    subject: x509.Name = field(default_factory=lambda: common_name("d-" + "a" * 20))
    issuer: x509.Name = ISSUING.subject
    key: Any = field(default_factory=LEAF_KEY.public_key)
    serial: int = SERIAL
    days: int = 1
    extensions: dict[str, tuple[x509.ExtensionType, bool] | None] = field(default_factory=dict)

    def built(self) -> x509.Certificate:
        extensions: dict[str, tuple[x509.ExtensionType, bool] | None] = {
            "constraints": (x509.BasicConstraints(ca=False, path_length=None), True),
            "usage": (usage(digital_signature=True), True),
            "own": (x509.SubjectKeyIdentifier.from_public_key(self.key), False),
            "above": (_AUTHORITY_ID, False),
            "purpose": (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), False),
            **self.extensions,
        }
        builder = (
            x509.CertificateBuilder()
            .subject_name(self.subject)
            .issuer_name(self.issuer)
            .public_key(self.key)
            .serial_number(self.serial)
            .not_valid_before(NOW)
            .not_valid_after(NOW + timedelta(days=self.days))
        )
        for one in extensions.values():
            if one is not None:
                builder = builder.add_extension(one[0], critical=one[1])
        return builder.sign(P256, hashes.SHA256())


def names(*general: x509.GeneralName) -> tuple[x509.ExtensionType, bool]:
    return x509.SubjectAlternativeName(list(general)), False


SERVER = (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False)
BAD: dict[str, Draft] = {
    "serial": Draft(serial=12),
    "issuer-name": Draft(issuer=common_name("another CA")),
    "within-issuer": Draft(days=10),
    "subject": Draft(subject=x509.Name([])),
    "key": Draft(key=ec.derive_private_key(7, ec.SECP521R1()).public_key()),
    "other-key": Draft(key=P256.public_key()),
    "authority-key-id": Draft(extensions={"above": None}),
    "subject-key-id": Draft(extensions={"own": (x509.SubjectKeyIdentifier(b"x" * 20), False)}),
    "key-usage": Draft(extensions={"usage": (usage(digital_signature=True, key_cert_sign=True), True)}),
    "names": Draft(extensions={"purpose": SERVER}),
    "no-wildcard": Draft(extensions={"purpose": SERVER, "names": names(x509.DNSName("*.example"))}),
    "basic-constraints": Draft(extensions={"constraints": (x509.BasicConstraints(ca=True, path_length=0), True)}),
    "purpose": Draft(
        extensions={
            "purpose": (
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]),
                False,
            ),
            "names": names(x509.DNSName("localhost")),
        }
    ),
}


@pytest.mark.parametrize("rule", BAD)
def test_a_certificate_that_breaks_a_rule_is_refused_by_its_name(rule: str) -> None:
    assert rule in {one.name for one in lint(BAD[rule].built(), ISSUING)}
    with pytest.raises(CertificateBad) as refused:
        check(BAD[rule].built(), ISSUING)
    assert refused.value.reason.startswith("signer:lint:")


def test_good_certificates_break_no_rule() -> None:
    server = {"purpose": SERVER, "names": names(x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1")))}
    for draft in (Draft(), Draft(key=P384.public_key()), Draft(extensions={**server})):
        assert lint(draft.built(), ISSUING) == []


def test_a_key_that_is_on_no_curve_is_found_and_nothing_is_raised() -> None:
    key = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key()
    found = {one.name for one in lint(Draft(key=key).built(), ISSUING)}
    assert {"key", "subject-key-id"} <= found


def test_an_issuer_that_is_no_authority_may_not_issue() -> None:
    assert "issuer-may" in {one.name for one in lint(Draft().built(), Draft().built())}


def test_rules_have_names_of_their_own() -> None:
    assert len({rule.name for rule in (*RULES, READABLE)}) == len(RULES) + 1


def constrained(**trees: list[x509.GeneralName]) -> x509.Certificate:
    given = {"permitted_subtrees": None, "excluded_subtrees": None, **trees}
    builder = authority_certificate(
        P256.public_key(), "issuing", serial=SERIAL, not_before=NOW, not_after=NOW + timedelta(days=9), issuer=None
    ).add_extension(x509.NameConstraints(**given), critical=True)
    return builder.sign(P256, SIGNED_OVER["secp256r1"])


@pytest.mark.parametrize(
    ("issuer", "draft", "kept"),
    [
        (constrained(permitted_subtrees=[x509.DNSName("site.example")]), "a.site.example", True),
        (constrained(permitted_subtrees=[x509.DNSName("site.example")]), "asite.example", False),
        (constrained(excluded_subtrees=[x509.DNSName("site.example")]), "site.example", False),
        (constrained(permitted_subtrees=[x509.DirectoryName(x509.Name([]))]), "site.example", True),
        (
            constrained(
                permitted_subtrees=[x509.DirectoryName(x509.Name([x509.NameAttribute(NameOID.COUNTRY_NAME, "FR")]))]
            ),
            "site.example",
            False,
        ),
    ],
)
def test_names_outside_the_issuers_constraints_are_refused(issuer: x509.Certificate, draft: str, kept: bool) -> None:
    leaf = Draft(extensions={"purpose": SERVER, "names": names(x509.DNSName(draft))}).built()
    assert ("name-constraints" not in {one.name for one in lint(leaf, issuer)}) is kept


def test_an_address_is_below_its_network_and_not_below_another_family() -> None:
    here = x509.IPAddress(ip_address("10.1.2.3"))
    within: Callable[[str], bool] = lambda network: below(here, x509.IPAddress(ip_network(network)))  # noqa: E731
    assert within("10.1.0.0/16")
    assert not within("10.2.0.0/16")
    assert not within("fd00::/8")
    assert not below(x509.RFC822Name("a@b.example"), x509.DNSName("b.example"))
