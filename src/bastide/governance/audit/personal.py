"""Facts about people: in the tree stands only a salted commitment; salt and value are kept beside it and can be erased.

The commitment is ``SHA-256("bastide/personal/1" || 0x00 || salt || value)`` with a salt of 32 random bytes for each fact:
without the salt nobody can try values against it, so erasing salt and value erases the fact, and the tree still verifies.
"""

from dataclasses import dataclass
from hashlib import sha256
from hmac import compare_digest

SALT_BYTES = 32
_LABEL = b"bastide/personal/1\x00"


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept outside of the tree for one fact: enough to show what its commitment says."""

    commitment: str
    salt: bytes
    value: str

    @property
    def holds(self) -> bool:
        """True where salt and value are those of the commitment."""
        return len(self.salt) == SALT_BYTES and compare_digest(commitment(self.salt, self.value), self.commitment)


def keep(salt: bytes, value: str) -> Kept:
    """A new fact under a fresh salt."""
    if len(salt) != SALT_BYTES:
        raise ValueError(f"a salt has {SALT_BYTES} bytes, not {len(salt)}")
    value = value.replace("\0", "\ufffd").encode("utf-8", "replace").decode()  # what any database can hold
    return Kept(commitment(salt, value), salt, value)


def commitment(salt: bytes, value: str) -> str:
    return sha256(_LABEL + salt + value.encode("utf-8", "replace")).hexdigest()
