"""Between a gateway's two processes: the one that speaks with the network, and the keeper that alone may change rules.

Frames on a socket pair: a 32-bit big-endian length and a MessagePack array. A request is ``[number, word, argument...]``
with the words below and nothing else; an answer ``[number, code, sentence, value]`` with an empty code where it was done.
Number 0 is something that happened: ``[0, event]``. The keeper trusts none of it: plans carry a signature, names may
only open what a signed profile speaks of, and never an address inside.
"""

from enum import StrEnum
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from bastide.core.error import Unreadable

MAX_BYTES = 4 * 1024 * 1024


class Word(StrEnum):
    """``item``: octets. ``resolved``: name, ``[[address, seconds]...]``. ``names``: address. ``state``."""

    ITEM = "item"
    RESOLVED = "resolved"
    NAMES = "names"
    STATE = "state"


class Request(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    number: Annotated[int, Meta(ge=1, lt=2**53)]
    word: Word
    data: bytes = b""
    name: Annotated[str, Meta(max_length=255)] = ""
    addresses: Annotated[list[tuple[str, Annotated[int, Meta(ge=0, lt=2**32)]]], Meta(max_length=256)] = []


class Answer(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    number: int
    code: str = ""
    sentence: str = ""
    value: Any = None


_encoder = msgspec.msgpack.Encoder()
_request = msgspec.msgpack.Decoder(Request)
_answer = msgspec.msgpack.Decoder(Answer)


def frame(message: Request | Answer) -> bytes:
    payload = _encoder.encode(message)
    return len(payload).to_bytes(4, "big") + payload


def length(header: bytes) -> int:
    """``Unreadable`` where it is out of bounds."""
    size = int.from_bytes(header, "big")
    if not 0 < size <= MAX_BYTES:
        raise Unreadable(f"A frame of {size} bytes is out of bounds.", code="gateway:pipe:unreadable")
    return size


def read_request(payload: bytes) -> Request:
    try:
        return _request.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Unreadable(f"This is not a request: {error}.", code="gateway:pipe:unreadable") from error


def read_answer(payload: bytes) -> Answer:
    try:
        return _answer.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Unreadable(f"This is not an answer: {error}.", code="gateway:pipe:unreadable") from error
