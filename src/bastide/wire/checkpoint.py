"""Checkpoints: a tree head as the text of a signed note (c2sp.org/tlog-checkpoint).

The text is origin, tree size in decimal without leading zeros, root hash in base64, one line each; further lines are
opaque extensions, which we read and never write. The name of the log's key is its origin.
"""

from base64 import b64encode
from binascii import Error as NotBase64
from binascii import a2b_base64

from bastide.core.audit import Checkpoint
from bastide.core.merkle import HASH_BYTES
from bastide.wire.note import MalformedNote, VerifierKey, open_note, parse_note

_MAX_SIZE_DIGITS = 19


def head_text(origin: str, size: int, root: bytes) -> str:
    """What the signer signs."""
    if not origin or "\n" in origin or size < 0 or len(root) != HASH_BYTES:
        raise MalformedNote("A tree head needs an origin of one line, a size and a 32-byte root.")
    return f"{origin}\n{size}\n{b64encode(root).decode()}\n"


def open_checkpoint(note: str, key: VerifierKey) -> Checkpoint:
    """The tree head of a note that ``key`` signed, under that key's own name."""
    return _read(open_note(note, key), note)


def peek(note: str) -> Checkpoint:
    """What a note claims, with no signature judged: for showing, never for trusting."""
    return _read(parse_note(note).text, note)


def _read(text: str, note: str) -> Checkpoint:
    lines = text.removesuffix("\n").split("\n")
    if len(lines) < 3 or not all(lines):
        raise MalformedNote("A checkpoint has an origin, a tree size and a root hash, each on a line of its own.")
    origin, size, encoded = lines[:3]
    try:
        root = a2b_base64(encoded.encode("ascii"), strict_mode=True)
    except (NotBase64, ValueError) as wrong:
        raise MalformedNote("The root hash of the checkpoint is not base64.") from wrong
    if not (size.isascii() and size.isdigit()) or len(size) > _MAX_SIZE_DIGITS or str(int(size)) != size:
        raise MalformedNote(f"{size[:40]!r} is not the size of a tree.")
    if len(root) != HASH_BYTES or b64encode(root).decode() != encoded:
        raise MalformedNote("The root hash of the checkpoint is not 32 bytes of base64.")
    return Checkpoint(origin, int(size), root, note)
