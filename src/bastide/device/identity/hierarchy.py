"""The platform's own CAs over time: roots, issuing CAs, and the certificates by which one root vouches for the next.

- An issuing CA is used from an hour after its notBefore until the next one is; nothing else says so. It stays trusted, and
  signs its revocation lists, for as long as certificates of it live.
- RFC 4210 4.4, RFC 7030 4.1.3: where the root changes, three certificates travel beside the old root: the new root by itself, the
  new root signed by the old one, the old root signed by the new one. A peer that trusts either root then trusts both.
- RFC 5280 6.1.4 (l): a self-issued certificate does not count in a path length. So the next root has the name of the one
  before: the path from a leaf over issuing CA and link to the old root, which allows one CA below it, stays valid.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from bastide.core.error import Refused, Unreadable
from bastide.device.identity.certificate import to_pem
from bastide.device.identity.chain import directly_issued

# A CA is backdated by so much, so that a peer whose clock is a little behind does not find it not yet valid.
BACKDATED = timedelta(hours=1)
# An installation that rolls over each year for its twenty years, and root changes between.
MOST_CERTIFICATES = 128


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """Each oldest first, none that was replaced left out. ``links`` are roots' keys signed by other roots."""

    roots: tuple[x509.Certificate, ...]
    issuing: tuple[x509.Certificate, ...]
    links: tuple[x509.Certificate, ...] = ()

    def current(self, now: datetime) -> x509.Certificate:
        """The issuing CA that is in use now."""
        begun = [one for one in self.issuing if used_from(one) <= now]
        return begun[-1] if begun else self.issuing[0]

    def noted_as(self, issuing: x509.Certificate) -> tuple[str, ...]:
        """By what certificates say that they are of an issuing CA: its key identifier; those of the first may say nothing."""
        return (key_id(issuing), "") if issuing == self.issuing[0] else (key_id(issuing),)

    def behind(self, issuing: x509.Certificate) -> tuple[x509.Certificate, ...]:
        """What a server sends after a leaf of an issuing CA, so that peers with any of the roots find their way."""
        root = next(one for one in self.roots if directly_issued(issuing, one))
        earlier = self.roots[: self.roots.index(root)]
        links = [
            link
            for link in self.links
            if link.public_key() == root.public_key() and any(directly_issued(link, one) for one in earlier)
        ]
        return (issuing, *links)

    def pem(self) -> bytes:
        """All of it in the order of EST's cacerts, the newest first of each kind: what :func:`read_hierarchy` reads."""
        return to_pem(self.everything())

    def everything(self) -> tuple[x509.Certificate, ...]:
        """Issuing CAs, roots, links, the newest of each first."""
        return (*self.issuing[::-1], *self.roots[::-1], *self.links[::-1])

    def with_next(self, certificates: Sequence[x509.Certificate], key: object) -> "Hierarchy":
        """What holds after a ceremony: an issuing CA over ``key``, and where the root changes the next root and its two links.

        ``Refused`` where they are not exactly that, are not signed by whom they should be, or would not be found valid.
        """
        roots = [one for one in certificates if directly_issued(one, one)]
        issuing = [one for one in certificates if path_length(one) == 0]
        links = [one for one in certificates if one not in roots and one not in issuing]
        if len(issuing) != 1 or len(roots) > 1 or len(links) != 2 * len(roots):
            raise _refused(
                "a ceremony gives one issuing CA, and where the root changes the next root and its two links"
            )
        old, ca = self.roots[-1], issuing[0]
        if roots:
            self._check_root(roots[0], links, old)
        root = roots[0] if roots else old
        if ca.public_key() != key:
            raise _refused("the issuing CA is not over the key that the signer made for it; ask for its request again")
        if not directly_issued(ca, root):
            raise _refused("the issuing CA is not signed by the root that is in use, or by the one that comes with it")
        _check_authority(ca, "the issuing CA")
        if ca.not_valid_after_utc > root.not_valid_after_utc:
            raise _refused("the issuing CA would outlive its root")
        if any(ca.subject == one.subject for one in self.issuing):
            raise _refused("there is an issuing CA of that name already, and revocation lists tell them apart by name")
        if used_from(ca) < used_from(self.issuing[-1]):
            raise _refused("the issuing CA would be used before the one that was installed last")
        return Hierarchy((*self.roots, *roots), (*self.issuing, ca), (*self.links, *links))

    def _check_root(self, root: x509.Certificate, links: Sequence[x509.Certificate], old: x509.Certificate) -> None:
        _check_authority(root, "the next root")
        if root.subject != old.subject or any(root.public_key() == one.public_key() for one in self.roots):
            raise _refused("the next root needs the name of the one before, and a key of its own")
        forward = any(one.public_key() == root.public_key() and directly_issued(one, old) for one in links)
        back = any(one.public_key() == old.public_key() and directly_issued(one, root) for one in links)
        if not (forward and back):
            raise _refused("the next root and the one before do not vouch for each other")
        for link in links:
            _check_authority(link, "a link between the roots")


