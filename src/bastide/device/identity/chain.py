"""A chain of certificates from a leaf to an anchor that somebody named (RFC 5280, section 6, as a value).

Each link is signed by the next, whose basicConstraints and keyUsage let it issue, and whose path length is kept (4.2.1.9). A
critical extension that is not understood here, name constraints among them, ends the chain (4.2). Times
are the caller's to judge.
"""

from collections.abc import Sequence

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

from bastide.core.error import Refused

MAX_CHAIN = 8
_UNDERSTOOD = {
    x509.BasicConstraints.oid, x509.KeyUsage.oid, x509.ExtendedKeyUsage.oid, x509.SubjectAlternativeName.oid,
}  # fmt: skip


class ChainBroken(Refused):
    """No good chain: ``chain:untrusted`` where none leads to an anchor, ``chain:unfit`` where one may not be used."""

    code = "chain:untrusted"


def chain_to(
    leaf: x509.Certificate, carried: Sequence[x509.Certificate], anchors: Sequence[x509.Certificate]
) -> Sequence[x509.Certificate]:
    """From the leaf to an anchor, both included, over certificates that came along; ``ChainBroken`` where there is none."""
    chain = [leaf]
    while chain[-1] not in anchors:
        _check_critical(chain[-1])
        below = len(chain) - 1
        issuer = next(
            (one for one in (*anchors, *carried) if one not in chain and _issued(one, chain[-1], below)), None
        )
        if issuer is None or len(chain) == MAX_CHAIN:
            raise ChainBroken("No chain leads from the signer to a named anchor; name the maker's CA if you trust it.")
        chain.append(issuer)
    return chain


def directly_issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """True where the issuer's name and key are those that the certificate was signed by."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _issued(issuer: x509.Certificate, subject: x509.Certificate, below: int) -> bool:
    """``below`` is the number of CAs between the issuer and the leaf (RFC 5280, section 4.2.1.9)."""
    try:
        constraints = issuer.extensions.get_extension_for_class(x509.BasicConstraints).value
        usage = issuer.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return False
    if not constraints.ca or not usage.key_cert_sign:
        return False
    if constraints.path_length is not None and constraints.path_length < below:
        return False
    return directly_issued(subject, issuer)


def _check_critical(one: x509.Certificate) -> None:
    for extension in one.extensions:
        if extension.critical and extension.oid not in _UNDERSTOOD:
            raise ChainBroken(
                f"A certificate has the unknown critical extension {extension.oid.dotted_string}.", code="chain:unfit"
            )
