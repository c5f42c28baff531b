"""NATS nkeys as text, and NATS JWTs as signed text (github.com/nats-io/nkeys, github.com/nats-io/jwt version 2).

- A public key is base32 (no padding) of a prefix byte, the 32 bytes of the Ed25519 key, and their CRC-16/XMODEM, low byte
  first. A seed has the prefix ``S`` spread over two bytes with the type's prefix.
- A JWT is ``base64url(header).base64url(claims).base64url(signature)`` with the header ``{"typ":"JWT","alg":"ed25519-nkey"}``.
"""

import json
from base64 import b32decode, b32encode, urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from binascii import crc_hqx
from collections.abc import Mapping
from enum import IntEnum
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from bastide.core.error import Unreadable

KEY_BYTES = 32
_SEED = 18 << 3


class Kind(IntEnum):
    """The prefix byte, which becomes the first letter."""

    ACCOUNT = 0
    SERVER = 13 << 3
    OPERATOR = 14 << 3
    USER = 20 << 3


def encode_public(kind: Kind, key: bytes) -> str:
    """``A…``, ``N…``, ``O…`` or ``U…``."""
    return _encode(bytes([kind]) + key)


def decode_public(text: str, kind: Kind) -> bytes:
    """The 32 bytes of a public key of that kind; Unreadable otherwise."""
    body = _decode(text)
    if len(body) != 1 + KEY_BYTES or body[0] != kind:
        raise Unreadable(f"{text[:60]!r} is not a NATS {kind.name.lower()} key.", code="nkey:unreadable")
    return body[1:]


def encode_seed(kind: Kind, seed: bytes) -> str:
    """``SA…``, ``SU…``: the secret half."""
    return _encode(bytes([_SEED | (kind >> 5), (kind & 31) << 3]) + seed)


def decode_seed(text: str) -> tuple[Kind, bytes]:
    """Kind and 32 bytes of a seed; Unreadable otherwise."""
    body = _decode(text)
    if len(body) == 2 + KEY_BYTES and body[0] & 0b11111000 == _SEED:
        prefix = (body[0] & 7) << 5 | body[1] >> 3
        if prefix in tuple(Kind):
            return Kind(prefix), body[2:]
    raise Unreadable("This is not a NATS seed.", code="nkey:unreadable")


def sign_jwt(claims: Mapping[str, Any], key: Ed25519PrivateKey) -> str:
    """The claims as a JWT. Its text depends on nothing but claims and key."""
    body = json.dumps(claims, separators=(",", ":"), sort_keys=True, ensure_ascii=False, allow_nan=False).encode()
    signed = f"{_HEADER}.{_base64url(body)}"
    return f"{signed}.{_base64url(key.sign(signed.encode()))}"


def verify_jwt(token: str, key: bytes) -> dict[str, Any]:
    """The claims of a JWT that this Ed25519 key signed; Unreadable otherwise."""
    try:
        header, body, signature = token.split(".")
        algorithm = json.loads(_unbase64url(header)).get("alg")
        Ed25519PublicKey.from_public_bytes(key).verify(_unbase64url(signature), f"{header}.{body}".encode())
        claims = json.loads(_unbase64url(body))
    except (ValueError, AttributeError, InvalidSignature, RecursionError) as error:
        raise Unreadable("The JWT does not verify under the key that it should.", code="nkey:jwt:invalid") from error
    if algorithm != "ed25519-nkey" or not isinstance(claims, dict):
        raise Unreadable("The JWT is not one of NATS' (ed25519-nkey over an object).", code="nkey:jwt:invalid")
    return claims


def _encode(body: bytes) -> str:
    return b32encode(body + crc_hqx(body, 0).to_bytes(2, "little")).decode().rstrip("=")


def _decode(text: str) -> bytes:
    try:
        raw = b32decode(text + "=" * (-len(text) % 8)) if len(text) <= 64 else b""
    except (Base64Error, ValueError):
        raw = b""
    if len(raw) < 3 or crc_hqx(raw[:-2], 0).to_bytes(2, "little") != raw[-2:] or _encode(raw[:-2]) != text:
        raise Unreadable(f"{text[:4]!r}… is not a NATS key: its form or checksum is wrong.", code="nkey:unreadable")
    return raw[:-2]


def _base64url(body: bytes) -> str:
    return urlsafe_b64encode(body).decode().rstrip("=")


def _unbase64url(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


_HEADER = _base64url(b'{"typ":"JWT","alg":"ed25519-nkey"}')
