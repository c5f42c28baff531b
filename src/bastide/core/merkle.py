"""The RFC 6962 Merkle tree, as far as a verifier needs it: hashes, and the checks of both proofs.

- 2.1: ``MTH({}) = SHA-256()``; a leaf is ``SHA-256(0x00 || record)``, a node ``SHA-256(0x01 || left || right)``. The two
  prefixes keep a node from being passed off as a record.
- 2.1.1 and 2.1.2: audit path and consistency proof; verified as RFC 9162 2.1.3.2 and 2.1.4.2 write it down.

It is in ``core`` because the signer (which refuses a tree head that is not an extension) and the audit (which builds the
trees) both judge by it, and neither may import the other.
"""

from collections.abc import Sequence
from hashlib import sha256

HASH_BYTES = 32
EMPTY_ROOT = sha256(b"").digest()


def leaf_hash(record: bytes) -> bytes:
    """The hash of a record as a leaf."""
    return sha256(b"\x00" + record).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node over its two children."""
    return sha256(b"\x01" + left + right).digest()


def includes(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> bool:
    """True where the audit path proves that the leaf hash is at ``index`` in the tree of ``size`` leaves (RFC 9162 2.1.3.2)."""
    if not 0 <= index < size or not _well_formed(path):
        return False
    fn, sn = index, size - 1
    r = leaf
    for p in path:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            r = node_hash(p, r)
            while not fn & 1 and fn:
                fn >>= 1
                sn >>= 1
        else:
            r = node_hash(r, p)
        fn >>= 1
        sn >>= 1
    return sn == 0 and r == root


def extends(old_size: int, old_root: bytes, new_size: int, new_root: bytes, proof: Sequence[bytes]) -> bool:
    """True where the proof shows that the new tree begins with all leaves of the old one (RFC 9162 2.1.4.2).

    From the empty tree everything is an extension, and nothing proves it; the same size needs the same root. In both
    cases the proof must be empty, so that there is one form of each answer.
    """
    if old_size < 0 or new_size < old_size or not _well_formed(proof):
        return False
    if old_size == 0:
        return not proof and old_root == EMPTY_ROOT and (new_size > 0 or new_root == EMPTY_ROOT)
    if old_size == new_size:
        return not proof and old_root == new_root
    if not proof:
        return False
    steps = list(proof)
    if old_size & (old_size - 1) == 0:  # a whole subtree: its root is the old root itself, and the proof leaves it out
        steps.insert(0, old_root)
    fn, sn = old_size - 1, new_size - 1
    while fn & 1:
        fn >>= 1
        sn >>= 1
    fr = sr = steps[0]
    for c in steps[1:]:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            fr = node_hash(c, fr)
            sr = node_hash(c, sr)
            while not fn & 1 and fn:
                fn >>= 1
                sn >>= 1
        else:
            sr = node_hash(sr, c)
        fn >>= 1
        sn >>= 1
    return sn == 0 and fr == old_root and sr == new_root


def _well_formed(hashes: Sequence[bytes]) -> bool:
    """A path is never longer than 64 hashes (sizes are below 2^64), each of 32 bytes."""
    return len(hashes) <= 64 and all(len(one) == HASH_BYTES for one in hashes)
