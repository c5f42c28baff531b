"""What a certificate must be before it may be signed: our own table of rules, each with the clause that it comes from.

The signer builds its certificates by itself, so a finding is a fault of ours, caught before it leaves: it refuses to sign.
The rules look at the to-be-signed certificate as others will read it, not at what we meant to write. They follow what zlint and
pkilint check of RFC 5280, left to what an issuing CA for devices makes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from bastide.core.error import Refused

MAX_SERIAL_OCTETS = 20
MIN_SERIAL_BITS = 64
MAX_COMMON_NAME = 64  # ub-common-name
_PURPOSES = frozenset(
    {ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.OCSP_SIGNING}
)


class CertificateBad(Refused):
    """A certificate that would be issued breaks a rule."""

    code = "signer:lint"


@dataclass(frozen=True, slots=True)
class Rule:
    """``holds`` is true of a leaf and its issuer where the rule is kept."""

    name: str
    clause: str
    holds: Callable[[x509.Certificate, x509.Certificate], bool]


def lint(leaf: x509.Certificate, issuer: x509.Certificate) -> Sequence[Rule]:
    """The rules that a leaf breaks; none for a good one. One that cannot be read to the end breaks ``readable`` alone."""
    try:
        _ = leaf.extensions
        return [rule for rule in RULES if not rule.holds(leaf, issuer)]
    except (ValueError, x509.DuplicateExtension, x509.ExtensionNotFound):
        return [READABLE]


def check(leaf: x509.Certificate, issuer: x509.Certificate) -> None:
    """``CertificateBad`` with the first rule that the leaf breaks."""
    for rule in lint(leaf, issuer):
        raise CertificateBad(
            f"The certificate that would be issued breaks the rule {rule.name} ({rule.clause}). Nothing was issued; this is a "
            "fault of Bastide or of the issuing CA's certificate, please report it.",
            code=f"signer:lint:{rule.name}",
        )


def _value(certificate: x509.Certificate, kind: type[x509.ExtensionType]) -> x509.ExtensionType | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _critical(certificate: x509.Certificate, kind: type[x509.ExtensionType], *, critical: bool) -> bool:
    """True where the extension is there and as critical as it should be."""
    return any(isinstance(one.value, kind) and one.critical is critical for one in certificate.extensions)


def _serial(leaf: x509.Certificate, _: x509.Certificate) -> bool:
    bits = leaf.serial_number.bit_length()
    return leaf.serial_number > 0 and MIN_SERIAL_BITS <= bits < MAX_SERIAL_OCTETS * 8


def _within(leaf: x509.Certificate, issuer: x509.Certificate) -> bool:
    return leaf.not_valid_after_utc <= issuer.not_valid_after_utc


def _forward(leaf: x509.Certificate, _: x509.Certificate) -> bool:
    return leaf.not_valid_after_utc - leaf.not_valid_before_utc > timedelta(0)


def _subject(leaf: x509.Certificate, _: x509.Certificate) -> bool:
    attributes = list(leaf.subject)
    if len(attributes) != 1 or attributes[0].oid != NameOID.COMMON_NAME:
        return False
    return 0 < len(str(attributes[0].value)) <= MAX_COMMON_NAME


def _named(leaf: x509.Certificate, _: x509.Certificate) -> bool:
    usage, names = _value(leaf, x509.ExtendedKeyUsage), _value(leaf, x509.SubjectAlternativeName)
    server = isinstance(usage, x509.ExtendedKeyUsage) and ExtendedKeyUsageOID.SERVER_AUTH in usage
    return not server or (isinstance(names, x509.SubjectAlternativeName) and len(list(names)) > 0)


def _usage(leaf: x509.Certificate, _: x509.Certificate) -> bool:
    usage = _value(leaf, x509.KeyUsage)
    return (
        isinstance(usage, x509.KeyUsage)
        and usage.digital_signature
        and not (usage.key_cert_sign or usage.crl_sign or usage.key_encipherment or usage.key_agreement)
        and _critical(leaf, x509.KeyUsage, critical=True)
    )


def _purpose(leaf: x509.Certificate, _: x509.Certificate) -> bool:
    usage = _value(leaf, x509.ExtendedKeyUsage)
    return isinstance(usage, x509.ExtendedKeyUsage) and len(list(usage)) == 1 and set(usage) <= _PURPOSES


def _constraints(leaf: x509.Certificate, _: x509.Certificate) -> bool:
    constraints = _value(leaf, x509.BasicConstraints)
    return (
        isinstance(constraints, x509.BasicConstraints)
        and not constraints.ca
        and constraints.path_length is None
        and _critical(leaf, x509.BasicConstraints, critical=True)
    )


def _own_key_id(leaf: x509.Certificate, _: x509.Certificate) -> bool:
    key = leaf.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey):
        return False
    return _value(leaf, x509.SubjectKeyIdentifier) == x509.SubjectKeyIdentifier.from_public_key(key)


def _issuers_key_id(leaf: x509.Certificate, issuer: x509.Certificate) -> bool:
    above, named = _value(issuer, x509.SubjectKeyIdentifier), _value(leaf, x509.AuthorityKeyIdentifier)
    return (
        isinstance(above, x509.SubjectKeyIdentifier)
        and isinstance(named, x509.AuthorityKeyIdentifier)
        and named.key_identifier == above.digest
    )


def _curve(leaf: x509.Certificate, _: x509.Certificate) -> bool:
    key = leaf.public_key()
    return isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in {"secp256r1", "secp384r1"}


def _other_key(leaf: x509.Certificate, issuer: x509.Certificate) -> bool:
    return leaf.public_key() != issuer.public_key()


def _issuer_may(_: x509.Certificate, issuer: x509.Certificate) -> bool:
    constraints, usage = _value(issuer, x509.BasicConstraints), _value(issuer, x509.KeyUsage)
    may = isinstance(usage, x509.KeyUsage) and usage.key_cert_sign
    return may and isinstance(constraints, x509.BasicConstraints) and constraints.ca


def _no_wildcard(leaf: x509.Certificate, _: x509.Certificate) -> bool:
    names = _value(leaf, x509.SubjectAlternativeName)
    if not isinstance(names, x509.SubjectAlternativeName):
        return True
    return not any("*" in name or not name.isascii() for name in names.get_values_for_type(x509.DNSName))


def _names_within(leaf: x509.Certificate, issuer: x509.Certificate) -> bool:
    """RFC 5280 4.2.1.10, for the forms that this CA writes: DNS names, addresses, and the subject."""
    limits, names = _value(issuer, x509.NameConstraints), _value(leaf, x509.SubjectAlternativeName)
    if not isinstance(limits, x509.NameConstraints):
        return True
    held: list[x509.GeneralName] = [x509.DirectoryName(leaf.subject)]
    held += list(names) if isinstance(names, x509.SubjectAlternativeName) else []
    permitted, excluded = limits.permitted_subtrees or [], limits.excluded_subtrees or []
    for name in held:
        of_form = [tree for tree in permitted if type(tree) is type(name)]
        if any(below(name, tree) for tree in excluded) or (of_form and not any(below(name, tree) for tree in of_form)):
            return False
    return True


def below(name: x509.GeneralName, tree: x509.GeneralName) -> bool:
    """True where a name is within the subtree of a name constraint; a form that is not read is within none."""
    match name, tree:
        case x509.DNSName(), x509.DNSName():
            base = tree.value.lower().removeprefix(".")
            asked = name.value.lower().rstrip(".")
            return base == "" or asked == base or asked.endswith(f".{base}")
        case x509.IPAddress(), x509.IPAddress():
            network, address = tree.value, name.value
            return getattr(network, "version", 0) == getattr(address, "version", 1) and address in network  # type: ignore[operator]
        case x509.DirectoryName(), x509.DirectoryName():
            return list(name.value.rdns)[: len(tree.value.rdns)] == list(tree.value.rdns)
        case _:
            return False


def _ordered_extensions(leaf: x509.Certificate, _: x509.Certificate) -> bool:
    oids = sorted(one.oid.dotted_string for one in leaf.extensions)
    return all(one != other for one, other in pairwise(oids))


READABLE = Rule("readable", "RFC 5280 4.1", lambda _leaf, _issuer: True)
RULES: tuple[Rule, ...] = (
    Rule("version", "RFC 5280 4.1.2.1", lambda leaf, _: leaf.version is x509.Version.v3),
    Rule("serial", "RFC 5280 4.1.2.2, 64 unpredictable bits", _serial),
    Rule("issuer-name", "RFC 5280 4.1.2.4", lambda leaf, issuer: leaf.issuer == issuer.subject),
    Rule("validity", "RFC 5280 4.1.2.5", _forward),
    Rule("within-issuer", "RFC 5280 6.1.3", _within),
    Rule("subject", "RFC 5280 4.1.2.6, X.520 ub-common-name", _subject),
    Rule("key", "RFC 5480 2.1.1", _curve),
    Rule("other-key", "RFC 5280 4.2.1.1", _other_key),
    Rule("extensions-once", "RFC 5280 4.2", _ordered_extensions),
    Rule("authority-key-id", "RFC 5280 4.2.1.1", _issuers_key_id),
    Rule("subject-key-id", "RFC 5280 4.2.1.2", _own_key_id),
    Rule("key-usage", "RFC 5280 4.2.1.3, RFC 5480 3", _usage),
    Rule("names", "RFC 9525 3", _named),
    Rule("no-wildcard", "RFC 9525 6.3", _no_wildcard),
    Rule("basic-constraints", "RFC 5280 4.2.1.9", _constraints),
    Rule("issuer-may", "RFC 5280 4.2.1.3, 4.2.1.9", _issuer_may),
    Rule("name-constraints", "RFC 5280 4.2.1.10", _names_within),
    Rule("purpose", "RFC 5280 4.2.1.12", _purpose),
)
