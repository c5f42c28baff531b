"""The root's key leaves the signer: into shares, of which any two make it, for the operator to take away.

It is done at the first start, and once in a data directory of an older release. In the order that a crash may break anywhere:
the shares are on disk and give the key back; only then is it gone from the key file. Interrupted, the next start begins again
with new shares in the place of the old. A token's keys cannot leave it: there nothing is done.
"""

import secrets
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from bastide.core.shares import join, read_share, split
from bastide.ports.keys import KeyStore, KeysUnusable
from bastide.signer.authority import Authorities
from bastide.signer.files import own_folder, write_whole

NEEDED, SHARES = 2, 3


def take_root_offline(store: KeyStore, authorities: Authorities, folder: Path) -> Authorities:
    """The authorities without the root's key, whose shares are then in the folder."""
    root = authorities.keys.root
    if root is None or store.blocking:
        return authorities
    write_shares(root, authorities.hierarchy.roots[0], folder)
    return replace(authorities, keys=store.without_root(authorities.keys))


def write_shares(key: EllipticCurvePrivateKey, root: x509.Certificate, folder: Path) -> list[Path]:
    """The shares of a root's key, as files that only their owner may read; ``KeysUnusable`` where they do not give it back."""
    secret = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    name = f"root-{sha256(root.public_bytes(Encoding.DER)).hexdigest()[:16]}"
    own_folder(folder)
    paths = [folder / f"share-{number}-of-{SHARES}.txt" for number in range(1, SHARES + 1)]
    entropy = secrets.token_bytes((NEEDED - 1) * len(secret))
    for path, share in zip(paths, split(secret, name, NEEDED, SHARES, entropy), strict=True):
        write_whole(path, f"{share}\n".encode(), 0o600)
    written = [read_share(path.read_text()) for path in paths]
    if any(join([one, other]) != secret for one, other in zip(written, written[1:] + written[:1], strict=True)):
        raise KeysUnusable(
            f"The shares of the root's key in {folder} do not give it back; it stays where it was. Check the disk, start again."
        )
    return paths
