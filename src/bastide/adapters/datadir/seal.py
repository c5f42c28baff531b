"""The sealed form of a backup: a stream that is encrypted and authenticated piece by piece.

``BASTIDE-BACKUP-1``, a line of JSON (scrypt's salt and cost, the nonces' beginning, when it was made), then pieces: four octets
of length, and AES-256-GCM over at most 1 MiB under the nonce *beginning, number of the piece, whether it is the last* (the STREAM
construction of Hoang, Reyhanitabar, Rogaway and Vizár, 2015). The two lines are the associated data of every piece. So pieces
cannot be changed, left out, put elsewhere or cut off at the end without it being seen.
"""

import io
import json
import secrets
import struct
from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Any, BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from bastide.core.error import Refused, Unreadable

MAGIC = b"BASTIDE-BACKUP-1\n"
PIECE = 1 << 20
MAX_HEADER = 4096
_TAG = 16
_COST = {"n": 1 << 16, "r": 8, "p": 1}


class BackupUnreadable(Unreadable):
    """A file that is no backup, or not all of one."""

    code = "backup:unreadable"


class Sealer(io.RawIOBase):
    """Writes what it is given to ``out``, sealed. :meth:`close` writes the last piece, without which nobody takes the file."""

    def __init__(self, out: BinaryIO, passphrase: str, told: Mapping[str, str]) -> None:
        salt, self._beginning = secrets.token_bytes(16), secrets.token_bytes(7)
        header = {**told, "salt": _text(salt), "nonce": _text(self._beginning), **_COST}
        self._associated = MAGIC + json.dumps(header).encode() + b"\n"
        self._cipher = AESGCM(_derive(passphrase, salt))
        self._out = out
        self._held = bytearray()
        self._number = 0
        out.write(self._associated)

    def writable(self) -> bool:
        return True

    def write(self, octets: Any) -> int:
        self._held += octets
        while len(self._held) > PIECE:
            self._piece(bytes(self._held[:PIECE]), last=False)
            del self._held[:PIECE]
        return len(octets)

    def close(self) -> None:
        if not self.closed:
            self._piece(bytes(self._held), last=True)
            self._held.clear()
        super().close()

    def _piece(self, plain: bytes, *, last: bool) -> None:
        sealed = self._cipher.encrypt(_nonce(self._beginning, self._number, last=last), plain, self._associated)
        self._out.write(struct.pack(">I", len(sealed)) + sealed)
        self._number += 1


class Unsealer(io.RawIOBase):
    """Reads what a :class:`Sealer` wrote; ``Refused`` for another passphrase, ``BackupUnreadable`` for another file."""

    def __init__(self, source: BinaryIO, passphrase: str) -> None:
        if source.read(len(MAGIC)) != MAGIC:
            raise BackupUnreadable("The file is no backup of Bastide, or of a newer release.")
        line = source.readline(MAX_HEADER)
        try:
            self.told: Mapping[str, Any] = json.loads(line)
            salt, self._beginning = b64decode(self.told["salt"]), b64decode(self.told["nonce"])
            fits = {name: self.told[name] for name in _COST} == _COST and len(self._beginning) == 7
        except (ValueError, KeyError, TypeError) as error:
            raise BackupUnreadable("The backup's first lines cannot be read.") from error
        if not fits:
            raise BackupUnreadable("The backup was sealed by another release of Bastide; restore it with that one.")
        self._associated = MAGIC + line
        self._cipher = AESGCM(_derive(passphrase, salt))
        self._source = source
        self._number, self._ended, self._held = 0, False, b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._held and not self._ended:
            self._held = self._next()
        given = min(len(buffer), len(self._held))
        buffer[:given], self._held = self._held[:given], self._held[given:]
        return given

    def _next(self) -> bytes:
        head = self._source.read(4)
        (length,) = struct.unpack(">I", head) if len(head) == 4 else (0,)
        sealed = self._source.read(length) if _TAG <= length <= PIECE + _TAG else b""
        if len(sealed) != length or not sealed:
            raise BackupUnreadable(
                "The backup ends before its last piece: it was not written or not copied to the end."
            )
        more = self._source.read(1)
        if more:
            self._source.seek(-1, io.SEEK_CUR)
        self._ended = not more
        try:
            plain = self._cipher.decrypt(
                _nonce(self._beginning, self._number, last=self._ended), sealed, self._associated
            )
        except InvalidTag as error:
            raise Refused(
                "The passphrase does not open this backup, or it was changed, or cut off at the end.",
                code="backup:passphrase",
            ) from error
        self._number += 1
        return plain


def _nonce(beginning: bytes, number: int, *, last: bool) -> bytes:
    return beginning + struct.pack(">IB", number, last)


def _derive(passphrase: str, salt: bytes) -> bytes:
    return Scrypt(salt=salt, length=32, n=_COST["n"], r=_COST["r"], p=_COST["p"]).derive(passphrase.encode())


def _text(octets: bytes) -> str:
    return b64encode(octets).decode()
