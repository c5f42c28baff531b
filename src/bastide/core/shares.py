"""A secret in shares, of which any ``needed`` give it back and fewer tell nothing (Shamir, over GF(256) byte by byte).

A share's text form is one line, ``bastide-share-1 <secret's name> <needed> <number> <hex> <check>``: ``check`` is the first eight
hex digits of the SHA-256 of what is before it, so that a line that was copied wrongly is found before it is used.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from bastide.core.error import Refused, Unreadable

MOST_SHARES = 32
MAX_SECRET_BYTES = 1024
_FORM = "bastide-share-1"
_EXP, _LOG = [0] * 510, [0] * 256
_value = 1
for _power in range(255):
    # The field of AES (x^8+x^4+x^3+x+1), whose generator is 3.
    _EXP[_power] = _EXP[_power + 255] = _value
    _LOG[_value] = _power
    _doubled = _value << 1
    _value ^= _doubled ^ 0x11B if _doubled > 0xFF else _doubled


@dataclass(frozen=True, slots=True)
class Share:
    """One part of the secret called ``name``; ``number`` counts from 1, ``part`` is as long as the secret."""

    name: str
    needed: int
    number: int
    part: bytes

    def __str__(self) -> str:
        text = f"{_FORM} {self.name} {self.needed} {self.number} {self.part.hex()}"
        return f"{text} {_check(text)}"


def split(secret: bytes, name: str, needed: int, shares: int, entropy: bytes) -> Sequence[Share]:
    """The shares. ``entropy`` is ``(needed - 1) * len(secret)`` random bytes, used once and never again."""
    if not 2 <= needed <= shares <= MOST_SHARES or not secret or len(secret) > MAX_SECRET_BYTES:
        raise Refused(
            f"A secret is split into 2 to {MOST_SHARES} shares, of which at least 2 and at most all are needed; "
            f"{needed} of {shares} was asked for.",
            code="shares:numbers",
        )
    if len(entropy) != (needed - 1) * len(secret):
        raise ValueError(f"splitting needs {(needed - 1) * len(secret)} random bytes")
    width = needed - 1
    parts = []
    for number in range(1, shares + 1):
        part = bytes(
            _at(number, [byte, *entropy[place * width : (place + 1) * width]]) for place, byte in enumerate(secret)
        )
        parts.append(Share(name, needed, number, part))
    return parts


def join(shares: Sequence[Share]) -> bytes:
    """The secret. ``Refused`` where they are too few, or not of one secret; a forged share gives another secret, unseen here."""
    if not shares:
        raise Refused("No share was given.", code="shares:few")
    first, numbers = shares[0], {share.number for share in shares}
    if any((one.name, one.needed, len(one.part)) != (first.name, first.needed, len(first.part)) for one in shares):
        raise Refused("These shares are of different secrets. Give those of one ceremony.", code="shares:mixed")
    if len(numbers) != len(shares):
        raise Refused("One share was given twice. Give different ones.", code="shares:twice")
    if len(shares) < first.needed:
        raise Refused(
            f"{first.needed} shares are needed, and {len(shares)} were given. Bring {first.needed - len(shares)} more.",
            code="shares:few",
        )
    used = shares[: first.needed]
    return bytes(_at_zero([(share.number, share.part[place]) for share in used]) for place in range(len(first.part)))


def read_share(text: str) -> Share:
    """The share in a line of text; ``Unreadable`` with what is wrong with it."""
    words = text.split()
    if len(words) != 6 or words[0] != _FORM:
        raise _unreadable(f"it is not one line that begins with {_FORM}")
    if _check(" ".join(words[:-1])) != words[-1]:
        raise _unreadable("its last eight digits do not fit the rest; it was copied wrongly")
    try:
        needed, number, part = int(words[2]), int(words[3]), bytes.fromhex(words[4])
    except ValueError as error:
        raise _unreadable("its numbers cannot be read") from error
    if not 2 <= needed <= MOST_SHARES or not 1 <= number <= MOST_SHARES or not 0 < len(part) <= MAX_SECRET_BYTES:
        raise _unreadable("its numbers are out of bounds")
    return Share(words[1], needed, number, part)


def _at(x: int, coefficients: Sequence[int]) -> int:
    value = 0
    for coefficient in reversed(coefficients):
        value = _times(value, x) ^ coefficient
    return value


def _at_zero(points: Sequence[tuple[int, int]]) -> int:
    """Lagrange's interpolation at 0."""
    value = 0
    for x, y in points:
        weight = 1
        for other, _ in points:
            if other != x:
                weight = _times(weight, _EXP[(_LOG[other] - _LOG[other ^ x]) % 255])
        value ^= _times(y, weight)
    return value


def _times(a: int, b: int) -> int:
    return _EXP[_LOG[a] + _LOG[b]] if a and b else 0


def _check(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:8]


def _unreadable(why: str) -> Unreadable:
    return Unreadable(f"This is not a share: {why}.", code="shares:unreadable")
