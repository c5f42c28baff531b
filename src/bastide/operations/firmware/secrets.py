"""Keys, certificates and tokens in a file's octets, each with proof of its form: what does not parse is not reported."""

import base64
import binascii
import re
import warnings
import zlib
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.hazmat.primitives.serialization import (
    load_der_private_key,
    load_pem_private_key,
    load_ssh_private_key,
)

from bastide.operations.firmware.flaws import Found, found

MOST = 50
"""Keys, certificates and tokens that are told of one file."""
MAX_TEXT = 4 << 20

_KEY = re.compile(rb"-----BEGIN ([A-Z0-9 ]*PRIVATE KEY)-----[\s\S]{40,16384}?-----END \1-----")
_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----[\s\S]{100,32768}?-----END CERTIFICATE-----")


def keys(path: str, data: bytes) -> Iterator[Found]:
    """Private keys: PEM (PKCS#1, SEC1, PKCS#8, OpenSSH), DER by the file's name, dropbear's host keys."""
    for number, match in enumerate(_KEY.finditer(data)):
        if number == MOST:
            return
        yield from _pem_key(path, match[0], match[1].decode())
    name = path.rpartition("/")[2]
    if (data[:4] == b"\0\0\0\x07" and data[4:11] == b"ssh-rsa") or (
        name.startswith("dropbear_") and data[4:8] in (b"ssh-", b"ecds")
    ):
        yield found("secret:host-key", path)
    elif name.endswith((".key", ".der", ".pk8")) and data[:1] == b"\x30" and len(data) < 16384:
        try:
            key = load_der_private_key(data, None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            return
        yield found("secret:private-key", path, what=_kind(key))


def _pem_key(path: str, pem: bytes, label: str) -> Iterator[Found]:
    try:
        key = load_ssh_private_key(pem, None) if label.startswith("OPENSSH") else load_pem_private_key(pem, None)
    except TypeError:
        yield found("secret:private-key:locked", path)
        return
    except (ValueError, UnsupportedAlgorithm):
        if b"ENCRYPTED" in pem[:200]:
            yield found("secret:private-key:locked", path)
        return
    host = "/ssh_host_" in path or path.rpartition("/")[2].startswith("dropbear_")
    yield found("secret:host-key", path) if host else found("secret:private-key", path, what=_kind(key))


def _kind(key: object) -> str:
    if isinstance(key, rsa.RSAPrivateKey | dsa.DSAPrivateKey):
        return f"{'RSA' if isinstance(key, rsa.RSAPrivateKey) else 'DSA'}, {key.key_size} bits"
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return f"ECDSA, {key.curve.name}"
    return type(key).__name__.strip("_").removesuffix("PrivateKey")


def certificates(path: str, data: bytes, now: datetime) -> Iterator[Found]:
    """Certificates in PEM, and in DER by the file's name: ended ones, small keys, broken digests."""
    told = 0
    for match in _CERTIFICATE.finditer(data):
        if told >= MOST:
            return
        try:
            certificate = _quietly(x509.load_pem_x509_certificate, match[0])
        except ValueError:
            continue
        for one in _certificate(path, certificate, now):
            told += 1
            yield one
    if data[:2] == b"\x30\x82" and path.endswith((".der", ".crt", ".cer")):
        try:
            yield from _certificate(path, _quietly(x509.load_der_x509_certificate, data), now)
        except ValueError:
            return


def _quietly(load: Callable[[bytes], x509.Certificate], octets: bytes) -> x509.Certificate:
    """Old roots have serial numbers that are none; that is no finding of ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return load(octets)


def _certificate(path: str, certificate: x509.Certificate, now: datetime) -> Iterator[Found]:
    try:
        ends = certificate.not_valid_after_utc
        key = certificate.public_key()
        digest = certificate.signature_hash_algorithm
        own = certificate.issuer == certificate.subject
    except (ValueError, UnsupportedAlgorithm, OverflowError):
        return
    if ends < now:
        yield found("certificate:expired", path, what=f"{ends:%Y-%m-%d}")
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < 2048:
        yield found("certificate:weak", path, what=f"an RSA key of {key.key_size} bits")
    elif digest is not None and digest.name in ("md5", "sha1") and not own:
        # A root signs itself: its digest proves nothing and harms nothing.
        yield found("certificate:weak", path, what=f"a {digest.name.upper()} signature")


def _github(token: bytes) -> bool:
    """The last six letters are a CRC-32 of the others in base 62."""
    body, check = token[4:-6], token[-6:]
    alphabet = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    value = 0
    for sign in check:
        value = value * 62 + alphabet.index(sign)
    return value == zlib.crc32(body)


def _json_token(token: bytes) -> bool:
    """Header and claims are JSON objects in base64url."""
    for part in token.split(b".")[:2]:
        try:
            text = base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4))
        except (binascii.Error, ValueError):
            return False
        if not (text[:1] == b"{" and text[-1:] == b"}"):
            return False
    return True


def _any(_token: bytes) -> bool:
    return True


_TOKENS: Final[tuple[tuple[str, bytes, re.Pattern[bytes], Callable[[bytes], bool]], ...]] = (
    ("GitHub", b"gh", re.compile(rb"gh[pousr]_[A-Za-z0-9]{36}(?![A-Za-z0-9])"), _github),
    ("AWS", b"AKIA", re.compile(rb"(?<![A-Z0-9])AKIA[A-Z2-7]{16}(?![A-Z0-9])"), _any),
    ("Slack", b"xox", re.compile(rb"xox[abprs]-\d{10,13}-\d{10,13}-[A-Za-z0-9-]{20,}"), _any),
    ("Google", b"AIza", re.compile(rb"(?<![\w-])AIza[0-9A-Za-z_-]{35}(?![\w-])"), _any),
    ("Stripe", b"_live_", re.compile(rb"[sr]k_live_[0-9A-Za-z]{24,}"), _any),
    ("a web service (JSON web token)", b"eyJ", re.compile(rb"eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{20,}"), _json_token),
)


def tokens(path: str, data: bytes) -> Iterator[Found]:
    """Tokens of services, by their form and, where it has one, their check."""
    told = 0
    for service, anchor, pattern, proves in _TOKENS:
        if anchor not in data:
            continue
        for match in pattern.finditer(data):
            if proves(match[0]):
                yield found("secret:token", path, what=service)
                told += 1
                break
        if told >= MOST:
            return
