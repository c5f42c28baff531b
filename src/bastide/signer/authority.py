"""The authorities: roots, issuing CAs, and the three Ed25519 keys, each with the public half that others check by.

The first root and issuing CA found an installation and are never replaced: the journal's first line names them. What later
ceremonies add stands in the journal itself, and is taken on from there at each start.

On the first start they are made, in an order that a crash may break anywhere: a mark that this is the first start, the keys,
the two certificates, the journal (whose first line names them); then the mark is taken away. Later starts check that all of it
still belongs together: keys without a journal, and without the mark, are keys whose journal somebody took away.
"""

from base64 import b64decode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from bastide.core.error import Refused, Unreadable
from bastide.device.identity.ceremony import issuing_over, root_over
from bastide.device.identity.certificate import Issuer, serial_number, to_pem
from bastide.device.identity.hierarchy import BACKDATED, Hierarchy, key_id
from bastide.ports.keys import KeyRing, KeyStore, KeysUnusable
from bastide.signer.files import own_folder, write_whole
from bastide.wire.nkeys import Kind, encode_public
from bastide.wire.note import VerifierKey

MARK = "first-start"


@dataclass(frozen=True, slots=True)
class Authorities:
    """The keys, and what the world knows of them."""

    keys: KeyRing
    hierarchy: Hierarchy
    note_key: VerifierKey
    account: str

    def described(self) -> Mapping[str, Any]:
        """The public halves' digests of what the installation began with: what the journal's first line holds."""
        return {
            "keys": {
                "root": sha256(self.hierarchy.roots[0].public_bytes(Encoding.DER)).hexdigest(),
                "issuing": sha256(self.hierarchy.issuing[0].public_bytes(Encoding.DER)).hexdigest(),
                "checkpoint": str(self.note_key),
                "account": self.account,
                "plan": self.keys.plan.public_key().public_bytes_raw().hex(),
            }
        }

    def issuing_at(self, now: datetime) -> Issuer:
        """The issuing CA that is in use."""
        return self._with_key(self.hierarchy.current(now))

    def issuing_of(self, identifier: str) -> Issuer:
        """The issuing CA with that key identifier (hex); ``Refused`` where there is none."""
        found = next((one for one in self.hierarchy.issuing if key_id(one) == identifier), None)
        if found is None:
            raise Refused(f"There is no issuing CA with the key identifier {identifier}.", code="signer:issuer:unknown")
        return self._with_key(found)

    def waiting_key(self) -> ec.EllipticCurvePrivateKey | None:
        """The key that was made for the next issuing CA and has no certificate yet."""
        certified = len(self.hierarchy.issuing)
        return self.keys.issuing[certified] if len(self.keys.issuing) > certified else None

    def with_next(self, certificates: Sequence[bytes]) -> "Authorities":
        """With what a ceremony gave (DER); ``Refused`` where it is not for this installation."""
        try:
            read = [x509.load_der_x509_certificate(der) for der in certificates]
        except ValueError as error:
            raise Unreadable(
                f"A certificate of the ceremony cannot be read: {error}.", code="authority:unreadable"
            ) from error
        waiting = self.waiting_key()
        if waiting is None:
            raise Refused(
                "No key waits for an issuing CA. `bastide authority request` makes one, and its request goes to the ceremony.",
                code="authority:no-request",
            )
        return replace(self, hierarchy=self.hierarchy.with_next(read, waiting.public_key()))

    def _with_key(self, certificate: x509.Certificate) -> Issuer:
        return Issuer(certificate, self.keys.issuing[self.hierarchy.issuing.index(certificate)])


