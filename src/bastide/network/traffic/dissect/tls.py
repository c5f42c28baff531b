"""TLS client and server hello (RFC 8446 4.1, RFC 5246 7.4, RFC 6101; SSL 2 hello of RFC 5246 E.2), DTLS (RFC 9147, 6347),
certificates up to TLS 1.2, and the JA4 fingerprint (FoxIO's technical details of JA4: TLS client)."""

from hashlib import sha1, sha256
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from bastide.network.traffic.dissect.cursor import Cursor
from bastide.network.traffic.dissect.message import Context, Dissector, Incomplete, Malformed, Message, Said, text

VERSIONS = {
    0x0002: "SSLv2", 0x0300: "SSLv3", 0x0301: "TLSv1", 0x0302: "TLS 1.1", 0x0303: "TLS 1.2", 0x0304: "TLS 1.3",
    0xFEFF: "DTLS 1.0", 0xFEFD: "DTLS 1.2", 0xFEFC: "DTLS 1.3",
}  # fmt: skip
_JA4_VERSIONS = {
    0x0002: "s2", 0x0300: "s3", 0x0301: "10", 0x0302: "11", 0x0303: "12", 0x0304: "13",
    0xFEFF: "d1", 0xFEFD: "d2", 0xFEFC: "d3",
}  # fmt: skip
OBSOLETE = ("SSLv2", "SSLv3", "TLSv1", "TLS 1.1", "DTLS 1.0")


def is_grease(value: int) -> bool:
    """RFC 8701: 0x0a0a, 0x1a1a, ... 0xfafa."""
    return value & 0x0F0F == 0x0A0A and value >> 8 == value & 0xFF


def ja4(transport: str, hello: dict[str, Any]) -> str:
    """The fingerprint of a client hello. ``transport`` is ``t``, ``q`` or ``d``."""
    versions = [version for version in hello["supported_versions"] if not is_grease(version)]
    version = _JA4_VERSIONS.get(max(versions) if versions else hello["version"], "00")
    ciphers = [cipher for cipher in hello["ciphers"] if not is_grease(cipher)]
    extensions = [extension for extension in hello["extensions"] if not is_grease(extension)]
    first = hello["alpn_raw"][0] if hello["alpn_raw"] else b""
    ends = first[:1] + first[-1:]
    if not first:
        protocol = "00"
    elif ends.isalnum() and ends.isascii():
        protocol = ends.decode("ascii")
    else:
        protocol = ends.hex()[0] + ends.hex()[-1]
    named = "d" if 0 in extensions else "i"
    head = f"{transport}{version}{named}{min(len(ciphers), 99):02}{min(len(extensions), 99):02}{protocol}"
    cipher_part = ",".join(sorted(f"{cipher:04x}" for cipher in ciphers))
    kept = ",".join(sorted(f"{extension:04x}" for extension in extensions if extension not in (0, 16)))
    algorithms = ",".join(f"{value:04x}" for value in hello["signature_algorithms"] if not is_grease(value))
    joined = f"{kept}_{algorithms}" if algorithms else kept
    digest = sha256(cipher_part.encode()).hexdigest()[:12] if ciphers else "000000000000"
    digest_extensions = sha256(joined.encode()).hexdigest()[:12] if extensions else "000000000000"
    return f"{head}_{digest}_{digest_extensions}"