def used_from(issuing: x509.Certificate) -> datetime:
    """From when on an issuing CA signs, where there is one before it."""
    return issuing.not_valid_before_utc + BACKDATED


def key_id(authority: x509.Certificate) -> str:
    """A CA's subject key identifier (RFC 5280 4.2.1.2), in hex."""
    return authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest.hex()


def path_length(certificate: x509.Certificate) -> int | None:
    """How many CAs may stand below a CA; None where it is none, or any number."""
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length
    except (x509.ExtensionNotFound, ValueError):
        return None


def read_hierarchy(pem: bytes) -> Hierarchy:
    """What :meth:`Hierarchy.pem` wrote; ``Unreadable`` where it is something else."""
    try:
        found = x509.load_pem_x509_certificates(pem)[::-1]
    except ValueError as error:
        raise Unreadable(
            f"The platform's certificates cannot be read: {error}.", code="hierarchy:unreadable"
        ) from error
    roots = tuple(one for one in found if directly_issued(one, one))
    issuing = tuple(one for one in found if path_length(one) == 0)
    if not roots or not issuing or len(found) > MOST_CERTIFICATES:
        raise Unreadable(
            "The platform's certificates hold no root, no issuing CA, or too many of them.", code="hierarchy:unreadable"
        )
    return Hierarchy(roots, issuing, tuple(one for one in found if one not in roots and one not in issuing))


def vouched(trusted: Sequence[x509.Certificate], offered: Sequence[x509.Certificate]) -> list[x509.Certificate]:
    """The roots among the offered certificates that are not trusted yet and that an older trusted root vouches for by a link.

    This is what a device does with EST's cacerts (RFC 7030 4.1.3, RFC 4210 4.4.2): it takes a new root without a person. It does
    not go back: a root that is replaced may be so for a reason.
    """
    known, found = list(trusted), list[x509.Certificate]()
    roots = [one for one in offered if one not in trusted and directly_issued(one, one)]
    for root in sorted(roots, key=lambda one: one.not_valid_before_utc):
        older = [one for one in known if one.not_valid_before_utc < root.not_valid_before_utc]
        links = [one for one in offered if one != root and one.public_key() == root.public_key()]
        if any(link.subject == root.subject and directly_issued(link, one) for link in links for one in older):
            known.append(root)
            found.append(root)
    return found


def _check_authority(certificate: x509.Certificate, what: str) -> None:
    key = certificate.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name not in ("secp256r1", "secp384r1"):
        raise _refused(f"{what} is not over a P-256 or P-384 key")
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage)
        key_id(certificate)
    except (x509.ExtensionNotFound, ValueError) as error:
        raise _refused(f"{what} lacks what RFC 5280 wants of a CA: {error}") from error
    if not (constraints.critical and constraints.value.ca and usage.value.key_cert_sign and usage.value.crl_sign):
        raise _refused(f"{what} may not sign certificates and revocation lists")


def _refused(why: str) -> Refused:
    return Refused(f"This is not the outcome of a ceremony for this installation: {why}.", code="authority:refused")
