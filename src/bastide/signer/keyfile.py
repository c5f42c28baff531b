"""Authority keys in one encrypted file: AES-256-GCM under a key that scrypt makes from a passphrase.

The file is ``BASTIDE-KEYS-1``, a newline, one line of JSON (salt, nonce, scrypt's cost), and the ciphertext; the two lines are
the associated data, so that nobody can weaken the cost. Inside is a JSON object of key names and PKCS#8 in base64.

Scrypt with n=2^15, r=8, p=1 takes 32 MiB and about a tenth of a second: once at a start, and for each guess.
"""

import json
import secrets
from base64 import b64decode, b64encode
from dataclasses import replace
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)

from bastide.ports.keys import MOST_ISSUING, KeyRing, KeysUnusable, issuing_names
from bastide.signer.files import write_whole

_MAGIC = b"BASTIDE-KEYS-1\n"
_COST = {"n": 1 << 15, "r": 8, "p": 1}
_MAX_FILE_BYTES = 65_536


class KeyFile:
    """Implements ports.keys.KeyStore. The passphrase comes from ``passphrase``, or from a file beside the keys."""

    blocking = False

    def __init__(self, path: Path, passphrase: str | None) -> None:
        self._path = path
        self._beside = path.with_name("passphrase")
        self._passphrase = passphrase

    @property
    def exists(self) -> bool:
        return self._path.exists()

    def create(self) -> KeyRing:
        """New keys, written before they are used. Without a given passphrase a random one is written beside them."""
        if self._passphrase is None and not self._beside.exists():
            write_whole(self._beside, secrets.token_urlsafe(32).encode() + b"\n", 0o600)
        ring = KeyRing(
            root=ec.generate_private_key(ec.SECP384R1()),
            issuing=(ec.generate_private_key(ec.SECP256R1()),),
            checkpoint=ed25519.Ed25519PrivateKey.generate(),
            account=ed25519.Ed25519PrivateKey.generate(),
            plan=ed25519.Ed25519PrivateKey.generate(),
        )
        self._write(ring)
        return ring

    def open(self) -> KeyRing:
        content = _bounded(self._path)
        keys = json.loads(_unseal(content, self._secret(), self._path))
        loaded: dict[str, Any] = {name: load_der_private_key(b64decode(text), None) for name, text in keys.items()}
        issuing = [loaded.pop(name) for name in issuing_names() if name in loaded]
        loaded |= {"root": loaded.get("root"), "issuing": tuple(issuing)}
        if not issuing or set(loaded) != set(KeyRing.__slots__):
            raise KeysUnusable(
                f"{self._path} holds the keys {sorted(keys)}, and {sorted(KeyRing.__slots__)} are needed: it is of "
                "another release. Start the release that made it."
            )
        return KeyRing(**loaded)  # the names say the types; the file is authenticated

    def with_next_issuing(self, ring: KeyRing) -> KeyRing:
        if len(ring.issuing) == MOST_ISSUING:
            raise KeysUnusable(f"There are {MOST_ISSUING} issuing keys, and no more are held.")
        more = replace(ring, issuing=(*ring.issuing, ec.generate_private_key(ec.SECP256R1())))
        self._write(more)
        return more

    def without_root(self, ring: KeyRing) -> KeyRing:
        rest = replace(ring, root=None)
        self._write(rest)
        return rest

    def close(self) -> None:
        pass

    def _write(self, ring: KeyRing) -> None:
        held = {name: getattr(ring, name) for name in KeyRing.__slots__ if name != "issuing"}
        held |= dict(zip(issuing_names(), ring.issuing, strict=False))
        keys = {
            name: b64encode(key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())).decode()
            for name, key in held.items()
            if key is not None
        }
        write_whole(self._path, _seal(json.dumps(keys).encode(), self._secret()), 0o600)

    def _secret(self) -> bytes:
        if self._passphrase is not None:
            return self._passphrase.encode()
        try:
            mode = self._beside.stat().st_mode & 0o777
            secret = _bounded(self._beside).strip()
        except OSError as error:
            raise KeysUnusable(
                f"There is no passphrase for {self._path}: {self._beside} cannot be read ({error.strerror}) and none is "
                "set. Set BASTIDE_SIGNER_PASSPHRASE_FILE to a file that holds it."
            ) from error
        if mode & 0o077:
            raise KeysUnusable(
                f"{self._beside} can be read by others (mode {mode:o}): run `chmod 600 {self._beside}`, and consider "
                "the authority keys known to whoever could read it."
            )
        return secret


def _seal(plain: bytes, secret: bytes) -> bytes:
    salt, nonce = secrets.token_bytes(16), secrets.token_bytes(12)
    header = {"kdf": "scrypt", "salt": b64encode(salt).decode(), "nonce": b64encode(nonce).decode(), **_COST}
    associated = _MAGIC + json.dumps(header).encode() + b"\n"
    return associated + AESGCM(_derive(secret, salt)).encrypt(nonce, plain, associated)


def _unseal(content: bytes, secret: bytes, path: Path) -> bytes:
    try:
        magic, line, sealed = content.split(b"\n", 2)
        header = json.loads(line)
        salt, nonce = b64decode(header["salt"]), b64decode(header["nonce"])
        known = magic + b"\n" == _MAGIC and {name: header[name] for name in _COST} == _COST
    except (ValueError, KeyError, TypeError) as error:
        raise KeysUnusable(f"{path} is not a file of authority keys. Restore it from a backup.") from error
    if not known:
        raise KeysUnusable(f"{path} was written by another release. Start the release that wrote it.")
    try:
        return AESGCM(_derive(secret, salt)).decrypt(nonce, sealed, magic + b"\n" + line + b"\n")
    except InvalidTag as error:
        raise KeysUnusable(
            f"The passphrase does not open {path}, or the file was changed. Give the passphrase that it was made with, or "
            "restore it from a backup."
        ) from error


def _derive(secret: bytes, salt: bytes) -> bytes:
    return Scrypt(salt=salt, length=32, n=_COST["n"], r=_COST["r"], p=_COST["p"]).derive(secret)


def _bounded(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_MAX_FILE_BYTES)
