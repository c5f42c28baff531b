"""QUIC's first packets: versions 1 (RFC 9000, 9001) and 2 (RFC 9369), drafts 29 to 34 by version 1's or the draft's salt.

The initial keys come from the client's connection id alone (RFC 9001 5.2), so the client hello is readable on the wire.
"""

from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from bastide.network.traffic.dissect.cursor import Cursor
from bastide.network.traffic.dissect.message import Context, Dissector, Malformed, Message, Said, text
from bastide.network.traffic.dissect.tls import client_hello, hello_fields

V1, V2 = 0x00000001, 0x6B3343CF
_SALTS = {
    V1: bytes.fromhex("38762cf7f55934b34d179ae6a4c80cadccbb7f0a"),
    V2: bytes.fromhex("0dede3def700a6db819381be6e269dcbf9bd2ed9"),
    0xFF00001D: bytes.fromhex("afbfec289993d24c9e9786f19c6111e04390a899"),
}
_NAMES = {V1: "1", V2: "2"}


def _expand(secret: bytes, label: bytes, size: int) -> bytes:
    """HKDF-Expand-Label with an empty context (RFC 8446 7.1)."""
    full = b"tls13 " + label
    info = size.to_bytes(2, "big") + bytes([len(full)]) + full + b"\0"
    return HKDFExpand(SHA256(), size, info).derive(secret)


def _keys(version: int, connection: bytes) -> tuple[bytes, bytes, bytes]:
    """Key, IV and header protection key of the client's initial packets."""
    salt = _SALTS.get(version) or _SALTS[0xFF00001D if 0xFF00001D <= version <= 0xFF000020 else V1]
    extract = HMAC(salt, SHA256())
    extract.update(connection)
    secret = _expand(extract.finalize(), b"client in", 32)
    prefix = b"quicv2 " if version == V2 else b"quic "
    return (
        _expand(secret, prefix + b"key", 16),
        _expand(secret, prefix + b"iv", 12),
        _expand(secret, prefix + b"hp", 16),
    )


def _varint(cursor: Cursor) -> int:
    first = cursor.u8()
    value = first & 0x3F
    for _ in range((1 << (first >> 6)) - 1):
        value = (value << 8) | cursor.u8()
    return value


def _crypto(plain: bytes) -> bytes:
    """The CRYPTO frames of a packet put in order (RFC 9000 19.6), from offset 0 as far as they reach."""
    cursor = Cursor(plain)
    parts: list[tuple[int, bytes]] = []
    while cursor.left and len(parts) < 256:
        kind = _varint(cursor)
        if kind in (0, 1):
            continue
        if kind == 6:
            offset, size = _varint(cursor), _varint(cursor)
            parts.append((offset, cursor.take(size)))
        elif kind in (2, 3):
            _varint(cursor)
            _varint(cursor)
            ranges = _varint(cursor)
            _varint(cursor)
            for _ in range(min(ranges, 64) * 2):
                _varint(cursor)
            if kind == 3:
                for _ in range(3):
                    _varint(cursor)
        else:
            break
    stream = bytearray()
    for offset, data in sorted(parts):
        if offset > len(stream):
            break
        stream[offset : offset + len(data)] = data
    return bytes(stream)


_EXTENSIONS = {
    0: "server_name", 5: "status_request", 10: "supported_groups", 13: "signature_algorithms", 16: "alpn",
    18: "signed_certificate_timestamp", 21: "padding", 27: "compress_certificate", 35: "session_ticket",
    41: "pre_shared_key", 42: "early_data", 43: "supported_versions", 45: "psk_key_exchange_modes", 51: "key_share",
    57: "quic_transport_parameters",
}  # fmt: skip


def _extensions(hello: dict[str, Any]) -> list[dict[str, Any]]:
    """The extensions in their order, with the values of those that name something."""
    values = {0: [hello["sni"]], 16: [text(value) for value in hello["alpn_raw"]]}
    return [
        {"name": _EXTENSIONS.get(kind, "unknown"), "type": kind, "values": values.get(kind, [])}
        for kind in hello["extensions"]
    ]


def dissect(payload: bytes, context: Context) -> Message:
    cursor = Cursor(payload)
    first = cursor.u8()
    version = cursor.u32()
    if version >> 24 in (0x51, 0x54):  # Google's own versions before the standard: another header follows
        return Message("quic", {"version": version.to_bytes(4, "big").decode("ascii", "replace")})
    target = cursor.take(cursor.u8())
    cursor.skip(cursor.u8())
    fields: dict[str, Any] = {"version": _NAMES.get(version, f"0x{version:08x}")}
    if version == 0:
        return Message("quic", fields | {"packet": "version_negotiation"})
    kind = (first >> 4) & 3
    initial = 1 if version == V2 else 0
    if kind != initial or context.from_server or not (version in _SALTS or 0xFF00001D <= version <= 0xFF000022):
        return Message("quic", fields | {"packet": "initial" if kind == initial else "long"})
    cursor.skip(_varint(cursor))
    size = _varint(cursor)
    number_at = cursor.at
    if size < 20 or size > cursor.left:
        raise Malformed("A QUIC initial packet is at least 20 octets long and whole.")
    key, iv, protection = _keys(version, target)
    sample = payload[number_at + 4 : number_at + 20]
    mask = Cipher(algorithms.AES(protection), modes.ECB()).encryptor().update(sample)  # noqa: S305 - RFC 9001 5.4.3
    opened = first ^ (mask[0] & 0x0F)
    width = (opened & 3) + 1
    number = bytes(payload[number_at + i] ^ mask[1 + i] for i in range(width))
    header = bytes([opened]) + payload[1:number_at] + number
    nonce = bytes(a ^ b for a, b in zip(iv, number.rjust(12, b"\0"), strict=True))
    try:
        plain = AESGCM(key).decrypt(nonce, payload[number_at + width : number_at + size], header)
    except InvalidTag:
        # A later initial of the same connection uses the server's choice of id; it cannot be opened alone.
        return Message("quic", fields | {"packet": "initial", "opened": False})
    stream = Cursor(_crypto(plain))
    fields["packet"] = "initial"
    said: list[Said] = [Said("quic-version", fields["version"])]
    if stream.left >= 4 and stream.data[0] == 1:
        stream.skip(1)
        length = stream.u24()
        if length <= stream.left:
            hello = client_hello(stream.part(length))
            found, facts = hello_fields(hello, "q")
            fields.update(found)
            fields["extensions"] = _extensions(hello)
            said.extend(facts)
    return Message("quic", fields, tuple(said))


DISSECTOR = Dissector("quic", ("quic",), dissect)