def client_hello(cursor: Cursor, datagram: bool = False) -> dict[str, Any]:
    """The body of a client hello, after the handshake header."""
    hello: dict[str, Any] = {
        "version": cursor.u16(), "supported_versions": [], "extensions": [], "alpn_raw": [], "signature_algorithms": [],
        "sni": "", "groups": [],
    }  # fmt: skip
    cursor.skip(32)
    cursor.skip(cursor.u8())
    if datagram:
        cursor.skip(cursor.u8())
    size = cursor.u16()
    raw = cursor.take(size)
    hello["ciphers"] = [int.from_bytes(raw[i : i + 2], "big") for i in range(0, size - 1, 2)]
    cursor.skip(cursor.u8())
    if cursor.left < 2:
        return hello
    extensions = cursor.part(min(cursor.u16(), cursor.left))
    while extensions.left >= 4 and len(hello["extensions"]) < 128:
        kind = extensions.u16()
        body = extensions.part(min(extensions.u16(), extensions.left))
        hello["extensions"].append(kind)
        if kind == 0 and body.left >= 5:
            body.skip(3)
            hello["sni"] = text(body.take(min(body.u16(), body.left))).lower()
        elif kind == 10 and body.left >= 2:
            body.skip(2)
            hello["groups"] = [body.u16() for _ in range(body.left // 2)]
        elif kind == 13 and body.left >= 2:
            body.skip(2)
            hello["signature_algorithms"] = [body.u16() for _ in range(body.left // 2)]
        elif kind == 16 and body.left >= 2:
            body.skip(2)
            while body.left > 1:
                hello["alpn_raw"].append(body.take(min(body.u8(), body.left)))
        elif kind == 43 and body.left >= 1:
            body.skip(1)
            hello["supported_versions"] = [body.u16() for _ in range(body.left // 2)]
    return hello


def hello_fields(hello: dict[str, Any], transport: str) -> tuple[dict[str, Any], list[Said]]:
    """Fields and facts of a client hello."""
    fingerprint = ja4(transport, hello)
    alpn = [text(value) for value in hello["alpn_raw"]]
    versions = [version for version in hello["supported_versions"] if not is_grease(version)]
    best = max(versions) if versions else hello["version"]
    fields: dict[str, Any] = {
        "ja4": fingerprint,
        "client_version": VERSIONS.get(best, f"0x{best:04x}"),
        "client_alpns": alpn,
    }
    said = [Said("ja4", fingerprint)]
    if hello["sni"]:
        fields["sni"] = hello["sni"]
        said.append(Said("sni", hello["sni"]))
    said.extend(Said("alpn", value) for value in alpn[:4] if value)
    return fields, said


def _server_hello(cursor: Cursor) -> dict[str, Any]:
    version = cursor.u16()
    cursor.skip(32)
    cursor.skip(cursor.u8())
    cipher = cursor.u16()
    cursor.skip(1)
    alpn = ""
    if cursor.left >= 2:
        extensions = cursor.part(min(cursor.u16(), cursor.left))
        while extensions.left >= 4:
            kind = extensions.u16()
            body = extensions.part(min(extensions.u16(), extensions.left))
            if kind == 43 and body.left == 2:
                version = body.u16()
            elif kind == 16 and body.left > 3:
                body.skip(2)
                alpn = text(body.take(min(body.u8(), body.left)))
    return {"version": VERSIONS.get(version, f"0x{version:04x}"), "cipher": f"0x{cipher:04x}", "server_alpn": alpn}


_SHORT = {
    "2.5.4.6": "C", "2.5.4.8": "ST", "2.5.4.7": "L", "2.5.4.10": "O", "2.5.4.11": "OU", "2.5.4.3": "CN",
    "1.2.840.113549.1.9.1": "Email",
}  # fmt: skip


def _named(name: x509.Name) -> str:
    """A distinguished name in the order of the certificate, at most 256 characters."""
    parts = [f"{_SHORT.get(part.oid.dotted_string, part.oid.dotted_string)}={part.value!s}" for part in name]
    return text(", ".join(parts).encode())


def certificate_fields(der: bytes) -> dict[str, Any]:
    """What a certificate says; whatever cannot be read is left out."""
    fields: dict[str, Any] = {}
    try:
        certificate = x509.load_der_x509_certificate(der)
        fields["subject"] = _named(certificate.subject)
        fields["issuerdn"] = _named(certificate.issuer)
        fields["serial"] = certificate.serial_number.to_bytes(20, "big", signed=True).lstrip(b"\0").hex(":").upper()
        fields["fingerprint"] = sha1(der, usedforsecurity=False).hexdigest()
        fields["notbefore"] = certificate.not_valid_before_utc.replace(tzinfo=None).isoformat()
        fields["notafter"] = certificate.not_valid_after_utc.replace(tzinfo=None).isoformat()
        fields["self_signed"] = certificate.subject == certificate.issuer
        key = certificate.public_key()
        if isinstance(key, rsa.RSAPublicKey):
            fields["key"] = f"RSA {key.key_size}"
            fields["weak_key"] = key.key_size < 2048
        elif isinstance(key, ec.EllipticCurvePublicKey):
            fields["key"] = f"EC {key.curve.name}"
            fields["weak_key"] = key.key_size < 224
        algorithm = certificate.signature_hash_algorithm
        fields["weak_signature"] = algorithm is not None and algorithm.name in ("md5", "sha1", "md2")
    except Exception as error:
        fields["unreadable"] = type(error).__name__
    return fields


def _ssl2(payload: bytes) -> Message:
    """The hello of SSL 2 that may offer a later version (RFC 5246 E.2)."""
    cursor = Cursor(payload, 3)
    version = cursor.u16()
    ciphers, session, challenge = cursor.u16(), cursor.u16(), cursor.u16()
    cursor.skip(ciphers + session + challenge)
    named = VERSIONS.get(version, f"0x{version:04x}")
    return Message("tls", {"client_version": named, "ssl2_hello": True}, (Said("tls-offered", "SSLv2 hello"),))


def dissect_tls(payload: bytes, context: Context) -> Message:
    """The handshake messages at the start of a stream, as far as they are there."""
    if payload[:1] and payload[0] & 0x80 and len(payload) > 10:
        return _ssl2(payload)
    cursor = Cursor(payload)
    handshake = bytearray()
    complete = True
    while cursor.left:
        if cursor.left < 5:
            complete = False
            break
        kind, major = cursor.u8(), cursor.u16() >> 8
        size = cursor.u16()
        if major != 3 or size > 18432:
            raise Malformed("A TLS record has version 3.x and at most 18,432 octets.")
        if kind != 22:
            if kind == 21 and not handshake and size == 2 and cursor.left >= 2:
                level, code = cursor.u8(), cursor.u8()
                return Message("tls", {"alert": code, "level": level}, ())
            break
        if size > cursor.left:
            handshake += cursor.rest()
            complete = False
            break
        handshake += cursor.take(size)
    fields: dict[str, Any] = {}
    said: list[Said] = []
    wants = not complete
    inner = Cursor(bytes(handshake))
    while inner.left >= 4:
        kind, size = inner.u8(), inner.u24()
        if size > inner.left:
            wants = True
            if kind not in (1, 2, 11):
                break
            if kind != 11 or size > 65536:
                break
            break
        body = inner.part(size)
        if kind == 1:
            hello = client_hello(body)
            found, facts = hello_fields(hello, "t")
            fields.update(found)
            said.extend(facts)
            fields["version"] = fields["client_version"]
            wants = False
        elif kind == 2:
            found = _server_hello(body)
            fields.update(found)
            said.append(Said("tls", found["version"]))
            said.append(Said("peer-tls", found["version"], "receiver"))
            wants = found["version"] not in ("TLS 1.3",)
        elif kind == 11 and body.left >= 6:
            body.skip(3)
            certificate = certificate_fields(body.take(min(body.u24(), body.left)))
            fields["certificate"] = certificate
            wants = False
            if certificate.get("weak_key"):
                said.append(Said("weak-certificate", f"{certificate['key']} key"))
            if certificate.get("weak_signature"):
                said.append(Said("weak-certificate", "MD5 or SHA-1 signature"))
            if certificate.get("self_signed"):
                said.append(Said("self-signed", certificate["subject"]))
            if certificate.get("subject"):
                said.append(Said("certificate", certificate["subject"]))
        elif kind not in (0, 4, 8, 12, 13, 14, 16, 20, 22):
            break  # encrypted from here on
        elif kind == 14:
            wants = False
    if not fields:
        raise Incomplete("The hello goes on in the next segment.") if wants else Malformed("No TLS hello is here.")
    return Message("tls", fields, tuple(said), partial=wants)


def dissect_dtls(payload: bytes, _: Context) -> Message:
    cursor = Cursor(payload)
    kind, version = cursor.u8(), cursor.u16()
    cursor.skip(8)
    record = cursor.part(cursor.u16())
    fields: dict[str, Any] = {"record_version": VERSIONS.get(version, f"0x{version:04x}")}
    if kind != 22 or record.left < 12:
        return Message("dtls", fields)
    handshake = record.u8()
    record.skip(3 + 2)
    offset, size = record.u24(), record.u24()
    if offset or size > record.left:
        return Message("dtls", fields)
    if handshake == 1:
        found, said = hello_fields(client_hello(record, datagram=True), "d")
        return Message("dtls", fields | found, tuple(said))
    if handshake == 2:
        found = _server_hello(record)
        said = [Said("tls", found["version"]), Said("peer-tls", found["version"], "receiver")]
        return Message("dtls", fields | found, tuple(said))
    return Message("dtls", fields)


TLS = Dissector("tls", ("tls",), dissect_tls)
DTLS = Dissector("dtls", ("dtls",), dissect_dtls)
