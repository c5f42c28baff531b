"""The form of the signer's journal: one line an act, each bound to all lines before it.

- A line is ``<hash> <body>`` and a newline: the hash in hex is SHA-256 over the previous line's 32 bytes and the body, the
  body is one JSON object without spaces. The first line of all follows on 32 zero bytes.
- ``n`` counts lines from 1 without a gap. ``kind`` is ``opened`` (the first), ``signed``, ``segment`` (the first line of each
  later file; it names the SHA-256 of the whole file before it and repeats what must not be forgotten) or ``repaired``.
- Only the end of the last file may be torn, since a line is acknowledged when it and its newline are on disk.

It is here and not with the signer because the audit reads it too, and holds it against the ledger.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import msgspec

from bastide.core.error import BastideError

GENESIS = bytes(32)
HASH_CHARACTERS = 64
_NEWLINE = b"\n"


class JournalDamaged(BastideError):
    """A journal that is not what was written. Nothing may be signed on top of it."""

    code = "signer:journal:damaged"


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One line's body. ``digest`` is the request's, in hex; ``what`` holds what the profile noted."""

    n: int
    at: str
    kind: str
    request: str = ""
    profile: str = ""
    digest: str = ""
    what: dict[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Line:
    """A line that was read: where it begins in its file, and the hash that the next one follows on."""

    offset: int
    entry: Entry
    hash: bytes


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Entry)


def write_line(previous: bytes, entry: Entry) -> tuple[bytes, bytes]:
    """The line, and the hash that the next one follows on."""
    body = _encoder.encode(entry)
    digest = sha256(previous + body).digest()
    return digest.hex().encode() + b" " + body + _NEWLINE, digest


def read_lines(data: bytes, previous: bytes, number: int, name: str) -> Iterator[Line]:
    """The whole lines of one file, each checked; stops before a last line without its newline.

    ``previous`` and ``number`` are those of the line before the file (``GENESIS`` and 0 for the first). ``JournalDamaged``
    names the first line that is not what was written.
    """
    start = 0
    while (end := data.find(_NEWLINE, start)) >= 0:
        number += 1
        body = data[start + HASH_CHARACTERS + 1 : end]
        digest = sha256(previous + body).digest()
        if data[start : start + HASH_CHARACTERS + 1] != digest.hex().encode() + b" ":
            raise _damaged(name, number, "its hash does not follow from what stands before it")
        try:
            entry = _decoder.decode(body)
        except msgspec.MsgspecError as error:
            raise _damaged(name, number, str(error)) from error
        if entry.n != number:
            raise _damaged(name, number, f"it says that it is line {entry.n}")
        yield Line(start, entry, digest)
        previous, start = digest, end + 1


def first_line(data: bytes, name: str) -> Entry:
    """What the first line of a file says, its hash not yet judged; ``JournalDamaged`` where it has no line."""
    end = data.find(_NEWLINE)
    if end < 0:
        raise _damaged(name, 1, "it has no line")
    return parse_line(data[: end + 1], name)


def parse_line(line: bytes, name: str) -> Entry:
    """What one line says, its hash not judged."""
    try:
        return _decoder.decode(line[HASH_CHARACTERS + 1 : -1])
    except msgspec.MsgspecError as error:
        raise JournalDamaged(f"A line of the signer's journal {name} cannot be read: {error}.") from error


def torn_tail(data: bytes, previous: bytes, name: str, number: int) -> bytes:
    """What stands after the last newline, where a crash may have left it; ``JournalDamaged`` where no crash could have.

    A crash leaves the beginning of a line, or after a power loss zero bytes. A complete line whose newline reads as
    something else was acknowledged once and changed later.
    """
    tail = data[data.rfind(_NEWLINE) + 1 :]
    if len(tail) > HASH_CHARACTERS + 1 and tail.strip(b"\0"):
        claimed = tail[:HASH_CHARACTERS]
        if claimed == sha256(previous + tail[HASH_CHARACTERS + 1 : -1]).digest().hex().encode():
            raise _damaged(name, number + 1, "it is complete, but its end of line was changed")
    return tail


def _damaged(name: str, number: int, why: str) -> JournalDamaged:
    return JournalDamaged(
        f"The signer's journal {name} is damaged at line {number}: {why}. The signer signs nothing on top of it; restore "
        "the signer's folder from a backup that is at least as new as the ledger, and find out who changed it."
    )
