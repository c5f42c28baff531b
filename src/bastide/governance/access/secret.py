"""Secrets that are handed out once and kept only as a digest: API tokens, sessions, one-time tickets.

A secret reads ``id.secret``: the id finds the row (it is no secret), and the digest of the secret is compared in constant
time. The secret holds 256 random bits, so a plain SHA-256 at rest is enough: there is nothing to guess (NIST SP 800-63B
5.1.2.2 asks for slow hashing only below 112 bits).
"""

import hashlib
import hmac
import re
from base64 import urlsafe_b64encode

SECRET_BYTES = 32

_FORM = re.compile(r"([a-z]{1,2}-[a-z2-7]{20})\.([A-Za-z0-9_-]{43})")


def compose(id: str, entropy: bytes) -> str:
    """The text to hand out, once. ``entropy`` is ``SECRET_BYTES`` random bytes."""
    if len(entropy) != SECRET_BYTES:
        raise ValueError(f"a secret is made of {SECRET_BYTES} bytes")
    return f"{id}.{urlsafe_b64encode(entropy).decode().rstrip('=')}"


def handle(text: str, kind: str) -> str | None:
    """The id inside a handed-out text; None where it is not one of that kind (the id's prefix)."""
    match = _FORM.fullmatch(text)
    return match[1] if match and match[1].startswith(f"{kind}-") else None


def digest(text: str) -> bytes:
    """What is kept of a handed-out text."""
    return hashlib.sha256(text.encode()).digest()


def is_it(text: str, kept: bytes) -> bool:
    """True where ``kept`` is the digest of the text. Takes the same time wherever they differ."""
    return hmac.compare_digest(digest(text), kept)