def establish(store: KeyStore, folder: Path, now: datetime, entropy: bytes) -> Authorities:
    """Opens the authorities, or makes them where there are none and nothing was ever signed; ``KeysUnusable`` otherwise.

    ``entropy`` is 48 random bytes, used only where they are made.
    """
    own_folder(folder)
    signed_before, mark = any(folder.glob("journal*.log")), folder / MARK
    if not store.exists and signed_before:
        raise KeysUnusable(
            f"There is a journal in {folder}, but the keys that it belongs to are gone. Restore the signer's folder from a "
            "backup, or point the settings at the token that holds them."
        )
    if store.exists and not signed_before and not mark.exists():
        raise KeysUnusable(
            f"There are authority keys, but the journal of what they signed is not in {folder}. Restore the signer's folder "
            "from a backup; without its journal the signer could not tell an old ledger from the newest one."
        )
    if not store.exists:
        write_whole(mark, b"", 0o600)
    keys = store.open() if store.exists else store.create()
    root_path, issuing_path = folder / "root.pem", folder / "issuing.pem"
    if not signed_before:
        if keys.root is None:
            raise KeysUnusable(
                "The authority keys are there without the root's, and its certificate is not. Restore the signer's folder as a "
                "whole from one backup."
            )
        name = sha256(keys.root.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()[
            :8
        ]
        root, issuing = _certify(keys, keys.root, name, now, entropy)
        write_whole(root_path, root.public_bytes(Encoding.PEM), 0o644)
        write_whole(issuing_path, issuing.public_bytes(Encoding.PEM), 0o644)
    root, issuing = _load(root_path), _load(issuing_path)
    _check(keys, root, issuing)
    public = keys.checkpoint.public_key().public_bytes_raw()
    return Authorities(
        keys=keys,
        hierarchy=Hierarchy((root,), (issuing,)),
        note_key=VerifierKey(f"bastide/{sha256(public).hexdigest()[:16]}", public),
        account=encode_public(Kind.ACCOUNT, keys.account.public_key().public_bytes_raw()),
    )


def established(folder: Path) -> None:
    """The journal has begun: from now on it must be there."""
    (folder / MARK).unlink(missing_ok=True)


def with_later(authorities: Authorities, ceremonies: Sequence[Sequence[str]]) -> Authorities:
    """With what the journal says was installed since (base64 of DER); ``KeysUnusable`` where keys and journal disagree."""
    for certificates in ceremonies:
        try:
            authorities = authorities.with_next([b64decode(one) for one in certificates])
        except Refused as error:
            raise KeysUnusable(
                f"The journal says that an issuing CA was installed that the keys do not fit ({error.sentence}) Restore the "
                "signer's folder as a whole from one backup."
            ) from error
    return authorities


def publish(authorities: Authorities, folder: Path) -> None:
    """Writes the public halves to where the other processes and their owners find them; of roots and CAs the newest first."""
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    hierarchy = authorities.hierarchy
    plan = authorities.keys.plan.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    for name, content in {
        "root.pem": to_pem(hierarchy.roots[::-1]),
        # What may stand between a leaf and whichever root a peer trusts.
        "issuing.pem": to_pem((*hierarchy.issuing[::-1], *hierarchy.links[::-1])),
        "authorities.pem": hierarchy.pem(),
        "checkpoint.vkey": f"{authorities.note_key}\n".encode(),
        "plan.pub": plan,
        "devices-account.pub": f"{authorities.account}\n".encode(),
    }.items():
        path = folder / name
        if not path.exists() or path.read_bytes() != content:
            write_whole(path, content, 0o644)


def _certify(
    keys: KeyRing, root_key: ec.EllipticCurvePrivateKey, name: str, now: datetime, entropy: bytes
) -> tuple[x509.Certificate, x509.Certificate]:
    begins = (now - BACKDATED).replace(microsecond=0)
    root = root_over(root_key, f"Bastide root {name}", begins, serial_number(entropy[:24]))
    key, serial = keys.issuing[0].public_key(), serial_number(entropy[24:])
    return root.certificate, issuing_over(key, f"Bastide issuing CA {name}", root, begins, serial)


def _load(path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError) as error:
        raise KeysUnusable(
            f"The authority's certificate {path} cannot be read ({error}). Restore it from a backup."
        ) from error


def _check(keys: KeyRing, root: x509.Certificate, issuing: x509.Certificate) -> None:
    try:
        root.verify_directly_issued_by(root)
        issuing.verify_directly_issued_by(root)
        belongs = (keys.root is None or _same(root, keys.root)) and _same(issuing, keys.issuing[0])
    except (ValueError, TypeError, InvalidSignature):
        belongs = False
    if not belongs:
        raise KeysUnusable(
            "The root and issuing certificates are not those of the authority keys. Restore the signer's folder as a whole "
            "from one backup."
        )


def _same(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> bool:
    return certificate.public_key() == key.public_key()
