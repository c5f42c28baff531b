"""Which password hashes are those of passwords that everybody knows, in constant work: crypt(3)'s MD5, SHA-256 and SHA-512.

The schemes are composed of hashlib's digests (Poul-Henning Kamp's MD5-crypt; Drepper, *Unix crypt using SHA-256 and SHA-512*).
Only a handful of published default passwords is tried; this is no cracker. bcrypt, yescrypt and DES are named and not tried.
"""

import hashlib
from typing import Final

DEFAULTS: Final = (
    "", "root", "admin", "password", "1234", "12345", "123456", "12345678", "default", "user", "guest", "toor", "pass", "support",
    "service", "system", "oelinux123", "xc3511", "vizxv", "juantech", "888888", "666666", "54321", "klv123", "hi3518", "anko",
    "ikwb", "Zte521", "7ujMko0admin", "7ujMko0vizxv", "realtek", "dreambox", "admin1234", "smcadmin", "changeme", "raspberry",
    "ubnt", "openelec", "calvin", "cxlinux",
)  # fmt: skip
"""Defaults of devices as published with the sources of worms that used them, and of distributions."""

MOST_ROUNDS = 10_000
_ALPHABET = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def scheme_of(field: str) -> str:
    """The name of a hash's scheme: ``locked`` where nobody can sign in with a password, ``empty`` where no password is asked."""
    if field == "":
        return "empty"
    if field[0] in "!*" or field in ("x", "NP", "LK"):
        return "locked"
    for prefix, name in (
        ("$1$", "md5"), ("$5$", "sha256"), ("$6$", "sha512"), ("$2", "bcrypt"), ("$y$", "yescrypt"), ("$7$", "scrypt"),
    ):  # fmt: skip
        if field.startswith(prefix):
            return name
    return "des" if len(field) == 13 else "unknown"


def known_password(field: str, user: str) -> str | None:
    """The default password that the hash is of; None where it is none of them, or the scheme is not tried."""
    scheme = scheme_of(field)
    if scheme not in ("md5", "sha256", "sha512"):
        return None
    parts = field.split("$")
    rounds, salt = 5000, parts[2]
    if salt.startswith("rounds="):
        digits = salt.removeprefix("rounds=")
        rounds, salt = (int(digits) if digits.isdigit() else 0), parts[3] if len(parts) > 3 else ""
        if not 1000 <= rounds <= MOST_ROUNDS:
            return None
    wanted = parts[-1]
    for password in dict.fromkeys((user, *DEFAULTS)):
        made = _md5(password, salt) if scheme == "md5" else _sha(password, salt, rounds, scheme)
        if made == wanted:
            return password
    return None


def _md5(password: str, salt: str) -> str:
    secret, grain = password.encode(), salt[:8].encode()
    inner = hashlib.md5(secret + grain + secret, usedforsecurity=False).digest()
    begun = hashlib.md5(secret + b"$1$" + grain, usedforsecurity=False)
    begun.update((inner * (len(secret) // 16 + 1))[: len(secret)])
    bits = len(secret)
    while bits:
        begun.update(b"\0" if bits & 1 else secret[:1])
        bits >>= 1
    digest = begun.digest()
    for turn in range(1000):
        made = secret if turn & 1 else digest
        if turn % 3:
            made += grain
        if turn % 7:
            made += secret
        digest = hashlib.md5(made + (digest if turn & 1 else secret), usedforsecurity=False).digest()
    order = ((0, 6, 12), (1, 7, 13), (2, 8, 14), (3, 9, 15), (4, 10, 5))
    text = "".join(_letters(digest[a] << 16 | digest[b] << 8 | digest[c], 4) for a, b, c in order)
    return text + _letters(digest[11], 2)


def _sha(password: str, salt: str, rounds: int, scheme: str) -> str:
    make = hashlib.sha256 if scheme == "sha256" else hashlib.sha512
    secret, grain = password.encode(), salt[:16].encode()
    size = make().digest_size
    inner = make(secret + grain + secret).digest()
    begun = make(secret + grain)
    begun.update((inner * (len(secret) // size + 1))[: len(secret)])
    bits = len(secret)
    while bits:
        begun.update(inner if bits & 1 else secret)
        bits >>= 1
    digest = begun.digest()
    p = make(secret * len(secret)).digest()
    p = (p * (len(secret) // size + 1))[: len(secret)]
    s = make(grain * (16 + digest[0])).digest()
    s = (s * (len(grain) // size + 1))[: len(grain)]
    for turn in range(rounds):
        made = p if turn & 1 else digest
        if turn % 3:
            made += s
        if turn % 7:
            made += p
        digest = make(made + (digest if turn & 1 else p)).digest()
    if scheme == "sha256":
        text, places = "", [(0, 10, 20)]
        while len(places) < 10:
            a, b, c = places[-1]
            places.append(((c + 1) % 30, (a + 1) % 30, (b + 1) % 30))
        text = "".join(_letters(digest[a] << 16 | digest[b] << 8 | digest[c], 4) for a, b, c in places)
        return text + _letters(digest[31] << 8 | digest[30], 3)
    places = [(0, 21, 42)]
    while len(places) < 21:
        a, b, c = places[-1]
        places.append(((b + 1) % 63, (c + 1) % 63, (a + 1) % 63))
    text = "".join(_letters(digest[a] << 16 | digest[b] << 8 | digest[c], 4) for a, b, c in places)
    return text + _letters(digest[63], 2)


def _letters(value: int, count: int) -> str:
    return "".join(_ALPHABET[value >> 6 * place & 63] for place in range(count))
