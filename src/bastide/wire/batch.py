"""A batch of admitted messages in the ingest journal: MessagePack, ``[1, [[device, channel, at, fields], …]]``.

``at`` is microseconds since 1970, when the worker took the message; ``fields`` are the declared ones. One batch is one
message of the journal, so that one fsync makes many messages durable. A message's sequence number is the batch's, shifted
by :data:`INDEX_BITS`, and its place in the batch.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from bastide.core.error import Unreadable

INDEX_BITS = 16
MAX_MESSAGES = 4096
MAX_BYTES = 8 * 1024 * 1024

Message = tuple[str, str, int, Mapping[str, float | int | str | bool]]


class _Form(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    version: Literal[1]
    messages: Annotated[
        list[tuple[str, str, Annotated[int, Meta(ge=0, le=2**62)], dict[str, float | int | str | bool]]],
        Meta(max_length=MAX_MESSAGES),
    ]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Form)


def encode_batch(messages: Sequence[Message]) -> bytes:
    """The bytes of a batch of at most :data:`MAX_MESSAGES`."""
    return _encoder.encode((1, messages))


def decode_batch(data: bytes) -> Sequence[Message]:
    """The messages of a batch; Unreadable where the bytes are none."""
    try:
        if len(data) > MAX_BYTES:
            raise ValueError("too long")
        return _decoder.decode(data).messages
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise Unreadable(f"This is not a batch of messages: {error}.", code="wire:batch:unreadable") from error


def sequence_of(batch: int, index: int) -> int:
    """The number of a message: where it is in which batch."""
    return (batch << INDEX_BITS) | index
