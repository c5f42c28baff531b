"""Signed notes: text, a blank line, and signatures that any C2SP tool can check (c2sp.org/signed-note).

- The text ends in a newline, is UTF-8 and has no control characters but newline. The last empty line ends it.
- A signature line is ``— <key name> <base64 of key id (4 bytes) and signature>``. The key name has no spaces and no plus.
- An Ed25519 key (type 0x01) has the id ``SHA-256(name, newline, 0x01, public key)[:4]``; its public form, the *vkey*, is
  ``<name>+<id in hex>+<base64 of 0x01 and the public key>``.
- Signatures of unknown keys are passed over (witnesses may add theirs); one of a known key that fails refuses the note.

Base64 must be in its one canonical form, so that no two notes differ and say the same.
"""

from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from bastide.core.error import Refused, Unreadable

# Sixteen signatures must be accepted; a post-quantum one may take 5 kB.
MAX_NOTE_BYTES = 128 * 1024
MAX_SIGNATURES = 32
_MAX_VKEY_CHARACTERS = 1024
_ED25519 = b"\x01"
_DASH = "— "


class MalformedNote(Unreadable):
    """The bytes are not a signed note, or the text is not a verifier key."""

    code = "audit:note:malformed"


class UntrustedNote(Refused):
    """No signature of the expected key holds over the text."""

    code = "audit:note:untrusted"


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A named Ed25519 public key. ``str()`` gives the vkey form, :meth:`parse` reads it."""

    name: str
    public: bytes

    def __post_init__(self) -> None:
        if not _is_key_name(self.name) or len(self.public) != 32:
            raise MalformedNote(
                f"{self.name[:80]!r} with {len(self.public)} key bytes is no verifier key: "
                "a name without spaces or plus and a 32-byte Ed25519 key are needed."
            )

    @property
    def id(self) -> bytes:
        return sha256(self.name.encode() + b"\n" + _ED25519 + self.public).digest()[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}+{b64encode(_ED25519 + self.public).decode()}"

    @classmethod
    def parse(cls, text: str) -> "VerifierKey":
        """Reads a vkey; ``MalformedNote`` where it is none, or its id is not that of its key."""
        line = text.removesuffix("\n")
        name, _, rest = line[:_MAX_VKEY_CHARACTERS].partition("+")
        id_hex, _, encoded = rest.partition("+")
        key = _canonical_base64(encoded)
        if key is not None and key[:1] == _ED25519 and len(key) == 33:
            found = cls(name, key[1:])
            if str(found) == line and found.id.hex() == id_hex:
                return found
        raise MalformedNote(
            "The public key is not in the form <name>+<id>+<base64> of an Ed25519 note key: use trust/checkpoint.vkey as it is."
        )


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature line, not yet judged."""

    name: str
    key_id: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Note:
    """A parsed note. Its text means nothing until :func:`open_note` has judged the signature."""

    text: str
    signatures: tuple[Signature, ...]


def write_note(text: str, key: VerifierKey, sign: Callable[[bytes], bytes]) -> str:
    """The note over a text, signed by whoever holds the private half of ``key``."""
    if not text.endswith("\n") or _has_control(text):
        raise MalformedNote("The text of a note ends in a newline and has no other control characters.")
    signature = b64encode(key.id + sign(text.encode())).decode()
    return f"{text}\n{_DASH}{key.name} {signature}\n"


def parse_note(note: str) -> Note:
    """Splits a note into text and signatures; ``MalformedNote`` where it is none. Nothing is verified."""
    if len(note) > MAX_NOTE_BYTES:
        raise MalformedNote(f"The note has {len(note)} characters; more than {MAX_NOTE_BYTES} are not read.")
    body, blank, tail = note.rpartition("\n\n")
    if not blank or not tail.endswith("\n") or _has_control(note):
        raise MalformedNote("The note has no blank line before its signatures, or holds control characters.")
    lines = tail[:-1].split("\n")
    if len(lines) > MAX_SIGNATURES:
        raise MalformedNote(f"The note has {len(lines)} signatures; more than {MAX_SIGNATURES} are not read.")
    return Note(body + "\n", tuple(_signature(line) for line in lines))


def open_note(note: str, key: VerifierKey) -> str:
    """The text of a note that ``key`` signed. ``MalformedNote`` or ``UntrustedNote`` otherwise."""
    parsed = parse_note(note)
    held = False
    for one in parsed.signatures:
        if one.name != key.name or one.key_id != key.id:
            continue
        try:
            Ed25519PublicKey.from_public_bytes(key.public).verify(one.signature, parsed.text.encode())
        except (InvalidSignature, ValueError) as wrong:
            raise UntrustedNote(
                f"The signature of {key.name} does not hold: the note was changed, or another key of that name signed it."
            ) from wrong
        held = True
    if not held:
        raise UntrustedNote(
            f"The note has no signature of {key.name} ({key.id.hex()}): check that this is the public key of its signer."
        )
    return parsed.text


def _signature(line: str) -> Signature:
    name, space, encoded = line.removeprefix(_DASH).partition(" ")
    decoded = _canonical_base64(encoded)
    if not line.startswith(_DASH) or not space or not _is_key_name(name) or decoded is None or len(decoded) <= 4:
        raise MalformedNote(f"{line[:60]!r} is not a signature line of a note.")
    return Signature(name, decoded[:4], decoded[4:])


def _is_key_name(name: str) -> bool:
    return bool(name) and "+" not in name and not any(letter.isspace() for letter in name) and not _has_control(name)


def _has_control(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # a lone surrogate is not UTF-8
        return True
    return any(letter < " " and letter != "\n" for letter in text)


def _canonical_base64(text: str) -> bytes | None:
    try:
        decoded = b64decode(text, validate=True)
    except (NotBase64, ValueError):
        return None
    return decoded if b64encode(decoded).decode() == text else None
